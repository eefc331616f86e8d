//! Asks the judge, again where a reply cannot be read, as CharXiv's official code does: ten times in
//! all, with twice the tokens after a reply that was cut off.

use anyhow::{Context, Result, ensure};

use super::protocol::{Finding, JudgeCall, JudgeProtocol, MAX_TOKENS, ReplyFault, sampling};
use crate::adapter::Usage;
use crate::adapter::language_model::{Completion, LanguageModel};
use crate::run::Stop;
use crate::run::store::{JudgeIdentity, JudgedAnswer, JudgementRecord};
use chartbench_core::answer::sha256;
use chartbench_core::judgement::Verdict;

/// How often a request is sent before it has no valid verdict.
const MAX_TRIES: usize = 10;
/// Longest reply in tokens at last.
const MOST_TOKENS: usize = 1024;

/// Takes a finished request.
type StoreRecord<'a> = dyn FnMut(JudgementRecord) -> Result<()> + 'a;

/// The judge, and how it is asked.
pub(super) struct JudgeSession<'a> {
    pub(super) model: Box<dyn LanguageModel>,
    pub(super) judge: &'a JudgeIdentity,
    pub(super) protocol: &'a JudgeProtocol,
    pub(super) stop: &'a Stop,
}

/// A request without a verdict so far.
struct PendingCall {
    call: JudgeCall,
    tries: usize,
    max_tokens: usize,
    usage: Option<Usage>,
}

impl JudgeSession<'_> {
    /// Sends all requests, and stores each as soon as it has verdicts.
    ///
    /// # Errors
    /// Returns an error if the judge cannot go on, a request cannot be stored, or a stop is
    /// requested; the other requests have no verdict.
    pub(super) fn ask(&mut self, calls: Vec<JudgeCall>, store: &mut StoreRecord<'_>) -> Result<()> {
        let begin = |call| PendingCall {
            call,
            tries: 0,
            max_tokens: MAX_TOKENS,
            usage: None,
        };
        let mut pending: Vec<PendingCall> = calls.into_iter().map(begin).collect();
        while let Some(max_tokens) = pending.iter().map(|pending| pending.max_tokens).min() {
            let later = pending.extract_if(.., |pending| pending.max_tokens > max_tokens);
            let later: Vec<PendingCall> = later.collect();
            pending = self.ask_once(pending, max_tokens, store)?;
            pending.extend(later);
        }
        Ok(())
    }

    /// Sends each request once; returns those that are to be sent again.
    fn ask_once(
        &mut self,
        pending: Vec<PendingCall>,
        max_tokens: usize,
        store: &mut StoreRecord<'_>,
    ) -> Result<Vec<PendingCall>> {
        let messages: Vec<String> = pending
            .iter()
            .map(|pending| pending.call.message.clone())
            .collect();
        let mut slots: Vec<Option<PendingCall>> = pending.into_iter().map(Some).collect();
        let (mut again, mut stored) = (Vec::new(), Ok(()));
        let give_up = self.model.give_up();
        let calling = self.stop.calling(self.model.give_up())?;
        let (judge, protocol) = (self.judge, self.protocol);
        let ended = self
            .model
            .complete(&messages, &sampling(max_tokens), &mut |index, result| {
                let Some(pending) = slots.get_mut(index).and_then(Option::take) else {
                    return;
                };
                match pending.take(result, judge, protocol) {
                    Ok(_) if stored.is_err() => {}
                    Ok(record) => {
                        stored = store(record);
                        if stored.is_err() {
                            give_up.iter().for_each(|give_up| give_up());
                        }
                    }
                    Err(pending) => again.push(pending),
                }
            });
        drop(calling);
        stored?;
        self.stop.check()?;
        ended.with_context(|| self.judge.name.clone())?;
        let is_reported = slots.iter().all(Option::is_none);
        ensure!(is_reported, "a request has no reply: a bug in the adapter");
        Ok(again)
    }
}

impl PendingCall {
    /// Takes a reply: the record of the request, or the request to be sent again.
    fn take(
        mut self,
        result: Result<Vec<Completion>>,
        judge: &JudgeIdentity,
        protocol: &JudgeProtocol,
    ) -> Result<JudgementRecord, Self> {
        self.tries += 1;
        let sent_tokens = self.max_tokens;
        let (reply, found) = match result {
            Ok(completions) => {
                let completion = completions.into_iter().next().unwrap_or_default();
                self.usage = match (self.usage, completion.usage) {
                    (Some(before), Some(now)) => Some(before.plus(now)),
                    (before, now) => before.or(now),
                };
                let found = protocol.read(&completion.text, self.call.answers.len());
                (Some(completion.text), found)
            }
            Err(error) => (None, Err(ReplyFault::Other(format!("{error:#}")))),
        };
        let (found, error) = match found {
            Ok(found) => (Some(found), None),
            Err(ReplyFault::Cut) => {
                let is_last = self.max_tokens >= MOST_TOKENS || self.tries == MAX_TRIES;
                if !is_last {
                    self.max_tokens = MOST_TOKENS.min(2 * self.max_tokens);
                    return Err(self);
                }
                let cut = format!("the reply is cut off within {sent_tokens} tokens");
                (None, Some(cut))
            }
            Err(ReplyFault::Other(_)) if self.tries < MAX_TRIES => return Err(self),
            Err(ReplyFault::Other(error)) => (None, Some(error)),
        };
        Ok(self.record(judge, protocol, reply, found, error))
    }

    fn record(
        self,
        judge: &JudgeIdentity,
        protocol: &JudgeProtocol,
        reply: Option<String>,
        found: Option<Vec<Finding>>,
        error: Option<String>,
    ) -> JudgementRecord {
        let found = found.unwrap_or_else(|| {
            let invalid = Finding {
                extracted: None,
                score: Verdict::Invalid,
            };
            vec![invalid; self.call.answers.len()]
        });
        let answers = self.call.answers.into_iter().zip(found);
        JudgementRecord {
            convention: protocol.convention().to_owned(),
            judge: judge.clone(),
            request_sha256: sha256(self.call.message.as_bytes()),
            answers: answers
                .map(
                    |((id, answer_sha256), Finding { extracted, score })| JudgedAnswer {
                        id,
                        answer_sha256,
                        extracted,
                        score,
                    },
                )
                .collect(),
            reply,
            error,
            tries: self.tries,
            max_tokens: self.max_tokens,
            usage: self.usage,
        }
    }
}
