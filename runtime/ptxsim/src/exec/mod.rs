//! Execution of one CTA after another by one worker thread.
//!
//! A worker owns the warps, the shared memory and the counters of the CTA it runs. Warps run until they block or their
//! time is up; which one comes next is the schedule's choice. Only global memory is shared between workers.

mod asynchronous;
mod atomics;
mod barrier;
mod control;
mod core;
mod matrix;
mod memory;
mod schedule;
mod step;
mod sync;
mod trace;
mod warp;

pub use self::core::Device;
pub use schedule::Worker;
