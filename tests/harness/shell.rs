//! What shells, `man` and bug reports get from the program: completions, pages, the version.

use std::fs;
use std::process::Command;

fn stdout(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args(arguments)
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    assert_eq!(stderr, "", "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_shell_has_completions_of_commands_and_flags() {
    for (shell, mark) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef chartbench"),
        ("fish", "complete -c chartbench"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion"),
    ] {
        let script = stdout(&["completions", shell]);
        for expected in [mark, "leaderboard", "save-steps"] {
            assert!(script.contains(expected), "{shell}: no {expected}");
        }
        assert!(!script.contains("save-every"), "{shell}: a hidden alias");
    }
}

#[cfg(unix)]
#[test]
fn bash_reads_the_completions() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chartbench.bash");
    fs::write(&file, stdout(&["completions", "bash"])).unwrap();
    let script = format!(
        "source {}; COMP_WORDS=(chartbench leader); COMP_CWORD=1; _chartbench chartbench leader chartbench; echo ${{COMPREPLY[@]}}",
        file.display()
    );
    let output = Command::new("bash").arg("-c").arg(script).output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "leaderboard\n",
        "{}",
        String::from_utf8(output.stderr).unwrap()
    );
}

#[test]
fn each_command_has_a_man_page() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("man1");
    let output = Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .arg("man")
        .arg(&out)
        .output()
        .unwrap();
    let written = String::from_utf8(output.stderr).unwrap();
    for name in ["chartbench", "chartbench-run", "chartbench-data-check"] {
        let path = out.join(format!("{name}.1"));
        assert!(written.contains(&path.display().to_string()), "{written}");
        let page = fs::read_to_string(path).unwrap();
        assert!(
            page.contains(&format!(".TH {name} 1 ")) && page.contains(".SH SYNOPSIS"),
            "{page}"
        );
    }
    assert!(!out.join("chartbench-help.1").exists());
}

#[test]
fn the_version_says_what_was_built_from_what() {
    let short = stdout(&["-V"]);
    assert_eq!(short.lines().count(), 1, "{short}");
    for arguments in [["--version", "--verbose"], ["--verbose", "--version"]] {
        let text = stdout(&arguments);
        let line = |key: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(key));
            found.unwrap_or_else(|| panic!("{key}: {text}")).to_owned()
        };
        assert!(line("features: ").contains("models, hub"), "{text}");
        assert_eq!(line("left out: "), "cuda, metal", "{text}");
        assert!(line("this processor has: ").starts_with("scalar"), "{text}");
        let commit = line("commit: ");
        let is_hash = commit.len() >= 12 && commit.chars().all(|c| c.is_ascii_hexdigit());
        assert!(is_hash || commit == "unknown", "{commit}");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args(["--verbose", "list"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}
