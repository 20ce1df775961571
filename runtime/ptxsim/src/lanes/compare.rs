//! Comparisons: 32 lanes to one mask.

use crate::program::{Relation, Scalar};

/// Gathers 32 bytes of zero or one into a mask; the multiplication moves the eight low bits of a group into its top
/// byte.
#[inline(always)]
fn gather(bytes: &[u8; 32]) -> u32 {
    let mut mask = 0;
    for i in 0..4 {
        let mut group = [0; 8];
        group.copy_from_slice(&bytes[i * 8..i * 8 + 8]);
        let top = u64::from_le_bytes(group).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        mask |= (top as u32) << (8 * i);
    }
    mask
}

#[inline(always)]
fn test(a: &[u32; 32], b: &[u32; 32], f: impl Fn(u32, u32) -> bool) -> u32 {
    let mut bytes = [0u8; 32];
    for l in 0..32 {
        bytes[l] = f(a[l], b[l]) as u8;
    }
    gather(&bytes)
}

/// Compares 32-bit integers.
#[inline(always)]
pub fn integers(signed: bool, rel: Relation, a: &[u32; 32], b: &[u32; 32]) -> u32 {
    // Flipping the sign bit turns the signed order into the unsigned one.
    let flip = if signed { 0x8000_0000 } else { 0 };
    match rel {
        Relation::Eq | Relation::Equ => test(a, b, |x, y| x == y),
        Relation::Ne | Relation::Neu => test(a, b, |x, y| x != y),
        Relation::Lt | Relation::Ltu => test(a, b, |x, y| (x ^ flip) < (y ^ flip)),
        Relation::Le | Relation::Leu => test(a, b, |x, y| (x ^ flip) <= (y ^ flip)),
        Relation::Gt | Relation::Gtu => test(a, b, |x, y| (x ^ flip) > (y ^ flip)),
        Relation::Ge | Relation::Geu => test(a, b, |x, y| (x ^ flip) >= (y ^ flip)),
        Relation::Num => !0,
        Relation::Nan => 0,
    }
}

/// Compares f32.
#[inline(always)]
pub fn floats(rel: Relation, a: &[u32; 32], b: &[u32; 32]) -> u32 {
    let f = f32::from_bits;
    match rel {
        Relation::Eq => test(a, b, |x, y| f(x) == f(y)),
        Relation::Ne => test(a, b, |x, y| f(x) < f(y) || f(x) > f(y)),
        Relation::Lt => test(a, b, |x, y| f(x) < f(y)),
        Relation::Le => test(a, b, |x, y| f(x) <= f(y)),
        Relation::Gt => test(a, b, |x, y| f(x) > f(y)),
        Relation::Ge => test(a, b, |x, y| f(x) >= f(y)),
        Relation::Equ => !floats(Relation::Ne, a, b),
        Relation::Neu => !floats(Relation::Eq, a, b),
        Relation::Ltu => !floats(Relation::Ge, a, b),
        Relation::Leu => !floats(Relation::Gt, a, b),
        Relation::Gtu => !floats(Relation::Le, a, b),
        Relation::Geu => !floats(Relation::Lt, a, b),
        Relation::Nan => test(a, b, |x, y| f(x).is_nan() || f(y).is_nan()),
        Relation::Num => !floats(Relation::Nan, a, b),
    }
}

/// Compares one pair of any type, given as zero-extended bits.
pub fn any(ty: Scalar, rel: Relation, a: u64, b: u64) -> bool {
    let order = if ty.is_float() {
        super::scalar::to_f64(ty, a).partial_cmp(&super::scalar::to_f64(ty, b))
    } else if ty.is_signed() {
        let shift = 64 - ty.bits();
        Some(((a << shift) as i64).cmp(&((b << shift) as i64)))
    } else {
        let shift = 64 - ty.bits();
        Some((a << shift).cmp(&(b << shift)))
    };
    use std::cmp::Ordering::*;
    match (rel, order) {
        (Relation::Num, o) => o.is_some(),
        (Relation::Nan, o) => o.is_none(),
        (
            Relation::Equ
            | Relation::Neu
            | Relation::Ltu
            | Relation::Leu
            | Relation::Gtu
            | Relation::Geu,
            None,
        ) => true,
        (_, None) => false,
        (Relation::Eq | Relation::Equ, Some(o)) => o == Equal,
        (Relation::Ne | Relation::Neu, Some(o)) => o != Equal,
        (Relation::Lt | Relation::Ltu, Some(o)) => o == Less,
        (Relation::Le | Relation::Leu, Some(o)) => o != Greater,
        (Relation::Gt | Relation::Gtu, Some(o)) => o == Greater,
        (Relation::Ge | Relation::Geu, Some(o)) => o != Less,
    }
}
