//! The runs that are merged: their manifests joined to one, and the logs of each row.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::run::store::{
    AdapterEntry, DataFolder, LEADERBOARD, Manifest, NamedRun, OtherQuestions, Processor,
    difference, logs, short,
};
use chartbench_core::files::FileLock;
use chartbench_core::shard::Shard;
use chartbench_core::terminal::shorten;

/// Rows that look at no chart: the first shard asks them whole.
pub(super) const OF_FIRST_SHARD: [&str; 2] = ["majority", "question-prior"];

/// Most run folders that a line names.
const MAX_NAMED: usize = 3;

/// A run that is merged.
struct Source {
    dir: PathBuf,
    manifest: Manifest,
    /// The path that was named: the folder, or that of the row that was named alone.
    path: PathBuf,
    /// Whether one of its rows was named alone.
    is_cut: bool,
}

/// A log of a row.
pub(super) struct Log {
    /// Position of its run.
    pub(super) run: usize,
    pub(super) path: PathBuf,
    /// The shard that it is the log of; `None` for a whole log.
    pub(super) shard: Option<Shard>,
}

/// A row of the merged run.
pub(super) struct Row {
    /// Its name.
    pub(super) id: String,
    /// Its logs in all runs; in each run the whole log is the first.
    pub(super) logs: Vec<Log>,
}

/// The runs that are merged.
pub(super) struct Sources {
    runs: Vec<Source>,
    /// Whether the shards' logs of one run become whole logs in its folder.
    pub(super) in_place: bool,
    /// The manifest of the merged run.
    pub(super) manifest: Manifest,
    /// Its rows, in the order of the manifest.
    pub(super) rows: Vec<Row>,
    /// Where the data were, and the run that knows it.
    pub(super) data_folder: Option<(PathBuf, DataFolder)>,
    /// Rows that are to come: an uncut run asks them, and no run has them.
    pub(super) absent: Vec<String>,
    /// Notes about the rows, a line each.
    pub(super) notes: Vec<String>,
}

impl Sources {
    /// Reads the manifests and finds the logs of the runs.
    ///
    /// # Errors
    /// Returns an error if runs do not fit together, a manifest is broken, or a process writes a
    /// log.
    pub(super) fn open(named: &[NamedRun], in_place: bool) -> Result<Self> {
        let runs = named.iter().map(Source::open).collect::<Result<Vec<_>>>()?;
        check_named_once(&runs)?;
        let mut manifest = join(&runs)?;
        ensure!(
            !manifest.adapters.is_empty(),
            "{} has no adapter yet: there is nothing to merge",
            describe(&runs)
        );
        let (absent, notes) = put_in_order(&mut manifest, &runs);
        let rows = manifest
            .adapters
            .iter()
            .map(|entry| Row::find(&entry.id, &runs))
            .collect::<Result<_>>()?;
        let mut data_folder = None;
        for run in &runs {
            if data_folder.is_none() {
                data_folder = DataFolder::read(&run.dir)?.map(|known| (run.dir.clone(), known));
            }
        }
        Ok(Self {
            runs,
            in_place,
            manifest,
            rows,
            data_folder,
            absent,
            notes,
        })
    }

    /// Whether something is left to do in place: logs of shards, the manifest of a sharded or
    /// partial run, which a merge writes last, or a leaderboard.
    pub(super) fn has_unmerged(&self) -> bool {
        let is_unfinished = |run: &Source| {
            let adapters = &run.manifest.adapters;
            let mut processors = adapters.iter().flat_map(|entry| &entry.processors);
            run.manifest.partial
                || !run.manifest.order.is_empty()
                || !run.manifest.left_out.is_empty()
                || processors.any(|processor| !processor.shards.is_empty())
                || !run.dir.join(LEADERBOARD).exists()
        };
        let mut logs = self.rows.iter().flat_map(|row| &row.logs);
        logs.any(|log| log.shard.is_some()) || self.runs.iter().any(is_unfinished)
    }

    /// The folder of a run.
    pub(super) fn dir(&self, run: usize) -> &Path {
        self.runs.get(run).map_or(Path::new(""), |run| &run.dir)
    }

    /// The folders of the runs, for a line.
    pub(super) fn describe(&self) -> String {
        describe(&self.runs)
    }
}

impl Source {
    fn open(named: &NamedRun) -> Result<Self> {
        let source = Self {
            dir: named.dir.clone(),
            manifest: named.open()?.manifest,
            path: named.path(),
            is_cut: named.adapter.is_some(),
        };
        if !source.is_cut {
            source.check_folders()?;
        }
        Ok(source)
    }

    /// Returns an error if the folder holds the answers of a row that the manifest does not have:
    /// they would be left out.
    fn check_folders(&self) -> Result<()> {
        let cannot_read = || format!("cannot read {}", self.dir.display());
        for entry in fs::read_dir(&self.dir).with_context(cannot_read)? {
            let path = entry.with_context(cannot_read)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let is_row = self.manifest.adapters.iter().any(|entry| entry.id == *name);
            ensure!(
                is_row || !path.is_dir() || logs(&path)?.is_empty(),
                "{} has answers, but the run.toml beside it has no entry of {}: start its run again, which adds the entry, or \
                 move the folder away",
                path.display(),
                shorten(&name)
            );
        }
        Ok(())
    }

    fn row_names(&self) -> Vec<String> {
        let adapters = self.manifest.adapters.iter();
        adapters.map(|entry| entry.id.clone()).collect()
    }
}

impl Row {
    /// Finds the logs of a row in all runs.
    ///
    /// # Errors
    /// Returns an error if a folder cannot be read, or a process writes a log.
    fn find(id: &str, runs: &[Source]) -> Result<Self> {
        let mut found = Vec::new();
        for (position, run) in runs.iter().enumerate() {
            if !run.manifest.adapters.iter().any(|entry| entry.id == id) {
                continue;
            }
            for (shard, path) in logs(&run.dir.join(id))? {
                ensure!(!FileLock::is_held(&path)?, in_use(&path));
                found.push(Log {
                    run: position,
                    path,
                    shard,
                });
            }
        }
        Ok(Self {
            id: id.to_owned(),
            logs: found,
        })
    }
}

/// Returns an error if a row would be read twice.
fn check_named_once(runs: &[Source]) -> Result<()> {
    let mut seen: HashMap<PathBuf, Vec<&Source>> = HashMap::new();
    for run in runs {
        let dir = run.dir.canonicalize();
        let dir = dir.with_context(|| format!("cannot read {}", run.dir.display()))?;
        let earlier = seen.entry(dir).or_default();
        for &other in earlier.iter() {
            ensure!(
                other.is_cut != run.is_cut || other.row_names() != run.row_names(),
                "{} is named twice: name it once",
                run.path.display()
            );
            let (whole, row) = if run.is_cut {
                (other, run)
            } else {
                (run, other)
            };
            ensure!(
                whole.is_cut,
                "{} is a row of {}, which is named, too: leave one of the two out",
                row.path.display(),
                whole.path.display()
            );
        }
        earlier.push(run);
    }
    Ok(())
}

/// The error that a process writes a log.
pub(super) fn in_use(log: &Path) -> String {
    format!(
        "{} is in use by another chartbench run: merge when that has ended",
        log.display()
    )
}

/// The folders of runs, for a line.
fn describe(runs: &[Source]) -> String {
    let dirs = runs.iter().map(|run| run.dir.display().to_string());
    let named: Vec<String> = dirs.take(MAX_NAMED).collect();
    match runs.len() - named.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// The manifest of the first run with the rows of all.
///
/// # Errors
/// Returns an error if runs are of other questions or formats, or hold a row with other settings.
fn join(runs: &[Source]) -> Result<Manifest> {
    let first = runs.first().context("no run is named")?;
    let mut joined = first.manifest.clone();
    for run in runs.iter().skip(1) {
        ensure!(
            run.manifest.format == joined.format,
            "{} has format {} and {} format {}: ask the questions of one again, by the version that began the other",
            run.dir.display(),
            run.manifest.format,
            first.dir.display(),
            joined.format
        );
        check_benchmark(run, first)?;
        for entry in &run.manifest.adapters {
            match joined.adapters.iter_mut().find(|row| row.id == entry.id) {
                None => joined.adapters.push(entry.clone()),
                Some(row) => match row.joined(entry) {
                    Some(both) => *row = both,
                    None => bail!(other_settings(entry, run, runs)),
                },
            }
        }
    }
    Ok(joined)
}

fn check_benchmark(run: &Source, first: &Source) -> Result<()> {
    let (asked, first_asked) = (&run.manifest.benchmark, &first.manifest.benchmark);
    if asked != first_asked {
        bail!(OtherQuestions(format!(
            "{} holds a run on other questions than {} ({}): leave it out",
            run.dir.display(),
            first.dir.display(),
            difference(first_asked, asked)
        )));
    }
    Ok(())
}

/// The error that a row of `run` has other settings than in the first run that has it.
fn other_settings(entry: &AdapterEntry, run: &Source, runs: &[Source]) -> String {
    let with_entry = runs.iter().find_map(|first| {
        let mut adapters = first.manifest.adapters.iter();
        Some((first, adapters.find(|row| row.id == entry.id)?))
    });
    let (first, row) = with_entry.unwrap_or((run, entry));
    format!(
        "{} holds another {} than {} (fingerprint {}, there {}; {}): leave it out, or ask it again with the same settings",
        run.dir.display(),
        entry.id,
        first.dir.display(),
        shorten(short(&entry.fingerprint)),
        shorten(short(&row.fingerprint)),
        difference(&row.settings, &entry.settings)
    )
}

/// Puts the rows into the order of an uncut run, and forgets which shard computed what. Returns the
/// rows that are to come, and notes.
fn put_in_order(manifest: &mut Manifest, runs: &[Source]) -> (Vec<String>, Vec<String>) {
    let is_whole = !runs.iter().any(|run| run.is_cut);
    let adapters = manifest.adapters.iter();
    let rows: HashSet<String> = adapters.map(|entry| entry.id.clone()).collect();
    let mut left_out = union(runs.iter().map(|run| &run.manifest.left_out));
    left_out.retain(|name| !rows.contains(name));
    let mut order = union(runs.iter().map(|run| &run.manifest.order));
    order.retain(|name| rows.contains(name) || (is_whole && !left_out.contains(name)));
    let is_to_come = |name: &&String| !rows.contains(*name);
    let absent = order.iter().filter(is_to_come).cloned().collect();
    (manifest.order, manifest.left_out) = (order, left_out);
    manifest.sort_adapters();
    let adapters = manifest.adapters.iter();
    let notes = adapters.filter_map(describe_mixture).collect();
    for processor in manifest
        .adapters
        .iter_mut()
        .flat_map(|entry| &mut entry.processors)
    {
        processor.shards.clear();
    }
    (absent, notes)
}

/// The names of several lists, each once, in the order in which they come.
fn union<'a>(lists: impl Iterator<Item = &'a Vec<String>>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in lists.flatten() {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// The note that answers of a row were computed in several ways.
fn describe_mixture(entry: &AdapterEntry) -> Option<String> {
    let describe = |processor: &Processor| match processor.shards.as_slice() {
        [] => processor.to_string(),
        shards => {
            let more = shards.len().saturating_sub(MAX_NAMED);
            let named: Vec<&str> = shards.iter().take(MAX_NAMED).map(String::as_str).collect();
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            format!("{processor} (shards {}{more})", named.join(", "))
        }
    };
    let is_mixed = entry.has_weights() && entry.processors.len() > 1;
    let ways: Vec<String> = entry.processors.iter().map(describe).collect();
    is_mixed.then(|| {
        format!(
            "note: {}: answers were computed with {}; they are the same to the byte within one only",
            entry.id,
            ways.join(" and with ")
        )
    })
}
