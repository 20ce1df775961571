//! Benchmarks: what a row is, and what came out for it.
//!
//! Every row has a status and, where that is not `ok`, a reason. Nothing is left out of a table in silence.

mod inputs;
mod measure;
mod stats;
mod suite;

use std::collections::BTreeMap;

use serde::Serialize;
use tilec_vocab::DType;

pub use measure::{Bench, Limits, free_bytes};
pub use stats::Stats;
pub use suite::{NAMES, Suite, SuiteRow, find, source};

/// One call to measure.
#[derive(Clone, Debug)]
pub struct Case {
    /// Element type of generic tensors.
    pub dtype: DType,
    /// Dimensions, constants and integer arguments.
    pub shape: BTreeMap<String, i64>,
    /// Floating-point arguments; `scale` is 1/sqrt(D) unless given.
    pub floats: BTreeMap<String, f64>,
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Right and measured.
    Ok,
    /// Possible, and counted without being run.
    Counted,
    /// Its tensors do not fit into memory.
    OutOfMemory,
    /// There is no kernel for it.
    Unsupported,
    /// It would take longer than allowed.
    Skipped,
    /// The kernel disagrees with its spec.
    Wrong,
    /// It could not be compiled or launched.
    Failed,
}

/// One row of a result.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What is measured, in words.
    pub row: String,
    /// The kernel.
    pub kernel: String,
    /// The specialisation, knobs included.
    pub specialisation: String,
    /// What became of it.
    pub status: Status,
    /// Why, if not `ok` or `counted`.
    pub reason: Option<String>,
    /// Times.
    #[serde(flatten)]
    pub stats: Option<Stats>,
    /// Floating-point operations of dots for lanes that count.
    pub flops_exact: Option<u64>,
    /// The same with every block that runs counted whole.
    pub flops_executed: Option<u64>,
    /// Bytes of all tensors, each counted once.
    pub tensor_bytes: Option<u64>,
    /// Cases in which it agreed with its spec before.
    pub spec_cases: usize,
    /// What the report that the row comes from measured on its device, in ms.
    pub reported_ms: Option<f64>,
}

impl Status {
    /// As in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Counted => "counted",
            Status::OutOfMemory => "out-of-memory",
            Status::Unsupported => "unsupported",
            Status::Skipped => "skipped",
            Status::Wrong => "wrong",
            Status::Failed => "failed",
        }
    }
}

impl Row {
    /// A row that nothing is known of yet.
    pub fn new(row: &str, status: Status, reason: impl Into<String>) -> Row {
        Row {
            row: row.to_owned(),
            kernel: String::new(),
            specialisation: String::new(),
            status,
            reason: Some(reason.into()),
            stats: None,
            flops_exact: None,
            flops_executed: None,
            tensor_bytes: None,
            spec_cases: 0,
            reported_ms: None,
        }
    }

    /// Exact operations a second, in units of 10^9.
    pub fn gflops(&self) -> Option<f64> {
        let mean = self.stats.as_ref()?.mean_ns;
        self.flops_exact.filter(|&flops| flops > 0).map(|flops| flops as f64 / mean)
    }

    /// Bytes of tensors a second, in units of 10^9.
    pub fn gigabytes(&self) -> Option<f64> {
        Some(self.tensor_bytes? as f64 / self.stats.as_ref()?.mean_ns)
    }
}
