//! Rebuilds when an embedded folder changes: `include_dir!` alone does not notice a new file.

fn main() {
    for folder in ["adapters", "benchmarks", "models/matcha-tiny"] {
        println!("cargo:rerun-if-changed={folder}");
    }
}
