//! Tests that run in a process of their own, which finds the fake driver.

#![allow(dead_code)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tilec_fakecuda::{LOG, PLAN, install};

/// Set in the process that has the fake driver.
const INSIDE: &str = "TILEC_FAKECUDA_INSIDE";

/// What became of a process.
pub struct Ended {
    /// Whether it succeeded; none if it had to be killed.
    pub success: Option<bool>,
    /// What it printed.
    pub output: String,
    /// The calls it made, in order, and what it left behind.
    pub log: Vec<String>,
}

impl Ended {
    /// Fails unless the process succeeded.
    pub fn well(self) -> Ended {
        assert_eq!(self.success, Some(true), "{}", self.output);
        // A name that is no test's would succeed too.
        assert!(self.output.contains("test result: ok. 1 passed"), "{}", self.output);
        self
    }

    /// How often a function was called.
    pub fn calls(&self, name: &str) -> usize {
        self.log.iter().filter(|line| *line == name).count()
    }
}

/// Runs `body` in a process of its own under `plan`, by running the test called `test` again; `None` inside of it.
pub fn under(test: &str, plan: &str, body: impl FnOnce()) -> Option<Ended> {
    under_within(Duration::from_secs(60), test, plan, body)
}

/// As [`under`], killed after so long.
pub fn under_within(limit: Duration, test: &str, plan: &str, body: impl FnOnce()) -> Option<Ended> {
    if std::env::var(INSIDE).as_deref() == Ok(plan) {
        body();
        return None;
    }
    if std::env::var_os(INSIDE).is_some() {
        // Inside for another plan of the same test.
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    install(folder.path()).expect("the library is built");
    Some(start(limit, test, plan, folder.path()))
}

/// Runs the test again in a process that looks for the driver in `folder`.
pub fn start(limit: Duration, test: &str, plan: &str, folder: &Path) -> Ended {
    let log = folder.join("log");
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .env(INSIDE, plan)
        .env(PLAN, plan)
        .env(LOG, &log)
        .env("LD_LIBRARY_PATH", folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this program starts");
    let end = Instant::now() + limit;
    let success = loop {
        match child.try_wait().expect("a child to wait for") {
            Some(status) => break Some(status.success()),
            None if Instant::now() > end => {
                child.kill().expect("a child to kill");
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let output = child.wait_with_output().expect("its output");
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    let log = std::fs::read_to_string(log).unwrap_or_default();
    let log = log.lines().map(str::to_owned).collect();
    Ended { success, output: text.concat(), log }
}

/// Whether this is the process for `plan`.
pub fn inside(plan: &str) -> bool {
    std::env::var(INSIDE).as_deref() == Ok(plan)
}
