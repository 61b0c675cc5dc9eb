//! `clrp completions`: what shells need to complete arguments.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::console::print;
use crate::failure::Result;

const EXAMPLES: &str = "\
Examples:
  clrp completions bash > ~/.local/share/bash-completion/completions/clrp
  clrp completions fish > ~/.config/fish/completions/clrp.fish";

/// Arguments of `clrp completions`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    /// Runs the command.
    pub(crate) fn run(&self) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "clrp", &mut script);
        print(String::from_utf8_lossy(&script))
    }
}
