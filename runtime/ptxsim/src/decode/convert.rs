//! Moves, selections and conversions (PTX ISA 9.7.6, 9.7.9).

use super::mods::{Mods, scalar};
use super::{Decoded, Decoder};
use crate::float::Round;
use crate::program::*;
use crate::syntax::ast::Operand;

const SPECIALS: &[(&str, Special)] = &[
    ("%tid.x", Special::Tid(0)),
    ("%tid.y", Special::Tid(1)),
    ("%tid.z", Special::Tid(2)),
    ("%ntid.x", Special::Ntid(0)),
    ("%ntid.y", Special::Ntid(1)),
    ("%ntid.z", Special::Ntid(2)),
    ("%ctaid.x", Special::Ctaid(0)),
    ("%ctaid.y", Special::Ctaid(1)),
    ("%ctaid.z", Special::Ctaid(2)),
    ("%nctaid.x", Special::Nctaid(0)),
    ("%nctaid.y", Special::Nctaid(1)),
    ("%nctaid.z", Special::Nctaid(2)),
    ("%laneid", Special::Laneid),
    ("%warpid", Special::Warpid),
    ("%nwarpid", Special::Nwarpid),
    ("%smid", Special::Smid),
    ("%lanemask_eq", Special::LanemaskEq),
    ("%lanemask_lt", Special::LanemaskLt),
    ("%lanemask_le", Special::LanemaskLe),
    ("%lanemask_gt", Special::LanemaskGt),
    ("%lanemask_ge", Special::LanemaskGe),
    ("%dynamic_smem_size", Special::DynamicSharedBytes),
    ("%total_smem_size", Special::TotalSharedBytes),
];

pub fn mov(cx: &mut Decoder, m: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    let [d, a] = cx.exactly(o)?;
    let ty = m.last()?;
    if let Operand::Name(name) = a
        && let Some((_, special)) = SPECIALS.iter().find(|(n, _)| n == name)
    {
        let d = match (ty, cx.dst(d)?) {
            ("u32" | "b32", Reg::R(d)) => d,
            _ => return cx.error(format!("`{name}` is a 32-bit value")),
        };
        return Ok(Op::Alu(Alu::Special(d, *special)));
    }
    Ok(Op::Alu(match ty {
        "pred" => Alu::PredMov(cx.dst_p(d)?, cx.p(a)?),
        "b16" | "u16" | "s16" | "f16" | "bf16" | "b8" | "u8" | "s8" => {
            Alu::Un32(Un32::Mov, cx.dst_r(d)?, cx.h(a)?)
        }
        "b32" | "u32" | "s32" | "f32" => match (d, a) {
            (Operand::Vector(_), _) => {
                let parts = cx.elements(d, 2)?;
                Alu::Split32(optional(cx, &parts[0])?, optional(cx, &parts[1])?, cx.r(a)?)
            }
            (_, Operand::Vector(_)) => {
                let parts = cx.elements(a, 2)?;
                Alu::Join32(cx.dst_r(d)?, cx.h(&parts[0])?, cx.h(&parts[1])?)
            }
            _ => Alu::Un32(Un32::Mov, cx.dst_r(d)?, cx.r(a)?),
        },
        "b64" | "u64" | "s64" | "f64" => match (d, a) {
            (Operand::Vector(v), _) if v.len() == 4 => {
                let mut parts = [None; 4];
                for (slot, e) in parts.iter_mut().zip(v) {
                    *slot = optional(cx, e)?;
                }
                Alu::Split64x4(parts, cx.d(a)?)
            }
            (Operand::Vector(_), _) => {
                let parts = cx.elements(d, 2)?;
                Alu::Split64(optional(cx, &parts[0])?, optional(cx, &parts[1])?, cx.d(a)?)
            }
            (_, Operand::Vector(v)) if v.len() == 4 => Alu::Join64x4(
                cx.dst_d(d)?,
                [cx.h(&v[0])?, cx.h(&v[1])?, cx.h(&v[2])?, cx.h(&v[3])?],
            ),
            (_, Operand::Vector(_)) => {
                let parts = cx.elements(a, 2)?;
                Alu::Join64(cx.dst_d(d)?, cx.r(&parts[0])?, cx.r(&parts[1])?)
            }
            _ => Alu::Un64(Un64::Mov, cx.dst_d(d)?, cx.d(a)?),
        },
        _ => return m.unknown(),
    }))
}

/// A destination, or nothing for the sink `_`.
fn optional(cx: &mut Decoder, operand: &Operand) -> Decoded<Option<R>> {
    match cx.dst(operand)? {
        Reg::R(r) => Ok(Some(r)),
        Reg::Sink => Ok(None),
        Reg::D(_) | Reg::P(_) => cx.error("a part of a wider register goes to a narrower one"),
    }
}

pub fn selp(cx: &mut Decoder, m: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    let [d, a, b, p] = cx.exactly(o)?;
    Ok(Op::Alu(match scalar(m.last()?) {
        Some(Scalar::U16 | Scalar::S16) => Alu::Sel32(cx.dst_r(d)?, cx.h(a)?, cx.h(b)?, cx.p(p)?),
        Some(Scalar::U32 | Scalar::S32 | Scalar::F32) => {
            Alu::Sel32(cx.dst_r(d)?, cx.r(a)?, cx.r(b)?, cx.p(p)?)
        }
        Some(Scalar::U64 | Scalar::S64 | Scalar::F64) => {
            Alu::Sel64(cx.dst_d(d)?, cx.d(a)?, cx.d(b)?, cx.p(p)?)
        }
        Some(Scalar::U8 | Scalar::S8 | Scalar::F16 | Scalar::Bf16) | None => return m.unknown(),
    }))
}

pub fn slct(cx: &mut Decoder, m: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    let [d, a, b, c] = cx.exactly(o)?;
    let float = match m.last()? {
        "f32" => true,
        "s32" => false,
        _ => return m.unknown(),
    };
    let c = cx.r(c)?;
    Ok(Op::Alu(match scalar(m.last()?) {
        Some(Scalar::U32 | Scalar::S32 | Scalar::F32) => {
            Alu::Slct32 { d: cx.dst_r(d)?, a: cx.r(a)?, b: cx.r(b)?, c, float }
        }
        Some(Scalar::U64 | Scalar::S64 | Scalar::F64) => {
            Alu::Slct64 { d: cx.dst_d(d)?, a: cx.d(a)?, b: cx.d(b)?, c, float }
        }
        _ => return m.unknown(),
    }))
}

pub fn cvt(cx: &mut Decoder, m: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    let from = m.last()?;
    let to = m.last()?;
    if let ("f16x2" | "bf16x2", "f32") = (to, from) {
        return pack(cx, m, to == "bf16x2", o);
    }
    let [d, a] = cx.exactly(o)?;
    if (to, from) == ("tf32", "f32") {
        let round = match m.round() {
            Some(round @ (Round::NearestAway | Round::NearestEven | Round::Zero)) => round,
            _ => return m.unknown(),
        };
        return Ok(Op::Alu(Alu::ToTf32 { round, d: cx.dst_r(d)?, a: cx.r(a)? }));
    }
    let (Some(to), Some(from)) = (scalar(to), scalar(from)) else {
        return m.unknown();
    };
    let integral = m.choose(&[
        ("rni", Round::NearestEven),
        ("rzi", Round::Zero),
        ("rmi", Round::Down),
        ("rpi", Round::Up),
    ]);
    let explicit = m.round();
    let (flush, saturate) = (m.take("ftz"), m.take("sat"));
    // Narrowing to a float needs a float rounding mode, to an integer an integer one; others are exact and take none.
    let widening = from.is_float() && to.is_float() && to.bits() > from.bits();
    let legal = match (from.is_float(), to.is_float()) {
        (_, false) if from.is_float() => integral.is_some() && explicit.is_none(),
        (false, false) => integral.is_none() && explicit.is_none(),
        (false, true) => explicit.is_some() && integral.is_none(),
        (true, true) if widening => explicit.is_none() && integral.is_none(),
        (true, true) if to == from => explicit.is_none(),
        (true, true) => explicit.is_some() && integral.is_none(),
        (true, false) => false,
    };
    if !legal || explicit == Some(Round::NearestAway) {
        return m.unknown();
    }
    let round = integral.or(explicit).unwrap_or(Round::NearestEven);
    // Sixty-four bits to f64 in a directed mode would need more than round-to-odd in f64 can give.
    if to == Scalar::F64 && from.bits() == 64 && !from.is_float() && round != Round::NearestEven {
        return m.unknown();
    }
    let (dst, dst_bits) = cx.dst_bits(d)?;
    let to_integral = integral.is_some();
    let conversion = Conversion { to, from, round, to_integral, saturate, flush, dst_bits };
    let src = cx.source(a, if from.bits() == 8 { 32 } else { from.bits() }).or_else(|e| {
        // An 8- or 16-bit source may live in any wider register.
        if from.bits() < 64 { cx.d(a).map(Reg::D) } else { Err(e) }
    })?;
    Ok(Op::Alu(fast_conversion(conversion, dst, src).unwrap_or(Alu::Convert(conversion, dst, src))))
}

/// Conversions common enough to have a vector loop.
fn fast_conversion(c: Conversion, dst: Reg, src: Reg) -> Option<Alu> {
    if c.saturate || c.flush {
        return None;
    }
    use Scalar::*;
    let nearest = c.round == Round::NearestEven;
    Some(match (c.to, c.from, dst, src) {
        (U64 | S64, U32 | S32, Reg::D(d), Reg::R(a)) => Alu::Extend { signed: c.from == S32, d, a },
        (U32 | S32, U64 | S64, Reg::R(d), Reg::D(a)) => Alu::Truncate(d, a),
        (U32 | S32, U16, Reg::R(d), Reg::R(a)) => Alu::Un32(Un32::ZeroExtend16, d, a),
        (U32 | S32, U8, Reg::R(d), Reg::R(a)) => Alu::Un32(Un32::ZeroExtend8, d, a),
        (U32 | S32, S16, Reg::R(d), Reg::R(a)) => Alu::Un32(Un32::SignExtend16, d, a),
        (U32 | S32, S8, Reg::R(d), Reg::R(a)) => Alu::Un32(Un32::SignExtend8, d, a),
        (U16, U32 | S32, Reg::R(d), Reg::R(a)) if c.dst_bits == 16 => {
            Alu::Un32(Un32::ZeroExtend16, d, a)
        }
        (F32, F16, Reg::R(d), Reg::R(a)) => Alu::Un32(Un32::F16ToF32, d, a),
        (F32, Bf16, Reg::R(d), Reg::R(a)) => Alu::Un32(Un32::Bf16ToF32, d, a),
        (F16, F32, Reg::R(d), Reg::R(a)) if nearest => Alu::Un32(Un32::F32ToF16, d, a),
        (Bf16, F32, Reg::R(d), Reg::R(a)) if nearest => Alu::Un32(Un32::F32ToBf16, d, a),
        (F32, S32, Reg::R(d), Reg::R(a)) if nearest => Alu::Un32(Un32::S32ToF32, d, a),
        (F32, U32, Reg::R(d), Reg::R(a)) if nearest => Alu::Un32(Un32::U32ToF32, d, a),
        _ => return None,
    })
}

/// `cvt.rn.f16x2.f32 d, a, b`: `a` becomes the high half.
fn pack(cx: &mut Decoder, m: &mut Mods, brain: bool, o: &[Operand]) -> Decoded<Op> {
    let round = match m.round() {
        Some(round @ (Round::NearestEven | Round::Zero)) => round,
        _ => return m.unknown(),
    };
    let relu = m.take("relu");
    let [d, hi, lo] = cx.exactly(o)?;
    Ok(Op::Alu(Alu::PackHalf { brain, round, relu, d: cx.dst_r(d)?, hi: cx.r(hi)?, lo: cx.r(lo)? }))
}
