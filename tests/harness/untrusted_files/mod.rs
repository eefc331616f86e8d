//! Files from outside that are damaged, cut or made to harm: one line, quickly, with little memory,
//! and never a panic.

mod checkpoints;
mod command_line;
mod images;
mod tokenizers;

use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

/// The error's line; it must be one, and short.
#[track_caller]
fn line<T>(result: anyhow::Result<T>) -> String {
    let Err(error) = result else {
        panic!("the file was read")
    };
    let line = format!("{error:#}");
    assert!(!line.contains('\n') && line.len() < 1000, "{line}");
    line
}

/// Up to `most` lengths of a file of `whole` bytes to cut it at, spread over it.
fn lengths(whole: usize, most: usize) -> impl Iterator<Item = usize> {
    let step = whole.div_ceil(most).max(1);
    (0..whole).step_by(step)
}
