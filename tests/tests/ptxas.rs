//! NVIDIA's assembler takes every kernel of the library, for every target, and finds about the registers that the model
//! expects; where the model expects enough of them, none is spilled. Skipped, with a message, where there is no `ptxas`:
//! `make tools` installs it.

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
use tilec_tune::{Knobs, SpaceError, candidates};
use tilec_vocab::{DType, Specialisation};

/// Head size.
const HEAD: i64 = 64;

/// Head sizes whose settings are looked at.
const HEADS: [i64; 3] = [64, 128, 256];

/// How far the model may be off, in registers: for half of the kernels, and for each. It says what is alive; `ptxas` takes more to
/// overlap more, up to what two CTAs of an SM leave it.
const OFF: [i64; 2] = [30, 95];

/// Registers of a thread.
const MOST_REGISTERS: u32 = 255;

/// Of the settings one in so many is looked at; with `TILEC_PTXAS_FULL` all, in all types.
const SAMPLE: usize = 7;

struct Task<'a> {
    name: String,
    kernel: &'a Kernel,
    binding: Specialisation,
    target: &'static str,
}

/// What came out of a task: what is used and what was modelled.
type Made = Result<(Usage, u32), String>;

fn make(task: &Task<'_>) -> Made {
    let Task { kernel, binding, target, .. } = task;
    let code = ptx(kernel, binding, &Options::default(), target)?;
    let made = tools::assemble(&code.text, target).map_err(|error| error.to_string())?;
    let tile = optimise(kernel, binding, &tilec_driver::Options::default());
    let tile = tile.map_err(|error| error.to_string())?;
    let facts = tilec_ptx::usual_facts(&tile);
    let knobs = SetKnobs::default().chosen(binding);
    let program = tilec_ptx::program(&tile, &facts, knobs, &Options::default());
    let program = program.map_err(|error| error.to_string())?;
    Ok((made.usage, Needs::of(&program).registers))
}

/// What came out of each task, in order.
fn make_all(tasks: &[Task<'_>]) -> Vec<Made> {
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
    let made = made.into_inner().expect("no thread panics").into_iter();
    made.map(|one| one.unwrap_or_else(|| Err("was not made".to_owned()))).collect()
}

/// Whether there is a `ptxas`; else says that a test is skipped.
fn has_ptxas() -> bool {
    let found = tools::find("ptxas");
    if let Err(missing) = &found {
        eprintln!("skipped: {missing}");
    }
    found.is_ok()
}

/// Whether to do all that takes minutes.
fn is_full() -> bool {
    std::env::var_os("TILEC_PTXAS_FULL").is_some()
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
        let number = tasks.len();
        for (row, target) in TARGETS.iter().enumerate() {
            for dtype in FLOATS {
                let chosen = match row {
                    0 => dtype != DType::BF16,
                    _ => dtype == DType::BF16 && row == 1 + number / 3 % (TARGETS.len() - 1),
                };
                if is_full() || chosen {
                    let name = format!("{} {dtype} {}", kernel.name, target.name);
                    let binding = binding(kernel, dtype, HEAD);
                    tasks.push(Task { name, kernel, binding, target: target.name });
                }
            }
        }
    }
    let mut complaints = Vec::new();
    let mut errors = Vec::new();
    for (Task { name, .. }, made) in tasks.iter().zip(make_all(&tasks)) {
        match made {
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

/// Every setting of a kernel's own knobs, in the order of its text.
fn settings(kernel: &Kernel, binding: &Specialisation) -> Vec<Specialisation> {
    let with = |knobs: Knobs| {
        let mut set = binding.clone();
        set.ints.extend(knobs);
        set
    };
    match candidates(kernel, &Knobs::new()) {
        Ok(all) => all.into_iter().map(with).collect(),
        Err(SpaceError::NoKnobs) => vec![binding.clone()],
        Err(why) => panic!("{}: {why}", kernel.name),
    }
}

/// Warps and stages as they come by themselves. A setting that wants more registers than there are is not taken by a launch or
/// a tuner while there is another.
#[test]
fn settings_with_enough_registers_spill_none() {
    if !has_ptxas() {
        return;
    }
    let modules = modules();
    let mut tasks = Vec::new();
    for kernel in modules.iter().flat_map(|(_, module)| &module.kernels) {
        let has_head = kernel.declares("D");
        for dtype in FLOATS.into_iter().filter(|dtype| is_full() || *dtype == DType::F16) {
            for head in HEADS.into_iter().take(if has_head { HEADS.len() } else { 1 }) {
                for binding in settings(kernel, &binding(kernel, dtype, head)) {
                    let ints = binding.ints.iter().map(|(n, v)| format!(" {n}={v}"));
                    let name = format!("{} {dtype}{}", kernel.name, ints.collect::<String>());
                    tasks.push(Task { name, kernel, binding, target: TARGETS[0].name });
                }
            }
        }
    }
    if !is_full() {
        tasks = tasks.into_iter().step_by(SAMPLE).collect();
    }
    let mut complaints = Vec::new();
    let (mut kept, mut left_out) = (0, 0);
    for (Task { name, .. }, made) in tasks.iter().zip(make_all(&tasks)) {
        match made {
            // Shared memory is exact, and then there is nothing to run.
            Err(why) if why.contains("bytes of shared memory") => {}
            Err(why) => complaints.push(format!("{name}: {why}")),
            Ok((usage, modelled)) if modelled > MOST_REGISTERS => {
                println!("{name:48} {usage}, left out for {modelled}");
                left_out += 1;
            }
            Ok((usage, modelled)) => {
                println!("{name:48} {usage}, modelled {modelled}");
                kept += 1;
                if usage.stack_bytes > 0 {
                    complaints.push(format!("{name}: {usage}, modelled {modelled}"));
                }
            }
        }
    }
    println!("{kept} settings, {left_out} left out");
    no_complaints(complaints);
}
