//! Executes an instruction and notes what it changed (`crate::changes` says what counts as a change).

use super::core::Core;
use super::step;
use super::warp::{Pending, Warp};
use crate::hash::mix;
use crate::lanes::Place;
use crate::program::*;

/// A hash of the changes of one warp so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct History(pub u64);

impl History {
    fn note(&mut self, word: u64) {
        self.0 = mix(self.0 ^ word);
    }
}

/// Executes the instruction at `warp.pc` for the lanes of `mask`. Returns whether the warp can go on at once.
pub fn run(
    core: &mut Core,
    warp: &mut Warp,
    place: &Place,
    inst: &Inst,
    mask: u32,
    except: [(u32, u32); 2],
) -> bool {
    let pc = warp.pc;
    let site = &core.device.kernel.sites[pc as usize];
    if site.prepares {
        return execute(core, warp, place, &inst.op, mask);
    }
    let sites = &core.device.kernel.sites;
    let left_out = |pc: Pc| {
        except.iter().any(|(first, last)| (*first..=*last).contains(&sites[pc as usize].line))
    };
    let mut note = vec![];
    let mut moved = false;
    match &inst.op {
        Op::Branch { target, .. } => moved = mask != 0 && *target != pc + 1,
        op => effects(warp, op, mask, &left_out, &mut note),
    }
    let registers = written(&inst.op);
    let before: Vec<_> = registers.iter().map(|reg| value(warp, *reg)).collect();
    let goes_on = execute(core, warp, place, &inst.op, mask);
    for (number, (reg, (old, was_valid))) in registers.iter().zip(before).enumerate() {
        let (new, is_valid) = value(warp, *reg);
        for lane in 0..32 {
            let valid = is_valid >> lane & 1;
            if new[lane] != old[lane] || valid != was_valid >> lane & 1 {
                note.extend([((number * 32 + lane) as u64) << 1 | u64::from(valid), new[lane]]);
            }
        }
    }
    core.tally.executed[pc as usize] += 1;
    core.tally.changed[pc as usize] += u64::from(moved || !note.is_empty());
    if !note.is_empty() && !left_out(pc) {
        warp.history.note(u64::from(site.line));
        note.into_iter().for_each(|word| warp.history.note(word));
    }
    goes_on
}

fn execute(core: &mut Core, warp: &mut Warp, place: &Place, op: &Op, mask: u32) -> bool {
    match op {
        Op::Alu(op) => {
            core.device.kernels.alu(op, &mut warp.regs, mask, place);
            warp.pc += 1;
            true
        }
        op => step::execute(core, warp, place, op, mask),
    }
}

/// What a register holds, and in which lanes it is defined.
fn value(warp: &Warp, reg: Reg) -> ([u64; 32], u32) {
    let regs = &warp.regs;
    match reg {
        Reg::R(r) => (regs.r[r as usize].0.map(u64::from), regs.r_valid[r as usize]),
        Reg::D(d) => (regs.d[d as usize].0, regs.d_valid[d as usize]),
        Reg::P(p) => {
            let bits = regs.p[p as usize];
            (std::array::from_fn(|lane| u64::from(bits >> lane & 1)), regs.p_valid[p as usize])
        }
        Reg::Sink => ([0; 32], 0),
    }
}

/// What an instruction is about to do besides writing registers.
fn effects(warp: &Warp, op: &Op, mask: u32, left_out: &impl Fn(Pc) -> bool, note: &mut Vec<u64>) {
    let copies = |ended: &dyn Fn(&Pending) -> bool| -> Vec<u64> {
        let ended = warp.pending.iter().filter(|copy| mask >> copy.lane & 1 == 1 && ended(copy));
        let ended = ended.filter(|copy| !left_out(copy.pc));
        ended.map(|copy| u64::from(copy.lane) << 32 | u64::from(copy.dst)).collect()
    };
    let group = |copy: &Pending| warp.group[copy.lane as usize];
    let lanes = || (0..32usize).filter(move |lane| mask >> lane & 1 == 1);
    let at = |address: &Address, lane: usize| {
        warp.regs.d[address.base as usize].0[lane].wrapping_add_signed(address.offset)
    };
    match op {
        Op::Store { addr, v, .. } => {
            for lane in lanes() {
                note.extend([lane as u64, at(addr, lane)]);
                note.extend(v.iter().map(|reg| value(warp, *reg).0[lane]));
            }
        }
        Op::Atom(atom) => {
            for lane in lanes() {
                note.extend([lane as u64, at(&atom.addr, lane), value(warp, atom.b).0[lane]]);
                note.extend(atom.c.map(|reg| value(warp, reg).0[lane]));
            }
        }
        Op::CpAsync { dst, src, bytes, src_bytes } => {
            for lane in lanes() {
                let size = warp.regs.r[*src_bytes as usize].0[lane];
                // Zeros come from nowhere.
                let from = if size == 0 { 0 } else { at(src, lane) };
                note.extend([lane as u64, at(dst, lane), u64::from(*bytes), u64::from(size), from]);
            }
        }
        // A group that holds a copy is closed; groups are complete but for the newest.
        Op::CommitGroup => note.extend(copies(&|copy| copy.group == group(copy))),
        Op::WaitGroup(keep) => {
            note.extend(copies(&|copy| copy.group < group(copy).saturating_sub(*keep)));
        }
        Op::WaitAll => note.extend(copies(&|_| true)),
        Op::Barrier(barrier) => note.push(u64::from(warp.regs.r[barrier.id as usize].0[0])),
        Op::Fence | Op::BarWarp(_) | Op::CopyParams(_) | Op::Trap => note.push(u64::from(mask)),
        Op::Call { .. } | Op::Return | Op::Exit => note.push(u64::from(mask)),
        Op::Alu(_) | Op::Divide32(..) | Op::Divide64(..) => {}
        Op::LoadParam { .. } | Op::Load { .. } | Op::Ldmatrix { .. } => {}
        Op::Mma(_) | Op::Movmatrix(..) | Op::Shfl { .. } | Op::Vote { .. } => {}
        Op::Match { .. } | Op::Redux { .. } | Op::Nop => {}
        Op::Branch { .. } | Op::BranchIndexed { .. } => {}
    }
}

/// The registers that an instruction writes.
fn written(op: &Op) -> Vec<Reg> {
    match op {
        Op::Alu(op) => written_alu(op),
        Op::Divide32(_, d, ..) => vec![Reg::R(*d)],
        Op::Divide64(_, d, ..) => vec![Reg::D(*d)],
        Op::LoadParam { d, .. } | Op::Load { d, .. } => d.to_vec(),
        Op::Atom(atom) => atom.d.into_iter().collect(),
        Op::Ldmatrix { d, .. } => d.iter().map(|r| Reg::R(*r)).collect(),
        Op::Mma(mma) => mma.d.iter().map(|r| Reg::R(*r)).collect(),
        Op::Movmatrix(d, _) | Op::Redux { d, .. } => vec![Reg::R(*d)],
        Op::Shfl { d, ok, .. } | Op::Match { d, ok, .. } => {
            [Reg::R(*d)].into_iter().chain(ok.map(Reg::P)).collect()
        }
        Op::Vote { d, .. } => vec![*d],
        // What `bar.red` delivers is written when the barrier completes; the barrier counts as a change anyway.
        Op::Barrier(_) | Op::BarWarp(_) | Op::Fence => vec![],
        Op::Store { .. } | Op::CpAsync { .. } | Op::CommitGroup => vec![],
        Op::WaitGroup(_) | Op::WaitAll | Op::CopyParams(_) | Op::Call { .. } => vec![],
        Op::Branch { .. } | Op::BranchIndexed { .. } => vec![],
        Op::Return | Op::Exit | Op::Trap | Op::Nop => vec![],
    }
}

fn written_alu(op: &Alu) -> Vec<Reg> {
    let some = |regs: &[Option<R>]| regs.iter().flatten().map(|r| Reg::R(*r)).collect();
    match op {
        Alu::Bin32(_, d, ..) | Alu::Un32(_, d, _) | Alu::Tern32(_, d, ..) => vec![Reg::R(*d)],
        Alu::Bfi32(d, ..) | Alu::Lop3(d, ..) | Alu::Popc64(d, _) => vec![Reg::R(*d)],
        Alu::Clz64(d, _) | Alu::Truncate(d, _) | Alu::Join32(d, ..) => vec![Reg::R(*d)],
        Alu::Special(d, _) | Alu::Sel32(d, ..) | Alu::Slct32 { d, .. } => vec![Reg::R(*d)],
        Alu::Half { d, .. } | Alu::Ieee { d, .. } | Alu::Approx { d, .. } => vec![Reg::R(*d)],
        Alu::ApproxHalf { d, .. } | Alu::ApproxDiv { d, .. } => vec![Reg::R(*d)],
        Alu::PackHalf { d, .. } | Alu::ToTf32 { d, .. } => vec![Reg::R(*d)],
        Alu::Bin64(_, d, ..) | Alu::Un64(_, d, _) | Alu::Shift64(_, d, ..) => vec![Reg::D(*d)],
        Alu::Fma64(d, ..) | Alu::MadLo64(d, ..) | Alu::Bfe64 { d, .. } => vec![Reg::D(*d)],
        Alu::Bfi64(d, ..) | Alu::MulWide { d, .. } | Alu::MadWide { d, .. } => vec![Reg::D(*d)],
        Alu::Extend { d, .. } | Alu::Join64(d, ..) | Alu::Join64x4(d, _) => vec![Reg::D(*d)],
        Alu::Sel64(d, ..) | Alu::Slct64 { d, .. } => vec![Reg::D(*d)],
        Alu::Split64(lo, hi, _) | Alu::Split32(lo, hi, _) => some(&[*lo, *hi]),
        Alu::Split64x4(parts, _) => some(parts),
        Alu::SetpI32 { d, .. } | Alu::SetpF32 { d, .. } | Alu::Setp { d, .. } => vec![Reg::P(*d)],
        Alu::Logic(_, d, ..) | Alu::PredNot(d, _) | Alu::PredMov(d, _) => vec![Reg::P(*d)],
        Alu::PredConst(d, _) | Alu::Testp { d, .. } => vec![Reg::P(*d)],
        Alu::Convert(_, d, _) => vec![*d],
    }
}
