//! Running a suite under each instruction set of the processor: the best one is what its tests run
//! under by themselves.

use std::io::Write;
use std::process::Command;

use chartbench_core::isa;

/// Starts this test binary once for each plainer instruction set, on the tests whose names have
/// `filter` and not `this_one`, and prints which ran. Panics with the output of a run that fails.
/// Under `CHARTBENCH_ISA` only checks that it names the set in use.
pub(crate) fn run_under_each(filter: &str, this_one: &str) {
    let requested = isa::requested().unwrap();
    assert_eq!(requested.name, isa::current().name);
    if std::env::var_os(isa::VARIABLE).is_some() {
        return;
    }
    let binary = std::env::current_exe().unwrap();
    let all = isa::supported();
    let (best, plainer) = all.split_last().unwrap();
    for isa in plainer {
        let output = Command::new(&binary)
            .args([filter, "--skip", this_one])
            .env(isa::VARIABLE, isa.name)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "under {}:\n{text}\n{}",
            isa.name,
            String::from_utf8_lossy(&output.stderr)
        );
        let result = text
            .lines()
            .find(|line| line.starts_with("test result: ok. "))
            .unwrap();
        assert!(
            !result.starts_with("test result: ok. 0 passed"),
            "no test ran under {}",
            isa.name
        );
        report(&format!("under {}: {result}", isa.name));
    }
    report(&format!("under {}: this run", best.name));
}

/// Past the test harness, which holds back what a test prints.
fn report(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
