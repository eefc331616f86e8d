//! The arrows between modules point one way: checked from the `crate::` paths in the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every module with the modules it may name.
const ARROWS: &[(&str, &[&str])] = &[
    ("terminal", &[]),
    ("files", &[]),
    ("isa", &[]),
    ("data_table", &[]),
    ("sample", &["data_table"]),
    ("config", &["sample"]),
    ("preprocess", &["sample", "isa"]),
    ("nn", &["isa"]),
    ("dataset", &["sample", "config", "data_table"]),
    ("metric", &["sample", "config", "data_table"]),
    ("stats", &[]),
    ("plot", &[]),
    ("import", &["sample", "dataset"]),
    ("check", &["sample", "config", "dataset", "preprocess", "metric"]),
    ("adapter", &["sample", "config", "data_table", "nn", "preprocess"]),
    ("record", &["sample", "adapter"]),
    ("train", &["isa", "sample", "config", "record", "adapter", "nn", "metric", "runner", "plot"]),
    ("quantize", &["sample", "config", "record", "adapter", "nn", "metric", "report", "train"]),
    ("runner", &["sample", "adapter", "record"]),
    ("report", &["sample", "config", "record", "metric", "stats", "plot"]),
    (
        "cmd",
        &[
            "sample",
            "data_table",
            "config",
            "dataset",
            "preprocess",
            "import",
            "adapter",
            "record",
            "metric",
            "check",
            "runner",
            "train",
            "report",
            "stats",
            "nn",
            "quantize",
            "isa",
        ],
    ),
];

/// What every module may name.
const FOR_ALL: &[&str] = &["terminal", "files"];

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The top-level modules named by `crate::NAME` or `use crate::{A, B}` outside comments.
fn named_modules(source: &str) -> BTreeSet<String> {
    let code: String =
        source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut named = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        // `$crate::` and `mycrate::` are other things.
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        assert!(!rest.starts_with('{'), "write one `use crate::module` a line, so that this test can read it");
        named.insert(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
    }
    named
}

#[test]
fn arrows_point_one_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let known: BTreeSet<&str> = ARROWS.iter().map(|(module, _)| *module).collect();
    for file in sources(&src) {
        let relative = file.strip_prefix(&src).unwrap();
        let first = relative.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        let module = first.trim_end_matches(".rs");
        if module == "main" || module == "lib" {
            continue;
        }
        let (_, allowed) = ARROWS
            .iter()
            .find(|(name, _)| *name == module)
            .unwrap_or_else(|| panic!("{module} is missing in ARROWS: say what it may name"));
        for named in named_modules(&fs::read_to_string(&file).unwrap()) {
            let fine = named == module
                || FOR_ALL.contains(&named.as_str())
                || allowed.contains(&named.as_str())
                || !known.contains(named.as_str());
            assert!(fine, "src/{} names crate::{named}: an arrow against the layers", relative.display());
        }
    }
}

#[test]
fn the_runner_never_scores_and_models_never_see_a_benchmark() {
    let allowed = |module: &str| ARROWS.iter().find(|(name, _)| *name == module).unwrap().1;
    assert!(!allowed("runner").contains(&"metric"));
    assert!(!allowed("nn").contains(&"dataset"));
    assert!(!allowed("adapter").contains(&"dataset"));
}
