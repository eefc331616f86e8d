//! Checks whether a data set can be trusted, before anything is measured with it: its images,
//! splits and gold answers.
//!
//! Each check has one file, which says what it counts as a fault and where it can err. All checks
//! but those of the images need only the loaded questions. A new check needs one file here, its
//! [`FindingKind`]s, and a line in [`DataSet::check`].

mod content_hash;
mod counts;
mod duplicate_charts;
mod duplicate_questions;
mod finding;
mod gold_self_score;
mod golds;
mod image_match;
mod images;
mod pixel_match;
mod text;
mod text_leakage;
mod thumbnail;

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;

pub use content_hash::TestContent;
pub use counts::Count;
pub use finding::{Finding, FindingKind, Severity};
pub use gold_self_score::GoldSelfScore;
pub use text_leakage::TextLeakage;

use crate::{Ask, Format, MissingSplit, QuestionSetSpec, Questions, SplitFiles};
use chartbench_core::question::{Chart, ChartQuestions, Question, QuestionSet, Split};

/// The version of the JSON form of a [`LintReport`].
const FORMAT: u32 = 1;

/// A data set with its splits loaded.
pub struct DataSet {
    path: PathBuf,
    format: Format,
    train: Option<QuestionSet>,
    test: QuestionSet,
    notes: Vec<String>,
}

/// A chart with its questions and its split.
#[derive(Clone, Copy)]
struct SplitChart<'a> {
    split: Split,
    chart: &'a Chart,
    questions: &'a [Question],
}

/// The findings of all checks of a data set.
#[derive(Debug, Serialize)]
pub struct LintReport {
    /// The version of the report's JSON format.
    pub format: u32,
    /// The path of the data set, as the user gave it.
    pub path: String,
    /// The name of the format in which it was read.
    pub layout: Option<&'static str>,
    /// Whether no finding is a [`Severity::Error`].
    pub usable: bool,
    /// Whether the images were checked.
    pub images_checked: bool,
    /// The charts and questions of each kind in each split.
    pub counts: Vec<Count>,
    /// The content of the test questions; `None` if the images were not checked.
    pub content: Option<TestContent>,
    /// The accuracy of the most frequent gold of each question template or text, without the chart.
    pub prior: TextLeakage,
    /// The conventions and metrics that score some golds below 1 against themselves.
    pub self_match: Vec<GoldSelfScore>,
    /// Ordered by kind; findings of one kind in the order of the data set.
    pub findings: Vec<Finding>,
    /// Notes about parts that were left out or read otherwise than written, in a line of each kind
    /// and split.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl DataSet {
    /// Loads the test split of the data set at `path`, and its train split if it has one. The
    /// format is `format`, or detected by the names of the files. `allow_outside` allows images and
    /// tables outside its folder.
    ///
    /// # Errors
    /// Returns an error if the format cannot be detected, or the files cannot be read in it.
    pub fn load(path: &Path, format: Option<Format>, allow_outside: bool) -> Result<Self> {
        let format = format.map_or_else(|| crate::detect(path), Ok)?;
        Self::load_as(
            path,
            QuestionSetSpec {
                name: "data".to_owned(),
                format,
                ask: Ask::Questions,
                questions: Questions::All,
                listed: None,
                hash: None,
                allow_outside,
                published: None,
                columns: None,
                files: SplitFiles::default(),
            },
        )
    }

    /// Loads the data set at `path` as a benchmark reads it: all questions of the test split, and of
    /// the train split if it has one.
    ///
    /// # Errors
    /// Returns an error if the files cannot be read so.
    pub fn load_as(path: &Path, benchmark: QuestionSetSpec) -> Result<Self> {
        let spec = QuestionSetSpec {
            ask: Ask::Questions,
            questions: Questions::All,
            listed: None,
            hash: None,
            ..benchmark
        };
        let format = spec.format_at(Some(path));
        let (test, mut notes) = crate::load_with_notes(&spec, Some(path), Split::Test)?;
        let train = match crate::load_with_notes(&spec, Some(path), Split::Train) {
            Ok((train, lines)) => {
                let new = lines.into_iter().map(|line| format!("train: {line}"));
                notes.extend(new);
                Some(train)
            }
            Err(error) if error.downcast_ref::<MissingSplit>().is_some() => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            path: path.to_owned(),
            format,
            train,
            test,
            notes,
        })
    }

    /// The number of charts in both splits.
    pub fn charts(&self) -> usize {
        self.split_charts().len()
    }

    /// Runs all checks. `images` is called after each chart whose image was checked; without it no
    /// image is opened.
    pub fn check(&self, images: Option<&(dyn Fn() + Sync)>) -> LintReport {
        let split_charts = self.split_charts();
        let mut findings = Vec::new();
        let decoded =
            images.map(|progress| images::digest_images(&split_charts, progress, &mut findings));
        findings.extend(duplicate_charts::check(
            &self.format,
            &split_charts,
            decoded
                .as_ref()
                .map_or(&[][..], |decoded| decoded.digests.as_slice()),
        ));
        findings.extend(duplicate_questions::check(&split_charts));
        findings.extend(golds::check(&split_charts));
        let (self_match, unmatchable) = gold_self_score::check(&split_charts);
        findings.extend(unmatchable);
        let (prior, given_away) = text_leakage::check(&split_charts);
        findings.extend(given_away);
        findings.sort_by_key(|finding| finding.kind);
        LintReport {
            format: FORMAT,
            path: self.path.display().to_string(),
            layout: crate::format_name(&self.format),
            usable: findings
                .iter()
                .all(|finding| finding.severity != Severity::Error),
            images_checked: images.is_some(),
            counts: counts::count(&split_charts),
            content: decoded.map(|decoded| TestContent::new(&split_charts, &decoded.pixels)),
            prior,
            self_match,
            findings,
            notes: self.notes.clone(),
        }
    }

    /// All charts, those of the train split first.
    fn split_charts(&self) -> Vec<SplitChart<'_>> {
        let splits = self
            .train
            .iter()
            .map(|set| (Split::Train, set))
            .chain([(Split::Test, &self.test)]);
        splits
            .flat_map(|(split, set)| {
                set.charts
                    .iter()
                    .map(move |ChartQuestions { chart, questions }| SplitChart {
                        split,
                        chart,
                        questions,
                    })
            })
            .collect()
    }
}

impl LintReport {
    /// The whole report as JSON.
    ///
    /// # Errors
    /// Returns an error if the report cannot be written as JSON, which plain text and numbers
    /// always can.
    pub fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

#[cfg(test)]
mod testing {
    use super::*;
    use chartbench_core::question::ImageRef;

    /// A chart for tests, with one question for each gold.
    pub(super) struct TestChart(Chart, Vec<Question>);

    impl TestChart {
        pub(super) fn with_golds(golds: &[&str], text: &str) -> Self {
            let question = |(number, gold): (usize, &&str)| Question {
                id: number.to_string(),
                text: text.to_owned(),
                gold: (*gold).into(),
                answer_type: None,
                taxonomy: None,
                template: None,
                source: None,
                slices: Default::default(),
                context: None,
            };
            let chart = Chart {
                id: "c".to_owned(),
                image: ImageRef::File("c.png".into()),
                chart_type: None,
                table: None,
            };
            Self(chart, golds.iter().enumerate().map(question).collect())
        }

        pub(super) fn split_chart(&self) -> SplitChart<'_> {
            SplitChart {
                split: Split::Test,
                chart: &self.0,
                questions: &self.1,
            }
        }
    }
}
