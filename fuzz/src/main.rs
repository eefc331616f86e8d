//! One libFuzzer binary for all targets: linking one for each would take longer than building them.
//!
//! `CHARTBENCH_FUZZ_TARGET` names the target. With `CHARTBENCH_FUZZ_LIST` set the targets are
//! listed instead, with `CHARTBENCH_FUZZ_SEEDS` the target's seeds are written into that folder.
//! `fuzz/run` does all of it.

#![no_main]

mod fixtures;
mod signal_stack;
mod targets;

use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

use targets::{TARGETS, Target};

static TARGET: OnceLock<&'static Target> = OnceLock::new();

fuzz_target!(
    init: start(),
    |input: &[u8]| if let Some(target) = TARGET.get() { (target.run)(input) }
);

/// Finds the target. Lists the targets or writes seeds instead where the environment asks for it,
/// and ends the process.
fn start() {
    if std::env::var_os("CHARTBENCH_FUZZ_LIST").is_some() {
        TARGETS
            .iter()
            .for_each(|target| println!("{}", target.name));
        std::process::exit(0);
    }
    let name = std::env::var("CHARTBENCH_FUZZ_TARGET").unwrap_or_default();
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        eprintln!("no such target: {name:?}");
        std::process::exit(2);
    };
    if let Some(folder) = std::env::var_os("CHARTBENCH_FUZZ_SEEDS") {
        for (number, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(Path::new(&folder).join(format!("{number:03}")), seed)
                .expect("cannot write a seed");
        }
        std::process::exit(0);
    }
    signal_stack::install();
    // libFuzzer's hook aborts on any panic. Without it only a panic that leaves the library does:
    // one that the library catches and reports as an error is no fault.
    drop(std::panic::take_hook());
    TARGET.get_or_init(|| target);
}
