//! Program of thought: the Python that a language model writes to compute an answer, evaluated
//! here, never run.
//!
//! tree-sitter parses it; of what Python has, only this is evaluated: assignments to names,
//! numbers, strings, lists, tuples, arithmetic, comparisons, `and` `or` `not`, conditional
//! expressions, indexing, and calls of `abs` `len` `max` `min` `round` `sorted` `sum`. Anything
//! else, and anything that fails in Python, leaves no answer. Text, steps, depth and sizes are
//! bounded, so no program can run long or grow large.

mod arithmetic;
mod builtins;
mod evaluate;
mod show;
mod value;

use tree_sitter::Parser;

use evaluate::Machine;

/// A longer program is no answer.
const MAX_BYTES: usize = 8 << 10;

/// The value of the variable `ans` after a program, as DePlot's evaluation reads it: a text as it
/// is, a truth value as `Yes` or `No`, the items of a list joined by `, `, anything else as Python
/// prints it.
pub(super) fn run(code: &str) -> Option<String> {
    if code.len() > MAX_BYTES {
        return None;
    }
    let mut parser = Parser::new();
    parser
        .set_language(&tree_sitter_python::LANGUAGE.into())
        .ok()?;
    let tree = parser.parse(code, None)?;
    let root = tree.root_node();
    if root.has_error() {
        return None;
    }
    show::answer(&Machine::new(code).run(root)?)
}

#[cfg(test)]
mod tests;
