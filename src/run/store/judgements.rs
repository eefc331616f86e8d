//! `judgements.jsonl`: one line a request to a judge, appended as its verdicts are known.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::PredictionRecord;
use super::prediction_log::InUse;
use chartbench_core::answer::{Usage, sha256};
use chartbench_core::files::{FileLock, JsonLines};
use chartbench_core::input;
use chartbench_core::judgement::{Judgement, Verdict};
use chartbench_core::terminal::shorten;

/// The log of an adapter's judgements, in its folder.
pub const JUDGEMENTS: &str = "judgements.jsonl";

/// One line: a request to a judge, with its verdict on each answer in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgementRecord {
    /// The convention that decides what the judge is asked, and reads the verdicts.
    pub convention: String,
    /// The judge.
    pub judge: JudgeIdentity,
    /// SHA-256 of the message that was sent.
    pub request_sha256: String,
    /// The answers that were judged together, in the order of the message.
    pub answers: Vec<JudgedAnswer>,
    /// The judge's last reply, whole; `null` where none came.
    pub reply: Option<String>,
    /// Why there is no valid verdict; `null` where there is one.
    pub error: Option<String>,
    /// How often the judge was asked.
    pub tries: usize,
    /// Longest reply in tokens that the last try allowed.
    pub max_tokens: usize,
    /// The usage of all tries; absent where the endpoint does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// The judge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgeIdentity {
    /// The adapter's name.
    pub name: String,
    /// The model, as requests name it.
    pub model: String,
    /// SHA-256 over everything that can change a verdict besides the message.
    pub settings_sha256: String,
}

/// The verdict on an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgedAnswer {
    /// The question's id.
    pub id: String,
    /// [`answer_sha256`] of the answer.
    pub answer_sha256: String,
    /// The answer that the judge took out of the response; absent where it took out none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extracted: Option<Value>,
    /// 1, 0, or -1 of an invalid verdict.
    pub score: Verdict,
}

/// SHA-256 over the JSON array of an answer's texts: the prediction, and the whole completions that
/// it is a part of. A verdict is about this answer alone; `None` of a failed question.
pub fn answer_sha256(record: &PredictionRecord) -> Option<String> {
    let prediction = &record.prediction.as_ref()?.0;
    let texts: Vec<&String> = [prediction]
        .into_iter()
        .chain(&record.completions)
        .collect();
    Some(sha256(&serde_json::to_vec(&texts).ok()?))
}

/// An open log. It holds a lock, so that two processes cannot judge the same answers.
pub struct JudgementLog {
    path: PathBuf,
    lines: JsonLines,
}

impl JudgementLog {
    /// Opens or creates the log in an adapter's folder, and reads it. A torn last line, left by a
    /// killed process, is cut off.
    ///
    /// # Errors
    /// Returns an error if another process has the log open, a line is broken, or the file cannot be
    /// read or written.
    pub fn open(adapter_dir: &Path) -> Result<(Self, Vec<JudgementRecord>)> {
        let path = adapter_dir.join(JUDGEMENTS);
        let in_use = || {
            InUse(format!(
                "{} is in use by another chartbench process: start this one again when that has ended",
                path.display()
            ))
        };
        let lock = FileLock::try_acquire(&path)?.ok_or_else(in_use)?;
        let lines = JsonLines::open(&path, lock)?;
        let stored = read(&path)?;
        Ok((Self { path, lines }, stored))
    }

    /// The log's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one line in one write, so that it survives a kill right after.
    ///
    /// # Errors
    /// Returns an error if a write fails (a full disk), after the log is cut back to its last whole
    /// line.
    pub fn append(&mut self, record: &JudgementRecord) -> Result<()> {
        self.lines
            .append(std::slice::from_ref(record))
            .map_err(|error| anyhow!("{error:#}; start the same command again to go on"))
    }

    /// Leaves only the records for which `keep` is true: after a kill the log has either all of
    /// them or the kept ones.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or written.
    pub fn retain(&mut self, keep: impl Fn(&JudgementRecord) -> bool) -> Result<()> {
        self.lines
            .retain(|line| Ok(keep(&serde_json::from_slice(line)?)))
            .with_context(|| format!("cannot change {}", self.path.display()))
    }
}

/// Reads the whole lines of a log; a missing one has none.
fn read(path: &Path) -> Result<Vec<JudgementRecord>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let bytes =
        input::read(path, u64::MAX).with_context(|| format!("cannot read {}", path.display()))?;
    let mut records: Vec<JudgementRecord> = Vec::new();
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        // Only a newline at the end proves that a line was written whole.
        if line.last() != Some(&b'\n') {
            break;
        }
        let record = serde_json::from_slice(line).with_context(|| {
            format!(
                "{}, line {} is not a judgement: remove this line alone, and its answers are judged again",
                path.display(),
                records.len() + 1
            )
        })?;
        records.push(record);
    }
    Ok(records)
}

/// The verdicts on an adapter's answers.
#[derive(Debug, Default)]
pub(super) struct Judgements {
    by_id: HashMap<String, Vec<StoredVerdict>>,
}

#[derive(Debug)]
struct StoredVerdict {
    convention: String,
    answer_sha256: String,
    verdict: Verdict,
}

impl Judgements {
    /// Reads the log in an adapter's folder.
    ///
    /// # Errors
    /// Returns an error that names the line if one is broken, or judges an answer for the second
    /// time under a convention.
    pub(super) fn read(adapter_dir: &Path) -> Result<Self> {
        let path = adapter_dir.join(JUDGEMENTS);
        let mut judgements = Self::default();
        for (index, record) in read(&path)?.into_iter().enumerate() {
            for JudgedAnswer {
                id,
                answer_sha256,
                score,
                ..
            } in record.answers
            {
                let stored = judgements.by_id.entry(id.clone()).or_default();
                ensure!(
                    stored
                        .iter()
                        .all(|other| other.convention != record.convention),
                    "{}, line {}: question `{}` is judged twice under {}: remove one of the two lines",
                    path.display(),
                    index + 1,
                    shorten(&id),
                    shorten(&record.convention)
                );
                stored.push(StoredVerdict {
                    convention: record.convention.clone(),
                    answer_sha256,
                    verdict: score,
                });
            }
        }
        Ok(judgements)
    }

    /// Gives each record the verdicts on its answer; those on another answer to the question are
    /// none on this one.
    pub(super) fn attach(&self, records: &mut [PredictionRecord]) {
        if self.by_id.is_empty() {
            return;
        }
        for record in records {
            let Some(stored) = self.by_id.get(&record.id) else {
                continue;
            };
            let answer = answer_sha256(record);
            record.judgements = stored
                .iter()
                .filter(|stored| Some(&stored.answer_sha256) == answer.as_ref())
                .map(|stored| Judgement {
                    convention: stored.convention.clone(),
                    verdict: stored.verdict,
                })
                .collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(id: &str, text: &str) -> PredictionRecord {
        serde_json::from_value(serde_json::json!({
            "id": id, "chart": "c", "question": "?", "gold": "5", "prediction": text, "error": null, "latency_ms": 1.0,
        }))
        .unwrap()
    }

    fn judgement(convention: &str, records: &[&PredictionRecord]) -> JudgementRecord {
        JudgementRecord {
            convention: convention.to_owned(),
            judge: JudgeIdentity {
                name: "judge".to_owned(),
                model: "m-1".to_owned(),
                settings_sha256: "5e77".to_owned(),
            },
            request_sha256: "4e9".to_owned(),
            answers: records
                .iter()
                .map(|record| JudgedAnswer {
                    id: record.id.clone(),
                    answer_sha256: answer_sha256(record).unwrap(),
                    extracted: None,
                    score: Verdict::Correct,
                })
                .collect(),
            reply: Some("{}".to_owned()),
            error: None,
            tries: 1,
            max_tokens: 256,
            usage: None,
        }
    }

    #[test]
    fn a_verdict_is_about_one_answer_under_one_convention() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b] = [prediction("a", "5"), prediction("b", "6")];
        let (mut log, stored) = JudgementLog::open(dir.path()).unwrap();
        assert_eq!(stored, []);
        let both = judgement("charxiv", &[&a, &b]);
        log.append(&both).unwrap();
        log.append(&judgement("charxiv-single", &[&a])).unwrap();
        drop(log);
        let path = dir.path().join(JUDGEMENTS);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}{{\"torn")).unwrap();
        let again = prediction("b", "7");
        let mut records = [a.clone(), again, prediction("c", "5")];
        Judgements::read(dir.path()).unwrap().attach(&mut records);
        let conventions = records.map(|record| {
            let judgements = record.judgements.into_iter();
            judgements
                .map(|judgement| judgement.convention)
                .collect::<Vec<_>>()
                .join(" ")
        });
        assert_eq!(conventions, ["charxiv charxiv-single", "", ""]);
        let (mut log, stored) = JudgementLog::open(dir.path()).unwrap();
        assert_eq!(stored.len(), 2);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        log.retain(|record| record.convention == "charxiv").unwrap();
        drop(log);
        assert_eq!(JudgementLog::open(dir.path()).unwrap().1, [both]);
    }

    #[test]
    fn faults_name_their_line() {
        let dir = tempfile::tempdir().unwrap();
        let record =
            serde_json::to_string(&judgement("charxiv", &[&prediction("a", "5")])).unwrap();
        let path = dir.path().join(JUDGEMENTS);
        let error = |text: String| {
            std::fs::write(&path, text).unwrap();
            Judgements::read(dir.path()).unwrap_err().to_string()
        };
        assert!(error(format!("{record}\n{record}\n")).ends_with(
            "line 2: question `a` is judged twice under charxiv: remove one of the two lines"
        ));
        let odd = record.replace("\"score\":1", "\"score\":2");
        assert_ne!(odd, record);
        assert!(error(format!("{record}\n{odd}\n")).contains("line 2 is not a judgement"));
    }

    #[test]
    fn one_process_judges_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let _open = JudgementLog::open(dir.path()).unwrap();
        let error = JudgementLog::open(dir.path()).err().unwrap();
        assert!(error.is::<InUse>(), "{error:#}");
    }
}
