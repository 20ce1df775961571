//! The shadow of global memory: for each cell the last writer and the last reader of the launch.
//!
//! CTAs run on several threads, so the fields are relaxed atomics. A conflict between CTAs is seen whichever comes
//! first: a write meets the recorded reader, a read the recorded writer. Ordering inside a CTA uses its warps' clocks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::order::{MAX_WARPS, Mark, Who};

/// cta + 1 in the top 28 bits, thread in 10, then three flags, and the pc in 23.
#[derive(Clone, Copy)]
struct Stamp(u64);

/// The write, or every read since the last ordered one, was atomic or strong.
const STRONG: u64 = 1 << 23;
const SEVERAL_THREADS: u64 = 1 << 24;
const SEVERAL_CTAS: u64 = 1 << 25;

impl Stamp {
    fn new(cta: u32, who: &Who, flags: u64) -> Stamp {
        let thread = (who.warp << 5 | who.lane & 31) as u64;
        Stamp((cta as u64 + 1) << 36 | thread << 26 | flags | who.pc as u64)
    }

    fn cta(self) -> Option<u32> {
        ((self.0 >> 36) as u32).checked_sub(1)
    }

    fn thread(self) -> u32 {
        (self.0 >> 26) as u32 & 0x3ff
    }

    fn has(self, flag: u64) -> bool {
        self.0 & flag != 0
    }

    fn mark(self) -> Mark {
        let thread = self.thread();
        Mark { warp: thread >> 5, lane: Some(thread & 31), pc: self.0 as u32 & 0x7f_ffff }
    }
}

/// Shadow of one cell.
#[derive(Default)]
struct Cell {
    writer: AtomicU64,
    reader: AtomicU64,
    /// Writer's clock in the high half, reader's in the low.
    clocks: AtomicU64,
}

/// Shadow cells of a buffer or a page.
pub struct Shadow {
    cells: Vec<Cell>,
    grain: u32,
}

/// An earlier access that nothing orders before this one.
#[derive(Clone, Copy, Debug)]
pub struct Conflict {
    pub cta: u32,
    pub mark: Mark,
    pub wrote: bool,
    /// It stands for reads by several CTAs or threads, this one among them.
    pub several: bool,
}

/// What a CTA has acquired from others: the clocks of their warps that it has synchronised with.
pub type Acquired = std::collections::BTreeMap<u32, [u32; MAX_WARPS]>;

/// The accessing CTA.
pub struct Visitor<'a> {
    pub cta: u32,
    pub acquired: &'a Acquired,
}

impl Shadow {
    pub fn new(bytes: u64, grain: u32) -> Shadow {
        Shadow {
            cells: (0..bytes.div_ceil(grain as u64)).map(|_| Cell::default()).collect(),
            grain,
        }
    }

    fn range(&self, at: u64, bytes: u64) -> std::ops::Range<usize> {
        let g = self.grain as u64;
        (at / g) as usize..(at + bytes).div_ceil(g) as usize
    }

    /// Whether every cell of the range was written in this launch.
    pub fn written(&self, at: u64, bytes: u64) -> bool {
        self.cells[self.range(at, bytes)].iter().all(|c| c.writer.load(Relaxed) != 0)
    }

    /// A number that changes with every write to the range.
    pub fn version(&self, at: u64, bytes: u64) -> u64 {
        self.cells[self.range(at, bytes)].iter().fold(0, |version, cell| {
            let clock = cell.clocks.load(Relaxed) >> 32;
            crate::hash::mix(version ^ cell.writer.load(Relaxed) ^ clock << 13)
        })
    }

    /// A last writer of the range: CTA and instruction.
    pub fn writer(&self, at: u64, bytes: u64) -> Option<(u32, Mark)> {
        let stamps =
            self.cells[self.range(at, bytes)].iter().map(|c| Stamp(c.writer.load(Relaxed)));
        stamps.filter_map(|s| s.cta().map(|cta| (cta, s.mark()))).last()
    }

    pub fn read(&self, visitor: &Visitor, who: &Who, at: u64, bytes: u64) -> Option<Conflict> {
        let mut conflict = None;
        for cell in &self.cells[self.range(at, bytes)] {
            let clocks = cell.clocks.load(Relaxed);
            let writer = Stamp(cell.writer.load(Relaxed));
            let ordered = ordered(visitor, who, writer, (clocks >> 32) as u32);
            let both_strong = who.strong && writer.has(STRONG);
            if !ordered && !both_strong {
                conflict = writer.cta().map(|cta| Conflict {
                    cta,
                    mark: writer.mark(),
                    wrote: true,
                    several: false,
                });
            }
            let old = Stamp(cell.reader.load(Relaxed));
            let old_ordered = self::ordered(visitor, who, old, clocks as u32)
                && !old.has(SEVERAL_CTAS | SEVERAL_THREADS);
            if who.strong && !old_ordered && !old.has(STRONG) {
                // A plain read that is not ordered before this one races with more, and is kept.
                continue;
            }
            let mut flags = if who.strong { STRONG } else { 0 };
            match old.cta() {
                Some(cta) if cta != visitor.cta || old.has(SEVERAL_CTAS) => flags |= SEVERAL_CTAS,
                Some(_)
                    if old.thread() != (who.warp << 5 | who.lane & 31)
                        && (clocks as u32) == who.clock =>
                {
                    flags |= SEVERAL_THREADS
                }
                _ => {}
            }
            cell.reader.store(Stamp::new(visitor.cta, who, flags).0, Relaxed);
            cell.clocks.store(clocks >> 32 << 32 | who.clock as u64, Relaxed);
        }
        conflict
    }

    pub fn write(&self, visitor: &Visitor, who: &Who, at: u64, bytes: u64) -> Option<Conflict> {
        let mut conflict = None;
        let flags = if who.strong { STRONG } else { 0 };
        for cell in &self.cells[self.range(at, bytes)] {
            let clocks = cell.clocks.load(Relaxed);
            let old = Stamp(cell.writer.swap(Stamp::new(visitor.cta, who, flags).0, Relaxed));
            let both_strong = who.strong && old.has(STRONG);
            if !ordered(visitor, who, old, (clocks >> 32) as u32) && !both_strong {
                conflict = old.cta().map(|cta| Conflict {
                    cta,
                    mark: old.mark(),
                    wrote: true,
                    several: false,
                });
            }
            let reader = Stamp(cell.reader.load(Relaxed));
            let same_cta = reader.cta() == Some(visitor.cta);
            let alone = !(reader.has(SEVERAL_CTAS) || same_cta && reader.has(SEVERAL_THREADS));
            let clock = clocks as u32;
            let seen = ordered(visitor, who, reader, clock)
                && (alone
                    || clock <= visitor_knows(visitor, who, reader) && !reader.has(SEVERAL_CTAS));
            let both_strong = who.strong && reader.has(STRONG);
            if !seen && !both_strong {
                let own = ordered(visitor, who, reader, clock);
                conflict = reader.cta().map(|cta| Conflict {
                    cta,
                    mark: reader.mark(),
                    wrote: false,
                    several: own,
                });
            }
            cell.clocks.store((who.clock as u64) << 32 | clocks & 0xffff_ffff, Relaxed);
        }
        conflict
    }
}

/// The latest clock of the stamped warp that the visitor has synchronised with.
fn visitor_knows(visitor: &Visitor, who: &Who, stamp: Stamp) -> u32 {
    let warp = (stamp.thread() >> 5) as usize;
    match stamp.cta() {
        Some(cta) if cta == visitor.cta => who.known[warp],
        Some(cta) => visitor.acquired.get(&cta).map_or(0, |clocks| clocks[warp]),
        None => u32::MAX,
    }
}

fn ordered(visitor: &Visitor, who: &Who, stamp: Stamp, clock: u32) -> bool {
    let same_thread =
        stamp.cta() == Some(visitor.cta) && stamp.thread() == (who.warp << 5 | who.lane & 31);
    same_thread || clock <= visitor_knows(visitor, who, stamp)
}
