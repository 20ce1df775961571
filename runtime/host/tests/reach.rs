//! The arithmetic of reach and overlap against its definition: visiting every lane.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tilec_host::{Tensor, overlaps_itself, reach};
use tilec_vocab::DType;

/// Every lane's element, by the definition.
fn lanes(shape: &[i64], strides: &[i64], offset: i64) -> Vec<i128> {
    let mut at = vec![i128::from(offset)];
    for (&extent, &stride) in shape.iter().zip(strides) {
        let step = |base: i128| (0..extent).map(move |i| base + i128::from(i) * i128::from(stride));
        at = at.into_iter().flat_map(step).collect();
    }
    at
}

/// Shapes of few lanes and strides small enough to meet often.
fn views() -> impl Strategy<Value = (Vec<i64>, Vec<i64>, i64)> {
    let dim = (0i64..6, -9i64..10);
    (prop::collection::vec(dim, 0..5), -40i64..200).prop_map(|(dims, offset)| {
        let (shape, strides) = dims.into_iter().unzip();
        (shape, strides, offset)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reach_is_the_range_of_all_lanes((shape, strides, offset) in views()) {
        let all = lanes(&shape, &strides, offset);
        let range = all.iter().min().copied().zip(all.iter().max().copied());
        prop_assert_eq!(reach(&shape, &strides, offset), range);
    }

    #[test]
    fn overlap_is_two_lanes_on_one_element((shape, strides, _) in views()) {
        let all = lanes(&shape, &strides, 0);
        let distinct: BTreeSet<i128> = all.iter().copied().collect();
        prop_assert_eq!(overlaps_itself(&shape, &strides), distinct.len() < all.len());
    }

    #[test]
    fn a_view_exists_if_and_only_if_all_lanes_are_inside((shape, strides, offset) in views()) {
        let buffer = Tensor::zeros(DType::F16, &[100]).unwrap();
        let inside = lanes(&shape, &strides, offset).iter().all(|at| (0..100).contains(at));
        prop_assert_eq!(buffer.view(&shape, &strides, offset).is_ok(), inside);
    }
}

#[test]
fn nothing_wraps_at_the_ends_of_i64() {
    let big = i64::MAX;
    let (lowest, highest) = reach(&[big, big], &[big, -big], big).unwrap();
    let step = (i128::from(big) - 1) * i128::from(big);
    assert_eq!((lowest, highest), (i128::from(big) - step, i128::from(big) + step));
    assert_eq!(reach(&[0, big], &[big, big], big), None);
    let buffer = Tensor::zeros(DType::F32, &[4]).unwrap();
    // 2^63 bytes further on: a wrapped sum would land inside.
    assert!(buffer.view(&[3], &[1 << 62], 0).is_err());
    assert!(buffer.view(&[5, 5], &[i64::MIN, i64::MIN], 0).is_err());
    assert!(buffer.view(&[1], &[i64::MAX], 3).is_ok());
    assert!(Tensor::zeros(DType::F32, &[big, big, big]).is_err());
    assert!(Tensor::zeros(DType::F32, &[big, 0, big]).is_ok());
    assert!(Tensor::zeros(DType::F32, &[-1]).is_err());
    // More lanes than memory, all on one element: a view like any other until someone reads it.
    let endless = buffer.view(&[big, big], &[0, 0], 0).unwrap();
    assert!(endless.read().is_err());
    assert!(buffer.view(&[1 << 50], &[0], 0).unwrap().read().is_err());
}
