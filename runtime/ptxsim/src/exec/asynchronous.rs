//! `cp.async`: a copy starts at issue and is complete when the thread that issued it waits for its group.
//!
//! In between the destination belongs to the copy: the shadow says so, and under late delivery the bytes are poison and
//! the source has not been read. Completion is visible to the owner only; others need a barrier after it.

use super::core::{Core, Details, Region};
use super::memory::{addresses, count, shared_range};
use super::step;
use super::warp::{Pending, Warp};
use crate::finding::Code;
use crate::launch::Delivery;
use crate::memory::address::SHARED_BASE;
use crate::memory::buffer::Direction;
use crate::memory::order::Mark;
use crate::program::*;
use crate::syntax::ast::Space;

#[allow(clippy::too_many_arguments)]
pub fn issue(
    core: &mut Core,
    warp: &mut Warp,
    dst: &Address,
    src: &Address,
    bytes: u32,
    src_bytes: R,
    mask: u32,
) {
    let to = addresses(core, warp, dst, mask);
    let from = addresses(core, warp, src, mask);
    let undefined = mask & !warp.regs.r_valid[src_bytes as usize];
    if undefined != 0 && core.checks {
        step::undefined_use(core, warp, undefined, "source size");
    }
    let sizes = warp.regs.r[src_bytes as usize].0;
    if core.full_counts {
        let reading =
            (0..32).filter(|l| mask >> l & 1 == 1 && sizes[*l] > 0).fold(0, |m, l| m | 1u32 << l);
        count(core, warp, Space::Global, &from, bytes as u64, reading);
    }
    for lane in (0..32usize).filter(|l| mask >> l & 1 == 1) {
        let offset = to[lane].wrapping_sub(SHARED_BASE);
        let Some(at) = shared_range(core, warp, lane, "copy", offset, bytes) else {
            continue;
        };
        let size = sizes[lane];
        if size > bytes {
            let message = format!("cp.async of {bytes} bytes with a source of {size} bytes");
            core.simple(warp, Code::CopySize, Some(lane as u32), "copy", message);
            continue;
        }
        if !source_is_legal(core, warp, lane, from[lane], bytes, size) {
            continue;
        }
        let who = warp.who(lane as u32, warp.pc, false);
        if let Err(clash) = core.shared.begin_copy(&who, at, bytes as usize) {
            core.shared_clash(warp, Some(lane as u32), "copy", at, bytes as usize, clash);
        }
        let pending = Pending {
            lane: lane as u32,
            group: warp.group[lane],
            dst: at as u32,
            bytes: bytes as u8,
            src_bytes: size as u8,
            src: from[lane],
            pc: warp.pc,
            version: history(core, from[lane], size).map(|h| h.0),
        };
        match core.device.config.delivery {
            Delivery::Late => core.shared.bytes[at..at + bytes as usize].fill(0xff),
            Delivery::Early => deliver(core, &pending),
        }
        warp.pending.push(pending);
    }
}

/// Bytes beyond the source size are not read, so a size of zero may carry any address; alignment is demanded always.
fn source_is_legal(
    core: &mut Core,
    warp: &Warp,
    lane: usize,
    address: u64,
    bytes: u32,
    size: u32,
) -> bool {
    if !address.is_multiple_of(bytes as u64) {
        let message = format!("cp.async source {address:#x} is not aligned to {bytes} bytes");
        core.simple(warp, Code::Misaligned, Some(lane as u32), "read", message);
        return false;
    }
    if size == 0 {
        return true;
    }
    // A source that ends inside a buffer is read only up to the source size.
    let whole = size.next_power_of_two();
    let found = if size == whole {
        core.device.global.locate(address, size as u64)
    } else {
        let last = core.device.global.locate(address + size as u64 - 1, 1);
        last.and_then(|_| core.device.global.locate(address, 1))
    };
    match found {
        Ok((index, at)) => {
            let buffer = core.device.global.buffer(index);
            if buffer.direction != Direction::In && core.checks {
                let who = warp.who(lane as u32, warp.pc, false);
                let conflict = buffer.note_read(&core.visitor(), &who, at, size as u64);
                if let Some(conflict) = conflict {
                    let region = Region { buffer: index, start: at, bytes: size as u64 };
                    core.global_conflict(warp, lane as u32, "read", region, conflict);
                }
                if !buffer.defined(at, size as u64) {
                    step::undefined_use(core, warp, 1 << lane, "source of a copy");
                }
            }
            true
        }
        Err(miss) => {
            core.global_miss(warp, lane as u32, "read", size as u64, miss);
            false
        }
    }
}

/// What is known of the writes to a source that can be written.
fn history(core: &Core, src: u64, size: u32) -> Option<(u64, Option<(u32, Mark)>)> {
    if size == 0 || !core.checks {
        return None;
    }
    let (index, at) = core.device.global.locate(src, 1).ok()?;
    core.device.global.buffer(index).history(at, size as u64)
}

/// Until a copy has finished its source may not be written.
fn check_source(core: &mut Core, warp: &Warp, p: &Pending) {
    let (Some(before), Some((now, writer))) = (p.version, history(core, p.src, p.src_bytes as u32))
    else {
        return;
    };
    if now == before {
        return;
    }
    let message =
        "the source of an asynchronous copy was written before the copy had finished".into();
    let details = Details {
        role: "copy",
        message,
        other: writer.map(|(cta, mark)| ("write", cta, mark)),
        span: None,
        help: Some(
            "the write belongs after the cp.async.wait_group that completes the copy".into(),
        ),
        pc: Some(p.pc),
    };
    core.report(warp, Code::InFlight, Some(p.lane), details);
}

/// Moves the bytes of a copy, zeros after the source's.
fn deliver(core: &mut Core, p: &Pending) {
    let (start, total, size) = (p.dst as usize, p.bytes as usize, p.src_bytes as usize);
    let mut data = [0u8; 16];
    if size > 0
        && let Ok((index, at)) = core.device.global.locate(p.src, 1)
    {
        let buffer = core.device.global.buffer(index);
        if size % 4 == 0 {
            buffer.load(at, &mut data[..size]);
        } else {
            for (i, byte) in data[..size].iter_mut().enumerate() {
                buffer.load(at + i as u64, std::slice::from_mut(byte));
            }
        }
    }
    core.shared.bytes[start..start + total].copy_from_slice(&data[..total]);
}

pub fn commit(warp: &mut Warp, mask: u32) {
    for (lane, group) in warp.group.iter_mut().enumerate() {
        *group += mask >> lane & 1;
    }
}

/// Completes every group of the waiting lanes but the `keep` newest.
pub fn wait(core: &mut Core, warp: &mut Warp, keep: u32, mask: u32) {
    let mut pending = std::mem::take(&mut warp.pending);
    let complete = |warp: &Warp, p: &Pending| {
        mask >> p.lane & 1 == 1 && p.group < warp.group[p.lane as usize].saturating_sub(keep)
    };
    for p in &pending {
        if complete(warp, p) {
            check_source(core, warp, p);
            if core.device.config.delivery == Delivery::Late {
                deliver(core, p);
            }
            let who = warp.who(p.lane, warp.pc, false);
            core.shared.complete_copy(&who, p.dst as usize, p.bytes as usize);
        }
    }
    pending.retain(|p| !complete(warp, p));
    warp.pending = pending;
}
