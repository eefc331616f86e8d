//! `chartbench ask IMAGE QUESTION`: one question, one or more adapters.

use std::path::PathBuf;

use anyhow::Result;

use super::Status;
use super::options::AdapterArgs;
use crate::adapter::Answer;
use crate::jobs::ask::{AskRequest, DEFAULT_ADAPTER, ask};
use chartbench_core::terminal;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The chart's image file
    image: PathBuf,
    /// Question to ask
    question: String,
    #[command(flatten)]
    adapter: AdapterArgs,
    /// Print JSON, token ids included
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<Status> {
    args.adapter.on_threads(|| {
        let answers = ask(&AskRequest {
            image: args.image.clone(),
            question: args.question.clone(),
            adapters: args.adapter.select(&[DEFAULT_ADAPTER])?,
            models: args.adapter.model_options()?,
        })?;
        args.adapter.note_embedded(DEFAULT_ADAPTER);
        if args.json {
            terminal::print_data(&json(&answers)?);
        } else {
            terminal::print(&text(&answers));
        }
        Ok(Status::Done)
    })
}

fn text(answers: &[(String, Answer)]) -> String {
    let lines = |answer: &Answer| answer.prediction.0.lines().collect::<Vec<_>>().join("\n");
    match answers {
        [(_, answer)] => format!("{}\n", lines(answer)),
        several => several
            .iter()
            .map(|(name, answer)| format!("{name}: {}\n", lines(answer)))
            .collect(),
    }
}

fn json(answers: &[(String, Answer)]) -> Result<String> {
    let values: Vec<serde_json::Value> = answers
        .iter()
        .map(|(name, answer)| {
            serde_json::json!({
                "adapter": name,
                "prediction": answer.prediction,
                "token_ids": answer.token_ids,
            })
        })
        .collect();
    Ok(serde_json::to_string_pretty(&values)? + "\n")
}
