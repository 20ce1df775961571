//! `tilec man`: manual pages.

use clap_mangen::Man;

use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::output;

/// Print the manual page of tilec or of a verb
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tilec man > ~/.local/share/man/man1/tilec.1
  tilec man run | man -l -")]
pub struct Args {
    /// The verb; none: the page of tilec itself
    verb: Option<String>,
}

impl Args {
    /// Prints the page.
    pub fn run(self) -> Outcome {
        let mut tilec = cli::command();
        tilec.build();
        let page = match &self.verb {
            None => tilec,
            Some(verb) => {
                let Some(found) = tilec.find_subcommand(verb) else {
                    return Err(Failure::Usage(format!("tilec has no verb `{verb}`")));
                };
                found.clone()
            }
        };
        let mut roff = Vec::new();
        Man::new(page)
            .render(&mut roff)
            .map_err(|error| Failure::Bug(format!("the manual page cannot be made: {error}")))?;
        output::print(&String::from_utf8_lossy(&roff))
    }
}
