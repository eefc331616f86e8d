//! The guarantees of the module: the same bytes from the same seed, every kind of question, valid
//! answers.

use std::collections::{BTreeSet, HashSet};

use sha2::{Digest, Sha256};

use super::recipe::ChartType;
use super::*;
use chartbench_core::question::{AnswerType, Gold, Taxonomy};

const MINI: Synth = Synth {
    seed: 42,
    train: 200,
    test: 120,
    questions_per_chart: 4,
};

fn hex(hash: Sha256) -> String {
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn pictures_are_pinned() {
    let mut hash = Sha256::new();
    for chart_questions in MINI.question_set(Split::Test).charts.iter().take(20) {
        hash.update(chart_questions.chart.image.bytes().expect("draws"));
    }
    assert_eq!(
        hex(hash),
        "cd8f689e4b4ef9dfded08ea0178af84d1b85f30ee37a8c7377c8e251b7cd9c54"
    );
}

#[test]
fn questions_are_pinned() {
    let mut hash = Sha256::new();
    for (chart, question) in MINI.question_set(Split::Test).iter() {
        let gold = serde_json::to_string(&question.gold).expect("serialises");
        hash.update(format!(
            "{}\t{}\t{}\t{gold}\n",
            chart.id, question.id, question.text
        ));
    }
    assert_eq!(
        hex(hash),
        "2cfda131878d84eb1a014d4b177a60f6db4047be00e1772b79493e06ed133e4a"
    );
}

#[test]
fn a_chart_does_not_depend_on_how_many_there_are() {
    let few = Synth { train: 3, ..MINI }.question_set(Split::Train);
    let many = MINI.question_set(Split::Train);
    for (a, b) in few.charts.iter().zip(&many.charts) {
        assert_eq!(a.chart.id, b.chart.id);
        assert_eq!(
            a.chart.image.bytes().expect("draws"),
            b.chart.image.bytes().expect("draws")
        );
        let texts = |chart_questions: &ChartQuestions| {
            chart_questions
                .questions
                .iter()
                .map(|q| q.text.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(texts(a), texts(b));
    }
}

#[test]
fn every_kind_is_present_and_no_id_occurs_twice() {
    let mut ids = HashSet::new();
    let mut pictures = HashSet::new();
    for split in [Split::Train, Split::Test] {
        let set = MINI.question_set(split);
        let (mut charts, mut answers, mut taxonomy) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for (chart, question) in set.iter() {
            assert!(chart.id.starts_with("synthetic-"));
            assert!(
                ids.insert(question.id.clone()),
                "{} occurs twice",
                question.id
            );
            charts.insert(chart.chart_type.clone());
            answers.insert(question.answer_type);
            taxonomy.insert(question.taxonomy);
        }
        for chart_questions in &set.charts {
            assert!(
                ids.insert(chart_questions.chart.id.clone()),
                "{} occurs twice",
                chart_questions.chart.id
            );
            assert!(!chart_questions.questions.is_empty());
            if chart_questions.chart.id.ends_with("00") {
                assert!(
                    pictures.insert(chart_questions.chart.image.bytes().expect("draws")),
                    "a picture occurs twice"
                );
            }
        }
        assert_eq!(
            charts,
            ChartType::ALL
                .map(|chart_type| Some(chart_type.name().to_owned()))
                .into()
        );
        let all_answers = [
            AnswerType::String,
            AnswerType::Numerical,
            AnswerType::Binary,
            AnswerType::RankedList,
            AnswerType::UnrankedList,
        ];
        assert_eq!(answers, all_answers.map(Some).into());
        let all_taxonomy = [
            Taxonomy::Root,
            Taxonomy::Structural,
            Taxonomy::Retrieval,
            Taxonomy::Reasoning,
        ];
        assert_eq!(taxonomy, all_taxonomy.map(Some).into());
        assert!(set.charts.is_sorted_by(|a, b| a.chart.id < b.chart.id));
    }
}

#[test]
fn golds_have_the_form_their_type_says() {
    for (_, question) in MINI.question_set(Split::Train).iter() {
        match (question.answer_type, &question.gold) {
            (Some(AnswerType::Binary), Gold::Text(text)) => {
                assert!(["yes", "no"].contains(&text.as_str()))
            }
            (Some(AnswerType::Numerical), Gold::Text(text)) => {
                assert!(
                    text.parse::<f64>().is_ok_and(f64::is_finite),
                    "{}: {text}",
                    question.text
                );
            }
            (Some(AnswerType::String), Gold::Text(text)) => assert!(!text.is_empty()),
            (Some(AnswerType::RankedList | AnswerType::UnrankedList), Gold::List(items)) => {
                let distinct: HashSet<_> = items.iter().collect();
                assert!(
                    !items.is_empty() && distinct.len() == items.len(),
                    "{}: {items:?}",
                    question.text
                );
            }
            (kind, gold) => panic!("{}: {kind:?} with {gold:?}", question.text),
        }
    }
}

#[test]
fn pictures_are_of_papers_sizes() {
    for index in 0..20 {
        let recipe = ChartSource {
            seed: 7,
            split: Split::Train,
            index,
        }
        .recipe();
        let image =
            image::load_from_memory(&ChartSource::png(&recipe).expect("draws")).expect("a png");
        assert_eq!(
            (image.width(), image.height()),
            (recipe.width, recipe.height)
        );
        assert!((380..=640).contains(&recipe.width) && (240..=600).contains(&recipe.height));
        assert!(
            recipe.chart_type != ChartType::HorizontalBar
                || recipe.legend.is_none_or(|place| !place.inside())
        );
    }
}

/// Everything written lies inside the page and the plot keeps most of it.
#[test]
fn layouts_leave_room_for_the_data() {
    for index in 0..500 {
        let recipe = ChartSource {
            seed: 3,
            split: Split::Train,
            index,
        }
        .recipe();
        let layout = layout::Layout::from_recipe(&recipe);
        let plot = layout.plot;
        let (width, height) = (f64::from(recipe.width), f64::from(recipe.height));
        assert!(
            plot.width > width * 0.38 && plot.height > height * 0.38,
            "chart {index}: {plot:?}"
        );
        for rect in layout.legend.iter().map(|legend| legend.rect).chain([plot]) {
            let inside = rect.x >= 0.0
                && rect.y >= 0.0
                && rect.x + rect.width <= width
                && rect.y + rect.height <= height;
            assert!(
                inside,
                "chart {index}: {rect:?} is not inside {width} x {height}"
            );
        }
    }
}

#[test]
fn written_data_say_what_the_question_set_says() {
    let dir = tempfile::tempdir().expect("a directory");
    let target = dir.path().join("new/data");
    let synth = Synth {
        train: 12,
        test: 2,
        ..MINI
    };
    let charts = std::sync::atomic::AtomicUsize::new(0);
    let count = || {
        charts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    };
    synth.write(&target, &count).expect("writes");
    assert_eq!(charts.into_inner(), 14);
    let read = |path: String| std::fs::read_to_string(target.join(path)).expect("written");
    let test = synth.question_set(Split::Test);
    let names: Vec<String> = test
        .charts
        .iter()
        .map(|chart_questions| chart_questions.chart.id.clone())
        .collect();
    assert_eq!(
        read("test_filenames.txt".into())
            .lines()
            .collect::<Vec<_>>(),
        names
    );
    for chart_questions in test
        .charts
        .iter()
        .chain(&synth.question_set(Split::Train).charts)
    {
        let id = &chart_questions.chart.id;
        let png = std::fs::read(target.join(format!("images/{id}.png"))).expect("written");
        assert!(png == chart_questions.chart.image.bytes().expect("draws"));
        let records: Vec<serde_json::Value> =
            serde_json::from_str(&read(format!("qa/{id}.json"))).expect("json");
        assert_eq!(records.len(), chart_questions.questions.len());
        for (record, question) in records.iter().zip(&chart_questions.questions) {
            assert_eq!(
                format!(
                    "{}/{}",
                    record["PMC_ID"].as_str().expect("text"),
                    record["qa_id"].as_str().expect("text")
                ),
                question.id
            );
            assert_eq!(record["question"], *question.text);
            assert_eq!(
                record["answer"],
                serde_json::to_value(&question.gold).expect("serialises")
            );
            assert_eq!(
                record["QID"],
                *question.template.as_deref().expect("has a template")
            );
        }
        let annotation: serde_json::Value =
            serde_json::from_str(&read(format!("json/{id}.json"))).expect("json");
        assert_eq!(
            annotation["task1"]["output"]["chart_type"],
            *chart_questions
                .chart
                .chart_type
                .as_deref()
                .expect("has a type")
        );
    }
    for split in [Split::Test, Split::Train] {
        let Ok(crate::realcqa::QaLayout::PerChart(qa)) =
            crate::realcqa::open(&target, split, false, &mut Default::default())
        else {
            panic!("one file of questions for each chart")
        };
        let (read_back, _) = qa.charts(0..qa.len()).expect("loads");
        for (chart_questions, read_back) in synth.question_set(split).charts.iter().zip(&read_back)
        {
            let tables = [chart_questions, read_back].map(|chart_questions| {
                chart_questions
                    .chart
                    .table
                    .as_ref()
                    .expect("a table")
                    .0
                    .table()
            });
            let [drawn, written] = tables.map(|table| table.expect("reads"));
            assert_eq!(drawn, written);
            assert!(drawn.title.is_empty() && !drawn.rows.is_empty() && drawn.header.len() > 1);
            assert!(drawn.rows.iter().all(|row| row.len() == drawn.header.len()));
        }
    }
    assert!(read("README.txt".into()).starts_with("SYNTHETIC"));
    // An existing data set is refused, and nothing half-written is left beside it.
    let error = synth.write(&target, &|| ()).expect_err("refuses");
    assert!(error.to_string().contains("is not empty"));
    assert_eq!(
        std::fs::read_dir(dir.path().join("new"))
            .expect("reads")
            .count(),
        1
    );
}
