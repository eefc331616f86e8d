//! The targets: each reads one kind of input from outside, and checks what must hold whatever the
//! input is.

mod datasets;
mod endpoint;
mod images;
mod predictions;
mod programs;
mod scores;
mod settings;
mod weights;

use crate::fixtures;

pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    pub seeds: fn() -> Vec<Vec<u8>>,
}

pub const TARGETS: &[Target] = &[
    Target {
        name: "numbers",
        run: scores::numbers,
        seeds: scores::number_seeds,
    },
    Target {
        name: "lists",
        run: scores::lists,
        seeds: scores::list_seeds,
    },
    Target {
        name: "csv",
        run: predictions::csv,
        seeds: predictions::csv_seeds,
    },
    Target {
        name: "json",
        run: predictions::json,
        seeds: predictions::json_seeds,
    },
    Target {
        name: "pickle",
        run: weights::pickle,
        seeds: weights::pickle_seeds,
    },
    Target {
        name: "safetensors",
        run: weights::safetensors,
        seeds: weights::safetensors_seeds,
    },
    Target {
        name: "gguf",
        run: weights::gguf,
        seeds: weights::gguf_seeds,
    },
    Target {
        name: "adapter",
        run: settings::adapter,
        seeds: || fixtures::read_all("adapters"),
    },
    Target {
        name: "benchmark",
        run: settings::benchmark,
        seeds: settings::benchmark_seeds,
    },
    Target {
        name: "image",
        run: images::decode,
        seeds: images::seeds,
    },
    Target {
        name: "realcqa",
        run: datasets::realcqa,
        seeds: datasets::realcqa_seeds,
    },
    Target {
        name: "plotqa",
        run: datasets::plotqa,
        seeds: datasets::plotqa_seeds,
    },
    Target {
        name: "json-records",
        run: datasets::json_records,
        seeds: datasets::json_records_seeds,
    },
    Target {
        name: "endpoint",
        run: endpoint::reply,
        seeds: endpoint::seeds,
    },
    Target {
        name: "program",
        run: programs::program,
        seeds: programs::seeds,
    },
];

/// The longest error message: values from outside are cut where they are repeated.
const LONGEST_ERROR: usize = 4096;

/// An error says something, and does not repeat the whole input.
#[track_caller]
fn check_error(error: &anyhow::Error) {
    let message = format!("{error:#}");
    assert!(!message.trim().is_empty(), "an error without a message");
    assert!(
        message.len() <= LONGEST_ERROR,
        "an error of {} bytes: {message:.200}",
        message.len()
    );
}
