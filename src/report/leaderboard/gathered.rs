//! One adapter's answers as they are read: what they add up to, overall and in each slice.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::published::{OwnResult, PublishedMatch, difference};
use crate::config::Published;
use crate::report::scored::score;
use crate::report::{Dimension, Key, Totals};
use crate::run::store::{AdapterEntry, Manifest, PredictionRecord};
use chartbench_score::metric::{Convention, Scores};

pub(super) struct Gathered<'o> {
    convention: &'static Convention,
    dimensions: &'o [Dimension],
    pub(super) overall: Totals,
    /// Of each dimension, by value; answers without one are in none.
    pub(super) slices: Vec<BTreeMap<Key, Totals>>,
    published: Vec<PublishedMatch>,
}

impl<'o> Gathered<'o> {
    /// Of no answer yet.
    pub(super) fn new(
        adapter: &str,
        convention: &'static Convention,
        dimensions: &'o [Dimension],
        published: &[Published],
    ) -> Self {
        Self {
            convention,
            dimensions,
            overall: Totals::new(convention),
            slices: dimensions.iter().map(|_| BTreeMap::new()).collect(),
            published: PublishedMatch::all(published, adapter),
        }
    }

    /// Counts more of the answers.
    pub(super) fn add(&mut self, records: &[PredictionRecord]) {
        let convention = self.convention;
        let scores: Vec<Scores> = records.par_iter().map(|record| score(record, convention)).collect();
        let scored = || records.iter().zip(&scores);
        let slices = &mut self.slices;
        rayon::join(
            || scored().for_each(|(record, scores)| self.overall.add(record, scores)),
            || {
                self.dimensions.par_iter().zip(slices).for_each(|(dimension, parts)| {
                    for (record, scores) in scored() {
                        let Some(key) = dimension.key(record) else { continue };
                        parts.entry(key).or_insert_with(|| Totals::new(convention)).add(record, scores);
                    }
                });
            },
        );
        self.published.iter_mut().for_each(|tally| tally.add(records));
    }

    /// The published results about this adapter, as `run` has them.
    pub(super) fn published(&self, run: &Manifest, entry: Option<&AdapterEntry>) -> impl Iterator<Item = OwnResult> {
        let difference = difference(run, entry, self.overall.questions());
        let name = entry.map_or_else(|| run.name.clone(), |entry| run.remarked(&entry.id, &run.name));
        self.published.iter().filter_map(move |tally| tally.own_result(&name, difference.clone()))
    }
}
