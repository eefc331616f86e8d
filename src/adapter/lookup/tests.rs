//! Each template over each form of table, and tables that are none.

use proptest::prelude::*;

use super::*;

const VALUES: &str = "TITLE | Pilot study <0x0A> x | Male | Drug A <0x0A> Week 4 | 0.3 | 12 \
    <0x0A> Week 8 | -1.25 | 5 <0x0A> Baseline | 2 | 7";
const NUMBERS: &str =
    "TITLE | <0x0A> Dose (mg) | Total <0x0A> 0.0 | 40000 <0x0A> 0.5 | 1000 <0x0A> 1.0 | 30000";
const POINTS: &str = "TITLE | <0x0A> series | x | y <0x0A> Cases | 1 | 9.5 <0x0A> Cases | 2 | 7 \
    <0x0A> Controls | 3 | 4";
const BOXES: &str = "TITLE | <0x0A> x | min | first quartile | median | third quartile | max \
    <0x0A> Group A Low | -2 | 1.5 | 3 | 4.25 | 9 <0x0A> Group A Week 8 | 1 | 2 | 4 | 5 | 6 \
    <0x0A> Group B Low | 1 | 2 | 3.5 | 5 | 6 <0x0A> Group B Week 8 | 0 | 1 | 2 | 3 | 4";
const ONE_BOX_EACH: &str = "x | min | first quartile | median | third quartile | max \
    <0x0A> Low dose | 1 | 2 | 3 | 4 | 5 <0x0A> High dose | 2 | 4 | 6 | 8 | 10";

fn said(table: &str, questions: &[(&str, &str)]) {
    for (question, expected) in questions {
        let answer = answer(table, question).map_err(|error| error.to_string());
        assert_eq!(answer.as_deref(), Ok(*expected), "{question}");
    }
}

#[test]
fn the_form_of_a_table_tells_what_chart_it_is_of() {
    for (table, chart, axis, series) in [
        (VALUES, "Vertical Bar chart", "categorical", "2"),
        (NUMBERS, "Line chart", "numerical", "1"),
        (POINTS, "Scatter chart", "numerical", "2"),
        (BOXES, "Vertical Boxplots", "categorical", "2"),
        (ONE_BOX_EACH, "Vertical Boxplots", "categorical", "1"),
    ] {
        let legend = if series == "1" { "no" } else { "yes" };
        said(
            table,
            &[
                ("What is the type of the chart?", chart),
                ("Is the x-axis categorical or numerical?", axis),
                ("How many data series are plotted?", series),
                ("Is there a legend in the chart?", legend),
            ],
        );
    }
}

#[test]
fn names_are_those_of_the_table() {
    said(
        VALUES,
        &[
            ("Does the chart have a title?", "yes"),
            ("What is the title of the chart?", "Pilot study"),
            ("What are the legend labels?", "Male, Drug A"),
            ("How many categories are on the y-axis?", "3"),
            (
                "List the tick labels of the y-axis from top to bottom.",
                "Week 4, Week 8, Baseline",
            ),
            ("What is the title of the x-axis?", UNKNOWN),
        ],
    );
    said(
        NUMBERS,
        &[
            ("Does the chart have a title?", "no"),
            ("What is the title of the chart?", UNKNOWN),
            ("What is the title of the x-axis?", "Dose (mg)"),
            ("What is the title of the y-axis?", UNKNOWN),
        ],
    );
    said(
        BOXES,
        &[
            ("What are the legend labels?", "Group A, Group B"),
            ("How many categories are on the x-axis?", "2"),
            (
                "List the tick labels of the x-axis from left to right.",
                "Low, Week 8",
            ),
        ],
    );
    said(
        POINTS,
        &[("What are the legend labels?", "Cases, Controls")],
    );
}

#[test]
fn values_are_looked_up_and_compared() {
    said(
        VALUES,
        &[
            ("What is the value of Drug A at Week 8?", "5"),
            ("What is the value of Male at Baseline?", "2"),
            ("Where is the value of Male largest?", "Baseline"),
            ("What is the largest value of Drug A?", "12"),
            ("Is the value of Male at Week 4 above 0.2?", "yes"),
            ("Is the value of Male at Week 4 above 0.4?", "no"),
            (
                "Is the value of Male larger at Week 8 than at Week 4?",
                "no",
            ),
            (
                "By how much do the values of Male at Week 4 and Week 8 differ?",
                "1.55",
            ),
            (
                "Rank the legend labels by value at Week 8, largest first.",
                "Drug A, Male",
            ),
            ("Where is the value of Drug A above 6?", "Week 4, Baseline"),
            ("How many values of Drug A are above 6?", "2"),
            (
                "Do the values of Male rise or fall along the x-axis?",
                "rise",
            ),
            ("Does the y-axis have negative ticks?", "yes"),
            ("What is the smallest tick of the y-axis?", UNKNOWN),
        ],
    );
    said(
        NUMBERS,
        &[
            // As numbers, whatever their decimals.
            ("What is the value at 0?", "40000"),
            ("What is the value at 1?", "30000"),
            ("By how much do the values at 0.0 and 0.5 differ?", "39000"),
            ("Do the values rise or fall along the x-axis?", "fall"),
            ("Does the x-axis have negative ticks?", "no"),
            ("What is the smallest tick of the x-axis?", "0"),
        ],
    );
    said(
        POINTS,
        &[("Do the values rise or fall along the x-axis?", "fall")],
    );
}

#[test]
fn boxes_are_found_by_series_and_place() {
    said(
        BOXES,
        &[
            ("What is the median of Group B at Low?", "3.5"),
            ("Where is the median of Group A largest?", "Week 8"),
            ("What is the interquartile range of Group A at Low?", "2.75"),
            ("Does the y-axis have negative ticks?", "yes"),
            ("What is the value of Group A at Low?", UNKNOWN),
        ],
    );
    said(
        ONE_BOX_EACH,
        &[
            ("What is the median of Cases at High dose?", "6"),
            ("Where is the median largest?", "High dose"),
            ("What is the interquartile range at Low dose?", "2"),
        ],
    );
}

#[test]
fn a_misread_name_is_the_nearest_one() {
    let table = VALUES
        .replace("Baseline", "Bascline")
        .replace("Drug A", "Drog A");
    said(&table, &[("What is the value of Drug A at Baseline?", "7")]);
}

#[test]
fn what_no_table_says_is_unknown() {
    let questions = [
        "Where is the legend placed?",
        "Are grid lines drawn?",
        "Are error bars drawn?",
        "What is the largest tick of the y-axis?",
        "How many tick labels does the x-axis have?",
    ];
    for table in [VALUES, POINTS, BOXES] {
        said(table, &questions.map(|question| (question, UNKNOWN)));
    }
    for text in [
        "",
        "a bar chart",
        "TITLE | Sales",
        "x | median",
        "series | x | y",
    ] {
        said(
            text,
            &[
                ("What is the value at 3?", UNKNOWN),
                ("What is the median of A at 3?", UNKNOWN),
                ("Do the values rise or fall along the x-axis?", UNKNOWN),
                (
                    "List the tick labels of the x-axis from left to right.",
                    UNKNOWN,
                ),
            ],
        );
    }
}

#[test]
fn another_question_is_an_error() {
    for question in ["", "What?", "What is the value?", "Is the value at a?"] {
        let error = answer(VALUES, question).unwrap_err().to_string();
        assert!(error.contains("is no question of the synthetic"), "{error}");
    }
}

/// A question of each template that names something.
const NAMING: [&str; 12] = [
    "What is the value of A at 1?",
    "What is the median of A at 1?",
    "What is the interquartile range at 1?",
    "Where is the value of A largest?",
    "Where is the median largest?",
    "What is the largest value?",
    "Is the value of A at 1 above 2?",
    "Is the value larger at 1 than at 2?",
    "By how much do the values of A at 1 and 2 differ?",
    "Rank the legend labels by value at 1, largest first.",
    "Where is the value above 2?",
    "Do the values rise or fall along the x-axis?",
];

proptest! {
    #[test]
    fn no_table_and_no_question_panics(
        any_text in any::<String>(),
        values in "(x|series) \\| [a-z ]{0,4} \\| y(\n[A1 ]{0,3}( \\| [-0-9.e%,| ]{0,9}){0,3}){0,6}",
        boxes in "x \\| min \\| median \\| first quartile(\n[AB 12]{0,6}( \\| [-0-9.e ]{0,9}){0,4}){0,9}",
    ) {
        let _ = answer(VALUES, &any_text);
        for table in [&any_text, &values, &boxes] {
            for question in NAMING {
                prop_assert!(answer(table, question).is_ok());
            }
            for question in ["How many data series are plotted?", "What are the legend labels?"] {
                prop_assert!(answer(table, question).is_ok());
            }
        }
    }
}
