//! The verbs and the options they share.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::failure::{EXIT_CODES, Failure, Outcome};
use crate::output::{ErrorFormat, Talk};
use crate::verbs;

/// The tile language: write an attention kernel in a few lines, run it, see that it is right.
#[derive(Debug, Parser)]
#[command(
    name = "tilec",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "Start with `tilec new my_attention`, then `tilec verify my_attention.tile`.",
    after_long_help = EXIT_CODES
)]
pub struct Cli {
    #[command(flatten)]
    shared: Shared,

    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Args)]
struct Shared {
    /// How errors are written
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        default_value = "human",
        help_heading = "Common options"
    )]
    error_format: ErrorFormat,

    /// When to use colour; NO_COLOR and CLICOLOR_FORCE count too
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Common options"
    )]
    color: Colour,

    /// Say nothing but errors and results
    #[arg(short, long, global = true, help_heading = "Common options")]
    quiet: bool,

    /// Say more about what is done
    #[arg(short, long, global = true, help_heading = "Common options")]
    verbose: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Colour {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Verb {
    New(verbs::new::Args),
    Check(verbs::check::Args),
    Fmt(verbs::fmt::Args),
    Emit(verbs::emit::Args),
    Run(verbs::run::Args),
    Explain(verbs::explain::Args),
    Devices(verbs::devices::Args),
    Doctor(verbs::doctor::Args),
    Completions(verbs::completions::Args),
    Man(verbs::man::Args),
}

impl Verb {
    fn run(self, talk: Talk) -> Outcome {
        match self {
            Verb::New(args) => args.run(talk),
            Verb::Check(args) => args.run(talk),
            Verb::Fmt(args) => args.run(talk),
            Verb::Emit(args) => args.run(talk),
            Verb::Run(args) => args.run(talk),
            Verb::Explain(args) => args.run(),
            Verb::Devices(args) => args.run(),
            Verb::Doctor(args) => args.run(),
            Verb::Completions(args) => args.run(),
            Verb::Man(args) => args.run(),
        }
    }
}

/// Reads the command line, does what it says, gives the exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.shared.color {
        Colour::Auto => {}
        Colour::Always => anstream::ColorChoice::Always.write_global(),
        Colour::Never => anstream::ColorChoice::Never.write_global(),
    }
    let talk = Talk {
        quiet: cli.shared.quiet,
        verbose: cli.shared.verbose,
        format: cli.shared.error_format,
    };
    match without_panic(|| cli.verb.run(talk)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            talk.fail(&failure);
            failure.exit_code()
        }
    }
}

/// A panic is a bug of ours and ends like one, with a message that says what to do.
fn without_panic(run: impl FnOnce() -> Outcome) -> Outcome {
    std::panic::set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(run));
    let _ = std::panic::take_hook();
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(Failure::Bug(format!("compiler bug: panic: {text}\n{REPORT}")))
    })
}

/// What to do about a bug.
pub const REPORT: &str = "This is a fault of tilec, not of your program. Please report it with the \
                          command line and the source file.";

/// The command line as a value, for completions and manual pages.
pub fn command() -> clap::Command {
    Cli::command()
}
