//! The dispatch over [`Alu`] and the vector loops.

use super::{Place, compare, ex2, scalar};
use crate::float::{bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16, flush};
use crate::numerics::ApproxModel;
use crate::program::*;
use crate::regs::Regs;

type L32 = [u32; 32];
type L64 = [u64; 32];

#[inline(always)]
fn map1(a: &L32, f: impl Fn(u32) -> u32) -> L32 {
    let mut t = [0; 32];
    for l in 0..32 {
        t[l] = f(a[l]);
    }
    t
}

#[inline(always)]
fn map2(a: &L32, b: &L32, f: impl Fn(u32, u32) -> u32) -> L32 {
    let mut t = [0; 32];
    for l in 0..32 {
        t[l] = f(a[l], b[l]);
    }
    t
}

#[inline(always)]
fn map3(a: &L32, b: &L32, c: &L32, f: impl Fn(u32, u32, u32) -> u32) -> L32 {
    let mut t = [0; 32];
    for l in 0..32 {
        t[l] = f(a[l], b[l], c[l]);
    }
    t
}

#[inline(always)]
fn wide1(a: &L64, f: impl Fn(u64) -> u64) -> L64 {
    let mut t = [0; 32];
    for l in 0..32 {
        t[l] = f(a[l]);
    }
    t
}

#[inline(always)]
fn wide2(a: &L64, b: &L64, f: impl Fn(u64, u64) -> u64) -> L64 {
    let mut t = [0; 32];
    for l in 0..32 {
        t[l] = f(a[l], b[l]);
    }
    t
}

#[inline(always)]
fn widen2(a: &L32, b: &L32, f: impl Fn(u32, u32) -> u64) -> L64 {
    let mut t = [0; 32];
    for l in 0..32 {
        t[l] = f(a[l], b[l]);
    }
    t
}

/// The hardware's NaN: any NaN an f32 operation makes has these bits.
#[inline(always)]
pub fn canonical(x: f32) -> u32 {
    if x.is_nan() { 0x7fff_ffff } else { x.to_bits() }
}

#[inline(always)]
pub fn canonical64(x: f64) -> u64 {
    if x.is_nan() { 0x7fff_ffff_ffff_ffff } else { x.to_bits() }
}

#[inline(always)]
fn float2(a: &L32, b: &L32, f: impl Fn(f32, f32) -> f32) -> L32 {
    map2(a, b, |x, y| canonical(f(f32::from_bits(x), f32::from_bits(y))))
}

/// `min` and `max`: NaN loses, and -0 is below +0.
#[inline(always)]
fn extremum(a: u32, b: u32, max: bool) -> u32 {
    let (x, y) = (f32::from_bits(a), f32::from_bits(b));
    let equal = if max { a & b } else { a | b };
    let first = if max { x > y } else { x < y };
    let chosen = if first { a } else { b };
    let ordered = if x == y { equal } else { chosen };
    let without_x = if x.is_nan() { b } else { ordered };
    let without_y = if y.is_nan() { a } else { without_x };
    if x.is_nan() && y.is_nan() { 0x7fff_ffff } else { without_y }
}

#[inline(always)]
fn extremum_nan(a: u32, b: u32, max: bool) -> u32 {
    let nan = f32::from_bits(a).is_nan() || f32::from_bits(b).is_nan();
    if nan { 0x7fff_ffff } else { extremum(a, b, max) }
}

fn extremum64(a: u64, b: u64, max: bool) -> u64 {
    let (x, y) = (f64::from_bits(a), f64::from_bits(b));
    match (x.is_nan(), y.is_nan()) {
        (true, true) => 0x7fff_ffff_ffff_ffff,
        (true, false) => b,
        (false, true) => a,
        (false, false) if x == y => {
            if max {
                a & b
            } else {
                a | b
            }
        }
        (false, false) => {
            if (x < y) == max {
                b
            } else {
                a
            }
        }
    }
}

#[inline(always)]
fn low16(x: u32) -> i32 {
    x as u16 as i16 as i32
}

#[inline(always)]
fn bin32(op: Bin32, a: &L32, b: &L32) -> L32 {
    use Bin32::*;
    match op {
        Add => map2(a, b, |x, y| x.wrapping_add(y)),
        Sub => map2(a, b, |x, y| x.wrapping_sub(y)),
        MulLo => map2(a, b, |x, y| x.wrapping_mul(y)),
        MulHiS => map2(a, b, |x, y| ((x as i32 as i64 * y as i32 as i64) >> 32) as u32),
        MulHiU => map2(a, b, |x, y| ((x as u64 * y as u64) >> 32) as u32),
        MinS => map2(a, b, |x, y| (x as i32).min(y as i32) as u32),
        MaxS => map2(a, b, |x, y| (x as i32).max(y as i32) as u32),
        MinU => map2(a, b, |x, y| x.min(y)),
        MaxU => map2(a, b, |x, y| x.max(y)),
        And => map2(a, b, |x, y| x & y),
        Or => map2(a, b, |x, y| x | y),
        Xor => map2(a, b, |x, y| x ^ y),
        // Shifts clamp: an amount of 32 or more leaves zeros, or copies of the sign.
        Shl => map2(a, b, |x, n| if n > 31 { 0 } else { x << (n & 31) }),
        ShrU => map2(a, b, |x, n| if n > 31 { 0 } else { x >> (n & 31) }),
        ShrS => map2(a, b, |x, n| (x as i32 >> n.min(31)) as u32),
        AddH => map2(a, b, |x, y| x.wrapping_add(y) & 0xffff),
        SubH => map2(a, b, |x, y| x.wrapping_sub(y) & 0xffff),
        MulLoH => map2(a, b, |x, y| x.wrapping_mul(y) & 0xffff),
        MulHiSH => map2(a, b, |x, y| ((low16(x) * low16(y)) >> 16) as u32 & 0xffff),
        MulHiUH => map2(a, b, |x, y| ((x & 0xffff) * (y & 0xffff)) >> 16),
        MulWideSH => map2(a, b, |x, y| (low16(x) * low16(y)) as u32),
        MulWideUH => map2(a, b, |x, y| (x & 0xffff) * (y & 0xffff)),
        MinSH => map2(a, b, |x, y| low16(x).min(low16(y)) as u32 & 0xffff),
        MaxSH => map2(a, b, |x, y| low16(x).max(low16(y)) as u32 & 0xffff),
        MinUH => map2(a, b, |x, y| (x & 0xffff).min(y & 0xffff)),
        MaxUH => map2(a, b, |x, y| (x & 0xffff).max(y & 0xffff)),
        XorH => map2(a, b, |x, y| (x ^ y) & 0xffff),
        ShlH => map2(a, b, |x, n| if n > 15 { 0 } else { x << (n & 15) & 0xffff }),
        ShrUH => map2(a, b, |x, n| if n > 15 { 0 } else { (x & 0xffff) >> (n & 15) }),
        ShrSH => map2(a, b, |x, n| (low16(x) >> n.min(15)) as u32 & 0xffff),
        FAdd => float2(a, b, |x, y| x + y),
        FSub => float2(a, b, |x, y| x - y),
        FMul => float2(a, b, |x, y| x * y),
        FMin => map2(a, b, |x, y| extremum(x, y, false)),
        FMax => map2(a, b, |x, y| extremum(x, y, true)),
        FMinNan => map2(a, b, |x, y| extremum_nan(x, y, false)),
        FMaxNan => map2(a, b, |x, y| extremum_nan(x, y, true)),
        CopySign => map2(a, b, |x, y| x & 0x8000_0000 | y & 0x7fff_ffff),
    }
}

#[inline(always)]
fn un32(op: Un32, a: &L32, mask: u32) -> L32 {
    use Un32::*;
    match op {
        Mov => *a,
        Not => map1(a, |x| !x),
        NotH => map1(a, |x| !x & 0xffff),
        Neg => map1(a, |x| x.wrapping_neg()),
        Abs => map1(a, |x| (x as i32).wrapping_abs() as u32),
        NegH => map1(a, |x| x.wrapping_neg() & 0xffff),
        AbsH => map1(a, |x| low16(x).wrapping_abs() as u32 & 0xffff),
        Popc => map1(a, |x| x.count_ones()),
        Clz => map1(a, |x| x.leading_zeros()),
        Brev => map1(a, |x| x.reverse_bits()),
        FNeg => map1(a, |x| x ^ 0x8000_0000),
        FAbs => map1(a, |x| x & 0x7fff_ffff),
        HNeg => map1(a, |x| (x ^ 0x8000) & 0xffff),
        HAbs => map1(a, |x| x & 0x7fff),
        H2Neg => map1(a, |x| x ^ 0x8000_8000),
        H2Abs => map1(a, |x| x & 0x7fff_7fff),
        Ftz => map1(a, flush),
        F16ToF32 => map1(a, |x| canonical(f16_to_f32(x & 0xffff))),
        Bf16ToF32 => map1(a, |x| bf16_to_f32(x & 0xffff).to_bits()),
        F32ToF16 => map1(a, |x| f32_to_f16(f32::from_bits(x))),
        F32ToBf16 => map1(a, |x| f32_to_bf16(f32::from_bits(x))),
        SignExtend8 => map1(a, |x| x as i8 as i32 as u32),
        SignExtend16 => map1(a, |x| low16(x) as u32),
        ZeroExtend8 => map1(a, |x| x & 0xff),
        ZeroExtend16 => map1(a, |x| x & 0xffff),
        S32ToF32 => map1(a, |x| (x as i32 as f32).to_bits()),
        U32ToF32 => map1(a, |x| (x as f32).to_bits()),
        Activemask => [mask; 32],
    }
}

#[inline(always)]
fn tern32(op: Tern32, a: &L32, b: &L32, c: &L32) -> L32 {
    use Tern32::*;
    let funnel = |hi: u32, lo: u32| (hi as u64) << 32 | lo as u64;
    match op {
        MadLo => map3(a, b, c, |x, y, z| x.wrapping_mul(y).wrapping_add(z)),
        MadLoH => map3(a, b, c, |x, y, z| x.wrapping_mul(y).wrapping_add(z) & 0xffff),
        MadHiS => map3(a, b, c, |x, y, z| {
            (((x as i32 as i64 * y as i32 as i64) >> 32) as u32).wrapping_add(z)
        }),
        MadHiU => map3(a, b, c, |x, y, z| (((x as u64 * y as u64) >> 32) as u32).wrapping_add(z)),
        SadS => map3(a, b, c, |x, y, z| (x as i32).abs_diff(y as i32).wrapping_add(z)),
        SadU => map3(a, b, c, |x, y, z| x.abs_diff(y).wrapping_add(z)),
        BfeU => map3(a, b, c, |x, pos, len| {
            let (pos, len) = ((pos & 0xff).min(32), (len & 0xff).min(32));
            (x as u64 >> pos & ((1 << len) - 1)) as u32
        }),
        BfeS => {
            map3(a, b, c, |x, pos, len| scalar::bfe_signed(x as i32 as i64, pos, len, 31) as u32)
        }
        Fma => map3(a, b, c, |x, y, z| {
            canonical(f32::from_bits(x).mul_add(f32::from_bits(y), f32::from_bits(z)))
        }),
        ShfLWrap => map3(a, b, c, |lo, hi, n| (funnel(hi, lo) << (n & 31) >> 32) as u32),
        ShfLClamp => map3(a, b, c, |lo, hi, n| (funnel(hi, lo) << n.min(32) >> 32) as u32),
        ShfRWrap => map3(a, b, c, |lo, hi, n| (funnel(hi, lo) >> (n & 31)) as u32),
        ShfRClamp => map3(a, b, c, |lo, hi, n| (funnel(hi, lo) >> n.min(32)) as u32),
        Prmt => map3(a, b, c, scalar::permute),
    }
}

#[inline(always)]
fn bin64(op: Bin64, a: &L64, b: &L64) -> L64 {
    use Bin64::*;
    let float = |f: fn(f64, f64) -> f64| {
        wide2(a, b, |x, y| canonical64(f(f64::from_bits(x), f64::from_bits(y))))
    };
    match op {
        Add => wide2(a, b, |x, y| x.wrapping_add(y)),
        Sub => wide2(a, b, |x, y| x.wrapping_sub(y)),
        MulLo => wide2(a, b, |x, y| x.wrapping_mul(y)),
        MulHiS => wide2(a, b, |x, y| ((x as i64 as i128 * y as i64 as i128) >> 64) as u64),
        MulHiU => wide2(a, b, |x, y| ((x as u128 * y as u128) >> 64) as u64),
        MinS => wide2(a, b, |x, y| (x as i64).min(y as i64) as u64),
        MaxS => wide2(a, b, |x, y| (x as i64).max(y as i64) as u64),
        MinU => wide2(a, b, |x, y| x.min(y)),
        MaxU => wide2(a, b, |x, y| x.max(y)),
        And => wide2(a, b, |x, y| x & y),
        Or => wide2(a, b, |x, y| x | y),
        Xor => wide2(a, b, |x, y| x ^ y),
        FAdd => float(|x, y| x + y),
        FSub => float(|x, y| x - y),
        FMul => float(|x, y| x * y),
        FDiv => float(|x, y| x / y),
        FMin => wide2(a, b, |x, y| extremum64(x, y, false)),
        FMax => wide2(a, b, |x, y| extremum64(x, y, true)),
        CopySign => wide2(a, b, |x, y| x & 1 << 63 | y & !(1 << 63)),
    }
}

#[inline(always)]
fn un64(op: Un64, a: &L64) -> L64 {
    match op {
        Un64::Mov => *a,
        Un64::Not => wide1(a, |x| !x),
        Un64::Neg => wide1(a, |x| x.wrapping_neg()),
        Un64::Abs => wide1(a, |x| (x as i64).wrapping_abs() as u64),
        Un64::Brev => wide1(a, |x| x.reverse_bits()),
        Un64::FNeg => wide1(a, |x| x ^ 1 << 63),
        Un64::FAbs => wide1(a, |x| x & !(1 << 63)),
        Un64::FSqrt => wide1(a, |x| canonical64(f64::from_bits(x).sqrt())),
        Un64::FRcp => wide1(a, |x| canonical64(1.0 / f64::from_bits(x))),
    }
}

/// Expands a predicate to a choice between two lanes' values.
#[inline(always)]
fn choose<T: Copy + Default>(p: u32, a: &[T; 32], b: &[T; 32]) -> [T; 32] {
    let mut t = [T::default(); 32];
    for l in 0..32 {
        t[l] = if p >> l & 1 == 1 { a[l] } else { b[l] };
    }
    t
}

/// Executes one operation in the lanes of `mask`.
#[inline(always)]
pub fn execute(op: &Alu, regs: &mut Regs, mask: u32, place: &Place) {
    macro_rules! r {
        ($i:expr) => {
            &regs.r[*$i as usize].0
        };
    }
    macro_rules! d {
        ($i:expr) => {
            &regs.d[*$i as usize].0
        };
    }
    macro_rules! rv { ($($i:expr),+) => { !0 $(& regs.r_valid[*$i as usize])+ } }
    macro_rules! dv { ($($i:expr),+) => { !0 $(& regs.d_valid[*$i as usize])+ } }
    match op {
        Alu::Bin32(op, d, a, b) => {
            let t = bin32(*op, r!(a), r!(b));
            regs.set_r(*d, &t, mask, rv!(a, b));
        }
        Alu::Un32(op, d, a) => {
            let t = un32(*op, r!(a), mask);
            let valid = if *op == Un32::Activemask { !0 } else { rv!(a) };
            regs.set_r(*d, &t, mask, valid);
        }
        Alu::Tern32(op, d, a, b, c) => {
            let t = tern32(*op, r!(a), r!(b), r!(c));
            regs.set_r(*d, &t, mask, rv!(a, b, c));
        }
        Alu::Bin64(op, d, a, b) => {
            let t = bin64(*op, d!(a), d!(b));
            regs.set_d(*d, &t, mask, dv!(a, b));
        }
        Alu::Un64(op, d, a) => {
            let t = un64(*op, d!(a));
            regs.set_d(*d, &t, mask, dv!(a));
        }
        Alu::Shift64(op, d, a, b) => {
            let (x, n) = (d!(a), r!(b));
            let mut t = [0; 32];
            for l in 0..32 {
                t[l] = match op {
                    Shift64::Left => {
                        if n[l] > 63 {
                            0
                        } else {
                            x[l] << (n[l] & 63)
                        }
                    }
                    Shift64::RightU => {
                        if n[l] > 63 {
                            0
                        } else {
                            x[l] >> (n[l] & 63)
                        }
                    }
                    Shift64::RightS => (x[l] as i64 >> n[l].min(63)) as u64,
                };
            }
            regs.set_d(*d, &t, mask, dv!(a) & rv!(b));
        }
        Alu::MadLo64(d, a, b, c) => {
            let product = wide2(d!(a), d!(b), |x, y| x.wrapping_mul(y));
            let t = wide2(&product, d!(c), |x, y| x.wrapping_add(y));
            regs.set_d(*d, &t, mask, dv!(a, b, c));
        }
        Alu::Fma64(d, a, b, c) => {
            let (x, y, z) = (d!(a), d!(b), d!(c));
            let mut t = [0; 32];
            for l in 0..32 {
                t[l] = canonical64(
                    f64::from_bits(x[l]).mul_add(f64::from_bits(y[l]), f64::from_bits(z[l])),
                );
            }
            regs.set_d(*d, &t, mask, dv!(a, b, c));
        }
        Alu::MulWide { signed, d, a, b } => {
            let t = product(*signed, r!(a), r!(b));
            regs.set_d(*d, &t, mask, rv!(a, b));
        }
        Alu::MadWide { signed, d, a, b, c } => {
            let t = wide2(&product(*signed, r!(a), r!(b)), d!(c), |x, y| x.wrapping_add(y));
            regs.set_d(*d, &t, mask, rv!(a, b) & dv!(c));
        }
        Alu::Extend { signed, d, a } => {
            let t = if *signed {
                widen2(r!(a), r!(a), |x, _| x as i32 as i64 as u64)
            } else {
                widen2(r!(a), r!(a), |x, _| x as u64)
            };
            regs.set_d(*d, &t, mask, rv!(a));
        }
        Alu::Truncate(d, a) => {
            let mut t = [0; 32];
            for (t, x) in t.iter_mut().zip(d!(a)) {
                *t = *x as u32;
            }
            regs.set_r(*d, &t, mask, dv!(a));
        }
        Alu::Join64(d, lo, hi) => {
            let t = widen2(r!(lo), r!(hi), |lo, hi| (hi as u64) << 32 | lo as u64);
            regs.set_d(*d, &t, mask, rv!(lo, hi));
        }
        Alu::Join32(d, lo, hi) => {
            let t = map2(r!(lo), r!(hi), |lo, hi| hi << 16 | lo & 0xffff);
            regs.set_r(*d, &t, mask, rv!(lo, hi));
        }
        Alu::Split32(lo, hi, a) => {
            let (x, valid) = (*r!(a), rv!(a));
            if let Some(d) = lo {
                regs.set_r(*d, &map1(&x, |x| x & 0xffff), mask, valid);
            }
            if let Some(d) = hi {
                regs.set_r(*d, &map1(&x, |x| x >> 16), mask, valid);
            }
        }
        Alu::SetpI32 { signed, rel, d, a, b } => {
            let p = compare::integers(*signed, *rel, r!(a), r!(b));
            regs.set_p(*d, p, mask, rv!(a, b));
        }
        Alu::SetpF32 { rel, d, a, b } => {
            let p = compare::floats(*rel, r!(a), r!(b));
            regs.set_p(*d, p, mask, rv!(a, b));
        }
        Alu::Logic(op, d, a, b) => {
            let (x, y) = (regs.p[*a as usize], regs.p[*b as usize]);
            let (vx, vy) = (regs.p_valid[*a as usize], regs.p_valid[*b as usize]);
            // `false and undefined` is false, `true or undefined` is true.
            let (value, known) = match op {
                Logic::And => (x & y, vx & !x | vy & !y),
                Logic::Or => (x | y, vx & x | vy & y),
                Logic::Xor => (x ^ y, 0),
            };
            regs.set_p(*d, value, mask, vx & vy | known);
        }
        Alu::PredNot(d, a) => regs.set_p(*d, !regs.p[*a as usize], mask, regs.p_valid[*a as usize]),
        Alu::PredMov(d, a) => regs.set_p(*d, regs.p[*a as usize], mask, regs.p_valid[*a as usize]),
        Alu::PredConst(d, value) => regs.set_p(*d, if *value { !0 } else { 0 }, mask, !0),
        Alu::Sel32(d, a, b, p) => {
            let (p, pv) = (regs.p[*p as usize], regs.p_valid[*p as usize]);
            let t = choose(p, r!(a), r!(b));
            let valid = pv & (p & rv!(a) | !p & rv!(b));
            regs.set_r(*d, &t, mask, valid);
        }
        Alu::Sel64(d, a, b, p) => {
            let (p, pv) = (regs.p[*p as usize], regs.p_valid[*p as usize]);
            let t = choose(p, d!(a), d!(b));
            let valid = pv & (p & dv!(a) | !p & dv!(b));
            regs.set_d(*d, &t, mask, valid);
        }
        Alu::PackHalf {
            brain,
            round: crate::float::Round::NearestEven,
            relu: false,
            d,
            hi,
            lo,
        } => {
            let (hi_lanes, lo_lanes) = (r!(hi), r!(lo));
            let t = if *brain {
                map2(hi_lanes, lo_lanes, |h, l| {
                    f32_to_bf16(f32::from_bits(h)) << 16 | f32_to_bf16(f32::from_bits(l))
                })
            } else {
                map2(hi_lanes, lo_lanes, |h, l| {
                    f32_to_f16(f32::from_bits(h)) << 16 | f32_to_f16(f32::from_bits(l))
                })
            };
            regs.set_r(*d, &t, mask, rv!(hi, lo));
        }
        Alu::Approx { op: Approx::Ex2, flush, d, a }
            if place.numerics.approx == ApproxModel::Nearest =>
        {
            let t = ex2::lanes(r!(a), *flush);
            regs.set_r(*d, &t, mask, rv!(a));
        }
        Alu::Special(d, special) => {
            let t = special_lanes(*special, place);
            regs.set_r(*d, &t, mask, !0);
        }
        Alu::Bfi32(..)
        | Alu::Lop3(..)
        | Alu::Bfe64 { .. }
        | Alu::Bfi64(..)
        | Alu::Popc64(..)
        | Alu::Clz64(..)
        | Alu::Split64(..)
        | Alu::Join64x4(..)
        | Alu::Split64x4(..)
        | Alu::Setp { .. }
        | Alu::Slct32 { .. }
        | Alu::Slct64 { .. }
        | Alu::Half { .. }
        | Alu::Ieee { .. }
        | Alu::Approx { .. }
        | Alu::ApproxHalf { .. }
        | Alu::ApproxDiv { .. }
        | Alu::Testp { .. }
        | Alu::Convert(..)
        | Alu::PackHalf { .. }
        | Alu::ToTf32 { .. } => scalar::execute(op, regs, mask, place),
    }
}

#[inline(always)]
fn product(signed: bool, a: &L32, b: &L32) -> L64 {
    if signed {
        widen2(a, b, |x, y| (x as i32 as i64).wrapping_mul(y as i32 as i64) as u64)
    } else {
        widen2(a, b, |x, y| x as u64 * y as u64)
    }
}

fn special_lanes(special: Special, place: &Place) -> L32 {
    let [bx, by, _] = place.block;
    std::array::from_fn(|lane| {
        let lane = lane as u32;
        let thread = place.warp * 32 + lane;
        let axis = |v: [u32; 3], i: u8| v[i as usize];
        match special {
            Special::Tid(0) => thread % bx,
            Special::Tid(1) => thread / bx % by,
            Special::Tid(_) => thread / bx / by,
            Special::Ntid(i) => axis(place.block, i),
            Special::Ctaid(i) => axis(place.cta, i),
            Special::Nctaid(i) => axis(place.grid, i),
            Special::Laneid => lane,
            Special::Warpid => place.warp,
            Special::Nwarpid => place.num_warps,
            Special::Smid => 0,
            Special::LanemaskEq => 1 << lane,
            Special::LanemaskLt => (1 << lane) - 1,
            Special::LanemaskLe => (1 << lane) | ((1 << lane) - 1),
            Special::LanemaskGt => !((1 << lane) | ((1 << lane) - 1)),
            Special::LanemaskGe => !((1 << lane) - 1),
            Special::DynamicSharedBytes => place.dynamic_shared_bytes,
            Special::TotalSharedBytes => place.total_shared_bytes,
        }
    })
}
