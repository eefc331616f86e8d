//! `chartbench completions SHELL` and `chartbench man DIR`: what shells and `man` read, made from the
//! command line's own description.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap_complete::Shell;

use super::{Status, print_paths};
use chartbench_core::files::write_file;
use chartbench_core::terminal;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the completion script.
pub(super) fn run(args: &Args) -> Result<Status> {
    let mut script = Vec::new();
    let mut command = super::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    terminal::print_data(&String::from_utf8(script).context("the script is no text")?);
    Ok(Status::Done)
}

#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// Folder to write the pages into, e.g. ~/.local/share/man/man1
    #[arg(value_name = "DIR")]
    out: PathBuf,
}

/// Writes a page for the program and one for each command.
pub(super) fn run_man(args: &ManArgs) -> Result<Status> {
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot create {}", args.out.display()))?;
    let mut command = super::command().disable_help_subcommand(true);
    command.build();
    let mut written = Vec::new();
    write_page(&command, &args.out, &mut written)?;
    print_paths(&written);
    Ok(Status::Done)
}

/// Writes the page of a command and those of its subcommands.
fn write_page(command: &clap::Command, folder: &Path, written: &mut Vec<PathBuf>) -> Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let path = folder.join(format!("{name}.1"));
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .title(name)
        .render(&mut page)
        .with_context(|| format!("cannot make the page {name}"))?;
    write_file(&path, &page)?;
    written.push(path);
    command
        .get_subcommands()
        .filter(|subcommand| !subcommand.is_hide_set())
        .try_for_each(|subcommand| write_page(subcommand, folder, written))
}
