//! `ldmatrix`, `movmatrix` and the operand check of `mma` (PTX ISA 9.7.14.5).

use super::core::Core;
use super::memory::{Target, addresses, resolve, shared_range, wavefronts};
use super::step;
use super::warp::Warp;
use crate::finding::Code;
use crate::program::*;

/// Eight rows of 16 bytes for each matrix, row addresses from eight lanes each. Lane l receives elements 2t and 2t + 1 of
/// row l / 4; transposed, the elements of column l / 4 in rows 2t and 2t + 1.
pub fn ldmatrix(core: &mut Core, warp: &mut Warp, addr: &Address, trans: bool, d: &[R]) {
    let lanes = if d.len() == 4 { !0 } else { (1u32 << (8 * d.len())) - 1 };
    let at = addresses(core, warp, addr, lanes);
    let (mut actual, mut ideal) = (0, 0);
    for (m, d) in d.iter().enumerate() {
        let mut rows = [[0xffu8; 16]; 8];
        let mut valid = true;
        let mut starts = [0u64; 8];
        for (i, row) in rows.iter_mut().enumerate() {
            let lane = 8 * m + i;
            let Target::Shared(offset) = resolve(addr.space, at[lane]) else {
                let message =
                    format!("ldmatrix from {:#x}, which is not in shared memory", at[lane]);
                core.simple(warp, Code::OutOfBounds, Some(lane as u32), "read", message);
                valid = false;
                continue;
            };
            let Some(start) = shared_range(core, warp, lane, "read", offset, 16) else {
                valid = false;
                continue;
            };
            starts[i] = start as u64;
            // Several lanes receive the row, whoever gave its address; 0xff is the lane that is several.
            let who = warp.who(0xff, warp.pc, false);
            if let Err(clash) = core.shared.read(&who, start, 16) {
                core.shared_clash(warp, Some(lane as u32), "read", start, 16, clash);
            }
            row.copy_from_slice(&core.shared.bytes[start..start + 16]);
        }
        if core.full_counts {
            let (a, n) = wavefronts(starts.iter().flat_map(|s| s / 4..s / 4 + 4));
            actual += a;
            ideal += n;
        }
        let mut t = [0; 32];
        if trans {
            for (lane, t) in t.iter_mut().enumerate() {
                let (row, col) = (2 * (lane % 4), 2 * (lane / 4));
                *t = u32::from_le_bytes([
                    rows[row][col],
                    rows[row][col + 1],
                    rows[row + 1][col],
                    rows[row + 1][col + 1],
                ]);
            }
        } else {
            for (lane, t) in t.iter_mut().enumerate() {
                let (row, col) = (lane / 4, 4 * (lane % 4));
                *t = u32::from_le_bytes([
                    rows[row][col],
                    rows[row][col + 1],
                    rows[row][col + 2],
                    rows[row][col + 3],
                ]);
            }
        }
        warp.regs.set_r(*d, &t, !0, if valid { !0 } else { 0 });
    }
    if core.full_counts {
        core.tally.request(warp.pc, actual, ideal);
        core.bank_warning(warp, actual, ideal);
    }
}

/// Transposes an 8 by 8 matrix of 16-bit elements held by the warp.
pub fn movmatrix(warp: &mut Warp, d: R, a: R) {
    let x = warp.regs.r[a as usize].0;
    let element = |row: usize, col: usize| x[4 * row + col / 2] >> (16 * (col % 2)) & 0xffff;
    let t = std::array::from_fn(|lane| {
        let (row, col) = (lane / 4, 2 * (lane % 4));
        element(col, row) | element(col + 1, row) << 16
    });
    let valid = if warp.regs.r_valid[a as usize] == !0 { !0 } else { 0 };
    warp.regs.set_r(d, &t, !0, valid);
}

/// Every operand of a matrix product has to be defined in every lane: each reaches many outputs.
#[inline(always)]
pub fn check_operands(core: &mut Core, warp: &Warp, mma: &Mma) {
    let operands = mma.a.iter().chain(&mma.b).chain(&mma.c);
    let valid = operands.fold(!0, |v, r| v & warp.regs.r_valid[*r as usize]);
    if valid != !0 && core.checks {
        step::undefined_use(core, warp, !valid, "matrix operand");
    }
}
