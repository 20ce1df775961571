//! Atomics, and the order they create between CTAs.
//!
//! A release (an atomic with release semantics, or a relaxed one after a GPU-scope fence) publishes at its address what
//! the warp knows; any atomic or acquiring load at that address by another CTA learns it. That is enough for the "last
//! block reduces" pattern. The acquiring side's own fence is not demanded.

use std::sync::PoisonError;

use super::core::Core;
use super::memory::{Target, addresses, count, resolve, shared_range, write_global};
use super::step;
use super::warp::Warp;
use crate::float::{self, Round};
use crate::memory::order::Known;
use crate::program::*;

/// What a warp knows at this point, its own past included.
pub fn knowledge(warp: &Warp) -> Known {
    let mut known = warp.known;
    known[warp.index as usize] = warp.clock;
    known
}

fn merge(into: &mut Known, from: &Known) {
    for (a, b) in into.iter_mut().zip(from) {
        *a = (*a).max(*b);
    }
}

/// Publishes `known`, and all this CTA has acquired, at `address`.
pub fn publish(core: &mut Core, address: u64, known: &Known) {
    let mut releases = core.device.releases.lock().unwrap_or_else(PoisonError::into_inner);
    let at = releases.entry(address).or_default();
    merge(at.entry(core.cta).or_insert([0; 32]), known);
    for (cta, theirs) in &core.acquired {
        merge(at.entry(*cta).or_insert([0; 32]), theirs);
    }
}

/// Learns what was published at `address`.
pub fn acquire(core: &mut Core, address: u64) {
    let releases = core.device.releases.lock().unwrap_or_else(PoisonError::into_inner);
    for (cta, theirs) in releases.get(&address).into_iter().flatten() {
        merge(core.acquired.entry(*cta).or_insert([0; 32]), theirs);
    }
}

pub fn atom(core: &mut Core, warp: &mut Warp, op: &Atom, mask: u32) {
    let bytes = op.ty.bytes();
    let at = addresses(core, warp, &op.addr, mask);
    if core.full_counts {
        count(core, warp, op.addr.space, &at, bytes as u64, mask);
    }
    let operand = |warp: &Warp, reg: Reg, lane: usize| match reg {
        Reg::R(r) => {
            (warp.regs.r[r as usize].0[lane] as u64, warp.regs.r_valid[r as usize] >> lane & 1 == 1)
        }
        Reg::D(d) => {
            (warp.regs.d[d as usize].0[lane], warp.regs.d_valid[d as usize] >> lane & 1 == 1)
        }
        Reg::P(_) | Reg::Sink => (0, true),
    };
    for lane in (0..32usize).filter(|l| mask >> l & 1 == 1) {
        let (b, b_valid) = operand(warp, op.b, lane);
        let (c, c_valid) = op.c.map_or((0, true), |c| operand(warp, c, lane));
        if !(b_valid && c_valid) && core.checks {
            step::undefined_use(core, warp, 1 << lane, "output");
        }
        let update = |old: u64| apply(op.op, op.ty, old, b, c);
        let (old, defined) = match resolve(op.addr.space, at[lane]) {
            Target::Global(address) => {
                let (index, offset) = match core.device.global.locate(address, bytes as u64) {
                    Ok(found) => found,
                    Err(miss) => {
                        core.global_miss(warp, lane as u32, "atomic", bytes as u64, miss);
                        continue;
                    }
                };
                let defined = core.device.global.buffer(index).defined(offset, bytes as u64);
                if !write_global(core, warp, lane, index, offset, bytes, true) {
                    continue;
                }
                if op.release {
                    publish(core, address, &knowledge(warp));
                } else if let Some(known) = warp.fenced {
                    publish(core, address, &known);
                }
                let old = core.device.global.update(index, offset, bytes, update);
                acquire(core, address);
                (old, defined)
            }
            Target::Shared(offset) => {
                let Some(start) = shared_range(core, warp, lane, "atomic", offset, bytes) else {
                    continue;
                };
                let who = warp.who(lane as u32, warp.pc, true);
                if let Err(clash) = core.shared.atomic(&who, start, bytes as usize) {
                    core.shared_clash(
                        warp,
                        Some(lane as u32),
                        "atomic",
                        start,
                        bytes as usize,
                        clash,
                    );
                }
                let cell = &mut core.shared.bytes[start..start + bytes as usize];
                let mut raw = [0; 8];
                raw[..cell.len()].copy_from_slice(cell);
                let old = u64::from_le_bytes(raw);
                cell.copy_from_slice(&update(old).to_le_bytes()[..bytes as usize]);
                (old, true)
            }
            Target::Local(_) => {
                let message = "atomics do not work on local memory".to_string();
                core.simple(
                    warp,
                    crate::finding::Code::OutOfBounds,
                    Some(lane as u32),
                    "atomic",
                    message,
                );
                continue;
            }
        };
        if !defined && core.checks {
            step::undefined_use(core, warp, 1 << lane, "operand of an atomic");
        }
        match op.d {
            Some(Reg::R(d)) => warp.regs.set_r_lane(d, lane, old as u32, defined),
            Some(Reg::D(d)) => warp.regs.set_d_lane(d, lane, old, defined),
            Some(Reg::P(_) | Reg::Sink) | None => {}
        }
    }
}

/// The new value of a cell.
fn apply(op: AtomOp, ty: AtomType, old: u64, b: u64, c: u64) -> u64 {
    let bits = 8 * ty.bytes();
    let shift = 64 - bits;
    let keep = !0 >> shift;
    let signed = |x: u64| (x << shift) as i64 >> shift;
    let is_signed = matches!(ty, AtomType::S32 | AtomType::S64);
    let less = if is_signed { signed(b) < signed(old) } else { b & keep < old };
    (match op {
        AtomOp::Add => add(ty, old, b),
        AtomOp::Min => {
            if less {
                b
            } else {
                old
            }
        }
        AtomOp::Max => {
            if less || b & keep == old {
                old
            } else {
                b
            }
        }
        AtomOp::And => old & b,
        AtomOp::Or => old | b,
        AtomOp::Xor => old ^ b,
        AtomOp::Exch => b,
        AtomOp::Cas => {
            if old == b & keep {
                c
            } else {
                old
            }
        }
        AtomOp::Inc => {
            if old >= b & keep {
                0
            } else {
                old + 1
            }
        }
        AtomOp::Dec => {
            if old == 0 || old > b & keep {
                b
            } else {
                old - 1
            }
        }
    }) & keep
}

fn add(ty: AtomType, x: u64, y: u64) -> u64 {
    let half = |x: u64, y: u64, format| {
        let sum = float::add_odd(float::widen(x as u32, format), float::widen(y as u32, format));
        float::round_to(sum, format, Round::NearestEven) as u64
    };
    let pair = |format| {
        half(x >> 16 & 0xffff, y >> 16 & 0xffff, format) << 16
            | half(x & 0xffff, y & 0xffff, format)
    };
    match ty {
        AtomType::F32 => (f32::from_bits(x as u32) + f32::from_bits(y as u32)).to_bits() as u64,
        AtomType::F64 => (f64::from_bits(x) + f64::from_bits(y)).to_bits(),
        AtomType::F16 => half(x & 0xffff, y & 0xffff, float::F16),
        AtomType::Bf16 => half(x & 0xffff, y & 0xffff, float::BF16),
        AtomType::F16x2 => pair(float::F16),
        AtomType::Bf16x2 => pair(float::BF16),
        AtomType::U32
        | AtomType::S32
        | AtomType::U64
        | AtomType::S64
        | AtomType::B16
        | AtomType::B32
        | AtomType::B64 => x.wrapping_add(y),
    }
}
