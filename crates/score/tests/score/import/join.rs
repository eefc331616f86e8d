//! Predictions and golds, joined.

use chartbench_core::question::{
    AnswerType, Chart, ChartQuestions, Gold, ImageRef, Question, QuestionSet,
};
use chartbench_score::import::{ColumnNames, FileFormat, Golds, ImportOptions, read, summarize};

use super::{folder, golds, lines, shown_with};

#[test]
fn realcqas_prediction_folder_is_joined_with_its_qa() {
    let qa = [
        (
            "qa/PMC1.json",
            r#"[{"qa_id": "a", "question": "Q1", "answer": ["x", "y"], "answer_type": "Ranked List"}]"#,
        ),
        (
            "qa/PMC2.json",
            r#"[{"qa_id": "a", "question": "Q2", "answer": 3.0, "answer_type": "Numerical"},
                             {"qa_id": "b", "question": "Q3", "answer": "Yes", "answer_type": "Binary"}]"#,
        ),
    ];
    let data = folder(&qa);
    let merged = folder(&[(
        "merged_qa.json",
        &format!(r#"{{"PMC1": {}, "PMC2": {}}}"#, qa[0].1, qa[1].1),
    )]);
    let predictions = folder(&[
        (
            "PMC1.json",
            r#"[{"qa_id": "a", "predicted_answer": ["x"]}, {"qa_id": "c", "predicted_answer": ""}]"#,
        ),
        ("__1__PMC2.json", r#"[{"qa_id": "a", "answer": 3}]"#),
        ("notes.txt", "not one of them"),
    ]);
    for (place, qa) in [
        ("PMC2.json", data.path().to_owned()),
        ("PMC2.json", data.path().join("qa")),
        ("chart `PMC2`", merged.path().to_owned()),
    ] {
        let golds = Golds::read(&qa, &ColumnNames::default(), None).unwrap();
        let options = ImportOptions {
            golds: Some(golds),
            ..ImportOptions::default()
        };
        let expected = [
            r#"PMC1/a: ["x"] | list of x; y | Q1 | RankedList"#,
            "PMC2/a: 3 | 3.0 | Q2 | Numerical",
            "PMC2/b: NONE | Yes | Q3 | Binary",
            "prediction `PMC1/c` (PMC1.json, record 2) has no gold answer",
            &format!("gold `PMC2/b` ({place}, record 2) has no prediction"),
        ];
        assert_eq!(
            lines(&read(predictions.path(), &options).unwrap()),
            expected
        );
    }
}

#[test]
fn a_realcqa_folder_with_answers_beside_predictions_joins_itself() {
    let predictions = folder(&[
        (
            "PMC1.json",
            r#"[{"qa_id": "a", "answer": "Yes", "predicted_answer": "No", "answer_type": "Binary"}]"#,
        ),
        (
            "__0__PMC2.json",
            r#"[{"qa_id": "a", "answer": "x", "predicted_answer": "y", "answer_type": "String"}]"#,
        ),
        (
            "__1__PMC2.json",
            r#"[{"qa_id": "a", "answer": "x", "predicted_answer": "z", "answer_type": "Word"}]"#,
        ),
        ("PMC3.json", "[]"),
    ]);
    let expected = [
        "PMC2/a: y | x | String",
        "PMC1/a: No | Yes | Binary",
        "1 row with an unknown answer type (the first, `Word`, at __1__PMC2.json, record 1): read as without one",
        "id `PMC2/a` stands twice (__0__PMC2.json, record 1 and __1__PMC2.json, record 1): the first counts",
    ];
    let mut found = lines(&read(predictions.path(), &ImportOptions::default()).unwrap());
    found[..2].sort_by_key(|line| !line.starts_with("PMC2"));
    assert_eq!(found, expected);
}

#[test]
fn separate_golds_are_joined_by_id_and_win() {
    let golds = golds("id,answer,question,answer_type\na,1,Q?,Numerical\nb,2,,\na,9,,\nc,3,,\n");
    let expected = |own: &str| {
        let mut lines = vec![
            "a: 1.0 | 1 | Q? | Numerical".to_owned(),
            "b: NONE | 2 | ".to_owned(),
            "c: x | 3 | ".to_owned(),
            "gold id `a` stands twice (line 2 and line 4): the first counts".to_owned(),
            format!("prediction `c` stands twice ({own} 2 and {own} 4): the first counts"),
            format!("prediction `d` ({own} 5) has no gold answer"),
            "gold `b` (line 3) has no prediction".to_owned(),
        ];
        if own == "record" {
            lines.retain(|line| !line.contains("twice (record"));
            lines
                .iter_mut()
                .for_each(|line| *line = line.replace("record 5", "record 3"));
        }
        lines
    };
    let csv = "id,response\nc,x\na,1.0\nc,y\nd,z\n";
    assert_eq!(shown_with("p.csv", csv, &golds), expected("line"));
    let map = r#"{"c": "x", "a": 1.0, "d": "z"}"#;
    assert_eq!(shown_with("p.json", map, &golds), expected("record"));
    let answers = csv.replace("response", "answer");
    assert_eq!(shown_with("p.csv", &answers, &golds), expected("line"));
}

#[test]
fn places_of_golds_name_their_file() {
    let files = folder(&[
        ("golds.csv", "id,gold\na,1\nb,2\na,3\n"),
        ("p.csv", "id,prediction\na,x\n"),
    ]);
    let golds = Golds::read(
        &files.path().join("golds.csv"),
        &ColumnNames::default(),
        None,
    )
    .unwrap();
    let options = ImportOptions {
        golds: Some(golds),
        ..ImportOptions::default()
    };
    let expected = [
        "a: x | 1",
        "b: NONE | 2",
        "gold id `a` stands twice (golds.csv, line 2 and golds.csv, line 4): the first counts",
        "gold `b` (golds.csv, line 3) has no prediction",
    ];
    assert_eq!(
        lines(&read(&files.path().join("p.csv"), &options).unwrap()),
        expected
    );
}

#[test]
fn golds_that_differ_are_told_and_the_separate_ones_count() {
    let golds = Golds::parse(
        br#"[{"id": 1, "gold": ["a", "b"]}, {"id": 2, "gold": "x"}]"#,
        &ColumnNames::default(),
        FileFormat::Json,
    );
    let options = ImportOptions {
        golds: Some(golds.unwrap()),
        ..ImportOptions::default()
    };
    let csv = "id,prediction,label\n1,p,\"['a', 'b']\"\n2,q,X\n";
    let expected = [
        "1: p | list of a; b",
        "2: q | x",
        "the gold of `2` (line 3) is `X` in the file, `x` in the separate golds: the latter counts",
    ];
    assert_eq!(shown_with("p.csv", csv, &options), expected);
}

/// A benchmark of two charts: `PMC1/a`, `PMC1/b`, `PMC2/a`.
fn benchmark() -> QuestionSet {
    let chart = |id: &str, questions: &[&str]| ChartQuestions {
        chart: Chart {
            id: id.to_owned(),
            image: ImageRef::File("none.png".into()),
            chart_type: None,
            table: None,
        },
        questions: questions
            .iter()
            .map(|question| benchmark_question(&format!("{id}/{question}")))
            .collect(),
    };
    QuestionSet {
        benchmark: "mine".to_owned(),
        charts: vec![chart("PMC1", &["a", "b"]), chart("PMC2", &["a"])],
    }
}

fn benchmark_question(id: &str) -> Question {
    Question {
        id: id.to_owned(),
        text: "Q?".to_owned(),
        gold: Gold::from("g"),
        answer_type: Some(AnswerType::String),
        taxonomy: None,
        template: None,
        source: None,
        slices: Default::default(),
        context: None,
    }
}

#[test]
fn a_benchmarks_questions_are_golds_and_qa_id_alone_will_do_where_it_is_unique() {
    let options = ImportOptions {
        golds: Some(Golds::from_questions(&benchmark())),
        ..ImportOptions::default()
    };
    let csv = "qa_id,prediction\nPMC2/a,x\nb,y\na,z\n";
    let expected = [
        "PMC1/a: NONE | g | Q? | String",
        "PMC1/b: y | g | Q? | String",
        "PMC2/a: x | g | Q? | String",
        "prediction `a` (line 4) fits the golds of several charts: write CHART/ before it",
        "gold `PMC1/a` has no prediction",
    ];
    assert_eq!(shown_with("p.csv", csv, &options), expected);
}

#[test]
fn rows_without_ids_are_joined_by_number() {
    let options = golds("answer\nx\ny\nz\n");
    let expected = [
        "1: a | x",
        "2: b | y",
        "3: NONE | z",
        "gold `3` (line 4) has no prediction",
    ];
    assert_eq!(
        shown_with("p.csv", "prediction\na\nb\n", &options),
        expected
    );
}

/// Two test charts and two train charts, each with a gold; the predictions are about the test
/// charts alone.
#[test]
fn golds_of_a_realcqa_folder_are_those_of_its_test_charts() {
    let gold = |id: &str| {
        format!(r#"[{{"qa_id": "q", "question": "?", "answer": "{id}", "answer_type": "String"}}]"#)
    };
    let charts = ["PMC1", "PMC2", "PMC3", "PMC4"];
    let named: Vec<(String, String)> = charts
        .iter()
        .map(|id| (format!("qa/{id}.json"), gold(id)))
        .collect();
    let mut files: Vec<(&str, &str)> = named
        .iter()
        .map(|(name, json)| (name.as_str(), json.as_str()))
        .collect();
    files.push(("test_filenames.txt", "PMC2.jpg\nPMC4\n"));
    let data = folder(&files);
    let merged: Vec<String> = charts
        .iter()
        .map(|id| format!("\"{id}\": {}", gold(id)))
        .collect();
    let merged = folder(&[
        (
            "merged_qa.json",
            format!("{{{}}}", merged.join(", ")).as_str(),
        ),
        ("test_filenames.txt", "PMC2\nPMC4\n"),
    ]);
    let predictions = folder(&[
        (
            "PMC2.json",
            r#"[{"qa_id": "q", "predicted_answer": "PMC2"}]"#,
        ),
        (
            "PMC4.json",
            r#"[{"qa_id": "q", "predicted_answer": "PMC4"}]"#,
        ),
    ]);
    let expected = [
        "PMC2/q: PMC2 | PMC2 | ? | String",
        "PMC4/q: PMC4 | PMC4 | ? | String",
    ];
    for path in [
        data.path().to_owned(),
        data.path().join("qa"),
        merged.path().to_owned(),
    ] {
        let golds = Golds::read(&path, &ColumnNames::default(), None).unwrap();
        let options = ImportOptions {
            golds: Some(golds),
            ..ImportOptions::default()
        };
        assert_eq!(
            lines(&read(predictions.path(), &options).unwrap()),
            expected,
            "{}",
            path.display()
        );
    }
    // A test chart without questions would make the golds fewer unseen.
    std::fs::remove_file(data.path().join("qa/PMC4.json")).unwrap();
    let error = format!(
        "{:#}",
        Golds::read(data.path(), &ColumnNames::default(), None).unwrap_err()
    );
    assert!(
        error.contains("line 2: `PMC4` has no questions in") && error.lines().count() == 1,
        "{error}"
    );
}

#[test]
fn problems_of_one_kind_are_one_line_with_their_number() {
    let golds = golds("id,gold\na,1\na,1\na,1\nb,2\nc,3\nd,4\n");
    let csv = "id,prediction\na,1\nx,5\ny,6\nz,7\n";
    let folder = folder(&[("p.csv", csv)]);
    let imported = read(&folder.path().join("p.csv"), &golds).unwrap();
    assert_eq!(imported.problems.len(), 8);
    let expected = [
        "2 times a gold id stands twice (first `a`, line 2 and line 3): the first of each counts",
        "3 predictions have no gold answer (the first: `x`, line 3)",
        "3 golds have no prediction (the first: `b`, line 5)",
    ];
    assert_eq!(summarize(&imported.problems), expected);
    let single = read(
        &folder.path().join("p.csv"),
        &super::golds("id,gold\na,1\nx,1\ny,2\n"),
    )
    .unwrap();
    assert_eq!(
        summarize(&single.problems),
        ["prediction `z` (line 5) has no gold answer"]
    );
}

#[test]
fn ids_of_one_side_alone_are_not_matched_with_numbers() {
    let error = |predictions: &str, golds: &str| {
        let folder = folder(&[("p.csv", predictions)]);
        let error = read(&folder.path().join("p.csv"), &super::golds(golds)).unwrap_err();
        format!("{:#}", error.root_cause())
    };
    let advice = "name the column of ids with --id-column";
    let found = error("id,prediction\n0,a\n1,b\n", "answer\na\nb\n");
    assert_eq!(
        found,
        format!("the golds have no ids and the predictions have: {advice}")
    );
    let found = error("prediction\na\nb\n", "id,answer\n0,a\n1,b\n");
    assert_eq!(
        found,
        format!("the predictions have no ids and the golds have: {advice}")
    );
}
