//! `tilec mask-diff`: whether two kernels mask alike.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;
use tilec_ir::GenericKind;
use tilec_passes::mask::diff::{Mask, Verdict, compare};
use tilec_passes::pipeline;
use tilec_vocab::{DType, DTypeClass, Specialisation};

use crate::args::Setting;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Talk, print_json};
use crate::source::{front, kernel};

/// Pairs looked at unless --bound says otherwise, about.
const PAIRS: f64 = 2e7;

/// Show whether two kernels mask alike, or the first row and column where they differ
#[derive(Debug, clap::Args)]
#[command(
    name = "mask-diff",
    after_help = "\
Both masks are tried on every row and column of every size up to the bound, small sizes first. Numbers both
kernels name alike are one number. Exit code 0 if they are equal, 3 if they differ.

Examples:
  tilec mask-diff causal.tile causal_bottom_right.tile
  tilec mask-diff window_left.tile mine.tile --shape window=3 --bound 40"
)]
pub struct Args {
    /// A file with one kernel, or FILE:KERNEL
    a: String,

    /// The file to compare with
    b: String,

    /// Numbers to keep fixed
    #[arg(long, value_name = "NAME=INT,…", value_delimiter = ',')]
    shape: Vec<Setting>,

    /// The largest number tried for each that is not fixed; by default what takes a few seconds
    #[arg(long, value_name = "INT", value_parser = clap::value_parser!(i64).range(1..=4096))]
    bound: Option<i64>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Prints the verdict.
    pub fn run(self, talk: Talk) -> Outcome {
        let fixed: BTreeMap<String, i64> =
            self.shape.iter().map(|setting| (setting.name.clone(), setting.value)).collect();
        let (a, b) = (mask(&self.a, &fixed, talk)?, mask(&self.b, &fixed, talk)?);
        let mut names: Vec<&String> = a.numbers().keys().chain(b.numbers().keys()).collect();
        names.sort();
        names.dedup();
        let free = names.iter().filter(|name| !fixed.contains_key(**name)).count();
        let bound = self.bound.unwrap_or_else(|| {
            // Each free number, and a row and a column.
            (PAIRS.powf(1.0 / (free as f64 + 2.0)) as i64).clamp(4, 128)
        });
        let verdict = compare(&a, &b, &fixed, bound);
        if self.json {
            print_json(&match &verdict {
                Verdict::Equal { sizes, pairs } => json!({
                    "schema": "tilec.mask-diff/1", "equal": true, "bound": bound,
                    "sizes": sizes, "pairs": pairs,
                }),
                Verdict::Differ { numbers, row, column, first } => json!({
                    "schema": "tilec.mask-diff/1", "equal": false, "bound": bound,
                    "numbers": numbers, "row": row, "column": column, "first": first,
                    "second": !first,
                }),
            })?;
        }
        match verdict {
            Verdict::Equal { sizes, pairs } => {
                if !self.json {
                    output::print(&format!(
                        "equal: {pairs} pairs of a row and a column in {sizes} sizes, every number up to {bound}\n"
                    ))?;
                }
                Ok(())
            }
            Verdict::Differ { numbers, row, column, first } => {
                let numbers: Vec<String> =
                    numbers.iter().map(|(n, v)| format!("{n}={v}")).collect();
                let says = |sees: bool| if sees { "sees it" } else { "does not" };
                let text = format!(
                    "the masks differ at row {row}, column {column}, for {}: {} {}, {} {}",
                    numbers.join(" "),
                    self.a,
                    says(first),
                    self.b,
                    says(!first)
                );
                Err(Failure::Verification(text))
            }
        }
    }
}

/// The mask of `FILE` or `FILE:KERNEL`.
fn mask(place: &str, fixed: &BTreeMap<String, i64>, talk: Talk) -> Result<Mask, Failure> {
    let (path, name) = match place.rsplit_once(':') {
        Some((path, name)) if !Path::new(place).exists() => (path, Some(name)),
        _ => (place, None),
    };
    let path = PathBuf::from(path);
    let front = front(&path, talk)?;
    let kernel = kernel(front.module(&path)?, name)?;
    let mut binding = Specialisation::default();
    for generic in kernel.generics.values() {
        let name = generic.name.clone();
        match &generic.kind {
            GenericKind::DType(DTypeClass::Int) => {
                binding.dtypes.insert(name, DType::I32);
            }
            GenericKind::DType(_) => {
                binding.dtypes.insert(name, DType::F32);
            }
            GenericKind::Const => {
                let value = fixed.get(&name).copied().unwrap_or(64);
                binding.ints.insert(name, value);
            }
            GenericKind::Knob(choices) => {
                binding.ints.insert(name, choices.first().copied().unwrap_or(1));
            }
        }
    }
    let options = pipeline::Options::loops_whole();
    let kernel =
        tilec_driver::optimise(kernel, &binding, &tilec_driver::Options { pipeline: options })?;
    Mask::of(&kernel).map_err(Failure::Usage)
}
