//! Adapter and benchmark files.

use chartbench::config::{AdapterSpec, Benchmark};

use super::check_error;
use crate::fixtures;

/// The file of an adapter in a folder of its own.
pub fn adapter(input: &[u8]) {
    let folder = fixtures::scratch(|_| ());
    fixtures::write(&folder.join("fuzzed.toml"), input);
    match AdapterSpec::find("fuzzed", Some(folder)) {
        Ok(spec) => assert_eq!(spec.id, "fuzzed"),
        Err(error) => check_error(&error),
    }
}

/// A benchmark, and its protocol of fine-tuning.
pub fn benchmark(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    match Benchmark::parse(text, "fuzzed.toml") {
        Ok(benchmark) => {
            assert_eq!(benchmark.data.name, "fuzzed");
            benchmark
                .protocol(&Default::default())
                .expect("what the file says was checked");
        }
        Err(error) => check_error(&error),
    }
}

pub fn benchmark_seeds() -> Vec<Vec<u8>> {
    let names = Benchmark::embedded_names().map(|name| format!("benchmarks/{name}.toml"));
    names
        .filter(|name| fixtures::path(name).is_file())
        .map(|name| fixtures::read(&name))
        .collect()
}
