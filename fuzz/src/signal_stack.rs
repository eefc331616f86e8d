//! A stack for the handlers of SIGSEGV and SIGBUS, as Rust's own `main` would have made. Without it
//! a stack overflow ends the process before libFuzzer has stored the input.

use std::mem::MaybeUninit;
use std::ptr::null_mut;

const BYTES: usize = 1 << 20;

/// To be called before libFuzzer installs its handlers: they keep the flag set here.
pub fn install() {
    let memory: &'static mut [u8] = vec![0; BYTES].leak();
    let stack = libc::stack_t {
        ss_sp: memory.as_mut_ptr().cast(),
        ss_flags: 0,
        ss_size: BYTES,
    };
    // SAFETY: the memory of the stack is never freed.
    let failed = unsafe { libc::sigaltstack(&raw const stack, null_mut()) };
    assert_eq!(failed, 0, "no stack for signal handlers");
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: a `sigaction` of zeros is the default action with no flags and an empty mask.
        let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        action.sa_flags = libc::SA_ONSTACK;
        // SAFETY: the default action calls no code of this program.
        let failed = unsafe { libc::sigaction(signal, &raw const action, null_mut()) };
        assert_eq!(failed, 0, "cannot set the action of signal {signal}");
    }
}
