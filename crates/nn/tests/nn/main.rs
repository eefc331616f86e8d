//! Kernels, gradients, architectures and preprocessing against recorded values of the reference
//! implementations.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../../../../tests/support/assert_close.rs"]
mod assert_close;
#[path = "../../../../tests/support/instruction_sets.rs"]
mod instruction_sets;

mod checkpoint_forms;
mod checkpoints;
mod comparison;
mod donut;
mod generation;
mod gradients;
mod kernels;
mod lora;
mod losses;
mod pix2struct;
mod preprocess;

#[test]
fn every_instruction_set_passes_these_tests() {
    instruction_sets::run_under_each("", "every_instruction_set_passes_these_tests");
}
