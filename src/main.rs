//! The `chartbench` program: parse, call, exit code.

use std::process::ExitCode;

/// Tensors come and go in megabytes: the system allocator spends half the time clearing their pages.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc's `mimalloc.h`, which the crate has no name for.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

fn main() -> ExitCode {
    // What a step frees the next one needs again: given back to the system in between, its pages are cleared each time.
    // SAFETY: any option may be set at any time, and one of another number would be no less defined.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) };
    chartbench::cli::main()
}
