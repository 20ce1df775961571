//! One case: a kernel under one specialisation and one set of arguments, against its spec.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tilec_driver::{CompileError, compile, specialise};
use tilec_host::{Arguments, Device, Executable, RuntimeError, bind, launch};
use tilec_interp::compare::{Comparison, Rule, compare};
use tilec_interp::{Argument, Limits, Mode, Outcome, run};
use tilec_ir::{Kernel, Precision};
use tilec_vocab::{Bug, DType, Specialisation};

use crate::Plan;
use crate::extents::{self, Extents, binding};
use crate::inputs::{self, Inputs};

/// What one case is drawn from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Dimensions, constants and knobs.
    pub extents: Extents,
    /// Element types by generic parameter.
    pub dtypes: BTreeMap<String, DType>,
    /// Seed of the arguments.
    pub seed: u64,
}

/// An output held against the oracle.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The tensor.
    pub output: String,
    /// The comparison.
    pub comparison: Comparison,
}

/// What the spec says: exactly, and as a plain low-precision program would compute it.
pub struct Oracle {
    inputs: Inputs,
    exact: Outcome,
    naive: Outcome,
    kernel: Kernel,
    /// Specialised, its products in the precision that the kernel asks for.
    spec: Kernel,
    low: DType,
    case: Case,
}

/// Other draws of the arguments that a result just outside of its bound is held against.
const MORE_DRAWS: u64 = 8;
/// How far outside, at most, as a multiple of the bound.
const JUST_OUTSIDE: f64 = 4.0;

/// Why a case could not be judged.
#[derive(Clone, Debug)]
pub enum CaseError {
    /// The specialisation does not fit.
    Compile(CompileError),
    /// The device or the launch refused.
    Runtime(RuntimeError),
    /// The oracle refused: limits, or a spec that writes outside its tensors.
    Oracle(String),
}

impl fmt::Display for CaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CaseError::Compile(error) => error.fmt(f),
            CaseError::Runtime(error) => error.fmt(f),
            CaseError::Oracle(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for CaseError {}

impl From<CompileError> for CaseError {
    fn from(error: CompileError) -> CaseError {
        CaseError::Compile(error)
    }
}

impl From<RuntimeError> for CaseError {
    fn from(error: RuntimeError) -> CaseError {
        CaseError::Runtime(error)
    }
}

impl From<Bug> for CaseError {
    fn from(bug: Bug) -> CaseError {
        CaseError::Compile(CompileError::Bug(bug))
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dtypes = self.dtypes.iter().map(|(name, dtype)| format!("{name}={dtype}"));
        let dims = self.extents.dims.iter().map(|(name, n)| format!("{name}={n}"));
        let ints = self.extents.ints.iter().map(|(name, n)| format!("{name}={n}"));
        let parts: Vec<String> = dims.chain(ints).chain(dtypes).collect();
        write!(f, "{} (seed {})", parts.join(" "), self.seed)
    }
}

impl Case {
    /// The numbers among the arguments, by parameter.
    pub fn numbers(&self, kernel: &Kernel) -> Vec<(String, String)> {
        let inputs = inputs::draw(kernel, &self.extents, &self.dtypes, self.seed);
        let number = |input: inputs::Input| {
            let shown = match input.value {
                Argument::Int(n) => n.to_string(),
                Argument::Float(x) => (x as f32).to_string(),
                Argument::Bool(b) => b.to_string(),
                Argument::Tensor(_) => return None,
            };
            Some((input.name, shown))
        };
        inputs.map_or(Vec::new(), |inputs| inputs.params.into_iter().filter_map(number).collect())
    }
}

/// The spec's outcome, exactly and as a plain program in `low` computes it.
fn both(spec: &Kernel, inputs: &Inputs, low: DType) -> Result<(Outcome, Outcome), CaseError> {
    let execute = |mode| {
        run(spec, inputs.for_oracle(), mode, Limits::default())
            .map_err(|error| CaseError::Oracle(format!("the spec: {error}")))
    };
    Ok((execute(Mode::Exact)?, execute(Mode::Low(low))?))
}

impl Oracle {
    /// Runs the spec; `None` where no arguments meet the kernel's conditions.
    pub fn new(kernel: &Kernel, spec: &Kernel, case: &Case) -> Result<Option<Oracle>, CaseError> {
        let Some(inputs) = inputs::draw(kernel, &case.extents, &case.dtypes, case.seed) else {
            return Ok(None);
        };
        let bound = specialise(spec, &binding(spec, &case.extents, &case.dtypes))?;
        // A plain program makes its products in the precision that the kernel asks for.
        let in_tf32 = kernel.precisions().any(|precision| precision == Precision::Tf32);
        let bound = if in_tf32 { bound.with_precision(Precision::Tf32) } else { bound };
        let low = case.dtypes.values().next().copied().unwrap_or(DType::F32);
        let low = if low.is_float() { low } else { DType::F32 };
        let (exact, naive) = both(&bound, &inputs, low)?;
        let (kernel, case) = (kernel.clone(), case.clone());
        Ok(Some(Oracle { inputs, exact, naive, kernel, spec: bound, low, case }))
    }

    /// The greatest error of the plain program over more draws of the arguments: of a tensor with few independent
    /// elements, one draw may be lucky.
    fn usual_error(&self, output: usize) -> Result<f64, CaseError> {
        let mut most: f64 = 0.0;
        for seed in (1..=MORE_DRAWS).map(|more| self.case.seed.wrapping_add(more)) {
            let Case { extents, dtypes, .. } = &self.case;
            let Some(inputs) = inputs::draw(&self.kernel, extents, dtypes, seed) else { continue };
            let (exact, naive) = both(&self.spec, &inputs, self.low)?;
            let (exact, naive) = (&exact.outputs[output].tensor, &naive.outputs[output].tensor);
            let found = compare(naive, exact, naive, Rule::default())
                .map_err(|error| Bug::new("verify", error.to_string()))?;
            most = most.max(found.naive_error);
        }
        Ok(most)
    }

    /// Runs the kernel on a device and compares each of its outputs; where the device has no room for the case's knobs,
    /// with the largest smaller ones, which become the case's.
    pub fn judge(
        &self,
        loaded: &mut Loaded<'_>,
        case: &mut Case,
    ) -> Result<Vec<Judged>, CaseError> {
        let mut smaller = loaded.smaller(case);
        let args = loop {
            match self.run(loaded, case) {
                Err(error @ CaseError::Runtime(RuntimeError::NoRoom { .. })) => {
                    case.extents = smaller.next().ok_or(error)?;
                }
                ran => break ran?,
            }
        };
        let mut judged = Vec::new();
        let outputs = self.exact.outputs.iter().zip(&self.naive.outputs);
        for (output, (exact, naive)) in outputs.enumerate() {
            let actual = inputs::result(&args, &exact.name)?;
            let held = |rule| {
                compare(&actual, &exact.tensor, &naive.tensor, rule)
                    .map_err(|error| Bug::new("verify", error.to_string()))
            };
            let mut comparison = held(Rule::default())?;
            if !comparison.pass && comparison.max_abs_error <= JUST_OUTSIDE * comparison.bound {
                let Rule { factor, floor } = Rule::default();
                let usual = self.usual_error(output)?.max(comparison.naive_error);
                comparison = held(Rule { factor: 0.0, floor: factor * usual + floor })?;
            }
            judged.push(Judged { output: exact.name.clone(), comparison });
        }
        Ok(judged)
    }

    /// The arguments, after the kernel ran.
    fn run(&self, loaded: &mut Loaded<'_>, case: &Case) -> Result<Arguments, CaseError> {
        let executable = loaded.executable(case)?;
        let args = self.inputs.for_device()?;
        launch(executable.as_ref(), &bind(executable.contract(), &args)?)?;
        Ok(args)
    }
}

/// A kernel on a device, with the specialisations that were compiled.
pub struct Loaded<'a> {
    kernel: &'a Kernel,
    device: &'a dyn Device,
    plan: &'a Plan,
    known: BTreeMap<Specialisation, Arc<dyn Executable>>,
}

impl<'a> Loaded<'a> {
    /// Nothing compiled yet.
    pub fn new(kernel: &'a Kernel, device: &'a dyn Device, plan: &'a Plan) -> Loaded<'a> {
        Loaded { kernel, device, plan, known: BTreeMap::new() }
    }

    /// With one that is compiled already.
    pub fn with(
        kernel: &'a Kernel,
        device: &'a dyn Device,
        plan: &'a Plan,
        compiled: (Specialisation, Arc<dyn Executable>),
    ) -> Loaded<'a> {
        Loaded { known: BTreeMap::from([compiled]), ..Loaded::new(kernel, device, plan) }
    }

    /// The case's extents with smaller knobs.
    fn smaller(&self, case: &Case) -> impl Iterator<Item = Extents> + use<> {
        extents::smaller(self.kernel, &case.extents, &self.plan.fixed).into_iter()
    }

    fn executable(&mut self, case: &Case) -> Result<Arc<dyn Executable>, CaseError> {
        let wanted = binding(self.kernel, &case.extents, &case.dtypes);
        if let Some(executable) = self.known.get(&wanted) {
            return Ok(executable.clone());
        }
        let executable = self.device.load(&compile(self.kernel, &wanted, &self.plan.options)?)?;
        self.known.insert(wanted, executable.clone());
        Ok(executable)
    }
}
