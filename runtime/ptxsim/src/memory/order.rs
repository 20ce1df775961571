//! Happens-before inside a CTA, by vector clocks (Flanagan and Freund, "FastTrack", PLDI 2009).
//!
//! Each warp has a clock that ticks at every barrier it passes; an access carries its warp's clock. An access is ordered
//! before the present when the same lane made it, or when this warp has since learnt, through barriers, of a clock of
//! that warp at least as late. Lanes of one warp are strangers to each other until `bar.warp.sync` or a CTA barrier.

/// The most warps a CTA can have.
pub const MAX_WARPS: usize = 32;

/// What a warp knows of every warp's clock. Its own entry lags its clock by one.
pub type Known = [u32; MAX_WARPS];

/// The accessing lane.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    pub warp: u32,
    pub lane: u32,
    pub pc: u32,
    pub clock: u32,
    pub known: &'a Known,
    /// Atomic or strong: does not race with others of its kind.
    pub strong: bool,
}

/// A past access, as reports name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub warp: u32,
    /// `None`: several lanes.
    pub lane: Option<u32>,
    pub pc: u32,
}
