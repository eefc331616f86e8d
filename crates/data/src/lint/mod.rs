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
mod separation;
mod text;
mod text_leakage;
mod thumbnail;

use std::path::Path;

use anyhow::Result;
use serde::Serialize;

pub use content_hash::TestContent;
pub use counts::Count;
pub use finding::{Finding, FindingKind, Severity};
pub use gold_self_score::GoldSelfScore;
pub use separation::Separation;
pub use text_leakage::TextLeakage;

use separation::{DrawnCharts, TableKey};

use crate::{Ask, Format, MissingSplit, QuestionSetSpec, Questions, SplitFiles};
use chartbench_core::question::{Chart, ChartQuestions, Question, QuestionSet, Split};

/// The version of the JSON form of a [`LintReport`].
const FORMAT: u32 = 1;

/// A data set with its splits loaded.
pub struct DataSet {
    /// The path of the files, or the name of a benchmark that draws its charts.
    path: String,
    format: Format,
    train: Option<QuestionSet>,
    test: QuestionSet,
    /// Charts of other benchmarks that this one's are to be apart from.
    others: Vec<DrawnCharts>,
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
    /// The path of the data set, as the user gave it, or the name of a benchmark that draws its
    /// charts.
    pub path: String,
    /// The name of the format in which it was read; `None` for drawn charts.
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
    /// Whether train and test charts are apart, also those of other benchmarks; empty unless the
    /// charts are drawn.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub separation: Vec<Separation>,
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
        let name = path.display().to_string();
        Self::read(Some(path), name, &with_all_questions(benchmark))
    }

    /// Draws the charts of a benchmark that draws its own, with all questions of both splits; they are
    /// to be apart from those of `others`, as far as these draw theirs, too.
    ///
    /// # Errors
    /// Returns an error if this build draws no charts.
    pub fn draw(benchmark: QuestionSetSpec, others: &[QuestionSetSpec]) -> Result<Self> {
        let spec = with_all_questions(benchmark);
        let others = separation::draw_others(&spec, others)?;
        Ok(Self {
            others,
            ..Self::read(None, spec.name.clone(), &spec)?
        })
    }

    fn read(data: Option<&Path>, path: String, spec: &QuestionSetSpec) -> Result<Self> {
        let format = spec.format_at(data);
        let (test, mut notes) = crate::load_with_notes(spec, data, Split::Test)?;
        let train = match crate::load_with_notes(spec, data, Split::Train) {
            Ok((train, lines)) => {
                let new = lines.into_iter().map(|line| format!("train: {line}"));
                notes.extend(new);
                Some(train)
            }
            Err(error) if error.downcast_ref::<MissingSplit>().is_some() => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            path,
            format,
            train,
            test,
            others: Vec::new(),
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
        let tables = separation::table_keys(&self.format, &split_charts);
        let mut findings = Vec::new();
        let decoded =
            images.map(|progress| images::digest_images(&split_charts, progress, &mut findings));
        findings.extend(duplicate_charts::check(
            &self.format,
            &split_charts,
            decoded
                .as_ref()
                .map_or(&[][..], |decoded| decoded.digests.as_slice()),
            &tables,
        ));
        let separation =
            self.check_separation(&split_charts, &tables, images.is_some(), &mut findings);
        findings.extend(duplicate_questions::check(&split_charts));
        findings.extend(golds::check(&split_charts));
        let (self_match, unmatchable) = gold_self_score::check(&split_charts);
        findings.extend(unmatchable);
        let (prior, given_away) = text_leakage::check(&split_charts);
        findings.extend(given_away);
        findings.sort_by_key(|finding| finding.kind);
        LintReport {
            format: FORMAT,
            path: self.path.clone(),
            layout: crate::format_name(&self.format),
            usable: findings
                .iter()
                .all(|finding| finding.severity != Severity::Error),
            images_checked: images.is_some(),
            counts: counts::count(&split_charts),
            content: decoded.map(|decoded| TestContent::new(&split_charts, &decoded.pixels)),
            prior,
            self_match,
            separation,
            findings,
            notes: self.notes.clone(),
        }
    }

    /// Whether drawn train and test charts are apart. `findings` has what is shared within the
    /// data set, and gets what is shared with others.
    fn check_separation(
        &self,
        split_charts: &[SplitChart<'_>],
        tables: &[Option<TableKey>],
        images: bool,
        findings: &mut Vec<Finding>,
    ) -> Vec<Separation> {
        let Format::Synth { seed, .. } = self.format else {
            return Vec::new();
        };
        let shared = findings
            .iter()
            .filter(|finding| finding.kind == FindingKind::ChartInTrainAndTest);
        let own = separation::own(self.path.clone(), seed, shared.count(), images);
        let others = self.others.iter().map(|other| {
            let shared = separation::shared_charts(split_charts, tables, other);
            let separation = separation::from_other(other, shared.len());
            findings.extend(shared);
            separation
        });
        std::iter::once(own).chain(others).collect()
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

/// The benchmark with every question of its data set.
fn with_all_questions(benchmark: QuestionSetSpec) -> QuestionSetSpec {
    QuestionSetSpec {
        ask: Ask::Questions,
        questions: Questions::All,
        listed: None,
        hash: None,
        ..benchmark
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
