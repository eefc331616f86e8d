//! `chartbench ask IMAGE QUESTION`: one question, one or more adapters.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::options::AdapterArgs;
use super::{Status, print};
use crate::adapter::{Answer, Failure};
use crate::sample::{Chart, ChartQuestions, Gold, ImageRef, Question};

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
    args.adapter.start_threads()?;
    let requested = args.adapter.requested(&["matcha-tiny"])?;
    let work = [work(args)];
    let mut answers = Vec::new();
    for one in &requested {
        let answer = || -> Result<Answer> {
            let mut adapter = one.build(&args.adapter, None)?;
            let answer = adapter.answer(&work).into_iter().flatten().next();
            answer.context("no answer: a bug in the adapter")?.map_err(|failure| match failure {
                Failure::Question(error) | Failure::Adapter(error) => error,
            })
        };
        answers.push((one.name.as_str(), answer().with_context(|| one.name.clone())?));
    }
    print(&if args.json { json(&answers)? } else { text(&answers) })?;
    Ok(Status::Done)
}

fn work(args: &Args) -> ChartQuestions {
    let chart = Chart {
        id: args.image.display().to_string(),
        image: ImageRef::File(args.image.clone()),
        chart_type: None,
        table: None,
    };
    let question = Question {
        id: "asked".to_owned(),
        text: args.question.clone(),
        gold: Gold::Text(String::new()),
        answer_type: None,
        taxonomy: None,
        template: None,
        source: None,
    };
    ChartQuestions { chart, questions: vec![question] }
}

fn text(answers: &[(&str, Answer)]) -> String {
    match answers {
        [(_, answer)] => format!("{}\n", answer.prediction.0),
        several => several.iter().map(|(name, answer)| format!("{name}: {}\n", answer.prediction.0)).collect(),
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
