//! Shared memory of one CTA with a shadow: for every byte whether it is defined, who wrote it last and who has read it.
//!
//! The shadow works on granules of 16 bytes, which is what `ldmatrix` and `cp.async` touch, and splits a granule to words
//! or bytes at the first narrower access. Nothing is approximated: word granularity alone would miss races between
//! neighbouring half-precision elements and invent others.

use super::order::{MAX_WARPS, Mark, Who};

/// A lane field meaning several lanes.
const MANY: u32 = 0xff;
/// In the info of reads: every read at this clock was strong.
const STRONG_READS: u32 = 1 << 31;
const GRANULE: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum State {
    Uninit,
    Ready,
    InFlight,
}

/// Shadow of one granule, word or byte.
#[derive(Clone, Copy)]
struct Cell {
    /// Clock of the last writer; 0: none.
    clock: u32,
    /// pc << 8 | lane of the last writer.
    info: u32,
    warp: u8,
    state: State,
    strong: bool,
}

const FRESH: Cell = Cell { clock: 0, info: 0, warp: 0, state: State::Uninit, strong: false };

/// The last reads by one warp.
#[derive(Clone, Copy, Default)]
struct Reads {
    clock: u32,
    /// pc << 8 | lane, lane `MANY` if several.
    info: u32,
}

/// Cells of one granularity.
#[derive(Default)]
struct Plane {
    cells: Vec<Cell>,
    /// `num_warps` entries for each cell.
    reads: Vec<Reads>,
}

/// Why an access is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clash {
    Uninit,
    InFlight(Mark),
    /// The earlier access was a write.
    AfterWrite(Mark),
    /// The earlier access was a read.
    AfterRead(Mark),
}

/// Bytes, their shadow, and nothing else.
pub struct SharedMemory {
    pub bytes: Vec<u8>,
    planes: [Plane; 3],
    /// Index into `planes` for each granule.
    level: Vec<u8>,
    num_warps: usize,
    checks: bool,
}

/// Bytes of a cell in each plane.
const CELL_BYTES: [usize; 3] = [16, 4, 1];

impl SharedMemory {
    /// Memory of `bytes` bytes for CTAs of `num_warps` warps.
    pub fn new(bytes: usize, num_warps: usize, checks: bool) -> Self {
        debug_assert!(num_warps <= MAX_WARPS);
        let granules = if checks { bytes.div_ceil(GRANULE) } else { 0 };
        let mut memory = SharedMemory {
            bytes: vec![0xff; bytes],
            planes: Default::default(),
            level: vec![0; granules],
            num_warps,
            checks,
        };
        memory.planes[0] = memory.plane(granules);
        memory
    }

    fn plane(&self, cells: usize) -> Plane {
        Plane { cells: vec![FRESH; cells], reads: vec![Reads::default(); cells * self.num_warps] }
    }

    /// Forgets everything: a new CTA begins.
    pub fn reset(&mut self) {
        self.bytes.fill(0xff);
        self.level.fill(0);
        self.planes[0].cells.fill(FRESH);
        self.planes[0].reads.fill(Reads::default());
    }

    /// The cells that cover an aligned access of at most 16 bytes: plane, first cell, count.
    #[inline(always)]
    fn cells(&mut self, at: usize, bytes: usize) -> (usize, usize, usize) {
        let granule = at / GRANULE;
        let needed = if bytes == GRANULE {
            0
        } else if bytes.is_multiple_of(4) {
            1
        } else {
            2
        };
        if (self.level[granule] as usize) < needed {
            self.split(granule, needed);
        }
        let plane = self.level[granule] as usize;
        (plane, at / CELL_BYTES[plane], bytes / CELL_BYTES[plane])
    }

    #[cold]
    fn split(&mut self, granule: usize, to: usize) {
        let from = self.level[granule] as usize;
        self.level[granule] = to as u8;
        if self.planes[to].cells.is_empty() {
            self.planes[to] = self.plane(self.level.len() * GRANULE / CELL_BYTES[to]);
        }
        let per_granule = GRANULE / CELL_BYTES[to];
        let old_per_granule = GRANULE / CELL_BYTES[from];
        let w = self.num_warps;
        for i in 0..per_granule {
            let source = granule * old_per_granule + i * old_per_granule / per_granule;
            let target = granule * per_granule + i;
            self.planes[to].cells[target] = self.planes[from].cells[source];
            for warp in 0..w {
                self.planes[to].reads[target * w + warp] =
                    self.planes[from].reads[source * w + warp];
            }
        }
    }

    /// Checks and records a read of `bytes` aligned bytes at `at`, both inside the memory.
    #[inline(always)]
    pub fn read(&mut self, who: &Who, at: usize, bytes: usize) -> Result<(), Clash> {
        if !self.checks {
            return Ok(());
        }
        let (plane, first, count) = self.cells(at, bytes);
        let w = self.num_warps;
        let Plane { cells, reads } = &mut self.planes[plane];
        let mut result = Ok(());
        for i in first..first + count {
            let cell = &cells[i];
            if cell.state != State::Ready {
                result = Err(if cell.state == State::Uninit {
                    Clash::Uninit
                } else {
                    Clash::InFlight(mark(cell.warp as u32, cell.info))
                });
            } else if unordered(cell.clock, cell.warp as u32, cell.info, who)
                && !(who.strong && cell.strong)
            {
                result = Err(Clash::AfterWrite(mark(cell.warp as u32, cell.info)));
            }
            let entry = &mut reads[i * w + who.warp as usize];
            let several = entry.clock == who.clock && entry.info & 0xff != who.lane;
            let only_strong = entry.clock != who.clock || entry.info & STRONG_READS != 0;
            let strong = if who.strong && only_strong { STRONG_READS } else { 0 };
            *entry = Reads {
                clock: who.clock,
                info: strong | who.pc << 8 | if several { MANY } else { who.lane },
            };
        }
        result
    }

    /// Checks and records a write; `defined` tells whether the bytes have a defined value afterwards.
    #[inline(always)]
    pub fn write(
        &mut self,
        who: &Who,
        at: usize,
        bytes: usize,
        defined: bool,
    ) -> Result<(), Clash> {
        self.write_as(who, at, bytes, if defined { State::Ready } else { State::Uninit })
    }

    /// Checks and records the start of an asynchronous copy into these bytes.
    #[inline(always)]
    pub fn begin_copy(&mut self, who: &Who, at: usize, bytes: usize) -> Result<(), Clash> {
        self.write_as(who, at, bytes, State::InFlight)
    }

    #[inline(always)]
    fn write_as(&mut self, who: &Who, at: usize, bytes: usize, state: State) -> Result<(), Clash> {
        if !self.checks {
            return Ok(());
        }
        let (plane, first, count) = self.cells(at, bytes);
        let w = self.num_warps;
        let Plane { cells, reads } = &mut self.planes[plane];
        let mut result = Ok(());
        for i in first..first + count {
            let cell = &mut cells[i];
            if cell.state == State::InFlight {
                result = Err(Clash::InFlight(mark(cell.warp as u32, cell.info)));
            } else if unordered(cell.clock, cell.warp as u32, cell.info, who)
                && !(who.strong && cell.strong)
            {
                result = Err(Clash::AfterWrite(mark(cell.warp as u32, cell.info)));
            }
            for (warp, entry) in reads[i * w..(i + 1) * w].iter().enumerate() {
                let both_strong = who.strong && entry.info & STRONG_READS != 0;
                if unordered(entry.clock, warp as u32, entry.info, who) && !both_strong {
                    result = Err(Clash::AfterRead(mark(warp as u32, entry.info)));
                }
            }
            *cell = Cell {
                clock: who.clock,
                info: who.pc << 8 | who.lane,
                warp: who.warp as u8,
                state,
                strong: who.strong,
            };
        }
        result
    }

    /// Marks a read-modify-write: it conflicts with plain reads and writes, not with other atomics.
    pub fn atomic(&mut self, who: &Who, at: usize, bytes: usize) -> Result<(), Clash> {
        if !self.checks {
            return Ok(());
        }
        let (plane, first, count) = self.cells(at, bytes);
        if self.planes[plane].cells[first..first + count].iter().any(|c| c.state == State::Uninit) {
            self.write(who, at, bytes, true)?;
            return Err(Clash::Uninit);
        }
        self.write(who, at, bytes, true)
    }

    /// The copy into these bytes has completed and is visible to its owner.
    #[inline(always)]
    pub fn complete_copy(&mut self, who: &Who, at: usize, bytes: usize) {
        if !self.checks {
            return;
        }
        let (plane, first, count) = self.cells(at, bytes);
        for cell in &mut self.planes[plane].cells[first..first + count] {
            // Bytes that someone overwrote meanwhile were reported then, and are no longer this copy's.
            if cell.state == State::InFlight
                && cell.warp as u32 == who.warp
                && cell.info & 0xff == who.lane
            {
                cell.state = State::Ready;
                cell.clock = who.clock;
            }
        }
    }
}

/// Whether an access with `clock` by the lane of `info` in `warp` is not ordered before `who`.
#[inline(always)]
fn unordered(clock: u32, warp: u32, info: u32, who: &Who) -> bool {
    clock > who.known[warp as usize & (MAX_WARPS - 1)]
        && !(warp == who.warp && info & 0xff == who.lane)
}

fn mark(warp: u32, info: u32) -> Mark {
    let lane = info & 0xff;
    Mark { warp, lane: (lane != MANY).then_some(lane), pc: (info & !STRONG_READS) >> 8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(warp: u32, lane: u32, clock: u32, known: &[u32; MAX_WARPS]) -> Who<'_> {
        Who { warp, lane, pc: 7, clock, known, strong: false }
    }

    #[test]
    fn half_words_of_one_word_do_not_race_and_equal_bytes_do() {
        let mut memory = SharedMemory::new(64, 2, true);
        let known = [0; MAX_WARPS];
        memory.write(&who(0, 0, 1, &known), 0, 2, true).unwrap();
        memory.write(&who(0, 1, 1, &known), 2, 2, true).unwrap();
        let other = memory.write(&who(1, 0, 1, &known), 2, 2, true);
        assert_eq!(other, Err(Clash::AfterWrite(Mark { warp: 0, lane: Some(1), pc: 7 })));
    }

    #[test]
    fn splitting_keeps_what_was_known() {
        let mut memory = SharedMemory::new(32, 1, true);
        let known = [0; MAX_WARPS];
        memory.write(&who(0, 3, 1, &known), 16, 16, true).unwrap();
        assert_eq!(memory.read(&who(0, 3, 1, &known), 16, 1), Ok(()));
        assert!(matches!(memory.read(&who(0, 4, 1, &known), 31, 1), Err(Clash::AfterWrite(_))));
        assert_eq!(memory.read(&who(0, 4, 1, &known), 0, 4), Err(Clash::Uninit));
    }

    #[test]
    fn a_barrier_orders_and_a_wait_alone_does_not() {
        let mut memory = SharedMemory::new(16, 2, true);
        let before = [0; MAX_WARPS];
        memory.begin_copy(&who(0, 0, 1, &before), 0, 16).unwrap();
        assert!(matches!(memory.read(&who(0, 0, 1, &before), 0, 16), Err(Clash::InFlight(_))));
        memory.complete_copy(&who(0, 0, 1, &before), 0, 16);
        assert_eq!(memory.read(&who(0, 0, 1, &before), 0, 16), Ok(()));
        assert!(matches!(memory.read(&who(1, 0, 1, &before), 0, 16), Err(Clash::AfterWrite(_))));
        let mut after = before;
        (after[0], after[1]) = (1, 1);
        assert_eq!(memory.read(&who(1, 0, 2, &after), 0, 16), Ok(()));
    }
}
