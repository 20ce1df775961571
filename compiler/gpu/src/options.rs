//! What the caller may choose.

use tilec_vocab::TensorFacts;

/// Choices under which a kernel is lowered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Warps of a CTA, at most: a power of two. Fewer where dots have rows for fewer, but for more than one, if not `column_warps`.
    pub warps: u32,
    /// Warps that no dot has rows for are kept, and share the columns of the dots: fewer registers a thread, and scores that
    /// go through shared memory to be the next dot's operand.
    pub column_warps: bool,
    /// Slots of each ring through which a loop's operands pass: 1 to 8.
    pub stages: u32,
    /// What is known of each parameter.
    pub facts: Vec<TensorFacts>,
    /// Sums left in parts until after the loop.
    pub late_sums: bool,
    /// Copies to shared memory by `cp.async`, ahead of their use.
    pub prefetch: bool,
    /// First operands of dots that a loop does not change, kept in registers where they fit.
    pub held_operands: bool,
    /// Tiles stored by way of shared memory, so that a thread writes 16 bytes at once.
    pub wide_stores: bool,
}

impl Options {
    /// Everything on.
    pub fn new(facts: Vec<TensorFacts>) -> Options {
        Options {
            warps: 4,
            column_warps: false,
            stages: 2,
            facts,
            late_sums: true,
            prefetch: true,
            held_operands: true,
            wide_stores: true,
        }
    }
}
