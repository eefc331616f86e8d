//! The same answers under every convention: the values side by side, whether files change places,
//! and which rule is behind every difference.

use std::collections::BTreeMap;

use anyhow::Result;
use rayon::prelude::*;
use serde_json::{Value, json};

use super::score_all::{CHUNK, NamedPair, score_all};
use super::table::{Cell, Column, Format, Table};
use chartbench_score::metric::{CONVENTIONS, Convention, Metric, Scores, StepTrace, Summary};

/// The matrix of some files' answers.
pub struct Matrix {
    /// A row for each convention's metric, a column for each file; values in percent.
    values: Table,
    /// A row for each two files that change places.
    flips: Table,
    /// A row for each file, metric and pair of rules that differ.
    differences: Table,
}

/// Answers with the name of the file they are from.
pub type AnswerFile<'a> = (String, Vec<NamedPair<'a>>);

impl Matrix {
    /// Scores `files` under `reference` and every convention that is for such questions
    /// ([`Convention::is_for`]);
    /// differences are told against `reference`, and places compared with those under its relaxed
    /// accuracy (of a convention for tables: its first metric).
    pub fn new(files: &[AnswerFile<'_>], reference: &'static Convention) -> Self {
        let entries = || files.iter().flat_map(|(_, entries)| entries);
        let conventions: Vec<&'static Convention> = CONVENTIONS
            .iter()
            .filter(|convention| {
                *convention == reference || entries().any(|entry| convention.is_for(&entry.pair))
            })
            .chain(Some(reference).filter(|reference| reference.judged))
            .collect();
        let summaries: Vec<Vec<Summary>> = files
            .iter()
            .map(|(_, entries)| score_all(entries, |entry| entry.pair, &conventions))
            .collect();
        let mut rows = Vec::new();
        for (index, convention) in conventions.iter().enumerate() {
            rows.extend(convention.metrics.iter().map(|&metric| {
                Row {
                    convention,
                    metric,
                    means: summaries
                        .iter()
                        .map(|summaries| summaries[index].mean(metric))
                        .collect(),
                }
            }));
        }
        let causes: Vec<Causes> = files
            .iter()
            .map(|(_, entries)| causes(entries, &conventions, reference))
            .collect();
        Self {
            values: values(files, &rows),
            flips: flips(files, &rows, &causes, reference),
            differences: differences(files, &causes, reference),
        }
    }

    /// Values, places changed, and differences.
    pub(super) fn tables(&self) -> [&Table; 3] {
        [&self.values, &self.flips, &self.differences]
    }

    /// The matrix in `format`: for people three tables under each other, in JSON an object of three
    /// lists, in CSV and JSON lines the values alone.
    ///
    /// # Errors
    /// Returns an error only if the CSV or JSON writer fails, which no table is known to cause.
    pub fn render(&self, format: Format) -> Result<String> {
        self.render_within(format, None)
    }

    /// [`Self::render`], tables for the terminal fitted to its `width`.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub fn render_within(&self, format: Format, width: Option<usize>) -> Result<String> {
        let tables = self.tables();
        let join = |render: &dyn Fn(&Table) -> String| tables.map(render).join("\n");
        match format {
            Format::Table => Ok(join(&|table| table.to_terminal_within(width))),
            Format::Markdown => Ok(join(&Table::to_markdown)),
            Format::Latex => Ok(join(&Table::to_latex)),
            Format::Csv | Format::Jsonl => self.values.render(format),
            Format::Json => {
                let [values, flips, differences] = tables.map(Table::json_rows);
                let object: Value =
                    json!({"values": values, "flips": flips, "differences": differences});
                Ok(format!("{}\n", serde_json::to_string_pretty(&object)?))
            }
        }
    }
}

struct Row {
    convention: &'static Convention,
    metric: Metric,
    means: Vec<Option<f64>>,
}

/// `CONVENTION.METRIC`.
pub(super) fn score_name(convention: &Convention, metric: Metric) -> String {
    format!("{}.{}", convention.name, metric.key())
}

fn values(files: &[AnswerFile<'_>], rows: &[Row]) -> Table {
    let names = files.iter().map(|(name, _)| Column::right(name.as_str()));
    let cells = |row: &Row| {
        let means = row
            .means
            .iter()
            .map(|mean| mean.map_or(Cell::Missing, |mean| Cell::Decimal(mean, 2)));
        std::iter::once(Cell::text(score_name(row.convention, row.metric)))
            .chain(means)
            .collect()
    };
    Table {
        title: "Scores in %".to_owned(),
        columns: std::iter::once(Column::left("score"))
            .chain(names)
            .collect(),
        rows: rows.iter().map(cells).collect(),
    }
}

/// The metric of `reference` that another convention's metric is compared with.
fn counterpart(reference: &Convention, metric: Metric) -> Option<Metric> {
    let same = reference
        .metrics
        .iter()
        .copied()
        .find(|other| *other == metric);
    let kin = |metric: &Metric| {
        matches!(
            metric,
            Metric::RelaxedAccuracy | Metric::Accuracy | Metric::Strict | Metric::Lenient
        )
    };
    same.or_else(|| {
        reference
            .metrics
            .iter()
            .copied()
            .rev()
            .find(|other| kin(other) && kin(&metric))
    })
}

fn flips(
    files: &[AnswerFile<'_>],
    rows: &[Row],
    causes: &[Causes],
    reference: &Convention,
) -> Table {
    let mut flipped = Vec::new();
    let base_metric =
        counterpart(reference, Metric::RelaxedAccuracy).or(reference.metrics.first().copied());
    let base = rows
        .iter()
        .rev()
        .find(|row| row.convention == reference && Some(row.metric) == base_metric);
    for a in 0..files.len() {
        for b in a + 1..files.len() {
            let lead = |row: &Row| Some(row.means[a]? - row.means[b]?);
            let Some(base_lead) = base.and_then(lead).filter(|lead| *lead != 0.0) else {
                continue;
            };
            let (ahead, behind) = if base_lead > 0.0 { (a, b) } else { (b, a) };
            let share = |file: usize, group: &Group| group.sum / files[file].1.len() as f64;
            for row in rows.iter().filter(|row| row.metric.higher_is_better()) {
                if let Some(lead) = lead(row).filter(|lead| lead * base_lead < 0.0) {
                    flipped.push(vec![
                        Cell::text(score_name(row.convention, row.metric)),
                        Cell::text(&files[behind].0),
                        Cell::text(&files[ahead].0),
                        Cell::Decimal(lead.abs(), 2),
                        Cell::Decimal(base_lead.abs(), 2),
                        deciding_rules(row, [&causes[behind], &causes[ahead]], |side, group| {
                            share([behind, ahead][side], group)
                        })
                        .filter(|_| {
                            counterpart(reference, row.metric) == base.map(|base| base.metric)
                        })
                        .map_or(Cell::text("another metric"), Cell::Text),
                    ]);
                }
            }
        }
    }
    let name = base.map_or_else(String::new, |row| score_name(row.convention, row.metric));
    let title = match (files.len(), flipped.len()) {
        (0 | 1, _) => "One file: no places to change".to_owned(),
        (_, 0) => format!("No two files change places against {name}"),
        (_, count) => format!("Places changed against {name}: {count}"),
    };
    let columns = vec![
        Column::left("score"),
        Column::left("leads"),
        Column::left("over"),
        Column::right("points"),
        Column::right("trailed by"),
        Column::left("most by the rules"),
    ];
    Table {
        title,
        columns,
        rows: flipped,
    }
}

/// The rules of a score and of the reference that help the first of two files most against the
/// second, `share` being what a group adds to a file's mean.
fn deciding_rules(
    row: &Row,
    sides: [&Causes; 2],
    share: impl Fn(usize, &Group) -> f64,
) -> Option<String> {
    let place = CONVENTIONS
        .iter()
        .position(|convention| convention == row.convention)?;
    let mut help: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    for (side, causes) in sides.into_iter().enumerate() {
        let sign = if side == 0 { 1.0 } else { -1.0 };
        let of_score = causes
            .iter()
            .filter(|((convention, metric, ..), _)| (*convention, *metric) == (place, row.metric));
        for ((_, _, rule, other, _), group) in of_score {
            *help.entry((*rule, *other)).or_default() += sign * share(side, group);
        }
    }
    let most = help.into_iter().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    Some(format!("{} / {}", most.0.0, most.0.1))
}

/// The cause of a difference: the metric, its deciding rule and the reference's, and which score is
/// higher.
type Cause = (usize, Metric, &'static str, &'static str, bool);

/// The questions of one cause.
#[derive(Clone, Copy)]
struct Group {
    count: usize,
    sum: f64,
    /// The index of its first question.
    first: usize,
}

fn differences(
    files: &[AnswerFile<'_>],
    causes: &[Causes],
    reference: &'static Convention,
) -> Table {
    let mut rows = Vec::new();
    for ((name, entries), causes) in files.iter().zip(causes) {
        for (&(convention, metric, rule, other, _), group) in causes {
            let convention = &CONVENTIONS[convention];
            let Some(against) = counterpart(reference, metric) else {
                continue;
            };
            let example = entries[group.first];
            let prediction = example
                .pair
                .prediction
                .map_or("", |prediction| &prediction.0);
            rows.push(vec![
                Cell::text(name),
                Cell::text(score_name(convention, metric)),
                Cell::text(score_name(reference, against)),
                Cell::count(group.count),
                Cell::Decimal(100.0 * group.sum / entries.len() as f64, 2),
                Cell::text(rule),
                Cell::text(other),
                Cell::text(format!(
                    "{}: {:?} for {:?}",
                    example.id,
                    short(prediction),
                    short(&example.pair.gold.text())
                )),
            ]);
        }
    }
    let columns = vec![
        Column::left("file"),
        Column::left("score"),
        Column::left("against"),
        Column::right("questions"),
        Column::right("points"),
        Column::left("its rule"),
        Column::left("the other's rule"),
        Column::left("example: prediction for gold"),
    ];
    Table {
        title: format!(
            "Every difference from {}, by the rules that decided",
            reference.name
        ),
        columns,
        rows,
    }
}

fn short(text: &str) -> String {
    let mut chars = text.chars();
    let start: String = chars.by_ref().take(40).collect();
    if chars.next().is_some() {
        start + "\u{2026}"
    } else {
        start
    }
}

type Causes = BTreeMap<Cause, Group>;

fn causes(
    entries: &[NamedPair<'_>],
    conventions: &[&'static Convention],
    reference: &'static Convention,
) -> Causes {
    let chunks = entries
        .par_chunks(CHUNK)
        .enumerate()
        .map(|(chunk, entries)| {
            let mut groups = BTreeMap::new();
            for (index, entry) in entries.iter().enumerate() {
                let index = chunk * CHUNK + index;
                compare(entry, index, conventions, reference, &mut groups);
            }
            groups
        });
    // Chunks are merged in order, so that sums are bit-identical on any number of cores.
    chunks
        .collect::<Vec<_>>()
        .into_iter()
        .fold(BTreeMap::new(), |mut all, groups| {
            for (cause, group) in groups {
                all.entry(cause)
                    .and_modify(|total: &mut Group| {
                        total.count += group.count;
                        total.sum += group.sum;
                    })
                    .or_insert(group);
            }
            all
        })
}

fn compare(
    entry: &NamedPair<'_>,
    index: usize,
    conventions: &[&'static Convention],
    reference: &'static Convention,
    groups: &mut BTreeMap<Cause, Group>,
) {
    let value = |scores: &Scores, metric| scores.get(metric).counted();
    let base = reference.score(&entry.pair);
    let mut base_steps: Option<StepTrace> = None;
    for (place, convention) in CONVENTIONS
        .iter()
        .enumerate()
        .filter(|(_, convention)| *convention != reference && conventions.contains(convention))
    {
        let scores = convention.score(&entry.pair);
        let mut steps: Option<StepTrace> = None;
        for &metric in convention.metrics {
            let Some(against) = counterpart(reference, metric) else {
                continue;
            };
            let (Some(own), Some(other)) = (value(&scores, metric), value(&base, against)) else {
                continue;
            };
            if own == other {
                continue;
            }
            let rule = |steps: &mut Option<StepTrace>, convention: &Convention, metric| {
                let steps = steps.get_or_insert_with(|| {
                    let mut steps = StepTrace::rules_only();
                    convention.explain(&entry.pair, &mut steps);
                    steps
                });
                steps.deciding(metric).map_or("", |step| step.rule)
            };
            let (own_rule, other_rule) = (
                rule(&mut steps, convention, metric),
                rule(&mut base_steps, reference, against),
            );
            let cause = (place, metric, own_rule, other_rule, own > other);
            let group = groups.entry(cause).or_insert(Group {
                count: 0,
                sum: 0.0,
                first: index,
            });
            group.count += 1;
            group.sum += own - other;
        }
    }
}
