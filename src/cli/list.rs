//! `chartbench list`: which adapters, benchmarks, metrics, prompts and protocols there are.

use std::path::PathBuf;

use anyhow::Result;

use super::{Status, print_formatted};
use crate::jobs::list::{adapters, benchmarks, conventions, prompts, protocols};
use crate::report::table::Format;
use chartbench_core::terminal;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Folder of more adapter files (*.toml)
    #[arg(long, value_name = "DIR")]
    adapters_dir: Option<PathBuf>,
    /// Kind of things to list [default: all]
    #[arg(value_enum)]
    what: Option<What>,
    /// The form of the tables
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// One kind of thing there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum What {
    Adapters,
    Benchmarks,
    Conventions,
    Prompts,
    Protocols,
}

pub(super) fn run(args: &Args) -> Result<Status> {
    let folder = args.adapters_dir.as_deref();
    let tables = match args.what {
        Some(What::Adapters) => vec![adapters(folder)?],
        Some(What::Benchmarks) => vec![benchmarks()?],
        Some(What::Conventions) => vec![conventions()],
        Some(What::Prompts) => vec![prompts()?],
        Some(What::Protocols) => vec![protocols()?],
        None => vec![
            adapters(folder)?,
            benchmarks()?,
            conventions(),
            prompts()?,
            protocols()?,
        ],
    };
    let rendered: Vec<String> = tables
        .iter()
        .map(|table| table.render_within(args.format, terminal::width()))
        .collect::<Result<_>>()?;
    print_formatted(&rendered.join("\n"), args.format);
    Ok(Status::Done)
}
