//! Renders the page: the template, with all outside text escaped, and the policy that allows only
//! the page's own script.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::{
    AutoEscape, Environment, Error, Output, State, UndefinedBehavior, Value, context,
    escape_formatter,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Model;
use super::text::{json_in_html, visible};

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// The page of files of predictions, which has no script.
const FILES_TEMPLATE: &str = include_str!("files_page.html");

/// The whole page of files of predictions; `view` are the values of its template.
pub(super) fn render_files(view: &impl Serialize) -> Result<String> {
    let values = context! {
        page => Value::from_serialize(view),
        policy => policy(None),
        style => Value::from_safe_string(STYLE.to_owned()),
    };
    environment()
        .render_named_str("files_page.html", FILES_TEMPLATE, values)
        .context("cannot fill the page's template")
}

/// The whole page.
pub(super) fn render(model: &Model) -> Result<String> {
    let values = context! {
        page => Value::from_serialize(&model.view),
        policy => policy(Some(SCRIPT)),
        style => Value::from_safe_string(STYLE.to_owned()),
        script => Value::from_safe_string(SCRIPT.to_owned()),
        gallery => Value::from_safe_string(json_in_html(&model.gallery)?),
    };
    environment()
        .render_named_str("page.html", TEMPLATE, values)
        .context("cannot fill the page's template")
}

/// Escapes all outside text.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_formatter(show);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment
}

/// Makes what is hidden in a text visible before it is escaped: no place of the template can forget
/// to.
fn show(output: &mut Output<'_>, state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    match value.as_str() {
        Some(text) if !value.is_safe() => {
            escape_formatter(output, state, &Value::from(visible(text)))
        }
        _ => escape_formatter(output, state, value),
    }
}

/// The Content-Security-Policy: the page's own style and script by their hashes, pictures from the
/// page itself or from files that lie beside it, and nothing else.
fn policy(script: Option<&str>) -> String {
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    format!(
        "default-src 'none'; img-src data: 'self' file:; style-src {}; script-src {}; base-uri 'none'; \
         form-action 'none'",
        hash(STYLE),
        script.map_or_else(|| "'none'".to_owned(), hash)
    )
}
