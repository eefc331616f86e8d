//! Synthetic charts with questions: drawn from a seed, in RealCQA's types, taxonomy and layout.
//!
//! Chart `index` of a split depends on nothing but `(seed, split, index)`: a hundred charts are the first hundred
//! of a hundred thousand. The way of one chart is [`plan`] (dice to [`recipe`]), [`questions`] (recipe to questions
//! and answers), [`draw`] (recipe to SVG), [`svg`] (SVG to PNG, with the embedded fonts alone). A recipe and its
//! questions cost microseconds, so a set is always whole; pixels are made when asked for.
//!
//! Every chart's id begins with `synthetic-`, so that such data are told apart wherever they show.

mod dice;
mod draw;
mod fonts;
mod layout;
mod marks;
mod plan;
mod questions;
mod recipe;
mod scale;
mod series;
mod style;
mod svg;
mod values;
mod vocab;
mod write;

use std::sync::Arc;

use anyhow::{Context, Result};

use self::dice::{Dice, Purpose};
use self::questions::Asked;
use self::recipe::Recipe;
use super::data_series;
use chartbench_core::data_table::DataTable;
use chartbench_core::question::Split;
use chartbench_core::question::{Chart, ChartQuestions, Draw, ImageRef, Question, QuestionSet, TableRef, TableSource};

/// A synthetic data set, by its four numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synth {
    pub seed: u64,
    /// Charts of the train split.
    pub train: usize,
    /// Charts of the test split.
    pub test: usize,
    /// Questions asked about a chart, at most: there are charts that do not lend themselves to many.
    pub questions_per_chart: usize,
}

impl Synth {
    /// All questions of a split in order of chart id, the images to be drawn on demand. The set's benchmark name is
    /// `synthetic`.
    pub fn question_set(&self, split: Split) -> QuestionSet {
        let charts = (0..self.count(split)).map(|index| self.chart(split, index).into_chart_questions()).collect();
        QuestionSet { benchmark: "synthetic".to_owned(), charts }
    }

    /// How many charts a split has.
    pub fn count(&self, split: Split) -> usize {
        match split {
            Split::Train => self.train,
            Split::Test => self.test,
        }
    }

    fn chart(&self, split: Split, index: usize) -> Planned {
        let source = Source { seed: self.seed, split, index };
        let recipe = source.recipe();
        let mut dice = Dice::new(self.seed, split, index, Purpose::Questions);
        let asked = questions::ask(&recipe, self.questions_per_chart, &mut dice);
        Planned { source, recipe, asked }
    }
}

/// Where a chart comes from; draws it.
#[derive(Clone, Copy)]
struct Source {
    seed: u64,
    split: Split,
    index: usize,
}

impl Source {
    /// Ids sort as the charts are counted.
    fn id(&self) -> String {
        format!("synthetic-{}-{}-{:07}", self.seed, self.split.name(), self.index)
    }

    fn recipe(&self) -> Recipe {
        plan::plan(&mut Dice::new(self.seed, self.split, self.index, Purpose::Plan))
    }

    fn png(recipe: &Recipe) -> Result<Vec<u8>> {
        svg::to_png(&draw::draw(recipe), recipe.style.greyscale)
    }
}

impl Draw for Source {
    fn encoded(&self) -> Result<Vec<u8>> {
        Self::png(&self.recipe()).with_context(|| format!("cannot draw {}", self.id()))
    }
}

impl TableSource for Source {
    /// As the annotation in the written data set has it: without a title.
    fn table(&self) -> Result<DataTable> {
        let recipe = self.recipe();
        Ok(data_series::table(String::new(), Some(recipe.chart_type.name()), &series::of(&recipe)))
    }
}

/// A chart with its questions.
struct Planned {
    source: Source,
    recipe: Recipe,
    asked: Vec<Asked>,
}

/// A question's id within its chart, RealCQA's `qa_id`.
fn qa_id(number: usize) -> String {
    format!("q{number:02}")
}

impl Planned {
    fn into_chart_questions(self) -> ChartQuestions {
        let ids: Vec<String> =
            (0..self.asked.len()).map(|number| format!("{}/{}", self.source.id(), qa_id(number))).collect();
        let chart = Chart {
            id: self.source.id(),
            image: ImageRef::Drawn(Arc::new(self.source)),
            chart_type: Some(self.recipe.chart_type.name().to_owned()),
            table: Some(TableRef(Arc::new(self.source))),
        };
        let question = |(id, asked): (String, Asked)| Question {
            id,
            text: asked.text,
            gold: asked.gold,
            answer_type: Some(asked.template.answer_type),
            taxonomy: Some(asked.template.taxonomy()),
            template: Some(asked.template.qid.to_owned()),
            source: None,
            slices: Default::default(),
        };
        ChartQuestions { chart, questions: ids.into_iter().zip(self.asked).map(question).collect() }
    }
}

#[cfg(test)]
mod tests;
