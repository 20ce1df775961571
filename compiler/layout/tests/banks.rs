//! Bank conflicts, swizzles that avoid them, and blocked layouts.

mod machine;

use machine::Random;
use proptest::prelude::*;
use tilec_layout::*;

fn count(bytes: u32, address: impl Fn(u32) -> u32) -> (u32, u32) {
    let addresses: Vec<_> = (0..32).map(|lane| Some(address(lane))).collect();
    let found = wavefronts(&addresses, bytes);
    (found.actual, found.ideal)
}

#[test]
fn known_patterns_take_known_wavefronts() {
    // (bytes, stride between lanes, actual, ideal)
    let table = [
        (4, 4, 1, 1),
        (4, 0, 1, 1),
        (4, 8, 2, 1),
        (4, 128, 32, 1),
        (4, 132, 1, 1),
        (2, 2, 1, 1),
        (2, 256, 32, 1),
        (8, 8, 2, 2),
        (8, 16, 4, 2),
        (8, 0, 2, 2),
        (16, 16, 4, 4),
        (16, 32, 8, 4),
        (16, 128, 32, 4),
        (16, 144, 4, 4),
        (16, 0, 4, 4),
    ];
    for (bytes, stride, actual, ideal) in table {
        assert_eq!(count(bytes, |lane| lane * stride), (actual, ideal), "{bytes} by {stride}");
    }
    let some: Vec<_> = (0..32).map(|lane| (lane < 8).then_some(lane * 128)).collect();
    assert_eq!(wavefronts(&some, 16), Wavefronts { actual: 8, ideal: 1 });
    assert_eq!(wavefronts(&[None; 32], 16), Wavefronts::default());
}

/// The elements of a tile `[row, column]` by name.
const TILE: [char; 2] = ['r', 'c'];

fn tile(rows: u32, columns: u32, elem_bytes: u32) -> Buffer<char> {
    Buffer::new(&[(TILE[0], rows), (TILE[1], columns)], elem_bytes).expect("a buffer")
}

fn operand(layout: Layout<Dot>, row: Dot) -> Layout<char> {
    layout.rename(|axis| if axis == row { 'r' } else { 'c' }).expect("two axes")
}

/// No conflict in any access of any warp.
fn assert_free(buffer: &Buffer<char>, layout: &Layout<char>, lanes: Lanes, what: &str) {
    for warp in 0..layout.count(Place::Warp) {
        let found = buffer.wavefronts(layout, lanes, warp);
        assert!(found.ideal > 0);
        assert_eq!(
            found.conflicts(),
            0,
            "{what}: {:?} {:?}\n{layout}",
            buffer.axes(),
            buffer.swizzle()
        );
    }
}

/// `ldmatrix` in every role, with and without `.trans`, and 16-byte writes, of all row lengths that
/// are multiples of 8 from 16 to 256: 80, 96 and 192 are among them. Odd multiples have rows as
/// long as the arithmetic covers, the next multiple of 16, and zeros are written to the rest.
#[test]
fn one_swizzle_serves_ldmatrix_and_vector_writes() {
    for columns in (16..=256u32).step_by(8) {
        let rows = 64;
        let half = Mma::M16N8K16Half;
        let padded = columns.next_multiple_of(16);
        let buffer = tile(rows, padded, 2);
        let q = operand(half.a().covering(Dot::K, padded).over_warps(Dot::M, 4), Dot::M);
        let k = operand(half.b().covering(Dot::K, padded).covering(Dot::N, rows), Dot::N);
        let v = operand(half.b().covering(Dot::N, columns).covering(Dot::K, rows), Dot::K);
        let p = operand(half.a().covering(Dot::M, padded).covering(Dot::K, rows), Dot::K);
        let [write, wide] = [4, 8].map(|warps| chunked(buffer.axes(), 2, warps));
        assert_eq!(buffer.vectors(&write).width, 8);
        let loads: Vec<_> = [q, k, v, p]
            .iter()
            .map(|fragment| Ldmatrix::of(fragment, 'c', 2).expect("ldmatrix loads it").addresses)
            .collect();
        let first = Access { layout: &loads[0], lanes: Lanes::FirstCopies };
        let second = Access { layout: &write, lanes: Lanes::FirstCopies };
        let (buffer, _) = buffer.best_swizzle(&[first, second]);
        for load in &loads {
            assert_free(&buffer, load, Lanes::FirstCopies, "ldmatrix");
        }
        assert_free(&buffer, &write, Lanes::FirstCopies, "write");
        assert_free(&buffer, &wide, Lanes::FirstCopies, "write");
        assert_eq!(buffer.bytes(), rows * padded * 2, "no padding");
        let plain = buffer.unswizzled().wavefronts(&loads[0], Lanes::FirstCopies, 0);
        assert_eq!(plain.actual, plain.ideal << buffer.swizzle().bits, "what it is for");
        let expected = (padded / 8).trailing_zeros().min(3);
        assert_eq!(buffer.swizzle().bits, expected, "row of {columns}");
        if (1..=3).contains(&expected) {
            assert_eq!(buffer.swizzle().base_log2, 4);
            assert_eq!(buffer.swizzle().row_shift, 3 - expected);
        }
    }
}

#[test]
fn one_swizzle_serves_tf32_operands() {
    for columns in (16..=256u32).step_by(8) {
        let rows = 64;
        let tf32 = Mma::M16N8K8Tf32;
        let buffer = tile(rows, columns, 4);
        let write = chunked(buffer.axes(), 4, 4);
        assert_eq!(buffer.vectors(&write).width, 4);
        // Along the rows: ldmatrix.
        let k = operand(tf32.b().covering(Dot::K, columns).covering(Dot::N, rows), Dot::N);
        let k = Ldmatrix::of(&k, 'c', 4).expect("ldmatrix loads it").addresses;
        // Across them: 4 bytes at a time.
        let v = operand(tf32.b().covering(Dot::N, columns).covering(Dot::K, rows), Dot::K);
        for (load, lanes) in [(&k, Lanes::FirstCopies), (&v, Lanes::All)] {
            let accesses =
                [Access { layout: load, lanes }, Access { layout: &write, lanes: Lanes::All }];
            let (buffer, found) = buffer.best_swizzle(&accesses);
            assert_eq!(found.conflicts(), 0);
            assert_free(&buffer, load, lanes, "load");
            assert_free(&buffer, &write, Lanes::FirstCopies, "write");
        }
    }
}

#[test]
fn a_swizzle_permutes_each_row() {
    for columns in (16..=256u32).step_by(8) {
        for elem_bytes in [2, 4] {
            for bits in 0..=3 {
                for base_log2 in 4..=6 {
                    let swizzle = Swizzle { bits, base_log2, row_shift: 1 };
                    let Ok(buffer) = tile(16, columns, elem_bytes).swizzled(swizzle) else {
                        assert!(!swizzle.fits(columns * elem_bytes));
                        continue;
                    };
                    let mut seen: Vec<u32> = (0..16)
                        .flat_map(|r| (0..columns).map(move |c| [('r', r), ('c', c)]))
                        .map(|at| buffer.address(&at.into_iter().collect()))
                        .collect();
                    seen.sort_unstable();
                    let all: Vec<u32> = (0..16 * columns).map(|i| i * elem_bytes).collect();
                    assert_eq!(seen, all);
                }
            }
        }
    }
}

#[test]
fn rows_that_are_no_whole_chunks_are_padded() {
    let buffer = tile(3, 20, 2);
    assert_eq!((buffer.row_bytes(), buffer.bytes()), (48, 144));
    assert_eq!(Buffer::new(&[('r', 4), ('r', 4)], 2), Err(BufferError::Axes));
    assert_eq!(Buffer::new(&[('r', 4)], 3), Err(BufferError::ElemBytes(3)));
    let long = Swizzle { bits: 3, base_log2: 4, row_shift: 0 };
    assert_eq!(buffer.swizzled(long), Err(BufferError::Swizzle { row_bytes: 48 }));
}

/// What attention's loops address: few bases, all else immediate.
#[test]
fn fragments_need_few_bases() {
    let half = Mma::M16N8K16Half;
    // (head, bases of K, bases of V): one for each group of chunks that the XOR sets apart.
    for (head, k_bases, v_bases) in [(64, 2, 4), (128, 2, 4), (256, 2, 4), (96, 1, 2), (80, 1, 1)] {
        let buffer = tile(64, head, 2);
        let k = operand(half.b().covering(Dot::K, head).covering(Dot::N, 64), Dot::N);
        let v = operand(half.b().covering(Dot::N, head).covering(Dot::K, 64), Dot::K);
        let load = |fragment: &Layout<char>| Ldmatrix::of(fragment, 'c', 2).unwrap().addresses;
        let (k, v) = (load(&k), load(&v));
        let (buffer, _) = buffer.best_swizzle(&[Access { layout: &k, lanes: Lanes::FirstCopies }]);
        let found = [&k, &v].map(|layout| buffer.bases(layout));
        assert_eq!([found[0].bases.len(), found[1].bases.len()], [k_bases, v_bases], "{head}");
        for (layout, bases) in [&k, &v].into_iter().zip(&found) {
            let (_, addresses) = buffer.addresses(layout, Lanes::All, 0);
            for (access, (base, offset)) in addresses.iter().zip(&bases.offsets) {
                let base = &addresses[bases.bases[*base]];
                for (at, from) in access.iter().zip(base) {
                    let (at, from) = (i64::from(at.unwrap()), i64::from(from.unwrap()));
                    assert_eq!(at, from + offset);
                }
            }
        }
    }
}

/// A swizzle of small chunks cuts wide accesses into small ones.
#[test]
fn vectors_stay_inside_chunks() {
    let buffer = tile(64, 64, 2);
    let write = chunked(buffer.axes(), 2, 4);
    for (base_log2, width) in [(2, 2), (3, 4), (4, 8), (5, 8)] {
        let swizzle = Swizzle { bits: 2, base_log2, row_shift: 0 };
        let buffer = buffer.swizzled(swizzle).expect("rows of 128 bytes");
        let vectors = buffer.vectors(&write);
        assert_eq!(vectors.width, width);
        assert!(vectors.registers.iter().all(|registers| registers.len() as u32 == width));
    }
}

/// Lanes whose elements lie outside the buffer take no part in an access.
#[test]
fn lanes_past_the_end_do_nothing() {
    let fragment = operand(Mma::M16N8K16Half.c().covering(Dot::N, 16), Dot::M);
    let (bytes, accesses) = tile(9, 12, 4).addresses(&fragment, Lanes::All, 0);
    assert_eq!(bytes, 8);
    let lanes = |access: &Vec<Option<u32>>| access.iter().filter(|at| at.is_some()).count();
    // Rows 0 to 7 and 8 to 15, columns 0 to 7 and 8 to 15.
    assert_eq!(accesses.iter().map(lanes).collect::<Vec<_>>(), [32, 4, 16, 2]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// The chosen swizzle leaves vectors as wide as they were, counts what it says, and is never
    /// worse than none.
    #[test]
    fn chosen_swizzles_keep_vectors_whole(seed: u64) {
        let random = &mut Random::new(seed);
        let shape = [('r', [8, 12, 16][random.below(3) as usize]), ('c', 8 << random.below(4))];
        let elem_bytes = [1, 2, 4, 8][random.below(4) as usize];
        let plain = Buffer::new(&shape, elem_bytes).expect("a tile");
        let layouts = [0, 0].map(|_| machine::layout(&shape, 2, random));
        let accesses = layouts.each_ref().map(|layout| Access { layout, lanes: Lanes::All });
        let (buffer, found) = plain.best_swizzle(&accesses);
        let count = |buffer: &Buffer<char>| -> Wavefronts {
            layouts.iter().map(|layout| buffer.wavefronts(layout, Lanes::All, 0)).sum()
        };
        prop_assert_eq!(count(&buffer), found);
        prop_assert!(found.actual <= count(&plain).actual);
        for layout in &layouts {
            prop_assert_eq!(buffer.vectors(layout), plain.vectors(layout));
        }
    }
}
