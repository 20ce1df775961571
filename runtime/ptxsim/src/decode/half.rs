//! Half precision, comparisons and classification.

use super::mods::{Mods, scalar};
use super::{Decoded, Decoder};
use crate::float::Round;
use crate::program::*;
use crate::syntax::ast::Operand;

pub fn half_type(ty: &str, flush: bool) -> Option<HalfType> {
    let (brain, packed) = match ty {
        "f16" => (false, false),
        "f16x2" => (false, true),
        "bf16" => (true, false),
        "bf16x2" => (true, true),
        _ => return None,
    };
    Some(HalfType { brain, packed, flush })
}

fn checked_type(m: &mut Mods, ty: &str) -> Decoded<HalfType> {
    if !matches!(m.round(), None | Some(Round::NearestEven)) {
        return m.unknown();
    }
    let flush = m.take("ftz");
    match half_type(ty, flush) {
        Some(ty) => Ok(ty),
        None => m.unknown(),
    }
}

pub fn binary(cx: &mut Decoder, m: &mut Mods, ty: &str, op: HalfOp, o: &[Operand]) -> Decoded<Op> {
    let ty = checked_type(m, ty)?;
    let [d, a, b] = cx.exactly(o)?;
    let (d, a, b) = (cx.dst_r(d)?, cx.r(a)?, cx.r(b)?);
    Ok(Op::Alu(Alu::Half { op, ty, d, a, b, c: a }))
}

pub fn ternary(cx: &mut Decoder, m: &mut Mods, ty: &str, op: HalfOp, o: &[Operand]) -> Decoded<Op> {
    let ty = checked_type(m, ty)?;
    let [d, a, b, c] = cx.exactly(o)?;
    Ok(Op::Alu(Alu::Half { op, ty, d: cx.dst_r(d)?, a: cx.r(a)?, b: cx.r(b)?, c: cx.r(c)? }))
}

const RELATIONS: &[(&str, Relation)] = &[
    ("eq", Relation::Eq),
    ("ne", Relation::Ne),
    ("lt", Relation::Lt),
    ("le", Relation::Le),
    ("gt", Relation::Gt),
    ("ge", Relation::Ge),
    ("lo", Relation::Lt),
    ("ls", Relation::Le),
    ("hi", Relation::Gt),
    ("hs", Relation::Ge),
    ("equ", Relation::Equ),
    ("neu", Relation::Neu),
    ("ltu", Relation::Ltu),
    ("leu", Relation::Leu),
    ("gtu", Relation::Gtu),
    ("geu", Relation::Geu),
    ("num", Relation::Num),
    ("nan", Relation::Nan),
];

/// `setp.rel{.logic}{.ftz}.type p{|q}, a, b{, c}`: `p = rel(a,b) logic c`, `q = !rel(a,b) logic c`.
pub fn setp(cx: &mut Decoder, m: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    let name = m.last()?;
    let Some(ty) = scalar(name) else {
        return m.unknown();
    };
    // Untyped bits are equal or not; lo, ls, hi and hs are the unsigned order.
    let unsigned_only = m.has(&["lo", "ls", "hi", "hs"]);
    if name.starts_with('b') && ty != Scalar::Bf16 && !m.has(&["eq", "ne"])
        || unsigned_only && !name.starts_with('u')
    {
        return m.unknown();
    }
    let Some(rel) = m.choose(RELATIONS) else {
        return m.unknown();
    };
    let ordered_only = matches!(
        rel,
        Relation::Eq | Relation::Ne | Relation::Lt | Relation::Le | Relation::Gt | Relation::Ge
    );
    if !ty.is_float() && !ordered_only {
        return m.unknown();
    }
    let logic = m.choose(&[("and", Logic::And), ("or", Logic::Or), ("xor", Logic::Xor)]);
    let flush = m.take("ftz");
    let wanted = 3 + logic.is_some() as usize;
    if o.len() != wanted {
        return cx.error(format!("this opcode has {wanted} operands, here are {}", o.len()));
    }
    let (a, b) = (cx.source(&o[1], ty.bits())?, cx.source(&o[2], ty.bits())?);
    let (p, q) = match &o[0] {
        Operand::Pair(p, q) => (cx.dst_p(p)?, Some(cx.dst_p(q)?)),
        one => (cx.dst_p(one)?, None),
    };
    let compare = |d: P| match (ty, a, b) {
        (Scalar::S32 | Scalar::U32, Reg::R(a), Reg::R(b)) => {
            Alu::SetpI32 { signed: ty == Scalar::S32, rel, d, a, b }
        }
        (Scalar::F32, Reg::R(a), Reg::R(b)) if !flush => Alu::SetpF32 { rel, d, a, b },
        _ => Alu::Setp { ty, flush, rel, d, a, b },
    };
    let Some(logic) = logic else {
        let Some(q) = q else {
            return Ok(Op::Alu(compare(p)));
        };
        let t = cx.names.temp_p();
        cx.prologue.push(Op::Alu(compare(t)));
        cx.epilogue.push(Op::Alu(Alu::PredNot(q, t)));
        return Ok(Op::Alu(Alu::PredMov(p, t)));
    };
    let c = cx.p(&o[3])?;
    let t = cx.names.temp_p();
    cx.prologue.push(Op::Alu(compare(t)));
    if let Some(q) = q {
        let (not, both) = (cx.names.temp_p(), cx.names.temp_p());
        cx.prologue.push(Op::Alu(Alu::PredNot(not, t)));
        cx.prologue.push(Op::Alu(Alu::Logic(logic, both, not, c)));
        cx.epilogue.push(Op::Alu(Alu::PredMov(q, both)));
    }
    Ok(Op::Alu(Alu::Logic(logic, p, t, c)))
}

pub fn testp(cx: &mut Decoder, m: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    let class = m.choose(&[
        ("finite", Class::Finite),
        ("infinite", Class::Infinite),
        ("number", Class::Number),
        ("notanumber", Class::NotANumber),
        ("normal", Class::Normal),
        ("subnormal", Class::Subnormal),
    ]);
    let Some(class) = class else {
        return m.unknown();
    };
    if m.last()? != "f32" {
        return m.unknown();
    }
    let [d, a] = cx.exactly(o)?;
    Ok(Op::Alu(Alu::Testp { class, d: cx.dst_p(d)?, a: cx.r(a)? }))
}
