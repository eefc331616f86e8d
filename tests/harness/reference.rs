//! `docs/reference`: pages made from the code, and checked to be as the code is. One command makes them again:
//!
//!     CHARTBENCH_REGENERATE=1 cargo test --test harness reference::

use std::fmt::Write;
use std::fs;
use std::path::Path;

use chartbench_score::metric::{CONVENTIONS, Convention, JUDGED_CONVENTIONS};

const COMMAND: &str = "CHARTBENCH_REGENERATE=1 cargo test --test harness reference::";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Writes the page where the environment says so, and else compares it.
fn check(name: &str, text: &str) {
    let path = root().join("docs/reference").join(name);
    if std::env::var_os("CHARTBENCH_REGENERATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        return;
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == text, "{} is stale: {COMMAND}", path.display());
}

/// A section for `command`, then those of its subcommands.
fn describe(command: &clap::Command, level: &str, page: &mut String) {
    for subcommand in command.get_subcommands() {
        if subcommand.is_hide_set() || subcommand.get_name() == "help" {
            continue;
        }
        let name = subcommand.get_bin_name().unwrap();
        let help = subcommand.clone().render_long_help().to_string();
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        write!(
            page,
            "\n{level} {name}\n\n```text\n{}\n```\n",
            lines.join("\n")
        )
        .unwrap();
        describe(subcommand, &format!("{level}#"), page);
    }
}

#[test]
#[cfg(all(
    feature = "gguf",
    feature = "hub",
    feature = "models",
    feature = "onnx",
    feature = "report",
    feature = "synth"
))]
fn commands() {
    let mut command = chartbench::cli::command().term_width(100);
    command.build();
    let mut page = format!(
        "# Commands\n\nEvery command with its flags, as `chartbench COMMAND --help` prints them. This page is generated: `{COMMAND}`.\n"
    );
    describe(&command, "##", &mut page);
    check("commands.md", &page);
}

/// The head of the file that implements a convention: its user page.
fn head(convention: &Convention) -> String {
    let folder = root().join("crates/score/src/metric");
    let module = convention.name.replace('-', "_");
    let file = folder.join(format!("{module}.rs"));
    let source = fs::read_to_string(&file)
        .or_else(|_| fs::read_to_string(folder.join(module).join("mod.rs")))
        .unwrap();
    let lines: Vec<&str> = source
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    assert!(!lines.is_empty(), "{} has no head", file.display());
    lines.join("\n")
}

/// Links between items as rustdoc writes them: to another convention's section, or plain code.
fn without_item_links(text: &str) -> String {
    let mut page = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once("[`") {
        page += before;
        let code = link.split_once('`');
        let Some((code, mut after)) =
            code.and_then(|(code, end)| Some((code, end.strip_prefix(']')?)))
        else {
            page += "[`";
            rest = link;
            continue;
        };
        let mut target = code;
        if let Some((path, end)) = after
            .strip_prefix('(')
            .and_then(|path| path.split_once(')'))
        {
            (target, after) = (path, end);
        }
        match target.strip_prefix("super::") {
            Some(module) => {
                let name = module.replace('_', "-");
                write!(page, "[`{name}`](#{name})").unwrap();
            }
            None => write!(page, "`{code}`").unwrap(),
        }
        rest = after;
    }
    page + rest
}

/// A section for each TOML file of a folder: its name, and what it holds.
fn files(folder: &str, page: &mut String) {
    let mut paths: Vec<_> = fs::read_dir(root().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for path in paths {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        write!(page, "\n### {name}\n\n```toml\n{text}```\n").unwrap();
    }
}

#[test]
fn prompts_and_protocols() {
    let mut page = format!(
        "# Prompts and protocols\n\nThe files behind `run --protocol NAME` and `run --prompt NAME`, as they are in the program; \
         [FORMAT](../../FORMAT.md#prompts-promptstoml) has their keys. This page is generated: `{COMMAND}`.\n\n## Protocols\n"
    );
    files("protocols", &mut page);
    page += "\n## Prompts\n";
    files("prompts", &mut page);
    check("prompts.md", &page);
}

#[test]
fn conventions() {
    let mut page = format!(
        "# Conventions\n\nA convention is one published way to score an answer, faults included. `--convention NAME` selects one; \
         `chartbench` is the default. In formulas t is the gold answer and p the prediction. This page is generated: `{COMMAND}`.\n\n\
         | convention | metrics | what it is |\n| :-- | :-- | :-- |\n"
    );
    for convention in CONVENTIONS.iter().chain(JUDGED_CONVENTIONS) {
        let metrics: Vec<&str> = convention
            .metrics
            .iter()
            .map(|metric| metric.name())
            .collect();
        let (name, about) = (convention.name, convention.about.replace('|', "\\|"));
        writeln!(
            page,
            "| [`{name}`](#{name}) | {} | {about} |",
            metrics.join(", ")
        )
        .unwrap();
    }
    for convention in CONVENTIONS.iter().chain(JUDGED_CONVENTIONS) {
        write!(
            page,
            "\n## {}\n\n{}\n",
            convention.name,
            without_item_links(&head(convention))
        )
        .unwrap();
    }
    check("conventions.md", &page);
}

#[test]
fn item_links_become_sections_or_code() {
    assert_eq!(
        without_item_links(
            "as [`deplot`](super::deplot), [`super::lmms_eval`] and [`text`](a::b): `[` or `[x]`"
        ),
        "as [`deplot`](#deplot), [`lmms-eval`](#lmms-eval) and `text`: `[` or `[x]`"
    );
}
