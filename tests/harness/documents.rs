//! The documents: every command in them is one that the program understands, and every link leads somewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use chartbench::config::AdapterSpec;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The documents for people: those of the top folder, of docs/ and of the examples.
pub(crate) fn documents() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root().join("docs"), root().join("examples")];
    for entry in fs::read_dir(root()).unwrap() {
        files.push(entry.unwrap().path());
    }
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "md"));
    files.sort();
    files
}

/// Whether a line of a code block is a command of the program; its arguments.
pub(crate) fn command(line: &str) -> Option<&str> {
    let line = line.trim();
    let line = line.strip_prefix("$ ").unwrap_or(line);
    let line = line
        .strip_prefix("cargo run --release -- ")
        .or_else(|| line.strip_prefix("chartbench "))?;
    // What follows a comment sign, a pipe or another command is the shell's.
    let end = [" # ", " | ", " && ", " > ", " 2>", "   "]
        .iter()
        .filter_map(|mark| line.find(mark))
        .min();
    line.get(..end.unwrap_or(line.len())).map(str::trim)
}

/// The lines of a document that stand in code blocks: fenced ones, and those indented by four spaces outside lists.
pub(crate) fn code_lines(text: &str) -> Vec<(usize, &str)> {
    let (mut fenced, mut lines) = (false, Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            lines.push((number, line));
        }
    }
    lines
}

/// With `--help` at its end a command is parsed and nothing is done: an unknown flag or value is still an error.
#[test]
fn every_command_is_understood() {
    let mut commands = 0;
    for file in documents() {
        let text = fs::read_to_string(&file).unwrap();
        for (number, line) in code_lines(&text) {
            let Some(arguments) = command(line) else {
                continue;
            };
            let place = format!("{}:{number}: {line}", file.display());
            let arguments = shlex::split(arguments).unwrap_or_else(|| panic!("{place}: quotes"));
            let output = Command::new(env!("CARGO_BIN_EXE_chartbench"))
                .args(arguments)
                .arg("--help")
                .output()
                .unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{place}\n{stderr}");
            commands += 1;
        }
    }
    assert!(commands > 40, "{commands} commands were found");
}

#[test]
fn commands_are_found_and_wrong_ones_are_errors() {
    let text = "text chartbench none\n\n    chartbench run --limit 3   # some\n```console\n$ chartbench list | head\nout\n```\n";
    let found: Vec<_> = code_lines(text)
        .into_iter()
        .filter_map(|(_, line)| command(line))
        .collect();
    assert_eq!(found, ["run --limit 3", "list"]);
    let output = Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args(["run", "--no-such-flag", "--help"])
        .output()
        .unwrap();
    assert!(!output.status.success());
}

/// The targets of Markdown's links and pictures.
fn links(text: &str) -> Vec<&str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ']).next())
        .collect()
}

/// An anchor as it is made of a heading.
fn anchor(heading: &str) -> String {
    heading
        .chars()
        .filter(|character| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_'))
        .flat_map(char::to_lowercase)
        .map(|character| if character == ' ' { '-' } else { character })
        .collect()
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut checked = 0;
    for file in documents() {
        let text = fs::read_to_string(&file).unwrap();
        for link in links(&text) {
            if link.starts_with("http") || link.starts_with('<') || link.is_empty() {
                continue;
            }
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() {
                file.clone()
            } else {
                file.parent().unwrap().join(path)
            };
            assert!(target.exists(), "{}: {link}", file.display());
            if !fragment.is_empty() && target.is_file() {
                let text = fs::read_to_string(&target).unwrap();
                let found = text
                    .lines()
                    .filter_map(|line| line.strip_prefix('#'))
                    .any(|heading| anchor(heading.trim_start_matches('#').trim()) == fragment);
                assert!(found, "{}: {link}", file.display());
            }
            checked += 1;
        }
    }
    assert!(checked > 5, "{checked} links were found");
}

/// The adapter files in a document: its blocks of TOML that name a family.
fn adapter_files(text: &str) -> Vec<String> {
    let blocks = text.split("```toml\n").skip(1);
    blocks
        .filter_map(|block| block.split("```").next())
        .filter(|block| block.lines().any(|line| line.starts_with("family = ")))
        .map(str::to_owned)
        .collect()
}

#[test]
fn adapter_files_in_documents_are_read() {
    let mut checked = 0;
    for file in documents() {
        for text in adapter_files(&fs::read_to_string(&file).unwrap()) {
            let adapters = tempfile::tempdir().unwrap();
            fs::write(adapters.path().join("shown.toml"), &text).unwrap();
            let read = AdapterSpec::find("shown", Some(adapters.path()));
            assert!(read.is_ok(), "{}: {:#}", file.display(), read.unwrap_err());
            checked += 1;
        }
    }
    assert!(checked > 8, "{checked} adapter files were found");
}

/// The rest of the families: three lines each.
#[test]
fn three_lines_are_an_adapter_file() {
    let guide = root().join("docs/guides/evaluate-a-checkpoint.md");
    let files = adapter_files(&fs::read_to_string(guide).unwrap());
    assert_eq!(files.len(), 3);
    for (text, repo) in files.iter().zip([
        "google/pix2struct-docvqa-base",
        "naver-clova-ix/donut-base-finetuned-docvqa",
        "naver-clova-ix/donut-base-finetuned-cord-v2",
    ]) {
        assert_eq!(text.lines().count(), 3, "{text}");
        let adapters = tempfile::tempdir().unwrap();
        fs::write(adapters.path().join("mine.toml"), text).unwrap();
        let spec = AdapterSpec::find("mine", Some(adapters.path())).unwrap();
        assert_eq!(spec.title, repo);
        assert_eq!(spec.source, format!("https://huggingface.co/{repo}"));
    }
}
