//! The algebra of layouts: definitions, as properties of random ones.

mod machine;

use std::collections::{BTreeMap, BTreeSet};

use machine::{Random, elements, layout, parts, shape};
use proptest::prelude::*;
use tilec_layout::*;

fn two(seed: u64) -> (Vec<(char, u32)>, Layout<char>, Random) {
    let mut random = Random::new(seed);
    let shape = shape(&mut random);
    let num_warps = [1, 2, 3, 4, 6, 8][random.below(6) as usize];
    let found = layout(&shape, num_warps, &mut random);
    (shape, found, random)
}

/// The tile without axes of one index, which a layout does not know.
fn proper(shape: &[(char, u32)]) -> BTreeMap<char, u32> {
    shape.iter().copied().filter(|(_, extent)| *extent > 1).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    /// Each element has holders, exactly as many as there are copies, and no position two elements.
    #[test]
    fn holders_are_the_inverse(seed: u64) {
        let (shape, layout, _) = two(seed);
        prop_assert_eq!(layout.shape(), proper(&shape));
        let copies = layout.num_copies(Place::Lane) * layout.num_copies(Place::Warp);
        let mut seen = BTreeSet::new();
        for element in elements(&shape) {
            let holders = layout.holders(&element);
            prop_assert_eq!(holders.len() as u32, copies);
            for holder in holders {
                prop_assert_eq!(layout.at(holder), element.clone());
                prop_assert!(seen.insert(holder));
            }
        }
        prop_assert!(layout.positions().all(|position| seen.contains(&position)));
        prop_assert_eq!(seen.len(), layout.positions().count());
        let beyond: Coordinate<char> = shape.iter().copied().collect();
        prop_assert!(layout.holders(&beyond).is_empty());
    }

    /// `==` is equality as functions, however the parts were cut.
    #[test]
    fn equal_layouts_are_equal_functions(seed: u64) {
        let (shape, one, mut random) = two(seed);
        let cut = parts(&shape, 4, &mut random);
        let merged = Layout::new(cut.clone()).expect("a layout");
        let with_ones = Layout::new(cut.into_iter().flat_map(|(place, part)| {
            [(place, part), (place, Part::new(1, 'x', 7)), (Place::Lane, Part::copies(1))]
        }));
        prop_assert_eq!(Ok(merged.clone()), with_ones);
        let pieces = merged.all_parts().flat_map(|(place, part)| {
            let mut below = 1;
            machine::primes(part.extent).into_iter().rev().map(move |extent| {
                let along = part.along.map(|(axis, stride)| (axis, stride * below));
                below *= extent;
                (place, Part { extent, along })
            })
        });
        prop_assert_eq!(Ok(merged.clone()), Layout::new(pieces));
        let same = one.positions().eq(merged.positions())
            && one.positions().all(|p| one.at(p) == merged.at(p));
        prop_assert_eq!(one == merged, same);
    }

    /// A linear function of the indices is a sum of three.
    #[test]
    fn layouts_are_additive(seed: u64) {
        let (_, layout, mut random) = two(seed);
        let weights: BTreeMap<char, u32> =
            layout.axes().into_iter().map(|axis| (axis, random.below(1000))).collect();
        let [registers, lanes, warps] = layout.sums(|axis| weights[&axis]);
        for p in layout.positions() {
            let wanted: u32 = layout.at(p).iter().map(|(axis, i)| weights[axis] * i).sum();
            let found = registers[p.register as usize] + lanes[p.lane as usize]
                + warps[p.warp as usize];
            prop_assert_eq!(found, wanted);
        }
    }

    /// The layout without an axis holds, beside each element, the one to be broadcast.
    #[test]
    fn broadcasting_is_a_choice_of_registers(seed: u64) {
        let (shape, layout, mut random) = two(seed);
        let axis = shape[random.below(shape.len() as u32) as usize].0;
        let (without, beside) = (layout.without(axis), layout.broadcast_registers(axis));
        for p in layout.positions() {
            let mut wanted = layout.at(p);
            wanted.remove(&axis);
            let register = beside[p.register as usize];
            prop_assert_eq!(without.at(Position { register, ..p }), wanted);
        }
    }

    /// Each warp holds what it held, in fewer registers where lanes hold copies, and shuffles bring it back.
    #[test]
    fn copies_take_registers(seed: u64) {
        let (shape, layout, mut random) = two(seed);
        let axis = shape[random.below(shape.len() as u32) as usize].0;
        let layout = layout.without(axis).filling_the_warp();
        let dealt = layout.dealt_to_copies();
        let held = |layout: &Layout<char>, warp: u32| -> BTreeSet<Coordinate<char>> {
            let of_warp = layout.positions().filter(|p| p.warp == warp);
            of_warp.map(|p| layout.at(p)).collect()
        };
        for warp in 0..layout.count(Place::Warp) {
            prop_assert_eq!(held(&layout, warp), held(&dealt, warp));
        }
        let [before, after] = [&layout, &dealt].map(|layout| layout.count(Place::Register));
        let copies = layout.num_copies(Place::Lane);
        prop_assert!(after == before || after < before && copies > 1);
        let left = dealt.num_copies(Place::Lane);
        prop_assert!(left == 1 || after % 2 == 1, "{left} copies and {after} registers");
        prop_assert!(Shuffles::between(&dealt, &layout, 4).is_some());
    }

    /// Sums by the plan of a reduction are the sums, in every thread, once warps are combined.
    #[test]
    fn reductions_reduce(seed: u64) {
        let (shape, layout, mut random) = two(seed);
        let axis = shape[random.below(shape.len() as u32) as usize].0;
        let reduction = layout.reduce(axis);
        let values: BTreeMap<Coordinate<char>, u64> =
            elements(&shape).into_iter().map(|at| (at, u64::from(random.below(1 << 20)))).collect();
        let mut wanted: BTreeMap<Coordinate<char>, u64> = BTreeMap::new();
        for (at, value) in &values {
            let mut at = at.clone();
            at.remove(&axis);
            *wanted.entry(at).or_default() += value;
        }
        let mut over_warps: BTreeMap<Coordinate<char>, Vec<u64>> = BTreeMap::new();
        for warp in 0..layout.count(Place::Warp) {
            let mut partial: Vec<Vec<u64>> = (0..32)
                .map(|lane| {
                    let sum = |rs: &Vec<u32>| {
                        rs.iter().map(|&register| values[&layout.at(Position { register, lane, warp })]).sum()
                    };
                    reduction.registers.iter().map(sum).collect()
                })
                .collect();
            for mask in &reduction.shares.lane_masks {
                let before = partial.clone();
                for (lane, registers) in partial.iter_mut().enumerate() {
                    for (r, value) in registers.iter_mut().enumerate() {
                        *value += before[lane ^ *mask as usize][r];
                    }
                }
            }
            for (lane, registers) in (0..).zip(&partial) {
                for (register, value) in (0..).zip(registers) {
                    let at = reduction.result.at(Position { register, lane, warp });
                    over_warps.entry(at).or_default().push(*value);
                }
            }
        }
        let shuffles = reduction.shares.lane_masks.len() * reduction.registers.len();
        prop_assert_eq!(reduction.num_shuffles(), shuffles);
        let num_warps: u32 = reduction.shares.warp_digits.iter().map(|(_, extent)| extent).product();
        for (at, partial) in over_warps {
            // Copies of each of the `num_warps` partial sums.
            let copies = partial.len() as u64 / u64::from(num_warps);
            prop_assert_eq!(partial.iter().sum::<u64>(), copies * wanted[&at]);
            if !reduction.shares.crosses_warps() {
                prop_assert!(partial.iter().all(|sum| *sum == wanted[&at]));
            }
        }
    }

    /// Lanes that differ by a copy mask hold the same, and no others do.
    #[test]
    fn copy_masks_find_the_copies(seed: u64) {
        let (_, layout, _) = two(seed);
        let span = layout.copy_masks().into_iter().fold(vec![0], |all: Vec<u32>, mask| {
            all.iter().flat_map(|m| [*m, m ^ mask]).collect()
        });
        let at = |lane| layout.at(Position { lane, ..Position::default() });
        for lane in 0..32 {
            for other in 0..32 {
                prop_assert_eq!(at(lane) == at(other), span.contains(&(lane ^ other)));
            }
        }
        let first = (0..32).filter(|lane| layout.is_first_copy(Place::Lane, *lane)).count();
        prop_assert_eq!(first as u32 * layout.num_copies(Place::Lane), 32);
    }

    /// The widest vectors, against a search of what a thread holds.
    #[test]
    fn contiguous_runs_are_the_longest(seed: u64) {
        let (shape, layout, _) = two(seed);
        let held: BTreeSet<Coordinate<char>> = (0..layout.count(Place::Register))
            .map(|register| layout.at(Position { register, ..Position::default() }))
            .collect();
        for (axis, extent) in shape {
            let run = layout.contiguous(axis);
            let zero: Coordinate<char> = layout.axes().into_iter().map(|a| (a, 0)).collect();
            let at = |i| {
                let mut at = zero.clone();
                at.insert(axis, i);
                at
            };
            let longest = (0..extent).take_while(|i| held.contains(&at(*i))).count() as u32;
            prop_assert_eq!(run, longest.max(1));
            for element in &held {
                let start = element[&axis] / run * run;
                for i in 0..run {
                    let mut neighbour = element.clone();
                    neighbour.insert(axis, start + i);
                    prop_assert!(held.contains(&neighbour));
                }
            }
        }
    }

    /// A tile of tiles.
    #[test]
    fn tiles_within_tiles(seed: u64) {
        let random = &mut Random::new(seed);
        let inner = layout(&[('x', 8), ('y', 12)], 2, random);
        let outer_parts = parts(&[('x', 6), ('y', 2)], 3, random);
        let outer = Layout::new(outer_parts.into_iter().filter(|(place, part)| {
            *place != Place::Lane || part.along.is_some()
        }).map(|(place, part)| (if place == Place::Lane { Place::Register } else { place }, part)))
            .expect("a layout of one lane");
        let both = inner.within(&outer).expect("32 lanes");
        for p in both.positions() {
            let cut = |number: u32, place| {
                let count = inner.count(place);
                (number % count, number / count)
            };
            let (register, register_of_outer) = cut(p.register, Place::Register);
            let (warp, warp_of_outer) = cut(p.warp, Place::Warp);
            let within = inner.at(Position { register, lane: p.lane, warp });
            let block = outer.at(Position { register: register_of_outer, lane: 0, warp: warp_of_outer });
            for (axis, index) in both.at(p) {
                let wanted = within.get(&axis).unwrap_or(&0)
                    + block.get(&axis).unwrap_or(&0) * inner.extent(axis);
                prop_assert_eq!(index, wanted);
            }
        }
        let covering = inner.covering('x', 20).over_warps('y', 4).over_registers('z', 5);
        prop_assert_eq!([covering.extent('x'), covering.extent('y'), covering.extent('z')], [24, 48, 5]);
        prop_assert_eq!(covering.count(Place::Warp), 8);
    }

    /// Names can be changed and found again; order of registers does not matter to threads.
    #[test]
    fn renaming(seed: u64) {
        let (shape, layout, mut random) = two(seed);
        let renamed = layout.rename(|axis| axis.to_ascii_uppercase()).expect("other names");
        let names = layout.renaming_to(&renamed).expect("the same but for names");
        prop_assert!(names.iter().all(|(a, b)| a.to_ascii_uppercase() == *b));
        prop_assert_eq!(names.len(), proper(&shape).len());
        let other = machine::layout(&shape, layout.count(Place::Warp), &mut random);
        if let Some(names) = layout.renaming_to(&other) {
            prop_assert_eq!(layout.rename(|a| names[&a]), Ok(other));
        }
        if shape.len() > 1 {
            prop_assert!(layout.rename(|_| 'q').is_err());
        }
        let sorted = layout.with_registers_along(&['y', 'x']);
        let map = layout.register_map(&sorted).expect("the same threads");
        for p in sorted.positions() {
            let register = map[p.register as usize];
            prop_assert_eq!(layout.at(Position { register, ..p }), sorted.at(p));
        }
        if shape.iter().any(|(axis, _)| *axis == 'y') {
            let run = sorted.contiguous('y');
            let indices = (0..run).map(|register| sorted.at(Position { register, ..Position::default() }));
            for (i, at) in (0..).zip(indices) {
                prop_assert_eq!(at[&'y'], i);
            }
        }
    }

    /// An index is taken apart and put together in another order.
    #[test]
    fn axes_can_be_reordered(seed: u64) {
        let random = &mut Random::new(seed);
        let layout = layout(&[('x', 32), ('y', 6)], 2, random);
        let all: [&[u32]; 4] = [&[2, 2, 2, 2, 2], &[4, 8], &[8, 2, 2], &[2, 4, 4]];
        let radices = all[random.below(4) as usize];
        let mut order: Vec<usize> = (0..radices.len()).collect();
        random.shuffle(&mut order);
        let found = layout.reordered('x', radices, &order).expect("bits can be reordered");
        for p in layout.positions() {
            let mut wanted = layout.at(p);
            let mut rest = wanted[&'x'];
            let mut digits = Vec::new();
            for radix in radices {
                digits.push(rest % radix);
                rest /= radix;
            }
            // The last digit in the new order is the most significant.
            let index = order.iter().rev().fold(0, |n, &i| n * radices[i] + digits[i]);
            wanted.insert('x', index);
            prop_assert_eq!(found.at(p), wanted);
        }
        let moved: Vec<u32> = order.iter().map(|&i| radices[i]).collect();
        let back: Vec<usize> =
            (0..order.len()).filter_map(|i| order.iter().position(|&from| from == i)).collect();
        prop_assert_eq!(found.reordered('x', &moved, &back), Ok(layout.clone()));
        prop_assert_eq!(layout.reordered('x', &[2, 4], &[0, 1]), Err(ReorderError::Digits));
        prop_assert_eq!(layout.reordered('x', &[4, 8], &[0, 0]), Err(ReorderError::Digits));
    }
}

#[test]
fn parts_that_are_no_layout_are_refused() {
    let new = |parts: &[(Place, Part<char>)]| Layout::new(parts.iter().copied()).err();
    let (register, lane) = (Place::Register, Place::Lane);
    let table = [
        (vec![(lane, Part::new(0, 'm', 1))], LayoutError::ZeroExtent { place: lane }),
        (vec![(register, Part::copies(2))], LayoutError::RegisterCopies),
        (vec![(lane, Part::new(3, 'm', 1))], LayoutError::Lanes { count: 3 }),
        (vec![(lane, Part::new(64, 'm', 1))], LayoutError::Lanes { count: 64 }),
        (vec![(lane, Part::new(4, 'm', 2))], LayoutError::Strides { found: 2, wanted: 1 }),
        (
            vec![(lane, Part::new(4, 'm', 1)), (register, Part::new(2, 'm', 3))],
            LayoutError::Strides { found: 3, wanted: 4 },
        ),
        (
            vec![(register, Part::new(65536, 'm', 1)), (Place::Warp, Part::new(65536, 'n', 1))],
            LayoutError::TooLarge,
        ),
    ];
    for (parts, wanted) in table {
        assert_eq!(new(&parts), Some(wanted), "{parts:?}");
    }
}

/// The row maximum of scores: two registers, and lanes `t` of a group are copies.
#[test]
fn row_statistics_of_an_accumulator() {
    let scores =
        Mma::M16N8K16Half.c().covering(Dot::N, 64).covering(Dot::M, 32).over_warps(Dot::M, 4);
    assert_eq!(
        scores.to_string(),
        "register  2 n*1   2 m*8   8 n*8   2 m*16\nlane      4 n*2   8 m*1\nwarp      4 m*32\n"
    );
    let reduction = scores.reduce(Dot::N);
    assert_eq!(
        reduction.result.to_string(),
        "register  4 m*8\nlane      4 copies   8 m*1\nwarp      4 m*32\n"
    );
    let shares = |lane_masks: &[u32], warp_digits: &[(u32, u32)]| Shares {
        lane_masks: lane_masks.to_vec(),
        warp_digits: warp_digits.to_vec(),
    };
    assert_eq!(reduction.shares, shares(&[1, 2], &[]));
    assert_eq!(reduction.num_shuffles(), 8);
    assert_eq!(reduction.registers[1][..4], [2, 3, 6, 7]);
    let columns = scores.reduce(Dot::M);
    assert_eq!(columns.shares, shares(&[4, 8, 16], &[(1, 4)]));
}
