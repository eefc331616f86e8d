//! Problems of single answers of a readable file.

use std::fmt;

/// The location of an answer, e.g. `line 7`, or `PMC1.json, record 3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file or the chart, if there are several.
    pub part: Option<String>,
    /// The unit that `number` counts.
    pub unit: Unit,
    /// From 1.
    pub number: u32,
}

/// The unit that a location counts.
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

impl fmt::Display for Location {
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

/// A reason why a prediction cannot be scored as it is, or a choice that was made; each is one
/// line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A prediction without a gold of its id. It is left out.
    NoGold {
        /// The prediction's id.
        id: String,
        /// The line, record or row of the prediction.
        location: Location,
    },
    /// A prediction whose id, a bare `qa_id` of RealCQA, matches the golds of several charts. It is
    /// left out.
    SeveralGolds {
        /// The prediction's id, without a chart.
        id: String,
        /// The line, record or row of the prediction.
        location: Location,
    },
    /// A gold answer without prediction, with its location if it is from a file.
    NoPrediction {
        /// The gold's id.
        id: String,
        /// The gold's line, record or row; `None` if the golds are not from a file.
        location: Option<Location>,
    },
    /// A prediction that is `null`, with the reason if the file contains one.
    Failed {
        /// The prediction's id, or without ids its number.
        id: String,
        /// The line, record or row of the prediction.
        location: Location,
        /// The error that the file gives for the prediction; `None` if it has none.
        reason: Option<String>,
    },
    /// A duplicate id. The first counts.
    DuplicateId {
        /// The kind of id: `id`, `gold id`, or `prediction` where two rows have the same gold.
        what: &'static str,
        /// The id that occurs twice.
        id: String,
        /// The row that counts.
        first: Location,
        /// The row that is left out.
        again: Location,
    },
    /// A gold of the file that differs from the separate gold. The separate one counts.
    GoldsDiffer {
        /// The id of prediction and gold.
        id: String,
        /// The row of the file that has predictions.
        location: Location,
        /// The gold as text in the file of predictions.
        own: String,
        /// The gold as text in the separate golds.
        separate: String,
    },
    /// Rows with an unknown answer type. They are read as rows without an answer type.
    AnswerTypes {
        /// The number of such rows.
        rows: u32,
        /// The first such row.
        first: Location,
        /// The answer type of the first such row, as written.
        example: String,
    },
    /// Records with several responses. The first of each counts.
    SeveralResponses {
        /// The number of such records.
        rows: u32,
        /// The first such record.
        first: Location,
    },
    /// Records with several targets, each of which is right. The first of each counts.
    SeveralTargets {
        /// The number of such records.
        rows: u32,
        /// The first such record.
        first: Location,
    },
    /// Rows of lm-eval's further filters, or of inspect's further epochs. Rows of the file's first filter count.
    OtherFilters {
        /// The name of the file's first filter, whose rows count.
        counts: String,
        /// The number of rows that are left out.
        rows: u32,
        /// The first row that is left out.
        first: Location,
        /// The name of that row's filter.
        example: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoGold { id, location } => write!(
                f,
                "prediction `{}` ({location}) has no gold answer",
                OneLine(id)
            ),
            Self::SeveralGolds { id, location } => {
                write!(
                    f,
                    "prediction `{}` ({location}) fits the golds of several charts: write CHART/ before it",
                    OneLine(id)
                )
            }
            Self::NoPrediction {
                id,
                location: Some(location),
            } => {
                write!(f, "gold `{}` ({location}) has no prediction", OneLine(id))
            }
            Self::NoPrediction { id, location: None } => {
                write!(f, "gold `{}` has no prediction", OneLine(id))
            }
            Self::Failed {
                id,
                location,
                reason: None,
            } => {
                write!(f, "prediction `{}` ({location}) is null", OneLine(id))
            }
            Self::Failed {
                id,
                location,
                reason: Some(reason),
            } => {
                write!(
                    f,
                    "prediction `{}` ({location}) is null: {}",
                    OneLine(id),
                    OneLine(reason)
                )
            }
            Self::DuplicateId {
                what,
                id,
                first,
                again,
            } => {
                write!(
                    f,
                    "{what} `{}` stands twice ({first} and {again}): the first counts",
                    OneLine(id)
                )
            }
            Self::GoldsDiffer {
                id,
                location,
                own,
                separate,
            } => write!(
                f,
                "the gold of `{}` ({location}) is `{}` in the file, `{}` in the separate golds: the latter counts",
                OneLine(id),
                OneLine(own),
                OneLine(separate)
            ),
            Self::AnswerTypes {
                rows,
                first,
                example,
            } => write!(
                f,
                "{} with an unknown answer type (the first, `{}`, at {first}): read as without one",
                Rows(*rows),
                OneLine(example)
            ),
            Self::SeveralResponses { rows, first } => {
                write!(
                    f,
                    "{} with several responses (the first at {first}): the first of each counts",
                    Rows(*rows)
                )
            }
            Self::SeveralTargets { rows, first } => {
                write!(
                    f,
                    "{} with several targets (the first at {first}): the first of each counts",
                    Rows(*rows)
                )
            }
            Self::OtherFilters {
                counts,
                rows,
                first,
                example,
            } => write!(
                f,
                "{} of other filters left out (the first, of `{}`, at {first}): the file's first filter, `{}`, counts",
                Rows(*rows),
                OneLine(example),
                OneLine(counts)
            ),
        }
    }
}

/// One line for each kind of problem, in the order of first occurrence: a single problem as it is,
/// several with their number and the first of them.
pub fn summarize(problems: &[Problem]) -> Vec<String> {
    let mut kinds: Vec<(&Problem, usize)> = Vec::new();
    for problem in problems {
        match kinds.iter_mut().find(|(first, _)| first.is_like(problem)) {
            Some((_, count)) => *count += 1,
            None => kinds.push((problem, 1)),
        }
    }
    let line = |(first, count): (&Problem, usize)| {
        if count == 1 {
            first.to_string()
        } else {
            first.describe(count)
        }
    };
    kinds.into_iter().map(line).collect()
}

impl Problem {
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::DuplicateId { what, .. }, Self::DuplicateId { what: other, .. }) => {
                what == other
            }
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    /// `count` problems of this kind, of which this is the first.
    fn describe(&self, count: usize) -> String {
        match self {
            Self::NoGold { id, location } => {
                format!(
                    "{count} predictions have no gold answer (the first: `{}`, {location})",
                    OneLine(id)
                )
            }
            Self::SeveralGolds { id, location } => format!(
                "{count} predictions fit the golds of several charts (the first: `{}`, {location}): write CHART/ before \
                 their ids",
                OneLine(id)
            ),
            Self::NoPrediction { id, location } => {
                let location = location
                    .as_ref()
                    .map(|location| format!(", {location}"))
                    .unwrap_or_default();
                format!(
                    "{count} golds have no prediction (the first: `{}`{location})",
                    OneLine(id)
                )
            }
            Self::Failed {
                id,
                location,
                reason,
            } => {
                let reason = reason
                    .as_ref()
                    .map(|reason| format!(": {}", OneLine(reason)))
                    .unwrap_or_default();
                format!(
                    "{count} predictions are null (the first: `{}`, {location}{reason})",
                    OneLine(id)
                )
            }
            Self::DuplicateId {
                what,
                id,
                first,
                again,
            } => format!(
                "{count} times a {what} stands twice (first `{}`, {first} and {again}): the first of each counts",
                OneLine(id)
            ),
            Self::GoldsDiffer {
                id,
                location,
                own,
                separate,
            } => format!(
                "{count} golds differ from the separate ones (the first: `{}`, {location}, `{}` in the file, `{}` in the \
                 separate golds): the latter count",
                OneLine(id),
                OneLine(own),
                OneLine(separate)
            ),
            Self::AnswerTypes { .. }
            | Self::SeveralResponses { .. }
            | Self::SeveralTargets { .. }
            | Self::OtherFilters { .. } => self.to_string(),
        }
    }
}

struct Rows(u32);

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, if self.0 == 1 { "row" } else { "rows" })
    }
}

/// Most characters of a text from outside in a message.
const MAX_CHARS: usize = 60;

/// A text from outside in a message of one line: control characters are escaped, and long texts are
/// cut.
pub(super) struct OneLine<'a>(pub(super) &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for (index, character) in self.0.chars().enumerate() {
            if index == MAX_CHARS {
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
