//! The causal kernel as `tilec` emits it, and the problems on which its mutants are judged.

use std::collections::BTreeMap;

use tilec_driver::compile;
use tilec_host::gpu::{PtxCompiler, PtxParam, facts, gather, params, scatter, span};
use tilec_host::{Arg as HostArg, Arguments, View as HostView, bind};
use tilec_ptx::{Compiler, Options, SetKnobs};
use tilec_ptxsim::mutate::Verdict;
use tilec_ptxsim::{
    Arg, Buffer, Changes, Config, Counters, Delivery, Effect, Elem, Finding, Launch, Module,
    Outcome, View, simulate,
};
use tilec_tests::gpu::{binding, modules};
use tilec_tests::problem::{Gap, Inputs, Problem};
use tilec_vocab::{Contract, DType, PtxCode};

/// A setting of the causal kernel in f16.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Head size.
    pub d: i64,
    /// Rows of queries and of keys in a block.
    pub bm: i64,
    pub bn: i64,
    /// Buffers of the software pipeline.
    pub stages: u32,
}

/// The kernels that are broken. With two buffers the loop over the diagonal needs three blocks to fetch any: 128 rows.
pub const SETTINGS: &[Setting] =
    &[Setting { d: 64, bm: 64, bn: 32, stages: 1 }, Setting { d: 64, bm: 128, bn: 32, stages: 2 }];

/// Batches, heads, heads of keys, queries, keys, scale. Lengths end in every quarter of a block and of a fragment, one past
/// a block and on its edge; there are blocks of queries that are all full; there are more keys than queries and fewer;
/// scores are so far apart that the running maximum matters, and rise as well as fall with the product; there are no keys
/// at all. Without a scale keys are large, since they must not matter; with one of -1 all scores are negative. The
/// first case notices much for little, and what the kernel assumes of its tensors holds in all of them.
const CASES: &[(i64, i64, i64, i64, i64, f64)] = &[
    (1, 2, 2, 72, 97, 2.0),
    (1, 2, 2, 155, 155, 0.125),
    (1, 2, 1, 155, 149, -2.0),
    (2, 4, 2, 70, 83, 0.5),
    (1, 1, 1, 1, 1, 2.0),
    (1, 1, 1, 27, 42, 0.125),
    (1, 2, 1, 42, 27, 1.0),
    (1, 1, 1, 55, 55, 0.125),
    (1, 1, 1, 65, 65, 0.125),
    (1, 1, 1, 64, 64, -0.125),
    (1, 1, 1, 170, 33, 0.125),
    // Queries past all keys, which end with a block: the last copies of the loop without masks are for nobody.
    (1, 1, 1, 129, 64, 0.5),
    (1, 1, 1, 183, 183, 0.125),
    (1, 1, 1, 183, 183, 0.0),
    (1, 1, 1, 27, 0, 1.0),
    (1, 1, 1, 13, 16, 1.0),
    (1, 1, 1, 30, 17, 1.0),
    (1, 1, 1, 47, 15, 1.0),
    (1, 1, 1, 48, 31, 1.0),
    (1, 1, 1, 60, 33, 1.0),
    (1, 1, 1, 100, 48, -1.0),
    (1, 1, 1, 136, 115, -1.0),
    (1, 2, 2, 128, 149, 0.125),
    (1, 2, 1, 256, 130, 1.0),
    (1, 1, 1, 60, 9, -1.0),
    (1, 1, 1, 45, 29, -1.0),
];

/// A mutant that loops runs no longer than this; the originals stay far below.
const STEP_LIMIT: u64 = 1 << 15;

/// Error of the log-sum-exp relative to 1 + its size, 32 units of f32.
const LSE_ERROR: f64 = 32.0 / (1 << 24) as f64;

/// Bytes that belong to nobody before the first element of each tensor.
const MARGIN: u64 = 32;

/// A problem with all that does not change from mutant to mutant.
struct Case {
    problem: Problem,
    rows: i64,
    contract: Contract,
    launch: Launch,
    original: Vec<Option<Vec<u8>>>,
    changes: Changes,
}

impl Case {
    fn new(problem: Problem, rows: i64, contract: Contract, launch: Launch, text: &str) -> Case {
        let config = config(Delivery::Late, Counters::Changes { except: NOTHING });
        let module = Module::parse(text).expect("PTX");
        let outcome = simulate(&module, &launch, &config).expect("a launch");
        assert!(outcome.is_clean(), "the original has findings: {:?}", outcome.findings);
        let changes = outcome.changes.clone();
        let mut case = Case { problem, rows, contract, launch, original: Vec::new(), changes };
        case.original = case.outputs(&outcome);
        assert_eq!(case.judge(&outcome), Ok(()), "the original is wrong");
        case
    }

    fn outputs(&self, outcome: &Outcome) -> Vec<Option<Vec<u8>>> {
        self.problem.outputs().map(|name| outcome.bytes_of(name)).collect()
    }

    /// Holds the outcome of a launch against the spec.
    fn judge(&self, outcome: &Outcome) -> Result<(), String> {
        let args = self.problem.arguments();
        for (name, view) in &tensors(&self.contract, &args) {
            if self.problem.outputs().any(|output| output == name) {
                let bytes = outcome.bytes_of(name).ok_or("no output")?;
                // SAFETY: `args` holds the memory of its views, and nobody else has it.
                unsafe { scatter(view, &bytes[MARGIN as usize..]) };
            }
        }
        self.problem.judge(&args)?;
        let (got, exact) = (floats(&args, "lse")?, self.problem.exact("lse"));
        match got.iter().zip(&exact).find(|&(&got, &exact)| !is_near(got, exact)) {
            None => Ok(()),
            Some((got, exact)) => Err(format!("`lse` has {got} for {exact}")),
        }
    }
}

fn floats(args: &Arguments, name: &str) -> Result<Vec<f64>, String> {
    match args.get(name) {
        Some(tilec_host::Argument::Tensor(tensor)) => tensor.to_f64s().map_err(|e| e.to_string()),
        _ => Err(format!("no tensor `{name}`")),
    }
}

/// The views of tensor arguments, by parameter.
fn tensors(contract: &Contract, args: &Arguments) -> Vec<(String, HostView)> {
    let bound = bind(contract, args).expect("arguments that fit");
    let tensor = |(param, arg): (&tilec_vocab::ParamSpec, &HostArg)| match arg {
        HostArg::Tensor(view) => Some((param.name.clone(), view.clone())),
        HostArg::Scalar(_) => None,
    };
    contract.params.iter().zip(&bound.args().args).filter_map(tensor).collect()
}

/// A tensor in the simulator: poison if it is an output, and nothing but its elements may be touched.
fn buffer(name: &str, view: &HostView, output: bool) -> Buffer {
    let mut bytes = vec![0xff; (MARGIN + span(view).bytes) as usize];
    // SAFETY: the arguments that own the view are alive.
    unsafe { gather(view, &mut bytes[MARGIN as usize..]) };
    let elem = match view.dtype {
        DType::F16 => Elem::F16,
        DType::F32 => Elem::F32,
        other => panic!("no {other} in this kernel"),
    };
    let size = view.dtype.size_bytes() as u64;
    let elements = View {
        shape: view.shape.iter().map(|&extent| extent as u64).collect(),
        strides: view.strides.iter().map(|&stride| stride as u64).collect(),
        offset: MARGIN / size,
    };
    let buffer = match output {
        true => Buffer::output(name, elem, bytes.len() as u64 / size),
        false => Buffer::input(name, elem, bytes),
    };
    Buffer { view: Some(elements), ..buffer }
}

/// Whether a log-sum-exp is as near as f32 gets: the scores of f16 are exact products, and nothing of the way to it is
/// rounded to less.
fn is_near(got: f64, exact: f64) -> bool {
    got == exact || (got - exact).abs() <= LSE_ERROR * (1.0 + exact.abs())
}

/// The launch of `code` with these arguments.
fn launch_of(contract: &Contract, code: &PtxCode, args: &Arguments, problem: &Problem) -> Launch {
    let bound = bind(contract, args).expect("arguments that fit");
    let views = tensors(contract, args);
    let is_output = |name: &str| problem.outputs().any(|output| output == name);
    let buffers: Vec<Buffer> =
        views.iter().map(|(name, view)| buffer(name, view, is_output(name))).collect();
    let arg = |param| match param {
        PtxParam::Bytes(bytes) => Arg::Value(bytes),
        PtxParam::Address(number) => {
            let name = &contract.params[number].name;
            let buffer = views.iter().position(|(other, _)| other == name).expect("a tensor");
            Arg::Pointer { buffer, offset: MARGIN as i64 }
        }
    };
    Launch {
        entry: code.entry.clone(),
        grid: [bound.args().grid.iter().product::<i64>() as u32, 1, 1],
        block: [code.threads, 1, 1],
        dynamic_shared_bytes: code.shared_bytes,
        args: params(bound.args()).into_iter().map(arg).collect(),
        buffers,
        shared_regions: Vec::new(),
    }
}

fn config(delivery: Delivery, counters: Counters) -> Config {
    Config { delivery, counters, step_limit: STEP_LIMIT, max_findings: 1, ..Config::default() }
}

/// First and last lines of two parts of a kernel.
pub type Parts = [(u32, u32); 2];

/// Parts without a line.
pub const NOTHING: Parts = [(0, 0); 2];

/// A choice of the cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cases {
    All,
    /// Those in which no block of queries reaches past the last row.
    WholeBlocks,
}

/// A kernel and what it is tried on.
pub struct Battery {
    /// PTX.
    pub text: String,
    bm: i64,
    cases: Vec<Case>,
}

impl Battery {
    /// Compiles the kernel and runs every case; the original has to be without a finding, and right.
    pub fn new(setting: Setting) -> Battery {
        let Setting { d, bm, bn, stages } = setting;
        let modules = modules();
        let mut modules = modules.iter().map(|(_, module)| module);
        let module = modules.find(|module| module.kernel("causal").is_some());
        let module = module.expect("a causal kernel");
        let (kernel, spec) = (module.kernel("causal"), module.spec("causal"));
        let (kernel, spec) = (kernel.expect("a kernel"), spec.expect("its spec"));
        let mut binding = binding(kernel, DType::F16, d);
        binding.ints.extend([("BM".to_owned(), bm), ("BN".to_owned(), bn)]);
        let knobs = SetKnobs { warps: None, stages: Some(stages) };
        let options = Options { knobs, ..Options::default() };
        let passes = tilec_driver::Options { pipeline: options.pipeline.clone() };
        let artifact = compile(kernel, &binding, &passes).expect("an artifact");
        let contract = &artifact.contract;
        let mut code: Option<PtxCode> = None;
        let mut cases = Vec::new();
        for (number, &(b, h, g, m, n, scale)) in CASES.iter().enumerate() {
            let dims = BTreeMap::from([("B", b), ("H", h), ("G", g), ("M", m), ("N", n)]);
            let numbers = BTreeMap::from([("scale", scale)]);
            let factors = BTreeMap::from([("k", if scale == 0.0 { 10_000.0 } else { 1.0 })]);
            let positive = if scale == -1.0 { vec!["q", "k"] } else { Vec::new() };
            let (seed, gap) = (number as u64, Gap::Aligned);
            let inputs = Inputs { dims, numbers, factors, positive, seed, gap };
            let problem = Problem::new(kernel, spec, &binding, &inputs);
            let args = problem.arguments();
            let known = facts(&bind(contract, &args).expect("arguments that fit").args().args);
            let code = code.get_or_insert_with(|| {
                Compiler(options.clone()).compile(&artifact, &known, "sm_80").expect("PTX")
            });
            assert!(known.iter().zip(&code.assumes).all(|(known, want)| known.imply(*want)));
            let launch = launch_of(contract, code, &args, &problem);
            cases.push(Case::new(problem, m, contract.clone(), launch, &code.text));
        }
        Battery { text: code.expect("a case").text, bm, cases }
    }

    /// Runs every case under both deliveries until something is noticed.
    pub fn verdict(&self, module: &Module) -> Verdict {
        let mut same_bits = true;
        for delivery in [Delivery::Late, Delivery::Early] {
            for case in &self.cases {
                let config = config(delivery, Counters::Steps);
                let Ok(outcome) = simulate(module, &case.launch, &config) else {
                    return Verdict::Invalid;
                };
                let error = |f: &&Finding| f.code.effect() != Effect::Warning;
                if let Some(finding) = outcome.findings.iter().find(error) {
                    return Verdict::Found(finding.code);
                }
                if let Err(what) = case.judge(&outcome) {
                    return Verdict::Wrong(what);
                }
                same_bits &= case.outputs(&outcome) == case.original;
            }
        }
        Verdict::Survived { same_bits }
    }

    /// What the original changed, over all cases.
    pub fn changes(&self) -> Changes {
        let mut sum = Changes::default();
        self.cases.iter().for_each(|case| sum.add(&case.changes));
        sum
    }

    /// Whether `text` goes through the same states as the original in those cases, but for what the parts `except` do.
    pub fn same_states(&self, text: &str, cases: Cases, except: Parts) -> bool {
        let module = Module::parse(text).expect("PTX");
        let original = (except != NOTHING).then(|| Module::parse(&self.text).expect("PTX"));
        let config = config(Delivery::Late, Counters::Changes { except });
        let digest = |module: &Module, case: &Case| {
            simulate(module, &case.launch, &config).expect("a launch").changes.digest
        };
        let chosen = |case: &&Case| cases == Cases::All || case.rows % self.bm == 0;
        let mut chosen = self.cases.iter().filter(chosen).peekable();
        assert!(chosen.peek().is_some(), "no case of whole blocks");
        chosen.all(|case| {
            let before = match &original {
                Some(original) => digest(original, case),
                None => case.changes.digest,
            };
            digest(&module, case) == before
        })
    }
}
