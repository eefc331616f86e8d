//! `chartbench ask IMAGE QUESTION`: one question, one or more adapters.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

use super::Status;
use super::options::{AdapterArgs, Requested};
use crate::adapter::{Answer, Failure};
use chartbench_core::input::{self, MAX_IMAGE_BYTES};
use chartbench_core::question::{AnswerType, Chart, ChartQuestions, Gold, ImageProducer, ImageRef, Question};
use chartbench_core::terminal;

#[derive(clap::Args)]
pub struct Args {
    /// The chart's image file
    image: PathBuf,
    /// What to ask
    question: String,
    #[command(flatten)]
    adapter: AdapterArgs,
    /// Print JSON, token ids included
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<Status> {
    args.adapter.on_threads(|_| ask(args))
}

fn ask(args: &Args) -> Result<Status> {
    let requested = args.adapter.requested(&["matcha-tiny"])?;
    let work = [work(&args.image, &args.question, None)?];
    let mut answers = Vec::new();
    for one in &requested {
        answers.push((one.name.as_str(), answer(one, &args.adapter, &work)?));
    }
    if args.json {
        terminal::print_data(&json(&answers)?);
    } else {
        terminal::print(&text(&answers));
    }
    Ok(Status::Done)
}

/// Makes the adapter and asks it the one question of `work`.
///
/// # Errors
/// Names the adapter that cannot be made or does not answer.
pub(super) fn answer(requested: &Requested, args: &AdapterArgs, work: &[ChartQuestions]) -> Result<Answer> {
    let answer = || {
        let answer = requested.build(args, None)?.answer(work).into_iter().flatten().next();
        answer.context("no answer: a bug in the adapter")?.map_err(|failure| match failure {
            Failure::Question(error) | Failure::Adapter(error) => error,
        })
    };
    answer().with_context(|| requested.name.clone())
}

/// An image that came through a pipe.
struct Piped(Vec<u8>);

impl ImageProducer for Piped {
    fn encoded(&self) -> Result<Vec<u8>> {
        Ok(self.0.clone())
    }
}

/// One question about one image file, or about what a pipe (`/dev/stdin`) holds.
///
/// # Errors
/// A pipe that cannot be read.
pub(super) fn work(image: &Path, text: &str, answer_type: Option<AnswerType>) -> Result<ChartQuestions> {
    let is_pipe = !image.is_dir() && !image.is_file() && image.exists();
    let chart = Chart {
        id: image.display().to_string(),
        image: if is_pipe {
            let bytes = input::open_stream(image).and_then(|pipe| input::read_at_most(pipe, MAX_IMAGE_BYTES));
            ImageRef::Drawn(Arc::new(Piped(
                bytes.with_context(|| format!("cannot read the image {}", image.display()))?,
            )))
        } else {
            ImageRef::File(image.to_owned().into())
        },
        chart_type: None,
        table: None,
    };
    let question = Question {
        id: "asked".to_owned(),
        text: text.to_owned(),
        gold: Gold::Text(String::new()),
        answer_type,
        taxonomy: None,
        template: None,
        source: None,
        slices: Default::default(),
    };
    Ok(ChartQuestions { chart, questions: vec![question] })
}

fn text(answers: &[(&str, Answer)]) -> String {
    let lines = |answer: &Answer| answer.prediction.0.lines().collect::<Vec<_>>().join("\n");
    match answers {
        [(_, answer)] => format!("{}\n", lines(answer)),
        several => several.iter().map(|(name, answer)| format!("{name}: {}\n", lines(answer))).collect(),
    }
}

fn json(answers: &[(&str, Answer)]) -> Result<String> {
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
