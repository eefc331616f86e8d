//! DePlot's one-shot prompts (arXiv:2212.10505, appendix; google-research/deplot,
//! `llm_prompts.py`), word for word, slips of the pen included.

use crate::config::PromptStyle;

/// Where a completion ends. Of the published four, `A:` is left out: chat models begin by repeating
/// the prompt's cue, and would end there; behind an answer, `Q:` comes first.
pub const STOP: [&str; 3] = ["Q:", "Summary:", "\n\n"];

/// The table of both prompts' example.
const TABLE: &str = "\
Year | Democrats | Republicans | Independents
2004 | 68.1% | 45.0% | 53.0%
2006 | 58.0% | 42.0% | 53.0%
2007 | 59.0% | 38.0% | 45.0%
2009 | 72.0% | 49.0% | 60.0%
2011 | 71.0% | 51.2% | 58.0%
2012 | 70.0% | 48.0% | 53.0%
2013 | 72.0% | 41.0% | 60.0%";

const CHAIN_INSTRUCTION: &str = "Read the table below to answer the following questions.";
const CHAIN_EXAMPLES: &str = include_str!("chain_of_thought.txt");

const PROGRAM_INSTRUCTION: &str =
    "Read the table below to write code to answer the following questions using the variable ans.";
const PROGRAM_EXAMPLES: &str = include_str!("program_of_thought.txt");

/// The prompt that asks `question` of a table as DePlot writes it.
pub fn prompt(style: PromptStyle, table: &str, question: &str) -> String {
    let (instruction, examples, cue) = match style {
        PromptStyle::ChainOfThought => (CHAIN_INSTRUCTION, CHAIN_EXAMPLES, "A: "),
        PromptStyle::ProgramOfThought => (PROGRAM_INSTRUCTION, PROGRAM_EXAMPLES, ""),
    };
    let (example, table) = (marked_up(TABLE), marked_up(&table.replace("<0x0A>", "\n")));
    format!(
        "{instruction}\n\n{example}\n\n{examples}\n\n{instruction}\n\n{table}\n\nQ: {question}\n{cue}"
    )
}

/// The mark-up of the prompts: `Title: `, `Header: `, `Row 1: ` before the lines of a table.
fn marked_up(table: &str) -> String {
    let mut lines = table.lines().map(str::trim).peekable();
    // The published code fails on a title row without a title, which DePlot writes where a chart
    // has none.
    let title = lines.next_if(|line| line.starts_with("TITLE"));
    let title = title.map(|line| {
        format!(
            "Title: {}",
            line.split_once('|').map_or("", |(_, title)| title.trim())
        )
    });
    let rows = lines.enumerate().map(|(row, line)| match row {
        0 => format!("Header: {line}"),
        row => format!("Row {row}: {line}"),
    });
    title.into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}
