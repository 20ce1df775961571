//! Loads, stores, atomics, fences and asynchronous copies (PTX ISA 9.7.9, 9.7.13).

use super::mods::Mods;
use super::{Decoded, Decoder, ParamPlace};
use crate::memory::address::{LOCAL_WINDOW, SHARED_WINDOW};
use crate::program::*;
use crate::syntax::ast::{Operand, Space};

/// Caching and eviction hints change no result.
const HINTS: &[&str] = &[
    "nc",
    "ca",
    "cg",
    "cs",
    "lu",
    "cv",
    "wb",
    "wt",
    "weak",
    "L1::no_allocate",
    "L1::evict_last",
    "L1::evict_first",
    "L1::evict_normal",
    "L1::evict_unchanged",
    "L2::64B",
    "L2::128B",
    "L2::256B",
];

const SCOPES: &[&str] = &["cta", "cluster", "gpu", "sys"];

/// Type, strength and ordering of a load or store.
fn access(m: &mut Mods) -> Decoded<Access> {
    let ty = m.last()?;
    let bytes = match crate::syntax::parse_type_bytes(ty) {
        Some(bytes) if !ty.ends_with("x2") => bytes as u32,
        _ => return m.unknown(),
    };
    m.drop_all(HINTS);
    let (acquire, release) = (m.take("acquire"), m.take("release"));
    let strong = m.take("relaxed") | m.take("volatile") | acquire | release;
    if strong {
        m.drop_all(SCOPES);
    }
    Ok(Access { bytes, signed: ty.starts_with('s'), reg_bits: 32, strong, acquire, release })
}

pub fn ld(cx: &mut Decoder, m: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    let mut access = access(m)?;
    let space = m.space();
    let count = m.vector();
    let [dst, src] = cx.exactly(o)?;
    let mut d = vec![];
    for e in cx.elements(dst, count)? {
        let (reg, bits) = cx.dst_bits(e)?;
        if let Reg::P(_) = reg {
            return cx.error("a predicate cannot be loaded");
        }
        if bits < 8 * access.bytes {
            return cx.error("the destination is narrower than the value loaded");
        }
        access.reg_bits = bits;
        d.push(reg);
    }
    let d = d.into_boxed_slice();
    if space == Space::Param
        && let Operand::Memory { base: Some(name), offset } = src
        && let Some(ParamPlace::Entry(at)) = cx.param_place(name)
    {
        let Ok(offset) = u32::try_from(at as i64 + offset) else {
            return cx.error("this parameter offset is outside the parameter block");
        };
        return Ok(Op::LoadParam { access, d, offset });
    }
    let addr = cx.address(src, space)?;
    if addr.space == Space::Param {
        return cx.error("expected the name of a parameter");
    }
    Ok(Op::Load { addr, access, d })
}

pub fn st(cx: &mut Decoder, m: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    let access = access(m)?;
    let space = m.space();
    let count = m.vector();
    let [dst, src] = cx.exactly(o)?;
    let mut v = vec![];
    for e in cx.elements(src, count)? {
        let bits = 8 * access.bytes;
        let reg = cx.source(e, bits).or_else(|err| {
            // A narrow store may take the low part of a wider register.
            if bits < 64 { cx.d(e).map(Reg::D) } else { Err(err) }
        })?;
        v.push(reg);
    }
    let addr = cx.address(dst, space)?;
    match addr.space {
        Space::Const | Space::Param => return cx.error("this space cannot be stored to"),
        Space::Global | Space::Generic => cx.grain = cx.grain.min(access.bytes),
        Space::Shared | Space::Local => {}
    }
    Ok(Op::Store { addr, access, v: v.into() })
}

const ATOM_OPS: &[(&str, AtomOp)] = &[
    ("add", AtomOp::Add),
    ("min", AtomOp::Min),
    ("max", AtomOp::Max),
    ("and", AtomOp::And),
    ("or", AtomOp::Or),
    ("xor", AtomOp::Xor),
    ("exch", AtomOp::Exch),
    ("cas", AtomOp::Cas),
    ("inc", AtomOp::Inc),
    ("dec", AtomOp::Dec),
];

const ATOM_TYPES: &[(&str, AtomType)] = &[
    ("u32", AtomType::U32),
    ("s32", AtomType::S32),
    ("u64", AtomType::U64),
    ("s64", AtomType::S64),
    ("b16", AtomType::B16),
    ("b32", AtomType::B32),
    ("b64", AtomType::B64),
    ("f32", AtomType::F32),
    ("f64", AtomType::F64),
    ("f16", AtomType::F16),
    ("bf16", AtomType::Bf16),
    ("f16x2", AtomType::F16x2),
    ("bf16x2", AtomType::Bf16x2),
];

pub fn atom(cx: &mut Decoder, m: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    let returns = m.name == "atom";
    let (Some(ty), Some(op)) = (m.choose(ATOM_TYPES), m.choose(ATOM_OPS)) else {
        return m.unknown();
    };
    let both = m.take("acq_rel");
    // Every atomic learns what was released at its address, so acquiring needs no flag.
    m.take("acquire");
    let release = m.take("release") || both;
    m.take("relaxed");
    m.take("noftz");
    let space = m.space();
    m.drop_all(SCOPES);
    use AtomType::*;
    let known = match op {
        AtomOp::Add => !matches!(ty, B16 | B32 | B64 | S64),
        AtomOp::Min | AtomOp::Max => matches!(ty, U32 | S32 | U64 | S64),
        AtomOp::And | AtomOp::Or | AtomOp::Xor | AtomOp::Exch => matches!(ty, B32 | B64),
        AtomOp::Cas => matches!(ty, B16 | B32 | B64),
        AtomOp::Inc | AtomOp::Dec => matches!(ty, U32),
    };
    if !known {
        return m.unknown();
    }
    let wanted = 2 + returns as usize + (op == AtomOp::Cas) as usize;
    if o.len() != wanted {
        return cx.error(format!("this opcode has {wanted} operands, here are {}", o.len()));
    }
    let bits = 8 * ty.bytes();
    let (d, rest) = if returns { (Some(cx.dst(&o[0])?), &o[1..]) } else { (None, o) };
    let addr = cx.address(&rest[0], space)?;
    let b = cx.source(&rest[1], bits)?;
    let c = rest.get(2).map(|c| cx.source(c, bits)).transpose()?;
    match addr.space {
        Space::Local | Space::Const | Space::Param => {
            return cx.error("atomics work on global and shared memory");
        }
        Space::Global | Space::Generic => cx.grain = cx.grain.min(ty.bytes()),
        Space::Shared => {}
    }
    Ok(Op::Atom(Box::new(Atom { op, ty, addr, d, b, c, release })))
}

pub fn fence(cx: &mut Decoder, m: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    let [] = cx.exactly(o)?;
    m.choose(&[("sc", ()), ("acq_rel", ())]);
    match m.choose(&[("cta", false), ("gl", true), ("gpu", true), ("sys", true)]) {
        Some(true) => Ok(Op::Fence),
        // Within a CTA the barriers order memory; a CTA fence alone adds nothing that is tracked.
        Some(false) => Ok(Op::Nop),
        None => m.unknown(),
    }
}

pub fn prefetch(_: &mut Decoder, m: &mut Mods, _: &[Operand]) -> Decoded<Op> {
    m.drop_all(&["global", "local", "L1", "L2", "L2::evict_last", "L2::evict_normal"]);
    Ok(Op::Nop)
}

/// `cvta{.to}.space`: global addresses are generic as they are; the other spaces are windows.
pub fn cvta(cx: &mut Decoder, m: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    let to = m.take("to");
    let space = m.space();
    if !matches!(m.last()?, "u64") {
        return m.unknown();
    }
    let [d, a] = cx.exactly(o)?;
    let a = match a {
        Operand::Name(n) if cx.names.find(n).is_none() && cx.symbols.contains_key(n) => cx.d(a)?,
        _ => cx.d(a)?,
    };
    let d = cx.dst_d(d)?;
    let window = match space {
        Space::Global | Space::Const => return Ok(Op::Alu(Alu::Un64(Un64::Mov, d, a))),
        Space::Shared => SHARED_WINDOW,
        Space::Local => LOCAL_WINDOW,
        Space::Generic | Space::Param => return m.unknown(),
    };
    let base = cx.names.const_d(window);
    Ok(Op::Alu(Alu::Bin64(if to { Bin64::Sub } else { Bin64::Add }, d, a, base)))
}

pub fn cp_async(cx: &mut Decoder, m: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    if m.first()? != "async" {
        return m.unknown();
    }
    if m.take("commit_group") {
        let [] = cx.exactly(o)?;
        return Ok(Op::CommitGroup);
    }
    if m.take("wait_all") {
        let [] = cx.exactly(o)?;
        return Ok(Op::WaitAll);
    }
    if m.take("wait_group") {
        let [Operand::Int(n)] = o else {
            return cx.error("wait_group has a constant");
        };
        let Ok(n) = u32::try_from(*n) else {
            return cx.error("wait_group counts groups from 0");
        };
        return Ok(Op::WaitGroup(n));
    }
    let ca = m.take("ca");
    if !ca && !m.take("cg") {
        return m.unknown();
    }
    if !(m.take("shared") || m.take("shared::cta")) || !m.take("global") {
        return m.unknown();
    }
    m.drop_all(&["L2::64B", "L2::128B", "L2::256B"]);
    if o.len() != 3 && o.len() != 4 {
        return cx.error("cp.async has a destination, a source, a size and perhaps a source size");
    }
    let bytes = match &o[2] {
        Operand::Int(16) => 16,
        Operand::Int(n @ (4 | 8)) if ca => *n as u32,
        _ => return cx.error("cp.async copies 4, 8 or 16 bytes, and .cg only 16"),
    };
    let dst = cx.address(&o[0], Space::Shared)?;
    let src = cx.address(&o[1], Space::Global)?;
    let src_bytes = cx.r(o.last().unwrap_or(&o[2]))?;
    Ok(Op::CpAsync { dst, src, bytes, src_bytes })
}
