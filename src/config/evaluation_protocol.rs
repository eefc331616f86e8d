//! `protocols/*.toml`: how a published harness evaluates, each file under a name: prompt, limits,
//! sampling, extraction and convention, by benchmark.

use anyhow::{Result, bail, ensure};
use include_dir::include_dir;
use serde::Deserialize;

use super::Extraction;
use super::embedded::{EmbeddedFiles, parse};
use chartbench_core::counts::{MAX_REPLY_TOKENS, check_count};

static EMBEDDED: EmbeddedFiles = EmbeddedFiles {
    kind: "protocol",
    folder: "protocols",
    files: include_dir!("$CARGO_MANIFEST_DIR/protocols"),
};

/// How a harness evaluates.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluationProtocol {
    /// The file's name without `.toml`.
    pub name: String,
    /// What it reproduces, for a line of `chartbench list`.
    pub title: String,
    /// The files or pages that it is from.
    pub source: String,
    /// The benchmarks that the harness has.
    pub benchmarks: Vec<BenchmarkProtocol>,
}

/// How a harness evaluates some benchmarks.
#[derive(Clone, Debug, PartialEq)]
pub struct BenchmarkProtocol {
    /// The benchmarks' names here.
    pub names: Vec<String>,
    /// The prompt's name.
    pub prompt: String,
    /// Sampling temperature; `None` sends none.
    pub temperature: Option<f64>,
    /// Longest reply in tokens; `None` keeps the adapter file's.
    pub max_tokens: Option<usize>,
    /// The API's resolution choice; `None` sends none.
    pub image_detail: Option<String>,
    /// The rules that cut out the answer, in order.
    pub extract: Vec<Extraction>,
    /// The convention that scores as the harness does.
    pub convention: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    title: String,
    source: String,
    prompt: String,
    temperature: Option<f64>,
    max_tokens: Option<usize>,
    image_detail: Option<String>,
    #[serde(default = "whole")]
    extract: Vec<Extraction>,
    benchmark: Vec<WireBenchmark>,
}

/// What a benchmark has of its own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireBenchmark {
    names: Vec<String>,
    max_tokens: Option<usize>,
    convention: String,
}

fn whole() -> Vec<Extraction> {
    vec![Extraction::Whole]
}

impl EvaluationProtocol {
    /// The names of the protocols in the program, sorted.
    pub fn embedded_names() -> Vec<&'static str> {
        EMBEDDED.names()
    }

    /// An embedded protocol by its name.
    ///
    /// # Errors
    /// Returns an error if the name is unknown (with the nearest names).
    pub fn find(name: &str) -> Result<Self> {
        let (text, file) = EMBEDDED.text(name)?;
        Self::parse(name, text, &file)
    }

    fn parse(name: &str, text: &str, file: &str) -> Result<Self> {
        let wire: Wire = parse(text, file)?;
        let max_tokens = wire.benchmark.iter().map(|benchmark| benchmark.max_tokens);
        for max in max_tokens.chain([wire.max_tokens]).flatten() {
            if let Err(fault) = check_count(max, MAX_REPLY_TOKENS) {
                bail!("{file}: `max_tokens` {fault}");
            }
        }
        ensure!(
            !wire.extract.is_empty() && !wire.benchmark.is_empty(),
            "{file}: `extract` and `benchmark` must not be empty"
        );
        let benchmarks = wire
            .benchmark
            .into_iter()
            .map(|benchmark| BenchmarkProtocol {
                names: benchmark.names,
                prompt: wire.prompt.clone(),
                temperature: wire.temperature,
                max_tokens: benchmark.max_tokens.or(wire.max_tokens),
                image_detail: wire.image_detail.clone(),
                extract: wire.extract.clone(),
                convention: benchmark.convention,
            });
        Ok(Self {
            name: name.to_owned(),
            title: wire.title,
            source: wire.source,
            benchmarks: benchmarks.collect(),
        })
    }

    /// The names of the benchmarks that the harness has.
    pub fn benchmark_names(&self) -> Vec<&str> {
        self.benchmarks
            .iter()
            .flat_map(|benchmark| benchmark.names.iter().map(String::as_str))
            .collect()
    }

    /// How the harness evaluates a benchmark.
    ///
    /// # Errors
    /// Returns an error if it has no such benchmark, with those it has.
    pub fn for_benchmark(&self, name: &str) -> Result<&BenchmarkProtocol> {
        let has = |benchmark: &&BenchmarkProtocol| benchmark.names.iter().any(|own| own == name);
        match self.benchmarks.iter().find(has) {
            Some(benchmark) => Ok(benchmark),
            None => bail!(
                "the protocol {} has no benchmark {name}; it has {}",
                self.name,
                self.benchmark_names().join(", ")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Benchmark, PromptSpec};
    use chartbench_score::metric::Convention;

    #[test]
    fn every_protocol_names_benchmarks_prompts_and_conventions_that_are_there() {
        let known: Vec<&str> = Benchmark::embedded_names().collect();
        for name in EvaluationProtocol::embedded_names() {
            let protocol = EvaluationProtocol::find(name).unwrap();
            for benchmark in &protocol.benchmarks {
                Convention::by_name(&benchmark.convention).unwrap();
                let prompt = PromptSpec::find(&benchmark.prompt).unwrap();
                for own in &benchmark.names {
                    assert!(known.contains(&own.as_str()), "{name}: {own}");
                    prompt.for_benchmark(own).unwrap();
                }
            }
        }
    }

    #[test]
    fn a_harness_has_its_benchmarks_alone() {
        let protocol = EvaluationProtocol::find("mistral-evals").unwrap();
        let benchmark = protocol.for_benchmark("chartqa").unwrap();
        assert_eq!(benchmark.max_tokens, Some(2048));
        assert_eq!(benchmark.extract, [Extraction::FinalAnswer]);
        let error = protocol.for_benchmark("realcqa").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the protocol mistral-evals has no benchmark realcqa; it has chartqa, chartqa-lmms-lab, chartqa-m4"
        );
        let lmms = EvaluationProtocol::find("lmms-eval").unwrap();
        assert_eq!(lmms.for_benchmark("chartqa").unwrap().max_tokens, Some(16));
        assert_eq!(
            lmms.for_benchmark("chartqapro").unwrap().max_tokens,
            Some(128)
        );
    }

    #[test]
    fn mistakes_name_file_and_key() {
        let refused = |text: &str| {
            let text = format!("title = \"t\"\nsource = \"s\"\nprompt = \"plain\"\n{text}");
            let error = EvaluationProtocol::parse("mine", &text, "mine.toml").unwrap_err();
            format!("{error:#}")
        };
        let benchmark = "[[benchmark]]\nnames = [\"mini\"]\nconvention = \"chartbench\"\n";
        for (text, message) in [
            ("", "mine.toml: missing field `benchmark`"),
            (
                "max_tokens = 0\n",
                "mine.toml: `max_tokens` must be at least 1",
            ),
            (
                "extract = [\"tail\"]\n",
                "mine.toml: line 4: unknown variant `tail`",
            ),
            (
                "extract = []\n",
                "mine.toml: `extract` and `benchmark` must not be empty",
            ),
        ] {
            let more = if text.is_empty() { "" } else { benchmark };
            let error = refused(&format!("{text}{more}"));
            assert!(error.starts_with(message), "{error}");
        }
    }
}
