//! Exponentials of differences in base 2, the base of the hardware, with the scale of the scores folded in.
//!
//! ```text
//! exp(x * c - b)    ->    exp2(x * (c * log2 e) - b * log2 e)
//! ```
//!
//! which is one multiply-add and one `ex2` for each element; `c * log2 e` and `b * log2 e` are computed once for all the
//! elements that share them.
//!
//! # Numerics
//!
//! `b * log2 e` is rounded, to a relative error of 2^-24. Where the same `b` is taken from all elements of a row, as in a softmax,
//! the error is a factor that all weights of the row and their sum share; elsewhere the result has a relative error of
//! `|b| * 2^-24` more than that of `exp`.

use std::f64::consts::LOG2_E;

use tilec_ir::{BinaryOp, Builder, Copier, Inst, Kernel, Op, UnaryOp, Value};
use tilec_vocab::Bug;

use super::scale::{scaled, times};
use crate::rewrite::{Rewrite, rewrite};
use tilec_ir::facts::is_f32;

/// Runs the pass.
///
/// # Errors
///
/// None; the signature is that of all passes.
pub fn run(kernel: &Kernel) -> Result<Kernel, Bug> {
    Ok(rewrite(kernel, &mut Base2 { old: kernel, copier: Copier::new() }))
}

struct Base2<'k> {
    old: &'k Kernel,
    copier: Copier,
}

impl<'k> Rewrite<'k> for Base2<'k> {
    fn old(&self) -> &'k Kernel {
        self.old
    }

    fn copier(&mut self) -> &mut Copier {
        &mut self.copier
    }

    fn inst(&mut self, inst: Inst, to: &mut Builder<'_>) {
        match self.difference(inst) {
            None => {
                self.copy(inst, to);
            }
            Some((a, b)) => {
                to.span = self.old.insts[inst].span;
                let a = scaled(self.old, &self.copier, a, LOG2_E, to);
                let b = times(self.copier.value(b), LOG2_E, to);
                let difference = to.binary(BinaryOp::Sub, a, b);
                let result = to.unary(UnaryOp::Exp2, difference);
                self.copier.map(self.old.insts[inst].results[0], result);
            }
        }
    }
}

impl Base2<'_> {
    /// The operands of the difference that is exponentiated.
    fn difference(&self, inst: Inst) -> Option<(Value, Value)> {
        let data = &self.old.insts[inst];
        if data.op != Op::Unary(UnaryOp::Exp) || !is_f32(self.old, data.args[0]) {
            return None;
        }
        let inner = self.old.def(data.args[0])?;
        (inner.op == Op::Binary(BinaryOp::Sub)).then(|| (inner.args[0], inner.args[1]))
    }
}
