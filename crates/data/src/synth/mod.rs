//! Draws synthetic charts with questions from a seed, in RealCQA's chart types, taxonomy and
//! layout.
//!
//! Chart `index` of a split depends on `(seed, split, index)` alone: a hundred charts are the first
//! hundred of a hundred thousand. [`plan`] draws the [`recipe`] of a chart, [`questions`] derives
//! questions and answers from it, [`render`] writes it as SVG, and [`svg`] turns that into PNG with
//! the embedded fonts alone. A recipe and its questions take microseconds, so that a set is always
//! complete in memory; images are drawn on demand.
//!
//! The id of every chart begins with `synthetic-`, so that such data are recognised everywhere.

mod fonts;
mod layout;
mod marks;
mod plan;
mod questions;
mod recipe;
mod render;
mod scale;
mod style;
mod svg;
mod values;
mod vocab;
mod write;

use std::sync::Arc;

use anyhow::{Context, Result};

use self::questions::DrawnQuestion;
use self::recipe::Recipe;
use super::data_series;
use chartbench_core::data_table::DataTable;
use chartbench_core::question::Split;
use chartbench_core::question::{
    Chart, ChartQuestions, ImageProducer, ImageRef, Question, QuestionSet, TableRef, TableSource,
};
use chartbench_core::seeded_draw::SeededRng;

/// The four numbers that define a synthetic data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synth {
    /// The seed from which charts and questions are drawn; it is part of the chart ids.
    pub seed: u64,
    /// Charts of the train split.
    pub train: usize,
    /// Charts of the test split.
    pub test: usize,
    /// The most questions about a chart; some charts allow fewer.
    pub questions_per_chart: usize,
}

impl Synth {
    /// All questions of a split in order of chart id. Images are drawn on demand. The benchmark's
    /// name is `synthetic`.
    pub fn question_set(&self, split: Split) -> QuestionSet {
        let charts = (0..self.count(split))
            .map(|index| self.chart(split, index).into_chart_questions())
            .collect();
        QuestionSet {
            benchmark: "synthetic".to_owned(),
            charts,
        }
    }

    /// The number of charts of a split.
    pub fn count(&self, split: Split) -> usize {
        match split {
            Split::Train => self.train,
            Split::Test => self.test,
        }
    }

    fn chart(&self, split: Split, index: usize) -> PlannedChart {
        let source = ChartSource {
            seed: self.seed,
            split,
            index,
        };
        let recipe = source.recipe();
        let mut rng = source.rng(Purpose::Questions);
        let questions = questions::draw_questions(&recipe, self.questions_per_chart, &mut rng);
        PlannedChart {
            source,
            recipe,
            questions,
        }
    }
}

/// The purpose of a generator, so that changing the questions leaves the images as they are.
#[derive(Clone, Copy)]
enum Purpose {
    Plan,
    Questions,
}

/// The numbers that define one chart.
#[derive(Clone, Copy)]
struct ChartSource {
    seed: u64,
    split: Split,
    index: usize,
}

impl ChartSource {
    /// The chart's id. Ids sort in the order of the charts.
    fn id(&self) -> String {
        format!(
            "synthetic-{}-{}-{:07}",
            self.seed,
            self.split.name(),
            self.index
        )
    }

    fn recipe(&self) -> Recipe {
        plan::plan(&mut self.rng(Purpose::Plan))
    }

    /// The chart's own generator, so that no chart depends on the number of charts.
    fn rng(&self, purpose: Purpose) -> SeededRng {
        let purpose = match purpose {
            Purpose::Plan => "plan",
            Purpose::Questions => "questions",
        };
        let Self { seed, split, index } = self;
        SeededRng::from_name(&format!(
            "chartbench synth 1/{seed}/{}/{index}/{purpose}",
            split.name()
        ))
    }

    fn png(recipe: &Recipe) -> Result<Vec<u8>> {
        svg::to_png(&render::render_svg(recipe), recipe.style.greyscale)
    }
}

impl ImageProducer for ChartSource {
    fn encoded(&self) -> Result<Vec<u8>> {
        Self::png(&self.recipe()).with_context(|| format!("cannot draw {}", self.id()))
    }
}

impl TableSource for ChartSource {
    /// The table of the annotation in the written data set: without a title.
    fn table(&self) -> Result<DataTable> {
        let recipe = self.recipe();
        Ok(data_series::to_table(
            String::new(),
            Some(recipe.chart_type.name()),
            &recipe.data_series(),
        ))
    }
}

/// A chart with its questions.
struct PlannedChart {
    source: ChartSource,
    recipe: Recipe,
    questions: Vec<DrawnQuestion>,
}

/// A question's id within its chart, RealCQA's `qa_id`.
fn qa_id(number: usize) -> String {
    format!("q{number:02}")
}

impl PlannedChart {
    fn into_chart_questions(self) -> ChartQuestions {
        let ids: Vec<String> = (0..self.questions.len())
            .map(|number| format!("{}/{}", self.source.id(), qa_id(number)))
            .collect();
        let chart = Chart {
            id: self.source.id(),
            image: ImageRef::Drawn(Arc::new(self.source)),
            chart_type: Some(self.recipe.chart_type.name().to_owned()),
            table: Some(TableRef(Arc::new(self.source))),
        };
        let mut questions = Vec::with_capacity(ids.len());
        for (
            id,
            DrawnQuestion {
                template,
                text,
                gold,
            },
        ) in ids.into_iter().zip(self.questions)
        {
            questions.push(Question {
                id,
                text,
                gold,
                answer_type: Some(template.answer_type),
                taxonomy: Some(template.taxonomy()),
                template: Some(template.qid.to_owned()),
                source: None,
                slices: Default::default(),
                context: None,
            });
        }
        ChartQuestions { chart, questions }
    }
}

#[cfg(test)]
mod tests;
