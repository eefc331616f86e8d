//! Asks about a chart in the words of a named prompt, turn by turn where the model's own answers
//! make up the conversation.

use anyhow::Context;
use serde_json::{Value, json};

use super::pool::Failure;
use super::turns::Turns;
use super::{Chat, answer};
use crate::adapter::prompt::{self, AnsweredTurn, Conversation};
use crate::adapter::{Answer, Usage};
use crate::config::{HistoryAnswers, HistoryForm, PromptSpec};
use chartbench_core::question::Question;

/// A reply of the model.
struct TurnReply {
    text: String,
    usage: Option<Usage>,
    finish_reason: Option<String>,
}

impl Chat {
    /// Asks a question, after its earlier turns where the prompt has the model answer them.
    pub(super) fn converse(
        &self,
        image: &str,
        prompt: &PromptSpec,
        question: &Question,
        turns: &Turns,
    ) -> Result<Answer, Failure> {
        let mut replies = Vec::new();
        let earlier = match prompt.answers {
            HistoryAnswers::Gold => prompt::gold_turns(question),
            HistoryAnswers::Own => {
                let history = question.context.iter().flat_map(|context| &context.history);
                let mut earlier = Vec::new();
                for turn in history {
                    let reply =
                        self.reply(image, prompt, question, &turn.question, &earlier, turns)?;
                    earlier.push(AnsweredTurn {
                        question: turn.question.clone(),
                        answer: self.own_answer(prompt, &reply.text),
                    });
                    replies.push(reply);
                }
                earlier
            }
        };
        let last = self.reply(image, prompt, question, &question.text, &earlier, turns)?;
        let answer = answer(&last.text, &self.spec.extract, self.answer_after());
        replies.push(last);
        Ok(with_replies(answer, replies))
    }

    /// What the conversation goes on with after a reply: all of it where it is a turn of the chat.
    fn own_answer(&self, prompt: &PromptSpec, reply: &str) -> String {
        match prompt.history {
            HistoryForm::Turns => reply.to_owned(),
            HistoryForm::Text => {
                let answer = answer(reply, &self.spec.extract, self.answer_after());
                answer.prediction.0.trim().to_owned()
            }
        }
    }

    /// Asks one turn.
    fn reply(
        &self,
        image: &str,
        prompt: &PromptSpec,
        question: &Question,
        asked: &str,
        earlier: &[AnsweredTurn],
        turns: &Turns,
    ) -> Result<TurnReply, Failure> {
        let as_turns = prompt.history == HistoryForm::Turns;
        let conversation = prompt::conversation(prompt, question, asked, earlier, as_turns)?;
        let messages = messages(conversation, self.image_part(image));
        let reply = self.endpoint.ask(turns, messages, &self.request_keys())?;
        let choice = reply.choices.into_iter().next();
        let choice = choice.context("the reply has no choices")?;
        Ok(TurnReply {
            text: choice.text()?.to_owned(),
            usage: reply.usage,
            finish_reason: choice.finish_reason,
        })
    }
}

/// The messages of a conversation; the picture is in the first of the user's.
fn messages(conversation: Conversation, image: Value) -> Vec<Value> {
    let system = conversation
        .system
        .map(|system| json!({"role": "system", "content": system}));
    let mut messages: Vec<Value> = system.into_iter().collect();
    let mut image = Some(image);
    for (texts, answer) in conversation.turns {
        let content = match (image.take(), texts.as_slice()) {
            (None, [text]) => json!(text),
            (image, texts) => {
                let texts = texts
                    .iter()
                    .map(|text| json!({"type": "text", "text": text}));
                image.into_iter().chain(texts).collect()
            }
        };
        messages.push(json!({"role": "user", "content": content}));
        messages.extend(answer.map(|answer| json!({"role": "assistant", "content": answer})));
    }
    messages
}

/// The answer with what all replies have used, and with their texts where there are several.
fn with_replies(answer: Answer, replies: Vec<TurnReply>) -> Answer {
    let usage = replies.iter().filter_map(|reply| reply.usage);
    let mut reasons: Vec<&str> = Vec::new();
    for reason in replies
        .iter()
        .filter_map(|reply| reply.finish_reason.as_deref())
    {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    Answer {
        usage: usage.reduce(Usage::plus),
        finish_reason: Some(reasons.join(",")).filter(|reasons| !reasons.is_empty()),
        completions: if replies.len() > 1 {
            replies.into_iter().map(|reply| reply.text).collect()
        } else {
            answer.completions
        },
        ..answer
    }
}
