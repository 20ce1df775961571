//! The driver's state: what was made and not destroyed yet, and the way of every call through the plan.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{LazyLock, Mutex, PoisonError};

use tilec_ptxsim::{Module, buffer_address};

use crate::code::{self, SUCCESS};
use crate::launch::Recorded;
use crate::plan::{Effect, LOG, PLAN, Plan};

/// A `CUresult`.
pub type Code = i32;

/// Everything that was made.
pub struct State {
    pub plan: Plan,
    pub initialised: bool,
    /// How often the primary context was retained and not released.
    pub retained: u32,
    /// The fault after which the context takes no more work.
    pub sticky: Option<Code>,
    /// Device memory by number, the next one's address after the last; `None` once freed. Never used again, so that
    /// an address of freed memory is one of none.
    pub memory: Vec<Option<Vec<u8>>>,
    /// Each with the launches it records, while it does.
    pub streams: BTreeMap<usize, Option<Vec<Recorded>>>,
    pub graphs: BTreeMap<usize, Vec<Recorded>>,
    pub executables: BTreeMap<usize, Vec<Recorded>>,
    /// When each event was recorded, by the device's clock.
    pub events: BTreeMap<usize, Option<u64>>,
    pub modules: BTreeMap<usize, Module>,
    pub functions: BTreeMap<usize, Function>,
    /// The device's clock.
    pub now_ns: u64,
    calls: BTreeMap<&'static str, u64>,
    handles: usize,
}

/// An entry of a module.
#[derive(Clone)]
pub struct Function {
    pub module: usize,
    pub entry: String,
    /// Dynamic shared memory that was opted in to.
    pub shared_bytes: u32,
}

static STATE: LazyLock<Mutex<State>> = LazyLock::new(|| {
    let plan = std::env::var(PLAN).unwrap_or_default().parse().unwrap_or_else(|error| {
        // A test that asks for what there is not must not pass.
        eprintln!("{error}");
        std::process::exit(2)
    });
    Mutex::new(State {
        plan,
        initialised: false,
        retained: 0,
        sticky: None,
        memory: Vec::new(),
        streams: BTreeMap::new(),
        graphs: BTreeMap::new(),
        executables: BTreeMap::new(),
        events: BTreeMap::new(),
        modules: BTreeMap::new(),
        functions: BTreeMap::new(),
        now_ns: 0,
        calls: BTreeMap::new(),
        handles: 0,
    })
});

thread_local! {
    /// Whether the context is current on this thread.
    pub static CURRENT: Cell<bool> = const { Cell::new(false) };
}

/// What a call needs to be allowed at all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    Nothing,
    /// `cuInit`.
    Driver,
    /// A current context that still works.
    Context,
}

/// Does a call, unless the plan or the state says otherwise.
pub fn call(
    name: &'static str,
    needs: Needs,
    body: impl FnOnce(&mut State) -> Result<(), Code>,
) -> Code {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    let state = &mut *state;
    let number = state.calls.entry(name).or_insert(0);
    *number += 1;
    let effect = state.plan.effect(name, *number);
    log(name);
    match effect {
        Some(Effect::Hang) => loop {
            std::thread::park();
        },
        Some(Effect::Fail(code)) => {
            if code::is_sticky(code) {
                state.sticky = Some(code);
            }
            return code;
        }
        Some(Effect::Wrong) | None => {}
    }
    if needs != Needs::Nothing && !state.initialised {
        return code::NOT_INITIALIZED;
    }
    if needs == Needs::Context {
        if !CURRENT.get() || state.retained == 0 {
            return code::INVALID_CONTEXT;
        }
        if let Some(code) = state.sticky {
            return code;
        }
    }
    let before = (effect == Some(Effect::Wrong)).then(|| state.memory.clone());
    let result = body(state);
    if let Some(before) = before {
        spoil(&before, &mut state.memory);
    }
    result.err().unwrap_or(SUCCESS)
}

/// A line of the log, where one is kept.
pub fn log(line: &str) {
    let Some(path) = std::env::var_os(LOG) else { return };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    let written = file.and_then(|mut file| writeln!(file, "{line}"));
    if let Err(error) = written {
        eprintln!("{LOG}: {error}");
        std::process::exit(2);
    }
}

/// Breaks a bit of every byte that changed.
fn spoil(before: &[Option<Vec<u8>>], after: &mut [Option<Vec<u8>>]) {
    for (before, after) in before.iter().flatten().zip(after.iter_mut().flatten()) {
        for (old, new) in before.iter().zip(after) {
            if old != new {
                *new ^= 1;
            }
        }
    }
}

impl State {
    /// A handle that was never given out.
    pub fn handle(&mut self) -> usize {
        self.handles += 1;
        0x1000 + 16 * self.handles
    }

    /// A stream that does not record.
    pub fn running(&self, stream: usize) -> Result<(), Code> {
        match self.streams.get(&stream) {
            None => Err(code::INVALID_HANDLE),
            Some(Some(_)) => Err(code::STREAM_CAPTURE_UNSUPPORTED),
            Some(None) => Ok(()),
        }
    }

    /// Bytes that are taken.
    pub fn taken(&self) -> usize {
        self.memory.iter().flatten().map(Vec::len).sum()
    }

    /// `bytes` bytes of device memory from `address` on.
    pub fn bytes(&mut self, address: u64, bytes: usize) -> Result<&mut [u8], Code> {
        let numbered = self.memory.iter_mut().enumerate();
        for (number, block) in numbered.filter_map(|(n, block)| Some((n, block.as_mut()?))) {
            let Some(at) = address.checked_sub(buffer_address(number)) else { continue };
            let Some(end) = at.checked_add(bytes as u64) else { continue };
            if end <= block.len() as u64 {
                return Ok(&mut block[at as usize..end as usize]);
            }
        }
        Err(code::INVALID_VALUE)
    }

    /// What was made and not destroyed, in words; empty if nothing is left.
    pub fn left(&self) -> String {
        let counts = [
            ("allocations", self.memory.iter().flatten().count()),
            ("streams", self.streams.len()),
            ("graphs", self.graphs.len()),
            ("executable graphs", self.executables.len()),
            ("events", self.events.len()),
            ("modules", self.modules.len()),
        ];
        let left = counts.iter().filter(|(_, count)| *count > 0);
        left.map(|(what, count)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
    }
}
