//! What an op means for one lane. Everything else here is about doing it for many.
//!
//! Floats come in and go out as `f64`; the caller rounds.

use crate::mode::Rounding;

/// Division that rounds down; by 0 gives 0, and the one overflow wraps.
pub(crate) fn div_floor(a: i64, b: i64) -> i64 {
    if b == 0 {
        return 0;
    }
    let quotient = a.wrapping_div(b);
    if a.wrapping_rem(b) != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient }
}

/// The remainder of [`div_floor`], with the sign of `b`; by 0 gives `a`.
pub(crate) fn rem_floor(a: i64, b: i64) -> i64 {
    if b == 0 {
        return a;
    }
    let rest = a.wrapping_rem(b);
    if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }
}

/// The lesser; NaN if either is, and -0 below +0.
pub(crate) fn min(a: f64, b: f64) -> f64 {
    if a < b || a.is_nan() || (a == b && a.is_sign_negative()) { a } else { b }
}

/// The greater; NaN if either is, and -0 below +0.
pub(crate) fn max(a: f64, b: f64) -> f64 {
    if a > b || a.is_nan() || (a == b && a.is_sign_positive()) { a } else { b }
}

/// `1 / sqrt(x)`.
pub(crate) fn rsqrt(x: f64) -> f64 {
    1.0 / x.sqrt()
}

/// Toward zero; saturates, NaN gives 0.
pub(crate) fn float_to_i64(x: f64) -> i64 {
    x as i64
}

/// Toward zero; saturates at 32 bits, NaN gives 0.
pub(crate) fn float_to_i32(x: f64) -> i64 {
    i64::from(x as i32)
}

/// The nearest 32-bit integer.
pub(crate) fn saturate_i32(x: i64) -> i64 {
    x.clamp(i64::from(i32::MIN), i64::from(i32::MAX))
}

/// The nearest float, ties to even, in one rounding.
pub(crate) fn int_to_float(x: i64, rounding: Rounding) -> f64 {
    match rounding {
        Rounding::Keep => x as f64,
        Rounding::F32 => f64::from(x as f32),
        Rounding::F16 | Rounding::Bf16 => rounding.nearest(to_f64_odd(x)),
    }
}

/// Rounds to odd, so that a second rounding to fewer bits is exact.
fn to_f64_odd(x: i64) -> f64 {
    const EXACT: i64 = 1 << 53;
    const LOST_BITS: u32 = 11;
    if (-EXACT..=EXACT).contains(&x) {
        return x as f64;
    }
    let lost = x & ((1 << LOST_BITS) - 1) != 0;
    ((x >> LOST_BITS) | i64::from(lost)) as f64 * f64::from(1 << LOST_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn division_and_remainder() {
        let table = [
            (7, 2, 3, 1),
            (-7, 2, -4, 1),
            (7, -2, -4, -1),
            (-7, -2, 3, -1),
            (6, -3, -2, 0),
            (0, -5, 0, 0),
            (5, 0, 0, 5),
            (-5, 0, 0, -5),
            (0, 0, 0, 0),
            (i64::MIN, -1, i64::MIN, 0),
            (i64::MIN, 1, i64::MIN, 0),
            (i64::MIN, 0, 0, i64::MIN),
            (i64::MAX, i64::MIN, -1, -1),
            (i64::MIN, i64::MAX, -2, i64::MAX - 1),
        ];
        for (a, b, quotient, rest) in table {
            assert_eq!((div_floor(a, b), rem_floor(a, b)), (quotient, rest), "{a} by {b}");
        }
    }

    #[test]
    fn min_and_max_of_zeros_and_nan() {
        for (a, b) in [(0.0, -0.0), (-0.0, 0.0)] {
            assert!(min(a, b).is_sign_negative() && max(a, b).is_sign_positive());
        }
        for (a, b) in [(f64::NAN, 1.0), (1.0, f64::NAN), (f64::NAN, f64::INFINITY)] {
            assert!(min(a, b).is_nan() && max(a, b).is_nan());
        }
        assert_eq!((min(1.0, 2.0), min(2.0, 1.0)), (1.0, 1.0));
        assert_eq!((max(1.0, 2.0), max(2.0, 1.0)), (2.0, 2.0));
        assert_eq!(max(f64::NEG_INFINITY, f64::NEG_INFINITY), f64::NEG_INFINITY);
    }

    #[test]
    fn integers_to_floats_round_once() {
        // Just above a tie between two bfloat16s: f64 would drop the last bit and make it a tie.
        let above = (1 << 62) + (1 << 54) + 1;
        let next = (1_i64 << 62) + (1 << 55);
        assert_eq!(int_to_float(above, Rounding::Bf16), next as f64);
        assert_eq!(int_to_float(above - 1, Rounding::Bf16), (1_i64 << 62) as f64);
        assert_eq!(int_to_float(-above, Rounding::Bf16), -next as f64);
        assert_eq!(int_to_float(1 - above, Rounding::Bf16), -(1_i64 << 62) as f64);
        assert_eq!(int_to_float(i64::MIN, Rounding::Bf16), -(2f64.powi(63)));
        // 2^24 + 1 is a tie in f32; 2^54 + 2^30 + 1 is above one.
        assert_eq!(int_to_float((1 << 24) + 1, Rounding::F32), 2f64.powi(24));
        let above = (1 << 54) + (1 << 30) + 1;
        assert_eq!(int_to_float(above, Rounding::F32), ((1_i64 << 54) + (1 << 31)) as f64);
        assert_eq!(int_to_float(65520, Rounding::F16), f64::INFINITY);
        assert_eq!(int_to_float(-65519, Rounding::F16), -65504.0);
    }
}
