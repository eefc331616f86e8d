//! Writes a synthetic data set in RealCQA's layout, whole or not at all.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use rayon::prelude::*;
use serde_json::{Value, json};

use super::recipe::Recipe;
use super::{ChartSource, DrawnQuestion, PlannedChart, Synth};
use chartbench_core::files::create_folder;
use chartbench_core::question::AnswerType;
use chartbench_core::question::Split;

impl Synth {
    /// Writes `images/`, `qa/`, `json/`, `test_filenames.txt` and a `README.txt` into `dir`,
    /// drawing on all cores. `progress` is called once for each chart. The written questions are
    /// those of [`Synth::question_set`].
    ///
    /// # Errors
    /// Returns an error if `dir` is not empty or cannot be written; `dir` then stays as it was.
    pub fn write(&self, dir: &Path, progress: &(dyn Fn() + Sync)) -> Result<()> {
        if dir.exists()
            && fs::read_dir(dir)
                .with_context(|| format!("cannot read {}", dir.display()))?
                .next()
                .is_some()
        {
            bail!(
                "{} is not empty: name a new or empty directory",
                dir.display()
            );
        }
        let parent = dir
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot create {}", parent.display()))?;
        create_folder(dir, |folder| self.write_into(folder, progress))
    }

    fn write_into(&self, dir: &Path, progress: &(dyn Fn() + Sync)) -> Result<()> {
        for folder in ["images", "qa", "json"] {
            let path = dir.join(folder);
            fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        }
        for split in [Split::Train, Split::Test] {
            (0..self.count(split))
                .into_par_iter()
                .try_for_each(|index| {
                    let chart = self.chart(split, index);
                    let id = chart.source.id();
                    put(
                        &dir.join(format!("images/{id}.png")),
                        &ChartSource::png(&chart.recipe)?,
                    )?;
                    put_json(&dir.join(format!("qa/{id}.json")), &records(&chart))?;
                    put_json(
                        &dir.join(format!("json/{id}.json")),
                        &annotation(&chart.recipe),
                    )?;
                    progress();
                    anyhow::Ok(())
                })?;
        }
        let test = (0..self.test).map(|index| {
            ChartSource {
                seed: self.seed,
                split: Split::Test,
                index,
            }
            .id()
                + "\n"
        });
        put(
            &dir.join("test_filenames.txt"),
            test.collect::<String>().as_bytes(),
        )?;
        put(&dir.join("README.txt"), self.readme().as_bytes())
    }

    fn readme(&self) -> String {
        let Self {
            seed,
            train,
            test,
            questions_per_chart,
        } = self;
        format!(
            "SYNTHETIC charts with questions, in the layout of RealCQA: {train} for training and {test} for testing\n\
             (test_filenames.txt). No chart shows real data. Made by\n\n    \
             chartbench data synth DIR --seed {seed} --train {train} --test {test} --questions {questions_per_chart}\n\n\
             with chartbench {}.\n",
            env!("CARGO_PKG_VERSION")
        )
    }
}

fn put(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

fn put_json(path: &Path, value: &Value) -> Result<()> {
    put(path, format!("{value:#}\n").as_bytes())
}

/// The chart's questions as RealCQA's records.
fn records(chart: &PlannedChart) -> Value {
    let mut records = Vec::with_capacity(chart.questions.len());
    for (
        number,
        DrawnQuestion {
            template,
            text,
            gold,
        },
    ) in chart.questions.iter().enumerate()
    {
        records.push(json!({
            "taxonomy id": template.taxonomy_id,
            "QID": template.qid,
            "question": text,
            "answer": gold,
            "answer_type": answer_type_name(template.answer_type),
            "qa_id": super::qa_id(number),
            "PMC_ID": chart.source.id(),
        }));
    }
    Value::Array(records)
}

/// RealCQA's spelling of an answer type.
fn answer_type_name(answer_type: AnswerType) -> &'static str {
    match answer_type {
        AnswerType::String => "String",
        AnswerType::Numerical => "Numerical",
        AnswerType::Binary => "Binary",
        AnswerType::RankedList => "Ranked List",
        AnswerType::UnrankedList => "Unranked List",
        AnswerType::Table => "Table",
    }
}

/// The chart's CHART-Info annotation: its type and its data series.
fn annotation(recipe: &Recipe) -> Value {
    json!({
        "task1": {
            "name": "Chart Classification",
            "output": {"chart_type": recipe.chart_type.name()},
        },
        "task6": {
            "name": "Data Extraction",
            "output": {"data series": recipe.data_series()},
        },
    })
}
