//! Which requests are left: stored verdicts stand where the same judge was asked the same.

use std::collections::HashSet;

use anyhow::{Result, ensure};

use super::protocol::JudgeCall;
use crate::run::store::{JudgeIdentity, JudgementRecord};
use chartbench_core::answer::sha256;
use chartbench_core::terminal::shorten;

/// The requests of a row beside the stored ones.
#[derive(Debug)]
pub(super) struct JudgePlan {
    /// Requests without stored verdicts.
    pub(super) pending: Vec<JudgeCall>,
    /// Stored judgements of other answers, or of other batches than are asked now: the answers of a
    /// run changed after it was judged.
    pub(super) superseded: Vec<JudgementRecord>,
}

impl JudgePlan {
    /// Compares all requests of a row with the judgements that are `stored` under the convention.
    ///
    /// # Errors
    /// Returns an error if these are of another judge, or were asked for in other words.
    pub(super) fn new(
        requests: Vec<JudgeCall>,
        stored: &[JudgementRecord],
        judge: &JudgeIdentity,
    ) -> Result<Self> {
        if let Some(other) = stored.iter().find(|record| record.judge != *judge) {
            ensure!(
                (&other.judge.name, &other.judge.model) == (&judge.name, &judge.model),
                "it holds verdicts of {} ({}), and {} ({}) is another judge: name that one by --with, or move the file away",
                shorten(&other.judge.name),
                shorten(&other.judge.model),
                judge.name,
                shorten(&judge.model)
            );
            anyhow::bail!(
                "it holds verdicts of {} with other settings than it has now (address, request keys): restore them, or move \
                 the file away",
                judge.name
            );
        }
        let answers_of = |record: &JudgementRecord| -> Vec<(String, String)> {
            let answers = record.answers.iter();
            answers
                .map(|answer| (answer.id.clone(), answer.answer_sha256.clone()))
                .collect()
        };
        let hashed: Vec<String> = requests
            .iter()
            .map(|request| sha256(request.message.as_bytes()))
            .collect();
        let planned: HashSet<(&str, &[(String, String)])> = hashed
            .iter()
            .zip(&requests)
            .map(|(hash, request)| (hash.as_str(), request.answers.as_slice()))
            .collect();
        let planned_answers: HashSet<&[(String, String)]> =
            planned.iter().map(|(_, answers)| *answers).collect();
        let (mut done, mut superseded) = (HashSet::new(), Vec::new());
        for record in stored {
            let answers = answers_of(record);
            if planned.contains(&(record.request_sha256.as_str(), answers.as_slice())) {
                done.insert(answers);
                continue;
            }
            ensure!(
                !planned_answers.contains(answers.as_slice()),
                "its verdicts were asked for in other words than the clone has: name the clone of that time by --clone, or \
                 move the file away"
            );
            superseded.push(record.clone());
        }
        drop((planned, planned_answers));
        let mut pending = requests;
        pending.retain(|request| !done.contains(&request.answers));
        Ok(Self {
            pending,
            superseded,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::store::JudgedAnswer;
    use chartbench_core::judgement::Verdict;

    fn judge(name: &str) -> JudgeIdentity {
        JudgeIdentity {
            name: name.to_owned(),
            model: "m-1".to_owned(),
            settings_sha256: "5e77".to_owned(),
        }
    }

    fn call(message: &str, answers: &[(&str, &str)]) -> JudgeCall {
        let owned = |(id, hash): &(&str, &str)| ((*id).to_owned(), (*hash).to_owned());
        JudgeCall {
            message: message.to_owned(),
            answers: answers.iter().map(owned).collect(),
        }
    }

    fn stored(call: &JudgeCall) -> JudgementRecord {
        JudgementRecord {
            convention: "charxiv".to_owned(),
            judge: judge("judge"),
            request_sha256: sha256(call.message.as_bytes()),
            answers: call
                .answers
                .iter()
                .map(|(id, answer_sha256)| JudgedAnswer {
                    id: id.clone(),
                    answer_sha256: answer_sha256.clone(),
                    extracted: None,
                    score: Verdict::Correct,
                })
                .collect(),
            reply: None,
            error: None,
            tries: 1,
            max_tokens: 256,
            usage: None,
        }
    }

    #[test]
    fn what_was_asked_is_not_asked_again() {
        // Two answers may be judged by the same message.
        let calls = [call("m", &[("a", "1")]), call("m", &[("b", "1")])];
        let plan = JudgePlan::new(calls.to_vec(), &[stored(&calls[0])], &judge("judge")).unwrap();
        assert_eq!(plan.pending, calls[1..]);
        assert_eq!(plan.superseded, []);
    }

    #[test]
    fn verdicts_on_other_answers_or_batches_are_superseded() {
        let old = [
            call("m", &[("a", "1"), ("b", "1")]),
            call("n", &[("c", "1")]),
            call("o", &[("d", "1")]),
        ];
        let now = [
            call("m2", &[("a", "1"), ("b", "2")]),
            call("n", &[("c", "1")]),
            call("o2", &[("d", "1"), ("e", "1")]),
        ];
        let stored: Vec<JudgementRecord> = old.iter().map(stored).collect();
        let plan = JudgePlan::new(now.to_vec(), &stored, &judge("judge")).unwrap();
        assert_eq!(plan.pending, [now[0].clone(), now[2].clone()]);
        assert_eq!(plan.superseded, [stored[0].clone(), stored[2].clone()]);
    }

    #[test]
    fn another_judge_or_wording_is_refused() {
        let calls = [call("m", &[("a", "1")])];
        let stored = [stored(&calls[0])];
        let error = |calls: &[JudgeCall], judge: &JudgeIdentity| {
            JudgePlan::new(calls.to_vec(), &stored, judge)
                .unwrap_err()
                .to_string()
        };
        assert!(
            error(&calls, &judge("other")).contains("verdicts of judge (m-1), and other (m-1)")
        );
        let settings = JudgeIdentity {
            settings_sha256: "0".to_owned(),
            ..judge("judge")
        };
        assert!(error(&calls, &settings).contains("with other settings"));
        let reworded = [call("M", &[("a", "1")])];
        assert!(error(&reworded, &judge("judge")).contains("in other words than the clone has"));
    }
}
