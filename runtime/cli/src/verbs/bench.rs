//! `tilec bench`: a kernel over shapes, or a named suite.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use indicatif::ProgressBar;
use tilec_model::Gpu;
use tilec_vocab::DType;

use crate::args::{Setting, parse_dtype};
use crate::bench::{
    self, Bench, Call, Case, Known, Limits, NAMES, Operations, Place, Recipe, Report, Row, Status,
    Step, Suite, SuiteRow, html, roof, table,
};
use crate::failure::{Failure, Outcome};
use crate::kept;
use crate::output::{self, Talk};
use crate::source::{Front, front, front_of_library, kernel};
use crate::target::{self, Target};
use crate::verbs::inspect::parse_gpu;

/// Measure a kernel over shapes, or a named suite
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A row is checked against the kernel's spec before it is timed. GFLOP/s count the dots of lanes that exist and
that no mask excludes. `reported` is what the report that a suite's row comes from measured, on its device.
`limits` is the least time by the GPU's data sheet, by the time it took. Without FILE the suites are listed.

Examples:
  tilec bench causal.tile --shape B=1,H=8,G=8,M=1024,N=1024,D=64 --shape B=1,H=8,G=2,M=4096,N=4096,D=64
  tilec bench matmul.tile --shape M=512,N=512,K=512 --dtype f32 --json
  tilec bench seeds/fa2_sm80 --limit 2m
  tilec bench seeds/cs336_triton --count
  tilec bench variants --rows \"length=2048 d=64\" --time 200ms
  tilec bench seeds/fp32_variants --html report.html
  tilec bench seeds/fa2_sm80 --device sim")]
pub struct Args {
    /// The file, or names of suites
    what: Vec<PathBuf>,

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

    /// Whose expected times to give, on the simulator: a30, a100, h100, h200, rtx3090, rtx4090
    #[arg(long, value_name = "NAME", default_value = "a100", value_parser = parse_gpu)]
    gpu: &'static Gpu,

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

    /// Also write a page with tables and plots
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// `B=1,H=8,M=1024`.
#[derive(Clone, Debug)]
struct ShapeOption(BTreeMap<String, i64>);

impl Args {
    /// Measures.
    pub fn run(self, talk: Talk) -> Outcome {
        if self.what.is_empty() {
            return list(self.json);
        }
        let mut suites = Vec::new();
        for what in &self.what {
            let name = what.to_string_lossy();
            match bench::find(&name) {
                Some(suite) => suites.push((name, suite?)),
                None if name.starts_with("seeds/") && !what.exists() => {
                    let known = NAMES.join(", ");
                    let text = format!("there is no suite `{name}`; there are {known}");
                    return Err(Failure::Usage(text));
                }
                None if self.what.len() > 1 => {
                    let text = format!("`{name}` is no suite; a file is measured alone");
                    return Err(Failure::Usage(text));
                }
                None => return self.file(what, talk),
            }
        }
        let place = self.place(talk)?;
        let mut bench = Bench::new(&place, self.limits(), talk);
        let mut reports = Vec::new();
        for (name, suite) in &suites {
            let rows = self.suite(name, suite, &mut bench, talk)?;
            let report = self.report(rows, Some((name, suite)), &place);
            if !self.json {
                self.print(&report, &place)?;
            }
            reports.push(report);
        }
        self.finish(&reports)
    }

    fn file(&self, path: &std::path::Path, talk: Talk) -> Outcome {
        let place = self.place(talk)?;
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
        let mut bench = Bench::new(&place, self.limits(), talk);
        let bar = progress(self.shape.len(), talk);
        let mut rows = Vec::new();
        for ShapeOption(shape) in &self.shape {
            let case = Case { shape: shape.clone(), ..Case::new(self.dtype) };
            let names: Vec<String> = shape.iter().map(|(name, n)| format!("{name}={n}")).collect();
            let name = names.join(" ");
            bar.set_message(name.clone());
            let spec = module.spec(&kernel.name);
            let operations = Operations::Counted;
            let call = Call { kernel, spec, case: &case, repeat: 1, operations };
            rows.push(bench.row(&name, &[call]));
            bar.inc(1);
        }
        bar.finish_and_clear();
        let report = self.report(rows, None, &place);
        if !self.json {
            self.print(&report, &place)?;
        }
        self.finish(&[report])
    }

    fn suite(
        &self,
        name: &str,
        suite: &Suite,
        bench: &mut Bench<'_>,
        talk: Talk,
    ) -> Result<Vec<Row>, Failure> {
        if !self.shape.is_empty() || self.kernel.is_some() {
            let text = format!("`{name}` is a suite, whose rows have their shapes; --rows chooses");
            return Err(Failure::Usage(text));
        }
        let wanted = |row: &&SuiteRow| self.rows.as_ref().is_none_or(|text| row.row.contains(text));
        let chosen: Vec<&SuiteRow> = suite.rows.iter().filter(wanted).collect();
        if chosen.is_empty() {
            return Err(Failure::Usage(format!("no row of `{name}` is meant")));
        }
        let recipes = bench::recipes()?;
        let mut fronts: BTreeMap<String, Front> = BTreeMap::new();
        let bar = progress(chosen.len(), talk);
        let mut rows = Vec::new();
        for row in chosen {
            bar.set_message(row.row.clone());
            let mut measured = suite_row(row, &recipes, bench, &mut fronts, talk)?;
            measured.note = row.remark(&recipes);
            measured.bytes = row.bytes.or(measured.bytes);
            measured.reported_ms = row.reported_ms;
            rows.push(measured);
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(rows)
    }

    /// Where to measure: a device that has times, or the simulator with its counters.
    fn place(&self, talk: Talk) -> Result<Place, Failure> {
        let (threads, ptx) = (self.threads.map(Into::into), tilec_ptx::Options::default());
        let store = kept::store(talk);
        Ok(match self.device.counts() {
            true => Place::Counted(Box::new(self.device.counting(threads, &ptx, store)?), self.gpu),
            false => Place::Timed(self.device.keeping(threads, &ptx, store)?),
        })
    }

    fn limits(&self) -> Limits {
        Limits { time: self.time, limit: self.limit, count_only: self.count }
    }

    fn report(&self, mut rows: Vec<Row>, suite: Option<(&str, &Suite)>, place: &Place) -> Report {
        let info = place.device().info();
        let limits = match place {
            Place::Timed(_) => roof::gpu_of(&info),
            Place::Counted(_, gpu) => Some(*gpu),
        };
        for row in &mut rows {
            row.limits = limits.and_then(|gpu| row.share(gpu));
        }
        Report {
            schema: "tilec.bench/2",
            suite: suite.map(|(name, _)| name.to_owned()),
            about: suite.map(|(_, suite)| suite.about.clone()),
            provenance: suite.map(|(_, suite)| suite.provenance.clone()),
            reported_rows: suite.and_then(|(_, suite)| suite.reported_rows),
            device: info.name,
            model: info.model,
            units: info.units,
            gpu: match place {
                Place::Timed(_) => None,
                Place::Counted(_, gpu) => Some(gpu.name),
            },
            limits_of: limits.map(|gpu| gpu.product),
            version: env!("CARGO_PKG_VERSION"),
            date: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
            rows,
        }
    }

    fn print(&self, report: &Report, place: &Place) -> Outcome {
        let rows = match place {
            Place::Timed(_) => table::times(&report.rows),
            Place::Counted(..) => table::counts(&report.rows),
        };
        output::print(&(report.head() + &rows))
    }

    /// What is written once all is measured, and whether anything is wrong.
    fn finish(&self, reports: &[Report]) -> Outcome {
        if let Some(path) = &self.html {
            std::fs::write(path, html::page(reports)).map_err(|error| {
                Failure::Usage(format!("{}: cannot be written: {error}", path.display()))
            })?;
        }
        match reports {
            [report] if self.json => output::print_json(report)?,
            _ if self.json => {
                let schema = "tilec.bench-set/1";
                output::print_json(&serde_json::json!({ "schema": schema, "reports": reports }))?;
            }
            _ => {}
        }
        let rows = reports.iter().flat_map(|report| &report.rows);
        match rows.filter(|row| row.status == Status::Wrong).count() {
            0 => Ok(()),
            n => Err(Failure::Verification(format!("{} wrong", output::count(n, "row")))),
        }
    }
}

fn suite_row(
    row: &SuiteRow,
    recipes: &BTreeMap<String, Recipe>,
    bench: &mut Bench<'_>,
    fronts: &mut BTreeMap<String, Front>,
    talk: Talk,
) -> Result<Row, Failure> {
    if let Some(why) = &row.unsupported {
        return Ok(Row::new(&row.row, Status::Unsupported, why));
    }
    let steps = row.steps(recipes)?;
    for step in &steps {
        let like = match &step.flops {
            Some(Known::Like(file, ..)) => Some(file),
            Some(Known::Number(_)) | None => None,
        };
        for file in [Some(&step.file), like].into_iter().flatten() {
            let text = bench::source(file).ok_or_else(|| {
                Failure::bug(format!("a suite names file `{file}`, which is not there"))
            })?;
            fronts.entry(file.clone()).or_insert_with(|| front_of_library(file, text, talk));
        }
    }
    let module = |file: &String| {
        let missing = || Failure::bug(format!("`{file}` was not read"));
        fronts.get(file).ok_or_else(missing)?.module(file.as_ref())
    };
    let mut calls = Vec::new();
    for Step { file, kernel, case, repeat, flops } in &steps {
        let operations = match flops {
            None => Operations::Counted,
            Some(Known::Number(n)) => Operations::Given(*n),
            Some(Known::Like(file, kernel, times)) => {
                Operations::Like(self::kernel(module(file)?, Some(kernel))?, *times)
            }
        };
        let (module, repeat) = (module(file)?, *repeat);
        let spec = module.spec(kernel);
        let kernel = self::kernel(module, Some(kernel))?;
        calls.push(Call { kernel, spec, case, repeat, operations });
    }
    Ok(bench.row(&row.row, &calls))
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
