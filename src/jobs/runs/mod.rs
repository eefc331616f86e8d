//! The stored runs: what there is, and removing one.

mod utc;

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use self::utc::format_utc;
use crate::report::table::{Cell, Column, Table};
use crate::run::store::{Manifest, NamedRun, ResultsDir, RunReader, remove_run};

/// The runs of a folder.
#[derive(Debug)]
pub struct RunList {
    /// The runs in the order of their names.
    pub runs: Vec<StoredRunSummary>,
    /// Run directories that cannot be read, and why.
    pub unreadable: Vec<(PathBuf, anyhow::Error)>,
    /// Names of folders that are no runs.
    pub others: Vec<String>,
}

/// What a run directory holds.
#[derive(Clone, Debug)]
pub struct StoredRunSummary {
    /// The run's directory.
    pub dir: PathBuf,
    /// The content of `run.toml`.
    pub manifest: Manifest,
    /// Rows of each adapter, failed ones included, in the manifest's order.
    pub rows: Vec<usize>,
    /// Bytes of all its files.
    pub bytes: u64,
    /// When one of its files was last written.
    pub written: Option<SystemTime>,
}

/// The runs in the folder `results`.
///
/// # Errors
/// Returns an error if the folder cannot be read.
pub fn list(results: &Path) -> Result<RunList> {
    let folders = ResultsDir::new(results).folders()?;
    let mut list = RunList {
        runs: Vec::new(),
        unreadable: Vec::new(),
        others: folders.others,
    };
    for name in folders.runs {
        let dir = results.join(name);
        match StoredRunSummary::read(&dir) {
            Ok(run) => list.runs.push(run),
            Err(error) => list.unreadable.push((dir, error)),
        }
    }
    Ok(list)
}

/// One run with its adapters, or one adapter with its settings: what `RUN` or `RUN/ADAPTER` names.
///
/// # Errors
/// Returns an error if there is no such run, or it cannot be read.
pub fn show(results: &Path, name: &Path) -> Result<Table> {
    let named = ResultsDir::new(results).find(name)?;
    let run = named.open()?;
    match named.adapter {
        Some(_) => Ok(settings_table(&run.manifest)),
        None => adapters_table(&named.dir, &run),
    }
}

/// The run that `name` names, to be removed.
///
/// # Errors
/// Returns an error if there is no such run, it cannot be read, or one adapter of it is named.
pub fn find_removable(results: &Path, name: &Path) -> Result<StoredRunSummary> {
    match ResultsDir::new(results).find(name)? {
        NamedRun { dir, adapter: None } => StoredRunSummary::read(&dir),
        NamedRun { dir, .. } => bail!(
            "{} is part of a run, and only whole runs are removed: name {}",
            name.display(),
            dir.display()
        ),
    }
}

/// Removes a run's directory.
///
/// # Errors
/// As [`remove_run`].
pub fn remove(run: &StoredRunSummary) -> Result<()> {
    remove_run(&run.dir)
}

impl RunList {
    /// A row for each run.
    pub fn table(&self) -> Table {
        let columns = vec![
            Column::left("run"),
            Column::left("benchmark"),
            Column::left("adapters"),
            Column::right("questions"),
            Column::left("complete"),
            Column::right("MB").optional(1),
            Column::left("last written (UTC)").optional(2),
        ];
        Table {
            title: String::new(),
            columns,
            rows: self.runs.iter().map(StoredRunSummary::cells).collect(),
        }
    }
}

impl StoredRunSummary {
    fn read(dir: &Path) -> Result<Self> {
        let run = RunReader::open(dir)?;
        let adapters = run.manifest.adapters.iter();
        let rows = adapters
            .map(|entry| run.count_rows(&entry.id))
            .collect::<Result<_>>()?;
        let (bytes, written) =
            measure(dir).with_context(|| format!("cannot read {}", dir.display()))?;
        Ok(Self {
            dir: dir.to_owned(),
            rows,
            bytes,
            written,
            manifest: run.manifest,
        })
    }

    /// The name that finds the run: its folder's.
    pub fn name(&self) -> String {
        let name = self.dir.file_name().unwrap_or(self.dir.as_os_str());
        name.to_string_lossy().into_owned()
    }

    /// The rows of all adapters.
    pub fn answered(&self) -> usize {
        self.rows.iter().sum()
    }

    /// Whether there is an adapter, and each one has a row for every question.
    pub fn is_complete(&self) -> bool {
        let questions = self.manifest.benchmark.questions;
        !self.rows.is_empty() && self.rows.iter().all(|rows| *rows >= questions)
    }

    fn cells(&self) -> Vec<Cell> {
        let Manifest {
            benchmark,
            adapters,
            ..
        } = &self.manifest;
        let ids: Vec<&str> = adapters.iter().map(|entry| entry.id.as_str()).collect();
        let complete = if self.is_complete() {
            "yes".to_owned()
        } else {
            let all = benchmark.questions.saturating_mul(ids.len());
            format!("no ({} of {all})", self.answered())
        };
        vec![
            Cell::text(self.name()),
            Cell::text(&benchmark.name),
            Cell::text(ids.join(", ")),
            Cell::count(benchmark.questions),
            Cell::text(complete),
            megabytes(self.bytes),
            date(self.written),
        ]
    }
}

/// A row for each adapter of a run.
fn adapters_table(dir: &Path, run: &RunReader) -> Result<Table> {
    let benchmark = &run.manifest.benchmark;
    let mut rows = Vec::new();
    for ((adapter, predictions), entry) in run.predictions().zip(&run.manifest.adapters) {
        let (mut answered, mut failed) = (0, 0);
        for records in predictions {
            let records = records?;
            answered += records.len();
            failed += records
                .iter()
                .filter(|record| record.failure().is_some())
                .count();
        }
        let folder = dir.join(adapter);
        let (bytes, written) =
            measure(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let mut settings = entry.shown_settings().into_iter();
        let weights = settings.find_map(|(key, value)| (key == "weights").then_some(value));
        rows.push(vec![
            Cell::text(run.manifest.remarked(adapter, adapter)),
            Cell::count(answered),
            Cell::count(failed),
            weights.map_or(Cell::Missing, Cell::Text),
            megabytes(bytes),
            date(written),
        ]);
    }
    let drawn = match benchmark.questions_per_chart.as_str() {
        "all" => String::new(),
        count => format!(", {count} a chart by seed {}", benchmark.seed),
    };
    let limited = match benchmark.limit {
        0 => String::new(),
        limit => format!(", --limit {limit}"),
    };
    let columns = vec![
        Column::left("adapter"),
        Column::right("answered"),
        Column::right("failed"),
        Column::left("weights"),
        Column::right("MB"),
        Column::left("last written (UTC)"),
    ];
    Ok(Table {
        title: format!(
            "{}: {} questions on {} charts of {}{drawn}{limited}; begun by chartbench {}",
            dir.display(),
            benchmark.questions,
            benchmark.charts,
            benchmark.title,
            run.manifest.program
        ),
        columns,
        rows,
    })
}

/// The settings of the adapter that the manifest is cut down to.
fn settings_table(manifest: &Manifest) -> Table {
    let mut rows = Vec::new();
    for entry in &manifest.adapters {
        let fingerprint = ("fingerprint".to_owned(), entry.fingerprint.clone());
        let execution = entry.execution.iter();
        let execution = execution.map(|(key, value)| (key.clone(), plain(value)));
        let sources = entry.sources.iter().map(|source| {
            let revision = format!("{}@{} was the commit", source.repo, source.revision);
            (revision, source.commit.clone())
        });
        rows.extend(
            std::iter::once(fingerprint)
                .chain(entry.shown_settings())
                .chain(sources)
                .chain(execution)
                .map(|(key, value)| vec![Cell::Text(key), Cell::Text(value)]),
        );
    }
    let adapters = manifest.adapters.iter();
    let names: Vec<String> = adapters
        .map(|entry| format!("{}/{}", manifest.name, entry.id))
        .collect();
    Table {
        title: names.join(", "),
        columns: vec![Column::left("setting"), Column::left("value")],
        rows,
    }
}

/// A setting's value without quotes around texts.
fn plain(value: &toml::Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn megabytes(bytes: u64) -> Cell {
    Cell::Decimal(bytes as f64 / 1e6, 2)
}

fn date(written: Option<SystemTime>) -> Cell {
    written
        .and_then(format_utc)
        .map_or(Cell::Missing, Cell::Text)
}

/// The bytes of all files below a folder, and when one was last written. Links are not followed; a
/// folder or file that is gone by now counts nothing.
fn measure(dir: &Path) -> io::Result<(u64, Option<SystemTime>)> {
    let (mut bytes, mut written, mut folders) = (0, None, vec![dir.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            let metadata = match path.symlink_metadata() {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.is_file() {
                bytes += metadata.len();
                written = written.max(metadata.modified().ok());
            }
        }
    }
    Ok((bytes, written))
}
