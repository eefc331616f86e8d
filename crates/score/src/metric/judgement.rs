//! Scores by the stored verdicts of a judge.

use super::{Metric, Pair, Score, Scores, Trace, closed_form};
use chartbench_core::judgement::{Judgement, Verdict};

/// The metrics of judged conventions.
pub(super) const METRICS: &[Metric] = &[Metric::JudgedAccuracy, Metric::RuleAgreement];

/// The exception that stands for an invalid verdict, which the originals count and score 0.
const INVALID: &str = "InvalidVerdict";

/// Scores an answer by its verdict under `convention`, beside the rule about closed forms. The rule
/// reads `response`, the part of the answer that the judge saw.
pub(super) fn score(
    convention: &str,
    pair: &Pair<'_>,
    response: &str,
    trace: &mut impl Trace,
) -> Scores {
    let judgement = pair
        .judgements
        .iter()
        .find(|judgement| judgement.convention == convention);
    let Some(Judgement { verdict, .. }) = judgement else {
        return Scores::new(METRICS, [Score::Inapplicable; 2]);
    };
    let judged = match verdict {
        Verdict::Correct => Score::Value(1.0),
        Verdict::Wrong => Score::Value(0.0),
        Verdict::Invalid => Score::Raises(INVALID),
    };
    trace.step(
        Metric::JudgedAccuracy,
        "the judge's verdict",
        || match verdict {
            Verdict::Correct => "right".to_owned(),
            Verdict::Wrong => "wrong".to_owned(),
            Verdict::Invalid => "invalid: counted, and scored 0".to_owned(),
        },
    );
    let gold = pair.gold.text();
    let agrees = match (closed_form::is_right(&gold, response), verdict) {
        (None, _) | (_, Verdict::Invalid) => Score::Inapplicable,
        (Some(is_right), verdict) => {
            trace.step(Metric::RuleAgreement, "closed form: equal values", || {
                let found = if is_right { "right" } else { "wrong" };
                format!("{found} by the rule")
            });
            Score::from(is_right == (*verdict == Verdict::Correct))
        }
    };
    Scores::new(METRICS, [judged, agrees])
}

#[cfg(test)]
mod tests {
    use super::super::{Convention, Summary};
    use super::*;
    use chartbench_core::question::{Gold, Prediction};

    fn scores(
        convention: &str,
        gold: &str,
        response: &str,
        verdict: Option<Verdict>,
    ) -> [Score; 2] {
        let judgements: Vec<Judgement> = verdict
            .map(|verdict| Judgement {
                convention: "charxiv".to_owned(),
                verdict,
            })
            .into_iter()
            .collect();
        let (gold, prediction) = (Gold::from(gold), Prediction(response.to_owned()));
        let pair = Pair {
            judgements: &judgements,
            ..Pair::new(&gold, &prediction)
        };
        let convention = Convention::by_name(convention).unwrap();
        assert!(convention.judged);
        let scores = convention.score(&pair);
        [Metric::JudgedAccuracy, Metric::RuleAgreement].map(|metric| scores.get(metric))
    }

    #[test]
    fn a_convention_reads_its_own_verdicts_alone() {
        let [right, wrong, none] = [Score::Value(1.0), Score::Value(0.0), Score::Inapplicable];
        let correct = Some(Verdict::Correct);
        assert_eq!(scores("charxiv", "5", "It is 5.", correct), [right, right]);
        assert_eq!(scores("charxiv", "5", "It is 6.", correct), [right, wrong]);
        assert_eq!(
            scores("charxiv", "5", "It is 6.", Some(Verdict::Wrong)),
            [wrong, right]
        );
        assert_eq!(scores("charxiv", "a title", "?", correct), [right, none]);
        for other in ["charxiv-single", "chartmuseum"] {
            assert_eq!(scores(other, "5", "5", correct), [none, none], "{other}");
        }
        assert_eq!(scores("charxiv", "5", "5", None), [none, none]);
    }

    #[test]
    fn invalid_verdicts_score_0_and_are_counted() {
        let invalid = scores("charxiv", "5", "5", Some(Verdict::Invalid));
        assert_eq!(invalid, [Score::Raises(INVALID), Score::Inapplicable]);
        let (gold, prediction) = (Gold::from("5"), Prediction("5".to_owned()));
        let convention = Convention::by_name("charxiv").unwrap();
        let judgements = [Judgement {
            convention: "charxiv".to_owned(),
            verdict: Verdict::Invalid,
        }];
        let judged = Pair {
            judgements: &judgements,
            ..Pair::new(&gold, &prediction)
        };
        let failed = Pair {
            prediction: None,
            ..judged
        };
        let summary = Summary::from_scores([&judged, &failed].map(|pair| convention.score(pair)));
        let summary = summary.unwrap();
        assert_eq!((summary.count, summary.errors), (2, 1));
        assert_eq!(summary.mean(Metric::JudgedAccuracy), Some(0.0));
        assert_eq!(summary.mean(Metric::RuleAgreement), None);
    }
}
