//! Flags that several commands share, and what they turn into.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use candle_core::Device;
use clap::ValueEnum;

use crate::adapter::training::{self, StartFrom, Trainable};
use crate::adapter::weights::HubOptions;
use crate::adapter::{self, Adapter, Overrides, Part, Setup, TrainSplit};
use crate::config::{AdapterSpec, BLANK_PREFIX};
use chartbench_core::counts::{MAX_CONCURRENT, MAX_PATCHES, MAX_TOKENS, parse_count};
use chartbench_nn::Reduced;

/// Bytes of stack of a thread: as much as a program's first one usually has.
const STACK: usize = 8 << 20;

/// Which adapters answer, and with which weights, font, limits and hardware.
#[derive(Clone, clap::Args)]
pub struct AdapterArgs {
    /// Adapters to ask, separated by commas; `TABLES+READER` is a language model that answers from the tables of
    /// another adapter (deplot+smollm2, oracle+openai), `blank+NAME` is NAME with a blank image instead of the chart,
    /// `NAME@bf16`, `NAME@q8` and `NAME@q4` are NAME with its matrices in bf16, 8 or 4 bits
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub adapters: Vec<String>,
    /// Folder of more adapter files (*.toml)
    #[arg(long, value_name = "DIR")]
    pub adapters_dir: Option<PathBuf>,
    /// Checkpoint folder in the Hugging Face layout; NAME=DIR where several adapters need one
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
    /// ONNX Runtime's library, for ONNX exports [default: ORT_DYLIB_PATH, else the Python package onnxruntime's]
    #[arg(long, value_name = "FILE")]
    pub onnxruntime: Option<PathBuf>,
    /// Threads to compute with [default: all cores]
    #[arg(long, value_name = "N", value_parser = parse_count::<MAX_CONCURRENT>)]
    pub threads: Option<usize>,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    pub device: DeviceName,
    /// Never ask a model hub for weights or fonts
    #[arg(long)]
    pub offline: bool,
}

/// `--device`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DeviceName {
    Cpu,
    Cuda,
    Metal,
}

/// An adapter that was asked for.
#[derive(Clone)]
pub struct Requested {
    /// The row's name, `blank+` included.
    pub name: String,
    pub model: Part,
    /// The language model behind the `+` of `TABLES+READER`.
    pub reader: Option<Part>,
    pub blank: bool,
    pub overrides: Overrides,
}

impl Requested {
    /// Makes the adapter; `train` opens the benchmark's train split where there is a benchmark.
    ///
    /// # Errors
    /// As [`adapter::build`].
    pub fn build(&self, args: &AdapterArgs, train: Option<TrainSplit<'_>>) -> Result<Box<dyn Adapter>> {
        adapter::build(&self.setup(&HubOptions::from_env(args.offline), &args.device()?, train))
    }

    /// Loads it to be trained.
    ///
    /// # Errors
    /// As [`training::load`].
    pub fn trainable(&self, args: &AdapterArgs, start: StartFrom) -> Result<Box<dyn Trainable>> {
        training::load(&self.setup(&HubOptions::from_env(args.offline), &args.device()?, None), start)
    }

    fn setup<'a>(&'a self, hub: &'a HubOptions, device: &'a Device, train: Option<TrainSplit<'a>>) -> Setup<'a> {
        Setup {
            name: &self.name,
            model: &self.model,
            reader: self.reader.as_ref(),
            blank: self.blank,
            overrides: &self.overrides,
            hub,
            device,
            train,
        }
    }
}

impl AdapterArgs {
    /// The adapters asked for, or `default`; unknown and doubled names are refused before any work.
    ///
    /// # Errors
    /// An unknown or doubled name, or `--weights` that does not fit the names.
    pub fn requested(&self, default: &[&str]) -> Result<Vec<Requested>> {
        let names: Vec<String> = match self.adapters.as_slice() {
            [] => default.iter().map(|&name| name.to_owned()).collect(),
            names => names.iter().map(|name| name.trim().to_owned()).collect(),
        };
        let mut requested: Vec<Requested> = Vec::new();
        for name in names {
            ensure!(requested.iter().all(|other| other.name != name), "adapter `{name}` is named twice");
            let (base, blank) = name.strip_prefix(BLANK_PREFIX).map_or((name.as_str(), false), |base| (base, true));
            let part = |id: &str| self.part(id);
            let (model, reader) = match base.split_once('+') {
                Some((tables, reader)) => (part(tables)?, Some(part(reader)?)),
                None => (part(base)?, None),
            };
            let overrides = Overrides {
                header_font: self.header_font.clone(),
                max_patches: self.max_patches,
                max_new_tokens: self.max_new_tokens,
                onnxruntime: self.onnxruntime.clone(),
            };
            requested.push(Requested { name, model, reader, blank, overrides });
        }
        self.give_weights(&mut requested)?;
        Ok(requested)
    }

    /// One part of a row's name: `NAME` or `NAME@PRECISION`.
    fn part(&self, id: &str) -> Result<Part> {
        let (name, precision) = match id.split_once('@') {
            None => (id, None),
            Some((name, precision)) => (name, Some(precision)),
        };
        let mut spec = AdapterSpec::find(name, self.adapters_dir.as_deref())?;
        let precision = precision.map(Reduced::named).transpose().with_context(|| format!("adapter `{id}`"))?;
        ensure!(
            precision.is_none() || spec.family.takes_precision(),
            "adapter `{id}`: {name} has no weights that this program can round (Pix2Struct and UniChart checkpoints do)"
        );
        spec.id = id.to_owned();
        Ok(Part { spec, weights: None, precision })
    }

    /// `NAME@PRECISION=DIR` is for that row, `NAME=DIR` for every row of NAME that has none of its own.
    fn give_weights(&self, requested: &mut [Requested]) -> Result<()> {
        let flags = self.weights.iter().map(|flag| match flag.split_once('=') {
            Some((name, dir)) if !name.contains(['/', '.']) => (Some(name), dir),
            _ => (None, flag.as_str()),
        });
        let (of_rows, others): (Vec<_>, Vec<_>) =
            flags.partition(|(name, _)| name.is_some_and(|name| name.contains('@')));
        let mut own: BTreeSet<String> = BTreeSet::new();
        for (name, dir) in of_rows.into_iter().chain(others) {
            let parts =
                requested.iter_mut().flat_map(|adapter| std::iter::once(&mut adapter.model).chain(&mut adapter.reader));
            let models = parts.filter(|part| part.spec.family.takes_weights());
            let mut meant: Vec<&mut Part> = match name {
                Some(name) if name.contains('@') => models.filter(|part| part.spec.id == name).collect(),
                Some(name) => models.filter(|part| part.spec.file() == name).collect(),
                None => models.collect(),
            };
            let mut files: Vec<&str> = meant.iter().map(|part| part.spec.file()).collect();
            files.sort_unstable();
            files.dedup();
            match files.as_slice() {
                [_] => {}
                [] => {
                    let flag = name.map_or_else(|| dir.to_owned(), |name| format!("{name}={dir}"));
                    bail!("--weights {flag}: no such adapter among --adapters takes weights")
                }
                files => bail!("--weights {dir} could be for any of {}: write --weights NAME={dir}", files.join(", ")),
            }
            let of_a_row = name.is_some_and(|name| name.contains('@'));
            for part in &mut meant {
                if of_a_row {
                    own.insert(part.spec.id.clone());
                } else if own.contains(&part.spec.id) {
                    continue;
                }
                ensure!(part.weights.is_none(), "--weights is given twice for {}", part.spec.id);
                part.weights = Some(PathBuf::from(dir));
            }
        }
        Ok(())
    }

    /// # Errors
    /// A device this build or machine does not have.
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

    /// Sizes the thread pool and does a command's work on one of its threads. What that does in parallel then begins at once;
    /// from outside, each piece of it would first wake a thread, and a decoding step has over a hundred.
    ///
    /// # Errors
    /// A pool that is already there; those of the work, which gets the number of threads.
    pub fn on_threads<T: Send>(&self, work: impl FnOnce(usize) -> Result<T> + Send) -> Result<T> {
        let threads = match self.threads {
            Some(threads) => threads,
            None => std::thread::available_parallelism().map_or(1, usize::from),
        };
        // SAFETY: called at the start of a command, while the process has a single thread.
        unsafe { std::env::set_var("RAYON_NUM_THREADS", threads.to_string()) };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).stack_size(STACK);
        pool.build_global().context("cannot start the thread pool")?;
        rayon::scope(|_| work(threads))
    }
}
