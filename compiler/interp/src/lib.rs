//! The interpreter of tile IR: the definition of the ops, and the oracle that specs are run by.
//!
//! **What it promises.** Any verified, specialised kernel and any arguments give an [`Outcome`] or
//! an [`InterpError`]; never a panic, and never more work or memory than [`Limits`] allows.
//!
//! **Numbers.** Floats are held as `f64` whatever their type; a [`Mode`] says where they are
//! rounded. Exact mode rounds nowhere and is the oracle. Declared mode rounds each result to the
//! type it has in the IR and is what compiled code is held to. Low mode rounds everything to one
//! type: the plain low-precision implementation whose error is the yardstick for all others.
//!
//! **Lanes.** The present lanes of an axis are always its first ones, since a lane is present
//! where `start + lane < end`. A value is therefore a dense array over the *present* lanes of its
//! axes, row-major in the order of its [`AxisSet`](tilec_ir::AxisSet). What an op would compute at
//! an absent lane is unspecified, and here it is not computed at all: nothing can leak.
//!
//! **Speed.** Ops run one after another over whole arrays (`elementwise`, `reduce`, `dot`,
//! `memory`), in loops whose strides are worked out once (`loops`). `scalar` says what each op
//! means for one lane.
//!
//! **Programs.** A program of the grid sees the tensors as they were before the launch and its
//! own writes, never another's; so any [`Order`] gives the same result, up to the rounding of
//! colliding atomic adds and up to programs that overwrite each other, which is a fault of the
//! kernel and shows as a difference between orders.
//!
//! Beside it stands [`compare`], the one place where a result is held against the oracle.

mod bind;
pub mod compare;
mod data;
mod dot;
mod elementwise;
mod error;
mod lanes;
mod loops;
mod machine;
mod memory;
mod mode;
mod order;
mod plan;
mod reduce;
mod scalar;

pub use data::{Argument, Data, TensorData};
pub use error::InterpError;
pub use machine::{Limits, Outcome, Output, run, run_in_order};
pub use mode::Mode;
pub use order::Order;
