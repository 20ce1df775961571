//! Rows as tables for the terminal.

use std::time::Duration;

use super::{Expected, Row, Stats, roof};
use crate::output;

/// A time in nanoseconds, for people.
pub fn time(ns: f64) -> String {
    output::time(Duration::from_nanos(ns as u64))
}

/// A time by the model: `≤` where it is only known that it is not more.
pub fn expected(expected: Expected) -> String {
    let sign = if expected.at_most { "≤ " } else { "" };
    format!("{sign}{}", time(expected.time_ns))
}

/// With one digit after the point; `-` for nothing.
fn number(n: Option<f64>) -> String {
    n.map_or("-".to_owned(), |n| format!("{n:.1}"))
}

fn giga(n: Option<u64>) -> String {
    n.map_or("-".to_owned(), |n| format!("{:.3}", n as f64 / 1e9))
}

fn mib(bytes: Option<u64>) -> String {
    number(bytes.map(|bytes| bytes as f64 / f64::from(1 << 20)))
}

/// Why there is no time, or what a time leaves out.
fn remark(row: &Row) -> String {
    row.reason.clone().or_else(|| row.note.clone()).unwrap_or_default()
}

/// The table of a device that has times.
pub fn times(rows: &[Row]) -> String {
    let cells = rows.iter().map(|row| {
        let of = |pick: fn(&Stats) -> f64| {
            row.stats.as_ref().map_or("-".to_owned(), |stats| time(pick(stats)))
        };
        vec![
            row.row.clone(),
            row.status.name().to_owned(),
            of(|stats| stats.mean_ns),
            of(|stats| stats.deviation_ns),
            of(|stats| stats.p10_ns),
            of(|stats| stats.p90_ns),
            giga(row.flops_exact),
            number(row.gflops()),
            number(row.gigabytes()),
            roof::show(row.limits),
            mib(row.memory_bytes),
            row.reported_ms.map_or("-".to_owned(), |ms| time(ms * 1e6)),
            remark(row),
        ]
    });
    let head = [
        "row", "status", "mean", "dev", "p10", "p90", "GFLOP", "GFLOP/s", "GB/s", "limits", "MiB",
        "reported", "remark",
    ];
    output::table(&head, &[2, 3, 4, 5, 6, 7, 8, 9, 10, 11], cells.collect())
}

/// The table of the simulator.
pub fn counts(rows: &[Row]) -> String {
    let cells = rows.iter().map(|row| {
        let simulated = || row.steps.iter().filter_map(|step| step.simulated.as_ref());
        let sum = |pick: fn(&super::Simulated) -> u64| match row.warp_instructions() {
            Some(_) => simulated().map(pick).sum::<u64>().to_string(),
            None => "-".to_owned(),
        };
        let shapes: Vec<&str> = simulated().map(|counted| counted.shape.as_str()).collect();
        vec![
            row.row.clone(),
            row.status.name().to_owned(),
            giga(row.flops_exact),
            mib(row.bytes),
            row.expected().map_or("-".to_owned(), expected),
            roof::show(row.limits),
            sum(|counted| counted.warp_instructions),
            sum(|counted| counted.mma),
            sum(|counted| counted.global_sectors),
            sum(|counted| counted.shared_wavefronts),
            shapes.join("; "),
            remark(row),
        ]
    });
    let head = [
        "row",
        "status",
        "GFLOP",
        "MiB moved",
        "modelled",
        "limits",
        "warp instr",
        "mma",
        "sectors",
        "wavefronts",
        "counted at",
        "remark",
    ];
    output::table(&head, &[2, 3, 4, 5, 6, 7, 8, 9], cells.collect())
}
