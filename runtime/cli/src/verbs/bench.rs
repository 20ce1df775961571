//! `tilec bench`: a kernel over shapes, or a named suite.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use indicatif::ProgressBar;
use serde::Serialize;
use tilec_vocab::DType;

use crate::args::{Setting, parse_dtype};
use crate::bench::{self, Bench, Case, Limits, NAMES, Row, Status, Suite, SuiteRow};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Talk};
use crate::source::{Front, front, front_of_library, kernel};
use crate::target::{self, Target};

/// Measure a kernel over shapes, or a named suite
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A row is checked against the kernel's spec before it is timed. GFLOP/s count the dots of lanes that exist and
that no mask excludes. `reported` is what the report that a suite's row comes from measured, on its device.
Without FILE the suites are listed.

Examples:
  tilec bench causal.tile --shape B=1,H=8,G=8,M=1024,N=1024,D=64 --shape B=1,H=8,G=2,M=4096,N=4096,D=64
  tilec bench matmul.tile --shape M=512,N=512,K=512 --dtype f32 --json
  tilec bench seeds/fa2_sm80 --limit 2m
  tilec bench seeds/cs336_triton --count
  tilec bench variants --rows \"length=2048 d=64\" --time 200ms")]
pub struct Args {
    /// The file, or the name of a suite
    what: Option<PathBuf>,

    /// Dimensions, constants, knobs and integer arguments of one row
    #[arg(long, value_name = "NAME=INT,…")]
    shape: Vec<ShapeOption>,

    /// The element type of generic tensors
    #[arg(long, value_name = "TYPE", default_value = "f16", value_parser = parse_dtype)]
    dtype: DType,

    /// The kernel, where the file has several
    #[arg(short, long, value_name = "NAME")]
    kernel: Option<String>,

    /// Of a suite, only rows whose name has this in it
    #[arg(long, value_name = "TEXT")]
    rows: Option<String>,

    /// Where to run: cpu, interp, cuda, cuda:N, sim
    #[arg(long, value_name = "DEVICE", default_value_t = target::default(), env = "TILEC_DEVICE")]
    device: Target,

    /// How many threads to use
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,

    /// How long to measure a row
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = humantime::parse_duration)]
    time: Duration,

    /// Skip rows that would take longer
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = humantime::parse_duration)]
    limit: Duration,

    /// Launch nothing: say what can be counted of each row
    #[arg(long)]
    count: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `B=1,H=8,M=1024`.
#[derive(Clone, Debug)]
struct ShapeOption(BTreeMap<String, i64>);

#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    suite: Option<&'a str>,
    provenance: Option<&'a str>,
    device: String,
    model: String,
    units: usize,
    rows: &'a [Row],
}

impl Args {
    /// Measures.
    pub fn run(self, talk: Talk) -> Outcome {
        let Some(what) = &self.what else { return list(self.json) };
        let name = what.to_string_lossy();
        match bench::find(&name) {
            Some(suite) => self.suite(&name, &suite?, talk),
            None if name.starts_with("seeds/") && !what.exists() => {
                let known = NAMES.join(", ");
                Err(Failure::Usage(format!("there is no suite `{name}`; there are {known}")))
            }
            None => self.file(what, talk),
        }
    }

    fn file(&self, path: &std::path::Path, talk: Talk) -> Outcome {
        let device =
            self.device.open(self.threads.map(Into::into), &tilec_ptx::Options::default())?;
        let front = front(path, talk)?;
        let module = front.module(path)?;
        let kernel = kernel(module, self.kernel.as_deref())?;
        if self.shape.is_empty() {
            let dims = kernel.dims.values().map(|dim| format!("{}=…", dim.name));
            let dims = dims.collect::<Vec<_>>().join(",");
            let name = &kernel.name;
            let text = format!("kernel `{name}` needs a shape: --shape {dims} and its constants");
            return Err(Failure::Usage(text));
        }
        let mut bench = Bench::new(device.as_ref(), self.limits(), talk);
        let bar = progress(self.shape.len(), talk);
        let mut rows = Vec::new();
        for ShapeOption(shape) in &self.shape {
            let case = Case { dtype: self.dtype, shape: shape.clone(), floats: BTreeMap::new() };
            let names: Vec<String> = shape.iter().map(|(name, n)| format!("{name}={n}")).collect();
            let name = names.join(" ");
            bar.set_message(name.clone());
            rows.push(bench.row(&name, kernel, module.spec(&kernel.name), &case));
            bar.inc(1);
        }
        bar.finish_and_clear();
        self.print(&rows, None, device.as_ref())
    }

    fn suite(&self, name: &str, suite: &Suite, talk: Talk) -> Outcome {
        if !self.shape.is_empty() || self.kernel.is_some() {
            let text = format!("`{name}` is a suite, whose rows have their shapes; --rows chooses");
            return Err(Failure::Usage(text));
        }
        let wanted = |row: &&SuiteRow| self.rows.as_ref().is_none_or(|text| row.row.contains(text));
        let chosen: Vec<&SuiteRow> = suite.rows.iter().filter(wanted).collect();
        if chosen.is_empty() {
            return Err(Failure::Usage(format!("no row of `{name}` is meant")));
        }
        let device =
            self.device.open(self.threads.map(Into::into), &tilec_ptx::Options::default())?;
        let mut bench = Bench::new(device.as_ref(), self.limits(), talk);
        let mut fronts: BTreeMap<&str, Front> = BTreeMap::new();
        let bar = progress(chosen.len(), talk);
        let mut rows = Vec::new();
        for row in chosen {
            bar.set_message(row.row.clone());
            let mut measured = suite_row(row, &mut bench, &mut fronts, talk)?;
            measured.reported_ms = row.reported_ms;
            rows.push(measured);
            bar.inc(1);
        }
        bar.finish_and_clear();
        self.print(&rows, Some((name, suite)), device.as_ref())
    }

    fn limits(&self) -> Limits {
        Limits { time: self.time, limit: self.limit, count_only: self.count }
    }

    fn print(
        &self,
        rows: &[Row],
        suite: Option<(&str, &Suite)>,
        device: &dyn tilec_host::Device,
    ) -> Outcome {
        let info = device.info();
        if self.json {
            output::print_json(&Report {
                schema: "tilec.bench/1",
                suite: suite.map(|(name, _)| name),
                provenance: suite.map(|(_, suite)| suite.provenance.as_str()),
                device: info.name,
                model: info.model,
                units: info.units,
                rows,
            })?;
        } else {
            let (model, units) = (&info.model, output::count(info.units, "unit"));
            let mut text = format!("on {} ({model}, {units})\n", info.name);
            if let Some((name, suite)) = suite {
                text += &format!("{name}: {}. {}\n", suite.about, suite.provenance);
            }
            output::print(&format!("{text}\n{}", table(rows)))?;
        }
        match rows.iter().filter(|row| row.status == Status::Wrong).count() {
            0 => Ok(()),
            n => Err(Failure::Verification(format!("{} wrong", output::count(n, "row")))),
        }
    }
}

fn suite_row<'s>(
    row: &'s SuiteRow,
    bench: &mut Bench<'_>,
    fronts: &mut BTreeMap<&'s str, Front>,
    talk: Talk,
) -> Result<Row, Failure> {
    let (Some(name), Some(case)) = (&row.kernel, row.case()) else {
        let why = row.unsupported.clone().unwrap_or_default();
        return Ok(Row::new(&row.row, Status::Unsupported, why));
    };
    let text = bench::source(name).ok_or_else(|| {
        Failure::bug(format!("a suite names kernel `{name}`, which is not there"))
    })?;
    let front = fronts.entry(name).or_insert_with(|| front_of_library(name, text, talk));
    let module = front.module(name.as_ref())?;
    let kernel = kernel(module, Some(name))?;
    Ok(bench.row(&row.row, kernel, module.spec(name), &case))
}

fn table(rows: &[Row]) -> String {
    let time = |ns: f64| output::time(Duration::from_nanos(ns as u64));
    let cells = rows.iter().map(|row| {
        let of = |pick: fn(&bench::Stats) -> f64| {
            row.stats.as_ref().map_or("-".to_owned(), |stats| time(pick(stats)))
        };
        let number = |n: Option<f64>| n.map_or("-".to_owned(), |n| format!("{n:.1}"));
        vec![
            row.row.clone(),
            row.status.name().to_owned(),
            of(|stats| stats.mean_ns),
            of(|stats| stats.deviation_ns),
            of(|stats| stats.p10_ns),
            of(|stats| stats.p90_ns),
            row.flops_exact.map_or("-".to_owned(), |n| format!("{:.3}", n as f64 / 1e9)),
            number(row.gflops()),
            number(row.gigabytes()),
            row.tensor_bytes.map_or("-".to_owned(), |bytes| format!("{:.1}", mib(bytes))),
            row.reported_ms.map_or("-".to_owned(), |ms| time(ms * 1e6)),
            row.reason.clone().unwrap_or_default(),
        ]
    });
    let head = [
        "row", "status", "mean", "dev", "p10", "p90", "GFLOP", "GFLOP/s", "GB/s", "MiB",
        "reported", "why",
    ];
    output::table(&head, &[2, 3, 4, 5, 6, 7, 8, 9, 10], cells.collect())
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn list(json: bool) -> Outcome {
    let mut rows = Vec::new();
    for name in NAMES {
        if let Some(suite) = bench::find(name) {
            let suite = suite?;
            rows.push((*name, suite.rows.len(), suite.about));
        }
    }
    if json {
        let suites: Vec<_> = rows
            .into_iter()
            .map(|(name, rows, about)| serde_json::json!({ "name": name, "rows": rows, "about": about }))
            .collect();
        let schema = "tilec.suites/1";
        return output::print_json(&serde_json::json!({ "schema": schema, "suites": suites }));
    }
    let rows =
        rows.into_iter().map(|(name, rows, about)| vec![name.to_owned(), rows.to_string(), about]);
    output::print_table(&["suite", "rows", "about"], &[1], rows.collect())
}

fn progress(rows: usize, talk: Talk) -> ProgressBar {
    output::bar(rows, "{wide_msg} {pos}/{len}", talk)
}

impl FromStr for ShapeOption {
    type Err = String;

    fn from_str(text: &str) -> Result<ShapeOption, String> {
        let mut shape = BTreeMap::new();
        for part in text.split(',') {
            let Setting { name, value } = part.parse()?;
            if shape.insert(name.clone(), value).is_some() {
                return Err(format!("`{name}` is given twice"));
            }
        }
        Ok(ShapeOption(shape))
    }
}
