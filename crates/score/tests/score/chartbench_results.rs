//! ChartBench's records: pairs of assertions and number questions, scored as its authors do.

use std::collections::BTreeMap;
use std::path::Path;

use chartbench_core::question::Gold;
use chartbench_score::import::{
    ColumnNames, FileFormat, Golds, ImportOptions, ImportResult, parse,
};
use chartbench_score::metric::{Convention, Counterparts, Metric, Pair, Summary};
use chartbench_score::stats::ChartSums;

/// Three pairs on two charts and two number questions.
const RESULTS: &str = r#"{"id": 0, "image": "a.png", "type": {"chart": "bar", "image": "bar", "task": "CR", "QA": "Acc+"}, "conversation": [{"label": "Yes", "query": "It is a bar chart.", "answer": "Yes."}, {"label": "No", "query": "It is a pie.", "answer": "no"}]}
{"id": 1, "image": "a.png", "type": {"chart": "bar", "image": "bar", "task": "VE", "QA": "Acc+"}, "conversation": [{"label": "Yes", "query": "It is 7.", "answer": "yes"}, {"label": "No", "query": "It is 4.", "answer": "YES"}]}
{"id": 2, "image": "a.png", "type": {"chart": "bar", "image": "bar", "task": "NQA", "QA": "GPT-acc"}, "conversation": [{"label": "Yes", "query": "Is it 7, yes or no?", "answer": "yes"}]}
{"id": 9, "image": "b.png", "type": {"chart": "line", "image": "line", "task": "GC", "QA": "Acc+"}, "conversation": [{"label": "Yes", "query": "It rises.", "answer": "No"}, {"label": "No", "query": "It falls.", "answer": "Yes"}]}
{"id": 10, "image": "b.png", "type": {"chart": "line", "image": "line", "task": "NQA", "QA": "GPT-acc"}, "conversation": [{"label": ["8.2%", "8"], "query": "What is it?", "answer": "It is 8.1", "gpt_filter": "7.9"}]}
"#;

fn convention() -> &'static Convention {
    Convention::by_name("idea-finai-chartbench").unwrap()
}

fn read(text: &str) -> ImportResult {
    parse(
        text.as_bytes(),
        FileFormat::Jsonl,
        &ImportOptions::default(),
    )
    .unwrap()
}

/// The means, and the sums of each chart.
fn scored(imported: &ImportResult) -> (Summary, ChartSums) {
    let answers = &imported.answers;
    let counterparts = Counterparts::new(
        answers
            .iter()
            .map(|answer| (answer.id.as_str(), &answer.gold, answer.prediction.as_ref())),
    );
    let mut summary = Summary::new(convention().metrics);
    let mut charts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut sums = ChartSums::new(0, convention().metrics.len());
    for answer in answers {
        let empty = chartbench_core::question::Prediction::default();
        let scores = convention().score(&Pair {
            prediction: answer.prediction.as_ref(),
            kind: answer.kind(),
            counterpart: counterparts.get(&answer.id),
            ..Pair::new(&answer.gold, &empty)
        });
        summary.add(&scores);
        let chart = *charts
            .entry(answer.chart.as_deref().unwrap())
            .or_insert_with(|| sums.push());
        for (statistic, (_, score)) in scores.iter().enumerate() {
            if let Some(value) = score.counted() {
                sums.add(chart, statistic, value);
            }
        }
    }
    (summary, sums)
}

fn means(summary: &Summary) -> Vec<Option<f64>> {
    summary.means().map(|(_, mean)| mean).collect()
}

#[test]
fn pairs_count_once_and_number_questions_beside_them() {
    let imported = read(RESULTS);
    assert!(imported.problems.is_empty());
    let ids: Vec<&str> = imported.answers.iter().map(|a| a.id.as_str()).collect();
    assert_eq!(
        ids,
        ["0/0", "0/1", "1/0", "1/1", "2/0", "9/0", "9/1", "10/0"]
    );
    assert_eq!(
        imported.answers[0].question.as_deref(),
        Some("It is a bar chart.")
    );
    assert_eq!(
        imported.answers[7].gold,
        Gold::List(vec!["8.2%".into(), "8".into()])
    );
    assert_eq!(
        imported.answers[7].prediction.as_ref().unwrap().0,
        "7.9",
        "what a model extracted"
    );

    let (summary, sums) = scored(&imported);
    let third = 100.0 / 3.0;
    // Overall, Acc+, accuracy, CoR, relaxed accuracy: of three pairs one is right and one confused;
    // the number is right, and `yes` loses the letters of a token.
    let expected = [40.0, third, 50.0, third, 50.0];
    for (mean, expected) in means(&summary).into_iter().zip(expected) {
        assert!(
            (mean.unwrap() - expected).abs() < 1e-9,
            "{mean:?}, not {expected}"
        );
    }
    let counts: Vec<(usize, usize)> = (0..5).map(|statistic| sums.counts(statistic)).collect();
    assert_eq!(
        counts,
        [(2, 5), (2, 3), (2, 6), (2, 3), (2, 2)],
        "charts and values"
    );
}

#[test]
fn halves_of_pairs_have_an_accuracy_alone() {
    let lines: Vec<&str> = RESULTS.lines().collect();
    let one = lines[0].replace(
        r#", {"label": "No", "query": "It is a pie.", "answer": "no"}"#,
        "",
    );
    let (summary, _) = scored(&read(&one));
    assert_eq!(means(&summary), [None, None, Some(100.0), None, None]);
    // A failed reply is wrong, and no confusion.
    let failed = lines[1].replace(r#""YES""#, "null");
    let imported = read(&failed);
    assert_eq!(imported.problems.len(), 1);
    let (summary, _) = scored(&imported);
    assert_eq!(
        means(&summary),
        [Some(0.0), Some(0.0), Some(50.0), Some(0.0), None]
    );
    // Without a type, the ids and the golds tell: a yes-or-no question alone is no assertion.
    let untyped = |line: &str| {
        line.replace(r#", "QA": "Acc+""#, "")
            .replace(r#", "QA": "GPT-acc""#, "")
    };
    let (summary, _) = scored(&read(&untyped(RESULTS)));
    assert_eq!(summary.mean(Metric::Overall), Some(40.0));
    let (summary, _) = scored(&read(&untyped(lines[2])));
    assert_eq!(means(&summary), [Some(0.0), None, None, None, Some(0.0)]);
}

#[test]
fn records_are_golds_too_and_faults_are_told() {
    let golds = Golds::parse(
        RESULTS.as_bytes(),
        &ColumnNames::default(),
        FileFormat::Jsonl,
    )
    .unwrap();
    let options = ImportOptions {
        golds: Some(golds),
        ..ImportOptions::default()
    };
    let predictions = b"id,prediction\n9/0,yes\n9/1,no\n";
    let imported = parse(predictions, FileFormat::Csv, &options).unwrap();
    assert_eq!((imported.answers.len(), imported.problems.len()), (8, 6));
    let (summary, _) = scored(&imported);
    assert_eq!(
        summary.mean(Metric::Overall),
        Some(20.0),
        "a pair of three, no number"
    );

    let fault = |text: &str| {
        let options = ImportOptions::default();
        format!(
            "{:#}",
            parse(text.as_bytes(), FileFormat::Jsonl, &options).unwrap_err()
        )
    };
    let questions = RESULTS.replace(r#", "answer": "no""#, "");
    assert_eq!(
        fault(&questions),
        "line 1: conversation: turn 2: no key `answer`: this is no file of results"
    );
    let unnamed = RESULTS.replace(r#""id": 1,"#, "");
    assert_eq!(fault(&unnamed), "line 2: no key `id`");
}

/// Two models' results as the repository's tables have them (`Result/Paper_Table/*.xlsx`).
#[test]
#[ignore = "needs a clone of IDEA-FinAI/ChartBench: CHARTBENCH_TEST_DATA/ChartBench"]
fn outside_data_chartbenchs_results_score_as_published() {
    let published = [
        ("Gemini2-Flash", 1890, [57.71, 60.83, 77.68, 33.69, 45.24]),
        (
            "InternLM-XComposer-v2",
            18900,
            [46.93, 49.82, 71.52, 43.40, 35.38],
        ),
        ("InternVL2.5", 1890, [48.76, 51.31, 72.92, 43.21, 38.57]),
        ("Qwen2-VL", 2002, [58.90, 61.69, 76.85, 30.34, 47.75]),
    ];
    for (model, questions, values) in published {
        let path = Path::new("ChartBench/Result/raw").join(format!("{model}.jsonl"));
        let path = crate::outside_data::path(path.to_str().unwrap());
        let imported = read(&std::fs::read_to_string(path).unwrap());
        assert!(imported.problems.is_empty(), "{model}");
        let (summary, _) = scored(&imported);
        assert_eq!(summary.count, questions, "{model}");
        for (mean, published) in means(&summary).into_iter().zip(values) {
            assert!(
                (mean.unwrap() - published).abs() <= 0.005 + 1e-9,
                "{model}: {mean:?}, not {published}"
            );
        }
    }
}
