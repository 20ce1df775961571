//! A launch, on the simulator.

use std::ffi::c_void;

use tilec_ptxsim::{
    Arg, Buffer, Code as Found, Config, Contents, Direction, Elem, Finding, Launch, Outcome,
    simulate,
};

use crate::code;
use crate::state::{Code, Function, State};

/// A launch with all it needs.
#[derive(Clone)]
pub struct Recorded {
    pub function: Function,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub shared_bytes: u32,
    /// The bytes of each parameter.
    pub values: Vec<Vec<u8>>,
}

/// The parameters of an entry, copied.
///
/// # Safety
///
/// `values` point to them.
pub unsafe fn values_of(
    state: &State,
    function: &Function,
    values: *mut *mut c_void,
) -> Result<Vec<Vec<u8>>, Code> {
    let module = state.modules.get(&function.module).ok_or(code::INVALID_HANDLE)?;
    let kernel = module.kernel(&function.entry).ok_or(code::INVALID_HANDLE)?;
    if values.is_null() && !kernel.params.is_empty() {
        return Err(code::INVALID_VALUE);
    }
    let value = |(number, param): (usize, &tilec_ptxsim::ParamInfo)| {
        // SAFETY: the caller's promise.
        let bytes = unsafe {
            let value = (*values.add(number)).cast::<u8>();
            std::slice::from_raw_parts(value, param.bytes as usize)
        };
        bytes.to_vec()
    };
    Ok(kernel.params.iter().enumerate().map(value).collect())
}

impl Recorded {
    /// Runs the launch to its end. A fault of the kernel is told by the next call that waits.
    pub fn run(&self, state: &mut State) -> Result<(), Code> {
        let Recorded { function, grid, block, shared_bytes, values } = self;
        if *shared_bytes > function.shared_bytes {
            return Err(code::INVALID_VALUE);
        }
        let module = state.modules.get(&function.module).ok_or(code::INVALID_HANDLE)?;
        let args = values.iter().cloned().map(Arg::Value).collect();
        let buffer = |(number, block): (usize, &Option<Vec<u8>>)| Buffer {
            name: format!("allocation {number}"),
            elem: Elem::U8,
            direction: Direction::InOut,
            contents: Contents::Dense(block.clone().unwrap_or_default()),
            view: None,
        };
        let launch = Launch {
            entry: function.entry.clone(),
            grid: *grid,
            block: *block,
            dynamic_shared_bytes: *shared_bytes,
            args,
            buffers: state.memory.iter().enumerate().map(buffer).collect(),
            shared_regions: Vec::new(),
        };
        let outcome = simulate(module, &launch, &Config::default()).map_err(|error| {
            eprintln!("fakecuda: {error}");
            code::INVALID_VALUE
        })?;
        let Outcome { buffers, findings, stats, .. } = outcome;
        for finding in &findings {
            eprint!("fakecuda: {finding}");
        }
        state.sticky = findings.iter().map(fault).next();
        state.now_ns += stats.warp_instructions;
        for (block, buffer) in state.memory.iter_mut().zip(buffers) {
            if let Some(block) = block {
                *block = buffer.bytes();
            }
        }
        Ok(())
    }
}

/// What a GPU would answer; where it would let a fault pass, that the launch failed.
fn fault(finding: &Finding) -> Code {
    match finding.code {
        Found::OutOfBounds | Found::Gap | Found::ReadOnly => code::ILLEGAL_ADDRESS,
        Found::Misaligned => code::MISALIGNED_ADDRESS,
        Found::Steps | Found::Deadlock | Found::BarrierExit => code::LAUNCH_TIMEOUT,
        _ => code::LAUNCH_FAILED,
    }
}
