//! The question set of the runs that are merged, read anew from its data set.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use super::MergeRequest;
use super::sources::Sources;
use crate::config::Benchmark;
use crate::hub::HubOptions;
use crate::jobs::benchmark::{locate_data, stored_questions};
use crate::run::store::{PredictionRecord, short};
use chartbench_core::question::{ChartQuestions, Gold, QuestionSetSummary, QuestionSource, Split};
use chartbench_core::terminal::shorten;
use chartbench_data::QuestionStream;

/// The questions as they lie on this machine.
pub(super) struct FoundQuestions {
    pub(super) stream: QuestionStream,
    /// The data set's folder or file; `None` where the benchmark has none.
    data: Option<PathBuf>,
    /// The benchmark as it was named.
    benchmark: String,
}

/// Opens the questions that the runs were asked: of the benchmark and the data that the request
/// names, else of those that a run knows, else of the hub's copy.
///
/// # Errors
/// Returns an error if the benchmark is unknown, its data are not found, or they cannot be read.
pub(super) fn open_questions(request: &MergeRequest, sources: &Sources) -> Result<FoundQuestions> {
    let asked = &sources.manifest.benchmark;
    let selection = &request.benchmark;
    let known = sources.data_folder.as_ref();
    let name = match (&selection.benchmark, known) {
        (Some(name), _) => name.clone(),
        (None, Some((_, known))) => known.benchmark.clone(),
        // A run's name is taken for the name of an embedded benchmark, never for a file.
        (None, None) if Benchmark::embedded_names().any(|name| name == asked.name) => {
            asked.name.clone()
        }
        (None, None) => bail!(
            "{}: the benchmark `{}` is none of this program's: name its file by --benchmark",
            sources.describe(),
            shorten(&asked.name)
        ),
    };
    let benchmark = Benchmark::find(&name).with_context(|| {
        format!(
            "{}: the benchmark that was asked (--benchmark names another file)",
            sources.describe()
        )
    })?;
    let data = match (&selection.data, known) {
        (Some(data), _) => Some(data.as_path()),
        (None, Some((run, known))) => {
            let is_here = known.data.exists();
            ensure!(
                is_here || known.repo.is_some(),
                "the data of {} were in {}, which is not there: name them by --data",
                run.display(),
                known.data.display()
            );
            // The copy of another cache: this one may have it, too.
            is_here.then_some(known.data.as_path())
        }
        (None, None) => None,
    };
    let hub = HubOptions::from_env(request.offline);
    let location = locate_data(&name, &benchmark, data, &[Split::Test], &hub)?;
    let mut spec = benchmark.data;
    spec.allow_outside = selection.allow_outside;
    spec.published = location.published;
    Ok(FoundQuestions {
        stream: stored_questions(spec, location.path.as_deref(), asked)?,
        data: location.path,
        benchmark: name,
    })
}

/// # Errors
/// Returns an error if the questions found are not those that the runs were asked.
pub(super) fn check_questions(
    found: &FoundQuestions,
    summary: &QuestionSetSummary,
    sources: &Sources,
) -> Result<()> {
    let asked = &sources.manifest.benchmark;
    let place = found.data.as_ref().map_or_else(
        || format!("the benchmark {}", shorten(&found.benchmark)),
        |data| data.display().to_string(),
    );
    ensure!(
        summary.hash == asked.hash,
        "{}: {} questions were asked on {} charts (question set {}), and {place} has {} on {} charts (question set {}): another \
         version, or other data; name those that were asked on by --benchmark and --data",
        sources.describe(),
        asked.questions,
        asked.charts,
        shorten(short(&asked.hash)),
        summary.questions,
        summary.charts,
        shorten(short(&summary.hash))
    );
    Ok(())
}

/// What an answer is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerTo {
    /// The question of this number, from 0 in the order of the set.
    Question(usize),
    /// A question of the set, but about another chart or with another text or gold answer.
    Changed,
    /// No question of the set.
    Unknown,
}

/// The number of each question of a set. In memory are hashes of ids and contents alone.
#[derive(Default)]
pub(super) struct QuestionNumbers {
    by_id: HashMap<[u64; 2], usize>,
    contents: Vec<u64>,
    hashers: [RandomState; 2],
}

impl QuestionNumbers {
    /// Numbers and summarizes the questions in one pass.
    ///
    /// # Errors
    /// Returns an error if the questions cannot be read.
    pub(super) fn read(source: &dyn QuestionSource) -> Result<(Self, QuestionSetSummary)> {
        let mut numbers = Self::default();
        let chunks = source.chunks().inspect(|chunk| {
            for chart in chunk.iter().flatten() {
                numbers.add(chart);
            }
        });
        let summary = QuestionSetSummary::from_chunks(chunks)?;
        Ok((numbers, summary))
    }

    fn add(&mut self, ChartQuestions { chart, questions }: &ChartQuestions) {
        for question in questions {
            let content = self.hash_content(&chart.id, &question.text, &question.gold);
            let id = self.hash_id(&question.id);
            self.by_id.insert(id, self.contents.len());
            self.contents.push(content);
        }
    }

    /// How many questions there are.
    pub(super) fn len(&self) -> usize {
        self.contents.len()
    }

    /// The question that `record` answers.
    pub(super) fn find(&self, record: &PredictionRecord) -> AnswerTo {
        let Some(&number) = self.by_id.get(&self.hash_id(&record.id)) else {
            return AnswerTo::Unknown;
        };
        let content = self.hash_content(&record.chart, &record.question, &record.gold);
        if self.contents.get(number) == Some(&content) {
            AnswerTo::Question(number)
        } else {
            AnswerTo::Changed
        }
    }

    fn hash_id(&self, id: &str) -> [u64; 2] {
        self.hashers.each_ref().map(|hasher| hasher.hash_one(id))
    }

    fn hash_content(&self, chart: &str, text: &str, gold: &Gold) -> u64 {
        self.hashers[0].hash_one((chart, text, gold))
    }
}
