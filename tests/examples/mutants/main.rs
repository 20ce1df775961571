//! The mutation score of the emitted causal attention kernel, and its survivors:
//! `cargo run -p tilec-tests --example mutants [every] [folder]`; `every` > 1 judges each n-th mutant only, and the PTX that
//! the line numbers are of is written to the folder.

mod reasons;

use std::collections::BTreeMap;
use std::time::Instant;

use tilec_driver::compile;
use tilec_host::gpu::{PtxCompiler, PtxParam, facts, gather, params, scatter, span};
use tilec_host::{Arg as HostArg, Arguments, View as HostView, bind};
use tilec_ir::Kernel;
use tilec_ptx::{Compiler, Options, SetKnobs};
use tilec_ptxsim::mutate::{Mutant, Score, Verdict, mutants};
use tilec_ptxsim::{
    Arg, Buffer, Code, Config, Delivery, Effect, Elem, Finding, Launch, Module, Outcome, View,
    simulate,
};
use tilec_tests::gpu::{binding, modules};
use tilec_tests::problem::{Gap, Inputs, Problem};
use tilec_vocab::{Contract, DType, PtxCode, Specialisation};

/// The kernels that are broken: head size, knobs.
#[allow(clippy::type_complexity)]
const KERNELS: &[(i64, &[(&str, i64)], u32)] =
    &[(64, &[("BM", 64), ("BN", 32)], 1), (64, &[("BM", 64), ("BN", 32)], 2)];

/// Batches, heads, heads of keys, queries, keys, scale. Lengths end in every quarter of a block and of a fragment, one past
/// a block and on its edge; there are more keys than queries and fewer; scores are so far apart that the running maximum
/// matters, and rise as well as fall with the product; there are no keys at all. Without a scale keys are large, since they
/// must not matter; with one of -1 all scores are negative.
const CASES: &[(i64, i64, i64, i64, i64, f64)] = &[
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
    (1, 1, 1, 183, 183, 0.125),
    (1, 1, 1, 72, 97, 2.0),
    (1, 1, 1, 183, 183, 0.0),
    (1, 1, 1, 27, 0, 1.0),
    (1, 1, 1, 13, 16, 1.0),
    (1, 1, 1, 30, 17, 1.0),
    (1, 1, 1, 47, 15, 1.0),
    (1, 1, 1, 48, 31, 1.0),
    (1, 1, 1, 60, 33, 1.0),
    (1, 1, 1, 100, 48, -1.0),
    (1, 1, 1, 136, 115, -1.0),
];

/// The heading of survivors without a reason.
const MISSED: &str = "without a reason";

/// A mutant that loops runs no longer than this; the originals stay far below.
const STEP_LIMIT: u64 = 1 << 15;

/// Error of the log-sum-exp relative to 1 + its size, 32 units of f32.
const LSE_ERROR: f64 = 32.0 / (1 << 24) as f64;

/// Bytes that belong to nobody before the first element of each tensor.
const MARGIN: u64 = 32;

/// A problem with all that does not change from mutant to mutant.
struct Case {
    problem: Problem,
    contract: Contract,
    launch: Launch,
    original: Vec<Option<Vec<u8>>>,
}

impl Case {
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

fn config(delivery: Delivery) -> Config {
    Config { delivery, step_limit: STEP_LIMIT, max_findings: 1, ..Config::default() }
}

/// The original's text and every case for it.
fn prepare(
    kernel: &Kernel,
    spec: &Kernel,
    binding: &Specialisation,
    stages: u32,
) -> (String, Vec<Case>) {
    let knobs = SetKnobs { warps: None, stages: Some(stages) };
    let options = Options { knobs, ..Options::default() };
    let passes = tilec_driver::Options { pipeline: options.pipeline.clone() };
    let artifact = compile(kernel, binding, &passes).expect("an artifact");
    let contract = artifact.contract.clone();
    let mut code: Option<PtxCode> = None;
    let mut cases = Vec::new();
    for (number, &(b, h, g, m, n, scale)) in CASES.iter().enumerate() {
        let dims = BTreeMap::from([("B", b), ("H", h), ("G", g), ("M", m), ("N", n)]);
        let numbers = BTreeMap::from([("scale", scale)]);
        let factors = BTreeMap::from([("k", if scale == 0.0 { 10_000.0 } else { 1.0 })]);
        let positive = if scale == -1.0 { vec!["q", "k"] } else { Vec::new() };
        let (seed, gap) = (number as u64, Gap::Aligned);
        let inputs = Inputs { dims, numbers, factors, positive, seed, gap };
        let problem = Problem::new(kernel, spec, binding, &inputs);
        let args = problem.arguments();
        let known = facts(&bind(&contract, &args).expect("arguments that fit").args().args);
        let code = code.get_or_insert_with(|| {
            Compiler(options.clone()).compile(&artifact, &known, "sm_80").expect("PTX")
        });
        assert!(known.iter().zip(&code.assumes).all(|(known, want)| known.imply(*want)));
        let module = Module::parse(&code.text).expect("PTX");
        let launch = launch_of(&contract, code, &args, &problem);
        let outcome = simulate(&module, &launch, &config(Delivery::Late)).expect("a launch");
        assert!(outcome.is_clean(), "the original has findings: {:?}", outcome.findings);
        let mut case = Case { problem, contract: contract.clone(), launch, original: Vec::new() };
        case.original = case.outputs(&outcome);
        assert_eq!(case.judge(&outcome), Ok(()), "the original is wrong");
        cases.push(case);
    }
    (code.expect("a case").text, cases)
}

/// Runs every case under both deliveries until something is noticed.
fn verdict(cases: &[Case], module: &Module) -> Verdict {
    let mut same_bits = true;
    for delivery in [Delivery::Late, Delivery::Early] {
        for case in cases {
            let Ok(outcome) = simulate(module, &case.launch, &config(delivery)) else {
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

fn main() {
    let every = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(1);
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let modules = modules();
    let module = modules.iter().map(|(_, module)| module).find(|m| m.kernel("causal").is_some());
    let module = module.expect("a causal kernel");
    let (Some(kernel), Some(spec)) = (module.kernel("causal"), module.spec("causal")) else {
        panic!("a kernel with its spec")
    };
    for &(head, knobs, stages) in KERNELS {
        let mut binding = binding(kernel, DType::F16, head);
        binding.ints.extend(knobs.iter().map(|&(name, n)| (name.to_owned(), n)));
        let (text, cases) = prepare(kernel, spec, &binding, stages);
        if let Some(folder) = std::env::args().nth(2) {
            let file =
                std::path::Path::new(&folder).join(format!("causal_d{head}_stages{stages}.ptx"));
            std::fs::write(&file, &text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        }
        let chosen: Vec<Mutant> = mutants(&text).expect("PTX").into_iter().step_by(every).collect();
        let start = Instant::now();
        let score = Score::of(&text, chosen, threads, |module| verdict(&cases, module));
        println!("D={head} {knobs:?} stages={stages}: {} lines of PTX", text.lines().count());
        println!("{score}in {:.0} s", start.elapsed().as_secs_f64());
        let never = |mutant: &Mutant| {
            let lines = text.lines().zip(1..);
            let lines = lines.map(|(line, at)| if at == mutant.line { "trap;" } else { line });
            let module = Module::parse(&lines.collect::<Vec<_>>().join("\n")).expect("PTX");
            !matches!(verdict(&cases, &module), Verdict::Found(Code::Trap))
        };
        let loads = (1..).zip(text.lines()).find(|(_, line)| line.contains("ld.global"));
        let loads = loads.map_or(0, |(line, _)| line);
        let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (mutant, same) in score.survivors() {
            let to = if mutant.to.is_empty() { "deleted" } else { &mutant.to };
            let Mutant { kind, line, from, .. } = mutant;
            let bits = if same { "" } else { ", other bits" };
            let why = reasons::reason(mutant, !never(mutant), loads).unwrap_or(MISSED);
            let text = format!("{kind:?} {line} {from} -> {to}{bits}");
            groups.entry(why).or_default().push(text);
        }
        let missed = groups.get(MISSED).map_or(0, Vec::len);
        let (ran, caught) = score.caught();
        let count = ran - caught - missed;
        println!(
            "{count} are taken to be equivalent; of the other {}, {:.2} % are caught",
            caught + missed,
            100.0 * caught as f64 / (caught + missed) as f64
        );
        for (why, mutants) in &groups {
            println!("{} {why}", mutants.len());
            mutants.iter().for_each(|mutant| println!("    {mutant}"));
        }
    }
}
