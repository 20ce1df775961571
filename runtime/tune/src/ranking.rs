//! The candidates of a GPU in the order of the static model, without compiling one to machine code or running it.
//!
//! A GPU kernel has two knobs more than its text says, `warps` and `stages`: where the text does not declare them, every
//! setting comes with their usual values. What does not fit is out, with what it lacks.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tilec_driver::{Options, optimise};
use tilec_host::gpu::facts;
use tilec_host::{Launch, MAX_PROGRAMS, Tensor, bucket};
use tilec_ir::Kernel;
use tilec_model::{Estimate, Gpu, estimate};
use tilec_ptx::{KNOBS, SetKnobs};
use tilec_vocab::{Specialisation, TensorFacts};

use crate::space::{Knobs, MAX_CANDIDATES};

/// Values of the knobs that every GPU kernel has, where its text does not declare them; the usual first.
const USUAL: [(&str, &[i64]); 2] = [("warps", &[4, 8]), ("stages", &[2, 1, 3])];

/// A launch on a GPU, as far as the model wants to know.
pub struct GpuLaunch<'a> {
    /// The kernel, still generic.
    pub kernel: &'a Kernel,
    /// Types, constants, and values of knobs that candidates override.
    pub binding: &'a Specialisation,
    /// What is known of each parameter.
    pub facts: Vec<TensorFacts>,
    /// Dimensions and integer arguments.
    pub names: BTreeMap<String, i64>,
    /// Bytes of all tensors.
    pub tensor_bytes: u64,
    /// Where.
    pub gpu: &'static Gpu,
}

impl<'a> GpuLaunch<'a> {
    /// Of these arguments.
    pub fn new(
        kernel: &'a Kernel,
        binding: &'a Specialisation,
        launch: &Launch,
        gpu: &'static Gpu,
    ) -> GpuLaunch<'a> {
        let bytes = |tensor: &Tensor| (tensor.len() * tensor.dtype().size_bytes()) as u64;
        GpuLaunch {
            kernel,
            binding,
            facts: facts(&launch.args().args),
            names: bucket::numbers(launch),
            tensor_bytes: launch.tensors().map(|(_, tensor, _)| bytes(tensor)).sum(),
            gpu,
        }
    }

    /// Of arguments that are not there, with tensors without gaps.
    pub fn without_arguments(
        kernel: &'a Kernel,
        binding: &'a Specialisation,
        names: &BTreeMap<String, i64>,
        tensor_bytes: u64,
        gpu: &'static Gpu,
    ) -> GpuLaunch<'a> {
        let facts = tilec_ptx::usual_facts(kernel);
        GpuLaunch { kernel, binding, facts, names: names.clone(), tensor_bytes, gpu }
    }
}

/// One candidate.
#[derive(Clone, Debug)]
pub struct Ranked {
    /// Its knobs, `warps` and `stages` too.
    pub knobs: Knobs,
    /// What the model expects, or why it cannot be.
    pub outcome: Result<Estimate, String>,
}

impl Ranked {
    /// Modelled time.
    pub fn time_ns(&self) -> Option<f64> {
        self.outcome.as_ref().ok().map(|estimate| estimate.time_ns)
    }
}

/// The candidates with the knobs of GPUs that the kernel does not declare; those in `fixed` keep their value.
///
/// More than [`MAX_CANDIDATES`] are not made: then the knobs of GPUs keep their usual values.
pub fn gpu_candidates(declared: &[Knobs], fixed: &Knobs) -> Vec<Knobs> {
    let mut found: Vec<Knobs> = declared.to_vec();
    if found.is_empty() {
        found.push(Knobs::new());
    }
    for (name, usual) in USUAL {
        if found[0].contains_key(name) {
            continue;
        }
        let values = match fixed.get(name) {
            Some(value) => vec![*value],
            None if found.len() * usual.len() > MAX_CANDIDATES => vec![usual[0]],
            None => usual.to_vec(),
        };
        let with = |knobs: &Knobs, value: i64| {
            let mut knobs = knobs.clone();
            knobs.insert(name.to_owned(), value);
            knobs
        };
        found = found
            .iter()
            .flat_map(|knobs| values.iter().map(|&value| with(knobs, value)).collect::<Vec<_>>())
            .collect();
    }
    found
}

/// Values that each knob of a GPU kernel can have, where its text does not declare it.
pub fn gpu_choices() -> impl Iterator<Item = (String, Vec<i64>)> {
    KNOBS.iter().map(|(name, values)| ((*name).to_owned(), values.to_vec()))
}

/// What the model says of one candidate.
///
/// # Errors
///
/// Why it cannot be: it does not fit, or the lowering refuses it.
pub fn model(launch: &GpuLaunch<'_>, knobs: &Knobs) -> Result<Estimate, String> {
    let mut binding = launch.binding.clone();
    for (name, value) in knobs {
        binding.ints.insert(name.clone(), *value);
    }
    let chosen = SetKnobs::default().chosen(&binding);
    // What the kernel does not declare is none of its parameters.
    binding.ints.retain(|name, _| launch.kernel.declares(name));
    let kernel = optimise(launch.kernel, &binding, &Options::default())
        .map_err(|error| error.to_string())?;
    let options = tilec_ptx::Options::default();
    let program = tilec_ptx::program(&kernel, &launch.facts, chosen, &options)
        .map_err(|error| first_line(&error.to_string()))?;
    let name = |name: &str| launch.names.get(name).map(|&value| i128::from(value));
    let programs = program.signature.grid.iter().map(|axis| {
        let count = axis.programs.eval(&name).and_then(|count| i64::try_from(count).ok());
        count.ok_or_else(|| format!("the number of programs along `{}` is not known", axis.name))
    });
    let grid = programs.collect::<Result<Vec<i64>, String>>()?;
    let count = grid.iter().try_fold(1i128, |all, &n| all.checked_mul(n.into()).filter(|_| n >= 0));
    if count.is_none_or(|count| count > MAX_PROGRAMS) {
        return Err(format!("a grid of {grid:?} programs is more than a launch can have"));
    }
    estimate(&program, launch.gpu, &launch.names, &grid, launch.tensor_bytes)
        .map_err(|shortage| shortage.to_string())
}

/// All candidates, the fastest by the model first; those that want more registers than a thread has come after all that do not,
/// and those that cannot be are last. Of equals the earlier one comes first, so the order is the same each time.
pub fn rank(launch: &GpuLaunch<'_>, candidates: &[Knobs]) -> Vec<Ranked> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(BTreeMap::new());
    let threads = std::thread::available_parallelism().map_or(1, Into::into);
    std::thread::scope(|scope| {
        for _ in 0..candidates.len().min(threads) {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(knobs) = candidates.get(n) else { break };
                    let outcome = model(launch, knobs);
                    outcomes
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .insert(n, outcome);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut ranked: Vec<Ranked> = outcomes
        .into_iter()
        .map(|(n, outcome)| Ranked { knobs: candidates[n].clone(), outcome })
        .collect();
    let spills = |ranked: &Ranked| ranked.outcome.as_ref().is_ok_and(|estimate| estimate.spills);
    let time = |ranked: &Ranked| ranked.time_ns().unwrap_or(f64::INFINITY);
    ranked.sort_by(|a, b| {
        let cannot = a.outcome.is_err().cmp(&b.outcome.is_err());
        cannot.then(spills(a).cmp(&spills(b))).then(time(a).total_cmp(&time(b)))
    });
    ranked
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knobs(rows: &[(&str, i64)]) -> Knobs {
        rows.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn knobs_of_gpus_are_added_where_the_kernel_has_none() {
        let own = [knobs(&[("BM", 64)]), knobs(&[("BM", 128)])];
        let all = gpu_candidates(&own, &Knobs::new());
        assert_eq!(all.len(), 12);
        assert_eq!(all[0], knobs(&[("BM", 64), ("warps", 4), ("stages", 2)]));
        let fixed = gpu_candidates(&own, &knobs(&[("warps", 2), ("stages", 1)]));
        assert_eq!(fixed[1], knobs(&[("BM", 128), ("warps", 2), ("stages", 1)]));
        let declared = [knobs(&[("warps", 1), ("stages", 4)])];
        assert_eq!(gpu_candidates(&declared, &Knobs::new()), declared);
        assert_eq!(gpu_candidates(&[], &Knobs::new()).len(), 6);
    }
}
