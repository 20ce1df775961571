//! A functional, warp-accurate simulator for the PTX that LLVM prints for sm_80: it executes the text that is shipped,
//! on any machine, and looks for the faults that a GPU hides.
//!
//! [`Module::parse`] turns text into kernels. [`simulate`] runs one [`Launch`] of a kernel under a [`Config`] and returns an
//! [`Outcome`]: the buffers, the [`Finding`]s, and counters.
//!
//! What is modelled: 32-lane warps with divergence and reconvergence at post-dominators, shared memory, asynchronous
//! copies by groups, barriers, warp exchanges, matrix products, atomics; IEEE arithmetic bit for bit; and the freedom PTX
//! leaves (approximate functions, the order of sums in `mma`, warp scheduling, when an asynchronous copy lands) as
//! parameters of a run, so that a result can be shown not to depend on it.
//!
//! What is deliberately absent: time, weak memory orderings beyond races, several launches at once, TMA, wgmma, mbarrier.
//! An opcode that is not modelled is an error with its line, never a skip.
//!
//! The way of the text: [`syntax`] (tokens, tree) → [`decode`] (typed operations, dense registers) → [`cfg`] (meeting points)
//! → [`exec`] (one worker for each thread) over [`lanes`] (arithmetic) and [`memory`] (bytes and their shadow).

#![warn(missing_docs)]

mod cfg;
mod decode;
mod device;
mod exec;
mod finding;
mod float;
mod hash;
mod lanes;
mod launch;
mod memory;
mod numerics;
mod program;
mod regs;
mod report;
mod stats;
mod syntax;

pub use decode::opcodes;
pub use device::{MAX_SHARED_BYTES, Module, simulate};
pub use finding::{Code, Effect, Finding, Site, SourcePos, Span};
pub use launch::{
    Arg, Checks, Config, Counters, Delivery, FinalBuffer, Launch, LaunchError, Outcome, Schedule, SharedRegion,
    buffer_address,
};
pub use memory::buffer::{Buffer, Contents, Direction, Elem, Fill};
pub use memory::view::View;
pub use numerics::{ApproxModel, Numerics, SumModel};
pub use program::{Kernel, ParamInfo, SharedVariable};
pub use report::to_json;
pub use stats::{LoopMix, SiteTraffic, Stats};
pub use syntax::PtxError;
