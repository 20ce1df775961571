//! `mma`: fragments to matrices, the product under a [`SumModel`], and back.
//!
//! Layouts, PTX ISA 9.7.14.5, with lane l, g = l / 4, t = l % 4. For 16-bit operands register i of A holds row
//! g + 8 (i mod 2), columns 2t and 2t + 1 (+8 from register 2 on), the lower column in the low half; register i of B holds
//! rows 2t + 8i and 2t + 8i + 1 of column g. For tf32 the same with one element in place of two: column t + 4 (i / 2)
//! of A, row t + 4i of B. Register i of C and D is row g + 8 (i / 2), column 2t + i mod 2.

use super::Place;
use super::alu::canonical;
use crate::float::{bf16_to_f32, f16_to_f32};
use crate::numerics::SumModel;
use crate::program::{Mma, MmaKind};
use crate::regs::Regs;

/// Row and column in A of element `e` (0 or 1, low half first) of register `i` in `lane`.
pub fn fragment_a(kind: MmaKind, lane: usize, i: usize, e: usize) -> (usize, usize) {
    let (g, t) = (lane / 4, lane % 4);
    match kind {
        MmaKind::Half { .. } => (g + 8 * (i % 2), 2 * t + e + 8 * (i / 2)),
        MmaKind::Tf32 { .. } => (g + 8 * (i % 2), t + 4 * (i / 2)),
    }
}

/// Row (k) and column (n) in B.
pub fn fragment_b(kind: MmaKind, lane: usize, i: usize, e: usize) -> (usize, usize) {
    let (g, t) = (lane / 4, lane % 4);
    match kind {
        MmaKind::Half { .. } => (2 * t + e + 8 * i, g),
        MmaKind::Tf32 { .. } => (t + 4 * i, g),
    }
}

/// Row and column in C and D.
pub fn fragment_c(lane: usize, i: usize) -> (usize, usize) {
    (lane / 4 + 8 * (i / 2), 2 * (lane % 4) + i % 2)
}

type A = [[f32; 16]; 16];
type B = [[f32; 8]; 16];
type C = [[f32; 8]; 16];

/// The product in plain Rust, for every CPU and every model.
pub fn mma_portable(op: &Mma, regs: &mut Regs, place: &Place) {
    let (mut a, mut b, mut c): (A, B, C) = ([[0.0; 16]; 16], [[0.0; 8]; 16], [[0.0; 8]; 16]);
    let (num_a, num_b) = op.kind.fragment_sizes();
    let per_register = if let MmaKind::Half { .. } = op.kind { 2 } else { 1 };
    let element = |word: u32, e: usize| match op.kind {
        MmaKind::Half { brain: false, .. } => f16_to_f32(word >> (16 * e) & 0xffff),
        MmaKind::Half { brain: true, .. } => bf16_to_f32(word >> (16 * e) & 0xffff),
        // The low thirteen bits of a tf32 operand are not read.
        MmaKind::Tf32 { .. } => f32::from_bits(word & !0x1fff),
    };
    for lane in 0..32 {
        for e in 0..per_register {
            for i in 0..num_a {
                let (row, col) = fragment_a(op.kind, lane, i, e);
                a[row][col] = element(regs.r[op.a[i] as usize].0[lane], e);
            }
            for i in 0..num_b {
                let (row, col) = fragment_b(op.kind, lane, i, e);
                b[row][col] = element(regs.r[op.b[i] as usize].0[lane], e);
            }
        }
        for i in 0..4 {
            let (row, col) = fragment_c(lane, i);
            c[row][col] = f32::from_bits(regs.r[op.c[i] as usize].0[lane]);
        }
    }
    let depth = match op.kind {
        MmaKind::Half { k, .. } | MmaKind::Tf32 { k } => k as usize,
    };
    for (row, a) in c.iter_mut().zip(&a) {
        for (n, slot) in row.iter_mut().enumerate() {
            let products = (0..depth).map(|k| (a[k], b[k][n]));
            *slot = sum(place.numerics.sum, *slot, products);
        }
    }
    for i in 0..4 {
        let t: [u32; 32] = std::array::from_fn(|lane| {
            let (row, col) = fragment_c(lane, i);
            canonical(c[row][col])
        });
        regs.set_r(op.d[i], &t, !0, !0);
    }
}

/// `c + Σ a·b` under a model.
fn sum(model: SumModel, c: f32, products: impl Iterator<Item = (f32, f32)>) -> f32 {
    match model {
        SumModel::Sequential => products.fold(c, |acc, (a, b)| a.mul_add(b, acc)),
        SumModel::Exact => products.fold(c as f64, |acc, (a, b)| acc + a as f64 * b as f64) as f32,
        SumModel::Truncate { group } => {
            let terms: Vec<f64> = products.map(|(a, b)| a as f64 * b as f64).collect();
            terms.chunks(group.max(1) as usize).fold(c, aligned_sum)
        }
    }
}

/// Adds `acc` and `terms` as a tensor core does: all aligned to the largest exponent, bits below the 24th cut off, the
/// sum cut to f32 toward zero.
fn aligned_sum(acc: f32, terms: &[f64]) -> f32 {
    let all = || terms.iter().copied().chain([acc as f64]);
    if !all().all(f64::is_finite) {
        return all().sum::<f64>() as f32;
    }
    let largest = all().map(|x| x.abs()).fold(0.0, f64::max);
    if largest == 0.0 {
        return all().sum::<f64>() as f32;
    }
    let exponent = (largest.to_bits() >> 52) as i32 - 1023;
    let unit = exponent - 24;
    // The unit can be below the normal range of f64 only if every term is far below f32, where nothing is left anyway.
    let scale = crate::float::power_of_two((-unit).clamp(-1022, 1023));
    let total: f64 = all().map(|x| (x * scale).trunc()).sum();
    let exact = total / scale;
    f32::from_bits(crate::float::round_to(exact, crate::float::F32, crate::float::Round::Zero))
}

#[cfg(not(target_arch = "x86_64"))]
pub fn mma_avx2(op: &Mma, regs: &mut Regs, place: &Place) {
    mma_portable(op, regs, place);
}

/// Sequential f16 and bf16 products with vector instructions; everything else goes the portable way.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
pub fn mma_avx2(op: &Mma, regs: &mut Regs, place: &Place) {
    use std::arch::x86_64::*;
    let (MmaKind::Half { brain, k }, SumModel::Sequential) = (op.kind, place.numerics.sum) else {
        return mma_portable(op, regs, place);
    };
    let depth = k as usize;
    let halves = depth / 8;
    // Four neighbouring lanes hold eight neighbouring elements of a row, so a row is one conversion of 16 bytes.
    let eight = |words: &[u32; 32], g: usize| -> __m256 {
        // SAFETY: g < 8, so the 16 bytes at word 4g are inside the array; unaligned loads are allowed.
        let packed = unsafe { _mm_loadu_si128(words.as_ptr().add(4 * g).cast()) };
        if brain {
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(packed)))
        } else {
            _mm256_cvtph_ps(packed)
        }
    };
    let mut a = [[0f32; 16]; 16];
    let mut b = [_mm256_setzero_ps(); 16];
    for half in 0..halves {
        for g in 0..8 {
            for part in 0..2 {
                let row = eight(&regs.r[op.a[2 * half + part] as usize].0, g);
                // SAFETY: the row has 16 elements and half is 0 or 1.
                unsafe { _mm256_storeu_ps(a[g + 8 * part].as_mut_ptr().add(8 * half), row) };
            }
        }
        let words = &regs.r[op.b[half] as usize].0;
        let columns: [__m256; 8] = std::array::from_fn(|n| eight(words, n));
        b[8 * half..8 * half + 8].copy_from_slice(&transpose(columns));
    }
    let mut c = [_mm256_setzero_ps(); 16];
    for part in 0..2 {
        let (even, odd) =
            (&regs.r[op.c[2 * part] as usize].0, &regs.r[op.c[2 * part + 1] as usize].0);
        for i in 0..4 {
            // SAFETY: i < 4, so the 32 bytes at lane 8i are inside the arrays.
            let (x, y) = unsafe {
                (
                    _mm256_loadu_ps(even.as_ptr().add(8 * i).cast()),
                    _mm256_loadu_ps(odd.as_ptr().add(8 * i).cast()),
                )
            };
            let (lo, hi) = (_mm256_unpacklo_ps(x, y), _mm256_unpackhi_ps(x, y));
            c[8 * part + 2 * i] = _mm256_permute2f128_ps::<0x20>(lo, hi);
            c[8 * part + 2 * i + 1] = _mm256_permute2f128_ps::<0x31>(lo, hi);
        }
    }
    for (rows, a) in c.chunks_exact_mut(8).zip(a.chunks_exact(8)) {
        let mut acc: [__m256; 8] = std::array::from_fn(|i| rows[i]);
        for (k, b) in b[..depth].iter().enumerate() {
            for i in 0..8 {
                acc[i] = _mm256_fmadd_ps(_mm256_set1_ps(a[i][k]), *b, acc[i]);
            }
        }
        rows.copy_from_slice(&acc);
    }
    let nan = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fff_ffff));
    for row in &mut c {
        *row = _mm256_blendv_ps(*row, nan, _mm256_cmp_ps::<_CMP_UNORD_Q>(*row, *row));
    }
    for part in 0..2 {
        let (mut even, mut odd) = ([0u32; 32], [0u32; 32]);
        for i in 0..4 {
            let (x, y) = (c[8 * part + 2 * i], c[8 * part + 2 * i + 1]);
            let (lo, hi) =
                (_mm256_permute2f128_ps::<0x20>(x, y), _mm256_permute2f128_ps::<0x31>(x, y));
            // SAFETY: i < 4, so the 32 bytes at lane 8i are inside the arrays.
            unsafe {
                _mm256_storeu_ps(
                    even.as_mut_ptr().add(8 * i).cast(),
                    _mm256_shuffle_ps::<0x88>(lo, hi),
                );
                _mm256_storeu_ps(
                    odd.as_mut_ptr().add(8 * i).cast(),
                    _mm256_shuffle_ps::<0xdd>(lo, hi),
                );
            }
        }
        regs.set_r(op.d[2 * part], &even, !0, !0);
        regs.set_r(op.d[2 * part + 1], &odd, !0, !0);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn transpose(r: [std::arch::x86_64::__m256; 8]) -> [std::arch::x86_64::__m256; 8] {
    use std::arch::x86_64::*;
    let t: [__m256; 8] = std::array::from_fn(|i| {
        let (x, y) = (r[i & !1], r[i | 1]);
        if i & 1 == 0 { _mm256_unpacklo_ps(x, y) } else { _mm256_unpackhi_ps(x, y) }
    });
    // t[2j] and t[2j+1] hold columns 0,1 and 2,3 of row pair j, in both 128-bit halves.
    let pair = |lo: __m256, hi: __m256, low: bool| {
        if low { _mm256_shuffle_ps::<0x44>(lo, hi) } else { _mm256_shuffle_ps::<0xee>(lo, hi) }
    };
    let top = [
        pair(t[0], t[2], true),
        pair(t[0], t[2], false),
        pair(t[1], t[3], true),
        pair(t[1], t[3], false),
    ];
    let bottom = [
        pair(t[4], t[6], true),
        pair(t[4], t[6], false),
        pair(t[5], t[7], true),
        pair(t[5], t[7], false),
    ];
    std::array::from_fn(|i| {
        let (x, y) = (top[i % 4], bottom[i % 4]);
        if i < 4 {
            _mm256_permute2f128_ps::<0x20>(x, y)
        } else {
            _mm256_permute2f128_ps::<0x31>(x, y)
        }
    })
}
