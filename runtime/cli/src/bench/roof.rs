//! How near a row came to the limits of its GPU.

use serde::Serialize;
use tilec_host::DeviceInfo;
use tilec_model::{Gpu, Roof};

use super::Row;
use crate::hints;

/// The share of the time that a GPU's data sheet allows at best.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// What bounds the row: a pipe, or `memory`.
    pub bound: &'static str,
    /// The least time in which its operations and bytes could be done.
    pub limit_ns: f64,
    /// That, by the mean; on the simulator, by the modelled time.
    pub fraction: f64,
    /// Whether the modelled time is only known not to be more, so that the share is only known not to be less.
    pub at_least: bool,
}

impl Row {
    /// Its share of what this GPU could do; none where it has no time, or its operations could not be counted.
    pub fn share(&self, gpu: &Gpu) -> Option<Share> {
        self.flops_exact?;
        let flops = self
            .steps
            .iter()
            .map(|step| Some((step.pipe, step.repeat as f64 * step.flops_exact? as f64)));
        let flops = flops.collect::<Option<Vec<_>>>()?;
        let Roof { bound, time_ns: limit_ns } = gpu.roof(&flops, self.bytes? as f64);
        let (time_ns, at_least) = match (&self.stats, self.expected()) {
            (Some(stats), _) => (stats.mean_ns, false),
            (None, Some(expected)) => (expected.time_ns, expected.at_most),
            (None, None) => return None,
        };
        Some(Share { bound, limit_ns, fraction: limit_ns / time_ns, at_least })
    }
}

/// The GPU whose limits a timed device has: of one that merely is like it they would say nothing.
pub fn gpu_of(device: &DeviceInfo) -> Option<&'static Gpu> {
    Gpu::exactly(&device.model, hints::target_of(device)?, device.units)
}

/// `62 % of tensor cores`; `-` where nothing is known.
pub fn show(share: Option<Share>) -> String {
    share.map_or("-".to_owned(), |share| {
        let sign = if share.at_least { "≥ " } else { "" };
        format!("{sign}{:.0} % of {}", 100.0 * share.fraction, share.bound)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tilec_model::Pipe;

    use super::super::{Expected, Status, StepRow};
    use super::*;

    fn step(pipe: Pipe, repeat: u64, flops: u64, expected: Option<Expected>) -> StepRow {
        StepRow {
            kernel: "k".to_owned(),
            specialisation: String::new(),
            repeat,
            dtype: "f16".to_owned(),
            numbers: BTreeMap::new(),
            pipe,
            mean_ns: None,
            expected,
            flops_exact: Some(flops),
            bytes: 0,
            simulated: None,
        }
    }

    #[test]
    fn a_share_is_of_the_longer_of_operations_and_bytes() {
        let gpu = Gpu::named("a100").expect("it is known");
        let mut row = Row::new("r", Status::Counted, "");
        // A millisecond of tensor cores for each of two launches, by a model that says 4 ms in all.
        let expected = Some(Expected { time_ns: 2e6, at_most: false });
        row.steps.push(step(Pipe::Half, 2, 312_000_000_000, expected));
        (row.flops_exact, row.bytes) = (Some(624_000_000_000), Some(1 << 20));
        assert_eq!(show(row.share(gpu)), "50 % of tensor cores");
        // 2039 GB/s for 3 ms.
        row.bytes = Some(6_117_000_000);
        assert_eq!(show(row.share(gpu)), "75 % of memory");
        row.steps[0].expected = Some(Expected { time_ns: 2e6, at_most: true });
        assert_eq!(show(row.share(gpu)), "≥ 75 % of memory");
        // What nobody timed or counted has no share.
        row.steps[0].expected = None;
        assert_eq!(row.share(gpu), None);
        row.steps[0].expected = expected;
        row.flops_exact = None;
        assert_eq!(show(row.share(gpu)), "-");
    }
}
