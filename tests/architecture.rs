//! The arrows between modules point one way: checked from the paths that the sources name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Every module with the modules it may name.
const ARROWS: &[(&str, &[&str])] = &[
    ("terminal", &[]),
    ("files", &[]),
    ("isa", &[]),
    ("input", &[]),
    ("catch_panic", &[]),
    ("data_table", &[]),
    ("sample", &["data_table"]),
    ("config", &["sample"]),
    ("preprocess", &["sample", "isa"]),
    ("nn", &["isa"]),
    ("dataset", &["sample", "config", "data_table"]),
    ("metric", &["sample", "config", "data_table"]),
    ("stats", &[]),
    ("plot", &[]),
    ("import", &["sample", "dataset", "metric"]),
    ("check", &["sample", "config", "dataset", "preprocess", "metric"]),
    ("adapter", &["sample", "config", "data_table", "nn", "preprocess"]),
    ("record", &["sample", "config", "adapter"]),
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
const FOR_ALL: &[&str] = &["terminal", "catch_panic", "files", "input"];

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

/// The top-level modules that a source names outside comments: by `crate::NAME`, or by `super::` often enough. `depth` is the
/// number of modules from the crate's root to the file's own.
fn named_modules(source: &str, depth: usize) -> BTreeSet<String> {
    let code: String =
        source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut named = BTreeSet::new();
    for root in ["crate::".to_owned(), "super::".repeat(depth)] {
        for (start, _) in code.match_indices(&root) {
            // `mycrate::` is another thing, and an earlier `super::` has been looked at.
            if code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            // Modules inside the file need one `super::` more to get out of it.
            let rest = code[start + root.len()..].trim_start_matches("super::");
            let of_crate = root == "crate::";
            assert!(
                !(of_crate && rest.starts_with('{')),
                "write one `use crate::module` a line, so that this test can read it"
            );
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if of_crate || ARROWS.iter().any(|(module, _)| *module == name) {
                named.insert(name);
            }
        }
    }
    named
}

/// The top-level module of each source file, its path below `src`, and the modules it names.
fn arrows() -> Vec<(String, PathBuf, BTreeSet<String>)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut arrows = Vec::new();
    for file in sources(&src) {
        let relative = file.strip_prefix(&src).unwrap().to_owned();
        let first = relative.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        let module = first.trim_end_matches(".rs").to_owned();
        let depth = relative.components().count() - usize::from(relative.ends_with("mod.rs"));
        if module != "main" && module != "lib" {
            let named = named_modules(&fs::read_to_string(&file).unwrap(), depth);
            arrows.push((module, relative, named));
        }
    }
    arrows
}

#[test]
fn arrows_point_one_way() {
    let known: BTreeSet<&str> = ARROWS.iter().map(|(module, _)| *module).collect();
    for (module, relative, named) in arrows() {
        let (_, allowed) = ARROWS
            .iter()
            .find(|(name, _)| *name == module)
            .unwrap_or_else(|| panic!("{module} is missing in ARROWS: list what it may name"));
        for named in named {
            let fine = named == module
                || FOR_ALL.contains(&named.as_str())
                || allowed.contains(&named.as_str())
                || !known.contains(named.as_str());
            assert!(fine, "src/{} names crate::{named}: an arrow against the layers", relative.display());
        }
    }
}

/// The files that a source declares as modules for tests alone.
fn test_modules(file: &Path) -> Vec<PathBuf> {
    let source = fs::read_to_string(file).unwrap();
    let declared = source.lines().zip(source.lines().skip(1)).filter(|(line, _)| line.trim() == "#[cfg(test)]");
    let names = declared.filter_map(|(_, next)| next.trim().strip_prefix("mod ")?.strip_suffix(';'));
    names.map(|name| file.parent().unwrap().join(name).with_extension("rs")).collect()
}

#[test]
fn one_module_writes_to_the_terminal() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let tests: BTreeSet<PathBuf> = sources(&src).iter().flat_map(|file| test_modules(file)).collect();
    for file in sources(&src).into_iter().filter(|file| !tests.contains(file)) {
        let source = fs::read_to_string(&file).unwrap();
        // Tests may print: their runner keeps it to itself.
        let program = source.split("#[cfg(test)]").next().unwrap_or_default();
        let program: String = program.lines().filter(is_code).collect::<Vec<_>>().join("\n");
        let program = program.replace("stderr().is_terminal()", "").replace("stdout().is_terminal()", "");
        let writers = ["println!", "print!", "dbg!", "io::stdout()", "io::stderr()"];
        let found: Vec<&str> = writers.into_iter().filter(|writer| program.contains(writer)).collect();
        // `--out /dev/stdout` is a file, and no text for people.
        let is_writer = ["terminal.rs", "files/atomic.rs"].iter().any(|writer| file == src.join(writer));
        assert_eq!(!found.is_empty(), is_writer, "{}: {found:?}: use src/terminal.rs", file.display());
        if is_writer {
            let streams = program.matches("io::stdout()").count() + program.matches("io::stderr()").count();
            assert_eq!(streams, 2, "{}: one function a stream", file.display());
        }
    }
}

/// Directly or through other modules, as the sources are.
#[test]
fn the_runner_never_scores_and_models_never_see_a_benchmark() {
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, _, named) in arrows() {
        graph.entry(module).or_default().extend(named);
    }
    for (module, hidden) in [
        ("runner", &["metric", "stats", "report", "dataset"][..]),
        ("nn", &["sample", "config", "dataset", "preprocess", "adapter", "metric"]),
        ("preprocess", &["dataset", "nn", "adapter", "metric"]),
        ("adapter", &["dataset", "metric", "runner", "report"]),
        ("metric", &["nn", "adapter", "record", "runner", "report"]),
    ] {
        assert!(graph.contains_key(module), "no module {module}");
        let reached = reached(&graph, module);
        for hidden in hidden {
            assert!(!reached.contains(*hidden), "{module} reaches {hidden}, by way of {reached:?}");
        }
    }
}

/// `start` and all modules that its arrows lead to.
fn reached(graph: &BTreeMap<String, BTreeSet<String>>, start: &str) -> BTreeSet<String> {
    let (mut reached, mut left) = (BTreeSet::new(), vec![start.to_owned()]);
    while let Some(module) = left.pop() {
        if reached.insert(module.clone()) {
            left.extend(graph.get(&module).into_iter().flatten().cloned());
        }
    }
    reached
}

/// The reader of paths itself, and the walk along them.
#[test]
fn paths_are_read_from_the_sources() {
    let names = |source: &str, depth: usize| named_modules(source, depth).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(names("use crate::metric::Pair;\nlet x = crate::sample::Gold::from(1);", 1), "metric sample");
    assert_eq!(names("// use crate::metric;\nmycrate::report::x(); $crate::terminal::y()", 1), "terminal");
    assert_eq!(names("use super::metric::Pair;", 1), "metric");
    assert_eq!(names("use super::metric::Pair;", 2), "");
    assert_eq!(names("mod tests { use super::super::metric::Pair; use super::*; }", 1), "metric");
    assert_eq!(names("use super::super::report::x;", 2), "report");
    let arrow = |to: &str| BTreeSet::from([to.to_owned()]);
    let graph =
        BTreeMap::from([("a".to_owned(), arrow("b")), ("b".to_owned(), arrow("c")), ("d".to_owned(), arrow("a"))]);
    assert_eq!(reached(&graph, "a").into_iter().collect::<String>(), "abc");
}
