//! CTA barriers: arrival, completion, the order they create, and how they fail.

use super::core::{Core, Details};
use super::warp::{Condition, Warp};
use crate::finding::Code;
use crate::memory::order::{Known, MAX_WARPS, Mark};
use crate::program::*;

/// One of the sixteen barriers of a CTA.
#[derive(Clone, Default)]
pub struct BarrierState {
    /// Warps that have arrived.
    arrived: u32,
    /// Warps among them that wait.
    waiting: u32,
    /// Threads expected.
    expected: u32,
    /// What the arrived warps knew.
    joined: Option<Known>,
    /// Votes of `bar.red`: lanes for which the predicate held, and lanes that voted.
    votes: (u32, u32),
    /// Where the first warp arrived.
    first: Option<Mark>,
}

/// Executes a barrier instruction; the warp waits, or the finding is recorded.
pub fn arrive(core: &mut Core, warp: &mut Warp, b: &Barrier, num_threads: u32) {
    let lane = warp.mask.trailing_zeros() as usize;
    let id = warp.regs.r[b.id as usize].0[lane];
    let count = b.count.map(|c| warp.regs.r[c as usize].0[lane]);
    let whole = num_threads.next_multiple_of(32);
    let expected = count.unwrap_or(whole);
    let refuse = |core: &mut Core, warp: &Warp, message: String| {
        core.simple(warp, Code::BarrierUse, None, "barrier", message);
    };
    if id > 15 {
        return refuse(core, warp, format!("barrier {id} does not exist; there are 16"));
    }
    if expected == 0 || !expected.is_multiple_of(32) || expected > whole {
        return refuse(
            core,
            warp,
            format!(
                "a thread count of {expected} is not a multiple of 32 up to the {whole} threads of the CTA"
            ),
        );
    }
    let state = &mut core.barriers[id as usize];
    if state.arrived != 0 && state.expected != expected {
        let (old, other) = (state.expected, state.first);
        let message = format!(
            "barrier {id} expects {expected} threads here and {old} where another warp arrived"
        );
        let other = other.map(|m| ("arrived", core.cta, m));
        core.report(
            warp,
            Code::BarrierUse,
            None,
            Details { role: "barrier", message, other, span: None, help: None, pc: None },
        );
        return;
    }
    if state.arrived >> warp.index & 1 == 1 {
        return refuse(
            core,
            warp,
            format!("this warp arrives at barrier {id} again before it has completed"),
        );
    }
    state.first.get_or_insert(Mark { warp: warp.index, lane: None, pc: warp.pc });
    state.arrived |= 1 << warp.index;
    state.expected = expected;
    let joined = state.joined.get_or_insert([0; MAX_WARPS]);
    for (known, mine) in joined.iter_mut().zip(&warp.known) {
        *known = (*known).max(*mine);
    }
    joined[warp.index as usize] = warp.clock;
    if let Some((_, p)) = b.red {
        state.votes.0 += (warp.regs.p[p as usize] & warp.mask).count_ones();
        state.votes.1 += warp.mask.count_ones();
    }
    if b.arrive_only {
        // What follows the arrival is not ordered by this barrier.
        warp.tick();
    } else {
        state.waiting |= 1 << warp.index;
        warp.condition = Condition::Waiting(id);
    }
}

/// Releases the warps of every complete barrier; tells whether any was.
pub fn release(core: &mut Core, warps: &mut [Warp]) -> bool {
    let mut any = false;
    for id in 0..16 {
        let state = &core.barriers[id];
        if state.arrived == 0 || state.arrived.count_ones() * 32 < state.expected {
            continue;
        }
        let state = std::mem::take(&mut core.barriers[id]);
        let joined = state.joined.unwrap_or([0; MAX_WARPS]);
        for warp in warps.iter_mut().filter(|w| state.waiting >> w.index & 1 == 1) {
            for (known, theirs) in warp.known.iter_mut().zip(&joined) {
                *known = (*known).max(*theirs);
            }
            warp.tick();
            warp.barriers += 1;
            warp.condition = Condition::Ready;
            finish(core, warp, state.votes);
            warp.pc += 1;
            any = true;
        }
    }
    any
}

/// Delivers the result of `bar.red`.
fn finish(core: &Core, warp: &mut Warp, (held, voted): (u32, u32)) {
    let Op::Barrier(b) = &core.device.kernel.code[warp.pc as usize].op else {
        return;
    };
    match b.red {
        Some((BarRed::Popc(d), _)) => warp.regs.set_r(d, &[held; 32], warp.mask, !0),
        Some((BarRed::And(d), _)) => {
            warp.regs.set_p(d, if held == voted { !0 } else { 0 }, warp.mask, !0)
        }
        Some((BarRed::Or(d), _)) => {
            warp.regs.set_p(d, if held > 0 { !0 } else { 0 }, warp.mask, !0)
        }
        None => {}
    }
}

/// No warp can run: says why.
pub fn stuck(core: &mut Core, warps: &[Warp]) {
    let Some(waiter) = warps.iter().find(|w| matches!(w.condition, Condition::Waiting(_))) else {
        return;
    };
    let Condition::Waiting(id) = waiter.condition else {
        return;
    };
    let state = core.barriers[id as usize].clone();
    let gone: Vec<String> = warps
        .iter()
        .filter(|w| w.condition == Condition::Done)
        .map(|w| w.index.to_string())
        .collect();
    let arrived = state.arrived.count_ones() * 32;
    let other = warps.iter().find_map(|w| match w.condition {
        Condition::Waiting(other) if other != id => {
            Some(("waits", core.cta, Mark { warp: w.index, lane: None, pc: w.pc }))
        }
        _ => None,
    });
    let (code, message) = if gone.is_empty() || other.is_some() {
        let message = format!(
            "barrier {id} has {arrived} of {} threads, and every other warp waits elsewhere",
            state.expected
        );
        (Code::Deadlock, message)
    } else {
        let message = format!(
            "barrier {id} has {arrived} of {} threads, but warp {} has exited",
            state.expected,
            gone.join(", ")
        );
        (Code::BarrierExit, message)
    };
    let details = Details { role: "waits", message, other, span: None, help: None, pc: None };
    core.report(waiter, code, None, details);
}
