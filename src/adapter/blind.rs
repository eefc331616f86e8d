//! Blind baselines: adapters that never look at the chart. Every score is read beside theirs.

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use image::{Rgb, RgbImage};

use super::{Adapter, Answer, GiveUp, Identity, ReportAnswer, questions};
use chartbench_core::question::{
    Chart, ChartQuestions, ImageProducer, ImageRef, Question, QuestionHash, QuestionSource,
};
use chartbench_nn::MemoryNeed;

/// The most frequent training answer to questions of the same kind; with no kinds, the most
/// frequent of all.
///
/// The kind of a question is its template where the data set has templates, else its text with
/// digits and quoted words masked; an unseen kind falls back to its first three words, then its
/// first word, then to all questions. Ties go to the answer that sorts first.
pub(super) struct MostFrequentAnswer {
    identity: Identity,
    by_kind: HashMap<String, String>,
    overall: String,
}

impl MostFrequentAnswer {
    /// `majority`: the most frequent answer of the whole train split.
    ///
    /// # Errors
    /// Returns an error if the train split is empty or cannot be read.
    pub(super) fn fit_overall(id: &str, train: &dyn QuestionSource) -> Result<Self> {
        Self::fit(id, train, |_| Vec::new())
    }

    /// `question-prior`: the most frequent answer to the same question template.
    ///
    /// # Errors
    /// Returns an error if the train split is empty or cannot be read.
    pub(super) fn fit_by_template(id: &str, train: &dyn QuestionSource) -> Result<Self> {
        Self::fit(id, train, kinds)
    }

    fn fit(
        id: &str,
        train: &dyn QuestionSource,
        kinds: impl Fn(&Question) -> Vec<String>,
    ) -> Result<Self> {
        let (mut overall, mut hash) = (HashMap::<String, usize>::new(), QuestionHash::default());
        let mut counts: HashMap<String, HashMap<String, usize>> = HashMap::new();
        for piece in train.chunks() {
            for entry in piece? {
                hash.add(&entry)?;
                for question in &entry.questions {
                    let answer = question.gold.text().into_owned();
                    for kind in kinds(question) {
                        *counts
                            .entry(kind)
                            .or_default()
                            .entry(answer.clone())
                            .or_default() += 1;
                    }
                    *overall.entry(answer).or_default() += 1;
                }
            }
        }
        ensure!(!overall.is_empty(), "it has no questions");
        Ok(Self {
            identity: Identity {
                id: id.to_owned(),
                settings: vec![
                    ("train_hash".to_owned(), hash.hex()),
                    ("question_kinds".to_owned(), counts.len().to_string()),
                ],
            },
            overall: most_frequent(overall),
            by_kind: counts
                .into_iter()
                .map(|(kind, answers)| (kind, most_frequent(answers)))
                .collect(),
        })
    }

    fn predict(&self, question: &Question) -> &str {
        kinds(question)
            .iter()
            .find_map(|kind| self.by_kind.get(kind))
            .unwrap_or(&self.overall)
    }
}

fn most_frequent(counts: HashMap<String, usize>) -> String {
    let best = counts
        .into_iter()
        .max_by(|(a, m), (b, n)| m.cmp(n).then_with(|| b.cmp(a)));
    best.map(|(answer, _)| answer).unwrap_or_default()
}

/// The kinds a question belongs to, the most specific first.
fn kinds(question: &Question) -> Vec<String> {
    let masked = mask(&question.text);
    let words: Vec<&str> = masked.split_whitespace().collect();
    let template = question
        .template
        .as_ref()
        .map(|template| format!("template {template}"));
    template
        .into_iter()
        .chain([
            format!("text {}", words.join(" ")),
            format!(
                "three {}",
                words.iter().take(3).copied().collect::<Vec<_>>().join(" ")
            ),
            format!("one {}", words.first().copied().unwrap_or_default()),
        ])
        .collect()
}

/// Lower-cases and replaces digits by `0` and quoted words by `"`, so that questions of one pattern
/// become equal.
fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut quoted = false;
    for character in text.chars().flat_map(char::to_lowercase) {
        match character {
            '"' => {
                quoted = !quoted;
                masked.push('"');
            }
            _ if quoted => {}
            _ if character.is_numeric() => {
                if !masked.ends_with('0') {
                    masked.push('0');
                }
            }
            _ => masked.push(character),
        }
    }
    masked
}

impl Adapter for MostFrequentAnswer {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Answers are cheap, so that calls are large.
    fn batch(&self) -> usize {
        1024
    }

    fn answer(&mut self, charts: &[ChartQuestions], report: &mut ReportAnswer<'_>) -> Result<()> {
        for (index, (_, question)) in questions(charts).enumerate() {
            let answer = Answer::from_text(self.predict(question).to_owned());
            report(index, Ok(answer));
        }
        Ok(())
    }
}

/// An adapter that sees a white image of the same size in place of every chart: what a model knows
/// without the chart.
pub(super) struct BlankAdapter {
    identity: Identity,
    inner: Box<dyn Adapter>,
}

impl BlankAdapter {
    /// Replaces the images for `inner`; the row is named `id`.
    pub(super) fn new(id: &str, inner: Box<dyn Adapter>) -> Self {
        let mut settings = inner.identity().settings.clone();
        settings.push(("image".to_owned(), "white, of the chart's size".to_owned()));
        Self {
            identity: Identity {
                id: id.to_owned(),
                settings,
            },
            inner,
        }
    }
}

impl Adapter for BlankAdapter {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn batch(&self) -> usize {
        self.inner.batch()
    }

    fn memory_need(&self) -> Option<MemoryNeed> {
        self.inner.memory_need()
    }

    fn answer(&mut self, charts: &[ChartQuestions], report: &mut ReportAnswer<'_>) -> Result<()> {
        let blank: Vec<ChartQuestions> = charts
            .iter()
            .map(|entry| ChartQuestions {
                chart: Chart {
                    image: ImageRef::Drawn(Arc::new(BlankImage(entry.chart.clone()))),
                    table: None,
                    ..entry.chart.clone()
                },
                questions: entry.questions.clone(),
            })
            .collect();
        self.inner.answer(&blank, report)
    }

    fn finish(&mut self) -> Result<()> {
        self.inner.finish()
    }

    fn give_up(&self) -> Vec<GiveUp> {
        self.inner.give_up()
    }
}

/// A white image of a chart's size.
struct BlankImage(Chart);

impl ImageProducer for BlankImage {
    fn encoded(&self) -> Result<Vec<u8>> {
        let (width, height) =
            chartbench_pixels::decode(&self.0.image.bytes()?, &self.0.image_name())?.dimensions();
        let mut png = Cursor::new(Vec::new());
        RgbImage::from_pixel(width, height, Rgb([255; 3]))
            .write_to(&mut png, image::ImageFormat::Png)
            .context("cannot encode a blank image")?;
        Ok(png.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chartbench_core::question::QuestionSet;

    fn set(rows: &[(&str, Option<&str>, &str)]) -> QuestionSet {
        let questions = rows
            .iter()
            .enumerate()
            .map(|(index, (text, template, gold))| Question {
                id: index.to_string(),
                text: (*text).to_owned(),
                gold: (*gold).into(),
                answer_type: None,
                taxonomy: None,
                template: template.map(str::to_owned),
                source: None,
                slices: Default::default(),
                context: None,
            });
        let chart = Chart {
            id: "c".to_owned(),
            image: ImageRef::File("none.png".into()),
            chart_type: None,
            table: None,
        };
        QuestionSet {
            benchmark: "test".to_owned(),
            charts: vec![ChartQuestions {
                chart,
                questions: questions.collect(),
            }],
        }
    }

    fn predictions(mut prior: MostFrequentAnswer, asked: &QuestionSet) -> Vec<String> {
        let mut answers = Vec::new();
        prior
            .answer(&asked.charts, &mut |index, answer| {
                assert_eq!(index, answers.len());
                answers.push(answer.unwrap().prediction.0);
            })
            .unwrap();
        answers
    }

    #[test]
    fn majority_says_the_most_frequent_answer_whatever_is_asked() {
        let train = set(&[
            ("a?", Some("1"), "No"),
            ("b?", Some("2"), "Yes"),
            ("b?", Some("2"), "Yes"),
        ]);
        assert_eq!(
            predictions(
                MostFrequentAnswer::fit_overall("majority", &train).unwrap(),
                &train
            ),
            ["Yes"; 3]
        );
    }

    #[test]
    fn the_prior_goes_by_template_and_falls_back_by_words() {
        let train = set(&[
            ("How many bars?", Some("1"), "4"),
            ("What is \"Dose\" at 3?", None, "7"),
            ("What is the title?", None, "7"),
            ("Which is larger?", None, "A"),
            ("Which is larger?", None, "A"),
            ("Which is larger?", None, "A"),
        ]);
        let prior = MostFrequentAnswer::fit_by_template("question-prior", &train).unwrap();
        let asked = set(&[
            ("Asked anew?", Some("1"), ""),
            ("What is \"Cells\" at 12?", None, ""),
            ("What else?", None, ""),
            ("Never seen", None, ""),
        ]);
        assert_eq!(predictions(prior, &asked), ["4", "7", "7", "A"]);
    }

    #[test]
    fn ties_go_to_the_answer_that_sorts_first() {
        let train = set(&[("a?", None, "b"), ("a?", None, "a")]);
        assert_eq!(
            predictions(
                MostFrequentAnswer::fit_overall("majority", &train).unwrap(),
                &train
            ),
            ["a", "a"]
        );
    }
}
