//! Blocked layouts: for loads, stores and programs without `dot`.
//!
//! Every split of lanes and warps over the axes is tried and ranked, first by what it costs a
//! thread: memory accesses, then registers, then indices past the end. Of the equals, the best
//! fills the longest pieces of memory up to a cache line of 128 bytes, keeps warps and then lanes
//! off the contiguous axis (a reduction along it crosses fewer of them), and gives lanes the fast
//! axes and warps the slow ones. A warp's indices are neighbours, as in the accumulator of a `dot`,
//! so that a conversion between the two stays inside warps.
//!
//! `[m: 64, d: 80]` of f16 over 4 warps: a row is ten vectors of 16 bytes, so two lanes side by side
//! take a whole sector of 32 bytes, five times; no lane idles and no index is past the end.
//!
//! ```text
//! register  8 d*1   5 d*16
//! lane      2 d*8   16 m*1
//! warp      4 m*16
//! ```

use std::cmp::Reverse;

use crate::buffer::CHUNK_BYTES;
use crate::layout::{Layout, WARP};
use crate::part::{Part, Place};

/// Bytes that it pays to read in one piece.
const CACHE_LINE_BYTES: u32 = 128;
/// Axes that lanes and warps are spread over: the fastest ones; more only lengthen the search.
const MAX_SPREAD_AXES: usize = 4;

/// One way to spread: lanes and warps along each axis, the fastest axis first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Spread {
    width: u32,
    lanes: Vec<u32>,
    warps: Vec<u32>,
}

/// A coalesced layout of a tile: `axes` with their extents, the slowest first, so that the last is
/// the one of neighbours in memory. May cover more than the tile where nothing divides it, but
/// vectors never cross the end of the contiguous axis.
pub fn blocked<A: Copy + Ord>(axes: &[(A, u32)], elem_bytes: u32, num_warps: u32) -> Layout<A> {
    spread_out(axes, elem_bytes, num_warps, 1, Warps::Apart)
}

/// As [`blocked`], in the widest vectors that rows can be cut into, even where they are too few for
/// all threads: `cp.async.cg` moves 16 bytes and nothing else. A thread's own rows are a period of the swizzle apart: that far,
/// they share one address in shared memory, and no further, one in global memory, where an immediate reaches 2 KiB.
pub fn chunked<A: Copy + Ord>(axes: &[(A, u32)], elem_bytes: u32, num_warps: u32) -> Layout<A> {
    spread_out(axes, elem_bytes, num_warps, CHUNK_BYTES, Warps::InTurns)
}

/// Where the indices of a warp are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Warps {
    /// Each has a stretch of its own.
    Apart,
    /// Those whose rows lie within a period of the swizzle take turns.
    InTurns,
}

fn spread_out<A: Copy + Ord>(
    axes: &[(A, u32)],
    elem_bytes: u32,
    num_warps: u32,
    least_width: u32,
    order: Warps,
) -> Layout<A> {
    let axes: Vec<(A, u32)> = axes.iter().rev().copied().map(|(a, e)| (a, e.max(1))).collect();
    let extents: Vec<u32> = axes.iter().map(|(_, extent)| *extent).collect();
    let num_warps = num_warps.max(1);
    let spread_axes = extents.len().min(MAX_SPREAD_AXES);
    let contiguous = extents.first().copied().unwrap_or(1);
    let widest = (CHUNK_BYTES / elem_bytes.max(1)).max(1);
    let widest = widest.min(1 << contiguous.trailing_zeros());
    let widths = least_width.min(widest).ilog2()..=widest.ilog2();
    let [all_lanes, all_warps] = [WARP, num_warps].map(|total| factors(total, spread_axes));
    let mut best = None;
    for width in widths.map(|log2| 1 << log2) {
        for lanes in &all_lanes {
            for warps in &all_warps {
                let spread = Spread { width, lanes: lanes.clone(), warps: warps.clone() };
                let rank = (rank(&spread, &extents, elem_bytes), spread);
                if best.as_ref().is_none_or(|least| rank < *least) {
                    best = Some(rank);
                }
            }
        }
    }
    best.map_or_else(Layout::scalar, |(_, spread)| layout(&spread, &axes, num_warps, order))
}

/// Rows after which a swizzle repeats: those that one `ldmatrix` reads.
const SWIZZLE_ROWS: u32 = 8;

/// All ways to give each of `axes` a factor of `total`, not necessarily all of it together.
fn factors(total: u32, axes: usize) -> Vec<Vec<u32>> {
    let mut found = vec![Vec::new()];
    for _ in 0..axes {
        found = found
            .into_iter()
            .flat_map(|chosen: Vec<u32>| {
                let left = total / chosen.iter().product::<u32>();
                let divisors = (1..=left).filter(move |d| left.is_multiple_of(*d));
                divisors.map(move |d| chosen.iter().copied().chain([d]).collect())
            })
            .collect();
    }
    found
}

/// See the module; less is better.
fn rank(spread: &Spread, extents: &[u32], elem_bytes: u32) -> impl Ord + use<> {
    let Spread { width, lanes, warps } = spread;
    let reach = |i: usize| {
        let vector = if i == 0 { *width } else { 1 };
        u64::from(vector * lanes.get(i).unwrap_or(&1) * warps.get(i).unwrap_or(&1))
    };
    let blocks = |i: usize| u64::from(extents[i]).div_ceil(reach(i));
    let accesses: u64 = (0..extents.len()).map(blocks).product();
    let past_the_end = (0..extents.len()).any(|i| blocks(i) * reach(i) != u64::from(extents[i]));
    let row_bytes = extents.first().unwrap_or(&1).saturating_mul(elem_bytes);
    let lanes_along = lanes.first().copied().unwrap_or(1);
    let piece = (lanes_along * width * elem_bytes).min(row_bytes).min(CACHE_LINE_BYTES);
    let distance = |factors: &[u32]| -> u32 {
        factors.iter().enumerate().map(|(i, factor)| i as u32 * factor.ilog2()).sum()
    };
    (
        accesses,
        accesses * u64::from(*width),
        past_the_end,
        Reverse(piece),
        (warps.first().copied().unwrap_or(1), lanes_along),
        (distance(lanes), Reverse(distance(warps))),
    )
}

/// A quarter of a warp writes 128 bytes of shared memory at a time. Lanes along the contiguous axis
/// come first only as far as they divide a row; others come after those along the rows, so that a
/// quarter takes a rectangle that the swizzle of such rows spreads over all banks.
fn layout<A: Copy + Ord>(
    spread: &Spread,
    axes: &[(A, u32)],
    num_warps: u32,
    order: Warps,
) -> Layout<A> {
    let (mut parts, mut later) = (Vec::new(), Vec::new());
    for (i, &(axis, extent)) in axes.iter().enumerate() {
        let vector = if i == 0 { spread.width } else { 1 };
        let lanes = spread.lanes.get(i).copied().unwrap_or(1);
        let warps = spread.warps.get(i).copied().unwrap_or(1);
        let first = match i {
            0 => lanes.min(1 << extent.div_ceil(vector).trailing_zeros()),
            _ => lanes,
        };
        let block = vector * lanes;
        let blocks = extent.div_ceil(block * warps);
        // Warps beside each other, before a thread's next block.
        let near = match (order, i) {
            (Warps::Apart, _) => 1,
            (Warps::InTurns, 0) => warps,
            (Warps::InTurns, _) => SWIZZLE_ROWS.div_ceil(block).min(warps),
        };
        let near = if warps.is_multiple_of(near) { near } else { warps };
        let step = block * near;
        parts.extend([
            (Place::Register, Part::new(vector, axis, 1)),
            (Place::Lane, Part::new(first, axis, vector)),
            (Place::Warp, Part::new(near, axis, block)),
            (Place::Register, Part::new(blocks, axis, step)),
            (Place::Warp, Part::new(warps / near, axis, step * blocks)),
        ]);
        later.push((Place::Lane, Part::new(lanes / first, axis, vector * first)));
    }
    let idle_lanes = WARP / spread.lanes.iter().product::<u32>();
    let idle_warps = num_warps / spread.warps.iter().product::<u32>();
    later.push((Place::Lane, Part::copies(idle_lanes)));
    later.push((Place::Warp, Part::copies(idle_warps)));
    Layout::built(parts.into_iter().chain(later))
}
