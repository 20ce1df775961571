//! All rows of one run, with what is needed to make sense of them later.

use serde::Serialize;

use super::{Row, Status};
use crate::output;

/// What a run gives.
#[derive(Serialize)]
pub struct Report {
    /// Name and version of this format.
    pub schema: &'static str,
    /// The suite, if it was one.
    pub suite: Option<String>,
    /// What the suite is, in a line.
    pub about: Option<String>,
    /// Where its rows come from.
    pub provenance: Option<String>,
    /// Figures of the report it was made from.
    pub reported_rows: Option<usize>,
    /// The device, as `--device` takes it.
    pub device: String,
    /// The hardware.
    pub model: String,
    /// Threads, multiprocessors.
    pub units: usize,
    /// The GPU whose model gives expected times.
    pub gpu: Option<&'static str>,
    /// The GPU whose data sheet gives the limits.
    pub limits_of: Option<&'static str>,
    /// Of `tilec`.
    pub version: &'static str,
    /// When the last row was done, in UTC.
    pub date: String,
    /// The rows.
    pub rows: Vec<Row>,
}

impl Report {
    /// What stands above a table.
    pub fn head(&self) -> String {
        let units = output::count(self.units, "unit");
        let gpu = self.gpu.map_or(String::new(), |gpu| format!(", times by the model of {gpu}"));
        let limits = self.limits_of.map_or(String::new(), |gpu| format!(", limits of {gpu}"));
        let mut text = format!("on {} ({}, {units}{gpu}{limits})\n", self.device, self.model);
        if let (Some(name), Some(about), Some(provenance)) =
            (&self.suite, &self.about, &self.provenance)
        {
            text += &format!("{name}: {about}. {provenance}\n");
        }
        format!("{text}{}\n\n", self.tally())
    }

    /// `12 ok, 3 skipped`.
    pub fn tally(&self) -> String {
        let of = |status: Status| {
            let n = self.rows.iter().filter(|row| row.status == status).count();
            (n > 0).then(|| format!("{n} {}", status.name()))
        };
        let all = output::count(self.rows.len(), "row");
        let parts: Vec<String> = Status::ALL.iter().filter_map(|&status| of(status)).collect();
        format!("{all}: {}", parts.join(", "))
    }
}
