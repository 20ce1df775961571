//! Exchanges between the lanes of a warp.

use super::core::Core;
use super::warp::Warp;
use crate::finding::Code;
use crate::program::*;

/// The member mask must be the set of executing lanes: naming absent ones waits for ever, leaving present ones out is
/// undefined.
pub fn members(core: &mut Core, warp: &Warp, members: R, mask: u32, what: &'static str) {
    let values = &warp.regs.r[members as usize].0;
    if let Some(lane) = (0..32).find(|l| mask >> l & 1 == 1 && values[*l] != mask) {
        let message = format!(
            "{what} with member mask {:#010x} executed by lanes {mask:#010x}",
            values[lane]
        );
        core.simple(warp, Code::ShflMask, Some(lane as u32), what, message);
    }
}

/// `shfl.sync`: operands are value, lane or offset, and the packed clamp and segment mask.
pub fn shfl(warp: &mut Warp, mode: ShflMode, d: R, ok: Option<P>, [a, b, c]: [R; 3], mask: u32) {
    let regs = &warp.regs;
    let (x, by, limit) = (regs.r[a as usize].0, regs.r[b as usize].0, regs.r[c as usize].0);
    let defined = regs.r_valid[a as usize] & mask;
    let operands = regs.r_valid[b as usize] & regs.r_valid[c as usize];
    let mut t = [0; 32];
    let (mut valid, mut in_range) = (0u32, 0u32);
    for lane in 0..32u32 {
        let (b, c) = (by[lane as usize] & 31, limit[lane as usize]);
        let (clamp, segment) = (c & 31, c >> 8 & 31);
        let max = lane & segment | clamp & !segment;
        let min = lane & segment;
        let (source, good) = match mode {
            ShflMode::Up => (lane.wrapping_sub(b), lane as i32 - b as i32 >= max as i32),
            ShflMode::Down => (lane + b, lane + b <= max),
            ShflMode::Bfly => (lane ^ b, lane ^ b <= max),
            ShflMode::Idx => (min | b & !segment, min | b & !segment <= max),
        };
        let source = if good { source & 31 } else { lane };
        t[lane as usize] = x[source as usize];
        // A lane that does not take part gives an undefined value.
        valid |= (defined >> source & 1) << lane;
        in_range |= (good as u32) << lane;
    }
    warp.regs.set_r(d, &t, mask, valid & operands);
    if let Some(p) = ok {
        warp.regs.set_p(p, in_range, mask, operands);
    }
}

pub fn vote(warp: &mut Warp, mode: VoteMode, d: Reg, a: P, negated: bool, mask: u32) {
    let p = warp.regs.p[a as usize];
    let valid = if warp.regs.p_valid[a as usize] & mask == mask { !0 } else { 0 };
    let held = (if negated { !p } else { p }) & mask;
    match (mode, d) {
        (VoteMode::Ballot, Reg::R(d)) => warp.regs.set_r(d, &[held; 32], mask, valid),
        (VoteMode::All, Reg::P(d)) => {
            warp.regs.set_p(d, if held == mask { !0 } else { 0 }, mask, valid)
        }
        (VoteMode::Any, Reg::P(d)) => {
            warp.regs.set_p(d, if held != 0 { !0 } else { 0 }, mask, valid)
        }
        (VoteMode::Uni, Reg::P(d)) => {
            warp.regs.set_p(d, if held == mask || held == 0 { !0 } else { 0 }, mask, valid)
        }
        // The decoder pairs each mode with its register class.
        (_, Reg::R(_) | Reg::D(_) | Reg::P(_) | Reg::Sink) => {}
    }
}

pub fn match_lanes(warp: &mut Warp, all: bool, wide: bool, d: R, ok: Option<P>, a: Reg, mask: u32) {
    let (values, defined): ([u64; 32], u32) = match a {
        Reg::D(d) if wide => (warp.regs.d[d as usize].0, warp.regs.d_valid[d as usize]),
        Reg::R(r) => (warp.regs.r[r as usize].0.map(u64::from), warp.regs.r_valid[r as usize]),
        Reg::D(_) | Reg::P(_) | Reg::Sink => return,
    };
    let equal = |lane: usize| {
        (0..32)
            .filter(|l| mask >> l & 1 == 1 && values[*l] == values[lane])
            .fold(0, |m, l| m | 1u32 << l)
    };
    let valid = if defined & mask == mask { !0 } else { 0 };
    let same: [u32; 32] = std::array::from_fn(|l| if mask >> l & 1 == 1 { equal(l) } else { 0 });
    if all {
        let agreed = same[mask.trailing_zeros() as usize & 31] == mask;
        warp.regs.set_r(d, &[if agreed { mask } else { 0 }; 32], mask, valid);
        if let Some(p) = ok {
            warp.regs.set_p(p, if agreed { !0 } else { 0 }, mask, valid);
        }
    } else {
        warp.regs.set_r(d, &same, mask, valid);
    }
}

pub fn redux(warp: &mut Warp, op: ReduxOp, d: R, a: R, mask: u32) {
    let x = warp.regs.r[a as usize].0;
    let lanes = (0..32).filter(|l| mask >> l & 1 == 1).map(|l| x[l]);
    let result = lanes.reduce(|a, b| match op {
        ReduxOp::Add => a.wrapping_add(b),
        ReduxOp::MinS => (a as i32).min(b as i32) as u32,
        ReduxOp::MaxS => (a as i32).max(b as i32) as u32,
        ReduxOp::MinU => a.min(b),
        ReduxOp::MaxU => a.max(b),
        ReduxOp::And => a & b,
        ReduxOp::Or => a | b,
        ReduxOp::Xor => a ^ b,
    });
    let valid = if warp.regs.r_valid[a as usize] & mask == mask { !0 } else { 0 };
    warp.regs.set_r(d, &[result.unwrap_or(0); 32], mask, valid);
}
