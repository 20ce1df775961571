//! Integer, bitwise, f32 and f64 arithmetic (PTX ISA 9.7.1 to 9.7.4, 9.7.8).

use super::mods::{Mods, scalar};
use super::{Decoded, Decoder, half};
use crate::float::Round;
use crate::program::*;
use crate::syntax::ast::Operand;

type Ops<'o> = &'o [Operand];

/// A 32-bit operation, sources of 32 bits.
fn bin32(cx: &mut Decoder, op: Bin32, o: Ops) -> Decoded<Op> {
    let [d, a, b] = cx.exactly(o)?;
    Ok(Op::Alu(Alu::Bin32(op, cx.dst_r(d)?, cx.r(a)?, cx.r(b)?)))
}

fn bin16(cx: &mut Decoder, op: Bin32, o: Ops) -> Decoded<Op> {
    let [d, a, b] = cx.exactly(o)?;
    Ok(Op::Alu(Alu::Bin32(op, cx.dst_r(d)?, cx.h(a)?, cx.h(b)?)))
}

fn bin64(cx: &mut Decoder, op: Bin64, o: Ops) -> Decoded<Op> {
    let [d, a, b] = cx.exactly(o)?;
    Ok(Op::Alu(Alu::Bin64(op, cx.dst_d(d)?, cx.d(a)?, cx.d(b)?)))
}

fn un32(cx: &mut Decoder, op: Un32, o: Ops) -> Decoded<Op> {
    let [d, a] = cx.exactly(o)?;
    Ok(Op::Alu(Alu::Un32(op, cx.dst_r(d)?, cx.r(a)?)))
}

fn un64(cx: &mut Decoder, op: Un64, o: Ops) -> Decoded<Op> {
    let [d, a] = cx.exactly(o)?;
    Ok(Op::Alu(Alu::Un64(op, cx.dst_d(d)?, cx.d(a)?)))
}

/// f32 with an explicit or unusual rounding; the plain nearest-even case has its own fast operation.
fn ieee(cx: &mut Decoder, op: Ieee, m: &mut Mods, o: Ops, default: Option<Round>) -> Decoded<Op> {
    let Some(round) = m.round().or(default) else {
        return m.unknown();
    };
    let (flush, saturate) = (m.take("ftz"), m.take("sat"));
    if round == Round::NearestAway {
        return m.unknown();
    }
    let plain = round == Round::NearestEven && !flush && !saturate;
    let fast = match op {
        Ieee::Add => Some(Bin32::FAdd),
        Ieee::Mul => Some(Bin32::FMul),
        Ieee::Fma | Ieee::Div | Ieee::Rcp | Ieee::Sqrt => None,
    };
    if let (true, Some(fast)) = (plain, fast) {
        return bin32(cx, fast, o);
    }
    let count = match op {
        Ieee::Rcp | Ieee::Sqrt => 2,
        Ieee::Add | Ieee::Mul | Ieee::Div => 3,
        Ieee::Fma => 4,
    };
    if o.len() != count {
        return cx.error(format!("this opcode has {count} operands, here are {}", o.len()));
    }
    let d = cx.dst_r(&o[0])?;
    let a = cx.r(&o[1])?;
    let b = if count > 2 { cx.r(&o[2])? } else { a };
    let c = if count > 3 { cx.r(&o[3])? } else { a };
    if plain && op == Ieee::Fma {
        return Ok(Op::Alu(Alu::Tern32(Tern32::Fma, d, a, b, c)));
    }
    Ok(Op::Alu(Alu::Ieee { op, round, flush, saturate, d, a, b, c }))
}

fn only_nearest(m: &mut Mods) -> Decoded<()> {
    match m.round() {
        None | Some(Round::NearestEven) => Ok(()),
        Some(_) => m.unknown(),
    }
}

pub fn add_sub(cx: &mut Decoder, m: &mut Mods, o: Ops) -> Decoded<Op> {
    let sub = m.name == "sub";
    match m.last()? {
        "s16" | "u16" => bin16(cx, if sub { Bin32::SubH } else { Bin32::AddH }, o),
        "s32" | "u32" => bin32(cx, if sub { Bin32::Sub } else { Bin32::Add }, o),
        "s64" | "u64" => bin64(cx, if sub { Bin64::Sub } else { Bin64::Add }, o),
        "f32" if sub => {
            let [d, a, b] = cx.exactly(o)?;
            let (flush, saturate) = (m.take("ftz"), m.take("sat"));
            let round = m.round().unwrap_or(Round::NearestEven);
            let (d, a, b) = (cx.dst_r(d)?, cx.r(a)?, cx.r(b)?);
            if round == Round::NearestAway {
                return m.unknown();
            }
            if round == Round::NearestEven && !flush && !saturate {
                return Ok(Op::Alu(Alu::Bin32(Bin32::FSub, d, a, b)));
            }
            let negated = cx.names.temp_r();
            cx.prologue.push(Op::Alu(Alu::Un32(Un32::FNeg, negated, b)));
            Ok(Op::Alu(Alu::Ieee { op: Ieee::Add, round, flush, saturate, d, a, b: negated, c: a }))
        }
        "f32" => ieee(cx, Ieee::Add, m, o, Some(Round::NearestEven)),
        "f64" => {
            only_nearest(m)?;
            bin64(cx, if sub { Bin64::FSub } else { Bin64::FAdd }, o)
        }
        ty => half::binary(cx, m, ty, if sub { HalfOp::Sub } else { HalfOp::Add }, o),
    }
}

pub fn mul(cx: &mut Decoder, m: &mut Mods, o: Ops) -> Decoded<Op> {
    let ty = m.last()?;
    match ty {
        "f32" => return ieee(cx, Ieee::Mul, m, o, Some(Round::NearestEven)),
        "f64" => {
            only_nearest(m)?;
            return bin64(cx, Bin64::FMul, o);
        }
        "f16" | "f16x2" | "bf16" | "bf16x2" => return half::binary(cx, m, ty, HalfOp::Mul, o),
        _ => {}
    }
    let signed = ty.starts_with('s');
    match (m.first()?, ty) {
        ("lo", "s16" | "u16") => bin16(cx, Bin32::MulLoH, o),
        ("hi", "s16" | "u16") => bin16(cx, if signed { Bin32::MulHiSH } else { Bin32::MulHiUH }, o),
        ("wide", "s16" | "u16") => {
            bin16(cx, if signed { Bin32::MulWideSH } else { Bin32::MulWideUH }, o)
        }
        ("lo", "s32" | "u32") => bin32(cx, Bin32::MulLo, o),
        ("hi", "s32" | "u32") => bin32(cx, if signed { Bin32::MulHiS } else { Bin32::MulHiU }, o),
        ("wide", "s32" | "u32") => {
            let [d, a, b] = cx.exactly(o)?;
            Ok(Op::Alu(Alu::MulWide { signed, d: cx.dst_d(d)?, a: cx.r(a)?, b: cx.r(b)? }))
        }
        ("lo", "s64" | "u64") => bin64(cx, Bin64::MulLo, o),
        ("hi", "s64" | "u64") => bin64(cx, if signed { Bin64::MulHiS } else { Bin64::MulHiU }, o),
        _ => m.unknown(),
    }
}

pub fn mad(cx: &mut Decoder, m: &mut Mods, o: Ops) -> Decoded<Op> {
    let ty = m.last()?;
    if ty == "f32" {
        return ieee(cx, Ieee::Fma, m, o, None);
    }
    let signed = ty.starts_with('s');
    let part = m.first()?;
    let [d, a, b, c] = cx.exactly(o)?;
    let op = match (part, ty) {
        ("lo", "s16" | "u16") => {
            Alu::Tern32(Tern32::MadLoH, cx.dst_r(d)?, cx.h(a)?, cx.h(b)?, cx.h(c)?)
        }
        ("lo", "s32" | "u32") => {
            Alu::Tern32(Tern32::MadLo, cx.dst_r(d)?, cx.r(a)?, cx.r(b)?, cx.r(c)?)
        }
        ("hi", "s32" | "u32") => {
            let op = if signed { Tern32::MadHiS } else { Tern32::MadHiU };
            Alu::Tern32(op, cx.dst_r(d)?, cx.r(a)?, cx.r(b)?, cx.r(c)?)
        }
        ("wide", "s32" | "u32") => {
            Alu::MadWide { signed, d: cx.dst_d(d)?, a: cx.r(a)?, b: cx.r(b)?, c: cx.d(c)? }
        }
        ("lo", "s64" | "u64") => Alu::MadLo64(cx.dst_d(d)?, cx.d(a)?, cx.d(b)?, cx.d(c)?),
        _ => return m.unknown(),
    };
    Ok(Op::Alu(op))
}

pub fn fma(cx: &mut Decoder, m: &mut Mods, o: Ops) -> Decoded<Op> {
    match m.last()? {
        "f32" => ieee(cx, Ieee::Fma, m, o, None),
        "f64" => {
            only_nearest(m)?;
            let [d, a, b, c] = cx.exactly(o)?;
            Ok(Op::Alu(Alu::Fma64(cx.dst_d(d)?, cx.d(a)?, cx.d(b)?, cx.d(c)?)))
        }
        ty => {
            let op = if m.take("relu") { HalfOp::FmaRelu } else { HalfOp::Fma };
            half::ternary(cx, m, ty, op, o)
        }
    }
}

pub fn div(cx: &mut Decoder, m: &mut Mods, o: Ops) -> Decoded<Op> {
    let remainder = m.name == "rem";
    let ty = m.last()?;
    match ty {
        "f32" if !remainder => {
            if m.take("full") || m.take("approx") {
                let flush = m.take("ftz");
                let [d, a, b] = cx.exactly(o)?;
                return Ok(Op::Alu(Alu::ApproxDiv {
                    flush,
                    d: cx.dst_r(d)?,
                    a: cx.r(a)?,
                    b: cx.r(b)?,
                }));
            }
            ieee(cx, Ieee::Div, m, o, None)
        }
        "f64" if !remainder => {
            only_nearest(m)?;
            bin64(cx, Bin64::FDiv, o)
        }
        "s16" | "u16" | "s32" | "u32" => {
            let [d, a, b] = cx.exactly(o)?;
            let bits = if ty.ends_with("16") { 16 } else { 32 };
            let division = Division { signed: ty.starts_with('s'), remainder, bits };
            if bits == 16 {
                return Ok(Op::Divide32(division, cx.dst_r(d)?, cx.h(a)?, cx.h(b)?));
            }
            Ok(Op::Divide32(division, cx.dst_r(d)?, cx.r(a)?, cx.r(b)?))
        }
        "s64" | "u64" => {
            let [d, a, b] = cx.exactly(o)?;
            let division = Division { signed: ty.starts_with('s'), remainder, bits: 64 };
            Ok(Op::Divide64(division, cx.dst_d(d)?, cx.d(a)?, cx.d(b)?))
        }
        _ => m.unknown(),
    }
}

pub fn rcp_sqrt(cx: &mut Decoder, m: &mut Mods, o: Ops) -> Decoded<Op> {
    let reciprocal = m.name == "rcp";
    if m.take("approx") {
        return approx(cx, m, o);
    }
    match m.last()? {
        "f32" => ieee(cx, if reciprocal { Ieee::Rcp } else { Ieee::Sqrt }, m, o, None),
        "f64" => {
            only_nearest(m)?;
            un64(cx, if reciprocal { Un64::FRcp } else { Un64::FSqrt }, o)
        }
        _ => m.unknown(),
    }
}

pub fn approx(cx: &mut Decoder, m: &mut Mods, o: Ops) -> Decoded<Op> {
    let op = match m.name {
        "ex2" => Approx::Ex2,
        "lg2" => Approx::Lg2,
        "rcp" => Approx::Rcp,
        "sqrt" => Approx::Sqrt,
        "rsqrt" => Approx::Rsqrt,
        "sin" => Approx::Sin,
        "cos" => Approx::Cos,
        _ => Approx::Tanh,
    };
    m.take("approx");
    let flush = m.take("ftz");
    let [d, a] = cx.exactly(o)?;
    let (d, a) = (cx.dst_r(d)?, cx.r(a)?);
    match m.last()? {
        "f32" => Ok(Op::Alu(Alu::Approx { op, flush, d, a })),
        // Subnormal f16 results are kept; ex2 of bf16 always flushes.
        "f16" | "f16x2" if flush => m.unknown(),
        ty if matches!(op, Approx::Ex2 | Approx::Tanh) => match half::half_type(ty, flush) {
            Some(ty) => Ok(Op::Alu(Alu::ApproxHalf { op, ty, d, a })),
            None => m.unknown(),
        },
        _ => m.unknown(),
    }
}

fn pick<T>(second: bool, a: T, b: T) -> T {
    if second { b } else { a }
}

pub fn min_max(cx: &mut Decoder, m: &mut Mods, o: Ops) -> Decoded<Op> {
    let max = m.name == "max";
    match m.last()? {
        "s16" => bin16(cx, pick(max, Bin32::MinSH, Bin32::MaxSH), o),
        "u16" => bin16(cx, pick(max, Bin32::MinUH, Bin32::MaxUH), o),
        "s32" => bin32(cx, pick(max, Bin32::MinS, Bin32::MaxS), o),
        "u32" => bin32(cx, pick(max, Bin32::MinU, Bin32::MaxU), o),
        "s64" => bin64(cx, pick(max, Bin64::MinS, Bin64::MaxS), o),
        "u64" => bin64(cx, pick(max, Bin64::MinU, Bin64::MaxU), o),
        "f64" => bin64(cx, pick(max, Bin64::FMin, Bin64::FMax), o),
        "f32" => {
            let [d, a, b] = cx.exactly(o)?;
            let flush = m.take("ftz");
            let op = if m.take("NaN") {
                pick(max, Bin32::FMinNan, Bin32::FMaxNan)
            } else {
                pick(max, Bin32::FMin, Bin32::FMax)
            };
            let (mut a, mut b) = (cx.r(a)?, cx.r(b)?);
            if flush {
                (a, b) = (flushed(cx, a), flushed(cx, b));
            }
            Ok(Op::Alu(Alu::Bin32(op, cx.dst_r(d)?, a, b)))
        }
        ty => {
            let op = if m.take("NaN") {
                pick(max, HalfOp::MinNan, HalfOp::MaxNan)
            } else {
                pick(max, HalfOp::Min, HalfOp::Max)
            };
            half::binary(cx, m, ty, op, o)
        }
    }
}

/// A temporary holding `a` with subnormals flushed.
pub fn flushed(cx: &mut Decoder, a: R) -> R {
    let t = cx.names.temp_r();
    cx.prologue.push(Op::Alu(Alu::Un32(Un32::Ftz, t, a)));
    t
}

pub fn unary(cx: &mut Decoder, m: &mut Mods, o: Ops) -> Decoded<Op> {
    let ty = m.last()?;
    match (m.name, ty) {
        ("neg", "s16") => un32(cx, Un32::NegH, o),
        ("neg", "s32") => un32(cx, Un32::Neg, o),
        ("neg", "s64") => un64(cx, Un64::Neg, o),
        ("neg", "f64") => un64(cx, Un64::FNeg, o),
        ("neg", "f16" | "bf16") => un32(cx, Un32::HNeg, o),
        ("neg", "f16x2" | "bf16x2") => un32(cx, Un32::H2Neg, o),
        ("abs", "s16") => un32(cx, Un32::AbsH, o),
        ("abs", "s32") => un32(cx, Un32::Abs, o),
        ("abs", "s64") => un64(cx, Un64::Abs, o),
        ("abs", "f64") => un64(cx, Un64::FAbs, o),
        ("abs", "f16" | "bf16") => un32(cx, Un32::HAbs, o),
        ("abs", "f16x2" | "bf16x2") => un32(cx, Un32::H2Abs, o),
        ("neg" | "abs", "f32") => {
            let op = if m.name == "neg" { Un32::FNeg } else { Un32::FAbs };
            let [d, a] = cx.exactly(o)?;
            let mut a = cx.r(a)?;
            if m.take("ftz") {
                a = flushed(cx, a);
            }
            Ok(Op::Alu(Alu::Un32(op, cx.dst_r(d)?, a)))
        }
        ("brev", "b32") => un32(cx, Un32::Brev, o),
        ("brev", "b64") => un64(cx, Un64::Brev, o),
        _ => m.unknown(),
    }
}

pub fn bitwise(cx: &mut Decoder, m: &mut Mods, o: Ops) -> Decoded<Op> {
    let ty = m.last()?;
    if m.name == "not" {
        return match ty {
            "pred" => {
                let [d, a] = cx.exactly(o)?;
                Ok(Op::Alu(Alu::PredNot(cx.dst_p(d)?, cx.p(a)?)))
            }
            "b16" => un32(cx, Un32::NotH, o),
            "b32" => un32(cx, Un32::Not, o),
            "b64" => un64(cx, Un64::Not, o),
            _ => m.unknown(),
        };
    }
    let (logic, narrow, wide) = match m.name {
        "and" => (Logic::And, Bin32::And, Bin64::And),
        "or" => (Logic::Or, Bin32::Or, Bin64::Or),
        _ => (Logic::Xor, Bin32::Xor, Bin64::Xor),
    };
    match ty {
        "pred" => {
            let [d, a, b] = cx.exactly(o)?;
            Ok(Op::Alu(Alu::Logic(logic, cx.dst_p(d)?, cx.p(a)?, cx.p(b)?)))
        }
        "b16" => bin16(cx, if narrow == Bin32::Xor { Bin32::XorH } else { narrow }, o),
        "b32" => bin32(cx, narrow, o),
        "b64" => bin64(cx, wide, o),
        _ => m.unknown(),
    }
}

pub fn shift(cx: &mut Decoder, m: &mut Mods, o: Ops) -> Decoded<Op> {
    let left = m.name == "shl";
    let ty = m.last()?;
    let [d, a, b] = cx.exactly(o)?;
    let signed = ty.starts_with('s');
    let pick = |l, u, s| {
        if left {
            l
        } else if signed {
            s
        } else {
            u
        }
    };
    Ok(Op::Alu(match ty {
        "b16" | "u16" | "s16" => {
            let op = pick(Bin32::ShlH, Bin32::ShrUH, Bin32::ShrSH);
            Alu::Bin32(op, cx.dst_r(d)?, cx.h(a)?, cx.r(b)?)
        }
        "b32" | "u32" | "s32" => {
            Alu::Bin32(pick(Bin32::Shl, Bin32::ShrU, Bin32::ShrS), cx.dst_r(d)?, cx.r(a)?, cx.r(b)?)
        }
        "b64" | "u64" | "s64" => {
            let op = if left {
                Shift64::Left
            } else if signed {
                Shift64::RightS
            } else {
                Shift64::RightU
            };
            Alu::Shift64(op, cx.dst_d(d)?, cx.d(a)?, cx.r(b)?)
        }
        _ => return m.unknown(),
    }))
}

pub fn shf(cx: &mut Decoder, m: &mut Mods, o: Ops) -> Decoded<Op> {
    let op = match (m.first()?, m.first()?, m.last()?) {
        ("l", "wrap", "b32") => Tern32::ShfLWrap,
        ("l", "clamp", "b32") => Tern32::ShfLClamp,
        ("r", "wrap", "b32") => Tern32::ShfRWrap,
        ("r", "clamp", "b32") => Tern32::ShfRClamp,
        _ => return m.unknown(),
    };
    let [d, a, b, c] = cx.exactly(o)?;
    Ok(Op::Alu(Alu::Tern32(op, cx.dst_r(d)?, cx.r(a)?, cx.r(b)?, cx.r(c)?)))
}

pub fn bfe(cx: &mut Decoder, m: &mut Mods, o: Ops) -> Decoded<Op> {
    let [d, a, b, c] = cx.exactly(o)?;
    let ty = m.last()?;
    let signed = ty.starts_with('s');
    Ok(Op::Alu(match ty {
        "u32" | "s32" => {
            let op = if signed { Tern32::BfeS } else { Tern32::BfeU };
            Alu::Tern32(op, cx.dst_r(d)?, cx.r(a)?, cx.r(b)?, cx.r(c)?)
        }
        "u64" | "s64" => {
            Alu::Bfe64 { signed, d: cx.dst_d(d)?, a: cx.d(a)?, pos: cx.r(b)?, len: cx.r(c)? }
        }
        _ => return m.unknown(),
    }))
}

pub fn bfi(cx: &mut Decoder, m: &mut Mods, o: Ops) -> Decoded<Op> {
    let [d, a, b, c, e] = cx.exactly(o)?;
    Ok(Op::Alu(match m.last()? {
        "b32" => Alu::Bfi32(cx.dst_r(d)?, cx.r(a)?, cx.r(b)?, cx.r(c)?, cx.r(e)?),
        "b64" => Alu::Bfi64(cx.dst_d(d)?, cx.d(a)?, cx.d(b)?, cx.r(c)?, cx.r(e)?),
        _ => return m.unknown(),
    }))
}

pub fn count_bits(cx: &mut Decoder, m: &mut Mods, o: Ops) -> Decoded<Op> {
    let popc = m.name == "popc";
    match m.last()? {
        "b32" => un32(cx, if popc { Un32::Popc } else { Un32::Clz }, o),
        "b64" => {
            let [d, a] = cx.exactly(o)?;
            let (d, a) = (cx.dst_r(d)?, cx.d(a)?);
            Ok(Op::Alu(if popc { Alu::Popc64(d, a) } else { Alu::Clz64(d, a) }))
        }
        _ => m.unknown(),
    }
}

pub fn lop3(cx: &mut Decoder, m: &mut Mods, o: Ops) -> Decoded<Op> {
    let [d, a, b, c, lut] = cx.exactly(o)?;
    let Operand::Int(table @ 0..=255) = lut else {
        return cx.error("the last operand of lop3 is a constant from 0 to 255");
    };
    if m.last()? != "b32" {
        return m.unknown();
    }
    Ok(Op::Alu(Alu::Lop3(cx.dst_r(d)?, cx.r(a)?, cx.r(b)?, cx.r(c)?, *table as u8)))
}

pub fn prmt(cx: &mut Decoder, m: &mut Mods, o: Ops) -> Decoded<Op> {
    let [d, a, b, c] = cx.exactly(o)?;
    if m.last()? != "b32" {
        return m.unknown();
    }
    Ok(Op::Alu(Alu::Tern32(Tern32::Prmt, cx.dst_r(d)?, cx.r(a)?, cx.r(b)?, cx.r(c)?)))
}

pub fn sad(cx: &mut Decoder, m: &mut Mods, o: Ops) -> Decoded<Op> {
    let [d, a, b, c] = cx.exactly(o)?;
    let op = match m.last()? {
        "s32" => Tern32::SadS,
        "u32" => Tern32::SadU,
        _ => return m.unknown(),
    };
    Ok(Op::Alu(Alu::Tern32(op, cx.dst_r(d)?, cx.r(a)?, cx.r(b)?, cx.r(c)?)))
}

pub fn copysign(cx: &mut Decoder, m: &mut Mods, o: Ops) -> Decoded<Op> {
    match m.last().map(scalar)? {
        Some(Scalar::F32) => bin32(cx, Bin32::CopySign, o),
        Some(Scalar::F64) => bin64(cx, Bin64::CopySign, o),
        _ => m.unknown(),
    }
}
