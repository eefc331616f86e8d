//! Flags that several commands share, and the parts of requests that they turn into.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use candle_core::Device;
use clap::ValueEnum;

use crate::adapter::Overrides;
use crate::config::Extraction;
use crate::hub::HubOptions;
use crate::jobs::{
    AdapterNames, Asking, BenchmarkSelection, ModelOptions, SelectedAdapter, Task,
    adapter_for_weights,
};
use chartbench_core::counts::{MAX_CONCURRENT, MAX_PATCHES, MAX_TOKENS, parse_count};

/// Bytes of stack of a thread: as much as a program's first one usually has.
const STACK: usize = 8 << 20;

/// Which adapters answer, and with which weights, font, limits and hardware.
#[derive(clap::Args)]
pub(super) struct AdapterArgs {
    /// Adapters to ask, separated by commas; `TABLES+READER` is a language model that answers from
    /// the tables of another adapter (deplot+smollm2, oracle+openai), `blank+NAME` is NAME with a
    /// blank image instead of the chart, `NAME@bf16`, `NAME@q8` and `NAME@q4` are NAME with its
    /// matrices in bf16, 8 or 4 bits
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub adapters: Vec<String>,
    /// Folder of more adapter files (*.toml)
    #[arg(long, value_name = "DIR")]
    pub adapters_dir: Option<PathBuf>,
    /// Checkpoint folder in the Hugging Face layout; NAME=DIR where several adapters need one;
    /// without --adapters its config.json says which adapter asks it
    #[arg(long, value_name = "[NAME=]DIR")]
    pub weights: Vec<String>,
    /// Font file for the question drawn above the chart
    #[arg(long, value_name = "FILE")]
    pub header_font: Option<PathBuf>,
    /// Patch budget an image is scaled to fill
    #[arg(long, value_name = "N", value_parser = parse_count::<MAX_PATCHES>)]
    pub max_patches: Option<usize>,
    /// Longest answer in tokens
    #[arg(long, value_name = "N", value_parser = parse_count::<MAX_TOKENS>)]
    pub max_new_tokens: Option<usize>,
    /// ONNX Runtime's library, for ONNX exports [default: ORT_DYLIB_PATH, else the Python package
    /// onnxruntime's]
    #[arg(long, value_name = "FILE")]
    pub onnxruntime: Option<PathBuf>,
    /// Threads to compute with [default: all cores]
    #[arg(long, value_name = "N", value_parser = parse_count::<MAX_CONCURRENT>)]
    pub threads: Option<usize>,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    pub device: DeviceName,
    /// Never ask a hub for weights, fonts or data sets
    #[arg(long)]
    pub offline: bool,
}

/// How questions are put, and what is made of replies, in the place of what adapter files say.
#[derive(clap::Args)]
pub(super) struct AskingArgs {
    /// Protocol of a published harness, which sets prompt, sampling, limit on tokens, extraction
    /// and convention: lmms-eval, vlmevalkit, mistral-evals and others (`chartbench list
    /// protocols`)
    #[arg(long, value_name = "NAME", conflicts_with = "prompt")]
    protocol: Option<String>,
    /// Prompt around each question, of endpoints and of language models behind tables: lmms-eval,
    /// vlmevalkit, mistral-evals, qwen, plain and others (`chartbench list prompts`), or a TOML
    /// file
    #[arg(long, value_name = "NAME")]
    prompt: Option<String>,
    /// Rules that cut the answer out of a reply, applied one after the other; where one finds
    /// nothing, the answer is empty
    #[arg(long, value_enum, value_delimiter = ',', value_name = "RULES")]
    extract: Vec<Extraction>,
}

impl From<&AskingArgs> for Asking {
    fn from(args: &AskingArgs) -> Self {
        Self {
            prompt: args.prompt.clone(),
            extract: args.extract.clone(),
            protocol: args.protocol.clone(),
        }
    }
}

/// `--device`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum DeviceName {
    Cpu,
    Cuda,
    Metal,
}

impl AdapterArgs {
    /// The adapters asked for, or those of the folders of `--weights`, or `default`.
    ///
    /// # Errors
    /// As [`AdapterNames::select`] and [`adapter_for_weights`].
    pub(super) fn select(&self, default: &[&str]) -> Result<Vec<SelectedAdapter>> {
        self.select_for(Task::Questions, default)
    }

    /// As [`Self::select`], for a task.
    ///
    /// # Errors
    /// As [`Self::select`].
    pub(super) fn select_for(&self, task: Task, default: &[&str]) -> Result<Vec<SelectedAdapter>> {
        let names = match self.adapters.as_slice() {
            [] if self.weights.iter().any(|flag| weights_name(flag).is_none()) => {
                self.names_of_weights(task)?
            }
            [] => default.iter().map(|&name| name.to_owned()).collect(),
            names => names.to_vec(),
        };
        let overrides = Overrides {
            header_font: self.header_font.clone(),
            max_patches: self.max_patches,
            max_new_tokens: self.max_new_tokens,
            onnxruntime: self.onnxruntime.clone(),
            ..Overrides::default()
        };
        AdapterNames {
            names,
            adapters_dir: self.adapters_dir.clone(),
            weights: self.weights.clone(),
            overrides,
        }
        .select()
    }

    /// The adapters that `--weights` names, and those of its folders without a name.
    fn names_of_weights(&self, task: Task) -> Result<Vec<String>> {
        let mut names: Vec<String> = Vec::new();
        for flag in &self.weights {
            let name = match weights_name(flag) {
                Some(name) => name.to_owned(),
                None => {
                    let folder = Path::new(flag);
                    let name = adapter_for_weights(folder, self.adapters_dir.as_deref(), task)?;
                    chartbench_core::note!(
                        "note: {flag} is asked as {name}, by its config.json; --adapters names another adapter"
                    );
                    name
                }
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Says on standard error that the embedded model `default` answered, if no adapter was named.
    pub(super) fn note_embedded(&self, default: &str) {
        if self.adapters.is_empty() && self.weights.is_empty() {
            chartbench_core::note!(
                "note: {default} answered, an embedded model that knows synthetic charts only; --adapters names others \
                 (`chartbench list adapters`)"
            );
        }
    }

    /// Where models come from and where they compute.
    ///
    /// # Errors
    /// Returns an error if this build or machine does not have the device.
    pub(super) fn model_options(&self) -> Result<ModelOptions> {
        Ok(ModelOptions {
            hub: HubOptions::from_env(self.offline),
            device: self.device()?,
        })
    }

    fn device(&self) -> Result<Device> {
        match self.device {
            DeviceName::Cpu => Ok(Device::Cpu),
            DeviceName::Cuda => Device::new_cuda(0).context(
                "--device cuda: no usable CUDA device (this needs a build with `--features cuda` and an NVIDIA GPU)",
            ),
            DeviceName::Metal => Device::new_metal(0).context(
                "--device metal: no usable Metal device (this needs a build with `--features metal` on a Mac)",
            ),
        }
    }

    /// Sizes the thread pool and does a command's work on one of its threads. Parallel parts of the
    /// work then begin at once; from outside, each would first wake a thread, and a decoding step
    /// has over a hundred.
    ///
    /// # Errors
    /// Returns an error if the pool cannot be started, and those of the work.
    pub(super) fn on_threads<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let threads = match self.threads {
            Some(threads) => threads,
            None => std::thread::available_parallelism().map_or(1, usize::from),
        };
        // SAFETY: called at the start of a command, while the process has a single thread.
        unsafe { std::env::set_var("RAYON_NUM_THREADS", threads.to_string()) };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .stack_size(STACK);
        pool.build_global()
            .context("cannot start the thread pool")?;
        rayon::scope(|_| work())
    }
}

/// The NAME of `--weights NAME=DIR`; a path may hold a `=`.
fn weights_name(flag: &str) -> Option<&str> {
    let (name, _) = flag.split_once('=')?;
    (!name.contains(['/', '.'])).then_some(name)
}

/// Which benchmark is asked, and where its data set is.
#[derive(Clone, Debug, clap::Args)]
pub struct BenchmarkArgs {
    /// Benchmark: a name (see `chartbench list`) or a TOML file [default: custom with --data, else
    /// mini]
    #[arg(long, value_name = "NAME")]
    pub benchmark: Option<String>,
    /// The data set's folder or file [default: the hub's copy in the cache, else downloaded]
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Also read images and tables outside the data set's folder: data from a stranger may name
    /// private files
    #[arg(long)]
    pub allow_outside: bool,
}

impl From<&BenchmarkArgs> for BenchmarkSelection {
    fn from(args: &BenchmarkArgs) -> Self {
        Self {
            benchmark: args.benchmark.clone(),
            data: args.data.clone(),
            allow_outside: args.allow_outside,
        }
    }
}
