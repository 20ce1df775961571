//! The state of a warp: registers, the stack of divergent paths, pending copies, clocks.

use super::trace::History;
use crate::memory::order::{Known, MAX_WARPS, Who};
use crate::program::{Kernel, NOWHERE, Pc};
use crate::regs::Regs;

/// A path set aside: lanes that continue at `pc` once the present path reaches its meeting point.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    pub pc: Pc,
    pub mask: u32,
    /// Where this path in turn meets the one below.
    pub meet: Pc,
    /// The path resumes after a call; lanes that return leave every path above it.
    pub call: bool,
}

/// An asynchronous copy on its way.
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    pub lane: u32,
    pub group: u32,
    pub dst: u32,
    pub bytes: u8,
    pub src_bytes: u8,
    pub src: u64,
    pub pc: Pc,
    /// State of the source at issue, where it can be written.
    pub version: Option<u64>,
}

/// What a warp is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Ready,
    /// At a barrier with this number.
    Waiting(u32),
    Done,
}

pub struct Warp {
    pub index: u32,
    pub regs: Regs,
    pub pc: Pc,
    pub mask: u32,
    /// Where the present path waits for its siblings.
    pub meet: Pc,
    pub paths: Vec<Path>,
    /// Lanes that exist.
    pub present: u32,
    /// Lanes that have executed `exit`.
    pub exited: u32,
    pub condition: Condition,
    pub pending: Vec<Pending>,
    pub group: [u32; 32],
    pub clock: u32,
    pub known: Known,
    /// What the warp knew at its last fence: what a relaxed atomic publishes.
    pub fenced: Option<Known>,
    pub steps: u64,
    pub barriers: u32,
    pub local: Vec<u8>,
    pub local_defined: Vec<bool>,
    /// What it changed, if that is asked for.
    pub history: History,
}

impl Warp {
    pub fn new(kernel: &Kernel, index: u32, present: u32) -> Warp {
        let local = kernel.local_bytes as usize * 32;
        Warp {
            index,
            regs: Regs::new(kernel.num_r, kernel.num_d, kernel.num_p),
            pc: kernel.entry,
            mask: present,
            meet: NOWHERE,
            paths: vec![],
            present,
            exited: 0,
            condition: Condition::Ready,
            pending: vec![],
            group: [0; 32],
            clock: 1,
            known: [0; MAX_WARPS],
            fenced: None,
            steps: 0,
            barriers: 0,
            local: vec![0xff; local],
            local_defined: vec![false; local],
            history: History::default(),
        }
    }

    /// Back to the state before the first instruction, registers from `template`.
    pub fn reset(&mut self, kernel: &Kernel, template: &Regs) {
        self.regs.reset_to(template);
        self.pc = kernel.entry;
        self.mask = self.present;
        self.meet = NOWHERE;
        self.paths.clear();
        self.exited = 0;
        self.condition = Condition::Ready;
        self.pending.clear();
        self.group = [0; 32];
        self.clock = 1;
        self.known = [0; MAX_WARPS];
        self.fenced = None;
        self.steps = 0;
        self.barriers = 0;
        self.local.fill(0xff);
        self.local_defined.fill(false);
        self.history = History::default();
    }

    /// Lanes that could execute: present and not exited.
    pub fn live(&self) -> u32 {
        self.present & !self.exited
    }

    pub fn who(&self, lane: u32, pc: Pc, strong: bool) -> Who<'_> {
        Who { warp: self.index, lane, pc, clock: self.clock, known: &self.known, strong }
    }

    /// All lanes of the warp have met: what they did before is ordered before what they do next.
    pub fn tick(&mut self) {
        self.known[self.index as usize] = self.clock;
        self.clock += 1;
    }

    /// The present path has no lanes left, or has reached its meeting point: go on with the one below.
    pub fn resume(&mut self) {
        loop {
            let Some(path) = self.paths.pop() else {
                self.mask = 0;
                self.condition = Condition::Done;
                return;
            };
            self.mask = path.mask & !self.exited;
            self.pc = path.pc;
            self.meet = path.meet;
            if self.mask != 0 && self.pc != self.meet {
                return;
            }
        }
    }
}
