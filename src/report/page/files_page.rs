//! The page of files of predictions: every convention with intervals, the best constant answer, and
//! what changes places between conventions and why. No run and no model stands behind it.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::conventions::has_moved;
use super::html;
use super::table_view::TableView;
use crate::report::matrix::{Matrix, score_name};
use crate::report::scored::numbered;
use crate::report::table::{Cell, Table};
use crate::report::{AnswerFile, CONFIDENCE, NamedPair, Sensitivity, estimates, score_all};
use chartbench_core::question::Prediction;
use chartbench_core::terminal::shorten;
use chartbench_score::metric::{Convention, Counterpart, Metric, Pair, Summary};
use chartbench_score::stats::{ChartSums, Interval, SignFlips};

/// How many of the most frequent gold answers are tried as the answer to every question.
const CANDIDATES: usize = 10;

/// The answers of one file.
#[derive(Clone, Debug)]
pub struct FileAnswers<'a> {
    /// The file's name.
    pub name: String,
    /// Each answer, with the chart that its question is about.
    pub answers: Vec<(NamedPair<'a>, &'a str)>,
    /// A sentence each on what could not be read or matched.
    pub problems: &'a [String],
}

/// The content of the page.
#[derive(Clone, Debug)]
pub struct FilesPage<'a> {
    /// All on the same questions.
    pub files: Vec<FileAnswers<'a>>,
    /// Whether the files tell the charts.
    pub has_charts: bool,
    /// The conventions that are shown.
    pub conventions: Vec<&'static Convention>,
    /// The one that the others are compared with.
    pub reference: &'static Convention,
}

#[derive(Debug, Serialize)]
struct View {
    title: String,
    version: &'static str,
    questions: usize,
    /// `None` where the files do not tell the charts.
    charts: Option<usize>,
    confidence: u32,
    candidates: usize,
    reference: String,
    reference_convention: &'static str,
    verdict: Vec<String>,
    /// The files, then the constant answer.
    names: Vec<String>,
    scores: Vec<ScoreRow>,
    flips: TableView,
    differences: TableView,
    sensitivity: Vec<TableView>,
    problems: Vec<String>,
}

/// One convention's metric.
#[derive(Debug, Serialize)]
struct ScoreRow {
    name: String,
    /// Whether the score is of the reference.
    own: bool,
    cells: Vec<ScoreCell>,
    /// The best constant answer under this score.
    constant: String,
}

#[derive(Debug, Serialize)]
struct ScoreCell {
    text: String,
    interval: Option<String>,
    place: Option<usize>,
    moved: bool,
}

impl FilesPage<'_> {
    /// The page's HTML: the same bytes for the same input.
    ///
    /// # Errors
    /// Returns an error if the files are on different questions, or have none.
    pub fn render(&self) -> Result<String> {
        html::render_files(&self.view()?)
    }

    fn view(&self) -> Result<View> {
        let first = self.first()?;
        let constants = Constants::new(first, &self.conventions);
        let metric = leading(self.reference);
        let constant = constants
            .best(self.reference, metric)
            .map(|(answer, _)| answer)
            .context("no gold answer to give always")?;
        let mut files = self.files.clone();
        files.push(FileAnswers {
            name: format!("always `{}`", shorten(&constant.0)),
            answers: with_answer(first, constant),
            problems: &[],
        });
        let estimates: Vec<Vec<Estimate>> = files
            .iter()
            .map(|file| {
                estimates(
                    &file.answers,
                    |(named, _)| named.pair,
                    |(_, chart)| *chart,
                    &self.conventions,
                )
            })
            .collect();
        let entries: Vec<AnswerFile<'_>> = files
            .iter()
            .map(|file| (file.name.clone(), pairs(file)))
            .collect();
        let matrix = Matrix::new(&entries, self.reference);
        let [_, flips, differences] = matrix.tables();
        let (own, _) = entries.split_at(self.files.len());
        let charts = numbered(first.answers.iter().map(|(_, chart)| *chart)).len();
        Ok(View {
            title: names(&self.files).join(", "),
            version: env!("CARGO_PKG_VERSION"),
            questions: first.answers.len(),
            charts: self.has_charts.then_some(charts),
            confidence: (100.0 * CONFIDENCE).round() as u32,
            candidates: CANDIDATES,
            reference: score_name(self.reference, metric),
            reference_convention: self.reference.name,
            verdict: verdict(&files, self.reference, metric),
            names: names(&files),
            scores: self.scores(&estimates, &constants),
            flips: TableView::new(flips, 0, |_| true),
            differences: TableView::new(&by_questions(differences), 0, |row| {
                own.iter()
                    .any(|(name, _)| row.first() == Some(&Cell::text(name)))
            }),
            sensitivity: Sensitivity::new(own)
                .tables()
                .map(|table| TableView::new(table, 0, |_| true))
                .into(),
            problems: self.problems(),
        })
    }

    /// The first file.
    ///
    /// # Errors
    /// Returns an error if there is none, it has no answers, or another file has other questions.
    fn first(&self) -> Result<&FileAnswers<'_>> {
        let first = self.files.first().context("no file to score")?;
        let asked = |file: &FileAnswers<'_>| -> Vec<(String, String)> {
            let questions = file.answers.iter();
            questions
                .map(|(named, _)| (named.id.to_owned(), named.pair.gold.text().into_owned()))
                .collect()
        };
        ensure!(!first.answers.is_empty(), "{}: no answers", first.name);
        let questions = asked(first);
        for file in self.files.iter().skip(1) {
            ensure!(
                asked(file) == questions,
                "--report shows files on the same questions: {} and {} have other ids or gold answers",
                first.name,
                file.name
            );
        }
        Ok(first)
    }

    fn problems(&self) -> Vec<String> {
        let lines = |file: &FileAnswers<'_>| -> Vec<String> {
            let named = |problem: &String| format!("{}: {problem}", file.name);
            file.problems.iter().map(named).collect()
        };
        self.files.iter().flat_map(lines).collect()
    }

    /// A row for each metric of each convention that has a rule for the questions.
    fn scores(&self, files: &[Vec<Estimate>], constants: &Constants) -> Vec<ScoreRow> {
        let own = self
            .conventions
            .iter()
            .position(|convention| *convention == self.reference);
        let means = |index: usize, metric: Metric| -> Vec<Option<f64>> {
            let file = |file: &Vec<Estimate>| file.get(index)?.0.mean(metric);
            files.iter().map(file).collect()
        };
        let base = own.map_or_else(
            || vec![None; files.len()],
            |own| means(own, leading(self.reference)),
        );
        let mut rows = Vec::new();
        for (index, convention) in self.conventions.iter().enumerate() {
            for (statistic, &metric) in convention.metrics.iter().enumerate() {
                let values = means(index, metric);
                if values.iter().all(Option::is_none) {
                    continue;
                }
                let intervals = files.iter().map(|file| {
                    let (_, intervals) = file.get(index)?;
                    *intervals.get(statistic)?
                });
                let cells = values
                    .iter()
                    .zip(intervals)
                    .zip(places(&values))
                    .enumerate();
                rows.push(ScoreRow {
                    name: score_name(convention, metric),
                    own: *convention == self.reference,
                    cells: cells
                        .map(|(file, ((value, interval), place))| ScoreCell {
                            text: value
                                .map_or_else(|| "-".to_owned(), |value| format!("{value:.2}")),
                            interval: interval.map(|interval| brackets(&interval)),
                            moved: has_moved(&values, &base, file),
                            place,
                        })
                        .collect(),
                    constant: constants
                        .best(convention, metric)
                        .map(|(answer, mean)| format!("{mean:.2}: `{}`", shorten(&answer.0)))
                        .unwrap_or_default(),
                });
            }
        }
        rows
    }
}

/// A convention's means, and the interval of each.
type Estimate = (Summary, Vec<Option<Interval>>);

/// The most frequent gold answers as the answer to every question, under every convention.
struct Constants {
    /// The most frequent first.
    answers: Vec<Prediction>,
    conventions: Vec<&'static Convention>,
    /// The scores of each answer, in the order of the conventions.
    summaries: Vec<Vec<Summary>>,
}

impl Constants {
    fn new(file: &FileAnswers<'_>, conventions: &[&'static Convention]) -> Self {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for (named, _) in &file.answers {
            *counts
                .entry(named.pair.gold.text().into_owned())
                .or_default() += 1;
        }
        let mut golds: Vec<(String, usize)> = counts.into_iter().collect();
        golds.sort_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.cmp(b)));
        let golds = golds.into_iter().take(CANDIDATES);
        let answers: Vec<Prediction> = golds.map(|(gold, _)| Prediction(gold)).collect();
        let summaries = answers
            .iter()
            .map(|answer| {
                score_all(
                    &file.answers,
                    |(named, _)| answered(named, answer).pair,
                    conventions,
                )
            })
            .collect();
        Self {
            answers,
            conventions: conventions.to_vec(),
            summaries,
        }
    }

    /// The answer with the highest mean, in percent; of equal ones the most frequent.
    fn best(&self, convention: &Convention, metric: Metric) -> Option<(&Prediction, f64)> {
        let index = self
            .conventions
            .iter()
            .position(|listed| *listed == convention)?;
        let mut best: Option<(&Prediction, f64)> = None;
        for (answer, summaries) in self.answers.iter().zip(&self.summaries) {
            let mean = summaries
                .get(index)
                .and_then(|summary| summary.mean(metric));
            if let Some(mean) = mean
                && best.is_none_or(|(_, highest)| mean > highest)
            {
                best = Some((answer, mean));
            }
        }
        best
    }
}

/// A question with `answer` in the place of its prediction.
fn answered<'a>(named: &NamedPair<'a>, answer: &'a Prediction) -> NamedPair<'a> {
    NamedPair {
        id: named.id,
        pair: Pair {
            prediction: Some(answer),
            counterpart: named.pair.counterpart.map(|_| Counterpart {
                prediction: Some(answer),
            }),
            ..named.pair
        },
    }
}

fn with_answer<'a>(
    file: &FileAnswers<'a>,
    answer: &'a Prediction,
) -> Vec<(NamedPair<'a>, &'a str)> {
    file.answers
        .iter()
        .map(|(named, chart)| (answered(named, answer), *chart))
        .collect()
}

fn pairs<'a>(file: &FileAnswers<'a>) -> Vec<NamedPair<'a>> {
    file.answers.iter().map(|(named, _)| *named).collect()
}

fn names(files: &[FileAnswers<'_>]) -> Vec<String> {
    files.iter().map(|file| file.name.clone()).collect()
}

/// The metric that stands for a convention.
fn leading(convention: &Convention) -> Metric {
    let relaxed = Metric::RelaxedAccuracy;
    if convention.metrics.contains(&relaxed) {
        relaxed
    } else {
        convention.metrics.first().copied().unwrap_or(relaxed)
    }
}

/// Each file against the constant answer, which is the last of `files`, and later files against the
/// first.
fn verdict(files: &[FileAnswers<'_>], reference: &Convention, metric: Metric) -> Vec<String> {
    let Some((constant, files)) = files.split_last() else {
        return Vec::new();
    };
    let against_constant = files
        .iter()
        .map(|file| sentence(file, constant, reference, metric));
    let against_first = files.iter().skip(1).zip(files.first().into_iter().cycle());
    let against_first = against_first.map(|(file, first)| sentence(file, first, reference, metric));
    against_constant.chain(against_first).flatten().collect()
}

/// Which of two files is better, by how much, and whether that is more than chance; `None` where
/// the metric applies to no question.
fn sentence(
    file: &FileAnswers<'_>,
    other: &FileAnswers<'_>,
    reference: &Convention,
    metric: Metric,
) -> Option<String> {
    let numbers = numbered(file.answers.iter().map(|(_, chart)| *chart));
    let mut charts = ChartSums::new(numbers.len(), 1);
    let (mut questions, mut sums) = (0_usize, [0.0; 2]);
    for ((named, chart), (against, _)) in file.answers.iter().zip(&other.answers) {
        let value = |named: &NamedPair<'_>| reference.score(&named.pair).get(metric).counted();
        if let (Some(own), Some(other)) = (value(named), value(against))
            && let Some(&chart) = numbers.get(chart)
        {
            charts.add(chart, 0, 100.0 * (own - other));
            questions += 1;
            sums = [sums[0] + own, sums[1] + other];
        }
    }
    if questions == 0 {
        return None;
    }
    let [own, others] = sums.map(|sum| 100.0 * sum / questions as f64);
    let test = SignFlips::default().test(&charts).into_iter().next()?;
    let interval = test.interval(CONFIDENCE);
    let difference = own - others;
    let conclusion = match interval {
        Some(interval) if interval.low > 0.0 => "is better than",
        Some(interval) if interval.high < 0.0 => "is worse than",
        _ => "cannot be told apart from",
    };
    let interval = interval.map_or_else(
        || "no interval: too few charts differ".to_owned(),
        |interval| brackets(&interval),
    );
    Some(format!(
        "{} {conclusion} {}: {own:.2} to {others:.2}, a difference of {difference:+.2} points ({interval}).",
        file.name, other.name
    ))
}

fn brackets(interval: &Interval) -> String {
    format!("{:.2} to {:.2}", interval.low, interval.high)
}

/// Each value's place, 1 the highest; equal values share theirs.
fn places(values: &[Option<f64>]) -> Vec<Option<usize>> {
    let higher = |own: f64| {
        values
            .iter()
            .flatten()
            .filter(|other| **other > own)
            .count()
    };
    values
        .iter()
        .map(|own| own.map(|own| 1 + higher(own)))
        .collect()
}

/// The table of differences, most questions first.
fn by_questions(differences: &Table) -> Table {
    let questions = |row: &Vec<Cell>| match row.get(3) {
        Some(Cell::Integer(count)) => *count,
        _ => 0,
    };
    let mut sorted = differences.clone();
    sorted
        .rows
        .sort_by_key(|row| std::cmp::Reverse(questions(row)));
    sorted
}
