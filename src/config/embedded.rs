//! Folders of TOML files that are part of the program.

use anyhow::{Context, Result};
use include_dir::Dir;

use chartbench_core::names::UnknownName;

/// A folder of TOML files, each under the name of its file without `.toml`.
pub(super) struct EmbeddedFiles {
    /// What a file is, in errors: `prompt`.
    pub(super) kind: &'static str,
    /// The folder in the repository.
    pub(super) folder: &'static str,
    /// Its files.
    pub(super) files: Dir<'static>,
}

impl EmbeddedFiles {
    /// The names, sorted.
    pub(super) fn names(&self) -> Vec<&str> {
        let stem = |path: &'static std::path::Path| path.to_str()?.strip_suffix(".toml");
        let mut names: Vec<&str> = self
            .files
            .files()
            .filter_map(|file| stem(file.path()))
            .collect();
        names.sort_unstable();
        names
    }

    /// The text of the file under a name, and the file's path in the repository.
    ///
    /// # Errors
    /// Returns an error if nothing has the name (with the nearest names).
    pub(super) fn text(&self, name: &str) -> Result<(&str, String)> {
        if !self.names().contains(&name) {
            return Err(UnknownName::new(self.kind, name, self.names().into_iter()).into());
        }
        let path = format!("{}/{name}.toml", self.folder);
        let file = self.files.get_file(format!("{name}.toml"));
        let text = file.and_then(|file| file.contents_utf8());
        Ok((text.with_context(|| format!("{path} is not UTF-8"))?, path))
    }
}

/// Reads a TOML file; the error is one line with file, line and key.
pub(super) fn parse<T: serde::de::DeserializeOwned>(text: &str, file: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| {
        let what = error.message().replace('\n', " ");
        // A missing key has no place: its span is the whole file.
        let span = error.span().filter(|_| !what.starts_with("missing field"));
        let before = span.and_then(|span| text.get(..span.start));
        let line = before.map(|before| format!("line {}: ", 1 + before.matches('\n').count()));
        anyhow::anyhow!("{file}: {}{what}", line.unwrap_or_default())
    })
}
