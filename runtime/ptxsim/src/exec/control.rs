//! Branches, divergence, calls and exits.
//!
//! A warp follows one path at a time. Where lanes disagree, the path splits: the rest of the warp is set aside with the
//! place where both parts meet, and the parts run one after the other. Lanes already at the meeting point simply wait
//! in the entry that stands for it, so a loop with uneven trip counts needs one entry, not one for each iteration.

use super::core::Core;
use super::step;
use super::warp::{Path, Warp};
use crate::finding::Code;
use crate::lanes::Place;
use crate::program::*;

/// Sends the lanes of `taken` to `target` and the others on.
pub fn branch(core: &mut Core, warp: &mut Warp, target: Pc, reconverge: Pc, taken: u32) {
    let rest = warp.mask & !taken;
    if rest == 0 {
        warp.pc = target;
    } else if taken == 0 {
        warp.pc += 1;
    } else {
        count_divergence(core, warp);
        let next = warp.pc + 1;
        split(warp, reconverge, &[(target, taken), (next, rest)]);
    }
}

/// `brx.idx`: every lane picks its target from a table.
pub fn branch_indexed(
    core: &mut Core,
    warp: &mut Warp,
    index: R,
    targets: &[Pc],
    reconverge: Pc,
    mask: u32,
) {
    let choice = warp.regs.r[index as usize].0;
    let undefined = mask & !warp.regs.r_valid[index as usize];
    if undefined != 0 && core.checks {
        step::undefined_use(core, warp, undefined, "branch index");
    }
    let mut parts: Vec<(Pc, u32)> = vec![];
    for (lane, choice) in choice.iter().enumerate() {
        let pc = if mask >> lane & 1 == 0 {
            if warp.mask >> lane & 1 == 0 {
                continue;
            }
            warp.pc + 1
        } else if let Some(pc) = targets.get(*choice as usize) {
            *pc
        } else {
            let message = format!("brx.idx with index {choice} of a table of {}", targets.len());
            return core.simple(warp, Code::Trap, Some(lane as u32), "branch", message);
        };
        match parts.iter_mut().find(|p| p.0 == pc) {
            Some(part) => part.1 |= 1 << lane,
            None => parts.push((pc, 1 << lane)),
        }
    }
    if let [(pc, _)] = parts[..] {
        warp.pc = pc;
    } else {
        count_divergence(core, warp);
        split(warp, reconverge, &parts);
    }
}

fn count_divergence(core: &mut Core, warp: &Warp) {
    if core.full_counts {
        core.tally.diverged[warp.pc as usize] += 1;
    }
}

/// Splits the present path into `parts` that meet at `reconverge`.
fn split(warp: &mut Warp, reconverge: Pc, parts: &[(Pc, u32)]) {
    if reconverge != NOWHERE && reconverge != warp.meet {
        warp.paths.push(Path { pc: reconverge, mask: warp.mask, meet: warp.meet, call: false });
        warp.meet = reconverge;
    }
    let meet = warp.meet;
    let mut moving = parts.iter().filter(|(pc, _)| *pc != meet);
    let Some((pc, mask)) = moving.next_back() else {
        // Every lane is at the meeting point already.
        warp.pc = meet;
        return;
    };
    for (pc, mask) in moving {
        warp.paths.push(Path { pc: *pc, mask: *mask, meet, call: false });
    }
    (warp.pc, warp.mask) = (*pc, *mask);
}

/// Enters a device function with the lanes of `mask`.
pub fn call(warp: &mut Warp, entry: Pc, mask: u32) {
    warp.paths.push(Path { pc: warp.pc + 1, mask: warp.mask, meet: warp.meet, call: true });
    warp.meet = NOWHERE;
    warp.mask = mask;
    warp.pc = entry;
}

/// Lanes leave: a function, or for good. Returns whether the warp can go on.
pub fn leave(warp: &mut Warp, lanes: u32, exit: bool) -> bool {
    if exit {
        warp.exited |= lanes;
    }
    for path in warp.paths.iter_mut().rev() {
        if path.call && !exit {
            break;
        }
        path.mask &= !lanes;
    }
    warp.mask &= !lanes;
    if warp.mask == 0 {
        warp.resume();
    } else {
        warp.pc += 1;
    }
    warp.mask != 0
}

/// Copies blocks of the local frame between caller and callee.
pub fn copy_params(warp: &mut Warp, copies: &[ParamCopy], mask: u32) {
    let frame = warp.local.len() / 32;
    for (from, to, bytes) in copies {
        for lane in (0..32usize).filter(|l| mask >> l & 1 == 1) {
            let base = lane * frame;
            let range = base + *from as usize..base + (*from + *bytes) as usize;
            warp.local.copy_within(range.clone(), base + *to as usize);
            warp.local_defined.copy_within(range, base + *to as usize);
        }
    }
}

/// The step limit is reached: names the instructions the warp keeps executing.
pub fn too_many_steps(core: &mut Core, warp: &mut Warp, place: &Place) {
    let code = &core.device.kernel.code;
    // Follow the control flow a little further, with arithmetic only, to see the lines of the loop.
    let (mut low, mut high) = (warp.pc, warp.pc);
    let start = warp.pc;
    for _ in 0..4096 {
        let inst = &code[warp.pc as usize];
        let mut mask = warp.mask;
        if let Some(g) = inst.guard {
            let p = warp.regs.p[g.pred as usize];
            mask &= if g.negated { !p } else { p };
        }
        match &inst.op {
            Op::Alu(op) => {
                core.device.kernels.alu(op, &mut warp.regs, mask, place);
                warp.pc += 1;
            }
            Op::Branch { target, .. } if mask != 0 => warp.pc = *target,
            Op::Exit | Op::Return | Op::Trap | Op::Call { .. } | Op::BranchIndexed { .. } => break,
            _ => warp.pc += 1,
        }
        (low, high) = (low.min(warp.pc), high.max(warp.pc));
        if warp.pc == start {
            break;
        }
    }
    warp.pc = start;
    let sites = &core.device.kernel.sites;
    let message = format!(
        "a warp has executed {} instructions and is still in ptx lines {} to {}",
        warp.steps, sites[low as usize].line, sites[high as usize].line
    );
    core.simple(warp, Code::Steps, None, "runs", message);
}
