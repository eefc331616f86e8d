//! What is wrong with single answers of a file that can be read as a whole.

use std::fmt;

/// Where an answer stands, e.g. `line 7`, or `PMC1.json, record 3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, or the chart, where there are several.
    pub part: Option<String>,
    pub unit: Unit,
    /// From 1.
    pub number: u32,
}

/// What a place counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Lines of a text file, the header's included.
    #[default]
    Line,
    /// Records of a JSON list or object.
    Record,
    /// Rows of a spreadsheet, the header's included.
    Row,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(part) = &self.part {
            write!(f, "{}, ", OneLine(part))?;
        }
        write!(f, "{} {}", self.unit, self.number)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Line => "line",
            Self::Record => "record",
            Self::Row => "row",
        })
    }
}

/// Something that keeps a prediction from being scored as it stands, or a choice that had to be made; one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A prediction whose id is none of the golds'. It is left out.
    NoGold { id: String, place: Place },
    /// A prediction whose id, RealCQA's `qa_id` alone, stands for several charts' golds. It is left out.
    SeveralGolds { id: String, place: Place },
    /// A gold answer without prediction. `place` is where the gold stands, if it is from a file.
    NoPrediction { id: String, place: Option<Place> },
    /// A prediction that is `null`, with the reason where the file tells one.
    Failed { id: String, place: Place, reason: Option<String> },
    /// An id that stands twice. The first counts.
    Doubled { what: &'static str, id: String, first: Place, again: Place },
    /// A file with golds of its own, one of which is not what the separate golds say. The separate one counts.
    GoldsDiffer { id: String, place: Place, own: String, separate: String },
    /// Rows whose answer type is none of RealCQA's. They are read as rows without.
    AnswerTypes { rows: u32, first: Place, example: String },
    /// Records with several responses. The first of each counts.
    SeveralResponses { rows: u32, first: Place },
    /// lm-eval's rows of a further filter. Those of the first filter in the file count.
    OtherFilters { counts: String, rows: u32, first: Place, example: String },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoGold { id, place } => write!(f, "prediction `{}` ({place}) has no gold answer", OneLine(id)),
            Self::SeveralGolds { id, place } => {
                write!(
                    f,
                    "prediction `{}` ({place}) fits the golds of several charts: write CHART/ before it",
                    OneLine(id)
                )
            }
            Self::NoPrediction { id, place: Some(place) } => {
                write!(f, "gold `{}` ({place}) has no prediction", OneLine(id))
            }
            Self::NoPrediction { id, place: None } => write!(f, "gold `{}` has no prediction", OneLine(id)),
            Self::Failed { id, place, reason: None } => write!(f, "prediction `{}` ({place}) is null", OneLine(id)),
            Self::Failed { id, place, reason: Some(reason) } => {
                write!(f, "prediction `{}` ({place}) is null: {}", OneLine(id), OneLine(reason))
            }
            Self::Doubled { what, id, first, again } => {
                write!(f, "{what} `{}` stands twice ({first} and {again}): the first counts", OneLine(id))
            }
            Self::GoldsDiffer { id, place, own, separate } => write!(
                f,
                "the gold of `{}` ({place}) is `{}` in the file, `{}` in the separate golds: the latter counts",
                OneLine(id),
                OneLine(own),
                OneLine(separate)
            ),
            Self::AnswerTypes { rows, first, example } => write!(
                f,
                "{} with an unknown answer type (the first, `{}`, at {first}): read as without one",
                Rows(*rows),
                OneLine(example)
            ),
            Self::SeveralResponses { rows, first } => {
                write!(f, "{} with several responses (the first at {first}): the first of each counts", Rows(*rows))
            }
            Self::OtherFilters { counts, rows, first, example } => write!(
                f,
                "{} of other filters left out (the first, of `{}`, at {first}): the file's first filter, `{}`, counts",
                Rows(*rows),
                OneLine(example),
                OneLine(counts)
            ),
        }
    }
}

/// One line for each kind of problem, in the order in which the kinds come up: a single problem as it is, several with their
/// number and the first of them.
pub fn summarize(problems: &[Problem]) -> Vec<String> {
    let mut kinds: Vec<(&Problem, usize)> = Vec::new();
    for problem in problems {
        match kinds.iter_mut().find(|(first, _)| first.is_like(problem)) {
            Some((_, count)) => *count += 1,
            None => kinds.push((problem, 1)),
        }
    }
    let line = |(first, count): (&Problem, usize)| if count == 1 { first.to_string() } else { first.describe(count) };
    kinds.into_iter().map(line).collect()
}

impl Problem {
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Doubled { what, .. }, Self::Doubled { what: other, .. }) => what == other,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    /// `count` problems of this kind, of which this is the first.
    fn describe(&self, count: usize) -> String {
        match self {
            Self::NoGold { id, place } => {
                format!("{count} predictions have no gold answer (the first: `{}`, {place})", OneLine(id))
            }
            Self::SeveralGolds { id, place } => format!(
                "{count} predictions fit the golds of several charts (the first: `{}`, {place}): write CHART/ before \
                 their ids",
                OneLine(id)
            ),
            Self::NoPrediction { id, place } => {
                let place = place.as_ref().map(|place| format!(", {place}")).unwrap_or_default();
                format!("{count} golds have no prediction (the first: `{}`{place})", OneLine(id))
            }
            Self::Failed { id, place, reason } => {
                let reason = reason.as_ref().map(|reason| format!(": {}", OneLine(reason))).unwrap_or_default();
                format!("{count} predictions are null (the first: `{}`, {place}{reason})", OneLine(id))
            }
            Self::Doubled { what, id, first, again } => format!(
                "{count} times a {what} stands twice (first `{}`, {first} and {again}): the first of each counts",
                OneLine(id)
            ),
            Self::GoldsDiffer { id, place, own, separate } => format!(
                "{count} golds differ from the separate ones (the first: `{}`, {place}, `{}` in the file, `{}` in the \
                 separate golds): the latter count",
                OneLine(id),
                OneLine(own),
                OneLine(separate)
            ),
            Self::AnswerTypes { .. } | Self::SeveralResponses { .. } | Self::OtherFilters { .. } => self.to_string(),
        }
    }
}

struct Rows(u32);

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, if self.0 == 1 { "row" } else { "rows" })
    }
}

/// How many characters of a foreign text a message shows.
const SHOWN: usize = 60;

/// A text of unknown content inside a one-line message: control characters escaped, cut when it is long.
pub(super) struct OneLine<'a>(pub(super) &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for (index, character) in self.0.chars().enumerate() {
            if index == SHOWN {
                return f.write_str("...");
            }
            if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
                write!(f, "{}", character.escape_default())?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}
