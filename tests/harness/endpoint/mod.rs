//! Models behind an OpenAI-compatible endpoint, against a local HTTP server that also misbehaves.

pub(crate) mod batch_server;
mod batches;
mod cost;
mod dialects;
mod faults;
mod limits;
mod llama_cpp;
mod program;
mod requests;
#[cfg(target_os = "linux")]
mod served;
pub(crate) mod server;

use std::path::{Path, PathBuf};

use crate::asked::{Unanswered, ask};
use chartbench::adapter::hub::HubOptions;
use chartbench::adapter::{self, Adapter, AdapterContext, Answer, ModelRef, Overrides};
use chartbench::config::AdapterSpec;
use chartbench_core::question::{AnswerType, Chart, ChartQuestions, ImageRef, Question};
use tempfile::TempDir;

/// An adapter file `served.toml` for a server, with waits that suit tests; `more` are further
/// lines.
pub(crate) fn adapter_file(folder: &Path, base_url: &str, more: &str) {
    let limits = if more.contains("[limits]") {
        ""
    } else {
        "[limits]\nconcurrency = 1\n"
    };
    let delays = "first_delay = 0.01\nlongest_delay = 0.05\nretries = 2\n";
    let more = more.replace("[limits]\n", &format!("[limits]\n{delays}"));
    let limits = limits.replace("[limits]\n", &format!("[limits]\n{delays}"));
    let endpoint = if more.starts_with("key_env") {
        more.clone()
    } else {
        format!("\n{more}")
    };
    let text = format!(
        "family = \"chat\"\ntitle = \"Served\"\nsource = \"here\"\n[endpoint]\nbase_url = \"{base_url}\"\nmodel = \"m-1\"\n\
         {endpoint}\n{limits}"
    );
    std::fs::write(folder.join("served.toml"), text).unwrap();
}

fn spec(base_url: &str, more: &str) -> AdapterSpec {
    let folder = tempfile::tempdir().unwrap();
    adapter_file(folder.path(), base_url, more);
    AdapterSpec::find("served", Some(folder.path())).unwrap()
}

/// The adapter of a server.
fn served(base_url: &str, more: &str) -> Box<dyn Adapter> {
    adapter::build(&AdapterContext {
        name: "served",
        model: &ModelRef {
            spec: spec(base_url, more),
            weights: None,
            precision: None,
        },
        reader: None,
        blank: false,
        overrides: &Overrides::default(),
        hub: &HubOptions::from_env(true),
        device: &candle_core::Device::Cpu,
        train: None,
    })
    .unwrap()
}

fn question(id: &str, text: &str, answer_type: Option<AnswerType>) -> Question {
    Question {
        id: id.to_owned(),
        text: text.to_owned(),
        gold: "gold".into(),
        answer_type,
        taxonomy: None,
        template: None,
        source: None,
        slices: Default::default(),
        context: None,
    }
}

/// One chart with questions q0, q1, ...; the folder holds its picture.
fn chart(questions: usize) -> (TempDir, Vec<ChartQuestions>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chart.png");
    image::RgbImage::from_pixel(8, 6, image::Rgb([1, 2, 3]))
        .save(&path)
        .unwrap();
    let questions = (0..questions)
        .map(|index| question(&format!("q{index}"), &format!("Why {index}?"), None))
        .collect();
    (
        folder,
        vec![ChartQuestions {
            chart: picture(path),
            questions,
        }],
    )
}

fn picture(path: PathBuf) -> Chart {
    Chart {
        id: "c".to_owned(),
        image: ImageRef::File(path.into()),
        chart_type: None,
        table: None,
    }
}

/// Each answer as `=text`, each failure as `question: why` or `adapter: why`.
fn describe_answers(adapter: &mut dyn Adapter, work: &[ChartQuestions]) -> Vec<String> {
    let describe_answer = |answer| match answer {
        Ok(Answer { prediction, .. }) => format!("={}", prediction.0),
        Err(Unanswered::Failed(error)) => format!("question: {error}"),
        Err(Unanswered::Stopped(reason)) => format!("adapter: {reason}"),
    };
    ask(adapter, work)
        .into_iter()
        .map(describe_answer)
        .collect()
}
