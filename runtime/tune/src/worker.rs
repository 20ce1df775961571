//! The candidate's side: checks itself, then takes orders until its input ends.
//!
//! A check has two parts. Against the kernel's **spec**, on small shapes at which tiled code goes wrong: the
//! independent reference. And on the **real arguments**, with outputs that start as poison and lie between guard
//! zones: the guards must hold, and the results must agree with those of the default knobs, which catches what only
//! shows at size. Guards are checked before timing only.

use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tilec_cache::sha256_hex;
use tilec_driver::Options;
use tilec_host::{
    Argument, Arguments, Device, Elements, Executable, Launch, Tensor, bind, files, launch, times,
};
use tilec_interp::compare::{Rule, compare};
use tilec_interp::{Data, TensorData};
use tilec_ir::Kernel;
use tilec_verify::{CaseError, Failure, What};
use tilec_vocab::{Artifact, DType, ParamKind, Payload};

use crate::protocol::{Kind, Order, Reason, Reply};

/// Elements of a guard zone, before and behind each output.
const GUARD: i64 = 4096;

/// Cases against the spec.
const CASES: usize = 6;

/// What a candidate is.
pub struct Work<'a> {
    /// The kernel, still generic, and its spec if it has one.
    pub kernel: &'a Kernel,
    /// The spec.
    pub spec: Option<&'a Kernel>,
    /// The kernel under the candidate's knobs.
    pub artifact: &'a Artifact,
    /// Where it runs.
    pub device: &'a dyn Device,
    /// The real arguments; tensors that nobody gave are poisoned.
    pub arguments: Arguments,
    /// Where the default's results are, or go if this is the default.
    pub reference: &'a Path,
    /// Whether this is the default.
    pub is_default: bool,
}

/// Plays the candidate to the end of `orders`; what it says goes to `replies`.
///
/// # Errors
///
/// Nobody listens any more.
pub fn serve(
    work: &Work<'_>,
    orders: impl BufRead,
    mut replies: impl Write,
) -> std::io::Result<()> {
    let mut say = |reply: &Reply| {
        let line = serde_json::to_string(reply).unwrap_or_default();
        replies.write_all(format!("{line}\n").as_bytes()).and_then(|()| replies.flush())
    };
    let ready = match prepare(work) {
        Ok(ready) => ready,
        Err(reason) => return say(&Reply::Refused(reason)),
    };
    say(&Reply::Checked { code: code_of(work.artifact), cases: ready.cases })?;
    for line in orders.lines() {
        let Ok(Order::Time { launches }) = serde_json::from_str(&line?) else { break };
        let measured = times(ready.executable.as_ref(), &ready.launch, 0, launches as usize);
        let ns = |time: &Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        match measured {
            Ok(measured) => say(&Reply::Times { ns: measured.iter().map(ns).collect() })?,
            Err(error) => return say(&Reply::Refused(Reason::new(Kind::Launch, error))),
        }
    }
    Ok(())
}

/// Says that there is no candidate to play, and why.
///
/// # Errors
///
/// Nobody listens any more.
pub fn refuse(reason: Reason, mut replies: impl Write) -> std::io::Result<()> {
    let line = serde_json::to_string(&Reply::Refused(reason)).unwrap_or_default();
    replies.write_all(format!("{line}\n").as_bytes()).and_then(|()| replies.flush())
}

/// SHA-256 of an artifact's code.
pub fn code_of(artifact: &Artifact) -> String {
    match &artifact.payload {
        Payload::TileIr(text) => sha256_hex(text.as_bytes()),
        Payload::Ptx(variants) => {
            let texts: Vec<&str> = variants.iter().map(|code| code.text.as_str()).collect();
            sha256_hex(texts.concat().as_bytes())
        }
    }
}

/// A candidate that is right.
struct Ready {
    executable: Arc<dyn Executable>,
    launch: Launch,
    cases: usize,
}

fn prepare(work: &Work<'_>) -> Result<Ready, Reason> {
    let executable =
        work.device.load(work.artifact).map_err(|error| Reason::new(Kind::Compile, error))?;
    let cases = against_spec(work, Arc::clone(&executable))?;
    let guarded = guard(work)?;
    let bound = bind(&work.artifact.contract, &guarded.arguments)
        .map_err(|error| Reason::new(Kind::Launch, error))?;
    launch(executable.as_ref(), &bound).map_err(|error| Reason::new(Kind::Launch, error))?;
    for (name, whole, before) in &guarded.zones {
        let after = zones(whole).map_err(failed)?;
        if after != *before {
            return Err(Reason::new(Kind::Wrong, format!("it wrote outside of `{name}`")));
        }
    }
    against_default(work, &bound, cases)?;
    Ok(Ready { executable, launch: bound, cases })
}

/// Cases in which the kernel agreed with its spec; 0 without one.
fn against_spec(work: &Work<'_>, executable: Arc<dyn Executable>) -> Result<usize, Reason> {
    let Some(spec) = work.spec else { return Ok(0) };
    let specialisation = &work.artifact.specialisation;
    let plan = tilec_verify::Plan {
        cases: CASES,
        seed: 1,
        dtypes: Vec::new(),
        fixed: specialisation.ints.clone(),
        options: Options::default(),
        threads: Some(1),
    };
    tilec_verify::check(work.kernel, spec, work.device, (specialisation.clone(), executable), &plan)
        .map_err(|failure| misfit(&failure))
}

/// Why the spec refuses it.
fn misfit(failure: &Failure) -> Reason {
    let case = &failure.case;
    match &failure.what {
        What::Wrong(judged) => {
            let (error, bound) = (judged.comparison.max_abs_error, judged.comparison.bound);
            let text = format!(
                "`{}` is off its spec by {error:.1e}, allowed is {bound:.1e}; case {case}",
                judged.output
            );
            Reason::new(Kind::Wrong, text)
        }
        What::Error(CaseError::Runtime(error)) => {
            Reason::new(Kind::Launch, format!("{error}; case {case}"))
        }
        What::Error(error) => Reason::new(Kind::Compile, format!("{error}; case {case}")),
    }
}

/// The arguments with every output between guard zones.
struct Guarded {
    arguments: Arguments,
    /// Output, the memory around it, what the zones hold.
    zones: Vec<(String, Tensor, Vec<u8>)>,
}

fn guard(work: &Work<'_>) -> Result<Guarded, Reason> {
    let mut arguments = work.arguments.clone();
    let mut found = Vec::new();
    for param in &work.artifact.contract.params {
        let (ParamKind::Tensor { mutable: true, .. }, Some(Argument::Tensor(tensor))) =
            (&param.kind, work.arguments.get(&param.name))
        else {
            continue;
        };
        let whole = Tensor::poisoned(tensor.dtype(), &[tensor.len() as i64 + 2 * GUARD]);
        let whole = whole.map_err(failed)?;
        let inner =
            whole.view(tensor.shape(), &row_major(tensor.shape()), GUARD).map_err(failed)?;
        inner.write(&tensor.read().map_err(failed)?).map_err(failed)?;
        let before = zones(&whole).map_err(failed)?;
        arguments.insert(&param.name, inner);
        found.push((param.name.clone(), whole, before));
    }
    Ok(Guarded { arguments, zones: found })
}

/// The bytes of both guard zones.
fn zones(whole: &Tensor) -> Result<Vec<u8>, tilec_host::RuntimeError> {
    let bytes = GUARD as usize * whole.dtype().size_bytes();
    whole.with_bytes(|all| [&all[..bytes], &all[all.len() - bytes..]].concat())
}

/// Stores the default's results, or holds this candidate's against them.
fn against_default(work: &Work<'_>, bound: &Launch, cases: usize) -> Result<(), Reason> {
    let written = || bound.tensors().filter(|(_, _, written)| *written);
    if work.is_default {
        let tensors: Vec<(&str, &Tensor)> =
            written().map(|(name, tensor, _)| (name, tensor)).collect();
        return files::write(work.reference, &tensors)
            .map_err(|error| Reason::new(Kind::Launch, error));
    }
    if !work.reference.exists() {
        // The default is out, so it says nothing.
        return match cases {
            0 => {
                let text = "there is nothing to hold it against: no spec, and the default failed";
                Err(Reason::new(Kind::Wrong, text))
            }
            _ => Ok(()),
        };
    }
    let tolerance = tolerance(bound);
    for (name, tensor, _) in written() {
        let reference = files::read(work.reference, Some(name))
            .map_err(|error| Reason::new(Kind::Launch, error))?;
        let exact = data(&reference)?;
        let bound = tolerance * greatest(&exact);
        let rule = Rule { factor: 0.0, floor: bound };
        let comparison = compare(&data(tensor)?, &exact, &exact, rule).map_err(failed)?;
        if !comparison.pass {
            let text = format!(
                "`{name}` differs from the default's at {:?}: {} and {}, allowed is {bound:.1e}",
                comparison.position.unwrap_or_default(),
                comparison.actual,
                comparison.expected,
            );
            return Err(Reason::new(Kind::Wrong, text));
        }
    }
    Ok(())
}

/// How far two right results may be apart, as a share of the greatest element. Both round in their own order; this is
/// wide enough for that and finds a block that is missing. Finer faults are the spec's to find.
fn tolerance(bound: &Launch) -> f64 {
    let of = |dtype: DType| match dtype {
        DType::BF16 => 2f64.powi(-6),
        DType::F16 => 2f64.powi(-8),
        _ => 2f64.powi(-14),
    };
    bound.tensors().map(|(_, tensor, _)| of(tensor.dtype())).fold(0.0, f64::max)
}

fn greatest(tensor: &TensorData) -> f64 {
    match &tensor.data {
        Data::Float(values) => {
            values.iter().filter(|v| v.is_finite()).fold(0.0, |top, v| v.abs().max(top))
        }
        Data::Int(_) | Data::Bool(_) => 0.0,
    }
}

fn data(tensor: &Tensor) -> Result<TensorData, Reason> {
    let shape = tensor.shape().to_vec();
    Ok(match tensor.read().map_err(failed)? {
        Elements::Floats(values) => TensorData::floats(shape, values),
        Elements::Ints(values) => TensorData::ints(shape, values),
        Elements::Bools(values) => TensorData::bools(shape, values),
    })
}

fn row_major(shape: &[i64]) -> Vec<i64> {
    let mut strides = vec![1; shape.len()];
    for at in (1..shape.len()).rev() {
        strides[at - 1] = strides[at] * shape[at].max(1);
    }
    strides
}

fn failed(error: impl std::fmt::Display) -> Reason {
    Reason::new(Kind::Launch, error)
}
