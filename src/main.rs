//! The `chartbench` program: parse, call, exit code.

use std::process::ExitCode;

#[cfg(feature = "models")]
/// Tensors come and go in megabytes: the system allocator spends half the time clearing their
/// pages.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(feature = "models")]
/// `mi_option_purge_delay` of mimalloc's `mimalloc.h`, which the crate has no name for.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

fn main() -> ExitCode {
    // Keep freed pages: each step reallocates the same buffers, and returning them to the OS would
    // zero them every time.
    #[cfg(feature = "models")]
    // SAFETY: `mi_option_set` ignores unknown option ids and may be called at any time.
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, -1)
    };
    chartbench::cli::main()
}
