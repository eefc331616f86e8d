//! Rebuilds when an embedded folder changes (`include_dir!` alone does not notice a new file), and
//! tells the program its commit.

use std::path::Path;
use std::process::Command;

fn main() {
    for folder in ["adapters", "benchmarks", "prompts", "protocols"] {
        println!("cargo:rerun-if-changed={folder}");
    }
    let commit = commit().unwrap_or_else(|| "unknown".to_owned());
    println!("cargo:rustc-env=CHARTBENCH_COMMIT={commit}");
}

/// The commit that is checked out; `None` outside a repository of its own, as in a package.
fn commit() -> Option<String> {
    let folder = std::env::var("CARGO_MANIFEST_DIR").ok()?;
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if Path::new(&top).canonicalize().ok()? != Path::new(&folder).canonicalize().ok()? {
        return None;
    }
    // Another branch or commit that is checked out changes this file, a new commit on the branch
    // does not: a build in between names an earlier commit, and nothing is built again for it.
    let head = git(&["rev-parse", "--git-path", "HEAD"])?;
    if Path::new(&head).exists() {
        println!("cargo:rerun-if-changed={head}");
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

/// The one line that git prints.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
