//! Operations too rare for a vector loop, one lane at a time.

use super::{Place, compare};
use crate::float::*;
use crate::numerics;
use crate::program::*;
use crate::regs::Regs;

fn read(regs: &Regs, reg: Reg, lane: usize) -> u64 {
    match reg {
        Reg::R(r) => regs.r[r as usize].0[lane] as u64,
        Reg::D(d) => regs.d[d as usize].0[lane],
        Reg::P(p) => (regs.p[p as usize] >> lane & 1) as u64,
        Reg::Sink => 0,
    }
}

fn valid(regs: &Regs, reg: Reg) -> u32 {
    match reg {
        Reg::R(r) => regs.r_valid[r as usize],
        Reg::D(d) => regs.d_valid[d as usize],
        Reg::P(p) => regs.p_valid[p as usize],
        Reg::Sink => !0,
    }
}

/// Executes `d = f(lane)` for 32-bit destinations.
fn lanes32(regs: &mut Regs, d: R, mask: u32, valid: u32, f: impl Fn(&Regs, usize) -> u32) {
    let t: [u32; 32] = std::array::from_fn(|l| if mask >> l & 1 == 1 { f(regs, l) } else { 0 });
    regs.set_r(d, &t, mask, valid);
}

fn lanes64(regs: &mut Regs, d: D, mask: u32, valid: u32, f: impl Fn(&Regs, usize) -> u64) {
    let t: [u64; 32] = std::array::from_fn(|l| if mask >> l & 1 == 1 { f(regs, l) } else { 0 });
    regs.set_d(d, &t, mask, valid);
}

fn lanes_pred(regs: &mut Regs, d: P, mask: u32, valid: u32, f: impl Fn(&Regs, usize) -> bool) {
    let t = (0..32).filter(|l| mask >> l & 1 == 1 && f(regs, *l)).fold(0, |m, l| m | 1 << l);
    regs.set_p(d, t, mask, valid);
}

#[inline(never)]
pub fn execute(op: &Alu, regs: &mut Regs, mask: u32, place: &Place) {
    let r = |regs: &Regs, i: u32, l: usize| regs.r[i as usize].0[l];
    let d64 = |regs: &Regs, i: u32, l: usize| regs.d[i as usize].0[l];
    let rv = |regs: &Regs, i: &[u32]| i.iter().fold(!0, |m, i| m & regs.r_valid[*i as usize]);
    let dv = |regs: &Regs, i: &[u32]| i.iter().fold(!0, |m, i| m & regs.d_valid[*i as usize]);
    let model = place.numerics.approx;
    match *op {
        Alu::Bfi32(d, a, b, pos, len) => {
            let v = rv(regs, &[a, b, pos, len]);
            lanes32(regs, d, mask, v, |g, l| {
                insert(r(g, a, l) as u64, r(g, b, l) as u64, r(g, pos, l), r(g, len, l), 32) as u32
            });
        }
        Alu::Bfi64(d, a, b, pos, len) => {
            let v = dv(regs, &[a, b]) & rv(regs, &[pos, len]);
            lanes64(regs, d, mask, v, |g, l| {
                insert(d64(g, a, l), d64(g, b, l), r(g, pos, l), r(g, len, l), 64)
            });
        }
        Alu::Bfe64 { signed, d, a, pos, len } => {
            let v = dv(regs, &[a]) & rv(regs, &[pos, len]);
            lanes64(regs, d, mask, v, |g, l| {
                let (x, pos, len) = (d64(g, a, l), r(g, pos, l), r(g, len, l));
                if signed {
                    bfe_signed(x as i64, pos, len, 63) as u64
                } else {
                    bfe_unsigned(x, pos, len)
                }
            });
        }
        Alu::Lop3(d, a, b, c, table) => {
            let v = rv(regs, &[a, b, c]);
            lanes32(regs, d, mask, v, |g, l| lop3(r(g, a, l), r(g, b, l), r(g, c, l), table));
        }
        Alu::Popc64(d, a) => {
            let v = dv(regs, &[a]);
            lanes32(regs, d, mask, v, |g, l| d64(g, a, l).count_ones());
        }
        Alu::Clz64(d, a) => {
            let v = dv(regs, &[a]);
            lanes32(regs, d, mask, v, |g, l| d64(g, a, l).leading_zeros());
        }
        Alu::Split64(lo, hi, a) => {
            let (x, v) = (regs.d[a as usize].0, dv(regs, &[a]));
            if let Some(d) = lo {
                regs.set_r(d, &x.map(|x| x as u32), mask, v);
            }
            if let Some(d) = hi {
                regs.set_r(d, &x.map(|x| (x >> 32) as u32), mask, v);
            }
        }
        Alu::Join64x4(d, parts) => {
            let v = rv(regs, &parts);
            lanes64(regs, d, mask, v, |g, l| {
                parts.iter().rev().fold(0, |x, p| x << 16 | (r(g, *p, l) & 0xffff) as u64)
            });
        }
        Alu::Split64x4(parts, a) => {
            let (x, v) = (regs.d[a as usize].0, dv(regs, &[a]));
            for (i, part) in parts.iter().enumerate() {
                if let Some(d) = part {
                    regs.set_r(*d, &x.map(|x| (x >> (16 * i)) as u32 & 0xffff), mask, v);
                }
            }
        }
        Alu::Setp { ty, flush, rel, d, a, b } => {
            let v = valid(regs, a) & valid(regs, b);
            let ready = |x: u64| if flush { crate::float::flush(x as u32) as u64 } else { x };
            lanes_pred(regs, d, mask, v, |g, l| {
                compare::any(ty, rel, ready(read(g, a, l)), ready(read(g, b, l)))
            });
        }
        Alu::Slct32 { d, a, b, c, float } => {
            let (va, vb, vc) = (rv(regs, &[a]), rv(regs, &[b]), rv(regs, &[c]));
            let first = nonnegative(&regs.r[c as usize].0, float);
            lanes32(regs, d, mask, vc & (first & va | !first & vb), |g, l| {
                r(g, if first >> l & 1 == 1 { a } else { b }, l)
            });
        }
        Alu::Slct64 { d, a, b, c, float } => {
            let (va, vb, vc) = (dv(regs, &[a]), dv(regs, &[b]), rv(regs, &[c]));
            let first = nonnegative(&regs.r[c as usize].0, float);
            lanes64(regs, d, mask, vc & (first & va | !first & vb), |g, l| {
                d64(g, if first >> l & 1 == 1 { a } else { b }, l)
            });
        }
        Alu::Half { op, ty, d, a, b, c } => {
            let v = rv(regs, &[a, b, c]);
            lanes32(regs, d, mask, v, |g, l| half(op, ty, r(g, a, l), r(g, b, l), r(g, c, l)));
        }
        Alu::Ieee { op, round, flush, saturate, d, a, b, c } => {
            let v = rv(regs, &[a, b, c]);
            lanes32(regs, d, mask, v, |g, l| {
                ieee(op, round, flush, saturate, [r(g, a, l), r(g, b, l), r(g, c, l)])
            });
        }
        Alu::Approx { op, flush, d, a } => {
            let v = rv(regs, &[a]);
            let clean = |x: u32| if flush { crate::float::flush(x) } else { x };
            lanes32(regs, d, mask, v, |g, l| {
                let x = f32::from_bits(clean(r(g, a, l)));
                clean(numerics::approximate(op, x, model, l as u32).to_bits())
            });
        }
        Alu::ApproxHalf { op, ty, d, a } => {
            let v = rv(regs, &[a]);
            let format = if ty.brain { BF16 } else { F16 };
            let one = |h: u32, l: usize| {
                let y = numerics::approximate_half(
                    op,
                    ty.brain,
                    widen(h, format) as f32,
                    model,
                    l as u32,
                );
                round_to(y, format, Round::NearestEven)
            };
            lanes32(regs, d, mask, v, |g, l| {
                let x = r(g, a, l);
                let high = if ty.packed { one(x >> 16, l) << 16 } else { 0 };
                high | one(x & 0xffff, l)
            });
        }
        Alu::ApproxDiv { flush, d, a, b } => {
            let v = rv(regs, &[a, b]);
            let clean = |x: u32| if flush { crate::float::flush(x) } else { x };
            lanes32(regs, d, mask, v, |g, l| {
                let (x, y) = (f32::from_bits(clean(r(g, a, l))), f32::from_bits(clean(r(g, b, l))));
                clean(numerics::divide(x, y, model, l as u32).to_bits())
            });
        }
        Alu::Testp { class, d, a } => {
            let v = rv(regs, &[a]);
            lanes_pred(regs, d, mask, v, |g, l| {
                let x = f32::from_bits(r(g, a, l));
                match class {
                    Class::Finite => x.is_finite(),
                    Class::Infinite => x.is_infinite(),
                    Class::Number => !x.is_nan(),
                    Class::NotANumber => x.is_nan(),
                    Class::Normal => x.is_normal(),
                    Class::Subnormal => x.is_subnormal(),
                }
            });
        }
        Alu::Convert(c, d, a) => {
            let v = valid(regs, a);
            match d {
                Reg::R(d) => lanes32(regs, d, mask, v, |g, l| convert(c, read(g, a, l)) as u32),
                Reg::D(d) => lanes64(regs, d, mask, v, |g, l| convert(c, read(g, a, l))),
                Reg::P(_) | Reg::Sink => {}
            }
        }
        Alu::PackHalf { brain, round, relu, d, hi, lo } => {
            let v = rv(regs, &[hi, lo]);
            let format = if brain { BF16 } else { F16 };
            let one = |x: u32| {
                let x = f32::from_bits(x);
                let kept = if relu && x < 0.0 { 0.0 } else { x };
                round_to(kept as f64, format, round)
            };
            lanes32(regs, d, mask, v, |g, l| one(r(g, hi, l)) << 16 | one(r(g, lo, l)));
        }
        Alu::ToTf32 { round, d, a } => {
            let v = rv(regs, &[a]);
            lanes32(regs, d, mask, v, |g, l| {
                round_to(f32::from_bits(r(g, a, l)) as f64, TF32, round) << 13
            });
        }
        Alu::Bin32(..)
        | Alu::Un32(..)
        | Alu::Tern32(..)
        | Alu::Bin64(..)
        | Alu::Un64(..)
        | Alu::Shift64(..)
        | Alu::Fma64(..)
        | Alu::MadLo64(..)
        | Alu::MulWide { .. }
        | Alu::MadWide { .. }
        | Alu::Extend { .. }
        | Alu::Truncate(..)
        | Alu::Join64(..)
        | Alu::Join32(..)
        | Alu::Split32(..)
        | Alu::Special(..)
        | Alu::SetpI32 { .. }
        | Alu::SetpF32 { .. }
        | Alu::Logic(..)
        | Alu::PredNot(..)
        | Alu::PredMov(..)
        | Alu::PredConst(..)
        | Alu::Sel32(..)
        | Alu::Sel64(..) => {
            unreachable!("the vector loops execute this operation")
        }
    }
}

fn nonnegative(c: &[u32; 32], float: bool) -> u32 {
    let test = |x: u32| if float { f32::from_bits(x) >= 0.0 } else { x as i32 >= 0 };
    (0..32).filter(|l| test(c[*l])).fold(0, |m, l| m | 1 << l)
}

/// `bfe.s`: bits beyond the field repeat its top bit, or the operand's where the field runs over it.
#[inline(always)]
pub fn bfe_signed(x: i64, pos: u32, len: u32, msb: u32) -> i64 {
    let (pos, len) = (pos & 0xff, len & 0xff);
    if len == 0 {
        return 0;
    }
    let sign = x >> (pos + len - 1).min(msb) & 1;
    if pos > msb {
        return -sign;
    }
    let kept = len.min(msb + 1 - pos);
    let field = if kept == 64 { x } else { x >> pos & ((1 << kept) - 1) };
    if kept == 64 || sign == 0 { field } else { field | -1 << kept }
}

fn bfe_unsigned(x: u64, pos: u32, len: u32) -> u64 {
    let (pos, len) = (pos & 0xff, len & 0xff);
    if pos > 63 || len == 0 {
        return 0;
    }
    let field = x >> pos;
    if len > 63 { field } else { field & ((1 << len) - 1) }
}

fn insert(a: u64, b: u64, pos: u32, len: u32, bits: u32) -> u64 {
    let (pos, len) = (pos & 0xff, (len & 0xff).min(bits));
    if pos >= bits || len == 0 {
        return b;
    }
    let field = if len > 63 { !0 } else { (1 << len) - 1 };
    b & !(field << pos) | (a & field) << pos
}

/// `prmt` in its default mode: each nibble of the selector picks a byte of {b, a}, or replicates that byte's sign.
pub fn permute(a: u32, b: u32, selector: u32) -> u32 {
    let bytes = ((b as u64) << 32 | a as u64).to_le_bytes();
    (0..4).fold(0, |d, i| {
        let nibble = selector >> (4 * i) & 15;
        let byte = bytes[(nibble & 7) as usize];
        let picked = if nibble & 8 == 0 { byte } else { (byte as i8 >> 7) as u8 };
        d | (picked as u32) << (8 * i)
    })
}

fn lop3(a: u32, b: u32, c: u32, table: u8) -> u32 {
    (0..8u32).filter(|i| table >> i & 1 == 1).fold(0, |d, i| {
        let pick = |bit: u32, x: u32| if i >> bit & 1 == 1 { x } else { !x };
        d | pick(2, a) & pick(1, b) & pick(0, c)
    })
}

fn half(op: HalfOp, ty: HalfType, a: u32, b: u32, c: u32) -> u32 {
    let one = |s: u32| half_one(op, ty, a >> s & 0xffff, b >> s & 0xffff, c >> s & 0xffff);
    if ty.packed { one(16) << 16 | one(0) } else { one(0) }
}

fn half_one(op: HalfOp, ty: HalfType, a: u32, b: u32, c: u32) -> u32 {
    let format = if ty.brain { BF16 } else { F16 };
    let subnormal = |h: u32| h >> format.fraction_bits & ((1 << format.exponent_bits) - 1) == 0;
    let clean = |h: u32| if ty.flush && subnormal(h) { h & 0x8000 } else { h };
    let (a, b, c) = (clean(a), clean(b), clean(c));
    let (x, y, z) = (widen(a, format), widen(b, format), widen(c, format));
    let round = |v| clean(round_to(v, format, Round::NearestEven));
    let extremum = |max: bool| {
        let equal = if max { a & b } else { a | b };
        match (x.is_nan(), y.is_nan()) {
            (true, true) => 0x7fff,
            (true, false) => b,
            (false, true) => a,
            (false, false) if x == y => equal,
            (false, false) => {
                if (x < y) == max {
                    b
                } else {
                    a
                }
            }
        }
    };
    let either_nan = x.is_nan() || y.is_nan();
    match op {
        HalfOp::Add => round(add_odd(x, y)),
        HalfOp::Sub => round(add_odd(x, -y)),
        HalfOp::Mul => round(x * y),
        HalfOp::Fma => round(fma_odd(x, y, z)),
        HalfOp::FmaRelu => {
            let v = fma_odd(x, y, z);
            round(if v < 0.0 { 0.0 } else { v })
        }
        HalfOp::Min => extremum(false),
        HalfOp::Max => extremum(true),
        HalfOp::MinNan => {
            if either_nan {
                0x7fff
            } else {
                extremum(false)
            }
        }
        HalfOp::MaxNan => {
            if either_nan {
                0x7fff
            } else {
                extremum(true)
            }
        }
    }
}

fn ieee(op: Ieee, round: Round, ftz: bool, saturate: bool, operands: [u32; 3]) -> u32 {
    let clean = |x: u32| if ftz { flush(x) } else { x };
    let [x, y, z] = operands.map(|v| f32::from_bits(clean(v)) as f64);
    let wide = match op {
        Ieee::Add => add_odd(x, y),
        Ieee::Mul => x * y,
        Ieee::Fma => fma_odd(x, y, z),
        Ieee::Div => div_odd(x, y),
        Ieee::Rcp => div_odd(1.0, x),
        Ieee::Sqrt => sqrt_odd(x),
    };
    // IEEE 754, 6.3: an exact zero sum of opposite operands is negative when rounding down.
    let wide = if round == Round::Down && wide == 0.0 && matches!(op, Ieee::Add | Ieee::Fma) {
        let first = if op == Ieee::Add { x } else { x * y };
        let second = if op == Ieee::Add { y } else { z };
        if first.is_sign_negative() || second.is_sign_negative() { -0.0 } else { 0.0 }
    } else {
        wide
    };
    let result = clean(round_to(wide, F32, round));
    if !saturate {
        return result;
    }
    saturated(f32::from_bits(result))
}

/// `.sat` clamps to [0, 1], and NaN to 0.
fn saturated(x: f32) -> u32 {
    if x > 0.0 { x.min(1.0).to_bits() } else { 0 }
}

/// The value of a float of type `ty` given by its bits.
pub fn to_f64(ty: Scalar, bits: u64) -> f64 {
    match ty.format() {
        Some(format) => widen(bits as u32, format),
        None => f64::from_bits(bits),
    }
}

/// `cvt`: result bits, extended to the destination register.
pub fn convert(c: Conversion, bits: u64) -> u64 {
    let result = if c.from.is_float() {
        let clean = if c.flush && c.from == Scalar::F32 { flush(bits as u32) as u64 } else { bits };
        let x = to_f64(c.from, clean & low_bits(c.from.bits()));
        if c.to.is_float() { float_to_float(c, x) } else { float_to_int(c, x) }
    } else {
        let shift = 64 - c.from.bits();
        let value = if c.from.is_signed() {
            ((bits << shift) as i64 >> shift) as i128
        } else {
            (bits << shift >> shift) as i128
        };
        if c.to.is_float() { int_to_float(c, value) } else { int_to_int(c, value) }
    };
    let kept = result & low_bits(c.to.bits());
    if c.to.is_signed() {
        let shift = 64 - c.to.bits();
        return ((kept << shift) as i64 >> shift) as u64 & low_bits(c.dst_bits);
    }
    kept
}

fn low_bits(n: u32) -> u64 {
    if n >= 64 { !0 } else { (1 << n) - 1 }
}

fn integer_range(ty: Scalar) -> (i128, i128) {
    let bits = ty.bits();
    if ty.is_signed() { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) }
}

fn int_to_int(c: Conversion, value: i128) -> u64 {
    let (low, high) = integer_range(c.to);
    (if c.saturate { value.clamp(low, high) } else { value }) as u64
}

fn int_to_float(c: Conversion, value: i128) -> u64 {
    let magnitude = value.unsigned_abs() as u64;
    let spare = 11u32.saturating_sub(magnitude.leading_zeros());
    // Cut to 53 bits with a sticky last bit: round to odd.
    let mut cut = magnitude >> spare;
    if cut << spare != magnitude {
        cut |= 1;
    }
    let wide = cut as f64 * power_of_two(spare as i32);
    let wide = if value < 0 { -wide } else { wide };
    match c.to.format() {
        Some(F32) if c.saturate => saturated(f32::from_bits(round_to(wide, F32, c.round))) as u64,
        Some(format) => round_to(wide, format, c.round) as u64,
        None => (value as f64).to_bits(),
    }
}

fn to_integral(x: f64, round: Round) -> f64 {
    match round {
        Round::NearestEven => x.round_ties_even(),
        Round::NearestAway => x.round(),
        Round::Zero => x.trunc(),
        Round::Down => x.floor(),
        Round::Up => x.ceil(),
    }
}

fn float_to_int(c: Conversion, x: f64) -> u64 {
    if x.is_nan() {
        // PTX ISA, cvt: NaN gives zero, except from f64 or to 64 bits, where it gives the top bit.
        let wide = c.from == Scalar::F64 || c.to.bits() == 64;
        return if wide { 1 << (c.to.bits() - 1) } else { 0 };
    }
    let (low, high) = integer_range(c.to);
    (to_integral(x, c.round) as i128).clamp(low, high) as u64
}

fn float_to_float(c: Conversion, x: f64) -> u64 {
    let x = if c.to_integral { to_integral(x, c.round) } else { x };
    let x = if !c.saturate {
        x
    } else if x > 0.0 {
        x.min(1.0)
    } else {
        0.0
    };
    let round = if c.to_integral { Round::NearestEven } else { c.round };
    match c.to.format() {
        Some(F32) if c.flush => flush(round_to(x, F32, round)) as u64,
        Some(format) => round_to(x, format, round) as u64,
        None => super::alu::canonical64(x),
    }
}
