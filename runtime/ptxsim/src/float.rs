//! The number formats of PTX and exact rounding between them.
//!
//! Everything is computed through `f64` with *round to odd*: an operation on two narrow values is done in `f64`, and
//! where the `f64` result is inexact its last bit is forced to one. A value rounded to odd with at least two spare
//! bits rounds again to the narrow format exactly as the infinitely precise result would, in every rounding mode
//! (Boldo and Melquiond, "Emulation of a FMA and correctly rounded sums", IEEE Trans. Computers 2008).

/// Rounding modes of `cvt`, `add`, `mul`, `fma`, `div`, `rcp` and `sqrt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// `.rn`: to nearest, ties to even.
    NearestEven,
    /// `.rna`: to nearest, ties away from zero.
    NearestAway,
    /// `.rz`: toward zero.
    Zero,
    /// `.rm`: toward minus infinity.
    Down,
    /// `.rp`: toward plus infinity.
    Up,
}

/// A binary interchange format that fits in `f64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// Explicit fraction bits.
    pub fraction_bits: u32,
    /// Exponent bits.
    pub exponent_bits: u32,
}

/// IEEE binary16.
pub const F16: Format = Format { fraction_bits: 10, exponent_bits: 5 };
/// bfloat16.
pub const BF16: Format = Format { fraction_bits: 7, exponent_bits: 8 };
/// IEEE binary32.
pub const F32: Format = Format { fraction_bits: 23, exponent_bits: 8 };
/// TensorFloat-32: f32's exponent with f16's fraction, kept in the high bits of a 32-bit register.
pub const TF32: Format = Format { fraction_bits: 10, exponent_bits: 8 };

/// Rounds `x` to `format` and returns its bit pattern, right aligned.
///
/// `x` must be exact or rounded to odd. NaN becomes the canonical NaN of the format (all ones but the sign), which is
/// what the hardware produces.
pub fn round_to(x: f64, format: Format, mode: Round) -> u32 {
    let Format { fraction_bits: p, exponent_bits: e } = format;
    let exp_mask = (1u64 << e) - 1;
    let sign = ((x.to_bits() >> 63) as u32) << (p + e);
    if x.is_nan() {
        return ((1u64 << (p + e)) - 1) as u32;
    }
    let infinity = (exp_mask << p) as u32;
    if x.is_infinite() {
        return sign | infinity;
    }
    if x == 0.0 {
        return sign;
    }
    let bias = (exp_mask >> 1) as i64;
    let bits = x.abs().to_bits();
    let (mut exp, mut frac) = ((bits >> 52) as i64 - 1023, bits & ((1 << 52) - 1));
    if bits >> 52 == 0 {
        // A subnormal f64 is far below every narrow format; only its stickiness matters.
        (exp, frac) = (-1023, frac | 1);
    }
    let full = frac | 1 << 52;
    // Bits dropped: those below the last place of the result, more of them when the result is subnormal.
    let min_exp = 1 - bias;
    let drop = (52 - p as i64) + (min_exp - exp).max(0);
    let (kept, rest, half) = if drop > 62 {
        (0, 1, 2)
    } else {
        (full >> drop, full & ((1 << drop) - 1), 1u64 << (drop - 1))
    };
    let negative = sign != 0;
    let up = match mode {
        Round::NearestEven => rest > half || (rest == half && kept & 1 == 1),
        Round::NearestAway => rest >= half,
        Round::Zero => false,
        Round::Down => negative && rest != 0,
        Round::Up => !negative && rest != 0,
    };
    let rounded = kept + up as u64;
    let biased = if exp < min_exp {
        rounded // a carry into the hidden bit yields the smallest normal number by itself
    } else {
        (((exp + bias) as u64) << p) + (rounded - (1 << p))
    };
    if biased >= (exp_mask << p) {
        let to_largest = match mode {
            Round::NearestEven | Round::NearestAway => false,
            Round::Zero => true,
            Round::Down => !negative,
            Round::Up => negative,
        };
        return sign | if to_largest { infinity - 1 } else { infinity };
    }
    sign | biased as u32
}

/// The value of a bit pattern in `format`.
pub fn widen(bits: u32, format: Format) -> f64 {
    let Format { fraction_bits: p, exponent_bits: e } = format;
    let exp_mask = (1u32 << e) - 1;
    let sign = if bits >> (p + e) & 1 == 1 { -1.0 } else { 1.0 };
    let exp = bits >> p & exp_mask;
    let frac = bits & ((1 << p) - 1);
    let bias = (exp_mask >> 1) as i32;
    if exp == exp_mask {
        return if frac == 0 { sign * f64::INFINITY } else { f64::NAN };
    }
    let (mantissa, exp) = if exp == 0 { (frac, 1) } else { (frac | 1 << p, exp as i32) };
    sign * mantissa as f64 * power_of_two(exp - bias - p as i32)
}

/// 2^n as an `f64`, for n in the normal range.
pub fn power_of_two(n: i32) -> f64 {
    f64::from_bits(((n + 1023) as u64) << 52)
}

/// f16 bits to f32, exact; a branch-free form that vectorises.
#[inline(always)]
pub fn f16_to_f32(h: u32) -> f32 {
    let magnitude = (h & 0x7fff) << 13;
    // Scaling by 2^112 rebiases the exponent and normalises subnormals in one exact multiplication.
    let scaled = f32::from_bits(magnitude) * f32::from_bits(0x7780_0000);
    let infinite = f32::from_bits(magnitude | 0x7f80_0000);
    let value = if magnitude >= 0x0f80_0000 { infinite } else { scaled };
    f32::from_bits(value.to_bits() | (h & 0x8000) << 16)
}

/// bf16 bits to f32, exact.
#[inline(always)]
pub fn bf16_to_f32(h: u32) -> f32 {
    f32::from_bits(h << 16)
}

/// f32 to f16 bits, nearest even, canonical NaN 0x7fff; a branch-free form that vectorises.
#[inline(always)]
pub fn f32_to_f16(x: f32) -> u32 {
    let bits = x.to_bits();
    let sign = bits >> 16 & 0x8000;
    let a = bits & 0x7fff_ffff;
    let normal = (a + 0xfff + (a >> 13 & 1)).wrapping_sub(112 << 23) >> 13;
    // Adding 0.5 aligns the fraction of a subnormal result to the low bits of an f32, rounding to nearest even.
    let subnormal = (f32::from_bits(a) + 0.5).to_bits().wrapping_sub(0x3f00_0000);
    let finite = if a < 0x3880_0000 { subnormal } else { normal };
    let bounded = if a >= 0x477f_f000 { 0x7c00 } else { finite };
    if a > 0x7f80_0000 { 0x7fff } else { sign | bounded }
}

/// f32 to bf16 bits, nearest even, canonical NaN 0x7fff.
#[inline(always)]
pub fn f32_to_bf16(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    if bits & 0x7fff_ffff > 0x7f80_0000 { 0x7fff } else { rounded }
}

/// Flushes a subnormal f32 to zero of the same sign (`.ftz`).
#[inline(always)]
pub fn flush(x: u32) -> u32 {
    if x & 0x7f80_0000 == 0 { x & 0x8000_0000 } else { x }
}

/// `a + b` in `f64`, rounded to odd.
pub fn add_odd(a: f64, b: f64) -> f64 {
    let sum = a + b;
    if !sum.is_finite() {
        return sum;
    }
    // Knuth's two-sum: `error` is exactly what `sum` lacks.
    let t = sum - a;
    let error = (a - (sum - t)) + (b - t);
    stick(sum, error)
}

/// `a * b + c` in `f64`, rounded to odd, for operands whose product is exact in `f64` (f32 and narrower).
pub fn fma_odd(a: f64, b: f64, c: f64) -> f64 {
    add_odd(a * b, c)
}

/// `a / b` in `f64`, rounded to odd.
pub fn div_odd(a: f64, b: f64) -> f64 {
    let q = a / b;
    if !q.is_finite() || q == 0.0 || b.is_infinite() {
        return q;
    }
    let residue = f64::mul_add(-q, b, a);
    stick(q, if (residue < 0.0) == (b < 0.0) { residue.abs() } else { -residue.abs() })
}

/// The square root in `f64`, rounded to odd.
pub fn sqrt_odd(a: f64) -> f64 {
    let r = a.sqrt();
    if !r.is_finite() || r == 0.0 { r } else { stick(r, f64::mul_add(-r, r, a)) }
}

/// Turns a nearest result and the sign of what it lacks into the round-to-odd result.
fn stick(value: f64, lacking: f64) -> f64 {
    if lacking == 0.0 || value.to_bits() & 1 == 1 {
        return value;
    }
    // The exact value lies between `value` and its neighbour on the side of `lacking`; one of the two is odd, and it
    // is the neighbour, reached toward or away from zero.
    let away = (lacking > 0.0) == (value > 0.0);
    if value == 0.0 {
        return f64::from_bits(1 | (lacking.to_bits() & 1 << 63));
    }
    f64::from_bits(if away { value.to_bits() + 1 } else { value.to_bits() - 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_conversions_agree_with_the_generic_rounding_on_every_pattern() {
        for h in 0..=0xffffu32 {
            let wide = widen(h, F16);
            let fast = f16_to_f32(h);
            assert!(wide.is_nan() && fast.is_nan() || wide == fast as f64, "{h:#x}");
            assert_eq!(
                wide.is_sign_negative() || wide.is_nan(),
                fast.is_sign_negative() || fast.is_nan()
            );
            if !wide.is_nan() {
                assert_eq!(round_to(wide, F16, Round::NearestEven), h);
                assert_eq!(f32_to_f16(fast), h);
            }
            let brain = bf16_to_f32(h);
            assert!(brain.is_nan() || round_to(brain as f64, BF16, Round::NearestEven) == h);
        }
    }

    #[test]
    fn narrowing_agrees_with_the_generic_rounding_on_a_dense_sample() {
        for i in 0..2_000_000u32 {
            let bits = i.wrapping_mul(2147).wrapping_add(i << 20 & 0xfff0_0000);
            let x = f32::from_bits(bits);
            if x.is_nan() {
                assert_eq!((f32_to_f16(x), f32_to_bf16(x)), (0x7fff, 0x7fff));
                continue;
            }
            assert_eq!(f32_to_f16(x), round_to(x as f64, F16, Round::NearestEven), "{bits:#x}");
            assert_eq!(f32_to_bf16(x), round_to(x as f64, BF16, Round::NearestEven), "{bits:#x}");
            assert_eq!(round_to(x as f64, F32, Round::Zero), bits);
        }
    }

    #[test]
    fn rounding_to_odd_gives_ieee_f32_results() {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            f32::from_bits((state >> 32) as u32)
        };
        for _ in 0..300_000 {
            let (a, b, c) = (next(), next(), next());
            let same = |wide: f64, ieee: f32| {
                let got = round_to(wide, F32, Round::NearestEven);
                assert!(
                    got == ieee.to_bits() || ieee.is_nan() && wide.is_nan(),
                    "{a:e} {b:e} {c:e}: {got:#x} {ieee:e}"
                );
            };
            same(add_odd(a as f64, b as f64), a + b);
            same(fma_odd(a as f64, b as f64, c as f64), a.mul_add(b, c));
            same(div_odd(a as f64, b as f64), a / b);
            same(sqrt_odd(a as f64), a.sqrt());
        }
    }

    #[test]
    fn directed_modes_bracket_the_exact_value() {
        let third = div_odd(1.0, 3.0);
        let down = round_to(third, F32, Round::Down);
        assert_eq!(round_to(third, F32, Round::Up), down + 1);
        assert_eq!(round_to(-third, F32, Round::Up), (down | 1 << 31));
        assert_eq!(round_to(1e300, F16, Round::Zero), 0x7bff);
        assert_eq!(round_to(1e300, F16, Round::NearestEven), 0x7c00);
        // Halfway between two f16 values: even and away differ.
        let tie = 1.0 + 1.0 / 2048.0;
        assert_eq!(round_to(tie, F16, Round::NearestEven), 0x3c00);
        assert_eq!(round_to(tie, F16, Round::NearestAway), 0x3c01);
    }
}
