//! Counts what is left out or read otherwise than it is written, for one line of each kind.

use std::collections::BTreeMap;

use chartbench_core::terminal::shorten;

/// Questions whose answer is `null` or not a number.
pub(super) const NO_ANSWER: &str = "questions without an answer (null or NaN), left out";
/// Records whose question is `null` or empty.
pub(super) const NO_QUESTION: &str = "records without a question, left out";
/// Files without any record among others.
pub(super) const EMPTY_FILE: &str = "files without any record, passed over";
/// Image files that differ in upper and lower case from their name in the questions.
pub(super) const OTHER_CASE: &str = "images found under their name in another case";
/// Records with an id that an earlier one has.
pub(super) const ID_TWICE: &str = "ids of an earlier record, followed by the number of the row";
/// Records with more images than the one that a question is about.
pub(super) const MORE_IMAGES: &str = "records with several images, of which the first is shown";

/// Notes about a data set while it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Notes {
    lines: Vec<String>,
    counts: BTreeMap<&'static str, Count>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Count {
    count: usize,
    first: String,
}

impl Notes {
    /// Adds a line of its own.
    pub(super) fn add(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// Counts one more of `kind`; `place` is called for the first.
    pub(super) fn count(&mut self, kind: &'static str, place: impl FnOnce() -> String) {
        self.counts
            .entry(kind)
            .and_modify(|entry| entry.count += 1)
            .or_insert_with(|| Count {
                count: 1,
                first: shorten(&place()),
            });
    }

    /// Adds the notes about what is read later.
    pub(super) fn extend(&mut self, later: Self) {
        self.lines.extend(later.lines);
        for (kind, Count { count, first }) in later.counts {
            self.counts
                .entry(kind)
                .and_modify(|entry| entry.count += count)
                .or_insert(Count { count, first });
        }
    }

    /// The lines, each kind in one.
    pub(super) fn into_lines(self) -> Vec<String> {
        let counted = self
            .counts
            .into_iter()
            .map(|(kind, Count { count, first })| format!("{kind}: {count}, first {first}"));
        self.lines.into_iter().chain(counted).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_one_line() {
        let mut notes = Notes::default();
        notes.count(NO_ANSWER, || "[3]".to_owned());
        notes.add("no part file of humans");
        let mut later = Notes::default();
        later.count(NO_ANSWER, || "[7]".to_owned());
        later.count(EMPTY_FILE, || "a.json".to_owned());
        notes.extend(later);
        assert_eq!(
            notes.into_lines(),
            [
                "no part file of humans",
                "files without any record, passed over: 1, first a.json",
                "questions without an answer (null or NaN), left out: 2, first [3]",
            ]
        );
    }
}
