//! How long a kernel should take on a GPU that is not here: a static model of what one CTA does and an SM can do.
//!
//! ```text
//! Program --walk(shape)--> Work of each CTA --estimate(gpu)--> occupancy, waves, bound, time
//! ```
//!
//! It ranks settings of knobs and says what a kernel is bound by; it is no promise of a time. Loops are counted exactly, with
//! the masks that the compiler proved. What it leaves out: bank conflicts, uncoalesced accesses, the clock under load, and
//! the order in which a warp's instructions stand.

mod estimate;
pub mod gpus;
mod roofline;
mod walk;
mod work;

pub use estimate::{Bound, Estimate, Limit, estimate, occupancy};
pub use gpus::{GPUS, Gpu};
pub use roofline::{Pipe, Roof};
pub use work::Work;
