//! The metric conventions against Python: the goldens of fixtures/metrics/, and what each
//! convention makes of them.

use std::path::{Path, PathBuf};

use chartbench_core::question::{AnswerType, Gold, Prediction, QuestionKind, YearFlags};
use chartbench_score::metric::{
    CONVENTIONS, Convention, Counterpart, Metric, Pair, Score, StepTrace, Summary,
};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

fn root(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

#[derive(Deserialize)]
struct Golden {
    gold: Gold,
    /// `None` where the question failed.
    prediction: Option<Prediction>,
    answer_type: Option<AnswerType>,
    year: Option<String>,
    question_type: Option<String>,
    is_clear: Option<bool>,
    /// Absent where the question is no assertion, `null` where the other one failed.
    #[serde(default, deserialize_with = "present")]
    counterpart: Option<Option<Prediction>>,
    #[serde(flatten)]
    scores: serde_json::Map<String, Value>,
}

fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<Prediction>>, D::Error> {
    Deserialize::deserialize(value).map(Some)
}

impl Golden {
    fn pair(&self) -> Pair<'_> {
        let year_flags = self
            .year
            .as_deref()
            .map(|flags| YearFlags::new(flags, None))
            .unwrap_or_default();
        let counterpart = self.counterpart.as_ref();
        Pair {
            gold: &self.gold,
            prediction: self.prediction.as_ref(),
            question: None,
            answer_type: self.answer_type,
            year_flags,
            kind: QuestionKind {
                question_type: self.question_type.as_deref(),
                is_clear: self.is_clear,
            },
            counterpart: counterpart.map(|reply| Counterpart {
                prediction: reply.as_ref(),
            }),
            judgements: &[],
        }
    }
}

fn goldens() -> Vec<Golden> {
    let text = std::fs::read_to_string(root("fixtures/metrics/goldens.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A score as the goldens have it.
fn golden(text: &Value) -> Score {
    match text {
        Value::Null => Score::Inapplicable,
        Value::String(text) => text.parse().map_or_else(
            |_| {
                let exceptions = [
                    "ZeroDivisionError",
                    "AttributeError",
                    "ValueError",
                    "OverflowError",
                ];
                Score::Raises(
                    exceptions
                        .into_iter()
                        .find(|exception| text.ends_with(exception))
                        .unwrap(),
                )
            },
            Score::Value,
        ),
        other => panic!("{other}"),
    }
}

#[test]
fn scores_are_those_of_python_to_the_last_bit() {
    let goldens = goldens();
    assert!(goldens.len() > 2200);
    for line in &goldens {
        for convention in CONVENTIONS
            .iter()
            .filter(|convention| line.scores.contains_key(convention.name))
        {
            let scores = convention.score(&line.pair());
            let expected = line.scores[convention.name].as_object().unwrap();
            assert_eq!(expected.len(), convention.metrics.len());
            for (metric, score) in scores.iter() {
                let (golden, place) = (
                    golden(&expected[metric.key()]),
                    (convention.name, &line.gold, &line.prediction),
                );
                // The sums of nDCG are added in another order by some Python versions.
                let same = match (score, golden) {
                    (Score::Value(a), Score::Value(b)) if convention.name == "realcqa" => {
                        (a - b).abs() < 1e-12
                    }
                    (a, b) => a == b,
                };
                assert!(
                    same,
                    "{metric:?} of {place:?} {:?}: {score:?}, not {golden:?}",
                    line.answer_type
                );
            }
        }
    }
    let with_original = |name: &str| goldens.iter().any(|line| line.scores.contains_key(name));
    let texts = CONVENTIONS
        .iter()
        .filter(|convention| !convention.tables_only);
    let without: Vec<&str> = texts
        .map(|convention| convention.name)
        .filter(|name| !with_original(name))
        .collect();
    assert_eq!(
        without,
        ["chartbench", "realcqa-corrected"],
        "our own have no original"
    );
}

/// The default's own rules, each with what would break it: question, answer type, gold, prediction,
/// strict, lenient.
#[test]
fn the_default_is_right_where_the_others_err() {
    let year = Some("In which year was it highest?");
    let (label, yes_no) = (Some(AnswerType::String), Some(AnswerType::Binary));
    let cases = [
        (year, None, "2010", "2008", false, false),
        (year, None, "2010", "2010.0", true, true),
        (year, None, "2010", "in 2010", false, false),
        (year, None, "2010%", "2008%", true, true),
        (year, None, "2010 kg", "2008 kg", false, true),
        (year, None, "2010", "2008 kg", false, true),
        (year, None, "2010 kg", "2008", false, true),
        (year, None, "$2010", "$2008", false, true),
        (year, None, "2010 %", "2008 percent", false, true),
        (year, None, "2010.5", "2008.5", true, true),
        (year, None, "500", "510", true, true),
        (year, None, "3000", "3010", true, true),
        (year, None, "[2010, 2012]", "[2012, 2010]", true, true),
        (year, None, "[2010, 2012]", "[2012, 2011]", false, false),
        (Some("How many years?"), None, "2010", "2008", true, true),
        (None, None, "2010", "2008", true, true),
        (year, None, "2010", "1500", false, false),
        (None, label, "20", "21", false, false),
        (None, label, "20", "20.0", true, true),
        (None, label, "20", "20 %", false, true),
        (None, yes_no, "20", "21", false, false),
        (None, Some(AnswerType::Numerical), "20", "21", true, true),
        (None, yes_no, "Yes", "true", false, true),
        (None, yes_no, "No", "false", false, true),
        (None, yes_no, "No", "true", false, false),
        (None, yes_no, "Yes", "no", false, false),
        (None, yes_no, "Yes", "maybe", false, false),
        (None, None, "0", "0.0", true, true),
        (None, None, "0", "0.0001", false, false),
        (None, None, "0%", "0", false, true),
        (None, None, "-40", "-41", true, true),
        (None, None, "-40", "-43", false, false),
        (None, None, "-40", "40", false, false),
        (None, None, "50%", "50", false, true),
        (None, None, "50", "50%", false, true),
        (None, None, "0.5", "50%", false, true),
        (None, None, "50%", "0.5", false, true),
        (None, None, "50%", "0.5%", false, false),
        (None, None, "50%", "5000", false, false),
        (None, None, "50", "5000%", false, true),
        (None, None, "50 kg", "50%", false, false),
        (None, None, "5 kg", "5", false, true),
        (None, None, "5 kg", "5 m", false, false),
        (None, None, "$5", "5 euros", false, false),
        (None, None, "$5 million", "5,000,000", false, true),
        (None, None, "inf", "inf", true, true),
        (None, None, "inf", "1e999", false, false),
        (None, None, "1e999", "1e998", false, false),
        (None, None, "a, b", "b, a", false, false),
        (None, None, "['a', 'b']", "b, a", true, true),
        (None, None, "['a', 'b']", "B; A.", false, true),
        (None, None, "['a', 'b']", "a", false, false),
        (None, None, "['a', 'b']", "a, b, b", false, false),
        (
            None,
            Some(AnswerType::RankedList),
            "['a', 'b']",
            "b, a",
            false,
            false,
        ),
        (
            None,
            Some(AnswerType::RankedList),
            "['a', 'b']",
            "a, b",
            true,
            true,
        ),
    ];
    for (question, answer_type, gold, prediction, strict, lenient) in cases {
        let (gold, prediction) = (Gold::from(gold), Prediction(prediction.to_owned()));
        let pair = Pair {
            question,
            answer_type,
            ..Pair::new(&gold, &prediction)
        };
        let scores = CONVENTIONS[0].score(&pair);
        let right =
            [Metric::Strict, Metric::Lenient].map(|metric| scores.get(metric) == Score::Value(1.0));
        assert_eq!(
            right,
            [strict, lenient],
            "{gold:?} {prediction:?} {question:?} {answer_type:?}"
        );
    }
}

/// The rule that decided a score is reported beside it.
#[test]
fn every_score_has_a_deciding_rule() {
    let answered = |line: &Golden| line.prediction.is_some();
    for line in goldens().into_iter().filter(answered) {
        for convention in CONVENTIONS {
            let (mut steps, mut rules) = (StepTrace::default(), StepTrace::rules_only());
            let scores = convention.explain(&line.pair(), &mut steps);
            assert_eq!(scores, convention.score(&line.pair()));
            convention.explain(&line.pair(), &mut rules);
            for metric in convention.metrics {
                let (full, rule) = (steps.deciding(*metric), rules.deciding(*metric));
                assert!(
                    full.is_some(),
                    "{} {:?} {:?}",
                    convention.name,
                    line.gold,
                    line.prediction
                );
                assert_eq!(full.map(|step| step.rule), rule.map(|step| step.rule));
                assert!(rule.is_none_or(|step| step.detail.is_empty()));
                assert_eq!(full, steps.for_metric(*metric).last());
                let detail = &full.unwrap().detail;
                let place = (
                    convention.name,
                    metric,
                    &line.gold,
                    &line.prediction,
                    detail,
                );
                assert!(
                    steps
                        .for_metric(*metric)
                        .all(|step| !step.detail.contains("Some(")),
                    "{place:?}"
                );
                // A verdict that is told is the one that counts.
                let verdict = [(": true", 1.0), (": false", 0.0)]
                    .into_iter()
                    .find(|(end, _)| detail.ends_with(end));
                if let (Some((_, verdict)), Score::Value(value @ (0.0 | 1.0))) =
                    (verdict, scores.get(*metric))
                {
                    assert!(verdict == value, "{value}: {place:?}");
                }
            }
        }
    }
    let mut steps = StepTrace::default();
    let gold = Gold::from("100");
    let nothing = Prediction::default();
    let failed = Pair {
        prediction: None,
        ..Pair::new(&gold, &nothing)
    };
    for convention in CONVENTIONS {
        let scores = convention.score(&failed);
        let values = || scores.iter().map(|(_, score)| score);
        let known = [Score::Value(0.0), Score::Inapplicable];
        assert!(values().all(|score| known.contains(&score)));
        // Data sets of which this is no question have no score for it.
        if convention.is_for(&failed) {
            assert_eq!(scores.get(convention.metrics[0]), Score::Value(0.0));
        }
        assert_eq!(
            convention.explain(&failed, &mut steps),
            convention.score(&failed)
        );
    }
}

#[test]
fn summaries_count_errors_and_know_their_metrics() {
    let empty = Gold::from("");
    let (right, wrong) = (Prediction(String::new()), Prediction("a".to_owned()));
    let score =
        |convention: &Convention, prediction| convention.score(&Pair::new(&empty, prediction));
    let pix2struct = Convention::by_name("pix2struct").unwrap();
    let summary = Summary::from_scores(
        [&right, &wrong, &right].map(|prediction| score(pix2struct, prediction)),
    )
    .unwrap();
    assert_eq!(
        (summary.count, summary.errors),
        (3, 2),
        "ANLS of two empty texts"
    );
    assert_eq!(summary.mean(Metric::Strict), None, "not one of its metrics");
    let means: Vec<(Metric, Option<f64>)> = summary.means().collect();
    assert_eq!(
        means,
        pix2struct
            .metrics
            .iter()
            .map(|metric| (*metric, summary.mean(*metric)))
            .collect::<Vec<_>>()
    );
    let untyped =
        Summary::from_scores([score(Convention::by_name("realcqa").unwrap(), &right)]).unwrap();
    assert_eq!(
        (untyped.count, untyped.mean(Metric::Accuracy)),
        (1, None),
        "no rule without an answer type"
    );
    for convention in CONVENTIONS {
        assert_eq!(Convention::by_name(convention.name).unwrap(), convention);
        assert!(format!("{convention:?}").contains(convention.name));
        for metric in convention.metrics {
            assert_eq!(Metric::by_name(metric.key()).unwrap(), *metric);
            assert!(metric.name().len() >= 3);
        }
    }
    assert_ne!(CONVENTIONS[0], CONVENTIONS[1]);
    assert!(Metric::by_name("f1").is_err());
}

/// One table a convention: pairs that tell it from the others.
#[test]
fn tables_of_pairs_read_as_expected() {
    let goldens = goldens();
    let mut pairs: Vec<(&Gold, &Prediction)> = Vec::new();
    for line in goldens
        .iter()
        .filter(|line| line.answer_type.is_none())
        .take(192)
    {
        pairs.push((&line.gold, line.prediction.as_ref().unwrap()));
    }
    // Those for tables: tests/table_metrics.rs.
    for convention in CONVENTIONS
        .iter()
        .filter(|convention| !convention.tables_only)
    {
        snapshot(
            convention.name,
            &table_of_pairs(convention, YearFlags::default(), &pairs),
        );
    }
    let chartqapro = Convention::by_name("chartqapro").unwrap();
    snapshot(
        "chartqapro_years",
        &table_of_pairs(chartqapro, YearFlags::new("YES", None), &pairs),
    );
}

fn snapshot(name: &str, table: &str) {
    insta::with_settings!({snapshot_path => root("snapshots"), prepend_module_to_snapshot => true}, {
        insta::assert_snapshot!(format!("pairs_{name}"), table);
    });
}

fn table_of_pairs(
    convention: &Convention,
    year_flags: YearFlags<'_>,
    pairs: &[(&Gold, &Prediction)],
) -> String {
    let by_type = convention.name.starts_with("realcqa");
    let mut table = format!("{}\n{:<34} {:<34}", convention.about, "gold", "prediction");
    let heads = |gold: &Gold| match (by_type, gold) {
        (false, _) => vec![None],
        (true, Gold::Text(_)) => {
            vec![
                Some(AnswerType::String),
                Some(AnswerType::Numerical),
                Some(AnswerType::Binary),
            ]
        }
        (true, Gold::List(_)) => vec![Some(AnswerType::UnrankedList), Some(AnswerType::RankedList)],
    };
    let metrics = convention
        .metrics
        .iter()
        .map(|metric| format!(" {:>10}", metric.key()));
    table += &if by_type {
        " string numerical binary / unranked ranked".to_owned()
    } else {
        metrics.collect()
    };
    for (gold, prediction) in pairs {
        table += &format!(
            "\n{:<34} {:<34}",
            format!("{:?}", gold.text()),
            format!("{:?}", prediction.0)
        );
        for answer_type in heads(gold) {
            let scores = convention.score(&Pair {
                answer_type,
                year_flags,
                ..Pair::new(gold, prediction)
            });
            for (_, score) in scores.iter() {
                table += &match score {
                    Score::Value(value) => format!(" {:>10}", (value * 1e4).round() / 1e4),
                    Score::Raises(_) => format!(" {:>10}", "raises"),
                    Score::Inapplicable => format!(" {:>10}", "-"),
                };
            }
        }
    }
    table
}
