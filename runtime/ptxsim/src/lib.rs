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
//! # Example
//!
//! ```
//! use tilec_ptxsim::*;
//!
//! let module = Module::parse(
//!     ".version 8.0
//!      .target sm_80
//!      .address_size 64
//!      .visible .entry number(.param .u64 out)
//!      {
//!          .reg .b32 %t;
//!          .reg .b64 %o;
//!          mov.u32 %t, %tid.x;
//!          ld.param.u64 %o, [out];
//!          mad.wide.u32 %o, %t, 4, %o;
//!          st.global.b32 [%o], %t;
//!          ret;
//!      }",
//! )?;
//! let launch = Launch {
//!     entry: "number".into(),
//!     grid: [1; 3],
//!     block: [4, 1, 1],
//!     dynamic_shared_bytes: 0,
//!     args: vec![Arg::buffer(0)],
//!     buffers: vec![Buffer::output("out", Elem::U32, 3)],
//!     shared_regions: vec![],
//! };
//! let outcome = simulate(&module, &launch, &Config::default())?;
//! assert_eq!(outcome.findings[0].code, Code::OutOfBounds);
//! assert_eq!(outcome.findings[0].message, "4-byte write at byte 12 of `out`, which has 12 bytes");
//! assert_eq!(outcome.bytes_of("out"), Some(vec![0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The way of the text: `syntax` (tokens, tree) → `decode` (typed operations, dense registers) → `cfg` (meeting points)
//! → `exec` (one worker for each thread) over `lanes` (arithmetic) and `memory` (bytes and their shadow).

#![warn(missing_docs)]

mod cfg;
mod changes;
mod decode;
mod device;
mod exec;
mod finding;
mod float;
mod hash;
mod lanes;
mod launch;
mod memory;
pub mod mutate;
mod numerics;
mod program;
mod regs;
mod report;
mod stats;
mod syntax;

pub use changes::{Changes, LineChanges};
pub use decode::opcodes;
pub use device::{MAX_SHARED_BYTES, Module, simulate};
pub use finding::{Code, Effect, Finding, Site, SourcePos, Span};
pub use launch::{
    Arg, Checks, Config, Counters, Delivery, FinalBuffer, Lanes, Launch, LaunchError, Outcome,
    Schedule, SharedRegion, buffer_address,
};
pub use memory::buffer::{Buffer, Contents, Direction, Elem, Fill};
pub use memory::view::View;
pub use numerics::{ApproxModel, Numerics, SumModel};
pub use program::{Kernel, ParamInfo, SharedVariable};
pub use report::to_json;
pub use stats::{LoopMix, SiteTraffic, Stats};
pub use syntax::PtxError;
