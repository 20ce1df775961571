//! 2^x for 32 lanes, rounded from a value good to about 2^-50: the exponential of attention, and so the one
//! approximate function with a vector loop.

/// Coefficients of 2^f = sum c_k f^k, that is ln(2)^k / k!, for |f| <= 1/2. The first term left out is below 2^-52.
const C: [f64; 13] = [
    1.0,
    std::f64::consts::LN_2,
    0.240_226_506_959_100_7,
    0.055_504_108_664_821_58,
    0.009_618_129_107_628_477,
    0.001_333_355_814_642_844_3,
    0.000_154_035_303_933_816_1,
    0.000_015_252_733_804_059_84,
    0.000_001_321_548_679_014_431,
    1.017_808_600_923_97e-7,
    7.054_911_620_801_123e-9,
    4.445_538_271_870_812e-10,
    2.567_843_599_348_820_5e-11,
];

#[inline(always)]
pub fn lanes(a: &[u32; 32], ftz: bool) -> [u32; 32] {
    let mut t = [0; 32];
    for l in 0..32 {
        t[l] = one(a[l], ftz);
    }
    t
}

#[inline(always)]
fn one(bits: u32, ftz: bool) -> u32 {
    let x = f32::from_bits(bits);
    // Outside this range the result is zero or infinity in f32 whatever the fraction.
    let clamped = x.clamp(-200.0, 200.0) as f64;
    // Adding 1.5 * 2^52 leaves the rounded integer in the low bits of the sum.
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    let shifted = clamped + MAGIC;
    let f = clamped - (shifted - MAGIC);
    let mut p = C[12];
    for k in (0..12).rev() {
        p = p.mul_add(f, C[k]);
    }
    let exponent = shifted.to_bits().wrapping_add(1023) << 52;
    let y = (p * f64::from_bits(exponent)) as f32;
    let flushed = if ftz && y < f32::MIN_POSITIVE { 0.0 } else { y };
    if x.is_nan() { 0x7fff_ffff } else { flushed.to_bits() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correctly_rounded_on_a_dense_sample() {
        let mut wrong = 0;
        let mut total = 0;
        for i in 0..4_000_000u32 {
            let x = f32::from_bits(i.wrapping_mul(1073));
            if x.is_nan() {
                continue;
            }
            total += 1;
            let expected = (x as f64).exp2() as f32;
            wrong += (f32::from_bits(one(x.to_bits(), false)) != expected) as u32;
        }
        // Both sides round a value good to 2^-50; they can differ only where it falls that close to a tie.
        assert!(wrong * 1_000_000 <= total, "{wrong} of {total}");
    }

    #[test]
    fn special_values() {
        assert_eq!(one(0x8000_0000, true), 1.0f32.to_bits());
        assert_eq!(one(f32::NEG_INFINITY.to_bits(), true), 0);
        assert_eq!(one(f32::INFINITY.to_bits(), true), f32::INFINITY.to_bits());
        assert_eq!(one(f32::NAN.to_bits(), true), 0x7fff_ffff);
        assert_eq!(one((-126.5f32).to_bits(), true), 0);
        assert!(f32::from_bits(one((-126.5f32).to_bits(), false)).is_subnormal());
    }
}
