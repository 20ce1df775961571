//! `tilec`, the command line of the tile language.
//!
//! Results go to stdout and talk to stderr. What the exit code says is in `failure.rs`; each verb is
//! a file under `verbs/`.

mod bench;
mod blocks;
mod call;
mod cli;
mod counts;
mod crash;
mod expect;
mod failure;
mod generics;
mod hints;
mod kept;
mod loader;
mod modelled;
mod output;
mod picture;
mod prepare;
mod records;
mod settings;
mod sheet;
mod source;
mod summary;
mod target;
mod verbs;
mod watchdog;

use std::process::ExitCode;

use tilec_runtime::args;

fn main() -> ExitCode {
    stop_quietly_on_closed_pipe();
    crash::install();
    cli::main()
}

/// `tilec … | head` ends when `head` does; Rust would panic on the next write instead.
fn stop_quietly_on_closed_pipe() {
    #[cfg(unix)]
    // SAFETY: sets the default action, before there is another thread or a handler.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}
