//! Puts a question into the words of a named prompt (`--prompt`).

use std::borrow::Cow;

use anyhow::{Context, Result};

use crate::config::{PromptCase, PromptSpec};
use chartbench_core::python;
use chartbench_core::question::{QUESTION_TYPE, Question};

/// An earlier turn of a conversation that has an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AnsweredTurn {
    pub(super) question: String,
    pub(super) answer: String,
}

/// What a model is told: a system message, and turns of which the last has no answer yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Conversation {
    pub(super) system: Option<String>,
    /// Each turn's texts, and its answer.
    pub(super) turns: Vec<(Vec<String>, Option<String>)>,
}

/// The earlier turns of a question with their right answers, up to the first that has none.
pub(super) fn gold_turns(question: &Question) -> Vec<AnsweredTurn> {
    let history = question.context.iter().flat_map(|context| &context.history);
    history
        .map_while(|turn| {
            Some(AnsweredTurn {
                question: turn.question.clone(),
                answer: turn.answer.as_ref()?.text().into_owned(),
            })
        })
        .collect()
}

/// A turn of a question's conversation, after `earlier` ones. With `as_turns` each of them is a turn of its
/// own, else they are in the text. `asked` is the turn's question.
///
/// # Errors
/// Returns an error if the prompt has no words for such a question.
pub(super) fn conversation(
    prompt: &PromptSpec,
    question: &Question,
    asked: &str,
    earlier: &[AnsweredTurn],
    as_turns: bool,
) -> Result<Conversation> {
    let case = find_case(prompt, question, !earlier.is_empty())?;
    let words = Words { case, question };
    let system = case.system.clone();
    if !as_turns {
        return Ok(Conversation {
            system,
            turns: vec![(words.first(asked, earlier), None)],
        });
    }
    let answered = earlier
        .iter()
        .map(|turn| (turn.question.as_str(), Some(turn.answer.clone())));
    let turns = answered.chain([(asked, None)]).enumerate();
    Ok(Conversation {
        system,
        turns: turns
            .map(|(index, (question, answer))| match index {
                0 => (words.first(question, &[]), answer),
                _ => (vec![words.next(question)], answer),
            })
            .collect(),
    })
}

/// The prompt that asks a question of a table; `None` where the prompt has no words for it.
pub(super) fn about_table(prompt: &PromptSpec, table: &str, question: &Question) -> Option<String> {
    let context = question.context.as_deref();
    let table = table.replace("<0x0A>", "\n");
    let lines: Vec<&str> = table.lines().map(str::trim).collect();
    let text = fill(prompt.table.as_deref()?, |name| match name {
        "table" => Some(lines.join("\n").into()),
        "question" => Some(Cow::Borrowed(question.text.as_str())),
        "paragraph" => Some(context.map_or("", |context| &context.paragraph).into()),
        "history" => Some(python_list(&gold_turns(question)).into()),
        _ => None,
    });
    Some(text)
}

fn find_case<'a>(
    prompt: &'a PromptSpec,
    question: &Question,
    has_history: bool,
) -> Result<&'a PromptCase> {
    let kind = question.slices.get(QUESTION_TYPE);
    let fits = |case: &&PromptCase| {
        let of_kind = || kind.is_some_and(|kind| case.question_types.contains(kind));
        (case.question_types.is_empty() || of_kind())
            && case.history.is_none_or(|history| history == has_history)
    };
    prompt.ask.iter().find(fits).with_context(|| {
        format!(
            "the prompt {} has no words for a question of the {QUESTION_TYPE} `{}`",
            prompt.name,
            kind.map_or("none", String::as_str)
        )
    })
}

/// The words of a case around a question.
struct Words<'a> {
    case: &'a PromptCase,
    question: &'a Question,
}

impl Words<'_> {
    /// The texts of a first turn, after the `earlier` ones that they tell of.
    fn first(&self, asked: &str, earlier: &[AnsweredTurn]) -> Vec<String> {
        let paragraph = self.paragraph();
        let history = self.history(earlier);
        let number = earlier.len() + 1;
        let texts = self.case.text.parts().iter().map(|part| {
            fill(part, |name| match name {
                "question" => Some(self.strip(asked).into()),
                "paragraph" => Some(paragraph.as_str().into()),
                "history" => Some(history.as_str().into()),
                "turn" => Some(number.to_string().into()),
                _ => None,
            })
        });
        texts.filter(|text| !text.is_empty()).collect()
    }

    /// The text of a later turn.
    fn next(&self, asked: &str) -> String {
        let asked = self.strip(asked);
        match &self.case.next {
            Some(next) => fill(next, |name| (name == "question").then_some(asked.into())),
            None => asked.to_owned(),
        }
    }

    fn paragraph(&self) -> String {
        let context = self.question.context.as_deref();
        let paragraph = context.map_or("", |context| context.paragraph.as_str());
        match (&self.case.paragraph, python::strip(paragraph)) {
            (None, _) => paragraph.to_owned(),
            (Some(_), "") => String::new(),
            (Some(words), stripped) => fill(words, |name| {
                (name == "paragraph").then_some(stripped.into())
            }),
        }
    }

    fn history(&self, earlier: &[AnsweredTurn]) -> String {
        let Some(words) = &self.case.turn else {
            return python_list(earlier);
        };
        let turns = earlier.iter().enumerate().map(|(index, turn)| {
            fill(words, |name| match name {
                "turn" => Some((index + 1).to_string().into()),
                "question" => Some(self.strip(&turn.question).into()),
                "answer" => Some(self.strip(&turn.answer).into()),
                _ => None,
            })
        });
        turns.collect()
    }

    fn strip<'t>(&self, text: &'t str) -> &'t str {
        if self.case.strip {
            python::strip(text)
        } else {
            text
        }
    }
}

/// Questions and answers in turn, as Python prints a list of texts.
fn python_list(turns: &[AnsweredTurn]) -> String {
    let texts = turns.iter().flat_map(|turn| [&turn.question, &turn.answer]);
    let texts: Vec<String> = texts.map(|text| python::repr(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// Puts values in the places `{name}` of a template; whatever else is in braces stays.
fn fill<'v>(template: &str, value: impl Fn(&str) -> Option<Cow<'v, str>>) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text += before;
        let place = after.split_once('}');
        match place.and_then(|(name, after)| Some((value(name)?, after))) {
            Some((value, after)) => {
                text += &value;
                rest = after;
            }
            None => {
                text.push('{');
                rest = after;
            }
        }
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use chartbench_core::question::{QuestionContext, Turn};

    fn question(
        kind: &str,
        text: &str,
        paragraph: &str,
        turns: &[(&str, Option<&str>)],
    ) -> Question {
        let turns = turns.iter().map(|(question, answer)| Turn {
            question: (*question).to_owned(),
            answer: answer.map(Into::into),
        });
        Question {
            id: "q".to_owned(),
            text: text.to_owned(),
            gold: "gold".into(),
            answer_type: None,
            taxonomy: None,
            template: None,
            source: None,
            slices: [(QUESTION_TYPE.to_owned(), kind.to_owned())].into(),
            context: Some(Arc::new(QuestionContext {
                paragraph: paragraph.to_owned(),
                history: turns.collect(),
            })),
        }
    }

    fn asked(prompt: &str, question: &Question, as_turns: bool) -> Result<Conversation> {
        let prompt = PromptSpec::find(prompt).unwrap();
        let prompt = prompt.for_benchmark("chartqapro").unwrap();
        conversation(
            &prompt,
            question,
            &question.text,
            &gold_turns(question),
            as_turns,
        )
    }

    fn texts(prompt: &str, question: &Question) -> Vec<String> {
        asked(prompt, question, false).unwrap().turns.remove(0).0
    }

    const TURNS: &[(&str, Option<&str>)] = &[
        (" What's {question}? ", Some("5 ")),
        ("And B?", Some("it's")),
    ];

    #[test]
    fn a_conversation_is_told_as_the_harness_does() {
        let question = question("Conversational", " And C? ", " Text. ", TURNS);
        assert_eq!(
            texts("lmms-eval", &question),
            [
                "Context: Text.\n\nQ1: What's {question}?\nA1: 5\nQ2: And B?\nA2: it's\nQ3: And C?\n\
              Answer the question with a short phrase."
            ]
        );
        let parts = texts("vlmevalkit", &question);
        assert_eq!(parts[0], " Text. ");
        let end = "\n            Conversation: [\" What's {question}? \", '5 ', 'And B?', \"it's\"] \
                   Question:  And C? \n            ";
        assert!(parts[1].ends_with(end), "{}", parts[1]);
    }

    #[test]
    fn turns_end_at_the_first_without_an_answer() {
        let turns = [("A?", Some("1")), ("B?", None), ("C?", Some("3"))];
        let question = question("Conversational", "D?", "", &turns);
        assert_eq!(gold_turns(&question).len(), 1);
        assert_eq!(
            texts("lmms-eval", &question),
            ["Q1: A?\nA1: 1\nQ2: D?\nAnswer the question with a short phrase."]
        );
    }

    #[test]
    fn turns_of_a_chat_begin_with_the_paragraph_alone() {
        let question = question(
            "Conversational",
            "C?",
            "Text.",
            &[("A?", Some("1")), ("B?", Some("2"))],
        );
        let conversation = asked("chartqapro-turns", &question, true).unwrap();
        let turn =
            |text: &str, answer: Option<&str>| (vec![text.to_owned()], answer.map(str::to_owned));
        assert_eq!(
            conversation.turns,
            [
                turn("Context: Text.\n\nQuestion: A?", Some("1")),
                turn("Question: B?", Some("2")),
                turn("Question: C?", None),
            ]
        );
        let system = conversation.system.unwrap();
        assert!(
            system.starts_with("You are given a multi-turn conversation"),
            "{system}"
        );
    }

    #[test]
    fn an_unknown_kind_of_question_has_no_words() {
        let error = asked("vlmevalkit", &question("Essay", "Why?", "", &[]), false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the prompt vlmevalkit has no words for a question of the Question Type `Essay`"
        );
    }

    #[test]
    fn an_empty_part_is_not_sent_and_braces_stay() {
        assert_eq!(
            texts("vlmevalkit", &question("Factoid", "Why?", "", &[])).len(),
            1
        );
        let filled = fill("{a} {b} {\"c\": {a}", |name| {
            (name == "a").then_some("{b}".into())
        });
        assert_eq!(filled, "{b} {b} {\"c\": {b}");
        let prompt = PromptSpec::find("plain").unwrap();
        let question = question("Factoid", "Why?", "", &[]);
        assert_eq!(
            about_table(&prompt, "a | b <0x0A> 1 | 2", &question).unwrap(),
            "a | b\n1 | 2\n\nWhy?"
        );
    }
}
