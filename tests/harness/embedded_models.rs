//! The folders of the embedded checkpoints, for commands that read one from disk.

use std::path::{Path, PathBuf};

/// The folder of an embedded checkpoint.
pub(crate) fn folder(name: &str) -> PathBuf {
    let family = name.split('-').next().unwrap();
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("crates/models-{family}/{name}"))
}
