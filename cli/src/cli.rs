//! The arguments of the command, and which subcommand runs.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use crate::commands::{
    classify::Classify, completions::Completions, convert::Convert, demo::Demo, devices::Devices,
    explain::Explain, fetch::Fetch, inspect::Inspect, models::Models, scenes::Scenes,
    switches::Switches,
};
use crate::failure::Result;

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
    /// Explain a scene of two digits by the bundled network
    Demo(Demo),
    /// List what can run networks
    Devices(Devices),
    /// List the known networks
    Models(Models),
    /// Convert weights to safetensors
    Convert(Convert),
    /// Download weights that torchvision publishes
    Fetch(Fetch),
    /// Show a network's layers, their rules and what would run
    Inspect(Inspect),
    /// Show where in their windows max pools find their maxima
    Switches(Switches),
    /// Write scenes of handwritten digits
    Scenes(Scenes),
    /// Print completions for a shell
    Completions(Completions),
}

/// Runs the subcommand that the arguments name; wrong usage ends the process with code 2.
pub(crate) fn run(args: impl Iterator<Item = OsString>) -> Result<()> {
    match Cli::parse_from(args).command {
        Command::Explain(command) => command.run(),
        Command::Classify(command) => command.run(),
        Command::Demo(command) => command.run(),
        Command::Devices(command) => command.run(),
        Command::Models(command) => command.run(),
        Command::Convert(command) => command.run(),
        Command::Fetch(command) => command.run(),
        Command::Inspect(command) => command.run(),
        Command::Switches(command) => command.run(),
        Command::Scenes(command) => command.run(),
        Command::Completions(command) => command.run(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_contradict_each_other_nowhere() {
        Cli::command().debug_assert();
    }
}
