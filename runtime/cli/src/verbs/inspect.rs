//! `tilec inspect`: what the compiler proved of a kernel's masks, and what that is worth for a shape.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};
use tilec_driver::{Inspection, LoopReport, inspect};
use tilec_ir::{GenericKind, Kernel};
use tilec_model::Gpu;
use tilec_passes::mask::count::Shape;
use tilec_vocab::{DType, DTypeClass, Sources, Specialisation};

use crate::args::Setting;
use crate::failure::{Failure, Outcome};
use crate::modelled::known_gpus;
use crate::output::{self, Talk};
use crate::picture;
use crate::settings::Settings;
use crate::sheet::{Sheet, sheet};
use crate::source::front;

/// Show what the compiler proved of a kernel's masks, and count it for a shape
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every loop over blocks is sorted into classes before it runs: full blocks need no mask, mixed ones run with it,
dead ones are not run. The bounds are shown in the kernel's own symbols, then counted for the shape. Dimensions
that --shape leaves out are 1, constants 64, knobs their first choice.

With --gpu, knobs that are not set are those that the model of that GPU expects to be fastest, and the sheet
says what a launch needs and how long it should take: a model, no measurement.

Examples:
  tilec inspect causal.tile --shape B=4,H=16,G=16,M=4096,N=4096,D=128 --gpu h100
  tilec inspect causal.tile --shape M=1024,N=1024 --knob BM=128
  tilec inspect window_left.tile --shape M=8192,N=8192,window=512 --json
  tilec inspect causal.tile --shape M=1024,N=1024 --picture tiles.svg")]
pub struct Args {
    /// The file; - is the standard input
    file: PathBuf,

    /// Dimensions, constants and integer arguments
    #[arg(long, value_name = "NAME=INT,…", value_delimiter = ',')]
    shape: Vec<Setting>,

    /// The element type of generic tensors
    #[arg(long, value_name = "TYPE", default_value = "f16")]
    dtype: String,

    /// The kernel, where the file has several; all of them unless given
    #[arg(short, long, value_name = "NAME")]
    kernel: Option<String>,

    #[command(flatten)]
    settings: Settings,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Also the sheet for a GPU: a30, a100, h100, h200, rtx3090, rtx4090
    #[arg(long, value_name = "NAME", value_parser = parse_gpu)]
    gpu: Option<&'static Gpu>,

    /// Draw the map of tiles of the first loop to an SVG file
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
}

impl Args {
    /// Prints the report of each kernel.
    pub fn run(self, talk: Talk) -> Outcome {
        let front = front(&self.file, talk)?;
        let module = front.module(&self.file)?;
        let wanted = |kernel: &&Kernel| self.kernel.as_ref().is_none_or(|n| *n == kernel.name);
        let kernels: Vec<&Kernel> = module.kernels.iter().filter(wanted).collect();
        if kernels.is_empty() {
            crate::source::kernel(module, self.kernel.as_deref())?;
        }
        let mut reports = Vec::new();
        for kernel in &kernels {
            let (mut binding, shape) = self.numbers(kernel)?;
            let mut inspection = inspect(kernel, &binding, &shape)?;
            let mut sheet = None;
            if let Some(gpu) = self.gpu {
                let found = self.sheet(kernel, &binding, &shape, &inspection, gpu)?;
                let own = found.knobs.iter().filter(|(name, _)| binding.ints.contains_key(*name));
                let own: Vec<(String, i64)> = own.map(|(name, &n)| (name.clone(), n)).collect();
                binding.ints.extend(own);
                inspection = inspect(kernel, &binding, &shape)?;
                sheet = Some(found);
            }
            if self.json {
                let mut report = to_json(&inspection, &binding, &shape, &front.sources);
                if let Some(sheet) = &sheet {
                    report["gpu"] = sheet.json();
                }
                reports.push(report);
            } else {
                let mut text = to_text(&inspection, &binding, &shape, &front.sources);
                text += &sheet.map(|sheet| sheet.text(&inspection)).unwrap_or_default();
                output::print(&text)?;
            }
            if let (Some(path), [_]) = (&self.picture, kernels.as_slice()) {
                let drawn = picture::draw(&inspection).map_err(Failure::Usage)?;
                tilec_host::files::replace(path, drawn.as_bytes())
                    .map_err(|error| Failure::Usage(error.to_string()))?;
                talk.say(format!("wrote {}", path.display()));
            }
        }
        if self.picture.is_some() && kernels.len() > 1 {
            return Err(Failure::Usage("a picture is of one kernel: -k NAME".to_owned()));
        }
        if self.json {
            output::print_json(&json!({ "schema": "tilec.inspect/1", "kernels": reports }))?;
        }
        Ok(())
    }

    fn sheet(
        &self,
        kernel: &Kernel,
        binding: &Specialisation,
        shape: &Shape,
        inspection: &Inspection,
        gpu: &'static Gpu,
    ) -> Result<Sheet, Failure> {
        let knobs = self.settings.gpu()?.knobs;
        let set = [("warps", knobs.warps), ("stages", knobs.stages)];
        let set = set.into_iter().filter_map(|(name, n)| Some((name.to_owned(), i64::from(n?))));
        let fixed = self.settings.knobs()?.into_iter().chain(set).collect();
        sheet(kernel, binding, shape, inspection.tensor_bytes, gpu, &fixed)
    }

    /// A binding for every generic parameter, and every dimension and integer argument that is known.
    fn numbers(&self, kernel: &Kernel) -> Result<(Specialisation, Shape), Failure> {
        let mut given: BTreeMap<String, i64> = self.settings.knobs()?;
        for Setting { name, value } in &self.shape {
            if given.insert(name.clone(), *value).is_some() {
                return Err(Failure::Usage(format!("`{name}` is given twice")));
            }
        }
        let dtype = DType::from_name(&self.dtype);
        let mut binding = Specialisation::default();
        for generic in kernel.generics.values() {
            let name = generic.name.clone();
            match &generic.kind {
                GenericKind::DType(class) => {
                    let fits = dtype.filter(|&dtype| class.contains(dtype));
                    let fits = fits.or(match class {
                        DTypeClass::Int => Some(DType::I32),
                        _ => None,
                    });
                    let dtype = fits.ok_or_else(|| {
                        let got = &self.dtype;
                        Failure::Usage(format!("`{name}` takes a {class} type, not `{got}`"))
                    })?;
                    binding.dtypes.insert(name, dtype);
                }
                GenericKind::Const => {
                    let value = given.remove(&name).unwrap_or(64);
                    binding.ints.insert(name, value);
                }
                GenericKind::Knob(choices) => {
                    let value = given.remove(&name).or(choices.first().copied()).unwrap_or(1);
                    binding.ints.insert(name, value);
                }
            }
        }
        let mut shape = Shape::default();
        for dim in kernel.dims.values() {
            shape.names.insert(dim.name.clone(), given.remove(&dim.name).unwrap_or(1));
        }
        for param in kernel.params.values() {
            if let Some(value) = given.remove(&param.name) {
                shape.names.insert(param.name.clone(), value);
            }
        }
        match given.into_keys().next() {
            None => Ok((binding, shape)),
            Some(name) => {
                let text = "kernel `{}` has no dimension, constant, knob or integer argument";
                let text = text.replace("{}", &kernel.name);
                Err(Failure::Usage(format!("{text} `{name}`")))
            }
        }
    }
}

/// Reads the name of a GPU for `--gpu`.
pub fn parse_gpu(name: &str) -> Result<&'static Gpu, String> {
    Gpu::named(name).ok_or_else(|| format!("known are {}", known_gpus()))
}

fn to_text(
    inspection: &Inspection,
    binding: &Specialisation,
    shape: &Shape,
    sources: &Sources,
) -> String {
    let shape: Vec<String> = shape.names.iter().map(|(name, n)| format!("{name}={n}")).collect();
    let grid: Vec<String> = inspection.grid.iter().map(|(name, n)| format!("{name} {n}")).collect();
    let mut text = format!(
        "{}  {binding}  for {}\ngrid  {}\n",
        inspection.kernel,
        shape.join(" "),
        grid.join(" x ")
    );
    for report in &inspection.loops {
        text += &format!("\nloop over {}, blocks of {}\n", report.axis, report.block);
        for mask in &report.masks {
            text += &format!("  mask   {}\n", snippet(mask.span, sources));
            if !mask.opaque.is_empty() {
                text += &format!(
                    "         depends on data ({}): mixed in every block\n",
                    mask.opaque.join(", ")
                );
            }
            if mask.tested {
                text += "         blocks that the bounds leave open are tested as they come\n";
            }
            if let Some(why) = &mask.kept {
                text += &format!("         dead blocks are kept: {why}\n");
            }
        }
        if report.ragged {
            text += "  mask   the last block may lack lanes\n";
        }
        text += &intervals("live", &report.live);
        text += &intervals("mixed", &report.mixed);
        text += &classes(report);
    }
    if let Some(flops) = inspection.flops {
        text += &format!(
            "\nfloating-point operations of dots  {} executed, {} exact\n",
            thousands(flops.executed),
            thousands(flops.exact)
        );
    }
    text += &format!("bytes of all tensors               {}\n", thousands(inspection.tensor_bytes));
    if let Some(bytes) = inspection.tile_bytes {
        text += &format!("bytes asked for by tiles           {}\n", thousands(bytes));
    }
    text
}

fn intervals(what: &str, intervals: &[String]) -> String {
    let all = intervals.iter().any(|interval| interval == "0 .. end");
    match intervals {
        [] => format!("  {what:<6} no block\n"),
        _ if all => format!("  {what:<6} every block\n"),
        _ => {
            let pad = format!("\n  {:6} and ", "");
            format!("  {what:<6} blocks {}\n", intervals.join(&pad))
        }
    }
}

fn classes(report: &LoopReport) -> String {
    let counts = match &report.counts {
        Ok(counts) => counts,
        Err(unknown) if unknown.contains('[') => {
            return format!("  {unknown} is read from memory, so blocks cannot be counted\n");
        }
        Err(unknown) => {
            return format!("  blocks cannot be counted without {unknown}: --shape {unknown}=…\n");
        }
    };
    let all = counts.full + counts.mixed + counts.dead;
    let share = |n: u64| if all == 0 { 0.0 } else { 100.0 * n as f64 / all as f64 };
    let row =
        |what: &str, n: u64| vec![what.to_owned(), thousands(n), format!("{:.1} %", share(n))];
    let rows = vec![row("full", counts.full), row("mixed", counts.mixed), row("dead", counts.dead)];
    let table = output::table(&["class", "blocks", "share"], &[1, 2], rows);
    let table: String = table.lines().map(|line| format!("  {line}\n")).collect();
    format!("{table}  {} lanes of {} count\n", thousands(counts.lanes), report.pair.join(" x "))
}

/// The source text of a span, on one line.
fn snippet(span: tilec_vocab::Span, sources: &Sources) -> String {
    let text = sources.text(span).split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() { "a condition of the compiler's".to_owned() } else { text }
}

/// `1_234_567`.
fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}

fn to_json(
    inspection: &Inspection,
    binding: &Specialisation,
    shape: &Shape,
    sources: &Sources,
) -> Value {
    let loops = inspection.loops.iter().map(|report| {
        let masks = report.masks.iter().map(|mask| {
            json!({
                "source": snippet(mask.span, sources),
                "depends_on": mask.opaque,
                "dead_kept_because": mask.kept,
                "tested": mask.tested,
            })
        });
        let counts = report.counts.as_ref().ok().map(|counts| {
            json!({
                "full": counts.full, "mixed": counts.mixed, "dead": counts.dead,
                "lanes": counts.lanes, "lanes_of": report.pair,
            })
        });
        json!({
            "axis": report.axis, "block": report.block, "masks": masks.collect::<Vec<_>>(),
            "ragged": report.ragged, "live": report.live, "mixed": report.mixed,
            "classes": counts, "unknown": report.counts.as_ref().err(),
        })
    });
    let dtypes: BTreeMap<_, _> = binding.dtypes.iter().map(|(n, d)| (n, d.to_string())).collect();
    json!({
        "kernel": inspection.kernel,
        "types": dtypes,
        "constants": binding.ints,
        "shape": shape.names,
        "grid": inspection.grid.iter().map(|(name, n)| json!({ "axis": name, "programs": n }))
            .collect::<Vec<_>>(),
        "loops": loops.collect::<Vec<_>>(),
        "flops_executed": inspection.flops.map(|flops| flops.executed),
        "flops_exact": inspection.flops.map(|flops| flops.exact),
        "tensor_bytes": inspection.tensor_bytes,
        "tile_bytes": inspection.tile_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1234567].map(thousands), ["0", "999", "1_000", "1_234_567"]);
    }
}
