//! The rows' scores along each property that the data set knows.

use std::collections::BTreeMap;

use serde::Serialize;

use super::axis::{Axis, Estimate};
use super::differences::{Compared, Names};
use super::rows::{Kind, Row};
use crate::report::{Aggregate, SliceBy, SliceValue};
use chartbench_score::stats::SignFlips;

/// One property with its values.
#[derive(Debug, Serialize)]
pub(super) struct Slicing {
    name: String,
    axis: Axis,
    values: Vec<Slice>,
}

/// One value of a property with the rows' scores on its questions.
#[derive(Debug, Serialize)]
pub(super) struct Slice {
    value: String,
    questions: usize,
    charts: usize,
    too_few: bool,
    /// No row scores anything.
    all_zero: bool,
    blind: Option<BlindWins>,
    rows: Vec<SliceRow>,
    /// Paired differences on the slice's questions; none where they are too few.
    differences: Vec<SliceDifference>,
}

/// A blind row that no model scores above.
#[derive(Debug, Serialize)]
struct BlindWins {
    label: String,
    /// The best model scores the same.
    is_tie: bool,
}

#[derive(Debug, Serialize)]
struct SliceRow {
    label: String,
    kind: Kind,
    /// The score of the convention's first metric.
    score: Estimate,
}

#[derive(Debug, Serialize)]
struct SliceDifference {
    names: Names,
    estimate: Estimate,
}

impl Slicing {
    /// Those that some question has a value of.
    pub(super) fn all(rows: &[Row<'_>]) -> Vec<Self> {
        let slices_by = SliceBy::recorded(
            rows.iter()
                .flat_map(|row| row.scored.records.iter().copied()),
        );
        let headlines = Compared::headlines(rows);
        let slicings = slices_by
            .into_iter()
            .map(|slice_by| Self::new(&slice_by, rows, &headlines));
        slicings
            .filter(|slicing| !slicing.values.is_empty())
            .collect()
    }

    fn new(slice_by: &SliceBy, rows: &[Row<'_>], headlines: &[Compared]) -> Self {
        let mut values: BTreeMap<SliceValue, Slice> = BTreeMap::new();
        for row in rows {
            for (key, part) in slice_by.parts(&row.scored) {
                let value = key.as_str().to_owned();
                values
                    .entry(key)
                    .or_insert_with(|| Slice::empty(value))
                    .add(row, &part.aggregate());
            }
        }
        for compared in headlines {
            let (Some(pair), Some(names)) = (compared.pair(rows), compared.names(rows)) else {
                continue;
            };
            for (key, part) in pair.parts(slice_by) {
                let Some(slice) = values.get_mut(&key).filter(|slice| !slice.too_few) else {
                    continue;
                };
                let change = part.changes(&SignFlips::default()).into_iter().next();
                slice
                    .differences
                    .extend(change.map(|(_, change)| SliceDifference {
                        names: names.clone(),
                        estimate: Estimate::difference(change.difference(), change.interval),
                    }));
            }
        }
        let mut values: Vec<Slice> = values.into_values().collect();
        values.iter_mut().for_each(Slice::conclude);
        // The wide intervals of too few questions would leave no room for the others.
        let any = values.iter().any(|slice| !slice.too_few);
        let drawn = values.iter().filter(|slice| !(any && slice.too_few));
        let estimates = drawn.flat_map(|slice| slice.rows.iter().map(|row| &row.score));
        let axis = Axis::around(estimates, (0.0, 100.0));
        for row in values.iter_mut().flat_map(|slice| &mut slice.rows) {
            row.score.put_on(&axis);
        }
        Self {
            name: slice_by.to_string(),
            axis,
            values,
        }
    }
}

impl Slice {
    fn empty(value: String) -> Self {
        Self {
            value,
            questions: 0,
            charts: 0,
            too_few: true,
            all_zero: false,
            blind: None,
            rows: Vec::new(),
            differences: Vec::new(),
        }
    }

    fn add(&mut self, row: &Row<'_>, part: &Aggregate) {
        let score = Estimate::all(part).into_iter().next();
        self.rows.extend(score.map(|score| SliceRow {
            label: row.label.clone(),
            kind: row.kind,
            score,
        }));
        // Unfinished rows have fewer questions.
        self.questions = self.questions.max(part.questions());
        self.charts = self.charts.max(part.charts());
        self.too_few &= part.too_few();
    }

    /// Says what the scores of all rows show together.
    fn conclude(&mut self) {
        self.all_zero = self.rows.iter().all(|row| row.score.value() == Some(0.0));
        let best = |kind: Kind| {
            let of_kind = self.rows.iter().filter(move |row| row.kind == kind);
            of_kind
                .filter_map(|row| Some((row, row.score.value()?)))
                .max_by(|(_, a), (_, b)| a.total_cmp(b))
        };
        self.blind = best(Kind::Blind)
            .zip(best(Kind::Model))
            .filter(|((_, blind), (_, model))| *blind > 0.0 && blind >= model)
            .map(|((row, blind), (_, model))| BlindWins {
                label: row.label.clone(),
                is_tie: blind <= model,
            });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(rows: &[(Kind, f64)]) -> Slice {
        let row = |&(kind, score): &(Kind, f64)| SliceRow {
            label: format!("{kind:?} {score}"),
            kind,
            score: Estimate::new(Some(score), None),
        };
        let mut slice = Slice::empty("bar".to_owned());
        slice.rows = rows.iter().map(row).collect();
        slice.conclude();
        slice
    }

    #[test]
    fn a_slice_says_which_blind_row_no_model_beats() {
        let wins = |rows: &[(Kind, f64)]| {
            let wins = slice(rows).blind?;
            Some((wins.label, wins.is_tie))
        };
        let (model, blind) = (Kind::Model, Kind::Blind);
        let higher = wins(&[(model, 30.0), (blind, 40.0), (model, 20.0), (blind, 10.0)]);
        assert_eq!(higher, Some(("Blind 40".to_owned(), false)));
        let same = wins(&[(model, 40.0), (blind, 40.0)]);
        assert_eq!(same, Some(("Blind 40".to_owned(), true)));
        assert_eq!(wins(&[(model, 40.5), (blind, 40.0)]), None);
        assert_eq!(wins(&[(model, 0.0), (blind, 0.0)]), None);
        assert_eq!(wins(&[(blind, 10.0), (Kind::Oracle, 5.0)]), None);
    }

    #[test]
    fn a_slice_in_which_every_row_scores_0_is_known() {
        assert!(slice(&[(Kind::Model, 0.0), (Kind::Blind, 0.0)]).all_zero);
        assert!(!slice(&[(Kind::Model, 0.0), (Kind::Blind, 1.0)]).all_zero);
    }
}
