//! No order of warps, no moment at which an asynchronous copy lands and no machine arithmetic that PTX allows makes a
//! difference or a finding: every kernel of the library as PTX in the simulator, with several blocks along its loop, so that
//! the software pipeline has a beginning, a middle and an end. `TILEC_SIM_FULL=1` takes every element type with every
//! number of stages, f16 and f32 under every model.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tilec_driver::compile;
use tilec_host::gpu::{PtxCompiler, facts};
use tilec_host::{Device, bind, launch};
use tilec_ir::{GenericKind, Kernel};
use tilec_ptx::{Compiler, Options, SetKnobs};
use tilec_ptxsim::{Config, Numerics};
use tilec_sim::SimDevice;
use tilec_tests::gpu::{FLOATS, binding, modules};
use tilec_tests::no_complaints;
use tilec_tests::problem::{Gap, Inputs, Problem};
use tilec_vocab::{DType, Payload, Specialisation};

/// Orders of warps and blocks; copies land late and early in turn.
const SCHEDULES: usize = 20;

/// Buffers of the software pipeline.
const STAGES: [u32; 3] = [1, 2, 3];

/// Rows of 16-byte multiples, and not a power of two.
const HEAD: i64 = 24;

/// Extents: with the smallest blocks, at least five blocks along every loop, the last not full.
const DIMS: &[(&str, i64)] = &[
    ("B", 1),
    ("H", 2),
    ("G", 1),
    ("M", 131),
    ("N", 163),
    ("K", 131),
    ("P", 7),
    ("S", 16),
    ("L", 10),
    ("W", 1),
    ("V", 19),
    ("D", 67),
];

/// Extents that one kernel has its own of: partial results are what `combine` loops over, columns are in blocks of 64 in
/// `row_softmax`, and of sequences with random lengths there should be some.
const OWN_DIMS: &[(&str, &str, i64)] = &[
    ("combine", "W", 35),
    ("row_softmax", "N", 291),
    ("page_walk", "B", 3),
    ("paged_decode", "B", 3),
    ("paged_decode_window", "B", 3),
];

/// Numbers, and bounds of the integers in tensors.
const NUMBERS: &[(&str, f64)] = &[
    ("scale", 0.3),
    ("cap", 3.0),
    ("eps", 1e-3),
    ("window", 100.0),
    ("left", 100.0),
    ("right", 40.0),
    ("table", 7.0),
    ("ids", 19.0),
    ("lengths", 161.0),
    ("prefix", 130.0),
    ("qdoc", 2.0),
    ("kdoc", 2.0),
];

/// A kernel with all that is open about it decided.
struct Task<'a> {
    kernel: &'a Kernel,
    spec: &'a Kernel,
    dtype: DType,
    stages: u32,
    gap: Gap,
    numerics: Vec<Numerics>,
}

/// The smallest choice of each knob: more blocks along a loop for the same work.
fn smallest(kernel: &Kernel, dtype: DType) -> Specialisation {
    let mut binding = binding(kernel, dtype, HEAD);
    for generic in kernel.generics.values() {
        let value = match &generic.kind {
            GenericKind::Knob(choices) => choices.iter().min().copied(),
            GenericKind::Const if generic.name == "R" => Some(2),
            GenericKind::Const | GenericKind::DType(_) => None,
        };
        binding.ints.extend(value.map(|n| (generic.name.clone(), n)));
    }
    binding
}

impl Task<'_> {
    /// What is wrong with it, and the launches that were made.
    fn run(&self) -> (Result<(), String>, usize) {
        let (binding, name) = (smallest(self.kernel, self.dtype), self.kernel.name.as_str());
        let mut dims: BTreeMap<&str, i64> = DIMS.iter().copied().collect();
        let own = OWN_DIMS.iter().filter(|(kernel, _, _)| *kernel == name);
        dims.extend(own.map(|&(_, dim, extent)| (dim, extent)));
        let numbers = NUMBERS.iter().copied().collect();
        let seed = u64::from(self.stages);
        let inputs = Inputs {
            dims,
            numbers,
            factors: BTreeMap::new(),
            positive: Vec::new(),
            seed,
            gap: self.gap,
        };
        let problem = Problem::new(self.kernel, self.spec, &binding, &inputs);

        let knobs = SetKnobs { warps: None, stages: Some(self.stages) };
        let options = Options { knobs, ..Options::default() };
        let passes = tilec_driver::Options { pipeline: options.pipeline.clone() };
        let artifact = compile(self.kernel, &binding, &passes).map_err(|error| error.to_string());
        let mut launches = 0;
        let result = artifact.and_then(|mut artifact| {
            let args = problem.arguments();
            let bound = bind(&artifact.contract, &args).map_err(|error| error.to_string())?;
            let known = facts(&bound.args().args);
            let code = Compiler(options).compile(&artifact, &known, "sm_80");
            artifact.payload = Payload::Ptx(vec![code.map_err(|error| error.to_string())?]);
            for &numerics in &self.numerics {
                let config = Config { numerics, ..Config::default() };
                let settings =
                    tilec_sim::Options { config, schedules: SCHEDULES, ..Default::default() };
                let args = problem.arguments();
                let ran = SimDevice::new(settings, None).load(&artifact).and_then(|executable| {
                    launches += SCHEDULES;
                    launch(executable.as_ref(), &bind(&artifact.contract, &args)?)
                });
                ran.map_err(|error| error.to_string())
                    .and_then(|()| problem.judge(&args))
                    .map_err(|what| format!("{numerics:?}: {what}"))?;
            }
            Ok(())
        });
        let Task { dtype, stages, gap, .. } = self;
        (result.map_err(|what| format!("{name} {dtype} stages={stages} {gap:?}: {what}")), launches)
    }
}

/// Runs tasks on all cores: the complaints, and how many launches there were.
fn run_all(tasks: &[Task<'_>]) -> (Vec<String>, usize) {
    let (next, launches) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let complaints = Mutex::new(BTreeMap::new());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Relaxed);
                    let Some(task) = tasks.get(number) else { break };
                    let (result, ran) = task.run();
                    launches.fetch_add(ran, Relaxed);
                    if let Err(complaint) = result {
                        complaints.lock().expect("no test panics").insert(number, complaint);
                    }
                }
            });
        }
    });
    let complaints = complaints.into_inner().expect("no test panics");
    (complaints.into_values().collect(), launches.into_inner())
}

#[test]
fn no_schedule_no_delivery_and_no_arithmetic_makes_a_difference() {
    let modules = modules();
    let of_module = |module| {
        let module: &tilec_ir::Module<tilec_ir::Tile> = module;
        module.kernels.iter().filter_map(|kernel| Some((kernel, module.spec(&kernel.name)?)))
    };
    let kernels: Vec<_> = modules.iter().flat_map(|(_, module)| of_module(module)).collect();
    assert!(kernels.len() >= 28, "only {} kernels", kernels.len());
    let full = std::env::var_os("TILEC_SIM_FULL").is_some();
    let models = Numerics::all();
    let mut tasks = Vec::new();
    for (number, &(kernel, spec)) in kernels.iter().enumerate() {
        for (turn, &stages) in STAGES.iter().enumerate() {
            if full {
                for dtype in FLOATS {
                    // What bf16 rounds differently is a conversion: a few models of each sort for it.
                    let step = if dtype == DType::BF16 { 5 } else { 1 };
                    let numerics = models.iter().copied().step_by(step).collect();
                    tasks.push(Task { kernel, spec, dtype, stages, gap: Gap::Aligned, numerics });
                }
            }
            // One element type and one model for each number of stages, in rotation over the library.
            let at = number * STAGES.len() + turn;
            let dtype = FLOATS[(turn + number) % FLOATS.len()];
            let numerics = vec![models[at % models.len()]];
            let gap = if full { Gap::Odd } else { Gap::Aligned };
            tasks.push(Task { kernel, spec, dtype, stages, gap, numerics });
        }
    }
    let (complaints, launches) = run_all(&tasks);
    println!("{} kernels, {} settings, {launches} launches", kernels.len(), tasks.len());
    no_complaints(complaints);
}
