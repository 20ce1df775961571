//! What the simulator found wrong, as data: a stable code, the accesses involved, the bytes they met at. [`crate::report`]
//! turns it into text.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::program::Pc;

/// A place in the author's source, from the PTX `.loc` table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourcePos {
    /// File name of the `.file` table.
    pub file: String,
    /// One-based line.
    pub line: u32,
    /// One-based column; 0 if unknown.
    pub column: u32,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $title:literal, $effect:ident;)*) => {
        /// What kind of fault a finding reports. The names are stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every code.
            pub const ALL: &[Code] = &[$(Code::$variant),*];

            /// The stable name, such as `SIM-RACE`.
            pub fn name(self) -> &'static str {
                match self { $(Code::$variant => $name),* }
            }

            /// One line for the head of a report.
            pub fn title(self) -> &'static str {
                match self { $(Code::$variant => $title),* }
            }

            /// What happens to the launch.
            pub fn effect(self) -> Effect {
                match self { $(Code::$variant => Effect::$effect),* }
            }
        }
    };
}

/// What a finding does to the launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Reported; results are still right.
    Warning,
    /// Reported; the simulation goes on with poisoned values where a value was needed.
    Continue,
    /// The CTA cannot go on, and the launch ends.
    Stop,
}

codes! {
    /// An access outside every buffer, or outside shared or local memory.
    OutOfBounds = "SIM-OOB", "access outside its buffer", Continue;
    /// An access inside a buffer's memory but between the elements of its view.
    Gap = "SIM-GAP", "access to bytes between the elements of a view", Continue;
    /// An access not aligned to its size.
    Misaligned = "SIM-MISALIGN", "misaligned access", Continue;
    /// A write to an input buffer or to constant memory.
    ReadOnly = "SIM-READONLY", "write to read-only memory", Continue;
    /// A read of shared memory that nobody wrote.
    UninitShared = "SIM-UNINIT-SHARED", "read of uninitialised shared memory", Continue;
    /// An output element that no thread wrote.
    UninitOut = "SIM-UNINIT-OUT", "output elements never written", Continue;
    /// An undefined value used as address, condition, matrix operand or output.
    UninitReg = "SIM-UNINIT-REG", "use of an undefined value", Continue;
    /// An access to bytes that an asynchronous copy is still writing.
    InFlight = "SIM-INFLIGHT", "access to bytes of an unfinished asynchronous copy", Continue;
    /// A cp.async whose source size is larger than its copy size.
    CopySize = "SIM-COPY-SIZE", "asynchronous copy with a source larger than its destination", Continue;
    /// Two accesses to shared memory that no barrier orders, one of them a write.
    Race = "SIM-RACE", "unordered accesses to shared memory", Continue;
    /// Two accesses to global memory that nothing orders, one of them a write.
    GlobalRace = "SIM-GRACE", "unordered accesses to global memory", Continue;
    /// A warp-wide or CTA-wide instruction executed by part of a warp.
    DivergedSync = "SIM-DIVERGED-SYNC", "warp-wide instruction in part of a warp", Stop;
    /// Warps wait at a barrier for warps that have exited.
    BarrierExit = "SIM-BARRIER-EXIT", "barrier waits for warps that have exited", Stop;
    /// Warps wait at barriers that can never complete.
    Deadlock = "SIM-DEADLOCK", "no warp can make progress", Stop;
    /// A barrier number, thread count or reuse that PTX forbids.
    BarrierUse = "SIM-BARRIER-USE", "illegal use of a barrier", Stop;
    /// A warp executed more instructions than the limit.
    Steps = "SIM-STEPS", "step limit reached", Stop;
    /// A member mask that is not the set of executing lanes.
    ShflMask = "SIM-SHFL-MASK", "member mask differs from the executing lanes", Continue;
    /// An integer division by zero.
    DivideByZero = "SIM-DIV0", "integer division by zero", Continue;
    /// `trap` was executed.
    Trap = "SIM-TRAP", "trap executed", Stop;
    /// A shared-memory access that needs more wavefronts than its bytes demand.
    Bank = "SIM-BANK", "shared-memory bank conflict", Warning;
}

/// One side of a finding: an instruction as some lane executed it.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// What the lane did: `read`, `write`, `copy`, …
    pub role: &'static str,
    /// CTA coordinates.
    pub cta: [u32; 3],
    /// Warp within the CTA.
    pub warp: u32,
    /// Lane within the warp; `None` for several lanes.
    pub lane: Option<u32>,
    /// One-based line of the PTX text.
    pub ptx_line: u32,
    /// The PTX statement.
    pub ptx: String,
    /// The author's line, if the PTX carries `.loc`.
    pub source: Option<SourcePos>,
}

/// Bytes of a named object.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// `shared`, `global` or `local`.
    pub space: &'static str,
    /// Buffer or variable.
    pub name: String,
    /// First byte, relative to the object; negative before it.
    pub start: i64,
    /// Length in bytes.
    pub bytes: u64,
    /// The same in elements: `element 12 [0, 3]`, `stage 1, row 1, columns 8..16`.
    pub element: Option<String>,
}

/// Something wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Kind of fault.
    pub code: Code,
    /// Kernel name.
    pub kernel: String,
    /// CTA in which it was first seen.
    pub cta: [u32; 3],
    /// Barriers the reporting warp had passed.
    pub barriers: u32,
    /// What happened, in one sentence.
    pub message: String,
    /// The instructions involved, the reporting one first.
    pub sites: Vec<Site>,
    /// The bytes involved.
    pub span: Option<Span>,
    /// What would repair it, where that is known.
    pub help: Option<String>,
    /// How often it was seen at these instructions.
    pub count: u64,
}

/// Findings are the same when they name the same instructions.
type Key = (Code, Pc, Pc);

/// Collects findings, one for each key.
#[derive(Clone, Debug, Default)]
pub struct Sink {
    found: BTreeMap<Key, (u64, Finding)>,
    limit: usize,
    stopped: bool,
}

impl Sink {
    /// A sink that stops the launch after `limit` different errors.
    pub fn new(limit: usize) -> Self {
        Sink { found: BTreeMap::new(), limit, stopped: false }
    }

    /// Counts a finding already recorded for these instructions; `false` if there is none.
    pub fn bump(&mut self, code: Code, pc: Pc, other: Pc) -> bool {
        match self.found.get_mut(&(code, pc, other)) {
            Some((_, finding)) => {
                finding.count += 1;
                true
            }
            None => false,
        }
    }

    /// Records a finding; `order` sorts findings of different CTAs.
    pub fn add(&mut self, code: Code, pc: Pc, other: Pc, order: u64, finding: Finding) {
        self.found.insert((code, pc, other), (order, finding));
        self.stopped |= code.effect() == Effect::Stop;
        let errors = self.found.keys().filter(|k| k.0.effect() != Effect::Warning).count();
        self.stopped |= errors >= self.limit;
    }

    /// Whether the launch has to end.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// Adds the findings of another CTA.
    pub fn merge(&mut self, other: Sink) {
        self.stopped |= other.stopped;
        for (key, (order, finding)) in other.found {
            match self.found.entry(key) {
                Entry::Occupied(mut e) => {
                    let (mine, old) = e.get_mut();
                    let count = old.count + finding.count;
                    if order < *mine {
                        *mine = order;
                        *old = finding;
                    }
                    old.count = count;
                }
                Entry::Vacant(e) => {
                    e.insert((order, finding));
                }
            }
        }
    }

    /// The findings in order of CTA, then code and instruction.
    pub fn into_findings(self) -> Vec<Finding> {
        let mut all: Vec<_> = self.found.into_iter().map(|(k, (order, f))| (order, k, f)).collect();
        all.sort_by_key(|(order, key, _)| (*order, *key));
        all.into_iter().map(|(_, _, f)| f).collect()
    }
}
