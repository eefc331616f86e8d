//! Models behind an OpenAI-compatible `/chat/completions`: vision models that answer about a
//! chart's picture, and language models that answer from its table.
//!
//! Several threads send questions ([`pool`]), at the rate that the adapter file allows
//! ([`rate_limit`]). Transient failures are retried ([`endpoint`]); other failures of the endpoint
//! stop the adapter ([`request_error`]), and so does a server that refuses the first connection
//! ([`contact`]). A server may be started for the run ([`served`]), requests may share a budget
//! ([`meter`]), and they may go in batches ([`batch`]).

mod address;
mod batch;
mod connection;
mod contact;
mod conversation;
mod endpoint;
mod event_stream;
mod image;
mod job;
mod meter;
mod pool;
mod rate_limit;
mod request_error;
mod served;
mod turns;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::extraction::extract;
use super::language_model::{Completion, LanguageModel, ReportCompletions, Sampling};
use super::{Adapter, Answer, GiveUp, Identity, Overrides, ReportAnswer};
use crate::config::{ChatSpec, Extraction};
pub(super) use batch::count_waiting_batches;
use chartbench_core::question::{AnswerType, ChartQuestions, Question};
use contact::Contact;
use endpoint::Endpoint;
use image::{ImageLimits, SharedPicture};
use job::{ChartJob, PromptJob};
use pool::Failure;
use served::Served;
use turns::Turns;
use wire::RequestKeys;

/// Questions in a call per thread. At the end of a call threads wait for its slowest answer, which
/// may take as long as ten others: with many questions a call ends seldom.
const QUESTIONS_A_THREAD: usize = 64;
/// Questions in a call that go in batches: as many as a batch may have.
const QUESTIONS_IN_BATCHES: usize = 50_000;

/// A chat model at an endpoint: an [`Adapter`] by itself, a [`LanguageModel`] behind a reader of
/// tables.
#[derive(Debug)]
pub struct Chat {
    identity: Identity,
    spec: ChatSpec,
    max_tokens: usize,
    endpoint: Endpoint,
    contact: Contact,
    /// The server that is started for it.
    served: Option<Served>,
}

impl Chat {
    /// Takes address, model and key from `spec` and the environment variables it names. Nothing is
    /// sent.
    ///
    /// # Errors
    /// Returns an error if a required key is not set, the address is invalid, the command of
    /// `serve` holds a key, or the budget of `overrides` has no price to go by.
    pub fn new(id: &str, spec: &ChatSpec, overrides: &Overrides) -> Result<Self> {
        let endpoint = Endpoint::new(&spec.endpoint, &spec.limits, spec.price, overrides)?;
        // A server that the environment names runs already.
        let serve = spec.serve.as_ref().filter(|_| endpoint.is_at_own_address());
        let served = serve
            .map(|serve| {
                let (url, limit) = (&spec.endpoint.base_url, spec.limits.start_timeout);
                Served::new(serve, url, limit, endpoint.secrets().clone())
            })
            .transpose()?;
        let max_tokens = overrides
            .max_new_tokens
            .unwrap_or(spec.generation.max_tokens);
        let mut settings = endpoint.settings();
        let contact = Contact::new(&settings, &spec.limits);
        let mut set = |key: &str, value: String| settings.push((key.to_owned(), value));
        let named = spec.named_prompt.as_ref();
        match named {
            Some(named) => {
                set("prompt_name", named.name.clone());
                set("prompt", named.describe()?);
            }
            None => set("prompt", spec.prompt.question.clone()),
        }
        set(
            "table_prompt",
            spec.prompt
                .table
                .clone()
                .unwrap_or_else(|| "none".to_owned()),
        );
        set(
            "system_prompt",
            spec.prompt
                .system
                .clone()
                .filter(|_| named.is_none())
                .unwrap_or_else(|| "none".to_owned()),
        );
        set("image", image::HANDLING.to_owned());
        // Rows of files without these keys are what they were before there were any.
        for (key, limit) in [
            ("max_image_side", spec.endpoint.max_image_side),
            ("max_image_bytes", spec.endpoint.max_image_bytes),
        ] {
            if let Some(limit) = limit {
                set(key, limit.to_string());
            }
        }
        if let Some(served) = &served {
            set("serve", served.setting());
        }
        set(
            "image_detail",
            spec.image_detail
                .clone()
                .unwrap_or_else(|| "not sent".to_owned()),
        );
        let sent = |value: Option<String>| value.unwrap_or_else(|| "not sent".to_owned());
        set(
            "temperature",
            sent(spec.generation.temperature.map(|value| value.to_string())),
        );
        set(
            "seed",
            sent(spec.generation.seed.map(|value| value.to_string())),
        );
        set(spec.endpoint.max_tokens_key.name(), max_tokens.to_string());
        let answer = match (spec.extract.as_slice(), &spec.answer_after) {
            ([], Some(after)) => format!("after {after:?}"),
            ([] | [Extraction::Whole], _) => "the whole reply".to_owned(),
            (rules, _) => format!("extracted: {}", Extraction::describe(rules)),
        };
        set("answer", answer);
        Ok(Self {
            identity: Identity {
                id: id.to_owned(),
                settings,
            },
            spec: spec.clone(),
            max_tokens,
            endpoint,
            contact,
            served,
        })
    }

    /// Has the server started where the run is to do that, and makes the first connection.
    fn reach(&self) -> Result<(), String> {
        if let Some(served) = &self.served {
            served.start(self.endpoint.abort_signal())?;
        }
        self.contact.make()
    }

    /// Questions in a call.
    fn questions_in_call(&self) -> usize {
        match self.endpoint.batches() {
            Some(_) => QUESTIONS_IN_BATCHES,
            None => self.spec.limits.concurrency * QUESTIONS_A_THREAD,
        }
    }

    /// Closes the batches.
    fn finish_batches(&self) -> Result<()> {
        self.endpoint
            .batches()
            .map_or(Ok(()), batch::Batches::finish)
    }

    /// Ends waits and begins no more requests; replies on their way are still awaited, for they are
    /// paid for.
    fn give_up_requests(&self) -> GiveUp {
        let abort = Arc::clone(self.endpoint.abort_signal());
        Box::new(move || drop(abort.raise("it was told to give up".to_owned())))
    }

    fn about_chart(
        &self,
        image: &str,
        question: &Question,
        turns: &Turns,
    ) -> Result<Answer, Failure> {
        let prompt = &self.spec.prompt;
        let is_table = question.answer_type == Some(AnswerType::Table);
        if let Some(named) = self.spec.named_prompt.as_ref().filter(|_| !is_table) {
            return self.converse(image, named, question, turns);
        }
        let text = if is_table {
            prompt.table.clone().with_context(|| {
                format!(
                    "{} writes no tables: its file has no `prompt.table`",
                    self.identity.id
                )
            })?
        } else {
            prompt.about(&question.text)
        };
        let content = json!([self.image_part(image), {"type": "text", "text": text}]);
        let system = prompt
            .system
            .iter()
            .filter(|_| self.spec.named_prompt.is_none())
            .map(|system| json!({"role": "system", "content": system}));
        let messages = system
            .chain([json!({"role": "user", "content": content})])
            .collect();
        let reply = self.endpoint.ask(turns, messages, &self.request_keys())?;
        let choice = reply
            .choices
            .into_iter()
            .next()
            .context("the reply has no choices")?;
        let rules = if is_table {
            &[]
        } else {
            self.spec.extract.as_slice()
        };
        let answer = answer(choice.text()?, rules, self.answer_after());
        Ok(Answer {
            usage: reply.usage,
            finish_reason: choice.finish_reason,
            ..answer
        })
    }

    /// The picture as a part of a message.
    fn image_part(&self, image: &str) -> Value {
        let mut url = json!({"url": image});
        if let (Some(detail), Value::Object(url)) = (&self.spec.image_detail, &mut url) {
            url.insert("detail".to_owned(), detail.as_str().into());
        }
        json!({"type": "image_url", "image_url": url})
    }

    /// The keys of a question about a picture.
    fn request_keys(&self) -> RequestKeys<'static> {
        let generation = &self.spec.generation;
        RequestKeys {
            temperature: generation.temperature,
            seed: generation.seed,
            max_tokens: Some(self.max_tokens),
            ..RequestKeys::default()
        }
    }

    /// The text before answers by the adapter file, where no rules stand in its place.
    fn answer_after(&self) -> Option<&str> {
        let after = self.spec.answer_after.as_deref();
        after.filter(|_| self.spec.extract.is_empty())
    }

    fn about_prompt(
        &self,
        prompt: &str,
        sampling: &Sampling,
        turns: &Turns,
    ) -> Result<Vec<Completion>, Failure> {
        let mut completions: Vec<Completion> = Vec::with_capacity(sampling.samples);
        // A server may give fewer choices than it was asked for: the rest is asked for again, with
        // other seeds.
        while completions.len() < sampling.samples {
            let keys = RequestKeys {
                temperature: Some(sampling.temperature),
                seed: Some(sampling.seed.wrapping_add(completions.len() as u64)),
                max_tokens: Some(sampling.max_new_tokens),
                stop: &sampling.stop,
                samples: sampling.samples - completions.len(),
            };
            let messages = vec![json!({"role": "user", "content": prompt})];
            let reply = self.endpoint.ask(turns, messages, &keys)?;
            if reply.choices.is_empty() {
                return Err(Failure::Question(anyhow::anyhow!(
                    "the reply has no choices"
                )));
            }
            // The usage is that of all choices together: the first carries it.
            let mut usage = reply.usage;
            for choice in reply.choices.into_iter().take(keys.samples) {
                let text = if sampling.samples > 1 && choice.is_empty() {
                    ""
                } else {
                    choice.text()?
                };
                completions.push(Completion {
                    text: cut_at_stop(text, &sampling.stop).to_owned(),
                    token_ids: Vec::new(),
                    usage: usage.take(),
                    finish_reason: choice.finish_reason,
                });
            }
        }
        if completions
            .iter()
            .all(|completion| completion.text.trim().is_empty())
        {
            return Err(Failure::Question(anyhow::anyhow!(
                "the reply has no text before its first stop text"
            )));
        }
        Ok(completions)
    }
}

/// Extracts the answer of a reply by `rules`, or else what follows the last `after`; the whole reply
/// is kept as a completion if it is longer. Rules that find nothing give an empty answer, which
/// harnesses score 0; a missing `after` gives the whole reply.
fn answer(reply: &str, rules: &[Extraction], after: Option<&str>) -> Answer {
    let part = match (rules, after) {
        ([], None) => Some(reply.to_owned()),
        ([], Some(after)) => reply
            .rsplit_once(after)
            .map(|(_, part)| part.trim().to_owned()),
        (rules, _) => extract(rules, reply),
    };
    let marker_missing = part.is_none();
    let part = part.unwrap_or_else(|| {
        let whole = if rules.is_empty() { reply } else { "" };
        whole.to_owned()
    });
    let completions = if part == reply {
        Vec::new()
    } else {
        vec![reply.to_owned()]
    };
    Answer {
        completions,
        marker_missing,
        ..Answer::from_text(part)
    }
}

/// Cuts a text at its first stop text, because not every server supports `stop`.
fn cut_at_stop<'a>(text: &'a str, stop: &[String]) -> &'a str {
    let end = stop
        .iter()
        .filter_map(|stop| text.find(stop.as_str()))
        .min();
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

impl Adapter for Chat {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn batch(&self) -> usize {
        self.questions_in_call()
    }

    fn answer(&mut self, charts: &[ChartQuestions], report: &mut ReportAnswer<'_>) -> Result<()> {
        let limits = ImageLimits {
            side: self.spec.endpoint.max_image_side,
            bytes: self.spec.endpoint.max_image_bytes,
        };
        let pictures: Vec<_> = charts
            .iter()
            .map(|entry| SharedPicture::new(entry, limits))
            .collect();
        let jobs: Vec<ChartJob<'_>> = charts
            .iter()
            .zip(&pictures)
            .flat_map(|(entry, picture)| {
                entry
                    .questions
                    .iter()
                    .map(move |question| ChartJob { picture, question })
            })
            .collect();
        self.ask_all(&jobs, report)
    }

    fn finish(&mut self) -> Result<()> {
        self.finish_batches()
    }

    fn give_up(&self) -> Vec<GiveUp> {
        vec![self.give_up_requests()]
    }
}

impl LanguageModel for Chat {
    fn settings(&self) -> Vec<(String, String)> {
        let mut settings = self.endpoint.settings();
        let serve = self.served.as_ref().map(Served::setting);
        settings.extend(serve.map(|serve| ("serve".to_owned(), serve)));
        settings
    }

    fn batch(&self) -> usize {
        self.questions_in_call()
    }

    fn complete(
        &mut self,
        prompts: &[String],
        sampling: &Sampling,
        report: &mut ReportCompletions<'_>,
    ) -> Result<()> {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        let jobs: Vec<PromptJob<'_>> = prompts
            .iter()
            .map(|prompt| {
                let count = counts.entry(prompt).or_default();
                *count += 1;
                PromptJob {
                    prompt,
                    same_before: *count - 1,
                    sampling,
                }
            })
            .collect();
        self.ask_all(&jobs, report)
    }

    fn finish(&mut self) -> Result<()> {
        self.finish_batches()
    }

    fn give_up(&self) -> Vec<GiveUp> {
        vec![self.give_up_requests()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_follows_the_last_marker() {
        let answer = |reply: &str, after| super::answer(reply, &[], after);
        assert_eq!(answer("so 5\n", None), Answer::from_text("so 5\n"));
        let whole = Answer {
            marker_missing: true,
            ..Answer::from_text("no such mark")
        };
        assert_eq!(answer("no such mark", Some("Answer:")), whole);
        let reply = "Answer: maybe 4. Answer: 5 \n";
        assert_eq!(
            answer(reply, Some("Answer:")),
            Answer {
                completions: vec![reply.to_owned()],
                ..Answer::from_text("5")
            }
        );
    }

    #[test]
    fn rules_that_find_nothing_give_an_empty_answer() {
        let answer = |reply: &str| super::answer(reply, &[Extraction::Boxed], None);
        let empty = Answer {
            completions: vec!["so 5".to_owned()],
            marker_missing: true,
            ..Answer::from_text("")
        };
        assert_eq!(answer("so 5"), empty);
        let found = Answer {
            completions: vec![r"\boxed{5}".to_owned()],
            ..Answer::from_text("5")
        };
        assert_eq!(answer(r"\boxed{5}"), found);
    }

    #[test]
    fn a_completion_ends_at_the_first_stop() {
        let stop = ["\n\n".to_owned(), "END".to_owned()];
        assert_eq!(cut_at_stop("a END b\n\nc", &stop), "a ");
        assert_eq!(cut_at_stop("a\n", &stop), "a\n");
    }
}
