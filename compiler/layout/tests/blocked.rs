//! Blocked layouts: every element once, no needless registers, whole sectors.

mod machine;

use std::collections::BTreeSet;

use proptest::prelude::*;
use tilec_layout::*;

/// Bytes of the pieces in which global memory moves.
const SECTOR_BYTES: u32 = 32;

/// Sectors that the accesses of warp 0 touch, and the fewest that their bytes could.
fn sectors(layout: &Layout<char>, axes: &[(char, u32)], elem_bytes: u32) -> (u32, u32) {
    let buffer = Buffer::new(axes, elem_bytes).expect("a row-major tile");
    let (bytes, accesses) = buffer.addresses(layout, Lanes::FirstCopies, 0);
    let mut total = (0, 0);
    for addresses in accesses {
        let starts: Vec<u32> = addresses.into_iter().flatten().collect();
        let touched: BTreeSet<u32> = starts
            .iter()
            .flat_map(|at| at / SECTOR_BYTES..=(at + bytes - 1) / SECTOR_BYTES)
            .collect();
        total.0 += touched.len() as u32;
        total.1 += (starts.len() as u32 * bytes).div_ceil(SECTOR_BYTES);
    }
    total
}

#[test]
fn tiles_of_attention_are_coalesced_in_sixteen_byte_pieces() {
    for head in [16, 32, 64, 80, 96, 128, 192, 256] {
        for elem_bytes in [2, 4] {
            for num_warps in [4, 8] {
                let axes = [('n', 64), ('d', head)];
                let layout = chunked(&axes, elem_bytes, num_warps);
                let width = 16 / elem_bytes;
                let pieces = 64 * head / width;
                let threads = 32 * num_warps;
                if pieces.is_multiple_of(threads) || threads.is_multiple_of(pieces) {
                    assert_eq!(layout.shape(), axes.into_iter().collect(), "nothing past the end");
                }
                assert_eq!(layout.contiguous('d') % width, 0);
                assert_eq!(layout.parts(Place::Register)[0].stride_along('d'), Some(1));
                let (actual, ideal) = sectors(&layout, &axes, elem_bytes);
                assert_eq!(actual, ideal, "head {head}, {elem_bytes} bytes:\n{layout}");
                let registers = layout.count(Place::Register);
                assert_eq!(registers, pieces.div_ceil(threads) * width, "a fair share");
            }
        }
    }
    assert_eq!(
        blocked(&[('m', 64), ('d', 80)], 2, 4).to_string(),
        "register  8 d*1   5 d*16\nlane      2 d*8   16 m*1\nwarp      4 m*16\n"
    );
}

/// Fewer pieces of 16 bytes than threads: all threads with smaller ones, or some with whole ones.
#[test]
fn small_tiles() {
    let axes = [('n', 64), ('d', 16)];
    let (all, some) = (blocked(&axes, 2, 8), chunked(&axes, 2, 8));
    assert_eq!((all.contiguous('d'), all.num_copies(Place::Warp)), (4, 1));
    assert_eq!(some.contiguous('d'), 8);
    assert_eq!(some.num_copies(Place::Warp) * some.num_copies(Place::Lane), 2);
}

#[test]
fn rows_and_vectors_without_a_dot() {
    // Softmax over one long row: all warps along it.
    let row = blocked(&[('c', 4096)], 4, 4);
    assert_eq!(
        row.to_string(),
        "register  4 c*1   8 c*128\nlane      32 c*4\nwarp      4 c*1024\n"
    );
    // Over several: warps keep to their rows, so no sum crosses them.
    let rows = blocked(&[('r', 16), ('c', 1024)], 4, 4);
    assert!(!rows.reduce('c').shares.crosses_warps());
    assert_eq!(sectors(&rows, &[('r', 16), ('c', 1024)], 4).0, 16 * 1024 * 4 / 32 / 4);
    // Nothing divides 1000 vectors evenly: some lanes are past the end, none in a vector.
    let odd = blocked(&[('c', 1000)], 4, 4);
    assert_eq!((odd.contiguous('c') % 4, odd.count(Place::Register)), (0, 8));
    // 7 elements: one each.
    let few = blocked(&[('c', 7)], 4, 4);
    assert_eq!(few.count(Place::Register), 1);
    assert!(few.extent('c') >= 7);
    // Fewer elements than threads: copies.
    let small = blocked(&[('c', 16)], 4, 4);
    assert_eq!((small.num_copies(Place::Lane), small.num_copies(Place::Warp)), (2, 4));
    assert_eq!(blocked::<char>(&[], 4, 4).count(Place::Warp), 4);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    /// Whatever the tile: all of it is covered, vectors stay inside rows, and no thread has more
    /// accesses than a fair share rounded up along each axis.
    #[test]
    fn blocked_layouts_cover_the_tile(
        extents in prop::collection::vec(1u32..130, 1..4),
        log2 in 0u32..4,
        num_warps in 1u32..9,
    ) {
        let axes: Vec<(char, u32)> = ('a'..).zip(extents).collect();
        let elem_bytes = 1 << log2;
        let layout = blocked(&axes, elem_bytes, num_warps);
        prop_assert_eq!(layout.count(Place::Lane), 32);
        prop_assert_eq!(layout.count(Place::Warp), num_warps);
        for &(axis, extent) in &axes {
            prop_assert!(layout.extent(axis) >= extent);
        }
        let (contiguous, row) = axes[axes.len() - 1];
        let buffer = Buffer::new(&axes, elem_bytes).expect("a tile");
        let width = buffer.vectors(&layout).width;
        prop_assert!(width * elem_bytes <= 16);
        let width = width.min(1 << row.trailing_zeros());
        prop_assert!(layout.contiguous(contiguous) % width == 0);
        let elements: u32 = axes.iter().map(|(_, extent)| extent).product();
        let threads = 32 * num_warps;
        prop_assert!(layout.count(Place::Register) >= elements.div_ceil(threads));
        // A plain split, all lanes and warps along the contiguous axis, is never better.
        let others = elements / row;
        prop_assert!(layout.count(Place::Register) / width <= others * row.div_ceil(threads));
    }
}
