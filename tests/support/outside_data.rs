//! Data that the project does not carry. Tests that need them are ignored, and run by
//! `CHARTBENCH_TEST_DATA=FOLDER cargo test -- --ignored outside_data`.

use std::path::{Path, PathBuf};

/// A file or folder of the test data.
pub(crate) fn path(name: &str) -> PathBuf {
    let folder = std::env::var_os("CHARTBENCH_TEST_DATA")
        .expect("CHARTBENCH_TEST_DATA names the folder of test data");
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(folder)
        .join(name);
    assert!(path.exists(), "{} is not there", path.display());
    path
}
