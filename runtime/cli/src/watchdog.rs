//! A limit on time that holds even inside LLVM, which cannot be asked to stop.

use std::sync::Mutex;
use std::time::Duration;

use crate::failure::Failure;
use crate::output::Talk;

/// What is going on, for the message.
static STAGE: Mutex<&str> = Mutex::new("start");

/// Says what is going on now.
pub fn stage(name: &'static str) {
    if let Ok(mut stage) = STAGE.lock() {
        *stage = name;
    }
}

/// Ends the process with exit code 6 when the time is up. Nothing is lost but the work: files are
/// written whole or not at all.
pub fn start(limit: Option<Duration>, talk: Talk) {
    let Some(limit) = limit else { return };
    std::thread::spawn(move || {
        std::thread::sleep(limit);
        let stage = STAGE.lock().map_or("unknown", |stage| *stage);
        let seconds = limit.as_secs_f64();
        let failure = Failure::TimeOut(format!("out of time after {seconds} s, in stage: {stage}"));
        talk.fail(&failure);
        std::process::exit(i32::from(failure.number()));
    });
}

/// Reads seconds for `--timeout`.
pub fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|limit| !limit.is_zero())
        .ok_or_else(|| "not a time to wait".to_owned())
}
