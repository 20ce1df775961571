//! Where floats are rounded.
//!
//! Arithmetic is done in `f64` and rounded afterwards. For `+ - * /` and `sqrt` this is exactly
//! what arithmetic in `f32` gives, since 53 bits are more than twice 24 plus 2 (Figueroa, "When is
//! double rounding innocuous?"). Transcendental functions are the host's `f64` ones, rounded: with
//! an error below 1 ulp of `f64` they are correctly rounded but for about one argument in 2^28.

use std::borrow::Cow;

use tilec_ir::Precision;
use tilec_vocab::{DType, bf16_from_f64, f16_from_f64};

/// Which roundings are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// None: every float is an `f64`, and casts between floats change nothing.
    Exact,
    /// Each result is rounded to its type in the IR. `f16` and `bf16` are computed in `f32` and
    /// rounded once; sums and dots accumulate in `f32`, one lane after another: the axes in the
    /// order the op lists them, the first slowest, each from lane 0 up. Products of a dot are
    /// rounded to `f32`, whatever its precision asks for.
    Declared,
    /// Every float result is rounded to this type, tensors to their own type besides. Sums and
    /// dots accumulate in `f32`; a dot in `tf32` rounds its operands to that first.
    Low(DType),
}

/// One rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    Keep,
    F32,
    F16,
    Bf16,
}

impl Mode {
    /// What happens to a result of type `dtype`.
    pub(crate) fn rounding(self, dtype: DType) -> Rounding {
        match self {
            Mode::Exact => Rounding::Keep,
            Mode::Declared => Rounding::of(dtype),
            Mode::Low(low) => Rounding::of(low),
        }
    }

    /// What happens to an element of a tensor of type `dtype`, after `rounding`.
    pub(crate) fn storage(self, dtype: DType) -> Rounding {
        match self {
            Mode::Exact => Rounding::Keep,
            Mode::Declared | Mode::Low(_) => Rounding::of(dtype),
        }
    }

    /// An operand of a dot as its products see it.
    pub(crate) fn factors(self, operand: &[f64], precision: Precision) -> Cow<'_, [f64]> {
        match (self, precision) {
            (Mode::Low(_), Precision::Tf32) => operand.iter().map(|&x| tf32(x)).collect(),
            _ => Cow::Borrowed(operand),
        }
    }
}

/// The nearest number with the 10 bits behind the point that tf32 has, ties to even.
fn tf32(x: f64) -> f64 {
    const DROPPED: u32 = 13;
    let bits = (x as f32).to_bits();
    if !x.is_finite() {
        return x;
    }
    let half = (1 << (DROPPED - 1)) - 1 + ((bits >> DROPPED) & 1);
    f64::from(f32::from_bits((bits + half) >> DROPPED << DROPPED))
}

impl Rounding {
    fn of(dtype: DType) -> Rounding {
        match dtype {
            DType::F32 => Rounding::F32,
            DType::F16 => Rounding::F16,
            DType::BF16 => Rounding::Bf16,
            DType::Bool | DType::I32 | DType::I64 => Rounding::Keep,
        }
    }

    /// The result of an op computed in `f64`: through `f32` to the narrow types.
    pub(crate) fn result(self, x: f64) -> f64 {
        match self {
            Rounding::Keep => x,
            Rounding::F32 => f64::from(x as f32),
            Rounding::F16 => half::f16::from_f32(x as f32).to_f64(),
            Rounding::Bf16 => half::bf16::from_f32(x as f32).to_f64(),
        }
    }

    /// The nearest number of the type, in one rounding: literals, arguments and casts.
    pub(crate) fn nearest(self, x: f64) -> f64 {
        match self {
            Rounding::Keep => x,
            Rounding::F32 => f64::from(x as f32),
            Rounding::F16 => f16_from_f64(x).to_f64(),
            Rounding::Bf16 => bf16_from_f64(x).to_f64(),
        }
    }

    /// [`Rounding::result`] of each.
    pub(crate) fn results(self, xs: &mut [f64]) {
        match self {
            Rounding::Keep => {}
            Rounding::F32 => xs.iter_mut().for_each(|x| *x = f64::from(*x as f32)),
            Rounding::F16 | Rounding::Bf16 => xs.iter_mut().for_each(|x| *x = self.result(*x)),
        }
    }

    /// [`Rounding::nearest`] of each.
    pub(crate) fn nearest_all(self, xs: &mut [f64]) {
        if self != Rounding::Keep {
            xs.iter_mut().for_each(|x| *x = self.nearest(*x));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tf32_keeps_ten_bits_behind_the_point_and_rounds_to_the_nearest() {
        let unit = 2f64.powi(-10);
        for (x, nearest) in [
            (1.0 + unit, 1.0 + unit),
            (1.0 + 0.49 * unit, 1.0),
            (-1.0 - 0.51 * unit, -1.0 - unit),
            (1.0 + 0.5 * unit, 1.0),
            (1.0 + 1.5 * unit, 1.0 + 2.0 * unit),
            (f64::NEG_INFINITY, f64::NEG_INFINITY),
            (0.0, 0.0),
        ] {
            let low = Mode::Low(DType::F32).factors(&[x], Precision::Tf32).into_owned();
            assert_eq!(low, [nearest]);
            assert_eq!(Mode::Exact.factors(&[x], Precision::Tf32).into_owned(), [x]);
        }
    }
}
