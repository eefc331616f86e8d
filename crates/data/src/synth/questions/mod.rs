//! Questions about a recipe, from templates over RealCQA's taxonomy and its five answer types.
//!
//! Nothing is asked about what is not drawn, and every answer is exact: it is computed from the recipe in decimals.

mod structure;
mod values;

use super::dice::Dice;
use super::recipe::Recipe;
use chartbench_core::question::{AnswerType, Gold, Taxonomy};

/// One kind of question.
pub struct Template {
    /// RealCQA's `QID`.
    pub qid: &'static str,
    /// RealCQA's `taxonomy id`: its first digit is the class.
    pub taxonomy_id: &'static str,
    pub answer_type: AnswerType,
    /// How often it is asked where it can be asked, against the others.
    weight: u32,
    /// Question and answer, or nothing where the chart does not lend itself to it.
    ask: fn(&Recipe, &mut Dice) -> Option<(String, Gold)>,
}

impl Template {
    /// The class its taxonomy id begins with.
    pub fn taxonomy(&self) -> Taxonomy {
        match self.taxonomy_id.as_bytes().first() {
            Some(b'1') => Taxonomy::Root,
            Some(b'2') => Taxonomy::Structural,
            Some(b'3') => Taxonomy::Retrieval,
            _ => Taxonomy::Reasoning,
        }
    }
}

/// A question with its answer.
pub struct Asked {
    pub template: &'static Template,
    pub text: String,
    pub gold: Gold,
}

/// Asks up to `count` different questions about a chart.
pub fn ask(recipe: &Recipe, count: usize, dice: &mut Dice) -> Vec<Asked> {
    let mut possible: Vec<Asked> = structure::TEMPLATES
        .iter()
        .chain(values::TEMPLATES)
        .filter_map(|template| {
            let (text, gold) = (template.ask)(recipe, dice)?;
            Some(Asked { template, text, gold })
        })
        .collect();
    let mut asked = Vec::new();
    while asked.len() < count {
        let weights: Vec<u32> = possible.iter().map(|one| one.template.weight).collect();
        let Some(index) = dice.weighted(&weights) else { break };
        asked.push(possible.swap_remove(index));
    }
    asked
}

const fn template(
    qid: &'static str,
    taxonomy_id: &'static str,
    answer_type: AnswerType,
    weight: u32,
    ask: fn(&Recipe, &mut Dice) -> Option<(String, Gold)>,
) -> Template {
    Template { qid, taxonomy_id, answer_type, weight, ask }
}

fn yes_no(yes: bool) -> Gold {
    Gold::from(if yes { "yes" } else { "no" })
}

fn list(items: impl IntoIterator<Item = String>) -> Gold {
    Gold::List(items.into_iter().map(Gold::Text).collect())
}
