//! Whether a data set can be trusted, before anything is measured with it: its images, its splits and its gold answers.
//!
//! One file a check; each says what it takes for a fault, and where it could err. All but those of the images work on
//! the loaded questions alone. Adding a check is one file here, its [`Kind`]s, and a line in [`DataSet::check`].

mod confirm;
mod counts;
mod envelope;
mod finding;
mod golds;
mod images;
mod prior;
mod repeats;
mod self_match;
mod text;
mod thumbnail;
mod twins;

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;

pub use counts::Count;
pub use finding::{Finding, Kind, Severity};
pub use prior::Prior;
pub use self_match::SelfMatch;

use crate::{Ask, Format, NoSplit, QuestionSetSpec, Questions};
use chartbench_core::question::{Chart, Question, QuestionSet, Split};

/// The version of the JSON form of a [`Report`].
const FORMAT: u32 = 1;

/// A data set with its splits loaded.
pub struct DataSet {
    path: PathBuf,
    layout: Format,
    train: Option<QuestionSet>,
    test: QuestionSet,
}

/// A chart with its questions and its split.
#[derive(Clone, Copy)]
struct Entry<'a> {
    split: Split,
    chart: &'a Chart,
    questions: &'a [Question],
}

/// What the checks say of a data set.
#[derive(Debug, Serialize)]
pub struct Report {
    pub format: u32,
    /// The data set, as it was named.
    pub path: String,
    /// As what layout it was read.
    pub layout: Option<&'static str>,
    /// Whether there is no finding of [`Severity::Error`].
    pub usable: bool,
    /// Whether the images were looked at.
    pub images_checked: bool,
    pub counts: Vec<Count>,
    pub prior: Prior,
    pub self_match: Vec<SelfMatch>,
    /// Ordered by kind, those of one kind as the data set is.
    pub findings: Vec<Finding>,
}

impl DataSet {
    /// Loads what lies at `path`: both splits, the train split where there is one. The layout is `layout`, or told by
    /// the names of the files. Images and tables outside its folder are read where `allow_outside` says so.
    ///
    /// # Errors
    /// No known layout, or files that cannot be read as that layout.
    pub fn load(path: &Path, layout: Option<Format>, allow_outside: bool) -> Result<Self> {
        let layout = layout.map_or_else(|| crate::detect(path), Ok)?;
        let spec = QuestionSetSpec {
            name: "data".to_owned(),
            format: layout.clone(),
            ask: Ask::Questions,
            questions: Questions::All,
            hash: None,
            allow_outside,
        };
        let test = crate::load(&spec, Some(path), Split::Test)?;
        let train = match crate::load(&spec, Some(path), Split::Train) {
            Ok(train) => Some(train),
            Err(error) if error.downcast_ref::<NoSplit>().is_some() => None,
            Err(error) => return Err(error),
        };
        Ok(Self { path: path.to_owned(), layout, train, test })
    }

    /// How many charts there are in both splits.
    pub fn charts(&self) -> usize {
        self.entries().len()
    }

    /// Runs all checks. `images` is called once a chart whose image was looked at; without it no image is opened.
    pub fn check(&self, images: Option<&(dyn Fn() + Sync)>) -> Report {
        let entries = self.entries();
        let mut findings = Vec::new();
        let seen = images.map(|progress| images::look(&entries, progress, &mut findings));
        findings.extend(twins::check(&self.layout, &entries, seen.as_deref().unwrap_or_default()));
        findings.extend(repeats::check(&entries));
        findings.extend(golds::check(&entries));
        let (self_match, unmatchable) = self_match::check(&entries);
        findings.extend(unmatchable);
        let (prior, given_away) = prior::check(&entries);
        findings.extend(given_away);
        findings.sort_by_key(|finding| finding.kind);
        Report {
            format: FORMAT,
            path: self.path.display().to_string(),
            layout: crate::layout_name(&self.layout),
            usable: findings.iter().all(|finding| finding.severity != Severity::Error),
            images_checked: images.is_some(),
            counts: counts::count(&entries),
            prior,
            self_match,
            findings,
        }
    }

    /// All charts, those of the train split first.
    fn entries(&self) -> Vec<Entry<'_>> {
        let splits = self.train.iter().map(|set| (Split::Train, set)).chain([(Split::Test, &self.test)]);
        splits
            .flat_map(|(split, set)| {
                set.charts.iter().map(move |entry| Entry { split, chart: &entry.chart, questions: &entry.questions })
            })
            .collect()
    }
}

impl Report {
    /// Everything, as JSON.
    ///
    /// # Errors
    /// None in practice: plain text and numbers always write as JSON.
    pub fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

#[cfg(test)]
mod testing {
    use super::*;
    use chartbench_core::question::ImageRef;

    /// A test chart about which one question is asked for each of some golds.
    pub struct Asked(Chart, Vec<Question>);

    impl Asked {
        pub fn of(golds: &[&str], text: &str) -> Self {
            let question = |(number, gold): (usize, &&str)| Question {
                id: number.to_string(),
                text: text.to_owned(),
                gold: (*gold).into(),
                answer_type: None,
                taxonomy: None,
                template: None,
                source: None,
                slices: Default::default(),
            };
            let chart =
                Chart { id: "c".to_owned(), image: ImageRef::File("c.png".into()), chart_type: None, table: None };
            Self(chart, golds.iter().enumerate().map(question).collect())
        }

        pub fn entry(&self) -> Entry<'_> {
            Entry { split: Split::Test, chart: &self.0, questions: &self.1 }
        }
    }
}
