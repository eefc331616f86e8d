//! Turns a panic of a library that reads files from outside into an error of one line.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use anyhow::{Result, anyhow};

use crate::terminal::shorten;

thread_local! {
    /// Whether this thread's panics are caught, so that the hook prints nothing about them.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Runs a call of `library` on a file or text from outside.
///
/// # Errors
/// Returns an error if the call does, or "LIBRARY cannot read it: REASON" if it panics. Stack
/// overflows and failed allocations cannot be caught: the caller bounds depths and sizes first.
pub fn catch_panic<T>(library: &str, call: impl FnOnce() -> Result<T>) -> Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(silence_caught_panics);
    let before = CAUGHT.replace(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    CAUGHT.set(before);
    result.unwrap_or_else(|cause| {
        Err(anyhow!(
            "{library} cannot read it: {}",
            shorten(message(&*cause))
        ))
    })
}

fn silence_caught_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !CAUGHT.get() {
            print(info);
        }
    }));
}

/// The first line of a panic's message.
fn message(cause: &(dyn Any + Send)) -> &str {
    let text = cause
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| cause.downcast_ref::<&str>().copied());
    text.and_then(|text| text.lines().next())
        .unwrap_or("it stopped without a message")
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn a_panic_is_one_line() {
        let read = |index: usize| catch_panic("a reader", || Ok([1, 2][index]));
        assert_eq!(read(1).unwrap(), 2);
        let line = "a reader cannot read it: index out of bounds: the len is 2 but the index is 7";
        assert_eq!(format!("{:#}", read(7).unwrap_err()), line);
        let error =
            catch_panic("a reader", || -> Result<()> { bail!("no such file") }).unwrap_err();
        assert_eq!(error.to_string(), "no such file");
    }
}
