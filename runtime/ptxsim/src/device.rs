//! Modules and launches: checks the launch, runs the CTAs over threads, gathers findings and counters.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use crate::changes::Changes;
use crate::decode::{self, ModuleVariable};
use crate::exec::{Device, Worker};
use crate::finding::{Code, Finding, Sink, Span};
use crate::hash::Stream;
use crate::lanes::Kernels;
use crate::launch::*;
use crate::memory::address::buffer_address;
use crate::memory::buffer::Direction;
use crate::memory::global::GlobalMemory;
use crate::program::{Kernel, NOWHERE, Op};
use crate::stats::{Stats, Tally};
use crate::syntax::ast::Space;
use crate::syntax::{self, PtxError};

/// PTX text, parsed and decoded.
pub struct Module {
    kernels: Vec<Kernel>,
    variables: Vec<ModuleVariable>,
    files: BTreeMap<u32, String>,
}

/// The largest shared memory of a CTA on the machines modelled (H100; an A100 has 163 KiB).
pub const MAX_SHARED_BYTES: u64 = 227 * 1024;

impl Module {
    /// Parses and decodes PTX text. Every entry is decoded, so an unknown opcode anywhere is an error here.
    pub fn parse(text: &str) -> Result<Module, PtxError> {
        let tree = syntax::parse(text)?;
        let mut kernels = vec![];
        for f in tree.functions.iter().filter(|f| f.is_entry && f.body.is_some()) {
            kernels.push(decode::decode(&tree, text, f)?);
        }
        Ok(Module {
            kernels,
            variables: decode::module_variables(&tree),
            files: tree.files.clone(),
        })
    }

    /// The entries, in text order.
    pub fn kernels(&self) -> &[Kernel] {
        &self.kernels
    }

    /// The entry called `name`.
    pub fn kernel(&self, name: &str) -> Option<&Kernel> {
        self.kernels.iter().find(|k| k.name == name)
    }
}

/// Runs a launch.
pub fn simulate(module: &Module, launch: &Launch, config: &Config) -> Result<Outcome, LaunchError> {
    let kernel = module.kernel(&launch.entry).ok_or_else(|| {
        let known: Vec<&str> = module.kernels.iter().map(|k| k.name.as_str()).collect();
        LaunchError(format!(
            "there is no entry `{}`; the module has {}",
            launch.entry,
            known.join(", ")
        ))
    })?;
    let shared_bytes = check_shape(kernel, launch)?;
    let params = pack_params(kernel, launch)?;
    let checks = config.checks == Checks::All;
    let global = GlobalMemory::new(&launch.buffers, &module.variables, kernel.global_grain, checks)
        .map_err(LaunchError)?;
    let device = Device {
        kernel,
        files: &module.files,
        config: *config,
        grid: launch.grid,
        block: launch.block,
        dynamic_shared_bytes: launch.dynamic_shared_bytes,
        shared_bytes: shared_bytes as usize,
        regions: &launch.shared_regions,
        params,
        global,
        kernels: match config.lanes {
            Lanes::Fastest => Kernels::detect(),
            Lanes::Portable => Kernels::baseline(),
        },
        releases: Mutex::default(),
    };
    let num_ctas = launch.grid.iter().product::<u32>();
    let (mut sink, tally, ran) = run_ctas(&device, num_ctas, config);
    let completed = ran == num_ctas as usize && !sink.stopped();
    if completed && checks {
        unwritten_outputs(&device, launch, &mut sink);
    }
    let stats = Stats::new(kernel, &tally, |pc| space_of(&kernel.code[pc as usize].op));
    let changes = match config.counters {
        Counters::Changes { .. } => Changes::new(kernel, &tally),
        Counters::Steps | Counters::Full => Changes::default(),
    };
    let Device { global, .. } = device;
    let buffers = global.into_launch_buffers().into_iter().map(FinalBuffer).collect();
    Ok(Outcome { buffers, findings: sink.into_findings(), stats, changes, completed })
}

fn space_of(op: &Op) -> &'static str {
    match op {
        Op::Ldmatrix { .. } => "shared",
        Op::Load { addr, .. } | Op::Store { addr, .. } if addr.space == Space::Shared => "shared",
        Op::Atom(atom) if atom.addr.space == Space::Shared => "shared",
        _ => "global",
    }
}

/// Checks grid, block and shared memory; returns the bytes of shared memory.
fn check_shape(kernel: &Kernel, launch: &Launch) -> Result<u64, LaunchError> {
    let refuse = |message: String| Err(LaunchError(message));
    let threads: u64 = launch.block.iter().map(|b| *b as u64).product();
    if threads == 0 || threads > 1024 {
        return refuse(format!("a block has 1 to 1024 threads, this one {threads}"));
    }
    if let Some(required) = kernel.reqntid
        && required != launch.block
    {
        return refuse(format!(
            "`{}` requires blocks of {required:?}, not {:?}",
            kernel.name, launch.block
        ));
    }
    if let Some(max) = kernel.maxntid
        && threads > max.iter().map(|m| *m as u64).product()
    {
        return refuse(format!(
            "`{}` allows blocks of {max:?}, not {:?}",
            kernel.name, launch.block
        ));
    }
    let [x, y, z] = launch.grid;
    let ctas = x as u64 * y as u64 * z as u64;
    if ctas == 0 || x > 0x7fff_ffff || y > 65535 || z > 65535 || ctas >= 1 << 28 {
        return refuse(format!(
            "a grid of {:?} is outside the limits [2^31 - 1, 65535, 65535] or has 2^28 CTAs or more",
            launch.grid
        ));
    }
    let dynamic = kernel.shared.iter().find(|v| v.bytes.is_none());
    let base = dynamic.map_or(kernel.static_shared_bytes, |v| v.offset);
    let bytes = base + launch.dynamic_shared_bytes as u64;
    if bytes > MAX_SHARED_BYTES {
        return refuse(format!("{bytes} bytes of shared memory, of {MAX_SHARED_BYTES}"));
    }
    Ok(bytes.next_multiple_of(16))
}

/// Lays the arguments out as the PTX parameters.
fn pack_params(kernel: &Kernel, launch: &Launch) -> Result<Vec<u8>, LaunchError> {
    if kernel.params.len() != launch.args.len() {
        return Err(LaunchError(format!(
            "`{}` has {} parameters, the launch {} arguments",
            kernel.name,
            kernel.params.len(),
            launch.args.len()
        )));
    }
    let mut out = vec![0; kernel.param_bytes as usize];
    for (i, (param, arg)) in kernel.params.iter().zip(&launch.args).enumerate() {
        let bytes = match arg {
            Arg::Value(bytes) => bytes.clone(),
            Arg::Pointer { buffer, offset } => {
                if *buffer >= launch.buffers.len() {
                    return Err(LaunchError(format!(
                        "argument {i} points into buffer {buffer}, which does not exist"
                    )));
                }
                buffer_address(*buffer).wrapping_add_signed(*offset).to_le_bytes().to_vec()
            }
        };
        if bytes.len() as u64 != param.bytes {
            return Err(LaunchError(format!(
                "argument {i} has {} bytes, parameter `{}` {}",
                bytes.len(),
                param.name,
                param.bytes
            )));
        }
        let start = param.offset as usize;
        out[start..start + bytes.len()].copy_from_slice(&bytes);
    }
    Ok(out)
}

/// CTA indices in the order the schedule starts them.
fn cta_order(schedule: Schedule, n: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n).collect();
    match schedule {
        Schedule::RoundRobin | Schedule::FarAhead(_) => {}
        Schedule::Reverse => order.reverse(),
        Schedule::Random(seed) => {
            let mut stream = Stream(seed ^ 0x5851_f42d_4c95_7f2d);
            for i in (1..order.len()).rev() {
                order.swap(i, (stream.next() % (i as u64 + 1)) as usize);
            }
        }
    }
    order
}

fn run_ctas(device: &Device, num_ctas: u32, config: &Config) -> (Sink, Tally, usize) {
    let order = cta_order(config.schedule, num_ctas);
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let ran = AtomicUsize::new(0);
    let work = || {
        let mut worker = Worker::new(device);
        while !stop.load(Relaxed) {
            let Some(cta) = order.get(next.fetch_add(1, Relaxed)) else {
                break;
            };
            worker.run(*cta);
            if worker.stopped() {
                stop.store(true, Relaxed);
                break;
            }
            ran.fetch_add(1, Relaxed);
        }
        worker.finish()
    };
    let threads = config.threads.clamp(1, num_ctas as usize);
    let results: Vec<(Sink, Tally)> = if threads == 1 {
        vec![work()]
    } else {
        std::thread::scope(|scope| {
            let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            handles
                .into_iter()
                .map(|h| h.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        })
    };
    let mut sink = Sink::new(config.max_findings);
    let mut tally = Tally::new(device.kernel.code.len(), config.counters);
    for (s, t) in results {
        sink.merge(s);
        tally.merge(&t);
    }
    (sink, tally, ran.load(Relaxed))
}

/// Elements above which an output is too large to be looked through.
const MAX_SCANNED: u64 = 1 << 26;

fn unwritten_outputs(device: &Device, launch: &Launch, sink: &mut Sink) {
    for (index, spec) in launch.buffers.iter().enumerate() {
        let elements = match &spec.view {
            Some(view) => view.elements(),
            None => Some(spec.bytes() / spec.elem.bytes()),
        };
        if spec.direction != Direction::Out || elements.is_none_or(|n| n > MAX_SCANNED) {
            continue;
        }
        let buffer = device.global.buffer(index);
        let (first, count) = buffer.unwritten();
        let Some(start) = first.first() else {
            continue;
        };
        let places: Vec<String> = first.iter().map(|at| buffer.describe(*at as i64)).collect();
        let more = if count as usize > first.len() { " and others" } else { "" };
        let finding = Finding {
            code: Code::UninitOut,
            kernel: device.kernel.name.clone(),
            cta: [0; 3],
            barriers: 0,
            message: format!(
                "{count} element{} of output `{}` never written: {}{more}",
                if count == 1 { "" } else { "s" },
                spec.name,
                places.join("; ")
            ),
            sites: vec![],
            span: Some(Span {
                space: "global",
                name: spec.name.clone(),
                start: *start as i64,
                bytes: spec.elem.bytes(),
                element: Some(buffer.describe(*start as i64)),
            }),
            help: None,
            count: 1,
        };
        sink.add(Code::UninitOut, index as u32, NOWHERE, u64::MAX, finding);
    }
}
