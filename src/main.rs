//! The `chartbench` program: parse, call, exit code.

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
enum Cli {
    Data(chartbench::cmd::data::Args),
}

fn main() -> std::process::ExitCode {
    let Cli::Data(args) = Cli::parse();
    match chartbench::cmd::data::run(args) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            std::process::ExitCode::from(2)
        }
    }
}
