//! Finds the knobs under which a kernel runs fastest here, and remembers them.
//!
//! ```text
//! tune clauses --space--> candidates --one process each--> checked --interleaved rounds--> median --> record
//! ```
//!
//! A candidate is never trusted: it runs in a process of its own, with a limit on its time, and must agree with the
//! kernel's spec and with the default before it is timed. One that is wrong, crashes or hangs is a row with a reason.
//! So nothing here can take the caller down, and a record is only ever a hint about speed.

mod child;
mod protocol;
mod ranking;
mod record;
mod space;
mod tuner;
pub mod worker;

pub use protocol::{Kind, Reason};
pub use ranking::{GpuLaunch, Ranked, gpu_candidates, gpu_choices, model, rank};
pub use record::{Site, find, of_gpus, shipped, store};
pub use space::{Knobs, MAX_CANDIDATES, SpaceError, candidates, show};
pub use tuner::{Limits, Outcome, Row, Setup, Step, Timing, Tuned, tune};
