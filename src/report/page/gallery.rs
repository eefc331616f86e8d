//! The gallery's data: every question with its chart and each row's answer, as the page's script
//! reads it.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::pictures::{Picture, Pictures};
use super::rows::{Kind, Row};
use super::steps::{StepsTable, wrong_notation};
use super::text::VisibleText;
use crate::report::verdict::Verdict;
use crate::report::{Scored, SliceBy, SliceValue};
use crate::run::store::PredictionRecord;
use chartbench_score::metric::Metric;

#[derive(Debug, Serialize)]
pub(super) struct Gallery {
    metrics: Vec<&'static str>,
    rows: Vec<GalleryRow>,
    slices: Vec<GallerySlice>,
    charts: Vec<GalleryChart>,
    /// The rules of the convention, and lists of their steps; answers name a list by its place.
    steps: StepsTable,
    questions: Vec<GalleryQuestion>,
}

#[derive(Debug, Serialize)]
struct GalleryRow {
    label: VisibleText,
    kind: Kind,
}

/// A property and its values; questions name them by place.
#[derive(Debug, Serialize)]
struct GallerySlice {
    name: VisibleText,
    values: Vec<VisibleText>,
}

#[derive(Debug, Serialize)]
struct GalleryChart {
    id: VisibleText,
    picture: Picture,
}

#[derive(Debug, Serialize)]
struct GalleryQuestion {
    id: VisibleText,
    chart: usize,
    question: VisibleText,
    gold: VisibleText,
    slices: Vec<Option<usize>>,
    /// One a row; none where that row has not answered yet.
    answers: Vec<Option<GalleryAnswer>>,
}

#[derive(Debug, Serialize)]
struct GalleryAnswer {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<VisibleText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<VisibleText>,
    /// The score of each of the convention's metrics.
    scores: Vec<Option<f64>>,
    verdict: Verdict,
    /// The part of the notation that makes the answer wrong, where nothing else does.
    #[serde(skip_serializing_if = "Option::is_none")]
    notation: Option<&'static str>,
    /// How it was scored: a place in the table of steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<Change>,
}

/// The change of the first metric from the same adapter in the previous run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Change {
    Fixed,
    Broken,
}

/// The places of each row's answers by question.
type Places<'a> = Vec<HashMap<&'a str, usize>>;

impl Gallery {
    /// The questions of `only`, by their ids, or all of them.
    pub(super) fn new(
        rows: &[Row<'_>],
        pictures: &Pictures,
        only: Option<&HashSet<String>>,
    ) -> Self {
        let places: Places<'_> = rows.iter().map(|row| by_question(&row.scored)).collect();
        let mut records = every_question(rows);
        records.retain(|record| only.is_none_or(|only| only.contains(&record.id)));
        let slices = Slices::new(&records);
        let mut charts: Vec<&str> = Vec::new();
        let mut chart_indices: HashMap<&str, usize> = HashMap::new();
        let mut questions = Vec::with_capacity(records.len());
        let mut steps = StepsTable::default();
        for record in records {
            let chart = *chart_indices.entry(&record.chart).or_insert(charts.len());
            if chart == charts.len() {
                charts.push(&record.chart);
            }
            questions.push(GalleryQuestion {
                id: VisibleText::new(&record.id),
                chart,
                question: VisibleText::new(&record.question),
                gold: VisibleText::new(&record.gold.text()),
                slices: slices.indices(record),
                answers: answers(rows, &places, &record.id, &mut steps),
            });
        }
        let pictures = pictures.select(&charts, &most_telling(rows, &questions, charts.len()));
        let chart = |(id, picture): (&str, Picture)| GalleryChart {
            id: VisibleText::new(id),
            picture,
        };
        let metrics = rows
            .first()
            .map_or(&[][..], |row| row.scored.convention.metrics);
        Self {
            metrics: metrics.iter().map(|metric| metric.name()).collect(),
            rows: rows
                .iter()
                .map(|row| GalleryRow {
                    label: VisibleText::new(&row.label),
                    kind: row.kind,
                })
                .collect(),
            slices: slices.into_gallery(),
            charts: charts.into_iter().zip(pictures).map(chart).collect(),
            steps,
            questions,
        }
    }

    /// The number of charts, and of pictures in the page.
    pub(super) fn pictures(&self) -> (usize, usize) {
        let inside = self
            .charts
            .iter()
            .filter(|chart| matches!(chart.picture, Picture::Data(_)));
        (self.charts.len(), inside.count())
    }
}

fn by_question<'a>(scored: &Scored<'a>) -> HashMap<&'a str, usize> {
    scored
        .records
        .iter()
        .enumerate()
        .map(|(place, record)| (record.id.as_str(), place))
        .collect()
}

/// Every question that some row has answered, in the order of the row with the most answers; then
/// the others.
fn every_question<'a>(rows: &[Row<'a>]) -> Vec<&'a PredictionRecord> {
    let mut longest: Vec<&Row<'a>> = rows.iter().collect();
    longest.sort_by_key(|row| std::cmp::Reverse(row.scored.records.len()));
    let mut seen = HashSet::new();
    let records = longest
        .into_iter()
        .flat_map(|row| row.scored.records.iter().copied());
    records
        .filter(|record| seen.insert(record.id.as_str()))
        .collect()
}

fn answers(
    rows: &[Row<'_>],
    places: &Places<'_>,
    id: &str,
    steps: &mut StepsTable,
) -> Vec<Option<GalleryAnswer>> {
    let first = |row: usize| {
        let scored = &rows[row].scored;
        scored.value(*places[row].get(id)?, *scored.convention.metrics.first()?)
    };
    let mut answer = |row: usize| {
        let (scored, place) = (&rows[row].scored, *places[row].get(id)?);
        let record = scored.records[place];
        let own = first(row);
        let change = Row::earlier(rows, row)
            .and_then(|earlier| Some((first(earlier)?, own?)))
            .and_then(|(before, after)| {
                (before != after).then_some(if after > before {
                    Change::Fixed
                } else {
                    Change::Broken
                })
            });
        // Four digits are more than people read; all of them would be half of the page.
        let score = |&metric: &Metric| {
            scored
                .value(place, metric)
                .map(|value| (value * 1e4).round() / 1e4)
        };
        let verdict = Verdict::new(record, own);
        let is_wrong = matches!(verdict, Verdict::Wrong | Verdict::Partly);
        let pair = scored.pair(place).filter(|_| is_wrong);
        Some(GalleryAnswer {
            text: record
                .prediction
                .as_ref()
                .map(|prediction| VisibleText::new(&prediction.0)),
            error: record.failure().map(VisibleText::new),
            scores: scored.convention.metrics.iter().map(score).collect(),
            verdict,
            notation: pair.and_then(|pair| wrong_notation(&pair)),
            steps: steps.add(scored, place),
            change,
        })
    };
    (0..rows.len()).map(&mut answer).collect()
}

/// The charts with the most questions on which models disagree or changed first; their places.
fn most_telling(rows: &[Row<'_>], questions: &[GalleryQuestion], charts: usize) -> Vec<usize> {
    let mut telling = vec![0_usize; charts];
    for question in questions {
        let models = rows
            .iter()
            .zip(&question.answers)
            .filter(|(row, _)| row.kind == Kind::Model);
        let mut verdicts = models.filter_map(|(_, answer)| Some(answer.as_ref()?.verdict));
        let disagree = verdicts
            .next()
            .is_some_and(|first| verdicts.any(|other| other != first));
        let changed = question
            .answers
            .iter()
            .flatten()
            .any(|answer| answer.change.is_some());
        telling[question.chart] += usize::from(disagree || changed);
    }
    let mut places: Vec<usize> = (0..charts).collect();
    places.sort_by_key(|&chart| std::cmp::Reverse(telling[chart]));
    places
}

/// The properties that some question has a value of, with their values.
struct Slices(Vec<(SliceBy, Vec<SliceValue>)>);

impl Slices {
    fn new(records: &[&PredictionRecord]) -> Self {
        let slices = SliceBy::recorded(records.iter().copied())
            .into_iter()
            .map(|slice_by| {
                let values: std::collections::BTreeSet<SliceValue> = records
                    .iter()
                    .filter_map(|record| slice_by.key(record))
                    .collect();
                (slice_by, values.into_iter().collect::<Vec<_>>())
            });
        Self(slices.filter(|(_, values)| !values.is_empty()).collect())
    }

    /// The places of a question's values.
    fn indices(&self, record: &PredictionRecord) -> Vec<Option<usize>> {
        let place = |(slice_by, values): &(SliceBy, Vec<SliceValue>)| {
            values.binary_search(&slice_by.key(record)?).ok()
        };
        self.0.iter().map(place).collect()
    }

    fn into_gallery(self) -> Vec<GallerySlice> {
        let slice = |(slice_by, values): (SliceBy, Vec<SliceValue>)| GallerySlice {
            name: VisibleText::new(&slice_by.to_string()),
            values: values
                .iter()
                .map(|value| VisibleText::new(value.as_str()))
                .collect(),
        };
        self.0.into_iter().map(slice).collect()
    }
}
