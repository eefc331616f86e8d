//! `prompts/*.toml`: the words in which a question is put to a model, each file under a name. A
//! published harness's words are data here, to the byte.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use include_dir::include_dir;
use serde::{Deserialize, Serialize};

use super::embedded::{EmbeddedFiles, parse};
use chartbench_core::input::{self, MAX_SETTINGS_BYTES};

static EMBEDDED: EmbeddedFiles = EmbeddedFiles {
    kind: "prompt",
    folder: "prompts",
    files: include_dir!("$CARGO_MANIFEST_DIR/prompts"),
};

/// The question's place in a text.
const QUESTION: &str = "{question}";
/// The place of a chart's table in a text.
const TABLE: &str = "{table}";

/// How a question is put to a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PromptSpec {
    /// The file's name without `.toml`.
    #[serde(skip)]
    pub name: String,
    /// What it is, for a line of `chartbench list`.
    #[serde(skip)]
    pub title: String,
    /// The file or page that it is from.
    #[serde(skip)]
    pub source: String,
    /// How a conversation's earlier turns are shown.
    pub history: HistoryForm,
    /// Whose answers the earlier turns have.
    pub answers: HistoryAnswers,
    /// The words where a table takes the chart's place; `None` if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The words by kind of question: the first case that fits counts.
    pub ask: Vec<PromptCase>,
}

/// How a conversation's earlier turns are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HistoryForm {
    /// As a text in the place of `{history}`.
    #[default]
    Text,
    /// As messages of the user and the assistant.
    Turns,
}

/// Whose answers the earlier turns of a conversation have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HistoryAnswers {
    /// The right ones, by the data set.
    #[default]
    Gold,
    /// The model's own, which is asked each turn.
    Own,
}

/// The words of one kind of question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptCase {
    /// The benchmarks it is for; empty: those that no other case names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub benchmarks: Vec<String>,
    /// The values of `Question Type` it is for; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub question_types: Vec<String>,
    /// Whether the question has earlier turns; `None`: either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<bool>,
    /// The system message; `None` sends none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// What `{paragraph}` becomes where there is a paragraph, which is stripped then; the
    /// paragraph as it is where this is `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paragraph: Option<String>,
    /// What each earlier turn adds to `{history}`; `None`: the list of questions and answers as
    /// Python prints it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<String>,
    /// Whether white space around questions and answers is stripped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strip: bool,
    /// The text beside the chart.
    pub text: TextParts,
    /// The text of a later turn of a chat; the question where it is `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A text, or several that are sent as parts of their own; empty ones are not sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "must be a text or a list of texts")]
pub enum TextParts {
    /// One part.
    One(String),
    /// Several parts.
    Several(Vec<String>),
}

impl TextParts {
    /// The texts in order.
    pub fn parts(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Several(texts) => texts,
        }
    }
}

/// The file as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    title: String,
    source: String,
    base: Option<String>,
    history: Option<HistoryForm>,
    answers: Option<HistoryAnswers>,
    table: Option<String>,
    #[serde(default)]
    ask: Vec<PromptCase>,
}

impl PromptSpec {
    /// The names of the prompts in the program, sorted.
    pub fn embedded_names() -> Vec<&'static str> {
        EMBEDDED.names()
    }

    /// An embedded prompt by its name, or a file's by a path that ends in `.toml`.
    ///
    /// # Errors
    /// Returns an error if the name is unknown (with the nearest names), or the file cannot be read
    /// or is no prompt.
    pub fn find(name: &str) -> Result<Self> {
        let path = Path::new(name);
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let text = input::read_text(path, MAX_SETTINGS_BYTES);
            let text = text.with_context(|| format!("cannot read the prompt {name}"))?;
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let stem = stem.with_context(|| format!("{name}: not the name of a prompt file"))?;
            return Self::parse(stem, &text, name);
        }
        let (text, file) = EMBEDDED.text(name)?;
        Self::parse(name, text, &file)
    }

    fn parse(name: &str, text: &str, file: &str) -> Result<Self> {
        let Wire {
            title,
            source,
            base,
            history,
            answers,
            table,
            mut ask,
        } = parse(text, file)?;
        let base = match base {
            Some(base) => {
                let (text, path) = EMBEDDED.text(&base).with_context(|| file.to_owned())?;
                Some(Self::parse(&base, text, &path)?)
            }
            None => None,
        };
        ask.extend(base.iter().flat_map(|base| base.ask.clone()));
        let of_base = |get: fn(&Self) -> Option<String>| base.as_ref().and_then(get);
        let spec = Self {
            name: name.to_owned(),
            title,
            source,
            history: history
                .or(base.as_ref().map(|base| base.history))
                .unwrap_or_default(),
            answers: answers
                .or(base.as_ref().map(|base| base.answers))
                .unwrap_or_default(),
            table: table.or_else(|| of_base(|base| base.table.clone())),
            ask,
        };
        spec.check().with_context(|| file.to_owned())?;
        Ok(spec)
    }

    fn check(&self) -> Result<()> {
        ensure!(
            !self.ask.is_empty(),
            "needs a table [[ask]] with the key `text`, or the key `base`"
        );
        for (number, case) in (1..).zip(&self.ask) {
            let place = format!("[[ask]] {number}:");
            ensure!(
                case.text.parts().iter().any(|part| part.contains(QUESTION)),
                "{place} `text` must hold {QUESTION}"
            );
            for (key, text) in [("turn", &case.turn), ("next", &case.next)] {
                ensure!(
                    text.as_ref().is_none_or(|text| text.contains(QUESTION)),
                    "{place} `{key}` must hold {QUESTION}"
                );
            }
            ensure!(
                case.paragraph
                    .as_ref()
                    .is_none_or(|text| text.contains("{paragraph}")),
                "{place} `paragraph` must hold {{paragraph}}"
            );
        }
        if let Some(table) = &self.table {
            ensure!(
                table.contains(TABLE) && table.contains(QUESTION),
                "`table` must hold {TABLE} and {QUESTION}"
            );
        }
        Ok(())
    }

    /// The prompt with the cases that a benchmark's questions can meet.
    ///
    /// # Errors
    /// Returns an error if there are none, with the benchmarks that have some.
    pub fn for_benchmark(&self, benchmark: &str) -> Result<Self> {
        let names = |case: &PromptCase| case.benchmarks.iter().any(|name| name == benchmark);
        let is_named = self.ask.iter().any(names);
        let mut ask = Vec::new();
        for case in &self.ask {
            if !(if is_named {
                names(case)
            } else {
                case.benchmarks.is_empty()
            }) {
                continue;
            }
            ask.push(PromptCase {
                benchmarks: Vec::new(),
                ..case.clone()
            });
            if case.question_types.is_empty() && case.history.is_none() {
                break;
            }
        }
        let mut others: Vec<&str> = self
            .ask
            .iter()
            .flat_map(|case| case.benchmarks.iter().map(String::as_str))
            .collect();
        others.sort_unstable();
        others.dedup();
        ensure!(
            !ask.is_empty(),
            "the prompt {} has no words for the benchmark {benchmark}; it has some for {}",
            self.name,
            others.join(", ")
        );
        Ok(Self {
            ask,
            ..self.clone()
        })
    }

    /// The words as a row's settings have them: a prompt file without title and source.
    ///
    /// # Errors
    /// Returns an error if they cannot be written as TOML, which plain text always can.
    pub fn describe(&self) -> Result<String> {
        toml::to_string(self).with_context(|| format!("the prompt {}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<PromptSpec> {
        let text = format!("title = \"t\"\nsource = \"s\"\n{text}");
        PromptSpec::parse("mine", &text, "mine.toml")
    }

    #[test]
    fn every_embedded_prompt_parses_and_its_words_can_be_read_back() {
        let names = PromptSpec::embedded_names();
        assert!(
            names.contains(&"lmms-eval") && names.contains(&"plain"),
            "{names:?}"
        );
        for name in names {
            let spec = PromptSpec::find(name).unwrap();
            let spec = spec.for_benchmark("chartqapro").unwrap();
            let again = parsed(&spec.describe().unwrap()).unwrap();
            assert_eq!((again.history, again.answers), (spec.history, spec.answers));
            assert_eq!((again.ask, again.table), (spec.ask, spec.table), "{name}");
        }
    }

    #[test]
    fn a_benchmark_has_its_own_cases_or_those_of_none() {
        let spec = PromptSpec::find("qwen").unwrap();
        let own = spec.for_benchmark("chartqapro").unwrap();
        let official = PromptSpec::find("vlmevalkit").unwrap();
        assert_eq!(own.ask, official.for_benchmark("chartqapro").unwrap().ask);
        assert_eq!(own.ask.len(), 5);
        let general = spec.for_benchmark("chartqa").unwrap();
        let texts: Vec<_> = general
            .ask
            .iter()
            .flat_map(|case| case.text.parts())
            .collect();
        assert_eq!(
            texts,
            [
                "{question}\nPlease try to answer the question with short words or phrases if possible."
            ]
        );
        let error = PromptSpec::find("openbench")
            .unwrap()
            .for_benchmark("chartqa");
        assert_eq!(
            error.unwrap_err().to_string(),
            "the prompt openbench has no words for the benchmark chartqa; it has some for chartqapro"
        );
    }

    #[test]
    fn mistakes_name_file_and_key() {
        for (text, message) in [
            (
                "",
                "mine.toml: needs a table [[ask]] with the key `text`, or the key `base`",
            ),
            (
                "[[ask]]\ntext = \"Why?\"\n",
                "mine.toml: [[ask]] 1: `text` must hold {question}",
            ),
            (
                "[[ask]]\ntext = \"{question}\"\nnext = \"And?\"\n",
                "mine.toml: [[ask]] 1: `next` must hold {question}",
            ),
            (
                "base = \"plian\"\n",
                "mine.toml: unknown prompt `plian`; nearest: plain",
            ),
            (
                "table = \"{table}\"\nbase = \"plain\"\n",
                "mine.toml: `table` must hold {table} and {question}",
            ),
            (
                "history = \"chat\"\n",
                "mine.toml: line 3: unknown variant `chat`",
            ),
            ("[[ask]]\ntext = 5\n", "must be a text or a list of texts"),
            (
                "[[ask]]\nwords = \"\"\n",
                "mine.toml: line 4: unknown field `words`",
            ),
        ] {
            let error = format!("{:#}", parsed(text).unwrap_err());
            assert!(
                error.starts_with("mine.toml: ") && error.contains(message),
                "{error}"
            );
        }
    }
}
