//! The arguments of the command, and which subcommand runs.

use std::ffi::OsString;
use std::io::{self, Write};

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::commands::{
    bench::Bench, classify::Classify, completions::Completions, convert::Convert, demo::Demo,
    devices::Devices, evaluate::Evaluate, explain::Explain, fetch::Fetch, figure::Figure,
    inspect::Inspect, models::Models, scenes::Scenes, switches::Switches,
};
use crate::console::unwritten;
use crate::failure::{Failure, Result};

const EXAMPLES: &str = "\
Examples:
  clrp demo                               a first picture, without any file
  clrp explain cat.jpg                    fetches SqueezeNet 1.1 (5 MB) at the first time
  clrp explain cat.jpg --weights vgg16-397923af.pth --target top3 --sheet
  clrp explain cat.jpg --model mine.onnx --size 224
  clrp classify *.jpg --weights vgg16-397923af.safetensors --json";

/// Explains what a convolutional network sees: (contrastive) layer-wise relevance propagation, on
/// any GPU and on the CPU.
#[derive(Debug, Parser)]
#[command(name = "clrp", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show which pixels speak for a class
    Explain(Explain),
    /// Show what the network takes pictures for
    Classify(Classify),
    /// Measure ways to explain on a data set: pointing game, ablation, neurons, sanity checks
    Evaluate(Evaluate),
    /// Explain a scene of two digits by the bundled network
    Demo(Demo),
    /// List what can run networks
    Devices(Devices),
    /// Draw figures 1, 3 and 5 of the paper
    Figure(Figure),
    /// List the known networks
    Models(Models),
    /// Convert weights to safetensors
    Convert(Convert),
    /// Download weights that torchvision publishes
    Fetch(Fetch),
    /// Show a network's layers, their rules and what would run
    Inspect(Inspect),
    /// Measure what networks cost on a device
    Bench(Bench),
    /// Show where in their windows max pools find their maxima
    Switches(Switches),
    /// Write scenes of handwritten digits
    Scenes(Scenes),
    /// Print completions for a shell
    Completions(Completions),
}

/// Runs the subcommand that the arguments name.
pub(crate) fn run(args: impl Iterator<Item = OsString>) -> Result<()> {
    let command = match Cli::try_parse_from(args) {
        Ok(cli) => cli.command,
        Err(error) => return answer(&error),
    };
    match command {
        Command::Explain(command) => command.run(),
        Command::Classify(command) => command.run(),
        Command::Evaluate(command) => command.run(),
        Command::Demo(command) => command.run(),
        Command::Devices(command) => command.run(),
        Command::Figure(command) => command.run(),
        Command::Models(command) => command.run(),
        Command::Convert(command) => command.run(),
        Command::Fetch(command) => command.run(),
        Command::Inspect(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Switches(command) => command.run(),
        Command::Scenes(command) => command.run(),
        Command::Completions(command) => command.run(),
    }
}

/// Shows help and version; what is wrong about the arguments becomes one line.
fn answer(error: &clap::Error) -> Result<()> {
    let is_asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if is_asked_for {
        return error.print().and_then(|()| io::stdout().flush()).map_err(unwritten);
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // There is nowhere to complain to.
        let _ = error.print();
        return Err(Failure::Helped);
    }
    Err(Failure::Said(one_line(&error.render().to_string())))
}

/// Clap's message without the usage, its lines joined.
fn one_line(message: &str) -> String {
    let mut line = String::new();
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let said = message.lines().map(str::trim).filter(|part| !part.is_empty());
    let is_usage = |part: &&str| part.starts_with("Usage:") || part.starts_with("For more");
    for part in said.take_while(|part| !is_usage(part)) {
        // What is missing or possible is listed below its heading.
        let is_listed = line.ends_with(':') || part.starts_with('[');
        let between = match line.is_empty() {
            true => "",
            false if is_listed => " ",
            false => "; ",
        };
        line += between;
        line += part;
    }
    line + "; see --help"
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn wrong_arguments_are_told_in_one_line() {
        let message = |line: &str| {
            let error = Cli::try_parse_from(line.split(' ')).expect_err("it is wrong");
            answer(&error).expect_err("no help was asked for").to_string()
        };
        assert_eq!(
            message("clrp explain a.png --precision f16"),
            "invalid value 'f16' for '--precision <PRECISION>' [possible values: f32, f64, fast]; see --help"
        );
        assert_eq!(
            message("clrp explain --offline"),
            "the following required arguments were not provided: <IMAGE>...; see --help"
        );
        assert!(message("clrp explan").starts_with("unrecognized subcommand 'explan'; tip: "));
        assert!(message("clrp classify a --top 0").contains("expected a number of at least 1"));
    }

    #[test]
    fn the_arguments_contradict_each_other_nowhere() {
        Cli::command().debug_assert();
    }
}
