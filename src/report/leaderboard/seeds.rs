//! Adapters that were trained more than once, from different seeds.

use super::row::Row;
use crate::report::table::{Cell, Column, Table};
use crate::run::store::{AdapterEntry, Manifest};
use chartbench_score::metric::{Convention, Metric};

/// The setting with the training seed.
const SEED: &str = "finetune.seed";
/// Settings that depend on the seed: the selected step and the weights.
const FOLLOWS: [&str; 3] = [SEED, "finetune.step", "weights_sha256"];

/// Mean and standard deviation of each metric over the runs of an adapter whose settings are the
/// same but for the seed of its training. `None` where no adapter was trained from two seeds.
pub(super) fn table(runs: &[Manifest], rows: &[Row], convention: &Convention) -> Option<Table> {
    let entries = runs
        .iter()
        .enumerate()
        .flat_map(|(run, manifest)| manifest.adapters.iter().map(move |entry| (run, entry)));
    let mut groups: Vec<(toml::Table, Vec<(&str, &Row)>)> = Vec::new();
    for (run, entry) in entries {
        let Some(seed) = entry.settings.get(SEED).and_then(toml::Value::as_str) else {
            continue;
        };
        let Some(row) = rows
            .iter()
            .find(|row| row.place == run && row.adapter == entry.id)
        else {
            continue;
        };
        let key = without_seed(entry);
        match groups.iter_mut().find(|(settings, _)| *settings == key) {
            Some((_, of_group)) => of_group.push((seed, row)),
            None => groups.push((key, vec![(seed, row)])),
        }
    }
    groups.retain(|(_, group)| group.iter().any(|(seed, _)| *seed != group[0].0));
    let deviation = |metric: Metric| Column::right(format!("{} sd", metric.name()));
    let numbers = convention
        .metrics
        .iter()
        .flat_map(|&metric| [Column::right(metric.name()), deviation(metric)]);
    let columns = [
        Column::left("adapter"),
        Column::left("seeds"),
        Column::right("runs"),
    ]
    .into_iter()
    .chain(numbers);
    (!groups.is_empty()).then(|| Table {
        title: "Over training seeds: mean and standard deviation".to_owned(),
        columns: columns.collect(),
        rows: groups
            .iter()
            .map(|(_, group)| row(group, convention))
            .collect(),
    })
}

fn without_seed(entry: &AdapterEntry) -> toml::Table {
    let settings = entry
        .settings
        .iter()
        .filter(|(key, _)| !FOLLOWS.contains(&key.as_str()));
    let id = ("id".to_owned(), toml::Value::String(entry.id.clone()));
    settings
        .map(|(key, value)| (key.clone(), value.clone()))
        .chain([id])
        .collect()
}

fn row(group: &[(&str, &Row)], convention: &Convention) -> Vec<Cell> {
    let seeds: Vec<&str> = group.iter().map(|(seed, _)| *seed).collect();
    let numbers = convention.metrics.iter().flat_map(|&metric| {
        let means: Vec<f64> = group
            .iter()
            .filter_map(|(_, row)| row.summary.mean(metric))
            .collect();
        mean_and_deviation(&means)
            .map(|value| value.map_or(Cell::Missing, |value| Cell::Decimal(value, 2)))
    });
    let own = [
        Cell::Text(group[0].1.name_of_all()),
        Cell::Text(seeds.join(", ")),
        Cell::count(group.len()),
    ];
    own.into_iter().chain(numbers).collect()
}

/// No mean without a value, no deviation under two.
fn mean_and_deviation(values: &[f64]) -> [Option<f64>; 2] {
    let count = values.len() as f64;
    let mean = (!values.is_empty()).then(|| values.iter().sum::<f64>() / count);
    let squares = |mean: f64| {
        values
            .iter()
            .map(|value| (value - mean).powi(2))
            .sum::<f64>()
    };
    [
        mean,
        mean.filter(|_| values.len() > 1)
            .map(|mean| (squares(mean) / (count - 1.0)).sqrt()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_without_a_value_count_for_nothing() {
        assert_eq!(mean_and_deviation(&[]), [None, None]);
        assert_eq!(mean_and_deviation(&[40.0]), [Some(40.0), None]);
        assert_eq!(
            mean_and_deviation(&[40.0, 42.0]),
            [Some(41.0), Some(2f64.sqrt())]
        );
    }
}
