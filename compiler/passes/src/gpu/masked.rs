//! Masks of exponentials, moved to the scores.
//!
//! ```text
//! select(c, exp2(x * k - b), 0)    ->    exp2(select(c, x, -inf) * k - b)
//! ```
//!
//! for `k > 0` and a `b` that is never -inf: the exponential of -inf is 0. The greatest score of the row wants `select(c, x, -inf)` too,
//! so a mask is tested once where it was tested twice, and its outcome need not be kept until the exponentials are there.
//!
//! # Numerics
//!
//! Bit for bit the same, but in rows whose `b` is no number: there elements that `c` hides become NaN. So it is done only where
//! each such row goes, by sums and dots over its other axes, into results that are NaN already.

use tilec_ir::facts::{above_minus_infinity, is_f32, literal, positive};
use tilec_ir::{
    AxisSet, BinaryOp, Builder, Copier, Imm, Inst, Kernel, Op, ReduceOp, UnaryOp, Value,
};
use tilec_vocab::Bug;

use crate::rewrite::{Rewrite, rewrite};

/// Runs the pass.
///
/// # Errors
///
/// None; the signature is that of all passes.
pub fn run(kernel: &Kernel) -> Result<Kernel, Bug> {
    Ok(rewrite(kernel, &mut Masked { old: kernel, copier: Copier::new() }))
}

struct Masked<'k> {
    old: &'k Kernel,
    copier: Copier,
}

/// `select(condition, exp2(x * scale - base), 0)`.
struct Weight {
    condition: Value,
    x: Value,
    scale: Value,
    base: Value,
}

impl<'k> Rewrite<'k> for Masked<'k> {
    fn old(&self) -> &'k Kernel {
        self.old
    }

    fn copier(&mut self) -> &mut Copier {
        &mut self.copier
    }

    fn inst(&mut self, inst: Inst, to: &mut Builder<'_>) {
        let Some(weight) = self.weight(inst) else {
            self.copy(inst, to);
            return;
        };
        let data = &self.old.insts[inst];
        to.span = data.span;
        let hidden = to.constant(Imm::Float(f64::NEG_INFINITY), tilec_ir::Elem::F32);
        let (condition, x) = (self.copier.value(weight.condition), self.copier.value(weight.x));
        let score = to.select(condition, x, hidden);
        let scaled = to.binary(BinaryOp::Mul, score, self.copier.value(weight.scale));
        let difference = to.binary(BinaryOp::Sub, scaled, self.copier.value(weight.base));
        let result = to.unary(UnaryOp::Exp2, difference);
        self.copier.map(data.results[0], result);
    }
}

impl Masked<'_> {
    fn weight(&self, inst: Inst) -> Option<Weight> {
        let old = self.old;
        let data = &old.insts[inst];
        let &[condition, weight, zero] = &data.args[..] else { return None };
        if data.op != Op::Select || literal(old, zero) != Some(0.0) || !is_f32(old, weight) {
            return None;
        }
        let exp = old.def(weight).filter(|def| def.op == Op::Unary(UnaryOp::Exp2))?;
        let sub = old.def(exp.args[0]).filter(|def| def.op == Op::Binary(BinaryOp::Sub))?;
        let (scaled, base) = (sub.args[0], sub.args[1]);
        let mul = old.def(scaled).filter(|def| def.op == Op::Binary(BinaryOp::Mul))?;
        let (x, scale) = [(0, 1), (1, 0)]
            .map(|(x, scale)| (mul.args[x], mul.args[scale]))
            .into_iter()
            .find(|&(_, scale)| positive(old, scale))?;
        let axes = |value: Value| &old.ty(value).axes;
        let result = data.results[0];
        let fits = axes(x) == axes(result)
            && above_minus_infinity(old, base)
            && self.only_by_rows(result, axes(base));
        fits.then_some(Weight { condition, x, scale, base })
    }

    /// Whether all that is made of a tile keeps the rows of `kept` apart and sums each of them up.
    fn only_by_rows(&self, value: Value, kept: &AxisSet) -> bool {
        let old = self.old;
        let lost = |over: &[tilec_ir::Axis]| {
            let rest = old.ty(value).axes.without(over);
            rest == *kept
        };
        let mut users = old.insts.values().filter(|data| data.args.contains(&value)).peekable();
        users.peek().is_some()
            && users.all(|data| match &data.op {
                Op::Reduce(ReduceOp::Sum, over) => lost(over),
                Op::Dot(over, _) => lost(over),
                Op::Cast => self.only_by_rows(data.results[0], kept),
                _ => false,
            })
    }
}
