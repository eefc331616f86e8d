//! The folder that holds the runs, `results/` by default: finds a run by its name.

use std::fmt::Write;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{RunReader, StoredRun};
use crate::config::Benchmark;
use chartbench_core::names::{check_folder_name, nearest_first};
use chartbench_core::terminal::{shell_word, shorten};

/// Most runs that an error lists.
const MAX_LISTED: usize = 10;
/// Most paths that the note about skipped ones lists.
const MAX_SKIPPED: usize = 3;

/// A folder of runs.
#[derive(Clone, Debug)]
pub struct ResultsDir {
    path: PathBuf,
}

/// A run that was found, or one adapter of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedRun {
    /// The run's directory.
    pub dir: PathBuf,
    /// The adapter that was named, in the manifest or not; all of the run where it is absent.
    pub adapter: Option<String>,
}

/// The folders in a folder of runs, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFolders {
    /// Folders that hold a run.
    pub runs: Vec<String>,
    /// All other folders but hidden ones.
    pub others: Vec<String>,
}

impl ResultsDir {
    /// The folder at `path`, which need not exist.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// The run called `name`, or `RUN/ADAPTER` for one of its adapters: a name under this folder
    /// first, then a path. A path that is absolute or begins with a dot is never a name.
    ///
    /// # Errors
    /// Returns an error in one line if no run is found: for a name it lists the runs, the nearest
    /// first, and the command that makes the missing one.
    pub fn find(&self, name: &Path) -> Result<NamedRun> {
        match self.lookup(name) {
            Some(run) => Ok(run),
            None => self.refuse(name),
        }
    }

    /// [`Self::find`] for each of several names. Where some are runs, the existing files and
    /// folders among them that are not (`results/*` finds such) are skipped, with a note on
    /// standard error.
    ///
    /// # Errors
    /// As [`Self::find`], of the first name that is neither a run nor skipped.
    pub fn find_all(&self, names: &[PathBuf]) -> Result<Vec<NamedRun>> {
        let found: Vec<Option<NamedRun>> = names.iter().map(|name| self.lookup(name)).collect();
        let any = found.iter().any(Option::is_some);
        let (mut runs, mut skipped) = (Vec::new(), Vec::new());
        for (name, run) in names.iter().zip(found) {
            match run {
                Some(run) => runs.push(run),
                None if any && name.exists() => skipped.push(name.display().to_string()),
                None => return self.refuse(name),
            }
        }
        if !skipped.is_empty() {
            chartbench_core::note!("note: skipped, not a run: {}", list(&skipped, MAX_SKIPPED));
        }
        Ok(runs)
    }

    /// The folders in this one; none where it does not exist.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be read.
    pub fn folders(&self) -> Result<RunFolders> {
        let cannot_read = || format!("cannot read {}", self.path.display());
        let entries = match std::fs::read_dir(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(RunFolders::default()),
            entries => entries.with_context(cannot_read)?,
        };
        let paths: Vec<PathBuf> = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<_>>()
            .with_context(cannot_read)?;
        let mut folders = RunFolders::default();
        for path in paths.into_iter().filter(|path| path.is_dir()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if StoredRun::is_at(&path) {
                folders.runs.push(name.into_owned());
            } else if !name.starts_with('.') {
                folders.others.push(name.into_owned());
            }
        }
        folders.runs.sort();
        folders.others.sort();
        Ok(folders)
    }

    /// The command that merges the shards of the run `run`.
    pub fn merge_command(&self, run: &str) -> String {
        format!("chartbench merge {}{}", shell_word(run), self.flag())
    }

    /// The flag that names this folder, behind a space; nothing for the default one.
    fn flag(&self) -> String {
        if self.path == Path::new("results") {
            String::new()
        } else {
            format!(
                " --results {}",
                shell_word(&self.path.display().to_string())
            )
        }
    }

    fn lookup(&self, name: &Path) -> Option<NamedRun> {
        let begins_as_name = matches!(name.components().next(), Some(Component::Normal(_)));
        let under = begins_as_name.then(|| self.path.join(name));
        under
            .into_iter()
            .chain([name.to_owned()])
            .find_map(|path| NamedRun::at(&path))
    }

    /// The error that `name` is not a run.
    fn refuse<T>(&self, name: &Path) -> Result<T> {
        if name.exists() {
            bail!(
                "{} is not a run directory: it has no run.toml",
                name.display()
            );
        }
        let Some(run) = self.run_name(name) else {
            bail!("{} does not exist", name.display());
        };
        let runs = self.folders()?.runs;
        let known: Vec<String> = nearest_first(&run, runs.iter().map(String::as_str))
            .into_iter()
            .map(shorten)
            .collect();
        let results = self.path.display();
        let mut message = match known.as_slice() {
            [] => format!("no run `{}`: {results} holds no runs", shorten(&run)),
            known => format!(
                "no run `{}` in {results}, which holds {}",
                shorten(&run),
                list(known, MAX_LISTED)
            ),
        };
        if let Some(commands) = self.making(&run) {
            write!(message, "; make it by {commands}")?;
        }
        bail!(message)
    }

    /// The run that a path which does not exist would name: in `RUN`, `RUN/ADAPTER`, and both under
    /// this folder.
    fn run_name(&self, path: &Path) -> Option<String> {
        let inside = path.strip_prefix(&self.path).unwrap_or(path);
        let mut parts = inside.components();
        match (parts.next(), parts.next(), parts.next()) {
            (Some(Component::Normal(run)), None | Some(Component::Normal(_)), None) => {
                Some(run.to_str()?.to_owned())
            }
            _ => None,
        }
    }

    /// The commands that make a run of this name, where it can be one.
    fn making(&self, run: &str) -> Option<String> {
        check_folder_name("", run).ok()?;
        let results = self.flag();
        let run = shell_word(run);
        Some(
            if Benchmark::embedded_names().any(|benchmark| benchmark == run) {
                format!("`chartbench run --benchmark {run}{results}`")
            } else {
                format!(
                    "`chartbench run --name {run}{results}` or `chartbench finetune --name {run}{results}`"
                )
            },
        )
    }
}

impl NamedRun {
    /// The run at `path`, or the run in whose directory `path` is an adapter's folder.
    pub fn at(path: &Path) -> Option<Self> {
        if StoredRun::is_at(path) {
            return Some(Self {
                dir: path.to_owned(),
                adapter: None,
            });
        }
        let dir = path.parent().filter(|dir| StoredRun::is_at(dir))?;
        let adapter = path.file_name().filter(|_| !path.is_file())?.to_str()?;
        Some(Self {
            dir: dir.to_owned(),
            adapter: Some(adapter.to_owned()),
        })
    }

    /// Opens the run, cut down to the adapter that was named.
    ///
    /// # Errors
    /// Returns an error if the manifest is broken or the run does not have the adapter.
    pub fn open(&self) -> Result<RunReader> {
        let run = RunReader::open(&self.dir)?;
        match &self.adapter {
            Some(adapter) => run
                .with_adapter(adapter)
                .with_context(|| self.path().display().to_string()),
            None => Ok(run),
        }
    }

    /// Reads the run whole, cut down to the adapter that was named.
    ///
    /// # Errors
    /// Returns an error if a file is broken or the run does not have the adapter.
    pub fn read(&self) -> Result<StoredRun> {
        self.open()?.read()
    }

    /// The run's directory, or the adapter's folder in it.
    pub fn path(&self) -> PathBuf {
        match &self.adapter {
            Some(adapter) => self.dir.join(adapter),
            None => self.dir.clone(),
        }
    }
}

/// The first `most` names, and how many more there are.
fn list(names: &[String], most: usize) -> String {
    let shown: Vec<&str> = names.iter().take(most).map(String::as_str).collect();
    match names.len().saturating_sub(most) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// `results/` with the runs `before` and `mini`, whose manifests are empty, and `figures/`.
    fn results() -> (tempfile::TempDir, ResultsDir) {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["before", "mini", "figures", ".hidden"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        for run in ["before", "mini"] {
            fs::write(dir.path().join(run).join("run.toml"), "").unwrap();
        }
        fs::write(dir.path().join("README.md"), "").unwrap();
        let results = ResultsDir::new(dir.path());
        (dir, results)
    }

    #[test]
    fn names_and_paths_lead_to_runs_and_adapters() {
        let (dir, results) = results();
        let run = |adapter: Option<&str>| NamedRun {
            dir: dir.path().join("mini"),
            adapter: adapter.map(str::to_owned),
        };
        let path = dir.path().join("mini");
        for name in [Path::new("mini"), &path] {
            assert_eq!(results.find(name).unwrap(), run(None));
            let adapter = results.find(&name.join("majority")).unwrap();
            assert_eq!(adapter, run(Some("majority")));
            assert_eq!(adapter.path(), path.join("majority"));
        }
        // A file in a run is not an adapter, and a path with a dot is not a name.
        assert!(results.find(Path::new("mini/run.toml")).is_err());
        assert!(results.find(Path::new("./mini")).is_err());
    }

    #[test]
    fn an_unknown_name_lists_the_nearest_runs_and_the_command() {
        let (dir, results) = results();
        let error = |name: &str| results.find(Path::new(name)).unwrap_err().to_string();
        let at = dir.path().display();
        for name in ["mimi", "mimi/majority", &format!("{at}/mimi")] {
            assert_eq!(
                error(name),
                format!(
                    "no run `mimi` in {at}, which holds mini, before; make it by `chartbench run --name mimi --results {at}` \
                     or `chartbench finetune --name mimi --results {at}`"
                )
            );
        }
        fs::remove_file(dir.path().join("mini/run.toml")).unwrap();
        assert!(error("mini").ends_with(&format!(
            "which holds before; make it by `chartbench run --benchmark mini --results {at}`"
        )));
        assert_eq!(
            error(&format!("{at}/figures")),
            format!("{at}/figures is not a run directory: it has no run.toml")
        );
        assert_eq!(error("/none/at/all"), "/none/at/all does not exist");
        let empty = ResultsDir::new(Path::new("no-such-folder"));
        let error = empty.find(Path::new("a b")).unwrap_err().to_string();
        assert!(
            error.starts_with("no run `a b`: no-such-folder holds no runs; make it by `chartbench run --name 'a b' --results"),
            "{error}"
        );
    }

    #[test]
    fn what_is_not_a_run_is_skipped_only_beside_runs() {
        let (dir, results) = results();
        let glob = ["README.md", "before", "figures", "mini"].map(|name| dir.path().join(name));
        let found = results.find_all(&glob).unwrap();
        assert_eq!(
            found.iter().map(|run| &run.dir).collect::<Vec<_>>(),
            [&glob[1], &glob[3]]
        );
        let error = |names: &[PathBuf]| results.find_all(names).unwrap_err().to_string();
        assert!(error(&[glob[0].clone(), glob[2].clone()]).contains("README.md is not a run"));
        assert!(error(&[glob[1].clone(), "typo".into()]).contains("no run `typo`"));
        let folders = RunFolders {
            runs: vec!["before".to_owned(), "mini".to_owned()],
            others: vec!["figures".to_owned()],
        };
        assert_eq!(results.folders().unwrap(), folders);
    }

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<String> = (0..12).map(|number| format!("r{number}")).collect();
        assert_eq!(list(&names, 2), "r0, r1 and 10 more");
        assert_eq!(list(&names[..2], 2), "r0, r1");
    }
}
