//! Branches, calls and exits (PTX ISA 9.7.12).

use super::mods::Mods;
use super::{Decoded, Decoder, Fixup, ParamPlace};
use crate::program::*;
use crate::syntax::PtxError;
use crate::syntax::ast::{Instruction, Operand};

pub fn bra(cx: &mut Decoder, m: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    m.take("uni");
    let [Operand::Name(label)] = o else {
        return cx.error("a branch names one label");
    };
    cx.fixups.push(Fixup { pc: usize::MAX, line: cx.line, labels: vec![label.clone()] });
    Ok(Op::Branch { target: 0, reconverge: NOWHERE })
}

pub fn brx(cx: &mut Decoder, m: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    if m.first()? != "idx" {
        return m.unknown();
    }
    m.take("uni");
    let [index, Operand::Name(table)] = o else {
        return cx.error("brx.idx has an index and a table of labels");
    };
    let Some(labels) = cx.targets.get(table).cloned() else {
        return cx.error(format!("`{table}` is not a .branchtargets table above this line"));
    };
    let index = cx.r(index)?;
    cx.fixups.push(Fixup { pc: usize::MAX, line: cx.line, labels });
    Ok(Op::BranchIndexed { index, targets: [].into(), reconverge: NOWHERE })
}

/// The function a `call` names: `call (ret), name, (args)`, `call name, (args)` or `call name`.
pub fn callee_name(i: &Instruction) -> Decoded<&str> {
    i.operands
        .iter()
        .find_map(|o| match o {
            Operand::Name(name) if !name.starts_with('%') => Some(name.as_str()),
            _ => None,
        })
        .ok_or_else(|| PtxError::new(i.line, "calls through a register are not modelled"))
}

pub fn call(cx: &mut Decoder, m: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    m.take("uni");
    let (returns, rest) = match o {
        [Operand::List(r), rest @ ..] => (r.as_slice(), rest),
        rest => (&[][..], rest),
    };
    let (name, args) = match rest {
        [Operand::Name(name)] => (name, &[][..]),
        [Operand::Name(name), Operand::List(a)] => (name, a.as_slice()),
        _ => return cx.error("a call names a function and lists its arguments"),
    };
    let Some((entry, formals, results)) = cx.entries.get(name).cloned() else {
        return cx.error(format!("`{name}` has no body in this module"));
    };
    let inward = copies(cx, args, &formals, name, true)?;
    let outward = copies(cx, returns, &results, name, false)?;
    if !outward.is_empty() {
        cx.epilogue.push(Op::CopyParams(outward));
    }
    Ok(Op::Call { entry, copies: inward })
}

/// Pairs the caller's `.param` blocks with the callee's.
fn copies(
    cx: &Decoder,
    actual: &[Operand],
    formal: &[(u32, u32)],
    name: &str,
    inward: bool,
) -> Decoded<Box<[ParamCopy]>> {
    if actual.len() != formal.len() {
        return cx.error(format!(
            "`{name}` has {} of these parameters, here are {}",
            formal.len(),
            actual.len()
        ));
    }
    let mut out = vec![];
    for (operand, (callee, bytes)) in actual.iter().zip(formal) {
        let place = match operand {
            Operand::Name(n) => cx.param_place(n),
            _ => None,
        };
        let Some(ParamPlace::Frame(caller, have)) = place else {
            return cx.error("call arguments are .param variables of the call scope here");
        };
        if have != *bytes {
            return cx.error(format!("`{name}` expects {bytes} bytes here, not {have}"));
        }
        out.push(if inward { (caller, *callee, *bytes) } else { (*callee, caller, *bytes) });
    }
    Ok(out.into())
}

pub fn ret(cx: &mut Decoder, m: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    m.take("uni");
    let [] = cx.exactly(o)?;
    Ok(if cx.in_entry { Op::Exit } else { Op::Return })
}

pub fn exit(cx: &mut Decoder, _: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    let [] = cx.exactly(o)?;
    Ok(Op::Exit)
}

pub fn trap(cx: &mut Decoder, _: &mut Mods, o: &[Operand]) -> Decoded<Op> {
    let [] = cx.exactly(o)?;
    Ok(Op::Trap)
}
