//! Loads and stores of the lanes of a warp.

use super::core::{Core, Region};
use super::step;
use super::warp::Warp;
use crate::finding::Code;
use crate::memory::address::{LOCAL_BASE, LOCAL_WINDOW, SHARED_BASE, SHARED_WINDOW, TAG_SHIFT};
use crate::memory::buffer::Direction;
use crate::program::*;
use crate::regs::Regs;
use crate::syntax::ast::Space;

/// Where one lane's access goes.
pub enum Target {
    Global(u64),
    /// Byte offset in shared memory.
    Shared(u64),
    /// Byte offset in the lane's local memory.
    Local(u64),
}

/// Resolves an address in its space; generic addresses by window.
#[inline(always)]
pub fn resolve(space: Space, address: u64) -> Target {
    match space {
        Space::Global | Space::Const | Space::Param => Target::Global(address),
        Space::Shared => Target::Shared(address.wrapping_sub(SHARED_BASE)),
        Space::Local => Target::Local(address.wrapping_sub(LOCAL_BASE)),
        Space::Generic if address >> TAG_SHIFT == SHARED_WINDOW >> TAG_SHIFT => {
            Target::Shared(address.wrapping_sub(SHARED_WINDOW).wrapping_sub(SHARED_BASE))
        }
        Space::Generic if address >> TAG_SHIFT == LOCAL_WINDOW >> TAG_SHIFT => {
            Target::Local(address.wrapping_sub(LOCAL_WINDOW).wrapping_sub(LOCAL_BASE))
        }
        Space::Generic => Target::Global(address),
    }
}

/// The lane addresses of an operand, and a report if any is undefined.
#[inline(always)]
pub fn addresses(core: &mut Core, warp: &mut Warp, addr: &Address, mask: u32) -> [u64; 32] {
    let undefined = mask & !warp.regs.d_valid[addr.base as usize];
    if undefined != 0 && core.checks {
        step::undefined_use(core, warp, undefined, "address");
    }
    let mut out = warp.regs.d[addr.base as usize].0;
    for a in &mut out {
        *a = a.wrapping_add_signed(addr.offset);
    }
    out
}

/// Checks bounds and alignment of a shared access.
#[inline(always)]
pub fn shared_range(
    core: &mut Core,
    warp: &Warp,
    lane: usize,
    role: &'static str,
    at: u64,
    bytes: u32,
) -> Option<usize> {
    let size = core.shared.bytes.len() as u64;
    if at.checked_add(bytes as u64).is_some_and(|end| end <= size)
        && at.is_multiple_of(bytes as u64)
    {
        return Some(at as usize);
    }
    bad_range(core, warp, lane, role, "shared", at as i64, bytes, size);
    None
}

#[cold]
#[allow(clippy::too_many_arguments)]
fn bad_range(
    core: &mut Core,
    warp: &Warp,
    lane: usize,
    role: &'static str,
    space: &'static str,
    at: i64,
    bytes: u32,
    size: u64,
) {
    let inside = at >= 0 && at as u64 + bytes as u64 <= size;
    let (code, message) = if inside {
        (
            Code::Misaligned,
            format!("{bytes}-byte {role} at {space} byte {at} is not aligned to {bytes} bytes"),
        )
    } else {
        (Code::OutOfBounds, format!("{bytes}-byte {role} at {space} byte {at}, of {size}"))
    };
    let span = (space == "shared").then(|| core.shared_span(at, bytes as u64));
    let details = super::core::Details { role, message, other: None, span, help: None, pc: None };
    core.report(warp, code, Some(lane as u32), details);
}

/// Writes element `e` of what was read into a destination register.
#[inline(always)]
fn deposit(regs: &mut Regs, reg: Reg, access: &Access, lane: usize, raw: u64, valid: bool) {
    let bits = 8 * access.bytes;
    let extended =
        if access.signed { ((raw << (64 - bits)) as i64 >> (64 - bits)) as u64 } else { raw };
    match reg {
        Reg::R(r) => {
            let keep = if access.reg_bits >= 32 { !0 } else { (1 << access.reg_bits) - 1 };
            regs.set_r_lane(r, lane, extended as u32 & keep, valid);
        }
        Reg::D(d) => regs.set_d_lane(d, lane, extended, valid),
        Reg::P(_) | Reg::Sink => {}
    }
}

fn element(data: &[u8], e: usize, bytes: usize) -> u64 {
    let mut raw = [0; 8];
    raw[..bytes].copy_from_slice(&data[e * bytes..(e + 1) * bytes]);
    u64::from_le_bytes(raw)
}

pub fn load_param(
    core: &mut Core,
    warp: &mut Warp,
    access: &Access,
    d: &[Reg],
    offset: u32,
    mask: u32,
) {
    let width = access.bytes as usize;
    let (start, total) = (offset as usize, width * d.len());
    let params = &core.device.params;
    let Some(data) = params.get(start..start + total) else {
        let message =
            format!("{total}-byte read at byte {start} of the {} parameter bytes", params.len());
        return core.simple(warp, Code::OutOfBounds, None, "read", message);
    };
    for (e, reg) in d.iter().enumerate() {
        let raw = element(data, e, width);
        for lane in (0..32).filter(|l| mask >> l & 1 == 1) {
            deposit(&mut warp.regs, *reg, access, lane, raw, true);
        }
    }
}

pub fn load(
    core: &mut Core,
    warp: &mut Warp,
    addr: &Address,
    access: &Access,
    d: &[Reg],
    mask: u32,
) {
    let width = access.bytes as usize;
    let total = width * d.len();
    let at = addresses(core, warp, addr, mask);
    if core.full_counts {
        count(core, warp, addr.space, &at, total as u64, mask);
    }
    for lane in (0..32usize).filter(|l| mask >> l & 1 == 1) {
        let mut data = [0xff; 32];
        let valid =
            read_lane(core, warp, lane, resolve(addr.space, at[lane]), access, &mut data[..total]);
        for (e, reg) in d.iter().enumerate() {
            deposit(&mut warp.regs, *reg, access, lane, element(&data, e, width), valid);
        }
        if access.acquire
            && let Target::Global(address) = resolve(addr.space, at[lane])
        {
            super::atomics::acquire(core, address);
        }
    }
}

/// Reads the bytes of one lane; poison and `false` where that is not possible.
fn read_lane(
    core: &mut Core,
    warp: &Warp,
    lane: usize,
    target: Target,
    access: &Access,
    out: &mut [u8],
) -> bool {
    let bytes = out.len() as u32;
    match target {
        Target::Global(address) => {
            let (index, at) = match core.device.global.locate(address, bytes as u64) {
                Ok(found) => found,
                Err(miss) => {
                    core.global_miss(warp, lane as u32, "read", bytes as u64, miss);
                    return false;
                }
            };
            let buffer = core.device.global.buffer(index);
            buffer.load(at, out);
            if !core.checks || buffer.direction == Direction::In {
                return true;
            }
            let who = warp.who(lane as u32, warp.pc, access.strong);
            let conflict = buffer.note_read(&core.visitor(), &who, at, bytes as u64);
            if let Some(conflict) = conflict {
                let region = Region { buffer: index, start: at, bytes: bytes as u64 };
                core.global_conflict(warp, lane as u32, "read", region, conflict);
            }
            buffer.defined(at, bytes as u64)
        }
        Target::Shared(at) => {
            let Some(at) = shared_range(core, warp, lane, "read", at, bytes) else {
                return false;
            };
            out.copy_from_slice(&core.shared.bytes[at..at + bytes as usize]);
            let who = warp.who(lane as u32, warp.pc, access.strong);
            if let Err(clash) = core.shared.read(&who, at, bytes as usize) {
                core.shared_clash(warp, Some(lane as u32), "read", at, bytes as usize, clash);
            }
            true
        }
        Target::Local(at) => {
            let Some(range) = local_range(core, warp, lane, "read", at, bytes) else {
                return false;
            };
            out.copy_from_slice(&warp.local[range.clone()]);
            warp.local_defined[range].iter().all(|d| *d)
        }
    }
}

fn local_range(
    core: &mut Core,
    warp: &Warp,
    lane: usize,
    role: &'static str,
    at: u64,
    bytes: u32,
) -> Option<std::ops::Range<usize>> {
    let frame = warp.local.len() as u64 / 32;
    if at.checked_add(bytes as u64).is_some_and(|end| end <= frame)
        && at.is_multiple_of(bytes as u64)
    {
        let start = (lane as u64 * frame + at) as usize;
        return Some(start..start + bytes as usize);
    }
    bad_range(core, warp, lane, role, "local", at as i64, bytes, frame);
    None
}

pub fn store(
    core: &mut Core,
    warp: &mut Warp,
    addr: &Address,
    access: &Access,
    v: &[Reg],
    mask: u32,
) {
    let width = access.bytes as usize;
    let total = width * v.len();
    let at = addresses(core, warp, addr, mask);
    if core.full_counts {
        count(core, warp, addr.space, &at, total as u64, mask);
    }
    let mut valid = !0;
    for reg in v {
        valid &= match reg {
            Reg::R(r) => warp.regs.r_valid[*r as usize],
            Reg::D(d) => warp.regs.d_valid[*d as usize],
            Reg::P(_) | Reg::Sink => !0,
        };
    }
    for lane in (0..32usize).filter(|l| mask >> l & 1 == 1) {
        let mut data = [0; 32];
        for (e, reg) in v.iter().enumerate() {
            let raw = match reg {
                Reg::R(r) => warp.regs.r[*r as usize].0[lane] as u64,
                Reg::D(d) => warp.regs.d[*d as usize].0[lane],
                Reg::P(_) | Reg::Sink => 0,
            };
            data[e * width..(e + 1) * width].copy_from_slice(&raw.to_le_bytes()[..width]);
        }
        let target = resolve(addr.space, at[lane]);
        if access.release
            && let Target::Global(address) = target
        {
            super::atomics::publish(core, address, &super::atomics::knowledge(warp));
        }
        write_lane(core, warp, lane, target, access.strong, &data[..total], valid >> lane & 1 == 1);
    }
}

fn write_lane(
    core: &mut Core,
    warp: &mut Warp,
    lane: usize,
    target: Target,
    strong: bool,
    data: &[u8],
    valid: bool,
) {
    let bytes = data.len() as u32;
    match target {
        Target::Global(address) => {
            let (index, at) = match core.device.global.locate(address, bytes as u64) {
                Ok(found) => found,
                Err(miss) => {
                    return core.global_miss(warp, lane as u32, "write", bytes as u64, miss);
                }
            };
            if !valid && core.checks {
                step::undefined_use(core, warp, 1 << lane, "output");
            }
            if write_global(core, warp, lane, index, at, bytes, strong) {
                core.device.global.buffer(index).store(at, data);
            }
        }
        Target::Shared(at) => {
            let Some(at) = shared_range(core, warp, lane, "write", at, bytes) else {
                return;
            };
            let who = warp.who(lane as u32, warp.pc, strong);
            let result = core.shared.write(&who, at, bytes as usize, valid);
            core.shared.bytes[at..at + bytes as usize].copy_from_slice(data);
            if let Err(clash) = result {
                core.shared_clash(warp, Some(lane as u32), "write", at, bytes as usize, clash);
            }
        }
        Target::Local(at) => {
            if let Some(range) = local_range(core, warp, lane, "write", at, bytes) {
                warp.local[range.clone()].copy_from_slice(data);
                warp.local_defined[range].fill(valid);
            }
        }
    }
}

/// Checks a write to global memory; `false` if it must not happen.
pub fn write_global(
    core: &mut Core,
    warp: &Warp,
    lane: usize,
    index: usize,
    at: u64,
    bytes: u32,
    strong: bool,
) -> bool {
    let buffer = core.device.global.buffer(index);
    if buffer.direction == Direction::In {
        let message =
            format!("{bytes}-byte write at byte {at} of `{}`, which is an input", buffer.name);
        let span = Some(core.global_span(index, at as i64, bytes as u64));
        let details = super::core::Details {
            role: "write",
            message,
            other: None,
            span,
            help: None,
            pc: None,
        };
        core.report(warp, Code::ReadOnly, Some(lane as u32), details);
        return false;
    }
    if core.checks {
        let who = warp.who(lane as u32, warp.pc, strong);
        let conflict = buffer.note_write(&core.visitor(), &who, at, bytes as u64);
        if let Some(conflict) = conflict {
            let region = Region { buffer: index, start: at, bytes: bytes as u64 };
            core.global_conflict(warp, lane as u32, "write", region, conflict);
        }
    }
    true
}

/// Counts the transactions of a request: 32-byte sectors in global memory, wavefronts in shared memory.
pub fn count(core: &mut Core, warp: &Warp, space: Space, at: &[u64; 32], bytes: u64, mask: u32) {
    let lanes = || (0..32usize).filter(move |l| mask >> l & 1 == 1);
    let Some(first) = lanes().next() else {
        return;
    };
    match resolve(space, at[first]) {
        Target::Global(_) => {
            let sectors = distinct(lanes().flat_map(|l| at[l] / 32..=(at[l] + bytes - 1) / 32));
            let ideal = (distinct(lanes().map(|l| at[l])) * bytes).div_ceil(32);
            core.tally.request(warp.pc, sectors, ideal);
        }
        Target::Shared(_) => {
            // Wide accesses are served in halves or quarters of the warp.
            let group = match bytes {
                16.. => 8,
                8 => 16,
                _ => 32,
            };
            let (mut actual, mut ideal) = (0, 0);
            for g in 0..32 / group {
                let words = lanes()
                    .filter(|l| l / group == g)
                    .flat_map(|l| at[l] / 4..=(at[l] + bytes - 1) / 4);
                let (a, i) = wavefronts(words);
                actual += a;
                ideal += i;
            }
            core.tally.request(warp.pc, actual, ideal);
            core.bank_warning(warp, actual, ideal);
        }
        Target::Local(_) => {}
    }
}

/// Passes over the 32 banks that these words need, and would need at best.
pub fn wavefronts(words: impl Iterator<Item = u64> + Clone) -> (u64, u64) {
    // Mostly every bank serves one word, however often; only otherwise are the words sorted.
    let mut served = [u64::MAX; 32];
    let mut one_each = true;
    for w in words.clone() {
        let bank = &mut served[(w % 32) as usize];
        one_each &= *bank == u64::MAX || *bank == w;
        *bank = w;
    }
    if one_each {
        let any = served.iter().any(|w| *w != u64::MAX) as u64;
        return (any, any);
    }
    let mut distinct: Vec<u64> = words.collect();
    distinct.sort_unstable();
    distinct.dedup();
    let mut banks = [0u64; 32];
    for w in &distinct {
        banks[(w % 32) as usize] += 1;
    }
    (banks.into_iter().max().unwrap_or(0), (distinct.len() as u64).div_ceil(32))
}

/// How many different values there are; fast where they rise, as addresses of neighbouring lanes do.
fn distinct(values: impl Iterator<Item = u64> + Clone) -> u64 {
    let (mut count, mut last) = (0, None);
    for v in values.clone() {
        if last.is_some_and(|l| v < l) {
            let mut all: Vec<u64> = values.collect();
            all.sort_unstable();
            all.dedup();
            return all.len() as u64;
        }
        count += (last != Some(v)) as u64;
        last = Some(v);
    }
    count
}
