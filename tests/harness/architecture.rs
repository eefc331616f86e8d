//! The arrows between crates and modules point one way: checked from manifests and from the paths
//! that the sources name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module and those that it may name.
type Arrows = (&'static str, &'static [&'static str]);

/// Each crate by its folder, and every module of it with the modules that it may name. Which crate
/// may name which is in their Cargo.toml files.
const ARROWS: &[(&str, &[Arrows])] = &[
    (
        ".",
        &[
            ("config", &[]),
            ("http", &[]),
            ("hub", &["config", "http"]),
            ("adapter", &["config", "http", "hub"]),
            ("run", &["config", "adapter"]),
            ("report", &["config", "run"]),
            ("finetune", &["config", "adapter", "run", "report"]),
            (
                "jobs",
                &["config", "hub", "adapter", "run", "report", "finetune"],
            ),
            (
                "cli",
                &[
                    "jobs", "config", "hub", "adapter", "run", "report", "finetune",
                ],
            ),
        ],
    ),
    (
        "crates/core",
        &[
            ("answer", &["question"]),
            ("catch_panic", &["terminal"]),
            ("counts", &[]),
            ("data_table", &[]),
            ("files", &["terminal"]),
            ("input", &["terminal"]),
            ("isa", &["terminal"]),
            ("json_records", &["input", "read_file"]),
            ("judgement", &[]),
            ("names", &["terminal"]),
            ("parse_field", &["question"]),
            ("python", &[]),
            ("question", &["data_table", "files", "input", "seeded_draw"]),
            ("read_file", &["input"]),
            ("realcqa_split", &["question", "read_file"]),
            ("seeded_draw", &[]),
            ("shard", &["question"]),
            ("terminal", &[]),
        ],
    ),
    ("crates/fonts", &[]),
    ("crates/models-matcha", &[]),
    ("crates/models-unichart", &[]),
    ("crates/pixels", &[("decode", &[]), ("resample", &[])]),
    (
        "crates/score",
        &[("import", &["metric"]), ("metric", &[]), ("stats", &[])],
    ),
    (
        "crates/data",
        &[
            ("chartmuseum", &["columns", "notes", "python_constants"]),
            ("chartqa", &["images", "notes", "questions_by_chart"]),
            (
                "charxiv",
                &["columns", "images", "notes", "python_constants", "spec"],
            ),
            ("columns", &["images", "notes", "questions_by_chart"]),
            ("content", &[]),
            ("data_series", &[]),
            ("even_draw", &[]),
            ("generic", &["images", "notes", "questions_by_chart"]),
            ("gold_tables", &[]),
            ("id_list", &["spec"]),
            ("images", &["notes"]),
            ("lint", &["columns", "content", "question_stream", "spec"]),
            ("notes", &[]),
            ("plotqa", &["images", "notes", "questions_by_chart"]),
            ("pretraining", &["gold_tables"]),
            ("python_constants", &[]),
            (
                "question_stream",
                &[
                    "chartmuseum",
                    "chartqa",
                    "charxiv",
                    "columns",
                    "even_draw",
                    "generic",
                    "gold_tables",
                    "id_list",
                    "notes",
                    "plotqa",
                    "pretraining",
                    "realcqa",
                    "spec",
                    "synth",
                ],
            ),
            ("questions_by_chart", &[]),
            ("realcqa", &["data_series", "images", "notes"]),
            (
                "spec",
                &["chartqa", "columns", "generic", "plotqa", "realcqa"],
            ),
            ("synth", &["data_series", "realcqa"]),
        ],
    ),
    (
        "crates/nn",
        &[
            ("config_file", &[]),
            (
                "donut",
                &[
                    "config_file",
                    "encoder_decoder",
                    "generation",
                    "kernels",
                    "loading",
                    "memory_need",
                    "training",
                ],
            ),
            (
                "encoder_decoder",
                &[
                    "generation",
                    "kernels",
                    "loading",
                    "memory_need",
                    "training",
                ],
            ),
            ("finite", &[]),
            ("memory_need", &[]),
            ("generation", &["config_file", "finite", "loading"]),
            ("loading", &["finite", "kernels"]),
            ("kernels", &["finite"]),
            (
                "pix2struct",
                &[
                    "config_file",
                    "encoder_decoder",
                    "generation",
                    "kernels",
                    "loading",
                    "memory_need",
                    "training",
                ],
            ),
            ("preprocess", &[]),
            ("tokenizer", &[]),
            ("optimizer", &[]),
            ("training", &["kernels", "loading"]),
        ],
    ),
];

/// The crates of the embedded checkpoints, which only the root package names.
const MATCHA: &str = "models-matcha";
const UNICHART: &str = "models-unichart";

/// Crates that a crate must not reach, directly or through others, and a module of the root must
/// not name.
const HIDDEN: &[(&str, &[&str])] = &[
    (
        "crates/core",
        &["fonts", "pixels", "score", "data", "nn", MATCHA, UNICHART],
    ),
    (
        "crates/pixels",
        &["fonts", "score", "data", "nn", MATCHA, UNICHART],
    ),
    (
        "crates/score",
        &["fonts", "pixels", "data", "nn", MATCHA, UNICHART],
    ),
    ("crates/data", &["nn", MATCHA, UNICHART]),
    ("crates/nn", &["data", "score", MATCHA, UNICHART]),
    ("run", &["score", "data"]),
    ("adapter", &["score", "data"]),
    ("hub", &["score", "data", "nn"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

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

/// What a source names outside comments and `use` of its own parts: `crate::NAME`, `super::NAME`
/// where that leads to the crate's root, and other crates of the workspace as `chartbench_NAME`.
/// `depth` is the number of modules from the root to the file's own.
fn named(source: &str, depth: usize) -> BTreeSet<String> {
    let code: Vec<&str> = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let code = code.join("\n");
    let is_name = |c: &char| c.is_alphanumeric() || *c == '_';
    let mut named = BTreeSet::new();
    for root in [
        "crate::".to_owned(),
        "super::".repeat(depth),
        "chartbench_".to_owned(),
    ] {
        for (start, _) in code.match_indices(&root) {
            // `mycrate::` is another thing, and an earlier `super::` has been looked at.
            if code[..start].ends_with(|c: char| is_name(&c) || c == '$')
                || code[..start].ends_with("super::")
            {
                continue;
            }
            // Modules inside the file need one `super::` more to get out of it.
            let rest = code[start + root.len()..].trim_start_matches("super::");
            let names = match rest.strip_prefix('{') {
                Some(list) => list
                    .split('}')
                    .next()
                    .unwrap_or_default()
                    .split(',')
                    .map(str::trim)
                    .collect(),
                None => vec![rest],
            };
            for name in names {
                let name: String = name.chars().take_while(is_name).collect();
                let prefix = if root == "chartbench_" {
                    "chartbench_"
                } else {
                    ""
                };
                named.insert(format!("{prefix}{name}"));
            }
        }
    }
    named
}

/// The module that each name comes from which a crate's root passes on by `pub use`.
fn passed_on(lib: &str) -> BTreeMap<String, String> {
    let mut modules = BTreeMap::new();
    for statement in lib.split(';') {
        let Some((_, path)) = statement.split_once("pub use ") else {
            continue;
        };
        let path = path.trim_start_matches("self::");
        let Some((module, names)) = path.split_once("::") else {
            continue;
        };
        for name in names.trim_matches(['{', '}', '\n', ' ']).split(',') {
            let name = name.trim().rsplit("::").next().unwrap_or_default();
            // Behind a last comma there is no name.
            if name.is_empty() {
                continue;
            }
            modules.insert(name.to_owned(), module.to_owned());
        }
    }
    modules
}

/// Each source file of a crate by its path below `src`, with its top-level module and what it
/// names.
fn arrows(folder: &str) -> Vec<(String, PathBuf, BTreeSet<String>)> {
    let src = root().join(folder).join("src");
    let passed_on = passed_on(&fs::read_to_string(src.join("lib.rs")).unwrap());
    let mut arrows = Vec::new();
    for file in sources(&src) {
        let relative = file.strip_prefix(&src).unwrap().to_owned();
        let first = relative
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_string_lossy()
            .into_owned();
        let module = first.trim_end_matches(".rs").to_owned();
        if module != "main" && module != "lib" {
            let depth = relative.components().count() - usize::from(relative.ends_with("mod.rs"));
            let named = named(&fs::read_to_string(&file).unwrap(), depth);
            let named = named
                .into_iter()
                .map(|name| passed_on.get(&name).cloned().unwrap_or(name))
                .collect();
            arrows.push((module, relative, named));
        }
    }
    arrows
}

#[test]
fn arrows_point_one_way() {
    for (folder, modules) in ARROWS {
        let known: BTreeSet<&str> = modules.iter().map(|(module, _)| *module).collect();
        for (module, relative, named) in arrows(folder) {
            let found = modules.iter().find(|(name, _)| *name == module);
            let (_, allowed) =
                found.unwrap_or_else(|| panic!("{folder}: {module} is missing in ARROWS"));
            for named in named {
                let fine = named == module
                    || allowed.contains(&named.as_str())
                    || !known.contains(named.as_str());
                assert!(
                    fine,
                    "{folder}/src/{} names crate::{named}: an arrow against the layers",
                    relative.display()
                );
            }
        }
        let graph: BTreeMap<String, BTreeSet<String>> = modules
            .iter()
            .map(|(module, named)| {
                (
                    (*module).to_owned(),
                    named.iter().map(|name| (*name).to_owned()).collect(),
                )
            })
            .collect();
        for (module, named) in &graph {
            assert!(
                named
                    .iter()
                    .all(|next| !reached(&graph, next).contains(module)),
                "{folder}: {module} is in a circle"
            );
        }
    }
}

/// The crates of the workspace that a manifest lets its own crate name, without those for tests.
fn crates_named_by(folder: &str) -> BTreeSet<String> {
    let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&manifest).unwrap();
    let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table);
    dependencies
        .into_iter()
        .flat_map(toml::Table::keys)
        .filter_map(|name| name.strip_prefix("chartbench-").map(str::to_owned))
        .collect()
}

#[test]
fn the_runner_never_scores_and_models_never_see_a_benchmark() {
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (folder, _) in ARROWS.iter().filter(|(folder, _)| *folder != ".") {
        graph.insert(
            folder.trim_start_matches("crates/").to_owned(),
            crates_named_by(folder),
        );
    }
    let mut modules: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, _, named) in arrows(".") {
        let crates = named
            .iter()
            .filter_map(|name| name.strip_prefix("chartbench_").map(str::to_owned));
        modules.entry(module).or_default().extend(crates);
    }
    for (start, hidden) in HIDDEN {
        let reached = match start.strip_prefix("crates/") {
            Some(name) => reached(&graph, name),
            None => modules
                .get(*start)
                .unwrap_or_else(|| panic!("no module {start}"))
                .clone(),
        };
        for hidden in *hidden {
            assert!(
                !reached.contains(*hidden),
                "{start} reaches {hidden}, by way of {reached:?}"
            );
        }
    }
}

/// The files that a source declares as modules for tests alone.
fn test_modules(file: &Path) -> Vec<PathBuf> {
    let source = fs::read_to_string(file).unwrap();
    let declared = source
        .lines()
        .zip(source.lines().skip(1))
        .filter(|(line, _)| line.trim() == "#[cfg(test)]");
    let names =
        declared.filter_map(|(_, next)| next.trim().strip_prefix("mod ")?.strip_suffix(';'));
    names
        .map(|name| file.parent().unwrap().join(name).with_extension("rs"))
        .collect()
}

#[test]
fn one_module_writes_to_the_terminal() {
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let all: Vec<PathBuf> = ARROWS
        .iter()
        .flat_map(|(folder, _)| sources(&root().join(folder).join("src")))
        .collect();
    let tests: BTreeSet<PathBuf> = all.iter().flat_map(|file| test_modules(file)).collect();
    for file in all.into_iter().filter(|file| !tests.contains(file)) {
        let source = fs::read_to_string(&file).unwrap();
        // Tests may print: their runner keeps it to itself.
        let program = source.split("#[cfg(test)]").next().unwrap_or_default();
        let program: String = program
            .lines()
            .filter(is_code)
            .collect::<Vec<_>>()
            .join("\n");
        let program = program
            .replace("stderr().is_terminal()", "")
            .replace("stdout().is_terminal()", "");
        let writers = ["println!", "print!", "dbg!", "io::stdout()", "io::stderr()"];
        let found: Vec<&str> = writers
            .into_iter()
            .filter(|writer| program.contains(writer))
            .collect();
        // `--out /dev/stdout` is a file, and no text for people.
        let core = root().join("./crates/core/src");
        let is_writer = ["terminal.rs", "files/atomic.rs"]
            .iter()
            .any(|writer| file == core.join(writer));
        assert_eq!(
            !found.is_empty(),
            is_writer,
            "{}: {found:?}: use chartbench_core::terminal",
            file.display()
        );
        if is_writer {
            let streams =
                program.matches("io::stdout()").count() + program.matches("io::stderr()").count();
            assert_eq!(streams, 2, "{}: one function a stream", file.display());
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
    let names = |source: &str, depth: usize| {
        named(source, depth)
            .into_iter()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        names(
            "use crate::metric::Pair;\nlet x = crate::sample::Gold::from(1);",
            1
        ),
        "metric sample"
    );
    assert_eq!(
        names(
            "// use crate::metric;\nmycrate::report::x(); $crate::terminal::y()",
            1
        ),
        ""
    );
    assert_eq!(
        names(
            "use crate::{Ask, metric::Pair};\nuse chartbench_core::input;",
            1
        ),
        "Ask chartbench_core metric"
    );
    assert_eq!(names("use super::metric::Pair;", 1), "metric");
    assert_eq!(names("use super::metric::Pair;", 2), "");
    assert_eq!(
        names(
            "mod tests { use super::super::metric::Pair; use super::*; }",
            1
        ),
        " metric"
    );
    assert_eq!(names("use super::super::report::x;", 2), "report");
    let passed_on = passed_on("mod a;\npub use a::{One, two::Two};\npub use self::b::{Three,};");
    assert_eq!(passed_on.len(), 3);
    assert_eq!(
        (
            passed_on["One"].as_str(),
            passed_on["Two"].as_str(),
            passed_on["Three"].as_str()
        ),
        ("a", "a", "b")
    );
    let arrow = |to: &str| BTreeSet::from([to.to_owned()]);
    let graph = BTreeMap::from([
        ("a".to_owned(), arrow("b")),
        ("b".to_owned(), arrow("c")),
        ("d".to_owned(), arrow("a")),
    ]);
    assert_eq!(reached(&graph, "a").into_iter().collect::<String>(), "abc");
}
