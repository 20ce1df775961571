//! Conversion plans, run on labelled elements.

mod machine;

use machine::{Random, filled, layout, run, shape};
use proptest::prelude::*;
use tilec_layout::*;

fn checked<A: Copy + Ord + std::fmt::Debug>(
    from: &Layout<A>,
    to: &Layout<A>,
    elem_bytes: u32,
) -> Plan<A> {
    let plan = convert(from, to, elem_bytes).expect("layouts of one tile");
    assert!(run(&plan, from, to) == filled(to), "{plan:?}");
    plan
}

fn named(layout: Layout<Dot>, names: [char; 3]) -> Layout<char> {
    let name = |axis: Dot| names[Dot::ALL.iter().position(|a| *a == axis).unwrap_or(0)];
    layout.rename(name).expect("three names")
}

#[test]
fn attention_feeds_its_second_dot_for_nothing() {
    let half = Mma::M16N8K16Half;
    let scores = named(half.c().covering(Dot::N, 64).over_warps(Dot::M, 4), ['m', 'n', 'd']);
    let operand = named(half.a().covering(Dot::K, 64).over_warps(Dot::M, 4), ['m', 'd', 'n']);
    assert_eq!(checked(&scores, &operand, 2), Plan::Same);
    // 32 rows for each warp, the columns walked first or last: other registers, no instructions.
    let scores = named(
        half.c().covering(Dot::N, 64).covering(Dot::M, 32).over_warps(Dot::M, 4),
        ['m', 'n', 'd'],
    );
    let operand = named(
        half.a().covering(Dot::M, 32).covering(Dot::K, 64).over_warps(Dot::M, 4),
        ['m', 'd', 'n'],
    );
    let plan = checked(&scores, &operand, 2);
    assert_eq!((plan.name(), plan.cost()), ("registers", Cost::default()));
}

#[test]
fn tf32_scores_reach_the_second_dot() {
    let tf32 = Mma::M16N8K8Tf32;
    let scores = named(tf32.c(), ['m', 'n', 'd']);
    let operand = named(tf32.a(), ['m', 'd', 'n']);
    let shuffles = Shuffles::between(&scores, &operand, 4).expect("nothing crosses warps");
    // Two steps for each row, an offer chosen in each; of three sources of a word two choices.
    assert_eq!((shuffles.steps.len(), shuffles.packed), (4, 1));
    assert_eq!(
        (&shuffles.steps[0].offer[..3], &shuffles.steps[0].from[..3]),
        (&[1, 0, 0][..], &[2, 0, 1][..])
    );
    assert_eq!(
        (&shuffles.steps[1].offer[1..4], &shuffles.steps[1].from[1..4]),
        (&[1, 1, 0][..], &[2, 3, 1][..])
    );
    assert_eq!(shuffles.cost(), Cost { instructions: 4 + 4 + 8, wavefronts: 4, barriers: 0 });
    // Two stores of two columns, one ldmatrix of four matrices, one wait.
    let plan = checked(&scores, &operand, 4);
    assert_eq!(
        (plan.name(), plan.cost()),
        ("shared", Cost { instructions: 4, wavefronts: 8, barriers: 0 })
    );
    // The second dot may sum in any order: then nothing moves at all.
    let reordered = operand.reordered('n', &[4, 2], &[1, 0]).expect("eight columns");
    assert_eq!(checked(&scores, &reordered, 4).name(), "registers");
}

#[test]
fn packed_halves_move_together() {
    // The rows of an accumulator swapped between lanes, columns in pairs.
    let half: Layout<Dot> = Mma::M16N8K16Half.c();
    let turned: Layout<Dot> = Layout::new([
        (Place::Register, Part::new(2, Dot::N, 1)),
        (Place::Register, Part::new(2, Dot::M, 1)),
        (Place::Lane, Part::new(4, Dot::N, 2)),
        (Place::Lane, Part::new(8, Dot::M, 2)),
    ])
    .expect("a layout");
    let plan = checked(&half, &turned, 2);
    let Plan::Shuffles(shuffles) = &plan else {
        panic!("two words are lighter than a trip through shared memory: {plan:?}");
    };
    assert_eq!(shuffles.packed, 2);
    assert_eq!(shuffles.steps.len(), 2);
}

/// Four bytes make a word only if they do so everywhere: here the first four registers agree, and
/// the next start alike but go on differently.
#[test]
fn words_that_agree_in_part_are_taken_apart() {
    let layout = |register: (char, u32), lane: (char, u32)| {
        Layout::new([
            (Place::Register, Part::new(2, 'x', 1)),
            (Place::Register, Part::new(3, 'y', 1)),
            (Place::Register, Part::new(2, register.0, register.1)),
            (Place::Lane, Part::new(2, lane.0, lane.1)),
            (Place::Lane, Part::new(16, 'x', 4)),
        ])
        .expect("a layout")
    };
    let (from, to) = (layout(('x', 2), ('z', 1)), layout(('z', 1), ('x', 2)));
    let shuffles = Shuffles::between(&from, &to, 1).expect("nothing crosses warps");
    assert_eq!(shuffles.packed, 1);
    assert!(run(&Plan::Shuffles(shuffles), &from, &to) == filled(&to));
}

#[test]
fn what_crosses_warps_goes_through_shared_memory() {
    let half = Mma::M16N8K16Half;
    // The output of attention, to be stored in 16-byte pieces.
    for head in [64, 80, 96, 128, 192] {
        let output = named(half.c().covering(Dot::N, head).over_warps(Dot::M, 4), ['m', 'd', 'n']);
        let rows = blocked(&[('m', 64), ('d', head)], 2, 4);
        let Plan::Shared(exchange) = checked(&output, &rows, 2) else {
            panic!("an exchange");
        };
        let write = exchange.buffer.wavefronts(&output, Lanes::FirstCopies, 0);
        let read = exchange.buffer.wavefronts(&rows, Lanes::All, 0);
        assert_eq!((write.conflicts(), read.conflicts()), (0, 0), "{head}");
        assert_eq!(exchange.sync, Sync::Warp, "each warp has its rows");
    }
    // Loaded rows become an operand of every warp: ldmatrix.
    let rows = blocked(&[('n', 64), ('d', 80)], 2, 4);
    let operand = named(
        half.b().covering(Dot::K, 80).covering(Dot::N, 64).copied_over_warps(4),
        ['m', 'n', 'd'],
    );
    let Plan::Shared(exchange) = checked(&rows, &operand, 2) else {
        panic!("an exchange");
    };
    assert_eq!(exchange.sync, Sync::Cta);
    let Load::Ldmatrix(load) = &exchange.load else {
        panic!("ldmatrix");
    };
    assert_eq!((load.num_matrices, load.trans), (4, false));
}

#[test]
fn layouts_of_different_tiles_are_refused() {
    let half = Mma::M16N8K16Half;
    assert_eq!(convert(&half.a(), &half.c(), 2), Err(ConvertError::Shapes));
    let two = half.a().copied_over_warps(2);
    assert_eq!(convert(&half.a(), &two, 2), Err(ConvertError::Threads));
    assert_eq!(
        convert(&half.a(), &blocked(&[(Dot::M, 16), (Dot::K, 16)], 2, 1), 3),
        Err(ConvertError::Buffer(BufferError::ElemBytes(3)))
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// Whatever the layouts and the size of elements, the chosen plan is right, and so is the one
    /// through shared memory where it was not chosen.
    #[test]
    fn plans_move_every_element(seed: u64) {
        let random = &mut Random::new(seed);
        let shape = shape(random);
        let num_warps = [1, 2, 3, 4, 6, 8][random.below(6) as usize];
        let from = layout(&shape, num_warps, random);
        let to = layout(&shape, num_warps, random);
        let elem_bytes = [1, 2, 4, 8][random.below(4) as usize];
        checked(&from, &to, elem_bytes);
        let shared = Plan::Shared(exchange(&from, &to, elem_bytes).expect("a plan"));
        prop_assert_eq!(run(&shared, &from, &to), filled(&to));
        if let Some(shuffles) = Shuffles::between(&from, &to, elem_bytes) {
            prop_assert_eq!(run(&Plan::Shuffles(shuffles), &from, &to), filled(&to));
        }
    }

    /// The same digits in other lanes and registers: shuffles, packed or not.
    #[test]
    fn plans_within_warps_move_every_element(seed: u64) {
        let random = &mut Random::new(seed);
        let extent = [8, 16, 32, 24, 40, 64][random.below(6) as usize];
        let shape = [('x', extent), ('y', [4, 8, 12][random.below(3) as usize])];
        let [from, to] = [0, 0].map(|_| layout(&shape, 1, random).over_warps('w', 3));
        let elem_bytes = [1, 2, 4, 8][random.below(4) as usize];
        let plan = checked(&from, &to, elem_bytes);
        if let Plan::Shared(exchange) = plan {
            prop_assert_eq!(exchange.sync, Sync::Warp);
        }
        let shuffles = Shuffles::between(&from, &to, elem_bytes).expect("nothing crosses warps");
        prop_assert!(shuffles.packed == 1 || shuffles.packed * elem_bytes == 4);
        prop_assert_eq!(run(&Plan::Shuffles(shuffles), &from, &to), filled(&to));
    }

    /// Registers in another order: a renaming, for nothing.
    #[test]
    fn registers_have_no_order(seed: u64) {
        let random = &mut Random::new(seed);
        let mut parts = machine::parts(&shape(random), 4, random);
        let from = Layout::new(parts.clone()).expect("a layout");
        let (mut registers, others): (Vec<_>, Vec<_>) =
            parts.drain(..).partition(|(place, _)| *place == Place::Register);
        random.shuffle(&mut registers);
        let to = Layout::new(registers.into_iter().chain(others)).expect("a layout");
        let plan = checked(&from, &to, 2);
        prop_assert!(matches!(plan, Plan::Same | Plan::Registers(_)));
    }
}
