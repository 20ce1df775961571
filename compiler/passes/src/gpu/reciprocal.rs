//! Divisions by what many elements share, where the quotient is rounded to 16 bits anyway.
//!
//! ```text
//! (a[m, d] / b[m]) as f16    ->    (a[m, d] * (1 / b[m])) as f16
//! ```
//!
//! # Numerics
//!
//! The quotient is within 2 ulp of `f32`, a 4096th of an ulp of `f16`, for divisors between 2^-126 and 2^126 in magnitude.

use tilec_ir::{BinaryOp, Builder, Copier, Elem, Inst, Kernel, Op, Value};
use tilec_vocab::{Bug, DType};

use crate::rewrite::{Rewrite, rewrite};
use tilec_ir::facts::is_f32;

/// Runs the pass.
///
/// # Errors
///
/// None; the signature is that of all passes.
pub fn run(kernel: &Kernel) -> Result<Kernel, Bug> {
    Ok(rewrite(kernel, &mut Reciprocal { old: kernel, copier: Copier::new() }))
}

struct Reciprocal<'k> {
    old: &'k Kernel,
    copier: Copier,
}

impl<'k> Rewrite<'k> for Reciprocal<'k> {
    fn old(&self) -> &'k Kernel {
        self.old
    }

    fn copier(&mut self) -> &mut Copier {
        &mut self.copier
    }

    fn inst(&mut self, inst: Inst, to: &mut Builder<'_>) {
        let data = &self.old.insts[inst];
        if !self.is_shared_division(inst) {
            self.copy(inst, to);
            return;
        }
        to.span = data.span;
        let one = to.float(1.0, DType::F32);
        let inverse = to.binary(BinaryOp::Div, one, self.copier.value(data.args[1]));
        let product = to.binary(BinaryOp::Mul, self.copier.value(data.args[0]), inverse);
        self.copier.map(data.results[0], product);
    }
}

impl Reciprocal<'_> {
    fn is_shared_division(&self, inst: Inst) -> bool {
        let data = &self.old.insts[inst];
        if data.op != Op::Binary(BinaryOp::Div) || !is_f32(self.old, data.results[0]) {
            return false;
        }
        let axes = |value: Value| self.old.ty(value).axes.len();
        axes(data.args[1]) < axes(data.results[0]) && self.only_rounded(data.results[0])
    }

    /// Whether all that is made of a value is its rounding to 16 bits, or that of a choice with it.
    fn only_rounded(&self, value: Value) -> bool {
        let users: Vec<_> =
            self.old.insts.values().filter(|data| data.args.contains(&value)).collect();
        !users.is_empty()
            && users.into_iter().all(|data| match data.op {
                Op::Cast => {
                    let elem = self.old.ty(data.results[0]).elem;
                    matches!(elem, Elem::Known(DType::F16 | DType::BF16))
                }
                Op::Select => data.args[0] != value && self.only_rounded(data.results[0]),
                _ => false,
            })
    }
}
