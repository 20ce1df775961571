//! Benchmarks: what a row is, and what came out for it.
//!
//! Every row has a status and, where that is not `ok`, a reason. Nothing is left out of a table in silence.

pub mod html;
mod inputs;
mod measure;
mod memory;
mod plan;
mod plot;
mod recipe;
mod report;
pub mod roof;
mod sim;
mod stats;
mod suite;
pub mod table;

use std::collections::BTreeMap;

use serde::Serialize;
use tilec_model::Pipe;
use tilec_vocab::DType;

pub use measure::{Bench, Limits, Place};
pub use memory::free_bytes;
pub use plan::{Call, Expected, Operations};
pub use recipe::{Known, Recipe, Step, all as recipes};
pub use report::Report;
pub use roof::Share;
pub use sim::Simulated;
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
    /// What tensors of integers hold; 0 and 1 by chance unless given.
    pub data: BTreeMap<String, Data>,
}

/// What a tensor of integers holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// One number everywhere.
    Constant(i64),
    /// 0, 1, 2, …
    Arange,
    /// 0, 1, 2, … in an order by chance.
    Shuffled,
    /// Numbers from 0 to below this, by chance.
    Below(i64),
}

impl Case {
    /// A call that nothing is given of but its type.
    pub fn new(dtype: DType) -> Case {
        let (shape, floats, data) = Default::default();
        Case { dtype, shape, floats, data }
    }
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
    /// What became of it.
    pub status: Status,
    /// Why, if not `ok` or `counted`.
    pub reason: Option<String>,
    /// What it leaves out of what its report measured.
    pub note: Option<String>,
    /// Times.
    #[serde(flatten)]
    pub stats: Option<Stats>,
    /// Floating-point operations of dots for lanes that count.
    pub flops_exact: Option<u64>,
    /// The same with every block that runs counted whole.
    pub flops_executed: Option<u64>,
    /// Bytes that must move: of all tensors of each launch once, unless the suite says which part of them is touched.
    pub bytes: Option<u64>,
    /// How near it came to the limits of its GPU.
    pub limits: Option<Share>,
    /// Bytes of all tensors of the step that has most.
    pub memory_bytes: Option<u64>,
    /// Cases in which its kernels agreed with their specs before.
    pub spec_cases: usize,
    /// What the report that the row comes from measured on its device, in ms.
    pub reported_ms: Option<f64>,
    /// Its kernels, in order.
    pub steps: Vec<StepRow>,
}

/// One kernel of a row.
#[derive(Clone, Debug, Serialize)]
pub struct StepRow {
    /// The kernel.
    pub kernel: String,
    /// The specialisation, knobs included.
    pub specialisation: String,
    /// How often the row has it.
    pub repeat: u64,
    /// Element type of generic tensors.
    pub dtype: String,
    /// Dimensions and integer arguments.
    pub numbers: BTreeMap<String, i64>,
    /// What its operations are made for.
    #[serde(skip)]
    pub pipe: Pipe,
    /// Mean of one launch.
    pub mean_ns: Option<f64>,
    /// What the model of a GPU expects of one launch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
    /// Floating-point operations of dots of one launch for lanes that count.
    pub flops_exact: Option<u64>,
    /// Bytes of its tensors.
    pub bytes: u64,
    /// What the simulator counted, on a smaller launch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simulated: Option<Simulated>,
}

impl Status {
    /// Every one, good news first.
    pub const ALL: &'static [Status] = &[
        Status::Ok,
        Status::Counted,
        Status::Skipped,
        Status::OutOfMemory,
        Status::Unsupported,
        Status::Failed,
        Status::Wrong,
    ];

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
            status,
            reason: Some(reason.into()).filter(|reason| !reason.is_empty()),
            note: None,
            stats: None,
            flops_exact: None,
            flops_executed: None,
            bytes: None,
            limits: None,
            memory_bytes: None,
            spec_cases: 0,
            reported_ms: None,
            steps: Vec::new(),
        }
    }

    /// Exact operations a second, in units of 10^9.
    pub fn gflops(&self) -> Option<f64> {
        let mean = self.stats.as_ref()?.mean_ns;
        self.flops_exact.filter(|&flops| flops > 0).map(|flops| flops as f64 / mean)
    }

    /// Bytes a second, in units of 10^9.
    pub fn gigabytes(&self) -> Option<f64> {
        Some(self.bytes? as f64 / self.stats.as_ref()?.mean_ns)
    }

    /// What the model of a GPU expects of all its launches.
    pub fn expected(&self) -> Option<Expected> {
        let mut all = Expected { time_ns: 0.0, at_most: false };
        for step in &self.steps {
            let one = step.expected?;
            all.time_ns += step.repeat as f64 * one.time_ns;
            all.at_most |= one.at_most;
        }
        (!self.steps.is_empty()).then_some(all)
    }

    /// Warp instructions that the simulator counted for the smaller launches of its steps.
    pub fn warp_instructions(&self) -> Option<u64> {
        let counts = self.steps.iter().map(|step| Some(step.simulated.as_ref()?.warp_instructions));
        counts.sum::<Option<u64>>().filter(|_| !self.steps.is_empty())
    }
}
