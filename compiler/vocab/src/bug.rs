//! Faults that only we can cause. Returned, never panicked; `tilec` exits with 5 on one.

use std::fmt;

/// A broken promise between two parts of the compiler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bug {
    /// The pass or stage that noticed.
    pub stage: &'static str,
    /// The rule that was broken, and by what.
    pub message: String,
    /// The IR as it stood, annotated; empty where none is at hand.
    pub ir: String,
}

impl Bug {
    /// A bug seen by `stage`.
    pub fn new(stage: &'static str, message: impl Into<String>) -> Bug {
        Bug { stage, message: message.into(), ir: String::new() }
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "compiler bug in {}: {}", self.stage, self.message)
    }
}

impl std::error::Error for Bug {}
