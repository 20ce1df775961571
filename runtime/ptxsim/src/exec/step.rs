//! The instruction loop of a warp.

use super::core::Core;
use super::warp::{Condition, Warp};
use super::{asynchronous, atomics, barrier, control, matrix, memory, sync, trace};
use crate::finding::Code;
use crate::lanes::Place;
use crate::program::*;

/// Runs `warp` until it blocks, ends, fails, or has executed `quantum` instructions.
pub fn run(core: &mut Core, warp: &mut Warp, place: &Place, quantum: u64) {
    let device = core.device;
    let kernel = device.kernel;
    let limit = device.config.step_limit;
    let stop_at = warp.steps.saturating_add(quantum).min(limit);
    let start = warp.steps;
    loop {
        if warp.pc == warp.meet {
            warp.resume();
            if warp.condition == Condition::Done {
                break;
            }
        }
        if warp.steps >= stop_at {
            if warp.steps >= limit {
                control::too_many_steps(core, warp, place);
            }
            break;
        }
        let pc = warp.pc;
        let inst = &kernel.code[pc as usize];
        warp.steps += 1;
        let mut mask = warp.mask;
        if let Some(guard) = inst.guard {
            let p = warp.regs.p[guard.pred as usize];
            let undefined = mask & !warp.regs.p_valid[guard.pred as usize];
            if undefined != 0 && core.checks {
                undefined_use(core, warp, undefined, "guard");
                warp.regs.p_valid[guard.pred as usize] |= undefined;
            }
            mask &= if guard.negated { !p } else { p };
            if mask == 0 && !matches!(inst.op, Op::Branch { .. }) {
                warp.pc += 1;
                continue;
            }
        }
        if let Some(except) = core.tracing {
            if !trace::run(core, warp, place, inst, mask, except) || core.sink.stopped() {
                break;
            }
            continue;
        }
        if core.full_counts {
            core.tally.executed[pc as usize] += 1;
            core.tally.lanes[pc as usize] += mask.count_ones() as u64;
        }
        if let Op::Alu(op) = &inst.op {
            device.kernels.alu(op, &mut warp.regs, mask, place);
            warp.pc += 1;
            continue;
        }
        if !execute(core, warp, place, &inst.op, mask) || core.sink.stopped() {
            break;
        }
    }
    core.tally.steps += warp.steps - start;
}

/// Executes one instruction that is not lane-local arithmetic. Returns whether the warp can go on at once.
pub fn execute(core: &mut Core, warp: &mut Warp, place: &Place, op: &Op, mask: u32) -> bool {
    match op {
        Op::Alu(_) | Op::Nop => {}
        Op::Divide32(division, d, a, b) => divide32(core, warp, *division, *d, *a, *b, mask),
        Op::Divide64(division, d, a, b) => divide64(core, warp, *division, *d, *a, *b, mask),
        Op::LoadParam { access, d, offset } => {
            memory::load_param(core, warp, access, d, *offset, mask)
        }
        Op::Load { addr, access, d } => memory::load(core, warp, addr, access, d, mask),
        Op::Store { addr, access, v } => memory::store(core, warp, addr, access, v, mask),
        Op::Atom(atom) => atomics::atom(core, warp, atom, mask),
        Op::Fence => warp.fenced = Some(atomics::knowledge(warp)),
        Op::CpAsync { dst, src, bytes, src_bytes } => {
            asynchronous::issue(core, warp, dst, src, *bytes, *src_bytes, mask)
        }
        Op::CommitGroup => asynchronous::commit(warp, mask),
        Op::WaitGroup(n) => asynchronous::wait(core, warp, *n, mask),
        Op::WaitAll => {
            asynchronous::commit(warp, mask);
            asynchronous::wait(core, warp, 0, mask);
        }
        Op::Ldmatrix { addr, trans, d } => {
            if !whole_warp(core, warp, mask, "ldmatrix") {
                return false;
            }
            matrix::ldmatrix(core, warp, addr, *trans, d);
        }
        Op::Mma(mma) => {
            if !whole_warp(core, warp, mask, "mma") {
                return false;
            }
            matrix::check_operands(core, warp, mma);
            core.device.kernels.mma(mma, &mut warp.regs, place);
        }
        Op::Movmatrix(d, a) => {
            if !whole_warp(core, warp, mask, "movmatrix") {
                return false;
            }
            matrix::movmatrix(warp, *d, *a);
        }
        Op::Shfl { mode, d, ok, a, b, c, members } => {
            sync::members(core, warp, *members, mask, "shfl");
            sync::shfl(warp, *mode, *d, *ok, [*a, *b, *c], mask);
        }
        Op::Vote { mode, d, a, negated, members } => {
            sync::members(core, warp, *members, mask, "vote");
            sync::vote(warp, *mode, *d, *a, *negated, mask);
        }
        Op::Match { all, wide, d, ok, a, members } => {
            sync::members(core, warp, *members, mask, "match");
            sync::match_lanes(warp, *all, *wide, *d, *ok, *a, mask);
        }
        Op::Redux { op, d, a, members } => {
            sync::members(core, warp, *members, mask, "redux");
            sync::redux(warp, *op, *d, *a, mask);
        }
        Op::BarWarp(members) => {
            sync::members(core, warp, *members, mask, "bar.warp.sync");
            // A partial bar.warp.sync orders only its members, which one clock for each warp cannot say; it is taken to
            // order nothing, so that nothing is missed.
            if mask == warp.live() {
                warp.tick();
            }
        }
        Op::Barrier(b) => {
            if !whole_warp(core, warp, mask, "barrier") {
                return false;
            }
            let [x, y, z] = core.device.block;
            barrier::arrive(core, warp, b, x * y * z);
            if warp.condition != Condition::Ready || core.sink.stopped() {
                return false;
            }
        }
        Op::Branch { target, reconverge } => {
            control::branch(core, warp, *target, *reconverge, mask);
            return true;
        }
        Op::BranchIndexed { index, targets, reconverge } => {
            control::branch_indexed(core, warp, *index, targets, *reconverge, mask);
            return true;
        }
        Op::Call { entry, copies } => {
            control::copy_params(warp, copies, mask);
            control::call(warp, *entry, mask);
            return true;
        }
        Op::CopyParams(copies) => control::copy_params(warp, copies, mask),
        Op::Return => return control::leave(warp, mask, false),
        Op::Exit => return control::leave(warp, mask, true),
        Op::Trap => {
            core.simple(
                warp,
                Code::Trap,
                Some(mask.trailing_zeros()),
                "trap",
                "the kernel executed `trap`".into(),
            );
            return false;
        }
    }
    warp.pc += 1;
    true
}

/// Demands that every lane of the warp takes part and none has exited or is missing.
fn whole_warp(core: &mut Core, warp: &Warp, mask: u32, what: &'static str) -> bool {
    let needed = if what == "barrier" { warp.present } else { !0 };
    if mask == needed {
        return true;
    }
    let exited = warp.exited.count_ones();
    let why = if warp.present != !0 && what != "barrier" {
        format!("the warp has only {} lanes", warp.present.count_ones())
    } else if exited > 0 {
        format!("{exited} exited before")
    } else {
        "the others took another branch or are masked off".to_string()
    };
    let message = format!("{what} executed by {} of 32 lanes; {why}", mask.count_ones());
    core.simple(warp, Code::DivergedSync, Some(mask.trailing_zeros()), what, message);
    false
}

/// Reports lanes that use an undefined value.
#[cold]
pub fn undefined_use(core: &mut Core, warp: &Warp, lanes: u32, role: &'static str) {
    let message = format!("an undefined value is used as {role}");
    core.simple(warp, Code::UninitReg, Some(lanes.trailing_zeros()), role, message);
}

fn divide32(core: &mut Core, warp: &mut Warp, q: Division, d: R, a: R, b: R, mask: u32) {
    let (x, y) = (warp.regs.r[a as usize].0, warp.regs.r[b as usize].0);
    let valid = warp.regs.r_valid[a as usize] & warp.regs.r_valid[b as usize];
    let shift = 32 - q.bits;
    let low = |v: u32| v << shift;
    let zero =
        (0..32).filter(|l| mask >> l & 1 == 1 && low(y[*l]) == 0).fold(0, |m, l| m | 1u32 << l);
    if zero != 0 {
        by_zero(core, warp, zero);
    }
    let t = std::array::from_fn(|l| {
        if mask & !zero & 1 << l == 0 {
            return !0 >> shift;
        }
        let wide = if q.signed {
            let (x, y) = ((low(x[l]) as i32 >> shift) as i64, (low(y[l]) as i32 >> shift) as i64);
            if q.remainder { x % y } else { x / y }
        } else {
            let (x, y) = ((low(x[l]) >> shift) as i64, (low(y[l]) >> shift) as i64);
            if q.remainder { x % y } else { x / y }
        };
        wide as u32 & !0 >> shift
    });
    warp.regs.set_r(d, &t, mask, valid & !zero);
}

fn divide64(core: &mut Core, warp: &mut Warp, q: Division, d: D, a: D, b: D, mask: u32) {
    let (x, y) = (warp.regs.d[a as usize].0, warp.regs.d[b as usize].0);
    let valid = warp.regs.d_valid[a as usize] & warp.regs.d_valid[b as usize];
    let zero = (0..32).filter(|l| mask >> l & 1 == 1 && y[*l] == 0).fold(0, |m, l| m | 1u32 << l);
    if zero != 0 {
        by_zero(core, warp, zero);
    }
    let t = std::array::from_fn(|l| {
        if mask & !zero & 1 << l == 0 {
            return !0;
        }
        if q.signed {
            let (x, y) = (x[l] as i64, y[l] as i64);
            (if q.remainder { x.wrapping_rem(y) } else { x.wrapping_div(y) }) as u64
        } else if q.remainder {
            x[l] % y[l]
        } else {
            x[l] / y[l]
        }
    });
    warp.regs.set_d(d, &t, mask, valid & !zero);
}

#[cold]
fn by_zero(core: &mut Core, warp: &Warp, lanes: u32) {
    let message = "integer division by zero, whose result PTX does not define".to_string();
    core.simple(warp, Code::DivideByZero, Some(lanes.trailing_zeros()), "divide", message);
}
