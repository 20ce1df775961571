//! Masks specialised by proof.
//!
//! Which blocks of a loop does a mask leave dead, which does it not touch, and which are mixed? The answer comes
//! as intervals of block numbers whose end points are computed once, before the loop.
//!
//! ```text
//! condition --logic--> and/or of atoms --linear--> forms --classify--> intervals --split--> loops
//! ```
//!
//! `plan` gathers all that is known of one loop and is what `tilec inspect` shows; `split` acts on it;
//! `harmless` proves that a dead block changes nothing.

pub mod classify;
pub mod count;
pub mod diff;
pub mod expr;
pub mod formula;
pub mod harmless;
pub mod linear;
pub mod logic;
pub mod plan;
pub mod scope;
pub mod split;
