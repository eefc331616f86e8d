//! Asks one question about one image.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

use super::{ModelOptions, SelectedAdapter};
use crate::adapter::Answer;
use chartbench_core::input::{self, MAX_IMAGE_BYTES};
use chartbench_core::question::{
    AnswerType, Chart, ChartQuestions, Gold, ImageProducer, ImageRef, Question,
};

/// The embedded model that answers best on the mini benchmark: what is asked where no adapter is
/// named.
pub const DEFAULT_ADAPTER: &str = "unichart-tiny-mini";

/// A question about an image, and the adapters to ask.
#[derive(Clone, Debug)]
pub struct AskRequest {
    /// The chart's image file, or a pipe.
    pub image: PathBuf,
    /// The question's text, passed on unchanged.
    pub question: String,
    /// The adapters to ask, one after the other.
    pub adapters: Vec<SelectedAdapter>,
    /// Hub and device of the adapters' models.
    pub models: ModelOptions,
}

/// Each adapter's answer, under its name.
///
/// # Errors
/// Returns an error if the image cannot be read, or an adapter cannot be made or does not answer.
pub fn ask(request: &AskRequest) -> Result<Vec<(String, Answer)>> {
    let charts = [question_about(&request.image, &request.question, None)?];
    let answers = request.adapters.iter().map(|adapter| {
        Ok((
            adapter.name.clone(),
            answer(adapter, &request.models, &charts)?,
        ))
    });
    answers.collect()
}

/// Makes the adapter and asks it the one question of `charts`.
///
/// # Errors
/// Returns an error that names the adapter if it cannot be made or does not answer.
pub(super) fn answer(
    adapter: &SelectedAdapter,
    models: &ModelOptions,
    charts: &[ChartQuestions],
) -> Result<Answer> {
    let answer = || {
        let mut answer = None;
        adapter
            .build(models, None)?
            .answer(charts, &mut |_, result| answer = Some(result))?;
        answer.context("no answer: a bug in the adapter")?
    };
    answer().with_context(|| adapter.name.clone())
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
/// Returns an error if the pipe cannot be read.
pub fn question_about(
    image: &Path,
    text: &str,
    answer_type: Option<AnswerType>,
) -> Result<ChartQuestions> {
    let is_pipe = !image.is_dir() && !image.is_file() && image.exists();
    let chart = Chart {
        id: image.display().to_string(),
        image: if is_pipe {
            let bytes = input::open_stream(image)
                .and_then(|pipe| input::read_at_most(pipe, MAX_IMAGE_BYTES));
            ImageRef::Drawn(Arc::new(Piped(bytes.with_context(|| {
                format!("cannot read the image {}", image.display())
            })?)))
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
        context: None,
    };
    Ok(ChartQuestions {
        chart,
        questions: vec![question],
    })
}
