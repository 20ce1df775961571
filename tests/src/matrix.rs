//! What the library must hold on a GPU, as data: every kernel in every element type and precision, at every head size,
//! under several knobs, at lengths that are no multiple of a tile, with grouped heads and strided views.
//!
//! [`cells`] is all of it (`make matrix`), [`Cell::run`] holds one cell against its spec on the simulator.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tilec_driver::compile;
use tilec_host::Device;
use tilec_ir::{GenericKind, Kernel, Module, Precision, Tile};
use tilec_passes::GPU_PASSES;
use tilec_ptx::{Compiler, Options, SWITCHES, SetKnobs};
use tilec_sim::SimDevice;
use tilec_verify::{Plan, What, check};
use tilec_vocab::{DType, Specialisation};

use crate::gpu::binding;

/// Element types, and the precision of products where it matters.
pub const NUMBERS: [(DType, Precision); 4] = [
    (DType::F16, Precision::Ieee),
    (DType::BF16, Precision::Ieee),
    (DType::F32, Precision::Ieee),
    (DType::F32, Precision::Tf32),
];

/// Head sizes.
pub const HEADS: [i64; 8] = [16, 32, 64, 80, 96, 128, 192, 256];

/// Head sizes that are no multiple of what an instruction takes: beside the matrix, not in it.
pub const ODD_HEADS: [i64; 3] = [8, 40, 72];

/// Queries and keys: one, a tile, one less and one more, primes.
pub const LENGTHS: [(i64, i64); 6] = [(65, 129), (1, 61), (64, 64), (127, 63), (61, 1), (33, 193)];

/// Key heads, and query heads to each.
pub const GROUPS: [(i64, i64); 4] = [(1, 1), (1, 3), (2, 1), (2, 2)];

/// Knobs of the matrix.
pub const KNOBS: [Setting; 3] = [
    Setting::Knobs { warps: 4, stages: 2, tiles: Tiles::First },
    Setting::Knobs { warps: 8, stages: 1, tiles: Tiles::Last },
    Setting::Knobs { warps: 2, stages: 3, tiles: Tiles::Least },
];

/// What the compiler says where a program needs more than a CTA can have.
const NO_ROOM: &str = "bytes of shared memory, a CTA of";

/// Which choice of the knobs that a kernel declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tiles {
    /// The usual one.
    First,
    /// The last in the list.
    Last,
    /// The smallest of each.
    Least,
}

/// How a kernel is made.
#[derive(Clone, Copy, Debug)]
pub enum Setting {
    /// Under these knobs.
    Knobs {
        /// Warps of a CTA.
        warps: u32,
        /// Slots of a ring.
        stages: u32,
        /// Its own knobs.
        tiles: Tiles,
    },
    /// Without a pass, or a choice of the lowering.
    Without(&'static str),
    /// Without all of them.
    WithoutAll,
}

/// Names of everything that can be left out.
pub fn switches() -> impl Iterator<Item = &'static str> {
    let passes = GPU_PASSES.iter().map(|pass| pass.name);
    passes.chain(SWITCHES.iter().map(|switch| switch.name))
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Setting::Knobs { warps, stages, tiles } => {
                let tiles = match tiles {
                    Tiles::First => "usual",
                    Tiles::Last => "last",
                    Tiles::Least => "least",
                };
                write!(f, "warps={warps} stages={stages} tiles={tiles}")
            }
            Setting::Without(name) => write!(f, "without {name}"),
            Setting::WithoutAll => f.write_str("without all"),
        }
    }
}

impl Setting {
    fn options(self) -> Options {
        let without = |options: Options, name| options.without(name).expect("a name of the tables");
        match self {
            Setting::Knobs { warps, stages, .. } => {
                let knobs = SetKnobs { warps: Some(warps), stages: Some(stages) };
                Options { knobs, ..Options::default() }
            }
            Setting::Without(name) => without(Options::default(), name),
            Setting::WithoutAll => switches().fold(Options::default(), without),
        }
    }

    fn tiles(self) -> Tiles {
        match self {
            Setting::Knobs { tiles, .. } => tiles,
            Setting::Without(_) | Setting::WithoutAll => Tiles::First,
        }
    }
}

/// A kernel with all that is open about it decided.
#[derive(Clone, Debug)]
pub struct Cell<'a> {
    /// The kernel.
    pub kernel: &'a Kernel,
    /// What it must compute.
    pub spec: &'a Kernel,
    /// Its element type.
    pub dtype: DType,
    /// The precision of its products; none for what its text says.
    pub precision: Option<Precision>,
    /// Its head size, where it has one.
    pub head: i64,
    /// Queries and keys.
    pub lengths: (i64, i64),
    /// Key heads, and query heads to each.
    pub groups: (i64, i64),
    /// How it is made.
    pub setting: Setting,
}

/// What came of a cell.
#[derive(Clone, Debug)]
pub struct Done {
    /// The knobs it ran with: those asked for, or smaller ones where an SM has no room.
    pub knobs: String,
    /// Slots of a ring among them.
    pub stages: u32,
    /// Whether they are smaller.
    pub reduced: bool,
    /// What is wrong, if anything is.
    pub outcome: Result<(), String>,
}

/// Each kernel of some modules beside its spec.
pub fn with_specs<'a>(
    modules: impl IntoIterator<Item = &'a Module<Tile>>,
) -> Vec<(&'a Kernel, &'a Kernel)> {
    let kernels = modules.into_iter().flat_map(|module| {
        module.kernels.iter().filter_map(|kernel| Some((kernel, module.spec(&kernel.name)?)))
    });
    kernels.collect()
}

/// The whole matrix. What a kernel does not have is no dimension of it: a norm has one head size, a kernel without
/// products no tf32. Lengths and groups go round, so that each kernel meets each of them in each element type.
pub fn cells<'a>(kernels: &[(&'a Kernel, &'a Kernel)]) -> Vec<Cell<'a>> {
    let mut cells = Vec::new();
    for &(kernel, spec) in kernels {
        let heads =
            if kernel.declares("D") || kernel.declares("N") { &HEADS[..] } else { &HEADS[..1] };
        for (dtype, precision) in NUMBERS {
            if precision != Precision::Ieee && kernel.precisions().next().is_none() {
                continue;
            }
            for &head in heads {
                for setting in KNOBS {
                    let at = cells.len();
                    cells.push(Cell {
                        kernel,
                        spec,
                        dtype,
                        precision: Some(precision),
                        head,
                        lengths: LENGTHS[(at + at / LENGTHS.len()) % LENGTHS.len()],
                        groups: GROUPS[(at + at / GROUPS.len()) % GROUPS.len()],
                        setting,
                    });
                }
            }
        }
    }
    cells
}

impl Cell<'_> {
    /// Holds it against its spec, with smaller knobs than asked for where an SM has no room for those.
    pub fn run(&self) -> Done {
        let kernel = match self.precision {
            Some(precision) => self.kernel.clone().with_precision(precision),
            None => self.kernel.clone(),
        };
        let mut last = None;
        for (number, (options, binding)) in self.candidates().into_iter().enumerate() {
            let outcome = self.run_with(&kernel, &options, &binding);
            let no_room = outcome.as_ref().is_err_and(|what| what.contains(NO_ROOM));
            let knobs = shown(&kernel, &options, &binding);
            let stages = options.knobs.chosen(&binding).stages;
            let done = last.insert(Done { knobs, stages, reduced: number > 0, outcome });
            if !no_room {
                return done.clone();
            }
        }
        last.unwrap_or_else(|| unreachable!("there is at least what was asked for"))
    }

    /// What to try in turn: what was asked for; its smallest tiles; these in one stage.
    fn candidates(&self) -> Vec<(Options, Specialisation)> {
        let usual = {
            let mut binding = binding(self.kernel, self.dtype, self.head);
            if let Some(columns) = binding.ints.get_mut("N") {
                *columns = 3 * self.head;
            }
            if let Some(group) = binding.ints.get_mut("R") {
                *group = self.groups.1;
            }
            binding
        };
        let with = |tiles: Tiles| {
            let mut binding = usual.clone();
            for generic in self.kernel.generics.values() {
                if let GenericKind::Knob(choices) = &generic.kind {
                    let choice = match tiles {
                        Tiles::First => choices.first(),
                        Tiles::Last => choices.last(),
                        Tiles::Least => choices.iter().min(),
                    };
                    binding.ints.extend(choice.map(|&choice| (generic.name.clone(), choice)));
                }
            }
            binding
        };
        let options = self.setting.options();
        let mut single = options.clone();
        single.knobs.stages = Some(1);
        let least = with(Tiles::Least);
        vec![
            (options.clone(), with(self.setting.tiles())),
            (options, least.clone()),
            (single, least),
        ]
    }

    fn run_with(
        &self,
        kernel: &Kernel,
        options: &Options,
        binding: &Specialisation,
    ) -> Result<(), String> {
        let compile_options = tilec_driver::Options { pipeline: options.pipeline.clone() };
        let artifact = compile(kernel, binding, &compile_options).map_err(|e| e.to_string())?;
        let compiler = Arc::new(Compiler(options.clone()));
        let device = SimDevice::new(tilec_sim::Options::default(), Some(compiler));
        let executable = device.load(&artifact).map_err(|error| error.to_string())?;
        let mut fixed: BTreeMap<String, i64> = binding.ints.clone();
        let ((m, n), (g, r)) = (self.lengths, self.groups);
        for (name, extent) in
            [("M", m), ("N", n), ("K", self.head + 1), ("B", 1), ("G", g), ("H", g * r)]
        {
            if kernel.dims.values().any(|dim| dim.name == name) {
                fixed.insert(name.to_owned(), extent);
            }
        }
        let plan = Plan {
            cases: 1,
            seed: (self.head + m) as u64,
            dtypes: Vec::new(),
            fixed,
            options: compile_options,
            threads: Some(1),
        };
        match check(kernel, self.spec, &device, (binding.clone(), executable), &plan) {
            Ok(1) => Ok(()),
            Ok(cases) => Err(format!("{cases} cases where one was asked for")),
            Err(failure) => Err(match failure.what {
                What::Wrong(judged) => format!("{}: {:?}", failure.case, judged),
                What::Error(error) => format!("{}: {error}", failure.case),
            }),
        }
    }

    /// Its name in a report: `causal f32 tf32 D=64 M=65 N=129 G=1 R=3 warps=4 stages=2 tiles=usual`.
    pub fn name(&self) -> String {
        let Cell { kernel, head, lengths: (m, n), groups: (g, r), setting, .. } = self;
        let numbers = self.numbers();
        format!("{} {numbers} D={head} M={m} N={n} G={g} R={r} {setting}", kernel.name)
    }

    /// Element type and precision: `f32 tf32`.
    pub fn numbers(&self) -> String {
        match self.precision.filter(|_| self.dtype == DType::F32) {
            Some(precision) => format!("{} {}", self.dtype, precision.name()),
            None => self.dtype.to_string(),
        }
    }
}

/// Runs cells on all cores, telling of each; what came of them, in their order.
pub fn run_all(cells: &[Cell<'_>], tell: &(dyn Fn(&Cell<'_>, &Done) + Sync)) -> Vec<Done> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut all: Vec<(usize, Done)> = std::thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(cell) = cells.get(number) else { return done };
                let result = cell.run();
                tell(cell, &result);
                done.push((number, result));
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no cell panics")).collect()
    });
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, done)| done).collect()
}

/// What went wrong, a line or a few for each.
pub fn complaints(cells: &[Cell<'_>], done: &[Done]) -> Vec<String> {
    let failed = cells.iter().zip(done).filter_map(|(cell, done)| {
        let what = done.outcome.as_ref().err()?;
        // Findings repeat themselves.
        let what: Vec<&str> = what.lines().take(8).collect();
        Some(format!("{} ({}): {}", cell.name(), done.knobs, what.join("\n")))
    });
    failed.collect()
}

/// Cells of one kernel in one element type and precision.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// Cells.
    pub cells: usize,
    /// Those that passed.
    pub passed: usize,
    /// Those that ran with smaller knobs than asked for.
    pub reduced: usize,
    /// Different knobs that each head size passed under, at least.
    pub knobs: usize,
    /// Stages that it passed in.
    pub stages: BTreeSet<u32>,
}

/// One line for each kernel, element type and precision.
pub fn lines(cells: &[Cell<'_>], done: &[Done]) -> BTreeMap<(String, String), Line> {
    let mut lines: BTreeMap<(String, String), Line> = BTreeMap::new();
    let mut knobs: BTreeMap<(String, String), BTreeMap<i64, BTreeSet<&str>>> = BTreeMap::new();
    for (cell, done) in cells.iter().zip(done) {
        let key = (cell.kernel.name.clone(), cell.numbers());
        let line = lines.entry(key.clone()).or_default();
        line.cells += 1;
        line.reduced += usize::from(done.reduced);
        let passed = knobs.entry(key).or_default().entry(cell.head).or_default();
        if done.outcome.is_ok() {
            line.passed += 1;
            line.stages.insert(done.stages);
            passed.insert(&done.knobs);
        }
    }
    for (key, line) in &mut lines {
        line.knobs = knobs[key].values().map(BTreeSet::len).min().unwrap_or(0);
    }
    lines
}

fn shown(kernel: &Kernel, options: &Options, binding: &Specialisation) -> String {
    let knobs = options.knobs.chosen(binding);
    let own = kernel.generics.values().filter(|g| matches!(g.kind, GenericKind::Knob(_)));
    let own = own.filter_map(|g| Some(format!("{}={} ", g.name, binding.ints.get(&g.name)?)));
    format!("{}warps={} stages={}", own.collect::<String>(), knobs.warps, knobs.stages)
}
