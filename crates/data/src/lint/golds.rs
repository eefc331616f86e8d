//! Finds empty and truncated gold answers.
//!
//! **Empty** is a gold of white space only, a list without items, or a list with an empty item,
//! also written as text (`[]`, `['a', '']`).
//!
//! **Truncated** is a gold, or an item of a list, that
//! - opens more brackets than it closes, of any kinds (`(0, 5]` is whole);
//! - has an odd number of `"` with an opening one as the last (behind nothing, white space or a
//!   bracket: `5"` is five inches), or more `“` than `”`;
//! - ends in `...`, `…`, a comma or `<0x0A>`, the byte piece of a line break in SentencePiece
//!   vocabularies;
//! - ends within a word that another gold of the same chart completes: the other gold begins with
//!   all of it and continues with two letters or more, it has at least two words, and its last word
//!   occurs nowhere else in the data set (`South Niger` beside `South Nigeria` is whole where
//!   `Niger` occurs).
//!
//! Answers cut in other ways, such as at the end of a word, are not found. A label that the chart
//! itself draws cut off (`Don't kno...`) is reported as truncated.

use std::collections::{BTreeMap, HashSet};

use rayon::prelude::*;

use super::text::{fold, gold_texts, quote};
use super::{Finding, FindingKind, SplitChart};
use chartbench_core::question::{Gold, Question};

pub(super) fn check(split_charts: &[SplitChart<'_>]) -> Vec<Finding> {
    let cut_words = CutWords::find(split_charts);
    let faults = split_charts.par_iter().flat_map_iter(|split_chart| {
        split_chart.questions.iter().filter_map(|question| {
            let (kind, message) = find_fault(question, &cut_words)?;
            Some(Finding::about_question(
                kind,
                split_chart,
                question,
                message,
            ))
        })
    });
    faults.collect()
}

fn find_fault(question: &Question, cut_words: &CutWords) -> Option<(FindingKind, String)> {
    if is_empty(&question.gold) {
        let what = match &question.gold {
            Gold::Text(text) if text.trim().is_empty() => "the gold is empty".to_owned(),
            Gold::List(items) if items.is_empty() => "the gold is a list without items".to_owned(),
            gold => format!("the gold {} holds an empty item", quote(&gold.text())),
        };
        return Some((FindingKind::EmptyGold, what));
    }
    gold_texts(&question.gold).into_iter().find_map(|text| {
        let whole = || {
            cut_words
                .whole(&question.id, text)
                .map(|whole| format!("goes on as {}", quote(whole)))
        };
        let reason = cut_short(text).map(str::to_owned).or_else(whole)?;
        Some((
            FindingKind::TruncatedGold,
            format!("the gold {} {reason}", quote(text)),
        ))
    })
}

/// Whether a gold answer, or an item of it, is empty.
pub(super) fn is_empty(gold: &Gold) -> bool {
    match gold {
        Gold::Text(text) => text.trim().is_empty() || has_empty_item(text.trim()),
        Gold::List(items) => items.is_empty() || items.iter().any(is_empty),
    }
}

/// Whether a list written as text has no items or an empty one.
fn has_empty_item(text: &str) -> bool {
    let items = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    items.is_some_and(|items| {
        items
            .split(',')
            .any(|item| matches!(item.trim(), "" | "''" | "\"\""))
    })
}

/// The reason why a text looks cut off by itself.
fn cut_short(text: &str) -> Option<&'static str> {
    let text = text.trim_end();
    let count = |characters: &[char]| text.matches(characters).count();
    if text.ends_with("...") || text.ends_with('…') {
        Some("ends in an ellipsis")
    } else if text.ends_with(',') {
        Some("ends in a comma")
    } else if text.ends_with("<0x0A>") {
        Some("ends in the piece of a line break")
    } else if count(&['(', '[', '{']) > count(&[')', ']', '}']) {
        Some("opens a bracket and does not close it")
    } else if count(&['“']) > count(&['”']) || has_open_quote(text) {
        Some("opens a quotation and does not close it")
    } else {
        None
    }
}

fn has_open_quote(text: &str) -> bool {
    let Some((before, after)) = text.rsplit_once('"') else {
        return false;
    };
    let opening = before
        .chars()
        .next_back()
        .is_none_or(|c| c.is_whitespace() || matches!(c, '(' | '[' | '{'));
    let odd = text.matches('"').count() % 2 == 1;
    odd && opening && after.chars().next().is_some_and(|c| !c.is_whitespace())
}

/// Golds that end within a word, each with the longer gold of its chart.
struct CutWords {
    /// The longer golds by question id and folded text.
    wholes: BTreeMap<(String, String), String>,
}

impl CutWords {
    fn find(split_charts: &[SplitChart<'_>]) -> Self {
        let mut wholes: BTreeMap<(String, String), String> =
            split_charts.par_iter().flat_map_iter(continued).collect();
        let cut: HashSet<&str> = wholes.keys().map(|(_, text)| text.as_str()).collect();
        let whole = whole_words(split_charts, &cut);
        wholes.retain(|(_, text), _| !whole.contains(last_word(text)));
        Self { wholes }
    }

    fn whole(&self, question: &str, text: &str) -> Option<&str> {
        if self.wholes.is_empty() {
            return None;
        }
        self.wholes
            .get(&(question.to_owned(), fold(text)))
            .map(String::as_str)
    }
}

/// The golds of a chart that another gold continues within a word.
fn continued(split_chart: &SplitChart<'_>) -> Vec<((String, String), String)> {
    let mut texts: Vec<(String, &str)> = Vec::new();
    for question in split_chart.questions {
        texts.extend(
            gold_texts(&question.gold)
                .into_iter()
                .map(|text| (fold(text), question.id.as_str())),
        );
    }
    texts.sort_unstable();
    // Texts that begin with a text sort right behind it.
    let mut found = Vec::new();
    for (index, (text, id)) in texts.iter().enumerate() {
        let longer = texts
            .iter()
            .skip(index + 1)
            .map(|(other, _)| other)
            .find(|other| *other != text);
        let Some(rest) = longer.and_then(|longer| longer.strip_prefix(text.as_str())) else {
            continue;
        };
        let letters = rest.chars().take_while(|c| c.is_alphabetic()).count();
        let within = text.chars().next_back().is_some_and(char::is_alphabetic) && letters >= 2;
        if within && text.contains(' ') {
            found.push((((*id).to_owned(), text.clone()), format!("{text}{rest}")));
        }
    }
    found
}

/// The last words of the `cut` texts that occur elsewhere, in a question or in another gold.
fn whole_words(split_charts: &[SplitChart<'_>], cut: &HashSet<&str>) -> HashSet<String> {
    let mut whole = HashSet::new();
    if cut.is_empty() {
        return whole;
    }
    let sought: HashSet<&str> = cut.iter().map(|text| last_word(text)).collect();
    for question in split_charts
        .iter()
        .flat_map(|split_chart| split_chart.questions)
    {
        let golds = gold_texts(&question.gold)
            .into_iter()
            .map(fold)
            .filter(|text| !cut.contains(text.as_str()));
        for text in golds.chain([fold(&question.text)]) {
            let words = text.split(|c: char| !c.is_alphanumeric());
            whole.extend(
                words
                    .filter(|word| sought.contains(word))
                    .map(str::to_owned),
            );
        }
    }
    whole
}

fn last_word(text: &str) -> &str {
    text.rsplit(|c: char| !c.is_alphanumeric())
        .next()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::testing::TestChart;

    #[test]
    fn empty_golds_are_found() {
        for text in ["", " \t", "\u{a0}", "[]", "[ ]", "['a', '']", "[1,,2]"] {
            assert!(is_empty(&text.into()), "{text:?}");
        }
        for text in ["0", "-", "[0]", "['1,200', 'b']", "[", "no"] {
            assert!(!is_empty(&text.into()), "{text:?}");
        }
        let list = |items: &[&str]| Gold::List(items.iter().map(|&item| item.into()).collect());
        assert!(
            is_empty(&list(&[]))
                && is_empty(&list(&["a", " "]))
                && is_empty(&Gold::List(vec![list(&[])]))
        );
        assert!(!is_empty(&list(&["a", "b"])));
    }

    #[test]
    fn cut_golds_are_found() {
        let cut = [
            "a (b",
            "[1, 2",
            "f(x) = {1",
            "he said \"yes",
            "(\"yes",
            "\"a\" or \"b",
            "“a",
            "Don't kno...",
            "a…",
            "x, ",
            "a<0x0A>",
        ];
        for text in cut {
            assert!(cut_short(text).is_some(), "{text:?}");
        }
        let whole = [
            "a (b)",
            "(0, 5]",
            "[0, 5)",
            "a) b",
            "5\"",
            "a 5\" pipe",
            "\"a\"",
            "rock 'n' roll",
            "o'clock",
            "a, b",
            "et al.",
            "..",
            "“a”",
            "5' 7\"",
            "<0x0A> a",
        ];
        for text in whole {
            assert_eq!(cut_short(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_word_is_cut_only_where_it_is_no_word() {
        let cut = |golds: &[&str], text: &str| {
            let asked = TestChart::with_golds(golds, text);
            check(&[asked.split_chart()]).len()
        };
        assert_eq!(
            cut(&["new HIV infec", "new HIV infections a year"], "How many?"),
            1
        );
        assert_eq!(
            cut(
                &["new HIV infec", "new HIV infections a year"],
                "Is it infec or not?"
            ),
            0,
            "a word elsewhere"
        );
        assert_eq!(
            cut(&["Niger", "Nigeria"], "Which?"),
            0,
            "one word says too little"
        );
        assert_eq!(cut(&["South Niger", "South Nigeria"], "Is Niger first?"), 0);
        assert_eq!(cut(&["the male", "the males"], "Which?"), 0, "a plural");
        assert_eq!(cut(&["in 201", "in 2013"], "When?"), 0, "numbers");
        assert_eq!(
            cut(&["new cases", "new cases a year"], "What?"),
            0,
            "a whole word"
        );
    }
}
