//! Known numbers of full, mixed and dead tiles, for kernels of the library and for one that must keep its dead tiles.

use std::collections::BTreeMap;

use tilec_driver::{Inspection, inspect};
use tilec_passes::mask::count::Shape;
use tilec_tests::{library, lowered};
use tilec_vocab::{DType, Specialisation};

/// A kernel with tiles of `rows` by `columns`, on these extents and numbers.
fn inspected(text: &str, (rows, columns): (i64, i64), numbers: &[(&str, i64)]) -> Inspection {
    let module = lowered(text);
    let kernel = &module.kernels[0];
    let ints = [("BM", rows), ("BN", columns), ("D", 64)];
    let ints = ints.into_iter().filter(|(name, _)| kernel.declares(name));
    let binding = Specialisation {
        dtypes: BTreeMap::from([("T".to_owned(), DType::F16)]),
        ints: ints.map(|(name, value)| (name.to_owned(), value)).collect(),
    };
    let mut shape = Shape::default();
    for (name, value) in [("B", 1), ("H", 1), ("G", 1)].iter().chain(numbers) {
        shape.names.insert((*name).to_owned(), *value);
    }
    inspect(kernel, &binding, &shape).unwrap_or_else(|error| panic!("{error}"))
}

/// Full, mixed and dead.
fn classes(inspection: &Inspection) -> (u64, u64, u64) {
    let counts = inspection.loops[0].counts.as_ref().expect("counts");
    (counts.full, counts.mixed, counts.dead)
}

#[test]
fn causal() {
    let text = library("causal");
    let small = inspected(text, (128, 64), &[("M", 1024), ("N", 1024)]);
    assert_eq!(classes(&small), (56, 16, 56));
    // Pairs of a query and a key it sees: 1 + 2 + … + 1024.
    let counts = small.loops[0].counts.as_ref().expect("counts");
    assert_eq!(counts.lanes, 1024 * 1025 / 2);
    let flops = small.flops.expect("flops");
    assert_eq!(flops.exact, 2 * 2 * 64 * counts.lanes);
    assert_eq!(flops.executed, 2 * 2 * 64 * 72 * 128 * 64);
    let large = inspected(text, (128, 64), &[("M", 4096), ("N", 4096)]);
    assert_eq!(classes(&large), (992, 64, 992));
}

#[test]
fn causal_with_more_keys_than_queries() {
    let shape = [("M", 1024), ("N", 4096)];
    let inspection = inspected(library("causal_bottom_right"), (128, 64), &shape);
    assert_eq!(classes(&inspection), (440, 16, 56));
}

#[test]
fn decode_in_a_window() {
    let text = "use flash::{attend, attention};
kernel decode<T: float, const D>(
    q: &T[B, H, M, D], k: &T[B, G, N, D], v: &T[B, G, N, D], o: &mut T[B, H, M, D],
    lse: &mut f32[B, H, M], scale: f32, window: i32,
)
grid b in B, h in H, m in M by BM {
    let last = N - M;
    attend(b, h, m, q, k, v, o, lse, scale,
        mask = |m, n| n <= m + last and m + last - n <= window);
}
";
    let shape = [("M", 1), ("N", 16384), ("window", 4096)];
    let inspection = inspected(text, (128, 128), &shape);
    assert_eq!(classes(&inspection), (32, 1, 95));
    let counts = inspection.loops[0].counts.as_ref().expect("counts");
    assert_eq!(counts.lanes, 4097);
}

#[test]
fn masks_that_depend_on_data_stay_and_say_so() {
    let inspection = inspected(library("documents"), (128, 64), &[("M", 512), ("N", 512)]);
    let mask = &inspection.loops[0].masks[0];
    assert!(!mask.opaque.is_empty(), "{mask:?}");
    let (full, mixed, _) = classes(&inspection);
    assert_eq!(full, 0);
    assert!(mixed > 0);
}

#[test]
fn a_body_that_counts_its_blocks_keeps_the_dead_ones() {
    let text = "kernel visits<T: float>(x: &T[M, N], y: &mut f32[M], seen: &mut i64[M])
tune BM in [128] tune BN in [64]
grid m in M by BM {
    var total = fill(0.0, f32[m]);
    var blocks = 0;
    for n in N by BN {
        total = total + sum(select(n <= m, x[m, n] as f32, 0.0) over n);
        blocks = blocks + 1;
    }
    y[m] = total;
    seen[m] = blocks;
}
";
    let inspection = inspected(text, (128, 64), &[("M", 1024), ("N", 1024)]);
    assert_eq!(classes(&inspection), (56, 72, 0));
    let kept = inspection.loops[0].masks[0].kept.as_deref().expect("a reason");
    assert!(kept.contains("blocks"), "{kept}");
}
