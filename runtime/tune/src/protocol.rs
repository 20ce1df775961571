//! What the tuner and a candidate's process say to each other: JSON, one object a line.

use std::fmt;

use serde::{Deserialize, Serialize};

/// To a candidate, on its standard input. It ends when that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// Launch so often and report each time.
    Time {
        /// How often.
        launches: u32,
    },
}

/// From a candidate, on its standard output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// It was compiled, ran on the real arguments, and its results are right.
    Checked {
        /// SHA-256 of the code as it is stored.
        code: String,
        /// Cases in which it agreed with the spec.
        cases: usize,
    },
    /// Time of each launch, in nanoseconds.
    Times {
        /// In order.
        ns: Vec<u64>,
    },
    /// It is out.
    Refused(Reason),
}

/// Why a candidate is out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// For programs.
    pub kind: Kind,
    /// For people.
    pub text: String,
}

/// Kinds of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It does not compile under these knobs, or is too large for the device.
    Compile,
    /// The device refused or failed the launch.
    Launch,
    /// Its result is wrong, or it wrote outside its tensors.
    Wrong,
    /// Its process ended by itself.
    Crash,
    /// It did not answer in time and was killed.
    Hang,
    /// Its answers make no sense: no time, a time of zero, no JSON.
    Nonsense,
    /// It was not tried: no time or memory was left.
    Skipped,
    /// It was not tried: the device has no room for it.
    Unfit,
    /// It was not tried: the model expects others to be faster.
    Pruned,
}

impl Kind {
    /// As in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Compile => "compile",
            Kind::Launch => "launch",
            Kind::Wrong => "wrong",
            Kind::Crash => "crash",
            Kind::Hang => "hang",
            Kind::Nonsense => "nonsense",
            Kind::Skipped => "skipped",
            Kind::Unfit => "unfit",
            Kind::Pruned => "pruned",
        }
    }
}

impl Reason {
    /// A reason.
    pub fn new(kind: Kind, text: impl fmt::Display) -> Reason {
        Reason { kind, text: text.to_string() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.text)
    }
}
