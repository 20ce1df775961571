//! Warp-wide and CTA-wide operations (PTX ISA 9.7.13, 9.7.14, 9.7.15).

use super::mods::Mods;
use super::{Decoded, Decoder};
use crate::program::*;
use crate::syntax::ast::{Operand, Space};

pub fn bar(cx: &mut Decoder, m: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    m.drop_all(&["cta", "aligned"]);
    if m.take("warp") {
        m.take("sync");
        let [members] = cx.exactly(o)?;
        return Ok(Op::BarWarp(cx.r(members)?));
    }
    if m.take("red") {
        return bar_red(cx, m, o);
    }
    let arrive_only = m.take("arrive");
    if !arrive_only && !m.take("sync") {
        return m.unknown();
    }
    let (id, count) = match o {
        [id] if !arrive_only => (cx.r(id)?, None),
        [id, count] => (cx.r(id)?, Some(cx.r(count)?)),
        _ => return cx.error("a barrier has a number and perhaps a thread count"),
    };
    Ok(Op::Barrier(Box::new(Barrier { id, count, arrive_only, red: None })))
}

fn bar_red(cx: &mut Decoder, m: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    let kind = m.choose(&[("popc", 0), ("and", 1), ("or", 2)]);
    let ty = m.last()?;
    let (dst, id, count, p) = match o {
        [d, id, p] => (d, id, None, p),
        [d, id, n, p] => (d, id, Some(n), p),
        _ => {
            return cx
                .error("bar.red has a result, a number, perhaps a thread count, and a predicate");
        }
    };
    let red = match (kind, ty) {
        (Some(0), "u32") => BarRed::Popc(cx.dst_r(dst)?),
        (Some(1), "pred") => BarRed::And(cx.dst_p(dst)?),
        (Some(2), "pred") => BarRed::Or(cx.dst_p(dst)?),
        _ => return m.unknown(),
    };
    let id = cx.r(id)?;
    let count = count.map(|n| cx.r(n)).transpose()?;
    let p = cx.p(p)?;
    Ok(Op::Barrier(Box::new(Barrier { id, count, arrive_only: false, red: Some((red, p)) })))
}

pub fn shfl(cx: &mut Decoder, m: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    let mode = m.choose(&[
        ("up", ShflMode::Up),
        ("down", ShflMode::Down),
        ("bfly", ShflMode::Bfly),
        ("idx", ShflMode::Idx),
    ]);
    let Some(mode) = mode else {
        return m.unknown();
    };
    if !m.take("sync") || m.last()? != "b32" {
        return m.unknown();
    }
    let [d, a, b, c, members] = cx.exactly(o)?;
    let (d, ok) = match d {
        Operand::Pair(d, p) => (cx.dst_r(d)?, Some(cx.dst_p(p)?)),
        d => (cx.dst_r(d)?, None),
    };
    Ok(Op::Shfl { mode, d, ok, a: cx.r(a)?, b: cx.r(b)?, c: cx.r(c)?, members: cx.r(members)? })
}

pub fn vote(cx: &mut Decoder, m: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    let mode = m.choose(&[
        ("all", VoteMode::All),
        ("any", VoteMode::Any),
        ("uni", VoteMode::Uni),
        ("ballot", VoteMode::Ballot),
    ]);
    let Some(mode) = mode else {
        return m.unknown();
    };
    let wanted = if mode == VoteMode::Ballot { "b32" } else { "pred" };
    if !m.take("sync") || m.last()? != wanted {
        return m.unknown();
    }
    let [d, a, members] = cx.exactly(o)?;
    let (a, negated) = match a {
        Operand::Not(name) => (cx.names.pred(name, cx.line)?, true),
        other => (cx.p(other)?, false),
    };
    let d = match mode {
        VoteMode::Ballot => Reg::R(cx.dst_r(d)?),
        VoteMode::All | VoteMode::Any | VoteMode::Uni => Reg::P(cx.dst_p(d)?),
    };
    Ok(Op::Vote { mode, d, a, negated, members: cx.r(members)? })
}

pub fn match_(cx: &mut Decoder, m: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    let Some(all) = m.choose(&[("any", false), ("all", true)]) else {
        return m.unknown();
    };
    if !m.take("sync") {
        return m.unknown();
    }
    let wide = match m.last()? {
        "b32" => false,
        "b64" => true,
        _ => return m.unknown(),
    };
    let [d, a, members] = cx.exactly(o)?;
    let (d, ok) = match d {
        Operand::Pair(d, p) if all => (cx.dst_r(d)?, Some(cx.dst_p(p)?)),
        d => (cx.dst_r(d)?, None),
    };
    let a = cx.source(a, if wide { 64 } else { 32 })?;
    Ok(Op::Match { all, wide, d, ok, a, members: cx.r(members)? })
}

pub fn redux(cx: &mut Decoder, m: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    let ty = m.last()?;
    let op = m.first().and_then(|first| if first == "sync" { m.first() } else { Ok("") })?;
    let op = match (op, ty) {
        ("add", "u32" | "s32") => ReduxOp::Add,
        ("min", "u32") => ReduxOp::MinU,
        ("max", "u32") => ReduxOp::MaxU,
        ("min", "s32") => ReduxOp::MinS,
        ("max", "s32") => ReduxOp::MaxS,
        ("and", "b32") => ReduxOp::And,
        ("or", "b32") => ReduxOp::Or,
        ("xor", "b32") => ReduxOp::Xor,
        _ => return m.unknown(),
    };
    let [d, a, members] = cx.exactly(o)?;
    Ok(Op::Redux { op, d: cx.dst_r(d)?, a: cx.r(a)?, members: cx.r(members)? })
}

pub fn activemask(cx: &mut Decoder, m: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    if m.last()? != "b32" {
        return m.unknown();
    }
    let [d] = cx.exactly(o)?;
    let d = cx.dst_r(d)?;
    Ok(Op::Alu(Alu::Un32(Un32::Activemask, d, d)))
}

pub fn ldmatrix(cx: &mut Decoder, m: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    let count = m.choose(&[("x1", 1), ("x2", 2), ("x4", 4)]);
    let fixed = m.take("sync") & m.take("aligned") & m.take("m8n8") & m.take("b16");
    let (Some(count), true) = (count, fixed) else {
        return m.unknown();
    };
    let trans = m.take("trans");
    let space = m.space();
    if !matches!(space, Space::Shared | Space::Generic) {
        return m.unknown();
    }
    let [dst, src] = cx.exactly(o)?;
    let mut d = vec![];
    for e in cx.elements(dst, count)? {
        d.push(cx.dst_r(e)?);
    }
    Ok(Op::Ldmatrix { addr: cx.address(src, space)?, trans, d: d.into() })
}

pub fn movmatrix(cx: &mut Decoder, m: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    let fixed =
        m.take("sync") & m.take("aligned") & m.take("m8n8") & m.take("trans") & m.take("b16");
    if !fixed {
        return m.unknown();
    }
    let [d, a] = cx.exactly(o)?;
    Ok(Op::Movmatrix(cx.dst_r(d)?, cx.r(a)?))
}

pub fn mma(cx: &mut Decoder, m: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    let fixed = m.take("sync") & m.take("aligned") & m.take("row") & m.take("col");
    if !fixed {
        return m.unknown();
    }
    let kind = match (m.first()?, m.first()?, m.first()?, m.first()?, m.last()?) {
        ("m16n8k16", "f32", "f16", "f16", "f32") => MmaKind::Half { brain: false, k: 16 },
        ("m16n8k16", "f32", "bf16", "bf16", "f32") => MmaKind::Half { brain: true, k: 16 },
        ("m16n8k8", "f32", "f16", "f16", "f32") => MmaKind::Half { brain: false, k: 8 },
        ("m16n8k8", "f32", "bf16", "bf16", "f32") => MmaKind::Half { brain: true, k: 8 },
        ("m16n8k8", "f32", "tf32", "tf32", "f32") => MmaKind::Tf32 { k: 8 },
        ("m16n8k4", "f32", "tf32", "tf32", "f32") => MmaKind::Tf32 { k: 4 },
        _ => return m.unknown(),
    };
    let (num_a, num_b) = kind.fragment_sizes();
    let [d, a, b, c] = cx.exactly(o)?;
    let zero = cx.names.const_r(0);
    let mut op = Mma { kind, d: [0; 4], a: [zero; 4], b: [zero; 2], c: [0; 4] };
    for (slot, e) in op.d.iter_mut().zip(cx.elements(d, 4)?) {
        *slot = cx.dst_r(e)?;
    }
    for (slot, e) in op.a.iter_mut().zip(cx.elements(a, num_a)?) {
        *slot = cx.r(e)?;
    }
    for (slot, e) in op.b.iter_mut().zip(cx.elements(b, num_b)?) {
        *slot = cx.r(e)?;
    }
    for (slot, e) in op.c.iter_mut().zip(cx.elements(c, 4)?) {
        *slot = cx.r(e)?;
    }
    Ok(Op::Mma(Box::new(op)))
}
