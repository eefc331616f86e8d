//! The differences between rows, of the same questions pairwise, and the verdict that they give.

use serde::Serialize;

use super::axis::{Axis, Estimate};
use super::rows::{Kind, Row};
use crate::report::compare::conclusion::Verdict;
use crate::report::compare::pair::{Change, Pair};
use chartbench_score::stats::{Interval, SignFlips, holm};

/// Most statements of the verdict; the table has every difference.
const MAX_STATEMENTS: usize = 4;

/// Every paired difference of the page, by the convention's first metric.
#[derive(Debug, Serialize)]
pub(super) struct Differences {
    axis: Axis,
    /// The place of no difference on the axis.
    zero: String,
    rows: Vec<Difference>,
    verdict: Vec<Statement>,
    /// Differences of the verdict's kind beyond its statements.
    more: usize,
}

/// What the verdict says of one row.
#[derive(Debug, Serialize)]
struct Statement {
    label: String,
    kind: Kind,
    score: Estimate,
    /// The difference from the run before or from the next model, by its place.
    difference: Option<usize>,
    /// The difference from the best blind row, by its place.
    blind: Option<usize>,
}

/// What two rows are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Relation {
    /// One model in a run and in the run before.
    Runs,
    /// The best model and another one.
    Models,
    /// A model and the best blind row.
    Blind,
}

/// Two rows that are compared, by their places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compared {
    relation: Relation,
    row: usize,
    against: usize,
}

/// The names of two compared rows.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Names {
    /// The adapter, where both rows are of it; they are then named by their runs.
    adapter: Option<String>,
    row: String,
    against: String,
}

/// A row's difference from another row, on the questions that both answered.
#[derive(Debug, Serialize)]
struct Difference {
    relation: Relation,
    names: Names,
    /// The row's label.
    label: String,
    outcome: Outcome,
    estimate: Estimate,
    words: Words,
    /// Questions that score higher, and lower.
    fixed: usize,
    broken: usize,
    questions: usize,
    charts: usize,
    /// Questions of the set are left out: one of the rows has no answer to them.
    partly: bool,
    /// The p-value, corrected for all tests of the relation.
    p: String,
    /// The smallest difference that four of five such comparisons find.
    detectable: Option<String>,
}

/// Points with their interval in a sentence: without signs where the outcome is a direction.
#[derive(Debug, Serialize)]
struct Words {
    points: String,
    interval: Option<String>,
}

/// The outcome of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Better,
    Worse,
    NoDifference,
    TooFew,
    Nothing,
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Better => Self::Better,
            Verdict::Worse => Self::Worse,
            Verdict::NoDifference => Self::NoDifference,
            Verdict::TooFew => Self::TooFew,
            Verdict::Nothing => Self::Nothing,
        }
    }
}

impl Compared {
    /// Each row against itself in the run before, the best model against the others, and each model
    /// against the best blind row.
    fn all(rows: &[Row<'_>]) -> Vec<Self> {
        let is_model = |row: &usize| rows.get(*row).is_some_and(|row| row.kind == Kind::Model);
        let compared = |relation, row, against| Self {
            relation,
            row,
            against,
        };
        let runs = (0..rows.len())
            .filter_map(|row| {
                let earlier = Row::earlier(rows, row)?;
                Some(compared(Relation::Runs, row, earlier))
            })
            .filter(|compared| !compared.is_same_blind_row(rows));
        let last = Row::last_models(rows);
        let others = last.iter().skip(1).filter_map(|other| {
            let best = last.first()?;
            Some(compared(Relation::Models, *best, *other))
        });
        let blind = Row::best_blind(rows);
        let models = (0..rows.len()).filter(is_model);
        let above = models.filter_map(|row| Some(compared(Relation::Blind, row, blind?)));
        runs.chain(others).chain(above).collect()
    }

    /// Those that slices show too: of a model and the run before, else of the two best models; and
    /// of the best model and the best blind row.
    pub(super) fn headlines(rows: &[Row<'_>]) -> Vec<Self> {
        let all = Self::all(rows);
        let of = |relation| {
            all.iter()
                .filter(move |compared| compared.relation == relation && !compared.is_blind(rows))
                .copied()
        };
        let mut headlines: Vec<Self> = of(Relation::Runs).take(MAX_STATEMENTS).collect();
        if headlines.is_empty() {
            headlines.extend(of(Relation::Models).next());
        }
        headlines.extend(of(Relation::Blind).next());
        headlines
    }

    /// Whether it is a blind row in two runs: a comparison counts that test, and nobody asks for it.
    fn is_blind(&self, rows: &[Row<'_>]) -> bool {
        rows.get(self.row)
            .is_some_and(|row| row.kind == Kind::Blind)
    }

    /// Whether it is a blind row that answered under the same settings: a comparison does not test it.
    fn is_same_blind_row(&self, rows: &[Row<'_>]) -> bool {
        let fingerprint = |row: usize| Some(&rows.get(row)?.entry?.fingerprint);
        self.is_blind(rows)
            && fingerprint(self.row).is_some_and(|own| Some(own) == fingerprint(self.against))
    }

    pub(super) fn names(&self, rows: &[Row<'_>]) -> Option<Names> {
        let (row, against) = (rows.get(self.row)?, rows.get(self.against)?);
        let by_run = self.relation == Relation::Runs && row.scored.run != against.scored.run;
        Some(if by_run {
            Names {
                adapter: Some(row.scored.adapter.to_owned()),
                row: row.scored.run.to_owned(),
                against: against.scored.run.to_owned(),
            }
        } else {
            Names {
                adapter: None,
                row: row.label.clone(),
                against: against.label.clone(),
            }
        })
    }

    /// The answers of the two, question by question.
    pub(super) fn pair<'a>(&self, rows: &[Row<'a>]) -> Option<Pair<'a>> {
        let (row, against) = (rows.get(self.row)?, rows.get(self.against)?);
        let names = [against.label.clone(), row.label.clone()];
        Some(Pair::new(&names, &against.scored, &row.scored, [None; 2]))
    }
}

impl Differences {
    /// `questions` is the size of the whole set.
    pub(super) fn new(rows: &[Row<'_>], questions: usize) -> Self {
        let all = Compared::all(rows);
        let mut differences: Vec<Difference> = Vec::new();
        for relation in [Relation::Runs, Relation::Models, Relation::Blind] {
            let related = all.iter().filter(|compared| compared.relation == relation);
            differences.extend(tested(rows, related, questions));
        }
        // Every difference is read against zero.
        let zero = Estimate::difference(Some(0.0), None);
        let estimates = differences.iter().map(|difference| &difference.estimate);
        let axis = Axis::around(estimates.chain([&zero]), (-100.0, 100.0));
        for difference in &mut differences {
            difference.estimate.put_on(&axis);
        }
        let mut verdict = statements(rows, &differences);
        let more = verdict.len().saturating_sub(MAX_STATEMENTS);
        verdict.truncate(MAX_STATEMENTS);
        Self {
            zero: axis.place(0.0),
            axis,
            rows: differences,
            verdict,
            more,
        }
    }

    /// A row's difference from the best blind row.
    pub(super) fn above_blind(&self, label: &str) -> Option<Estimate> {
        let found = self
            .rows
            .iter()
            .find(|difference| difference.relation == Relation::Blind && difference.label == label);
        found.map(|difference| difference.estimate.clone())
    }
}

/// The differences of one relation: their p-values are corrected for all of its tests, those of the
/// convention's other metrics included, as those of a comparison are.
fn tested<'c>(
    rows: &[Row<'_>],
    related: impl Iterator<Item = &'c Compared>,
    questions: usize,
) -> Vec<Difference> {
    let changes: Vec<(&Compared, Vec<Change>)> = related
        .filter_map(|compared| {
            let changes = compared.pair(rows)?.changes(&SignFlips::default());
            Some((
                compared,
                changes.into_iter().map(|(_, change)| change).collect(),
            ))
        })
        .collect();
    let p: Vec<f64> = changes
        .iter()
        .flat_map(|(_, changes)| changes.iter().map(|change| change.p))
        .collect();
    let mut corrected = holm(&p).into_iter();
    changes
        .iter()
        .filter_map(|(compared, changes)| {
            let holm: Vec<f64> = corrected.by_ref().take(changes.len()).collect();
            let (change, holm) = (changes.first()?, *holm.first()?);
            if compared.is_blind(rows) {
                return None;
            }
            Difference::new(rows, compared, change, holm, questions)
        })
        .collect()
}

impl Difference {
    fn new(
        rows: &[Row<'_>],
        compared: &Compared,
        change: &Change,
        holm: f64,
        questions: usize,
    ) -> Option<Self> {
        let outcome = Outcome::from(Verdict::new(change, holm));
        Some(Self {
            relation: compared.relation,
            names: compared.names(rows)?,
            label: rows.get(compared.row)?.label.clone(),
            outcome,
            estimate: Estimate::difference(change.difference(), change.interval),
            words: Words::new(outcome, change),
            fixed: change.fixed,
            broken: change.broken,
            questions: change.questions,
            charts: change.charts,
            partly: rows
                .get(compared.row)
                .into_iter()
                .chain(rows.get(compared.against))
                .any(|row| row.scored.records.len() < questions),
            p: change.probability(holm).format_display(),
            detectable: change.detectable.map(|points| format!("{points:.1}")),
        })
    }
}

impl Words {
    fn new(outcome: Outcome, change: &Change) -> Self {
        let points = change.difference().unwrap_or(0.0);
        let interval = |Interval { low, high }: Interval| match outcome {
            Outcome::Better => format!("{low:.1} to {high:.1}"),
            Outcome::Worse => format!("{:.1} to {:.1}", -high, -low),
            _ => format!("{low:+.1} to {high:+.1}"),
        };
        Self {
            points: match outcome {
                Outcome::Better => format!("{points:.1}"),
                Outcome::Worse => format!("{:.1}", -points),
                _ => format!("{points:+.1}"),
            },
            interval: change.interval.map(interval),
        }
    }
}

/// A statement for each model that a run before holds too, and for the best of several models, or
/// of the rows where there is no model.
fn statements(rows: &[Row<'_>], differences: &[Difference]) -> Vec<Statement> {
    let place = |relation: Relation, label: &str| {
        differences
            .iter()
            .position(|difference| difference.relation == relation && difference.label == label)
    };
    let statement = |row: &Row<'_>, difference: Option<usize>| Statement {
        label: row.label.clone(),
        kind: row.kind,
        score: Estimate::all(&row.scored.aggregate())
            .into_iter()
            .next()
            .unwrap_or_else(|| Estimate::new(None, None)),
        difference,
        blind: place(Relation::Blind, &row.label),
    };
    let runs = rows
        .iter()
        .filter_map(|row| Some(statement(row, Some(place(Relation::Runs, &row.label)?))));
    let mut statements: Vec<Statement> = runs.collect();
    let models = Row::last_models(rows);
    let best = models.first().copied().unwrap_or(0);
    if let Some(row) = rows
        .get(best)
        .filter(|_| models.len() > 1 || statements.is_empty())
    {
        let mut best = statement(row, place(Relation::Models, &row.label));
        if statements.iter().any(|other| other.label == best.label) {
            best.blind = None;
        }
        statements.push(best);
    }
    statements
}
