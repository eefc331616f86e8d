//! What a file says about how its predictions were made.

/// Longest prompt that is kept, in bytes: a text with examples of its own for each question is none
/// to compare runs by.
const MAX_PROMPT: usize = 1 << 16;
/// Stands for the question in a prompt.
const QUESTION: &str = "{question}";

/// What a file says about how its predictions were made; `None` where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// The program that asked the model, e.g. `lmms-eval`.
    pub harness: Option<String>,
    /// That program's version.
    pub harness_version: Option<String>,
    /// The model, as that program calls it.
    pub model: Option<String>,
    /// The questions, as that program calls them.
    pub task: Option<String>,
    /// The prompt; `{question}` stands for the question.
    pub prompt: Option<String>,
    /// The parameters of the generation, in JSON.
    pub generation: Option<String>,
}

impl Provenance {
    /// The parts that the file has, by name.
    pub fn settings(&self) -> Vec<(String, String)> {
        let parts = [
            ("harness", &self.harness),
            ("harness_version", &self.harness_version),
            ("model", &self.model),
            ("task", &self.task),
            ("prompt", &self.prompt),
            ("generation", &self.generation),
        ];
        parts
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
            .collect()
    }
}

/// The prompt that the rows of a file have in common, with the question's place in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum PromptTemplate {
    /// No row was seen.
    #[default]
    Unseen,
    /// Every row so far has this prompt.
    Common(String),
    /// The rows have no prompt, or no common one.
    None,
}

impl PromptTemplate {
    /// Adds the prompt of a row.
    pub(super) fn add(&mut self, prompt: Option<&str>, question: Option<&str>) {
        let template = prompt
            .zip(
                question
                    .map(str::trim)
                    .filter(|question| !question.is_empty()),
            )
            .filter(|(prompt, question)| prompt.len() <= MAX_PROMPT && prompt.contains(question))
            .map(|(prompt, question)| prompt.replacen(question, QUESTION, 1));
        *self = match (std::mem::take(self), template) {
            (Self::Unseen, Some(template)) => Self::Common(template),
            (Self::Common(common), Some(template)) if common == template => Self::Common(common),
            _ => Self::None,
        };
    }

    /// The prompt, if all rows have it.
    pub(super) fn into_text(self) -> Option<String> {
        match self {
            Self::Common(template) => Some(template),
            Self::Unseen | Self::None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_the_text_around_the_questions() {
        let mut template = PromptTemplate::default();
        template.add(Some("How many?\nBe brief."), Some("How many?"));
        template.add(Some("Which?\nBe brief."), Some(" Which? "));
        assert_eq!(template.into_text().unwrap(), "{question}\nBe brief.");
        let mut template = PromptTemplate::default();
        template.add(Some("How many?\nBe brief."), Some("How many?"));
        template.add(Some("Which?"), Some("Which?"));
        assert_eq!(template, PromptTemplate::None);
    }
}
