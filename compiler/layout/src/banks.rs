//! Bank conflicts: how many passes an access to shared memory takes.
//!
//! Shared memory has 32 banks of 4 bytes and serves one word of each bank in a pass, a *wavefront*;
//! lanes that want the same word share it. Accesses of 8 bytes are served half a warp at a time,
//! those of 16 bytes a quarter at a time, and so are the rows of `ldmatrix`, one matrix at a time.
//!
//! The simulator of PTX counts by the same rule from the addresses a program really uses.
//!
//! # Source
//! CUDA C++ Programming Guide, "Shared memory" of compute capability 5.x and later.

use std::ops::{Add, AddAssign};

use crate::layout::WARP;

/// Banks of shared memory.
const NUM_BANKS: u32 = 32;
/// Bytes of a word of a bank.
const WORD_BYTES: u32 = 4;

/// The end of a list.
const NONE: usize = usize::MAX;

/// Wavefronts of an access or of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Wavefronts {
    /// As many as it takes.
    pub actual: u32,
    /// As many as its distinct words would take, spread evenly over the banks.
    pub ideal: u32,
}

impl Wavefronts {
    /// Passes that come from conflicts.
    pub fn conflicts(self) -> u32 {
        self.actual - self.ideal
    }
}

impl Add for Wavefronts {
    type Output = Wavefronts;
    fn add(self, other: Wavefronts) -> Wavefronts {
        Wavefronts { actual: self.actual + other.actual, ideal: self.ideal + other.ideal }
    }
}

impl AddAssign for Wavefronts {
    fn add_assign(&mut self, other: Wavefronts) {
        *self = *self + other;
    }
}

impl std::iter::Sum for Wavefronts {
    fn sum<I: Iterator<Item = Wavefronts>>(all: I) -> Wavefronts {
        all.fold(Wavefronts::default(), Add::add)
    }
}

/// The wavefronts of one instruction of a warp: `addresses` in bytes, `None` for lanes that take no
/// part, each of `bytes` bytes (at most 16).
pub fn wavefronts(addresses: &[Option<u32>], bytes: u32) -> Wavefronts {
    let lanes_at_once = match bytes {
        0..=4 => WARP,
        5..=8 => WARP / 2,
        _ => WARP / 4,
    };
    addresses.chunks(lanes_at_once as usize).map(|lanes| pass(lanes, bytes)).sum()
}

fn pass(lanes: &[Option<u32>], bytes: u32) -> Wavefronts {
    // For each bank, a list of its distinct words, linked through `older`. A pass has few words, so
    // walking the lists beats sorting; choosing a swizzle counts hundreds of thousands of passes.
    let mut newest = [NONE; NUM_BANKS as usize];
    let mut load = [0; NUM_BANKS as usize];
    let mut seen: Vec<(u32, usize)> = Vec::with_capacity(2 * WARP as usize);
    for at in lanes.iter().flatten() {
        for word in at / WORD_BYTES..(at + bytes).div_ceil(WORD_BYTES) {
            let bank = (word % NUM_BANKS) as usize;
            let mut entry = newest[bank];
            while let Some(&(other, older)) = seen.get(entry)
                && other != word
            {
                entry = older;
            }
            if entry == NONE {
                seen.push((word, newest[bank]));
                newest[bank] = seen.len() - 1;
                load[bank] += 1;
            }
        }
    }
    Wavefronts {
        actual: load.into_iter().max().unwrap_or(0),
        ideal: (seen.len() as u32).div_ceil(NUM_BANKS),
    }
}
