//! The `clrp` command.

mod bench;
mod cli;
mod commands;
mod composites;
mod console;
mod datasets;
mod evaluation;
mod failure;
mod folder;
mod known;
mod labels;
mod maps;
mod network;
mod options;
mod pictures;
mod report;
mod runner;
mod switch_sheet;
mod table;
mod targets;
#[cfg(feature = "gpu")]
mod tuning;

use std::process::ExitCode;

use failure::Failure;

fn main() -> ExitCode {
    match cli::run(std::env::args_os()) {
        // Whoever read our output has seen enough.
        Ok(()) | Err(Failure::Closed) => ExitCode::SUCCESS,
        Err(Failure::Helped) => ExitCode::FAILURE,
        Err(failure) => {
            console::say("error", &failure);
            ExitCode::FAILURE
        }
    }
}
