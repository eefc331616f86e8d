//! Compares two runs: what changed, and whether the change is significant.

pub(super) mod conclusion;
pub(super) mod pair;

use anyhow::{Result, ensure};
use serde_json::json;

use self::conclusion::{Verdict, sentences};
use self::pair::Pair;
use super::scored::is_unfinished;
use super::table::{Cell, Column, Format, Table, wrap};
use super::{RowKind, Scored, SliceBy, escape};
use crate::run::store::StoredRun;
use chartbench_score::metric::{Convention, Metric};
use chartbench_score::stats::{SignFlips, holm};

/// The version of the JSON form.
const FORMAT_VERSION: u32 = 1;

/// Options of a comparison.
#[derive(Clone, Debug, Default)]
pub struct CompareOptions {
    /// The properties to slice by; one table each.
    pub slices: Vec<SliceBy>,
    /// Whether the questions that changed are listed.
    pub questions: bool,
    /// The test of the differences.
    pub sign_flips: SignFlips,
}

/// The comparison of two runs: every adapter that both hold, or the one that was named for each.
pub struct Comparison {
    overall: Table,
    /// A line for each adapter whose settings differ; a remark on the questions is the first.
    settings: Vec<String>,
    conclusions: Vec<String>,
    largest_drop: Option<f64>,
    slices: Vec<Table>,
    questions: Option<Table>,
}

impl Comparison {
    /// Compares `before` with `after`. A run that holds one adapter, cut down to it
    /// ([`StoredRun::with_adapter`]), is compared with another such run whatever the two are
    /// called.
    ///
    /// *Fixed* counts the questions that score better in the second run, *broken* those that score
    /// worse.
    ///
    /// # Errors
    /// Returns an error if the runs are on different questions, have no common adapter, or an
    /// adapter has unanswered questions.
    pub fn new(
        before: &StoredRun,
        after: &StoredRun,
        convention: &'static Convention,
        options: &CompareOptions,
    ) -> Result<Self> {
        let (a, b) = (&before.manifest, &after.manifest);
        before.same_questions(after)?;
        let pairs = pairs(before, after, convention)?;
        let tested: Vec<Tested<'_>> = pairs
            .iter()
            .flat_map(|pair| tested(pair, &options.sign_flips))
            .collect();
        let p: Vec<f64> = tested.iter().map(|tested| tested.change.p).collect();
        let corrected = holm(&p);
        let names = column_names(&a.name, &b.name);
        let rows = tested
            .iter()
            .zip(&corrected)
            .map(|(tested, holm)| tested.cells(*holm));
        // Every pair has the same metrics.
        let metrics = convention.metrics.len().max(1);
        let of_pairs = tested.chunks(metrics).zip(corrected.chunks(metrics));
        let conclusions = of_pairs
            .flat_map(|(tests, holm)| sentences(tests, holm, tested.len(), &names))
            .collect();
        let drops = tested.iter().zip(&corrected).filter_map(|(tested, holm)| {
            let is_worse = Verdict::new(&tested.change, *holm) == Verdict::Worse;
            tested.change.improvement().filter(|_| is_worse)
        });
        let largest_drop = drops.map(|improvement| -improvement).reduce(f64::max);
        let sliced = options
            .slices
            .iter()
            .map(|slice| slice_table(slice, &pairs, &names, &options.sign_flips));
        let overall = Table {
            title: String::new(),
            columns: columns(&names, true),
            rows: rows.collect(),
        };
        let slices = sliced.filter(|table| !table.rows.is_empty()).collect();
        let settings = pairs.iter().filter_map(pair::describe_settings).collect();
        let questions = options.questions.then(|| changed(&pairs, &names));
        Ok(Self {
            overall,
            settings,
            conclusions,
            largest_drop,
            slices,
            questions,
        })
    }

    /// The comparison with a line about how its questions were paired.
    #[must_use]
    pub fn with_remark(mut self, remark: String) -> Self {
        self.settings.insert(0, remark);
        self
    }

    /// The most points by which a metric of an adapter fell, among those with the verdict that the
    /// second run is worse; `None` where there is no such verdict.
    pub fn largest_drop(&self) -> Option<f64> {
        self.largest_drop
    }

    /// The conclusions, a sentence each.
    pub fn conclusions(&self) -> &[String] {
        &self.conclusions
    }

    /// The comparison in `format`: for people the tables with their conclusions, in JSON an object
    /// of all of them, in CSV and JSON lines the overall table alone.
    ///
    /// # Errors
    /// Returns an error only if the CSV or JSON writer fails, which no table is known to cause.
    pub fn render(&self, format: Format) -> Result<String> {
        self.render_within(format, None)
    }

    /// [`Self::render`], the form for the terminal fitted to its `width`.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub fn render_within(&self, format: Format, width: Option<usize>) -> Result<String> {
        let visible = chartbench_core::terminal::visible;
        match format {
            Format::Table => {
                let mut parts = self.tables(&|table| table.to_terminal_within(width));
                parts.push(self.lines("", visible));
                let text = parts.join("\n");
                Ok(match width {
                    Some(width) => wrap(&text, width),
                    None => text,
                })
            }
            Format::Markdown => Ok(self.join(&Table::to_markdown, "- ", |text| {
                escape::markdown(&chartbench_core::terminal::visible(text))
            })),
            Format::Latex => Ok(self.join(&Table::to_latex, "% ", visible)),
            Format::Csv | Format::Jsonl => self.overall.render(format),
            Format::Json => {
                let slices: Vec<_> = self
                    .slices
                    .iter()
                    .map(|table| json!({"title": table.title, "rows": table.json_rows()}))
                    .collect();
                let object = json!({
                    "format": FORMAT_VERSION,
                    "rows": self.overall.json_rows(),
                    "settings": self.settings,
                    "conclusions": self.conclusions,
                    "slices": slices,
                    "questions": self.questions.as_ref().map(Table::json_rows),
                });
                Ok(serde_json::to_string_pretty(&object)? + "\n")
            }
        }
    }

    /// The overall table, then the others.
    fn tables(&self, render: &dyn Fn(&Table) -> String) -> Vec<String> {
        let others = self.slices.iter().chain(&self.questions);
        std::iter::once(&self.overall)
            .chain(others)
            .map(render)
            .collect()
    }

    /// A line for each difference in settings and each conclusion.
    fn lines(&self, bullet: &str, text: fn(&str) -> String) -> String {
        let lines = self.settings.iter().chain(&self.conclusions);
        lines
            .map(|line| format!("{bullet}{}\n", text(line)))
            .collect()
    }

    /// The lines below the overall table.
    fn join(
        &self,
        render: &dyn Fn(&Table) -> String,
        bullet: &str,
        text: fn(&str) -> String,
    ) -> String {
        let mut parts = self.tables(render);
        parts.insert(1, self.lines(bullet, text));
        parts.join("\n")
    }
}

/// The answers of every adapter that both runs hold, question by question; where each run has one
/// model, these two are a pair whatever their names are.
fn pairs<'a>(
    before: &'a StoredRun,
    after: &'a StoredRun,
    convention: &'static Convention,
) -> Result<Vec<Pair<'a>>> {
    let models = only_rows(before, after);
    let mut pairs = Vec::new();
    for (adapter, records) in &before.predictions {
        let paired = match models {
            Some((model, other)) if model == adapter => other,
            _ => adapter,
        };
        let other = after.predictions.iter().find(|(other, _)| other == paired);
        let Some((other, others)) = other else {
            continue;
        };
        for (run, name, answered) in [
            (before, adapter, records.len()),
            (after, other, others.len()),
        ] {
            let (benchmark, run) = (&run.manifest.benchmark, &run.manifest.name);
            ensure!(
                !is_unfinished(answered, benchmark),
                "{name} in {run} answered {answered} of {} questions: finish that run first",
                benchmark.questions
            );
        }
        let scored = |run: &'a StoredRun, adapter: &'a str, records| {
            Scored::new(&run.manifest, adapter, records, convention)
        };
        let entries = [(before, adapter), (after, other)].map(|(run, adapter)| {
            run.manifest
                .adapters
                .iter()
                .find(|entry| entry.id == *adapter)
        });
        let names = [
            before.manifest.remarked(adapter, adapter),
            after.manifest.remarked(other, other),
        ];
        pairs.push(Pair::new(
            &names,
            &scored(before, adapter, records),
            &scored(after, other, others),
            entries,
        ));
    }
    // Blind rows of the same settings answer the same: testing them only weakens the other tests.
    if !pairs.iter().all(is_same_blind_row) {
        pairs.retain(|pair| !is_same_blind_row(pair));
    }
    ensure!(
        !pairs.is_empty(),
        "{} and {} have no adapter in common ({}; {}): name one of each, as RUN/ADAPTER",
        before.manifest.name,
        after.manifest.name,
        names(before),
        names(after)
    );
    Ok(pairs)
}

/// The row of each run that is its only one, or its only one that sees the charts, where neither
/// run has a row with the other's name.
fn only_rows<'a>(before: &'a StoredRun, after: &'a StoredRun) -> Option<(&'a str, &'a str)> {
    let (model, other) = only_row(before).zip(only_row(after))?;
    let has = |run: &StoredRun, row: &str| run.predictions.iter().any(|(name, _)| name == row);
    (!has(before, other) && !has(after, model)).then_some((model, other))
}

fn only_row(run: &StoredRun) -> Option<&str> {
    let sees_charts = |row: &&str| {
        let mut entries = run.manifest.adapters.iter();
        RowKind::new(row, entries.find(|entry| entry.id == *row)) != RowKind::Blind
    };
    let rows: Vec<&str> = run
        .predictions
        .iter()
        .map(|(row, _)| row.as_str())
        .collect();
    let models: Vec<&str> = rows.iter().copied().filter(sees_charts).collect();
    match (rows.as_slice(), models.as_slice()) {
        ([row], _) | (_, [row]) => Some(row),
        _ => None,
    }
}

/// Whether both sides are one blind row under the same settings.
fn is_same_blind_row(pair: &Pair<'_>) -> bool {
    let [Some(before), Some(after)] = pair.entries else {
        return false;
    };
    before.fingerprint == after.fingerprint
        && RowKind::new(&before.id, Some(before)) == RowKind::Blind
}

fn names(run: &StoredRun) -> String {
    run.predictions
        .iter()
        .map(|(name, _)| name.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

/// The names of the two runs' columns, which differ even if the runs have the same name.
fn column_names(before: &str, after: &str) -> [String; 2] {
    if before == after {
        [format!("{before} (A)"), format!("{after} (B)")]
    } else {
        [before.to_owned(), after.to_owned()]
    }
}

/// One metric of one adapter, with its tests.
struct Tested<'a> {
    pair: &'a Pair<'a>,
    metric: Metric,
    change: pair::Change,
}

fn tested<'a>(pair: &'a Pair<'a>, sign_flips: &SignFlips) -> Vec<Tested<'a>> {
    let changes = pair.changes(sign_flips);
    changes
        .into_iter()
        .map(|(metric, change)| Tested {
            pair,
            metric,
            change,
        })
        .collect()
}

impl Tested<'_> {
    fn cells(&self, holm: f64) -> Vec<Cell> {
        let p = [
            self.change.probability(self.change.p),
            self.change.probability(holm),
            self.change.mcnemar.map_or(Cell::Missing, Cell::Probability),
            self.change
                .detectable
                .map_or(Cell::Missing, |points| Cell::Decimal(points, 2)),
        ];
        cells(self.pair, self.metric, &self.change)
            .into_iter()
            .chain(p)
            .collect()
    }
}

fn columns([before, after]: &[String; 2], tests: bool) -> Vec<Column> {
    let words = ["adapter", "metric"].map(Column::left);
    let values = [
        Column::right(before),
        Column::right(after),
        Column::estimates("difference"),
    ];
    let counts =
        [("fixed", 5), ("broken", 4)].map(|(name, turn)| Column::right(name).optional(turn));
    let tests = tests.then(|| {
        [
            Column::right("p").optional(3),
            Column::right("p (Holm)").optional(6),
            Column::right("p (McNemar)").optional(1),
            Column::right("detectable").optional(2),
        ]
    });
    words
        .into_iter()
        .chain(values)
        .chain(counts)
        .chain(tests.into_iter().flatten())
        .collect()
}

fn cells(pair: &Pair<'_>, metric: Metric, change: &pair::Change) -> Vec<Cell> {
    let decimal = |value: Option<f64>| value.map_or(Cell::Missing, |value| Cell::Decimal(value, 2));
    vec![
        Cell::text(&pair.adapter),
        Cell::text(metric.name()),
        decimal(change.before),
        decimal(change.after),
        change.difference().map_or(Cell::Missing, |value| {
            Cell::Estimate(value, change.interval, 2)
        }),
        Cell::count(change.fixed),
        Cell::count(change.broken),
    ]
}

/// A row for each value of the property and each adapter: the convention's first metric.
fn slice_table(
    slice: &SliceBy,
    pairs: &[Pair<'_>],
    names: &[String; 2],
    sign_flips: &SignFlips,
) -> Table {
    let mut rows = Vec::new();
    for pair in pairs {
        for (key, part) in pair.parts(slice) {
            let few = if part.before.aggregate().too_few() {
                " (few)"
            } else {
                ""
            };
            let value = Cell::Text(format!("{}{few}", key.as_str()));
            let questions = Cell::count(part.before.records.len());
            let changes = part.changes(sign_flips).into_iter().take(1);
            rows.extend(changes.map(|(metric, change)| {
                [value.clone(), questions.clone()]
                    .into_iter()
                    .chain(cells(&part, metric, &change))
                    .collect()
            }));
        }
    }
    let own = [Column::left(slice.to_string()), Column::right("questions")];
    Table {
        title: format!("By {slice}"),
        columns: own.into_iter().chain(columns(names, false)).collect(),
        rows,
    }
}

/// The questions whose score by the convention's first metric changed, fixed ones first.
fn changed(pairs: &[Pair<'_>], [before, after]: &[String; 2]) -> Table {
    let mut rows = Vec::new();
    for pair in pairs {
        let Some(&metric) = pair.before.convention.metrics.first() else {
            continue;
        };
        for (word, higher) in [("fixed", true), ("broken", false)] {
            let places = pair
                .changed(metric)
                .filter(|(_, rose)| *rose == higher)
                .map(|(place, _)| place);
            rows.extend(places.map(|place| {
                let (old, new) = (pair.before.records[place], pair.after.records[place]);
                let answer = |record: &crate::run::store::PredictionRecord| {
                    record
                        .prediction
                        .as_ref()
                        .map_or(Cell::Missing, |prediction| Cell::text(&prediction.0))
                };
                vec![
                    Cell::text(&pair.adapter),
                    Cell::text(word),
                    Cell::text(&old.id),
                    Cell::text(&old.question),
                    Cell::text(old.gold.text()),
                    answer(old),
                    answer(new),
                ]
            }));
        }
    }
    let columns = [
        "adapter", "change", "question", "text", "gold", before, after,
    ]
    .map(Column::left)
    .into();
    Table {
        title: "Questions that changed".to_owned(),
        columns,
        rows,
    }
}
