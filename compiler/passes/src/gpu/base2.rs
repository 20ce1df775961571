//! Exponentials of differences in base 2, the base of the hardware, with the scale of the scores folded in.
//!
//! ```text
//! exp(x * c - b)            ->    exp2(x * (c * log2 e) - b * log2 e)
//! exp(min(x * c - b, m))    ->    exp2(min(x * (c * log2 e) - b * log2 e, m * log2 e))
//! ```
//!
//! which is one multiply-add and one `ex2` for each element; `c * log2 e`, `b * log2 e` and `m * log2 e` are computed once for
//! all the elements that share them.
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
        match self.exponent(inst) {
            None => {
                self.copy(inst, to);
            }
            Some(Exponent { a, b, most }) => {
                to.span = self.old.insts[inst].span;
                let a = scaled(self.old, &self.copier, a, LOG2_E, to);
                let b = times(self.copier.value(b), LOG2_E, to);
                let mut exponent = to.binary(BinaryOp::Sub, a, b);
                if let Some(most) = most {
                    let most = times(self.copier.value(most), LOG2_E, to);
                    exponent = to.binary(BinaryOp::Min, exponent, most);
                }
                let result = to.unary(UnaryOp::Exp2, exponent);
                self.copier.map(self.old.insts[inst].results[0], result);
            }
        }
    }
}

/// `a - b`, or `most` where that is less.
struct Exponent {
    a: Value,
    b: Value,
    most: Option<Value>,
}

impl Base2<'_> {
    /// What is exponentiated, if it is a difference.
    fn exponent(&self, inst: Inst) -> Option<Exponent> {
        let data = &self.old.insts[inst];
        if data.op != Op::Unary(UnaryOp::Exp) || !is_f32(self.old, data.args[0]) {
            return None;
        }
        let difference = |value: Value, most: Option<Value>| {
            let inner = self.old.def(value)?;
            let (a, b) = (*inner.args.first()?, *inner.args.get(1)?);
            (inner.op == Op::Binary(BinaryOp::Sub)).then_some(Exponent { a, b, most })
        };
        let inner = self.old.def(data.args[0])?;
        let Op::Binary(BinaryOp::Min) = inner.op else { return difference(data.args[0], None) };
        // One factor for all elements, or nothing is gained.
        let axes = |value: Value| self.old.ty(value).axes.len();
        let bounded = |x: usize, most: usize| {
            let (x, most) = (inner.args[x], inner.args[most]);
            if axes(most) < axes(x) { difference(x, Some(most)) } else { None }
        };
        bounded(0, 1).or_else(|| bounded(1, 0))
    }
}
