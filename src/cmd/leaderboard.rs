//! `chartbench leaderboard`: one table over many runs.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Status, convention, print};
use crate::record::{StoredRun, write_atomically};
use crate::report::table::Format;
use crate::report::{Leaderboard, splice};

#[derive(clap::Args)]
pub struct Args {
    /// Run directories
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Scoring convention [default: chartbench; deplot-corrected where only tables are asked for]
    #[arg(long, value_name = "NAME")]
    convention: Option<String>,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Leave out questions a second: the output then depends on the predictions alone
    #[arg(long)]
    no_speed: bool,
    /// Leave out the tables by answer type, taxonomy, chart type and source
    #[arg(long)]
    no_slices: bool,
    /// Also write leaderboard.md, leaderboard.csv and leaderboard.json into DIR
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    /// Also put the Markdown between the markers of FILE
    #[arg(long, value_name = "FILE")]
    splice: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<Status> {
    let runs = args.runs.iter().map(|path| StoredRun::read(path)).collect::<Result<Vec<_>>>()?;
    let records = runs.iter().flat_map(StoredRun::records);
    let convention = convention(args.convention.as_deref(), records.map(|record| record.answer_type))?;
    let leaderboard = Leaderboard::new(&runs, convention);
    let leaderboard = if args.no_speed { leaderboard.without_speed() } else { leaderboard };
    let leaderboard = if args.no_slices { leaderboard.without_slices() } else { leaderboard };
    if let Some(dir) = &args.write {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        for (ending, format) in [("md", Format::Markdown), ("csv", Format::Csv), ("json", Format::Json)] {
            let text = leaderboard.render(format)?;
            write_atomically(&dir.join("leaderboard").with_extension(ending), text.as_bytes())?;
        }
    }
    if let Some(file) = &args.splice {
        let document = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let spliced = splice(&document, "leaderboard", &command(args), &leaderboard.render(Format::Markdown)?)
            .with_context(|| format!("cannot splice into {}", file.display()))?;
        write_atomically(file, spliced.as_bytes())?;
    }
    print(&leaderboard.render(args.format)?)?;
    Ok(Status::Done)
}

/// The command that makes the spliced text again.
fn command(args: &Args) -> String {
    let runs: Vec<String> = args.runs.iter().map(|path| path.display().to_string()).collect();
    let convention = args.convention.as_ref().map(|name| format!(" --convention {name}")).unwrap_or_default();
    let speed = if args.no_speed { " --no-speed" } else { "" };
    let slices = if args.no_slices { " --no-slices" } else { "" };
    format!("chartbench leaderboard {}{convention}{speed}{slices} --splice FILE", runs.join(" "))
}
