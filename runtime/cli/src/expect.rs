//! `--expect o=FILE`: an output held against a stored one, within a tolerance.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Serialize;
use tilec_host::{Elements, Launch, Tensor, files};
use tilec_interp::compare::{Comparison, Rule, compare};
use tilec_interp::{Data, TensorData};
use tilec_vocab::DType;

use crate::args::{FilePlace, OutputFile};
use crate::failure::Failure;
use crate::output::{self, count};
use crate::summary::{precise, short};

/// What to compare with, and how close it must be.
#[derive(Debug, clap::Args)]
pub struct Expect {
    /// Compare an output with a stored one; exit code 3 if they differ by more than the tolerance
    #[arg(long = "expect", value_name = "NAME=FILE")]
    files: Vec<OutputFile>,

    /// Largest difference allowed, for one output or all [default: 1e-5 for f32, 1e-3 for f16, 1e-2 for
    /// bf16; integers must be equal]
    #[arg(long = "tolerance", value_name = "[NAME=]X")]
    tolerances: Vec<Tolerance>,
}

/// `1e-4` or `o=1e-4`.
#[derive(Clone, Debug)]
struct Tolerance {
    name: Option<String>,
    value: f64,
}

/// One output and the stored one.
#[derive(Debug, Serialize)]
pub struct Compared {
    output: String,
    with: String,
    /// Largest difference; `null` where NaN or an infinity is out of place.
    error_max: Option<f64>,
    allowed: f64,
    position: Vec<i64>,
    got: String,
    expected: String,
    beyond: usize,
    elements: usize,
    passed: bool,
}

/// Stored tensors, read before the kernel runs, by output.
pub struct Stored(Vec<(String, FilePlace, Tensor)>);

impl Expect {
    /// Reads the files; names that are no output are found by `written`.
    pub fn read(&self, written: &[&str]) -> Result<Stored, Failure> {
        let mut tolerated = BTreeMap::new();
        for Tolerance { name, value } in &self.tolerances {
            let expected =
                name.as_ref().is_none_or(|name| self.files.iter().any(|f| f.name == *name));
            if !expected {
                let name = name.as_deref().unwrap_or_default();
                let message = format!("--tolerance {name}=…: there is no --expect {name}=…");
                return Err(Failure::Usage(message));
            }
            if tolerated.insert(name, value).is_some() {
                return Err(Failure::Usage("a --tolerance is given twice".to_owned()));
            }
        }
        let mut stored = Vec::new();
        for OutputFile { name, place } in &self.files {
            if !written.contains(&name.as_str()) {
                let known = written.join(", ");
                let message = format!(
                    "--expect {name}=…: the kernel writes no tensor `{name}`; it writes {known}"
                );
                return Err(Failure::Usage(message));
            }
            let tensor = files::read(&place.path, place.entry.as_deref())
                .map_err(|error| Failure::Usage(format!("--expect {name}=…: {error}")))?;
            stored.push((name.clone(), place.clone(), tensor));
        }
        Ok(Stored(stored))
    }

    fn tolerance(&self, name: &str, dtype: DType) -> f64 {
        let given = |wanted: Option<&str>| {
            self.tolerances.iter().find(|tolerance| tolerance.name.as_deref() == wanted)
        };
        let by_dtype = match dtype {
            DType::Bool | DType::I32 | DType::I64 => 0.0,
            DType::F32 => 1e-5,
            DType::F16 => 1e-3,
            DType::BF16 => 1e-2,
        };
        given(Some(name)).or_else(|| given(None)).map_or(by_dtype, |tolerance| tolerance.value)
    }

    /// Compares each output of a launch that has run.
    pub fn compare(&self, stored: &Stored, launch: &Launch) -> Result<Vec<Compared>, Failure> {
        let mut rows = Vec::new();
        for (name, place, expected) in &stored.0 {
            let Some((_, tensor, _)) = launch.tensors().find(|(other, _, _)| other == name) else {
                continue;
            };
            let allowed = self.tolerance(name, tensor.dtype());
            let rule = Rule { factor: 0.0, floor: allowed };
            let wanted = data(expected)?;
            let comparison = compare(&data(tensor)?, &wanted, &wanted, rule)
                .map_err(|error| Failure::Usage(format!("--expect {name}=…: {error}")))?;
            rows.push(Compared::new(name, place, &comparison, allowed, wanted.data.len()));
        }
        Ok(rows)
    }
}

impl Compared {
    fn new(
        name: &str,
        place: &FilePlace,
        comparison: &Comparison,
        allowed: f64,
        elements: usize,
    ) -> Compared {
        let path = place.path.display();
        Compared {
            output: name.to_owned(),
            with: place.entry.as_ref().map_or(path.to_string(), |entry| format!("{path}:{entry}")),
            error_max: Some(comparison.max_abs_error).filter(|error| error.is_finite()),
            allowed,
            position: comparison.position.clone().unwrap_or_default(),
            got: precise(comparison.actual),
            expected: precise(comparison.expected),
            beyond: comparison.failures,
            elements,
            passed: comparison.pass,
        }
    }

    /// Cells of [`HEAD`].
    fn cells(&self) -> Vec<String> {
        vec![
            self.output.clone(),
            self.with.clone(),
            self.error_max.map_or_else(|| "inf".to_owned(), short),
            short(self.allowed),
            format!("{}{:?}", self.output, self.position),
            if self.passed { "ok" } else { "FAILED" }.to_owned(),
        ]
    }
}

const HEAD: [&str; 6] = ["compared", "with", "worst error", "allowed", "position", "result"];

/// The comparisons as a table.
pub fn table(rows: &[Compared]) -> String {
    output::table(&HEAD, &[2, 3], rows.iter().map(Compared::cells).collect())
}

/// The failure of those that are out of tolerance.
pub fn verdict(rows: &[Compared]) -> Result<(), Failure> {
    let Some(worst) = rows.iter().find(|row| !row.passed) else { return Ok(()) };
    let Compared { output, got, expected, with, beyond, elements, position, .. } = worst;
    Err(Failure::Verification(format!(
        "{output}{position:?} is {got}, but {expected} in {with}; {beyond} of {} out of tolerance",
        count(*elements, "element")
    )))
}

fn data(tensor: &Tensor) -> Result<TensorData, Failure> {
    let data = match tensor.read()? {
        Elements::Floats(values) => Data::Float(values),
        Elements::Ints(values) => Data::Int(values),
        Elements::Bools(values) => Data::Bool(values),
    };
    Ok(TensorData { shape: tensor.shape().to_vec(), data })
}

impl FromStr for Tolerance {
    type Err = String;

    fn from_str(text: &str) -> Result<Tolerance, String> {
        let (name, number) = match text.split_once('=') {
            Some((name, number)) => (Some(name.trim().to_owned()), number),
            None => (None, text),
        };
        let value: Option<f64> = number.trim().parse().ok();
        let value = value.filter(|value| value.is_finite() && *value >= 0.0);
        let value = value.ok_or_else(|| format!("`{number}` is not a tolerance; write 1e-4"))?;
        Ok(Tolerance { name, value })
    }
}
