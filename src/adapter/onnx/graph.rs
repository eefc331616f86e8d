//! One graph in ONNX Runtime: its inputs and outputs by name.

use std::cell::RefCell;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use ort::environment::Environment;
use ort::ep;
use ort::logging::LogLevel;
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, PrimitiveTensorElementType, Tensor, TensorElementType, ValueType};

use chartbench_core::catch_panic;

/// A loaded graph.
#[derive(Debug)]
pub(super) struct Graph {
    path: PathBuf,
    /// ONNX Runtime runs one question at a time.
    session: RefCell<Session>,
    inputs: Vec<Input>,
}

/// An input as the graph declares it.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub name: String,
    pub element: TensorElementType,
    /// -1 where a size is open.
    pub shape: Vec<i64>,
}

impl Graph {
    /// Loads a graph for the CPU, to be run by as many threads as everything else.
    ///
    /// # Errors
    /// Returns an error if the file is no graph, or has operators that this ONNX Runtime does not
    /// know.
    pub(super) fn open(environment: &Environment, path: &Path) -> Result<Self> {
        let open = || -> Result<Session> {
            let mut builder = Session::builder(environment)
                .map_err(one_line)
                .and_then(|builder| {
                    builder
                        .with_intra_threads(rayon::current_num_threads())
                        .map_err(one_line)
                })
                // Errors are returned, so that nothing is logged to stderr.
                .and_then(|builder| builder.with_log_level(LogLevel::Fatal).map_err(one_line))
                .and_then(|builder| {
                    builder
                        .with_execution_providers([ep::CPU::default().build()])
                        .map_err(one_line)
                })
                .map_err(|error| anyhow!(error))?;
            builder
                .commit_from_file(path)
                .map_err(|error| anyhow!(one_line(error)))
        };
        let session =
            catch_panic("ONNX Runtime", open).with_context(|| path.display().to_string())?;
        let input = |outlet: &ort::value::Outlet| match outlet.dtype() {
            ValueType::Tensor { ty, shape, .. } => Ok(Input {
                name: outlet.name().to_owned(),
                element: *ty,
                shape: shape.to_vec(),
            }),
            other => bail!(
                "{}: the input `{}` is no tensor but {other}",
                path.display(),
                outlet.name()
            ),
        };
        let inputs = session.inputs().iter().map(input).collect::<Result<_>>()?;
        Ok(Self {
            path: path.to_owned(),
            session: RefCell::new(session),
            inputs,
        })
    }

    /// Whether there is an input of this name.
    pub(super) fn takes(&self, name: &str) -> bool {
        self.input(name).is_some()
    }

    /// The input of this name.
    pub(super) fn input(&self, name: &str) -> Option<&Input> {
        self.inputs.iter().find(|input| input.name == name)
    }

    /// Runs the graph with what `value` gives for each of its inputs; its outputs by name.
    ///
    /// # Errors
    /// Returns an error if `value` fails, or the inputs do not fit the graph.
    pub(super) fn run<'v>(
        &self,
        value: impl Fn(&Input) -> Result<SessionInputValue<'v>>,
    ) -> Result<Vec<(String, DynValue)>> {
        let run = || -> Result<Vec<(String, DynValue)>> {
            let given = self
                .inputs
                .iter()
                .map(|input| Ok((input.name.as_str(), value(input)?)));
            let values = given.collect::<Result<Vec<_>>>()?;
            let mut session = self.session.borrow_mut();
            let outputs = session
                .run(values)
                .map_err(|error| anyhow!(one_line(error)))?;
            Ok(outputs
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect())
        };
        run().with_context(|| self.path.display().to_string())
    }
}

impl Input {
    /// A row of a mask: `valid` ones, then zeros up to `length`, in the type the graph wants.
    ///
    /// # Errors
    /// Returns an error if the type is not one of a mask.
    pub(super) fn mask(&self, valid: usize, length: usize) -> Result<DynValue> {
        let ones = (0..length).map(|place| place < valid);
        match self.element {
            TensorElementType::Int64 => tensor(vec![1, length], ones.map(i64::from).collect()),
            TensorElementType::Int32 => tensor(vec![1, length], ones.map(i32::from).collect()),
            TensorElementType::Float32 => tensor(
                vec![1, length],
                ones.map(|one| f32::from(u8::from(one))).collect(),
            ),
            TensorElementType::Bool => tensor(vec![1, length], ones.collect()),
            other => bail!("the mask `{}` is of type {other}", self.name),
        }
    }

    /// Nothing in the declared shape: open sizes are 0, that of the batch is 1.
    ///
    /// # Errors
    /// Returns an error if the type is not f32.
    pub(super) fn empty(&self) -> Result<DynValue> {
        if self.element != TensorElementType::Float32 {
            bail!(
                "the cache `{}` is of type {}: export the model in f32",
                self.name,
                self.element
            );
        }
        let size =
            |(axis, &size): (usize, &i64)| usize::try_from(size).unwrap_or(usize::from(axis == 0));
        let shape: Vec<usize> = self.shape.iter().enumerate().map(size).collect();
        tensor(shape.clone(), vec![0f32; shape.iter().product()])
    }
}

/// A tensor of ONNX Runtime.
///
/// # Errors
/// Returns an error if the number of values is not the shape's.
pub(super) fn tensor<T>(shape: Vec<usize>, values: Vec<T>) -> Result<DynValue>
where
    T: PrimitiveTensorElementType + Clone + std::fmt::Debug + 'static,
{
    Ok(Tensor::from_array((shape, values))
        .map_err(|error| anyhow!(one_line(error)))?
        .into_dyn())
}

/// ONNX Runtime's message without its line breaks.
pub(super) fn one_line(error: impl Display) -> String {
    error
        .to_string()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}
