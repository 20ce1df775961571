//! `tilec candidate`, not for people: one setting of the knobs in a process of its own, for `tilec tune`.

use std::io::{stdin, stdout};
use std::path::PathBuf;
use std::time::Duration;

use tilec_driver::Options;
use tilec_tune::worker::{Work, refuse, serve};
use tilec_tune::{Kind, Reason};

use crate::call::Call;
use crate::failure::{Failure, Outcome};
use crate::output::Talk;
use crate::prepare::{Prepared, prepare};
use crate::watchdog;

/// Play a candidate of `tilec tune`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Started by `tilec tune`. It takes orders on its standard input and answers on its standard output.

Examples:
  tilec candidate add.tile x=ones(5) y=ones(5) --reference r.safetensors --is-default")]
pub struct Args {
    #[command(flatten)]
    call: Call,

    /// Where the results of the default are, or go
    #[arg(long, value_name = "FILE")]
    reference: PathBuf,

    /// Whether this is the default
    #[arg(long)]
    is_default: bool,

    /// End after so many seconds, whatever happens
    #[arg(long, value_name = "SECONDS", value_parser = watchdog::parse_seconds)]
    timeout: Option<Duration>,
}

impl Args {
    /// Plays it.
    pub fn run(self, talk: Talk) -> Outcome {
        watchdog::start(self.timeout, talk);
        let played = self.play(talk).unwrap_or_else(|failure| {
            let text = failure.to_string();
            let first = text.lines().next().unwrap_or_default();
            refuse(Reason::new(Kind::Compile, first), stdout())
        });
        // Nobody listens: the tuner has gone, and so do we.
        played.map_err(|error| Failure::Usage(format!("no one listens: {error}")))
    }

    fn play(&self, talk: Talk) -> Result<std::io::Result<()>, Failure> {
        let front = self.call.front(talk)?;
        let (kernel, spec) = self.call.kernel(&front)?;
        let device = self.call.open()?;
        let mut arguments = self.call.arguments(kernel)?;
        let Prepared { binding, .. } = prepare(kernel, &mut arguments, &self.call.fixed()?)?;
        let artifact = tilec_driver::compile(kernel, &binding, &Options::default())?;
        let work = Work {
            kernel,
            spec,
            artifact: &artifact,
            device: device.as_ref(),
            arguments,
            reference: &self.reference,
            is_default: self.is_default,
        };
        Ok(serve(&work, stdin().lock(), stdout()))
    }
}
