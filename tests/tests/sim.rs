//! Every kernel of the library as PTX in the simulator, held against its spec: element types, head sizes, lengths and
//! settings in rotation, a few of each. `TILEC_SIM_TURNS=20` takes more of them, `TILEC_SIM_FULL=1` all together, which takes
//! hours.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tilec_driver::compile;
use tilec_host::Device;
use tilec_ir::{GenericKind, Kernel, Module, Tile};
use tilec_passes::GPU_PASSES;
use tilec_ptx::{Compiler, Options, SWITCHES, SetKnobs};
use tilec_sim::SimDevice;
use tilec_tests::gpu::{FLOATS, binding, modules};
use tilec_tests::{lowered, no_complaints};
use tilec_verify::{Plan, What, check};
use tilec_vocab::{DType, Specialisation};

/// Head sizes; 8, 40 and 72 are no multiple of what an instruction takes.
const HEADS: &[i64] = &[64, 80, 16, 128, 40, 32, 192, 8, 96, 256, 72];

/// Queries and keys: one, a tile, one less and one more, primes.
const LENGTHS: &[(i64, i64)] = &[(65, 129), (1, 61), (64, 64), (127, 63), (61, 1), (33, 193)];

/// What the compiler says where a program needs more than a CTA can have.
const NO_ROOM: &str = "bytes of shared memory, a CTA of";

/// How a kernel is made.
#[derive(Clone, Copy, Debug)]
enum Setting {
    Knobs { warps: u32, stages: u32 },
    Without(&'static str),
    WithoutAll,
}

/// All settings.
fn settings() -> Vec<Setting> {
    let knobs = [(4, 1), (4, 2), (4, 3), (8, 2), (1, 2), (8, 1), (2, 4)];
    let knobs = knobs.into_iter().map(|(warps, stages)| Setting::Knobs { warps, stages });
    let passes = GPU_PASSES.iter().map(|pass| pass.name);
    let switches = SWITCHES.iter().map(|switch| switch.name);
    let off = passes.chain(switches).map(Setting::Without);
    knobs.chain(off).chain([Setting::WithoutAll]).collect()
}

impl Setting {
    fn options(self) -> Options {
        let without = |options: Options, name| options.without(name).expect("a name of the tables");
        match self {
            Setting::Knobs { warps, stages } => {
                let knobs = SetKnobs { warps: Some(warps), stages: Some(stages) };
                Options { knobs, ..Options::default() }
            }
            Setting::Without(name) => without(Options::default(), name),
            Setting::WithoutAll => {
                let passes = GPU_PASSES.iter().map(|pass| pass.name);
                let switches = SWITCHES.iter().map(|switch| switch.name);
                passes.chain(switches).fold(Options::default(), without)
            }
        }
    }
}

/// A kernel with all that is open about it decided.
struct Task<'a> {
    kernel: &'a Kernel,
    spec: &'a Kernel,
    dtype: DType,
    head: i64,
    lengths: (i64, i64),
    setting: Setting,
}

impl Task<'_> {
    /// What is wrong with it: with its first choices of knobs, or, where an SM has no room for them, with its smallest tiles.
    fn complaint(&self) -> Option<String> {
        let Task { kernel, dtype, head, lengths: (m, n), setting, .. } = self;
        let mut binding = binding(kernel, *dtype, *head);
        if let Some(columns) = binding.ints.get_mut("N") {
            *columns = 3 * head;
        }
        let mut options = setting.options();
        let mut outcome = self.run(&options, &binding);
        if outcome.as_ref().is_err_and(|what| what.contains(NO_ROOM)) {
            options.knobs.stages = Some(1);
            for generic in kernel.generics.values() {
                if let GenericKind::Knob(choices) = &generic.kind {
                    let least = choices.iter().min().map(|&least| (generic.name.clone(), least));
                    binding.ints.extend(least);
                }
            }
            outcome = self.run(&options, &binding);
        }
        let what = outcome.err()?;
        // Findings repeat themselves.
        let what: Vec<&str> = what.lines().take(8).collect();
        let what = what.join("\n");
        Some(format!("{} {dtype} D={head} M={m} N={n} {setting:?}: {what}", kernel.name))
    }

    fn run(&self, options: &Options, binding: &Specialisation) -> Result<(), String> {
        let compile_options = tilec_driver::Options { pipeline: options.pipeline.clone() };
        let artifact =
            compile(self.kernel, binding, &compile_options).map_err(|e| e.to_string())?;
        let compiler = Arc::new(Compiler(options.clone()));
        let device = SimDevice::new(tilec_sim::Options::default(), Some(compiler));
        let executable = device.load(&artifact).map_err(|error| error.to_string())?;
        let mut fixed: BTreeMap<String, i64> = binding.ints.clone();
        let (m, n) = self.lengths;
        for (name, extent) in [("M", m), ("N", n), ("K", self.head + 1), ("B", 1)] {
            if self.kernel.dims.values().any(|dim| dim.name == name) {
                fixed.insert(name.to_owned(), extent);
            }
        }
        let plan = Plan {
            cases: 1,
            seed: self.head as u64,
            dtypes: Vec::new(),
            fixed,
            options: compile_options,
            threads: Some(1),
        };
        match check(self.kernel, self.spec, &device, (binding.clone(), executable), &plan) {
            Ok(1) => Ok(()),
            Ok(cases) => Err(format!("{cases} cases where one was asked for")),
            Err(failure) => Err(match failure.what {
                What::Wrong(judged) => format!("{}: {:?}", failure.case, judged),
                What::Error(error) => format!("{}: {error}", failure.case),
            }),
        }
    }
}

/// Runs tasks on all cores; the complaints in the order of the tasks.
fn run_all(tasks: &[Task<'_>]) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let complaints = Mutex::new(BTreeMap::new());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((number, task)) = Some(next.fetch_add(1, Ordering::Relaxed))
                    .and_then(|n| Some((n, tasks.get(n)?)))
                {
                    let complaint = task.complaint();
                    if let Some(complaint) = complaint {
                        complaints.lock().expect("no test panics").insert(number, complaint);
                    }
                }
            });
        }
    });
    complaints.into_inner().expect("no test panics").into_values().collect()
}

/// Each kernel of a module beside its spec.
fn with_specs(module: &Module<Tile>) -> impl Iterator<Item = (&Kernel, &Kernel)> {
    module.kernels.iter().filter_map(|kernel| Some((kernel, module.spec(&kernel.name)?)))
}

#[test]
fn every_kernel_of_the_library_does_what_its_spec_says() {
    let modules = modules();
    let kernels: Vec<_> = modules.iter().flat_map(|(_, module)| with_specs(module)).collect();
    assert!(kernels.len() >= 28, "only {} kernels", kernels.len());
    let settings = settings();
    let asked = std::env::var("TILEC_SIM_TURNS").ok().and_then(|turns| turns.parse().ok());
    let turns = asked.unwrap_or(TURNS);
    let mut tasks = Vec::new();
    if std::env::var_os("TILEC_SIM_FULL").is_some() {
        for &(kernel, spec) in &kernels {
            for (number, &setting) in settings.iter().enumerate() {
                for &dtype in &FLOATS {
                    for (at, &head) in HEADS.iter().enumerate() {
                        let lengths = LENGTHS[(at + number) % LENGTHS.len()];
                        tasks.push(Task { kernel, spec, dtype, head, lengths, setting });
                    }
                }
            }
        }
    } else {
        // Steps that have no factor in common with the number of rows of each table: every pair comes up over the library.
        for (number, &(kernel, spec)) in kernels.iter().enumerate() {
            for turn in 0..turns {
                let at = number * turns + turn;
                tasks.push(Task {
                    kernel,
                    spec,
                    dtype: FLOATS[at % FLOATS.len()],
                    head: HEADS[(at * 5 + number) % HEADS.len()],
                    lengths: LENGTHS[(at + at / LENGTHS.len()) % LENGTHS.len()],
                    setting: settings[(at * 3 + number) % settings.len()],
                });
            }
        }
    }
    no_complaints(run_all(&tasks));
}

/// Settings that each kernel is run under.
const TURNS: usize = 3;

/// Attention without its softmax, with products of this precision.
fn chained(precision: &str) -> String {
    format!(
        "
kernel chained<const D>(q: &f32[M, D], k: &f32[N, D], v: &f32[N, D], o: &mut f32[M, D])
tune BM in [64, 32], BN in [64, 32]
grid m in M by BM {{
    axis d in D;
    let qs = q[m, d];
    var acc = fill(0.0, f32[m, d]);
    for n in N by BN {{
        let s = dot(qs, k[n, d] over d, precision = {precision});
        acc = acc + dot(s * 0.125, v[n, d] over n, precision = {precision});
    }}
    o[m, d] = acc;
}}

spec chained {{
    axis m in M; axis n in N; axis d in D;
    let s = dot(q[m, d], k[n, d] over d);
    o[m, d] = dot(s * 0.125, v[n, d] over n);
}}
"
    )
}

/// A product of numbers that tf32 holds exactly, so that the bound of f32 applies.
const EXACT: &str = "
kernel exact<const D>(a: &f16[M, D], b: &f16[N, D], c: &mut f32[M, N])
tune BM in [64, 32], BN in [64, 32]
grid m in M by BM, n in N by BN {
    axis d in D;
    c[m, n] = dot(a[m, d] as f32, b[n, d] as f32 over d, precision = tf32);
}

spec exact {
    axis m in M; axis n in N; axis d in D;
    c[m, n] = dot(a[m, d] as f32, b[n, d] as f32 over d);
}
";

#[test]
fn products_of_f32_keep_the_precision_that_is_asked_for() {
    let texts = [chained("ieee"), chained("tf32x3"), EXACT.to_owned()];
    let modules: Vec<Module<Tile>> = texts.iter().map(|text| lowered(text)).collect();
    let mut tasks = Vec::new();
    for (at, &head) in HEADS.iter().enumerate() {
        for (kernel, spec) in modules.iter().flat_map(with_specs) {
            let lengths = LENGTHS[at % LENGTHS.len()];
            let setting = Setting::Knobs { warps: 4, stages: 1 + at as u32 % 3 };
            tasks.push(Task { kernel, spec, dtype: DType::F32, head, lengths, setting });
        }
    }
    no_complaints(run_all(&tasks));
}
