//! `tilec completions`: a script that makes a shell complete the command line.

use clap_complete::Shell;

use crate::cli;
use crate::failure::Outcome;
use crate::output;

/// Print a script that makes a shell complete tilec's verbs and options
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tilec completions bash > ~/.local/share/bash-completion/completions/tilec
  tilec completions zsh > ~/.zfunc/_tilec
  tilec completions fish > ~/.config/fish/completions/tilec.fish")]
pub struct Args {
    /// The shell
    shell: Shell,
}

impl Args {
    /// Prints the script.
    pub fn run(self) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut cli::command(), "tilec", &mut script);
        output::print(&String::from_utf8_lossy(&script))
    }
}
