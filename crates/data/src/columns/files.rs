//! The files of a data set, and which of them are a split.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use glob::{MatchOptions, Pattern};

use super::map::SplitFiles;
use chartbench_core::question::Split;

/// Where the parquet files of a split usually lie; `SPLIT` is the split's name.
const PATTERNS: [&str; 6] = [
    "SPLIT-*.parquet",
    "SPLIT.parquet",
    "SPLIT/*.parquet",
    "data/SPLIT-*.parquet",
    "data/SPLIT.parquet",
    "data/SPLIT/*.parquet",
];
/// Deepest folder that is looked into.
const MAX_DEPTH: usize = 6;
/// Most files and folders that are looked at.
const MAX_ENTRIES: usize = 2_000_000;

/// What the files of a data set are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileType {
    /// Parquet.
    Parquet,
    /// A list of JSON records, or a record on each line.
    Json,
}

impl FileType {
    /// Whether a path has an extension of such files.
    fn has_extension(self, path: &Path) -> bool {
        let extensions: &[&str] = match self {
            Self::Parquet => &["parquet"],
            Self::Json => &["json", "jsonl"],
        };
        path.extension().is_some_and(|extension| {
            extensions
                .iter()
                .any(|own| extension.eq_ignore_ascii_case(own))
        })
    }
}

/// The files of one type at a data path.
pub(super) enum DataFiles {
    /// The path of one file, which is the test split.
    File(PathBuf),
    /// A folder, and the paths in it, with `/` between folders, sorted.
    Folder(PathBuf, Vec<String>),
}

impl DataFiles {
    /// Lists the files at `path`.
    ///
    /// # Errors
    /// Returns an error if the path or a folder in it cannot be read, or has too many of them.
    pub(super) fn list(path: &Path, file_type: FileType) -> Result<Self> {
        let metadata =
            std::fs::metadata(path).with_context(|| format!("cannot open {}", path.display()))?;
        if !metadata.is_dir() {
            return Ok(Self::File(path.to_owned()));
        }
        let (mut names, mut seen) = (Vec::new(), 0_usize);
        let mut folders = vec![(String::new(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            let full = path.join(&folder);
            let cannot_list = || format!("cannot list {}", full.display());
            for entry in std::fs::read_dir(&full).with_context(cannot_list)? {
                let entry = entry.with_context(cannot_list)?;
                seen += 1;
                ensure!(
                    seen <= MAX_ENTRIES,
                    "{}: more than {MAX_ENTRIES} files are there",
                    path.display()
                );
                let file_name = entry.file_name();
                // No pattern names a hidden file, nor one whose name is not UTF-8.
                let Some(name) = file_name.to_str().filter(|name| !name.starts_with('.')) else {
                    continue;
                };
                let kind = entry.file_type().with_context(cannot_list)?;
                let inner = format!("{folder}{name}");
                if kind.is_dir() && depth < MAX_DEPTH {
                    folders.push((inner + "/", depth + 1));
                } else if !kind.is_dir() && file_type.has_extension(Path::new(name)) {
                    names.push(inner);
                }
            }
        }
        names.sort_unstable();
        Ok(Self::Folder(path.to_owned(), names))
    }

    /// The files of a split, in their order, each once. Upper and lower case are the same.
    pub(super) fn of_split(&self, split: Split, files: &SplitFiles) -> Vec<PathBuf> {
        let (folder, names) = match self {
            Self::File(path) if split == Split::Test => return vec![path.clone()],
            Self::File(_) => return Vec::new(),
            Self::Folder(folder, names) => (folder, names),
        };
        let own = match split {
            Split::Test => &files.test,
            Split::Train => &files.train,
        };
        let patterns: Vec<Pattern> = if own.is_empty() {
            let usual = PATTERNS.map(|pattern| pattern.replace("SPLIT", split.name()));
            usual
                .iter()
                .filter_map(|text| Pattern::new(text).ok())
                .collect()
        } else {
            own.iter()
                .filter_map(|text| Pattern::new(text).ok())
                .collect()
        };
        let options = MatchOptions {
            case_sensitive: false,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let mut found: Vec<&String> = Vec::new();
        for pattern in patterns {
            let matches = |name: &&String| pattern.matches_with(name, options);
            let new: Vec<&String> = names.iter().filter(matches).collect();
            found.extend(new);
        }
        let mut seen = std::collections::HashSet::new();
        found.retain(|name| seen.insert(name.as_str()));
        found.into_iter().map(|name| folder.join(name)).collect()
    }

    /// The folder that relative paths of images begin in.
    pub(super) fn root(&self) -> PathBuf {
        let file = match self {
            Self::Folder(folder, _) => return folder.clone(),
            Self::File(file) => file,
        };
        let folder = match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => return PathBuf::from("."),
        };
        // Hugging Face's layout has the files in `data/`, and images beside it.
        let above = folder.parent().filter(|_| folder.ends_with("data"));
        match above {
            Some(above) if above.as_os_str().is_empty() => PathBuf::from("."),
            Some(above) => above.to_owned(),
            None => folder.to_owned(),
        }
    }
}

/// Whether `path` is a parquet file, or a folder with those of a split.
pub(crate) fn is_parquet_at(path: &Path, files: &SplitFiles) -> bool {
    if !path.is_dir() {
        return FileType::Parquet.has_extension(path);
    }
    DataFiles::list(path, FileType::Parquet).is_ok_and(|data| {
        [Split::Test, Split::Train]
            .into_iter()
            .any(|split| !data.of_split(split, files).is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_split_are_found_under_their_usual_names() {
        let names = [
            "Test/0000.parquet",
            "data/test-00000-of-00002.parquet",
            "data/test-00001-of-00002.parquet",
            "data/train-00000-of-00001.parquet",
            "data/validation.parquet",
            "old/test.parquet",
        ];
        let names = names.map(str::to_owned).to_vec();
        let data = DataFiles::Folder(PathBuf::from("d"), names);
        let found = |split, files: &SplitFiles| -> Vec<String> {
            let files = data.of_split(split, files);
            let name = |path: &PathBuf| path.strip_prefix("d").unwrap().display().to_string();
            files.iter().map(name).collect()
        };
        let usual = SplitFiles::default();
        assert_eq!(
            found(Split::Test, &usual),
            [
                "Test/0000.parquet",
                "data/test-00000-of-00002.parquet",
                "data/test-00001-of-00002.parquet"
            ]
        );
        let own = SplitFiles {
            test: vec!["old/*".to_owned(), "**/test.parquet".to_owned()],
            train: Vec::new(),
        };
        assert_eq!(found(Split::Test, &own), ["old/test.parquet"]);
        assert_eq!(
            found(Split::Train, &own),
            ["data/train-00000-of-00001.parquet"]
        );
    }

    #[test]
    fn images_lie_beside_the_folder_data() {
        let root = |path: &str| DataFiles::File(PathBuf::from(path)).root();
        assert_eq!(root("a/data/x.parquet"), PathBuf::from("a"));
        assert_eq!(root("data/x.parquet"), PathBuf::from("."));
        assert_eq!(root("a/x.parquet"), PathBuf::from("a"));
        assert_eq!(root("x.parquet"), PathBuf::from("."));
    }
}
