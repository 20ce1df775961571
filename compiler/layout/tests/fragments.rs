//! The fragments of `mma` and `ldmatrix` against the closed formulas of the PTX manual, written here
//! as the manual writes them.

use std::collections::BTreeMap;

use tilec_layout::*;

/// `(lane, fragment element) -> (row, column)`.
type Formula = fn(u32, u32) -> (u32, u32);

struct Shape {
    mma: Mma,
    k: u32,
    num_a: u32,
    num_b: u32,
    a: Formula,
    b: Formula,
}

fn group(lane: u32) -> u32 {
    lane >> 2
}

fn thread(lane: u32) -> u32 {
    lane % 4
}

const SHAPES: [Shape; 3] = [
    Shape {
        mma: Mma::M16N8K16Half,
        k: 16,
        num_a: 8,
        num_b: 4,
        a: |lane, i| {
            let row = if matches!(i, 0 | 1 | 4 | 5) { group(lane) } else { group(lane) + 8 };
            (row, thread(lane) * 2 + (i & 1) + if i >= 4 { 8 } else { 0 })
        },
        b: |lane, i| (thread(lane) * 2 + (i & 1) + if i >= 2 { 8 } else { 0 }, group(lane)),
    },
    Shape {
        mma: Mma::M16N8K8Half,
        k: 8,
        num_a: 4,
        num_b: 2,
        a: |lane, i| {
            (if i < 2 { group(lane) } else { group(lane) + 8 }, thread(lane) * 2 + (i & 1))
        },
        b: |lane, i| (thread(lane) * 2 + i, group(lane)),
    },
    Shape {
        mma: Mma::M16N8K8Tf32,
        k: 8,
        num_a: 4,
        num_b: 2,
        a: |lane, i| {
            let row = if i == 0 || i == 2 { group(lane) } else { group(lane) + 8 };
            (row, if i < 2 { thread(lane) } else { thread(lane) + 4 })
        },
        b: |lane, i| (if i == 0 { thread(lane) } else { thread(lane) + 4 }, group(lane)),
    },
];

fn assert_follows(layout: &Layout<Dot>, registers: u32, row: Dot, column: Dot, formula: Formula) {
    assert_eq!((layout.count(Place::Register), layout.count(Place::Lane)), (registers, 32));
    for position in layout.positions() {
        let (r, c) = formula(position.lane, position.register);
        assert_eq!(layout.at(position), BTreeMap::from([(row, r), (column, c)]), "{position:?}");
    }
}

#[test]
fn fragments_are_where_the_manual_says() {
    assert_eq!(SHAPES.len(), Mma::ALL.len());
    for (shape, mma) in SHAPES.iter().zip(Mma::ALL) {
        assert_eq!(shape.mma, mma);
        assert_eq!(Dot::ALL.map(|axis| mma.extent(axis)), [16, 8, shape.k], "{}", mma.name());
        assert_follows(&mma.a(), shape.num_a, Dot::M, Dot::K, shape.a);
        assert_follows(&mma.b(), shape.num_b, Dot::K, Dot::N, shape.b);
        assert_follows(&mma.c(), 4, Dot::M, Dot::N, |lane, i| {
            (if i < 2 { group(lane) } else { group(lane) + 8 }, thread(lane) * 2 + (i & 1))
        });
    }
}

#[test]
fn the_picture_of_the_essay() {
    assert_eq!(
        Mma::M16N8K16Half.a().to_string(),
        "register  2 k*1   2 m*8   2 k*8\nlane      4 k*2   8 m*1\n"
    );
    assert_eq!(Mma::M16N8K8Tf32.b().to_string(), "register  2 k*4\nlane      4 k*1   8 n*1\n");
}

#[test]
fn ldmatrix_gives_what_the_manual_says() {
    for num_matrices in [1, 2, 4] {
        for trans in [false, true] {
            let layout = Ldmatrix::result(num_matrices, trans);
            assert_eq!(layout.count(Place::Register), 2 * num_matrices);
            for position in layout.positions() {
                let (row, column) =
                    (position.lane / 4, 2 * (position.lane % 4) + position.register % 2);
                let (row, column) = if trans { (column, row) } else { (row, column) };
                let found = layout.at(position);
                assert_eq!(found[&Matrix::Row], row);
                assert_eq!(found[&Matrix::Column], column);
                let number = found.get(&Matrix::Number).copied().unwrap_or(0);
                assert_eq!(number, position.register / 2);
            }
        }
    }
}

/// Loads `fragment` by the rule of the instruction and checks every element of every thread.
fn assert_loads(fragment: &Layout<Dot>, load: &Ldmatrix<Dot>, contiguous: Dot, elem_bytes: u32) {
    let elems = 16 / elem_bytes;
    let packed = 4 / elem_bytes;
    let instructions = load.num_instructions(elem_bytes);
    let words = fragment.count(Place::Register) / packed;
    assert!(load.loaded.register_map(fragment).is_some(), "only registers are in another order");
    let fragment = &load.loaded;
    assert_eq!(load.addresses.count(Place::Lane), 32);
    let read = (0..32).filter(|lane| load.addresses.is_first_copy(Place::Lane, *lane)).count();
    assert_eq!(read as u32, 8 * load.num_matrices, "lanes whose addresses count");
    assert_eq!(instructions * load.num_matrices, words);
    // A row as the 16-bit halves or 32-bit words at its address.
    let row = |warp: u32, instruction: u32, lane: u32| -> Vec<Coordinate<Dot>> {
        (0..elems)
            .map(|e| {
                let register = instruction * elems + e;
                let element = load.addresses.at(Position { register, lane, warp });
                let first =
                    load.addresses.at(Position { register: instruction * elems, lane, warp });
                assert_eq!(element[&contiguous], first[&contiguous] + e, "a row is contiguous");
                element
            })
            .collect()
    };
    for warp in 0..fragment.count(Place::Warp) {
        for instruction in 0..instructions {
            for matrix in 0..load.num_matrices {
                let rows: Vec<_> = (0..8).map(|r| row(warp, instruction, 8 * matrix + r)).collect();
                for lane in 0..32u32 {
                    for e in 0..packed {
                        let got = if load.trans {
                            &rows[(2 * (lane % 4) + e) as usize][(lane / 4) as usize]
                        } else {
                            &rows[(lane / 4) as usize][(packed * (lane % 4) + e) as usize]
                        };
                        let register = (instruction * load.num_matrices + matrix) * packed + e;
                        assert_eq!(*got, fragment.at(Position { register, lane, warp }));
                    }
                }
            }
        }
    }
}

#[test]
fn ldmatrix_loads_operands_of_dots() {
    let half = Mma::M16N8K16Half;
    let tf32 = Mma::M16N8K8Tf32;
    // (fragment over its tile, contiguous axis, bytes, trans, matrices)
    let q = half.a().covering(Dot::K, 80).covering(Dot::M, 32).over_warps(Dot::M, 4);
    let k = half.b().covering(Dot::K, 96).covering(Dot::N, 64).copied_over_warps(4);
    let v = half.b().covering(Dot::N, 192).covering(Dot::K, 64).copied_over_warps(4);
    let cases = [
        (&q, Dot::K, 2, false, 4),
        (&q, Dot::M, 2, true, 4),
        (&k, Dot::K, 2, false, 4),
        (&v, Dot::N, 2, true, 4),
        (&half.a(), Dot::K, 2, false, 4),
        (&half.b(), Dot::K, 2, false, 2),
        (&Mma::M16N8K8Half.b(), Dot::N, 2, true, 1),
        (&tf32.a().covering(Dot::K, 80), Dot::K, 4, false, 4),
        (&tf32.b().covering(Dot::K, 32), Dot::K, 4, false, 4),
        // Three words: one matrix at a time.
        (&Mma::M16N8K8Half.b().covering(Dot::N, 24), Dot::K, 2, false, 1),
        (&Mma::M16N8K8Half.b().covering(Dot::N, 48), Dot::K, 2, false, 2),
        // Ten steps along k: two at a time, and two along n.
        (&half.b().covering(Dot::K, 80).covering(Dot::N, 64), Dot::K, 2, false, 4),
        (&half.b().with_registers_along(&[Dot::N]), Dot::K, 2, false, 2),
        (&half.a().with_registers_along(&[Dot::M]), Dot::K, 2, false, 4),
    ];
    for (fragment, contiguous, elem_bytes, trans, num_matrices) in cases {
        let load = Ldmatrix::of(fragment, contiguous, elem_bytes).expect("ldmatrix can load it");
        assert_eq!((load.trans, load.num_matrices), (trans, num_matrices), "{fragment}");
        assert_loads(fragment, &load, contiguous, elem_bytes);
    }
}

#[test]
fn ldmatrix_is_not_for_everything() {
    // `.trans` moves 16-bit elements only.
    assert_eq!(Ldmatrix::of(&Mma::M16N8K8Tf32.b(), Dot::N, 4), None);
    // Pairs in a register are not neighbours along the axis of the lanes.
    let blocked: Layout<Dot> = Layout::new([
        (Place::Register, Part::new(8, Dot::K, 1)),
        (Place::Lane, Part::new(4, Dot::K, 8)),
        (Place::Lane, Part::new(8, Dot::M, 1)),
    ])
    .expect("a layout");
    assert_eq!(Ldmatrix::of(&blocked, Dot::K, 2), None);
    assert_eq!(Ldmatrix::of(&Mma::M16N8K16Half.a(), Dot::K, 1), None);
}

/// The accumulator of one `dot`, packed in pairs, is the first operand of the next: the flash
/// attention identity. For tf32 it is so once the summed axis is taken in another order.
#[test]
fn accumulators_feed_the_next_dot() {
    let scores = Mma::M16N8K16Half.c().covering(Dot::N, 16).covering(Dot::N, 64);
    let as_operand = Mma::M16N8K16Half.a().covering(Dot::K, 64);
    let names = scores.renaming_to(&as_operand).expect("the same but for names");
    assert_eq!(names, BTreeMap::from([(Dot::M, Dot::M), (Dot::N, Dot::K)]));

    let scores = Mma::M16N8K8Tf32.c().rename(|a| if a == Dot::N { Dot::K } else { a }).unwrap();
    let operand = Mma::M16N8K8Tf32.a();
    assert_eq!(scores.register_map(&operand), None);
    // k = t + 4h becomes k = 2t + h.
    let reordered = operand.reordered(Dot::K, &[4, 2], &[1, 0]).unwrap();
    assert_eq!(scores.register_map(&reordered), Some(vec![0, 2, 1, 3]));
}
