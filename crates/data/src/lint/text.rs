//! Texts as the checks compare and show them.

use chartbench_core::question::{AnswerType, Gold};

/// Longest text shown in a message, in characters.
const SHOWN: usize = 60;

/// Lower case, each run of white space one blank, none at the ends.
pub(super) fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.to_lowercase().split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(word);
    }
    folded
}

/// A gold answer by which equal answers are told: folded; the items of an unranked list in any order.
pub(super) fn folded_gold(gold: &Gold, answer_type: Option<AnswerType>) -> String {
    match gold {
        Gold::List(items) if answer_type == Some(AnswerType::UnrankedList) => {
            let mut items: Vec<String> = items.iter().map(|item| folded(&item.text())).collect();
            items.sort_unstable();
            items.join(", ")
        }
        _ => folded(&gold.text()),
    }
}

/// A text between backticks, on one line, its middle left out when it is long.
pub(super) fn shown(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let escaped = |part: &[char]| -> String {
        part.iter().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
    };
    match (characters.get(..SHOWN / 2), characters.get(characters.len().saturating_sub(SHOWN / 2)..)) {
        (Some(first), Some(last)) if characters.len() > SHOWN => {
            format!("`{} [...] {}`", escaped(first), escaped(last))
        }
        _ => format!("`{}`", escaped(&characters)),
    }
}

/// Every text in a gold answer, lists opened.
pub(super) fn leaves(gold: &Gold) -> Vec<&str> {
    match gold {
        Gold::Text(text) => vec![text],
        Gold::List(items) => items.iter().flat_map(leaves).collect(),
    }
}
