//! ChartMuseum's judge: `evaluate.py` of its repository, whose wording is read from a clone.

use anyhow::Result;

use super::protocol::{Finding, JudgeCall, Response};
use chartbench_core::judgement::Verdict;
use chartbench_data::ChartMuseumClone;
use chartbench_score::metric::chartmuseum::extracted;

/// The convention.
pub(super) const CONVENTION: &str = "chartmuseum";

/// The requests, one answer each, in the order of the answers.
pub(super) fn requests(
    clone: &ChartMuseumClone,
    responses: &[Response<'_>],
) -> Result<Vec<JudgeCall>> {
    let request = |response: &Response<'_>| {
        let question = clone.question(&response.record.question)?;
        let gold = response.record.gold.text();
        let message = clone.comparison(question, &gold, extracted(response.text))?;
        Ok(JudgeCall::new(message, &[response]))
    };
    responses.iter().map(request).collect()
}

/// Reads a reply, which is a yes wherever it says so.
pub(super) fn read(reply: &str) -> Vec<Finding> {
    let is_yes = reply.to_lowercase().contains("yes");
    vec![Finding {
        extracted: None,
        score: if is_yes {
            Verdict::Correct
        } else {
            Verdict::Wrong
        },
    }]
}
