//! The parts of chartbench that read what others wrote, by path: fuzzing them needs none of the models' crates, which
//! take many minutes to build with instrumentation.

#[path = "../../src/import/mod.rs"]
pub mod import;
#[path = "../../src/metric/mod.rs"]
pub mod metric;
#[path = "../../src/sample.rs"]
pub mod sample;

#[path = "../../src/config"]
pub mod config {
    pub mod names;
}

#[path = "../../src/dataset"]
pub mod dataset {
    #[allow(dead_code)]
    pub mod fields;
    #[allow(dead_code)]
    pub mod text;
}
