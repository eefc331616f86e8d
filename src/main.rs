//! The `chartbench` program: parse, call, exit code.

use std::process::ExitCode;

/// Tensors come and go in megabytes: the system allocator spends half the time clearing their pages.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    chartbench::cmd::main()
}
