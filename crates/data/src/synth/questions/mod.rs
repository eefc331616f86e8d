//! Questions about a recipe, from templates over RealCQA's taxonomy and its five answer types.
//!
//! Questions concern only what is drawn, and every answer is exact: it is computed from the recipe
//! in decimals.

mod structure;
mod values;

use super::recipe::Recipe;
use chartbench_core::question::{AnswerType, Gold, Taxonomy};
use chartbench_core::seeded_draw::SeededRng;

/// One kind of question.
pub(super) struct Template {
    /// RealCQA's `QID`.
    pub qid: &'static str,
    /// RealCQA's `taxonomy id`: its first digit is the class.
    pub taxonomy_id: &'static str,
    pub answer_type: AnswerType,
    /// The relative frequency of the template among those that apply.
    weight: u32,
    /// Question and answer; `None` if the template does not apply to the chart.
    ask: fn(&Recipe, &mut SeededRng) -> Option<(String, Gold)>,
}

impl Template {
    /// The class named by the first digit of the taxonomy id.
    pub(super) fn taxonomy(&self) -> Taxonomy {
        match self.taxonomy_id.as_bytes().first() {
            Some(b'1') => Taxonomy::Root,
            Some(b'2') => Taxonomy::Structural,
            Some(b'3') => Taxonomy::Retrieval,
            _ => Taxonomy::Reasoning,
        }
    }
}

/// A question with its answer.
pub(super) struct DrawnQuestion {
    pub template: &'static Template,
    pub text: String,
    pub gold: Gold,
}

/// Draws up to `count` different questions about a chart.
pub(super) fn draw_questions(
    recipe: &Recipe,
    count: usize,
    rng: &mut SeededRng,
) -> Vec<DrawnQuestion> {
    let mut possible: Vec<DrawnQuestion> = structure::TEMPLATES
        .iter()
        .chain(values::TEMPLATES)
        .filter_map(|template| {
            let (text, gold) = (template.ask)(recipe, rng)?;
            Some(DrawnQuestion {
                template,
                text,
                gold,
            })
        })
        .collect();
    let mut drawn = Vec::new();
    while drawn.len() < count {
        let weights: Vec<u32> = possible
            .iter()
            .map(|question| question.template.weight)
            .collect();
        let Some(index) = rng.weighted(&weights) else {
            break;
        };
        drawn.push(possible.swap_remove(index));
    }
    drawn
}

const fn template(
    qid: &'static str,
    taxonomy_id: &'static str,
    answer_type: AnswerType,
    weight: u32,
    ask: fn(&Recipe, &mut SeededRng) -> Option<(String, Gold)>,
) -> Template {
    Template {
        qid,
        taxonomy_id,
        answer_type,
        weight,
        ask,
    }
}

fn yes_no(yes: bool) -> Gold {
    Gold::from(if yes { "yes" } else { "no" })
}

fn list(items: impl IntoIterator<Item = String>) -> Gold {
    Gold::List(items.into_iter().map(Gold::Text).collect())
}
