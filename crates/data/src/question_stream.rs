//! A split whose questions are read as they are gone through.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Result, bail, ensure};

use super::realcqa::{self, Folder, Opened};
use super::{NoSplit, chartqa, generic, plotqa, recital, required, synth, tables};
use crate::{Ask, Format, QuestionSetSpec, Questions};
use chartbench_core::question::Split;
use chartbench_core::question::{CHARTS_AT_A_TIME, ChartQuestions, QuestionSet, QuestionSource, Survey, sample};

/// One split of a spec. Data sets that have a file of questions for each chart are read anew in each pass, some charts at a
/// time, so that any number of questions takes the memory of a few; others are in memory from the start.
///
/// The benchmark's choice of questions and its pinned hash are about the test split; the train split comes whole.
pub struct QuestionStream {
    asks: Asks,
    source: Source,
    limit: Option<usize>,
    /// Of the charts of each pass's pieces a hash, made by the survey: what is asked later is what was surveyed.
    surveyed: OnceLock<Vec<u64>>,
}

enum Source {
    /// What is asked of each chart.
    Held(Vec<ChartQuestions>),
    Folder(Folder),
}

impl QuestionStream {
    /// Opens one split. `data` is where the user keeps the data set.
    ///
    /// # Errors
    /// A data set that is not given, missing, or without the split ([`NoSplit`]); malformed, as far as it is read.
    pub fn open(spec: &QuestionSetSpec, data: Option<&Path>, split: Split) -> Result<Self> {
        let asks = Asks::new(spec, data, split);
        let given = || required(spec, data);
        let outside = spec.allow_outside;
        let held = match &spec.format {
            Format::RealCqa => match realcqa::open(given()?, split, outside)? {
                Opened::Held(charts) => charts,
                Opened::Folder(folder) => {
                    ensure!(folder.len() > 0, asks.nothing());
                    return Ok(Self { asks, source: Source::Folder(folder), limit: None, surveyed: OnceLock::new() });
                }
            },
            Format::ChartQa => chartqa::load(given()?, split, outside)?,
            Format::PlotQa => plotqa::load(given()?, split, outside)?,
            Format::Generic => generic::load(given()?, split, outside)?,
            &Format::Synth { seed, train, test, questions_per_chart } => {
                ensure!(
                    data.is_none(),
                    "benchmark `{}` draws its own charts and reads no --data: ask your own with --benchmark custom",
                    spec.name
                );
                synth::Synth { seed, train, test, questions_per_chart }.question_set(split).charts
            }
        };
        let charts = asks.of(held)?;
        ensure!(!charts.is_empty(), asks.nothing());
        Ok(Self { asks, source: Source::Held(charts), limit: None, surveyed: OnceLock::new() })
    }

    /// Only the first `count` questions, chart after chart.
    #[must_use]
    pub fn limit(self, count: usize) -> Self {
        Self { limit: Some(count), ..self }
    }

    /// What there is, told by one pass.
    ///
    /// # Errors
    /// Malformed questions, none at all ([`NoSplit`]), or others than the pinned ones.
    pub fn survey(&self) -> Result<Survey> {
        // A pinned hash is that of the whole split.
        let limit = self.limit.filter(|_| self.asks.pinned.is_none());
        let mut hashes = Vec::new();
        let survey = Survey::of(self.pieces_up_to(limit, |_, charts| {
            hashes.push(hash(charts));
            Ok(())
        }))?;
        self.asks.check(survey.questions, || Ok(survey.hash.clone()))?;
        let _ = self.surveyed.set(hashes);
        if limit == self.limit { Ok(survey) } else { Survey::of(self.pieces()) }
    }

    /// All of them, in memory.
    ///
    /// # Errors
    /// As of [`survey`](Self::survey).
    pub(super) fn read(self) -> Result<QuestionSet> {
        let Self { asks, source, .. } = self;
        let charts = match source {
            Source::Held(charts) => charts,
            Source::Folder(folder) => asks.of(folder.charts(0..folder.len())?)?,
        };
        let set = QuestionSet { benchmark: asks.benchmark.clone(), charts };
        asks.check(set.len(), || set.hash())?;
        Ok(set)
    }

    /// Up to `limit` questions; `seen` gets the places of each piece that is read, and its charts.
    fn pieces_up_to(
        &self,
        limit: Option<usize>,
        mut seen: impl FnMut(Range<usize>, &[ChartQuestions]) -> Result<()>,
    ) -> impl Iterator<Item = Result<Vec<ChartQuestions>>> {
        let mut left = limit.unwrap_or(usize::MAX);
        let count = match &self.source {
            Source::Held(charts) => charts.len(),
            Source::Folder(folder) => folder.len(),
        };
        (0..count).step_by(CHARTS_AT_A_TIME).map_while(move |first| {
            (left > 0).then(|| {
                let places = first..count.min(first + CHARTS_AT_A_TIME);
                let mut piece = match &self.source {
                    Source::Held(charts) => charts[places].to_vec(),
                    Source::Folder(folder) => {
                        let piece = self.asks.of(folder.charts(places.clone())?)?;
                        seen(places, &piece)?;
                        piece
                    }
                };
                for entry in &mut piece {
                    entry.questions.truncate(left);
                    left -= entry.questions.len();
                }
                piece.retain(|entry| !entry.questions.is_empty());
                Ok(piece)
            })
        })
    }
}

impl QuestionSource for QuestionStream {
    fn pieces(&self) -> Box<dyn Iterator<Item = Result<Vec<ChartQuestions>>> + '_> {
        Box::new(self.pieces_up_to(self.limit, |places, charts| {
            let surveyed = self.surveyed.get().and_then(|hashes| hashes.get(places.start / CHARTS_AT_A_TIME));
            ensure!(
                surveyed.is_none_or(|surveyed| *surveyed == hash(charts)),
                "the questions{} on charts {} to {} are no longer those that they were when the run began: start it again, \
                 under another --name",
                self.asks.place,
                places.start + 1,
                places.end
            );
            Ok(())
        }))
    }
}

/// Of everything that is in a question set's hash; compared within one process only.
fn hash(charts: &[ChartQuestions]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for ChartQuestions { chart, questions } in charts {
        (&chart.id, &chart.chart_type, questions.len()).hash(&mut hasher);
        for question in questions {
            (&question.id, &question.text, &question.gold, question.answer_type).hash(&mut hasher);
            (question.taxonomy, &question.template, &question.source, &question.slices).hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// What a benchmark asks of a split's charts.
struct Asks {
    benchmark: String,
    split: Split,
    ask: Ask,
    /// At most so many a chart, drawn by this seed.
    drawn: Option<(usize, u64)>,
    pinned: Option<String>,
    /// Where the data set is, for messages.
    place: String,
}

impl Asks {
    fn new(spec: &QuestionSetSpec, data: Option<&Path>, split: Split) -> Self {
        let drawn = match spec.questions {
            Questions::PerChart { count, seed } if split == Split::Test => Some((count, seed)),
            _ => None,
        };
        Self {
            benchmark: spec.name.clone(),
            split,
            ask: spec.ask,
            drawn,
            pinned: spec.hash.clone().filter(|_| split == Split::Test),
            place: data.map(|path| format!(" of {}", path.display())).unwrap_or_default(),
        }
    }

    /// These charts with what is asked of them; those of which nothing is are left out.
    fn of(&self, charts: Vec<ChartQuestions>) -> Result<Vec<ChartQuestions>> {
        let mut charts = match self.ask {
            Ask::Questions => charts,
            Ask::Tables => tables::ask(charts)?,
            Ask::QuestionsAndAnswers => recital::ask(charts),
        };
        if let Some((count, seed)) = self.drawn {
            charts.iter_mut().for_each(|entry| sample(entry, count, seed));
        }
        charts.retain(|entry| !entry.questions.is_empty());
        Ok(charts)
    }

    /// Refuses a split without questions, and other questions than the pinned ones.
    fn check(&self, questions: usize, hash: impl FnOnce() -> Result<String>) -> Result<()> {
        ensure!(questions > 0, self.nothing());
        let Some(pinned) = &self.pinned else { return Ok(()) };
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

    fn nothing(&self) -> NoSplit {
        let (split, place) = (self.split, &self.place);
        NoSplit(match self.ask {
            Ask::Questions | Ask::QuestionsAndAnswers => format!("no questions in the {split} split{place}"),
            Ask::Tables => format!("no chart of the {split} split{place} has a data table"),
        })
    }
}
