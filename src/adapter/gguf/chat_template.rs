//! A model's own chat template: one user message becomes the text the model was trained to answer.
//!
//! Rendered as `transformers.PreTrainedTokenizer.apply_chat_template` does with
//! `add_generation_prompt`: Jinja with trimmed blocks, the methods of Python's strings and
//! dictionaries, and the functions templates are promised.

use std::io::{self, Write};

use anyhow::{Context, Result, anyhow};
use minijinja::{Environment, Error, ErrorKind, context};

const NAME: &str = "chat_template";
/// Steps a template may take; those of published models take under a thousand for one message.
const MAX_STEPS: u64 = 1_000_000;
/// Longest text a template may write, in bytes, besides the message.
const MAX_TEXT: usize = 16 << 20;

/// A compiled template with the special tokens it may name.
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos_token: String,
    eos_token: String,
}

impl ChatTemplate {
    /// # Errors
    /// Returns an error if the template does not parse.
    pub fn new(source: String, bos_token: &str, eos_token: &str) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_fuel(Some(MAX_STEPS));
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function(
            "raise_exception",
            |message: String| -> Result<String, Error> {
                Err(Error::new(ErrorKind::InvalidOperation, message))
            },
        );
        environment.add_function("strftime_now", |format: String| fixed_date(&format));
        environment
            .add_template_owned(NAME, source)
            .map_err(one_line)
            .context("its chat template does not parse")?;
        Ok(Self {
            environment,
            bos_token: bos_token.to_owned(),
            eos_token: eos_token.to_owned(),
        })
    }

    /// The text after which the model writes its answer to `message`. Thinking is switched off,
    /// because the prompts ask for the reasoning they want.
    ///
    /// # Errors
    /// Returns an error if the template refuses the message, calls an unknown function, or takes
    /// too many steps.
    pub fn render(&self, message: &str) -> Result<String> {
        let template = self.environment.get_template(NAME).map_err(one_line)?;
        let mut text = BoundedText {
            bytes: Vec::new(),
            limit: message.len().saturating_add(MAX_TEXT),
        };
        let values = context! {
            messages => [context! { role => "user", content => message }],
            add_generation_prompt => true,
            enable_thinking => false,
            bos_token => self.bos_token,
            eos_token => self.eos_token,
        };
        let rendered = template
            .render_captured_to(values, &mut text)
            .map(drop)
            .map_err(|error| match error.kind() {
                ErrorKind::OutOfFuel => anyhow!("it takes more than {MAX_STEPS} steps"),
                ErrorKind::WriteFailure => anyhow!("it writes more than {} bytes", text.limit),
                _ => one_line(error),
            });
        let text = rendered.and_then(|()| Ok(String::from_utf8(text.bytes)?));
        text.context("its chat template cannot be rendered")
    }
}

/// The output of a template, up to a limit.
struct BoundedText {
    bytes: Vec<u8>,
    limit: usize,
}

impl Write for BoundedText {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len().saturating_add(bytes.len()) > self.limit {
            return Err(io::Error::other("it writes too much"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An answer must not depend on the day it is given: templates that ask for the date get the one
/// that Llama 3.1's template falls back on, 26 July 2024.
fn fixed_date(format: &str) -> String {
    [
        ("%d", "26"),
        ("%B", "July"),
        ("%b", "Jul"),
        ("%m", "07"),
        ("%Y", "2024"),
        ("%y", "24"),
        ("%A", "Friday"),
    ]
    .iter()
    .fold(format.to_owned(), |text, (code, value)| {
        text.replace(code, value)
    })
}

/// minijinja's errors print their source lines below the message; the message alone is one line.
fn one_line(error: Error) -> anyhow::Error {
    let line = error
        .line()
        .map(|line| format!(" (line {line} of the template)"))
        .unwrap_or_default();
    let detail = error
        .detail()
        .map_or_else(|| error.kind().to_string(), str::to_owned);
    anyhow!(
        "{}{line}",
        detail.split_whitespace().collect::<Vec<_>>().join(" ")
    )
}
