//! Products with a literal factor.

use tilec_ir::{BinaryOp, Builder, Copier, Kernel, Op, Value};
use tilec_vocab::DType;

/// A new value times a factor.
pub(super) fn times(x: Value, factor: f64, to: &mut Builder<'_>) -> Value {
    let factor = to.float(factor, DType::F32);
    to.binary(BinaryOp::Mul, x, factor)
}

/// An old value times a factor, which goes into a scale of the value that spans fewer axes.
pub(super) fn scaled(
    old: &Kernel,
    copier: &Copier,
    value: Value,
    factor: f64,
    to: &mut Builder<'_>,
) -> Value {
    let product = old.def(value).filter(|data| data.op == Op::Binary(BinaryOp::Mul));
    if let Some(product) = product {
        for (x, scale) in [(0, 1), (1, 0)] {
            let (x, scale) = (product.args[x], product.args[scale]);
            if old.ty(scale).axes.len() < old.ty(value).axes.len() {
                let scale = times(copier.value(scale), factor, to);
                return to.binary(BinaryOp::Mul, copier.value(x), scale);
            }
        }
    }
    times(copier.value(value), factor, to)
}
