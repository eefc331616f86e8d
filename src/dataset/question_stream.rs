//! A split whose questions are read as they are gone through.

use std::path::Path;

use anyhow::{Result, bail};

use super::question_set::sample;
use super::realcqa::RealCqa;
use super::{NoSplit, Split, chartqa, generic, plotqa, recital, required, synth, tables};
use crate::config::{Ask, Benchmark, Format, Questions};
use crate::sample::{ChartQuestions, PIECE, QuestionSet, QuestionSource, Survey};

/// One split of a benchmark. Data sets that have a file of questions for each chart are read anew in each pass, some charts at a
/// time, so that any number of questions takes the memory of a few; others are in memory from the start.
///
/// The benchmark's choice of questions and its pinned hash are about the test split; the train split comes whole.
pub struct QuestionStream {
    benchmark: Benchmark,
    split: Split,
    /// Where the data set is, for messages.
    place: String,
    charts: Charts,
    limit: Option<usize>,
}

enum Charts {
    Held(Vec<ChartQuestions>),
    RealCqa(RealCqa),
}

impl QuestionStream {
    /// Opens one split. `data` is where the user keeps the data set.
    ///
    /// # Errors
    /// A data set that is not given, missing or malformed, as far as it is read.
    pub fn open(benchmark: &Benchmark, data: Option<&Path>, split: Split) -> Result<Self> {
        let given = || required(benchmark, data);
        let charts = match &benchmark.format {
            Format::RealCqa => Charts::RealCqa(RealCqa::open(given()?, split)?),
            Format::ChartQa => Charts::Held(chartqa::load(given()?, split)?),
            Format::PlotQa => Charts::Held(plotqa::load(given()?, split)?),
            Format::Generic => Charts::Held(generic::load(given()?, split)?),
            &Format::Synth { seed, train, test, questions_per_chart } => {
                Charts::Held(synth::Synth { seed, train, test, questions_per_chart }.question_set(split).charts)
            }
        };
        let place = data.map(|path| format!(" of {}", path.display())).unwrap_or_default();
        Ok(Self { benchmark: benchmark.clone(), split, place, charts, limit: None })
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
        let limit = self.limit.filter(|_| self.benchmark.hash.is_none());
        let survey = Survey::of(self.pieces_up_to(limit))?;
        self.check(survey.questions, || Ok(survey.hash.clone()))?;
        if limit == self.limit { Ok(survey) } else { Survey::of(self.pieces()) }
    }

    /// All of them, in memory.
    ///
    /// # Errors
    /// As of [`survey`](Self::survey).
    pub fn read(mut self) -> Result<QuestionSet> {
        let charts = match std::mem::replace(&mut self.charts, Charts::Held(Vec::new())) {
            Charts::Held(charts) => self.asked(charts)?,
            Charts::RealCqa(folder) => self.asked(folder.charts(0..folder.len())?)?,
        };
        let set = QuestionSet { benchmark: self.benchmark.name.clone(), charts };
        self.check(set.len(), || set.hash())?;
        Ok(match self.limit {
            Some(count) => set.limit(count),
            None => set,
        })
    }

    fn pieces_up_to(&self, limit: Option<usize>) -> impl Iterator<Item = Result<Vec<ChartQuestions>>> {
        let mut left = limit.unwrap_or(usize::MAX);
        let count = match &self.charts {
            Charts::Held(charts) => charts.len(),
            Charts::RealCqa(folder) => folder.len(),
        };
        (0..count).step_by(PIECE).map_while(move |first| {
            (left > 0).then(|| {
                let places = first..count.min(first + PIECE);
                let mut piece = self.asked(match &self.charts {
                    Charts::Held(charts) => charts[places].to_vec(),
                    Charts::RealCqa(folder) => folder.charts(places)?,
                })?;
                for entry in &mut piece {
                    entry.questions.truncate(left);
                    left -= entry.questions.len();
                }
                piece.retain(|entry| !entry.questions.is_empty());
                Ok(piece)
            })
        })
    }

    /// What the benchmark asks of these charts; those of which it asks nothing are left out.
    fn asked(&self, charts: Vec<ChartQuestions>) -> Result<Vec<ChartQuestions>> {
        let mut charts = match self.benchmark.ask {
            Ask::Questions => charts,
            Ask::Tables => tables::ask(charts)?,
            Ask::QuestionsAndAnswers => recital::ask(charts),
        };
        if self.split == Split::Test
            && let Questions::PerChart { count, seed } = self.benchmark.questions
        {
            charts.iter_mut().for_each(|entry| sample(entry, count, seed));
        }
        charts.retain(|entry| !entry.questions.is_empty());
        Ok(charts)
    }

    /// Refuses a split without questions, and other questions than the pinned ones.
    fn check(&self, questions: usize, hash: impl FnOnce() -> Result<String>) -> Result<()> {
        let (name, split, place) = (&self.benchmark.name, self.split, &self.place);
        if questions == 0 {
            bail!(NoSplit(match self.benchmark.ask {
                Ask::Questions | Ask::QuestionsAndAnswers => format!("no questions in the {split} split{place}"),
                Ask::Tables => format!("no chart of the {split} split{place} has a data table"),
            }));
        }
        let Some(pinned) = self.benchmark.hash.as_ref().filter(|_| split == Split::Test) else { return Ok(()) };
        let actual = hash()?;
        if *pinned != actual {
            bail!(
                "benchmark `{name}`: its {questions} questions have the hash {actual}, pinned is {pinned}; the data set is \
                 another version or was changed"
            );
        }
        Ok(())
    }
}

impl QuestionSource for QuestionStream {
    fn pieces(&self) -> Box<dyn Iterator<Item = Result<Vec<ChartQuestions>>> + '_> {
        Box::new(self.pieces_up_to(self.limit))
    }
}
