//! Normalises texts for comparison and quotes them for messages.

use chartbench_core::question::{AnswerType, Gold};

/// Longest text in a message, in characters.
const MAX_QUOTE: usize = 60;

/// The text in lower case, with each run of white space as one blank and none at the ends.
pub(super) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.to_lowercase().split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(word);
    }
    folded
}

/// The gold answer folded, the items of an unranked list sorted: equal answers have equal texts.
pub(super) fn fold_gold(gold: &Gold, answer_type: Option<AnswerType>) -> String {
    match gold {
        Gold::List(items) if answer_type == Some(AnswerType::UnrankedList) => {
            let mut items: Vec<String> = items.iter().map(|item| fold(&item.text())).collect();
            items.sort_unstable();
            items.join(", ")
        }
        _ => fold(&gold.text()),
    }
}

/// A text between backticks, on one line, its middle left out when it is long.
pub(super) fn quote(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    match (
        characters.get(..MAX_QUOTE / 2),
        characters.get(characters.len().saturating_sub(MAX_QUOTE / 2)..),
    ) {
        (Some(first), Some(last)) if characters.len() > MAX_QUOTE => {
            format!(
                "`{} [...] {}`",
                escape_controls(first),
                escape_controls(last)
            )
        }
        _ => format!("`{}`", escape_controls(&characters)),
    }
}

fn escape_controls(characters: &[char]) -> String {
    characters
        .iter()
        .map(|c| {
            if c.is_control() {
                c.escape_default().to_string()
            } else {
                c.to_string()
            }
        })
        .collect()
}

/// Every text in a gold answer, including those of nested lists.
pub(super) fn gold_texts(gold: &Gold) -> Vec<&str> {
    match gold {
        Gold::Text(text) => vec![text],
        Gold::List(items) => items.iter().flat_map(gold_texts).collect(),
    }
}
