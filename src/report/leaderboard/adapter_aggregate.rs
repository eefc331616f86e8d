//! The aggregates of one adapter's answers, overall and in each slice.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::published::{OwnResult, PublishedMatch, difference};
use crate::config::Published;
use crate::report::scored::scores;
use crate::report::{Aggregate, SliceBy, SliceValue};
use crate::run::store::{AdapterEntry, Manifest, PredictionRecord};
use chartbench_score::metric::Convention;

pub(super) struct AdapterAggregate<'o> {
    convention: &'static Convention,
    slices_by: &'o [SliceBy],
    pub(super) overall: Aggregate,
    /// The aggregates of each property, by value; answers without a value are in none.
    pub(super) slices: Vec<BTreeMap<SliceValue, Aggregate>>,
    published: Vec<PublishedMatch>,
}

impl<'o> AdapterAggregate<'o> {
    /// An aggregate of no answers.
    pub(super) fn new(
        adapter: &str,
        convention: &'static Convention,
        slices_by: &'o [SliceBy],
        published: &[Published],
    ) -> Self {
        Self {
            convention,
            slices_by,
            overall: Aggregate::new(convention),
            slices: slices_by.iter().map(|_| BTreeMap::new()).collect(),
            published: PublishedMatch::all(published, adapter),
        }
    }

    /// Adds answers, among which pairs of assertions are whole.
    pub(super) fn add(&mut self, records: &[PredictionRecord]) {
        let convention = self.convention;
        let scores = scores(records, convention);
        let scored = || records.iter().zip(&scores);
        let slices = &mut self.slices;
        rayon::join(
            || scored().for_each(|(record, scores)| self.overall.add(record, scores)),
            || {
                self.slices_by
                    .par_iter()
                    .zip(slices)
                    .for_each(|(slice_by, parts)| {
                        for (record, scores) in scored() {
                            let Some(key) = slice_by.key(record) else {
                                continue;
                            };
                            parts
                                .entry(key)
                                .or_insert_with(|| Aggregate::new(convention))
                                .add(record, scores);
                        }
                    });
            },
        );
        self.published
            .iter_mut()
            .for_each(|published| published.add(records));
    }

    /// The run's own values of the published results about this adapter.
    pub(super) fn published(
        &self,
        run: &Manifest,
        entry: Option<&AdapterEntry>,
    ) -> impl Iterator<Item = OwnResult> {
        let difference = difference(run, entry, self.overall.questions());
        let name = entry.map_or_else(
            || run.name.clone(),
            |entry| run.remarked(&entry.id, &run.name),
        );
        self.published
            .iter()
            .filter_map(move |published| published.own_result(&name, difference.clone()))
    }
}
