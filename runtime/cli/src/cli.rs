//! The verbs and the options they share.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;

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
    Build(verbs::build::Args),
    Run(verbs::run::Args),
    Verify(verbs::verify::Args),
    Tune(verbs::tune::Args),
    Bench(verbs::bench::Args),
    Cache(verbs::cache::Args),
    #[command(hide = true)]
    Candidate(verbs::candidate::Args),
    Inspect(verbs::inspect::Args),
    MaskDiff(verbs::mask_diff::Args),
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
            Verb::Build(args) => args.run(talk),
            Verb::Run(args) => args.run(talk),
            Verb::Verify(args) => args.run(talk),
            Verb::Tune(args) => args.run(talk),
            Verb::Bench(args) => args.run(talk),
            Verb::Cache(args) => args.run(talk),
            Verb::Candidate(args) => args.run(talk),
            Verb::Inspect(args) => args.run(talk),
            Verb::MaskDiff(args) => args.run(talk),
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
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refused(&error),
    };
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

/// A command line that clap does not take, or help that it prints.
fn refused(error: &clap::Error) -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let json = args.iter().any(|arg| arg == "--error-format=json")
        || args.windows(2).any(|pair| pair == ["--error-format", "json"]);
    if json && error.use_stderr() {
        let text = error.render().to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned();
        let failure = Failure::Usage(text);
        Talk { quiet: false, verbose: false, format: ErrorFormat::Json }.fail(&failure);
        return failure.exit_code();
    }
    // What cannot be printed cannot be complained about either.
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// A panic is a bug of ours and ends like one, with a message that says what to do.
fn without_panic(run: impl FnOnce() -> Outcome) -> Outcome {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(|panic| {
        if let (Ok(mut place), Some(location)) = (PANICKED.lock(), panic.location()) {
            *place = format!(" at {location}");
        }
    }));
    let result = catch_unwind(AssertUnwindSafe(run));
    std::panic::set_hook(before);
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        let place = PANICKED.lock().map_or(String::new(), |place| place.clone());
        Err(Failure::bug(format!("compiler bug: panic{place}: {text}")))
    })
}

/// Where the last panic was.
static PANICKED: Mutex<String> = Mutex::new(String::new());

/// The command line as a value, for completions and manual pages.
pub fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_as_a_bug_that_says_where_and_what_to_do() {
        let Err(failure) = without_panic(|| panic!("lost {}", 3)) else { panic!("no failure") };
        let text = failure.to_string();
        assert_eq!(failure.number(), 5);
        assert!(text.starts_with("compiler bug: panic at ") && text.contains("cli.rs"), "{text}");
        assert!(text.contains(": lost 3\n") && text.contains("Please report it"), "{text}");
    }

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }
}
