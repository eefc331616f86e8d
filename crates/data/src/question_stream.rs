//! One split of a benchmark, whose questions are read chunk by chunk.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Result, bail, ensure};

use super::columns::FileType;
use super::even_draw::EvenDraw;
use super::id_list::{self, IdList};
use super::realcqa::{self, PerChartQa, QaLayout};
#[cfg(feature = "synth")]
use super::synth;
use super::{
    MissingSplit, chartmuseum, chartqa, charxiv, columns, generic, gold_tables, plotqa,
    pretraining, require_data_path,
};
use crate::notes::Notes;
use crate::{Ask, Format, QuestionSetSpec, Questions};
use chartbench_core::input::Boundary;
use chartbench_core::question::Split;
use chartbench_core::question::{
    CHUNK_CHARTS, ChartQuestions, QuestionSet, QuestionSetSummary, QuestionSource, sample_questions,
};

/// One split of a benchmark. Data sets with one file of questions for each chart are read again in
/// each pass, chunk by chunk, so that memory does not grow with the number of questions; others are
/// in memory from the start.
///
/// The benchmark's selection of questions and its pinned hash concern the test split; the train
/// split is read whole.
pub struct QuestionStream {
    selection: QuestionSelection,
    source: Source,
    limit: Option<Limit>,
    /// Notes about what was read when the stream was opened.
    notes: Notes,
    /// Notes about what [`summarize`](Self::summarize) read.
    later_notes: OnceLock<Notes>,
    /// One hash per chunk, taken by [`summarize`](Self::summarize); later passes must read the same
    /// questions.
    chunk_hashes: OnceLock<Vec<u64>>,
}

/// Which of the selected questions are asked.
enum Limit {
    /// The first ones, chart after chart.
    First(usize),
    /// Some of all charts.
    Drawn(EvenDraw),
}

enum Source {
    /// The selected questions of each chart.
    InMemory(Vec<ChartQuestions>),
    PerChart(PerChartQa),
}

impl QuestionStream {
    /// Opens one split of the data set at `data`.
    ///
    /// # Errors
    /// Returns an error if the data set is not given, missing, without the split
    /// ([`MissingSplit`]), or malformed as far as it is read.
    pub fn open(spec: &QuestionSetSpec, data: Option<&Path>, split: Split) -> Result<Self> {
        let selection = QuestionSelection::new(spec, data, split)?;
        let path = || require_data_path(spec, data);
        let outside = spec.allow_outside;
        let mut notes = Notes::default();
        let charts = match &spec.format_at(data) {
            Format::RealCqa => match realcqa::open(path()?, split, outside, &mut notes)? {
                QaLayout::Merged(charts) => charts,
                QaLayout::PerChart(qa) => {
                    ensure!(qa.len() > 0, selection.no_questions(&notes));
                    return Ok(Self::new(selection, Source::PerChart(qa), notes));
                }
            },
            Format::ChartQa => chartqa::load(path()?, split, outside, &mut notes)?,
            Format::PlotQa => plotqa::load(path()?, split, outside, &mut notes)?,
            Format::CharXiv(part) => {
                let published = spec.published.as_deref();
                charxiv::load(path()?, *part, published, split, outside, &mut notes)?
            }
            Format::ChartMuseum => {
                let published = spec.published.as_deref();
                chartmuseum::load(path()?, published, split, outside, &mut notes)?
            }
            Format::Generic => generic::load(path()?, split, outside, &mut notes)?,
            format @ (Format::Parquet | Format::Json) => {
                let request = columns::Request {
                    path: path()?,
                    file_type: match format {
                        Format::Json => FileType::Json,
                        _ => FileType::Parquet,
                    },
                    columns: spec.columns.as_ref(),
                    files: &spec.files,
                    split,
                    allow_outside: outside,
                };
                columns::load(&request, &mut notes)?
            }
            #[cfg(feature = "synth")]
            &Format::Synth {
                seed,
                train,
                test,
                questions_per_chart,
            } => {
                ensure!(
                    data.is_none(),
                    "benchmark `{}` draws its own charts and reads no --data: ask your own with --benchmark custom",
                    spec.name
                );
                synth::Synth {
                    seed,
                    train,
                    test,
                    questions_per_chart,
                }
                .question_set(split)
                .charts
            }
            #[cfg(not(feature = "synth"))]
            Format::Synth { .. } => bail!(
                "benchmark `{}` draws its charts, which this build leaves out: build with `--features synth`",
                spec.name
            ),
        };
        let charts = selection.select(charts)?;
        ensure!(!charts.is_empty(), selection.no_questions(&notes));
        Ok(Self::new(selection, Source::InMemory(charts), notes))
    }

    fn new(selection: QuestionSelection, source: Source, notes: Notes) -> Self {
        Self {
            selection,
            source,
            limit: None,
            notes,
            later_notes: OnceLock::new(),
            chunk_hashes: OnceLock::new(),
        }
    }

    /// Limits the stream to the first `count` questions, chart after chart.
    #[must_use]
    pub fn limit(self, count: usize) -> Self {
        Self {
            limit: Some(Limit::First(count)),
            ..self
        }
    }

    /// Limits the stream to `count` questions, drawn by `seed` from the whole split: each source
    /// and answer type in proportion. A larger draw by the same seed holds the smaller one.
    ///
    /// # Errors
    /// Returns an error if the questions cannot be read.
    pub fn draw_evenly(self, count: usize, seed: u64) -> Result<Self> {
        let draw = EvenDraw::new(self.chunks_up_to(None, |_, _, _| Ok(())), count, seed)?;
        Ok(Self {
            limit: Some(Limit::Drawn(draw)),
            ..self
        })
    }

    /// Notes about parts that are left out or read otherwise than written, in a line of each kind.
    /// For data sets with one file of questions for each chart they are complete once the stream
    /// was summarized.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
        notes.extend(self.later_notes.get().cloned().unwrap_or_default());
        notes.into_lines()
    }

    /// Counts and hashes the questions in one pass.
    ///
    /// # Errors
    /// Returns an error if questions are malformed, if the split has none ([`MissingSplit`]), or if
    /// their hash is not the pinned one.
    pub fn summarize(&self) -> Result<QuestionSetSummary> {
        self.summarize_with(&mut |_| {})
    }

    /// As [`summarize`](Self::summarize); `visit` sees the questions that are asked, chunk by chunk.
    ///
    /// # Errors
    /// As [`summarize`](Self::summarize).
    pub fn summarize_with(
        &self,
        visit: &mut dyn FnMut(&[ChartQuestions]),
    ) -> Result<QuestionSetSummary> {
        // A pinned hash and a list cover the whole split.
        let limit = self
            .limit
            .as_ref()
            .filter(|_| !self.selection.covers_whole_split());
        let (mut hashes, mut later) = (Vec::new(), Notes::default());
        let inspect = |_, charts: &[ChartQuestions], notes: Notes| {
            hashes.push(hash(charts));
            later.extend(notes);
            Ok(())
        };
        let are_asked = limit.is_some() == self.limit.is_some();
        let chunks = self.chunks_up_to(limit, inspect).inspect(|chunk| {
            if let (true, Ok(charts)) = (are_asked, chunk) {
                visit(charts);
            }
        });
        let summary = QuestionSetSummary::from_chunks(chunks)?;
        self.selection
            .check(summary.questions, &later, || Ok(summary.hash.clone()))?;
        let _ = self.chunk_hashes.set(hashes);
        let _ = self.later_notes.set(later);
        if are_asked {
            return Ok(summary);
        }
        let chunks = self.chunks().inspect(|chunk| {
            if let Ok(charts) = chunk {
                visit(charts);
            }
        });
        QuestionSetSummary::from_chunks(chunks)
    }

    /// Reads all questions into memory, with the lines of [`notes`](Self::notes).
    ///
    /// # Errors
    /// As [`summarize`](Self::summarize).
    pub(super) fn read(self) -> Result<(QuestionSet, Vec<String>)> {
        let Self {
            selection,
            source,
            mut notes,
            ..
        } = self;
        let charts = match source {
            Source::InMemory(charts) => charts,
            Source::PerChart(qa) => {
                let (charts, later) = qa.charts(0..qa.len())?;
                notes.extend(later);
                selection.select(charts)?
            }
        };
        let set = QuestionSet {
            benchmark: selection.benchmark.clone(),
            charts,
        };
        selection.check(set.len(), &notes, || set.hash())?;
        Ok((set, notes.into_lines()))
    }

    /// Chunks of the questions within `limit`. `inspect` is called with the range, the charts and
    /// the notes of each chunk that is read from files.
    fn chunks_up_to(
        &self,
        limit: Option<&Limit>,
        mut inspect: impl FnMut(Range<usize>, &[ChartQuestions], Notes) -> Result<()>,
    ) -> impl Iterator<Item = Result<Vec<ChartQuestions>>> {
        let mut left = match limit {
            Some(Limit::First(count)) => *count,
            Some(Limit::Drawn(_)) | None => usize::MAX,
        };
        let count = match &self.source {
            Source::InMemory(charts) => charts.len(),
            Source::PerChart(qa) => qa.len(),
        };
        (0..count).step_by(CHUNK_CHARTS).map_while(move |first| {
            (left > 0).then(|| {
                let range = first..count.min(first + CHUNK_CHARTS);
                let mut chunk = match &self.source {
                    Source::InMemory(charts) => charts[range].to_vec(),
                    Source::PerChart(qa) => {
                        let (charts, notes) = qa.charts(range.clone())?;
                        let chunk = self.selection.select(charts)?;
                        inspect(range, &chunk, notes)?;
                        chunk
                    }
                };
                match limit {
                    Some(Limit::First(_)) => truncate(&mut chunk, &mut left),
                    Some(Limit::Drawn(draw)) => draw.retain(&mut chunk),
                    None => {}
                }
                chunk.retain(|chart| !chart.questions.is_empty());
                Ok(chunk)
            })
        })
    }
}

impl QuestionSource for QuestionStream {
    fn chunks(&self) -> Box<dyn Iterator<Item = Result<Vec<ChartQuestions>>> + '_> {
        Box::new(self.chunks_up_to(self.limit.as_ref(), |range, charts, _| {
            let expected = self.chunk_hashes.get().and_then(|hashes| hashes.get(range.start / CHUNK_CHARTS));
            ensure!(
                expected.is_none_or(|expected| *expected == hash(charts)),
                "the questions{} on charts {} to {} are no longer those that they were when the run began: start it again, \
                 under another --name",
                self.selection.location,
                range.start + 1,
                range.end
            );
            Ok(())
        }))
    }
}

/// Leaves the first `left` questions, and takes them off that number.
fn truncate(charts: &mut [ChartQuestions], left: &mut usize) {
    for ChartQuestions { questions, .. } in charts {
        questions.truncate(*left);
        *left -= questions.len();
    }
}

/// A hash of everything that a question set's hash covers; compared within one process only.
fn hash(charts: &[ChartQuestions]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for ChartQuestions { chart, questions } in charts {
        (&chart.id, &chart.chart_type, questions.len()).hash(&mut hasher);
        for question in questions {
            (
                &question.id,
                &question.text,
                &question.gold,
                question.answer_type,
            )
                .hash(&mut hasher);
            (
                question.taxonomy,
                &question.template,
                &question.source,
                &question.slices,
                &question.context,
            )
                .hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// The questions that a benchmark asks about the charts of a split.
struct QuestionSelection {
    benchmark: String,
    split: Split,
    ask: Ask,
    listed: Option<IdList>,
    sample: Option<SampleSpec>,
    pinned_hash: Option<String>,
    /// ` of PATH`, for messages.
    location: String,
}

/// At most `per_chart` questions of each chart, drawn by `seed`.
struct SampleSpec {
    per_chart: usize,
    seed: u64,
}

impl QuestionSelection {
    /// # Errors
    /// Returns an error if the benchmark lists its questions in a file that cannot be read.
    fn new(spec: &QuestionSetSpec, data: Option<&Path>, split: Split) -> Result<Self> {
        let listed = match &spec.listed {
            Some(list) if split == Split::Test => {
                let data = require_data_path(spec, data)?;
                let folder = id_list::folder_of(data);
                let boundary = Boundary::new(&folder, spec.allow_outside);
                let folders = match spec.format {
                    Format::RealCqa => vec![realcqa::root(data), folder],
                    _ => vec![folder],
                };
                Some(IdList::read(list, &spec.format, &folders, &boundary)?)
            }
            _ => None,
        };
        let sample = match spec.questions {
            Questions::PerChart { count, seed } if split == Split::Test => Some(SampleSpec {
                per_chart: count,
                seed,
            }),
            _ => None,
        };
        Ok(Self {
            benchmark: spec.name.clone(),
            split,
            ask: spec.ask,
            listed,
            sample,
            pinned_hash: spec.hash.clone().filter(|_| split == Split::Test),
            location: data
                .map(|path| format!(" of {}", path.display()))
                .unwrap_or_default(),
        })
    }

    /// Whether [`Self::check`] needs the number of all questions of the split.
    fn covers_whole_split(&self) -> bool {
        self.pinned_hash.is_some() || self.listed.is_some()
    }

    /// The charts with their selected questions, without the charts that have none.
    fn select(&self, mut charts: Vec<ChartQuestions>) -> Result<Vec<ChartQuestions>> {
        if let Some(listed) = &self.listed {
            listed.retain(&mut charts);
        }
        let mut charts = match self.ask {
            Ask::Questions => charts,
            Ask::Tables => gold_tables::ask_for_tables(charts)?,
            Ask::QuestionsAndAnswers => pretraining::join_questions(charts),
            Ask::TablesAndQuestions => pretraining::add_tables(charts)?,
        };
        if let Some(SampleSpec { per_chart, seed }) = self.sample {
            charts
                .iter_mut()
                .for_each(|chart_questions| sample_questions(chart_questions, per_chart, seed));
        }
        charts.retain(|chart_questions| !chart_questions.questions.is_empty());
        Ok(charts)
    }

    /// Checks that the split has questions, as many as are listed, and that their hash is the pinned
    /// one.
    fn check(
        &self,
        questions: usize,
        notes: &Notes,
        hash: impl FnOnce() -> Result<String>,
    ) -> Result<()> {
        ensure!(questions > 0, self.no_questions(notes));
        // A sample, or tables, are other numbers.
        if let Some(listed) = &self.listed
            && self.sample.is_none()
            && self.ask == Ask::Questions
        {
            listed.check(&self.benchmark, questions)?;
        }
        let Some(pinned) = &self.pinned_hash else {
            return Ok(());
        };
        let actual = hash()?;
        if *pinned != actual {
            bail!(
                "benchmark `{}`: its {questions} questions have the hash {actual}, pinned is {pinned}; the data set is another \
                 version or was changed",
                self.benchmark
            );
        }
        Ok(())
    }

    fn no_questions(&self, notes: &Notes) -> MissingSplit {
        let (split, location) = (self.split, &self.location);
        if let Some(listed) = &self.listed {
            let list = listed.path().display();
            return MissingSplit(format!(
                "no question of the {split} split{location} is listed in {list}"
            ));
        }
        let what = match self.ask {
            Ask::Questions | Ask::QuestionsAndAnswers | Ask::TablesAndQuestions => {
                format!("no questions in the {split} split{location}")
            }
            Ask::Tables => format!("no chart of the {split} split{location} has a data table"),
        };
        let lines = [what].into_iter().chain(notes.clone().into_lines());
        MissingSplit(lines.collect::<Vec<_>>().join("; "))
    }
}
