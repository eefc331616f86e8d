//! ChartQAPro's year flags: which elements of an answer are years, and so have to be equal.

use super::Gold;

/// The field of ChartQAPro's rows with the flags, and the slice that keeps it.
pub const YEAR: &str = "Year";
/// The field of ChartQAPro's rows that separates single questions from conversations, and the slice
/// that keeps it.
pub const QUESTION_TYPE: &str = "Question Type";

/// One `YES` or `NO` for each element of an answer, as a text: `YES`, `NO, YES`, `['NO', 'YES']`.
///
/// ```
/// use chartbench_core::question::YearFlags;
/// let flags = YearFlags::new("['NO', 'YES']", None);
/// assert_eq!([0, 1, 2].map(|element| flags.is_year(element)), [false, true, false]);
/// assert_eq!(YearFlags::new("2019", None), YearFlags::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct YearFlags<'a>(&'a str);

impl<'a> YearFlags<'a> {
    /// The flags written in `text`; no flags where it contains anything but `YES` and `NO`. A
    /// conversation has the flags of all its turns, and its last turn is the question.
    pub fn new(text: &'a str, question_type: Option<&str>) -> Self {
        let flags = match question_type {
            Some("Conversational") => Self(Self(text).items().last().unwrap_or_default()),
            _ => Self(text),
        };
        let valid = |flag: &str| {
            ["YES", "NO"]
                .iter()
                .any(|name| flag.eq_ignore_ascii_case(name))
        };
        if flags.items().all(valid) {
            flags
        } else {
            Self::default()
        }
    }

    /// The flags among a question's slices.
    pub fn from_slices(get: impl Fn(&str) -> Option<&'a str>) -> Self {
        get(YEAR)
            .map(|text| Self::new(text, get(QUESTION_TYPE)))
            .unwrap_or_default()
    }

    /// Whether the element at `index` is a year. Where elements outnumber the flags, the flags
    /// repeat from the first on.
    pub fn is_year(self, index: usize) -> bool {
        let count = self.items().count().max(1);
        self.items()
            .nth(index % count)
            .is_some_and(|flag| flag.eq_ignore_ascii_case("YES"))
    }

    /// The flags as they are written; `None` without flags.
    pub fn text(self) -> Option<&'a str> {
        (!self.0.is_empty()).then_some(self.0)
    }

    fn items(self) -> impl Iterator<Item = &'a str> {
        self.0
            .split(',')
            .map(|flag| flag.trim_matches([' ', '[', ']', '\'', '"']))
    }
}

impl Gold {
    /// The answer to the last turn, of a list with one answer for each turn of a conversation.
    #[must_use]
    pub fn last_turn(self) -> Self {
        match self {
            Self::List(mut turns) => turns.pop().unwrap_or(Self::List(turns)),
            text @ Self::Text(_) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn years(text: &str, question_type: Option<&str>) -> [bool; 3] {
        let flags = YearFlags::new(text, question_type);
        [0, 1, 2].map(|index| flags.is_year(index))
    }

    #[test]
    fn flags_are_read_in_every_spelling() {
        assert_eq!(years("YES", None), [true; 3], "one flag is all elements'");
        assert_eq!(
            years("no, Yes", None),
            [false, true, false],
            "two flags are repeated"
        );
        assert_eq!(years("[\"YES\",\"NO\"]", None), [true, false, true]);
        assert_eq!(
            years("['NO', 'YES']", Some("Factoid")),
            [false, true, false]
        );
        assert_eq!(
            years("['NO', 'YES']", Some("Conversational")),
            [true; 3],
            "the last turn's"
        );
        assert_eq!(years("YES, NO", Some("Conversational")), [false; 3]);
        for other in ["", "[]", "2019", "YES, 2019", "YES,"] {
            assert_eq!(YearFlags::new(other, None), YearFlags::default(), "{other}");
        }
    }

    #[test]
    fn the_last_turn_is_the_answer() {
        let turns = Gold::List(vec!["a".into(), Gold::List(vec!["b".into(), "c".into()])]);
        assert_eq!(turns.last_turn(), Gold::List(vec!["b".into(), "c".into()]));
        assert_eq!(Gold::List(Vec::new()).last_turn(), Gold::List(Vec::new()));
        assert_eq!(Gold::from("a").last_turn(), Gold::from("a"));
    }
}
