//! NVIDIA's assembler takes every kernel of the library, for every target, and finds about the registers that the model
//! expects. Skipped, with a message, where there is no `ptxas`: `make tools` installs it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tilec_codegen::nvptx::TARGETS;
use tilec_driver::optimise;
use tilec_ir::Kernel;
use tilec_ptx::resources::Needs;
use tilec_ptx::tools::{self, Usage};
use tilec_ptx::{Options, SetKnobs};
use tilec_tests::gpu::{FLOATS, binding, modules, ptx};
use tilec_tests::no_complaints;
use tilec_vocab::DType;

/// Head size.
const HEAD: i64 = 64;

/// How far the model may be off, in registers: for half of the kernels, and for each. It says what is alive; `ptxas` takes more to
/// overlap more, up to what two CTAs of an SM leave it.
const OFF: [i64; 2] = [30, 95];

/// Registers of a thread.
const MOST_REGISTERS: u32 = 255;

/// The choices of `BM` and `BN` in `attend_partial`.
const BLOCKS: [[i64; 2]; 6] = [[64, 64], [64, 32], [64, 128], [128, 64], [128, 32], [128, 128]];

/// Bytes in local memory, at most: at head 256 with 64 by 128, two addresses of the loop that a causal mask cuts.
const MOST_SPILLED: u32 = 16;

struct Task<'a> {
    kernel: &'a Kernel,
    dtype: DType,
    target: &'static str,
}

/// What came out of a task: what is used and what was modelled.
type Made = Result<(Usage, u32), String>;

fn make(task: &Task<'_>) -> Made {
    let binding = binding(task.kernel, task.dtype, HEAD);
    let code = ptx(task.kernel, &binding, &Options::default(), task.target)?;
    let made = tools::assemble(&code.text, task.target).map_err(|error| error.to_string())?;
    let tile = optimise(task.kernel, &binding, &tilec_driver::Options::default());
    let tile = tile.map_err(|error| error.to_string())?;
    let facts = tilec_ptx::usual_facts(&tile);
    let knobs = SetKnobs::default().chosen(&binding);
    let program = tilec_ptx::program(&tile, &facts, knobs, &Options::default());
    let program = program.map_err(|error| error.to_string())?;
    Ok((made.usage, Needs::of(&program).registers))
}

/// Whether there is a `ptxas`; else says that a test is skipped.
fn has_ptxas() -> bool {
    let found = tools::find("ptxas");
    if let Err(missing) = &found {
        eprintln!("skipped: {missing}");
    }
    found.is_ok()
}

#[test]
fn ptxas_takes_every_kernel_and_the_model_of_registers_is_near() {
    if !has_ptxas() {
        return;
    }
    let modules = modules();
    let mut tasks = Vec::new();
    for kernel in modules.iter().flat_map(|(_, module)| &module.kernels) {
        // All of them take minutes; without being asked each kernel goes to the first target in two types, and to one of the
        // others.
        let all = std::env::var_os("TILEC_PTXAS_FULL").is_some();
        let number = tasks.len();
        for (row, target) in TARGETS.iter().enumerate() {
            for dtype in FLOATS {
                let chosen = match row {
                    0 => dtype != DType::BF16,
                    _ => dtype == DType::BF16 && row == 1 + number / 3 % (TARGETS.len() - 1),
                };
                if all || chosen {
                    tasks.push(Task { kernel, dtype, target: target.name });
                }
            }
        }
    }
    let made: Mutex<Vec<Option<Made>>> = Mutex::new(tasks.iter().map(|_| None).collect());
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(task) = tasks.get(number) else { return };
                    let one = make(task);
                    made.lock().expect("no thread panics")[number] = Some(one);
                }
            });
        }
    });
    let mut complaints = Vec::new();
    let mut errors = Vec::new();
    for (task, made) in tasks.iter().zip(made.into_inner().expect("no thread panics")) {
        let name = format!("{} {} {}", task.kernel.name, task.dtype, task.target);
        match made.unwrap_or_else(|| Err("was not made".to_owned())) {
            Err(error) => complaints.push(format!("{name}: {error}")),
            Ok((usage, modelled)) => {
                // What the compiler has warned of: how many registers it then has to do with is ptxas's affair.
                if modelled > MOST_REGISTERS && usage.spill_bytes.0 > 0 {
                    println!("{name:36} {usage}, as foretold by {modelled}");
                    continue;
                }
                let off = i64::from(modelled) - i64::from(usage.registers);
                println!("{name:36} {usage}, modelled {modelled}, off {off:+}");
                errors.push(off.abs());
                if off.abs() > OFF[1] {
                    complaints.push(format!("{name}: {usage}, modelled {modelled}"));
                }
            }
        }
    }
    errors.sort_unstable();
    let median = errors.get(errors.len() / 2).copied().unwrap_or_default();
    println!("the model is off by {median} registers in the median");
    if median > OFF[0] {
        complaints.push(format!("the model is off by {median} registers in the median"));
    }
    no_complaints(complaints);
}

/// Attention without a mask and with one, at each choice of its blocks; warps and stages as they come by themselves.
#[test]
fn blocks_of_attention_stay_in_registers() {
    if !has_ptxas() {
        return;
    }
    let modules = modules();
    let mut complaints = Vec::new();
    let kernels = modules.iter().flat_map(|(_, module)| &module.kernels);
    for kernel in kernels.filter(|kernel| ["full", "causal"].contains(&kernel.name.as_str())) {
        for (head, blocks) in [64, 128, 256].into_iter().flat_map(|d| BLOCKS.map(|b| (d, b))) {
            let mut binding = binding(kernel, DType::F16, head);
            binding.ints.extend([("BM".to_owned(), blocks[0]), ("BN".to_owned(), blocks[1])]);
            let name = format!("{} D={head} BM={} BN={}", kernel.name, blocks[0], blocks[1]);
            match ptx(kernel, &binding, &Options::default(), TARGETS[0].name) {
                // Shared memory is exact, and then there is nothing to run.
                Err(why) if why.contains("bytes of shared memory") => {}
                Err(why) => complaints.push(format!("{name}: {why}")),
                Ok(code) => {
                    let made =
                        tools::assemble(&code.text, TARGETS[0].name).expect("ptxas takes it");
                    println!("{name:28} {}", made.usage);
                    if made.usage.spill_bytes.0 > MOST_SPILLED {
                        complaints.push(format!("{name}: {}", made.usage));
                    }
                }
            }
        }
    }
    no_complaints(complaints);
}
