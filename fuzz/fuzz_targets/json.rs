//! Files of predictions as JSON and JSON lines: an error or answers, never a panic; what is read is all there.
#![no_main]

use chartbench::import::Layout;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| chartbench::read_predictions(input, &[Layout::Json, Layout::Jsonl]));
