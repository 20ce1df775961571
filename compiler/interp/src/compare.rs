//! How far a result is from what it should be: the one comparison that all tests and
//! `tilec verify` go through.
//!
//! **The rule** is FlashAttention's: the error against the exact result may be twice the greatest
//! error of a plain low-precision implementation of the same thing, plus a small constant:
//!
//! ```text
//! |actual - exact| <= 2 * max |naive - exact| + 1e-5
//! ```
//!
//! The maximum is over the whole tensor, so one number bounds every element: a single element of
//! the naive result may happen to be exact, and demanding twice nothing there would be unfair.
//!
//! One draw of the arguments may be lucky all the same: with a single query, all of a gradient has one rounded factor. `tilec
//! verify` therefore holds an error just outside of the bound against the greatest of the naive result's over eight more draws
//! of the same shape.
//!
//! **The constant** is absolute on purpose. It only matters where the naive result is almost
//! exact, and then the numbers are small integers or powers of two, for which nothing larger is
//! needed. Scaling it by the greatest exact value, `1e-5 * max(1, max |exact|)`, would allow for
//! large outputs in the very case where the naive error already grows with them, and would let one
//! large element excuse errors in all the small ones.
//!
//! **What is not finite.** An infinity must stand where the exact result has one, with its sign.
//! NaN passes only where the exact result is NaN. The naive result widens the bound only by
//! elements where it and the exact result are finite: if it overflows, that excuses nothing.
//! Nothing here goes through `f64::max`, which drops NaN.
//!
//! Integers and truth values must be equal.

use std::fmt;

use crate::data::{Data, TensorData};

/// How much error is allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Times the greatest error of the naive result.
    pub factor: f64,
    /// Plus this.
    pub floor: f64,
}

impl Default for Rule {
    fn default() -> Rule {
        Rule { factor: 2.0, floor: 1e-5 }
    }
}

/// The error of one tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Whether every element is within the bound.
    pub pass: bool,
    /// The error allowed; 0 for integers and truth values.
    pub bound: f64,
    /// The greatest error of the naive result, over elements where that is finite.
    pub naive_error: f64,
    /// The greatest error; infinite where NaN or an infinity is out of place. Never NaN.
    pub max_abs_error: f64,
    /// Index of the first element with that error; none if there is no element.
    pub position: Option<Vec<i64>>,
    /// What stands there.
    pub actual: f64,
    /// What should stand there.
    pub expected: f64,
    /// Elements beyond the bound.
    pub failures: usize,
    /// Elements that are NaN where the exact result is not.
    pub nan_count: usize,
    /// Other elements where just one of the two is infinite, both are with different signs, or the
    /// exact result is NaN and this is not.
    pub inf_mismatches: usize,
}

/// Why two tensors cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompareError {
    /// Different extents.
    Shape {
        /// Of the tensor that differs.
        got: Vec<i64>,
        /// Of the exact result.
        wanted: Vec<i64>,
    },
    /// Floats, integers and truth values do not compare.
    Class {
        /// Of the tensor that differs.
        got: &'static str,
        /// Of the exact result.
        wanted: &'static str,
    },
}

impl fmt::Display for CompareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompareError::Shape { got, wanted } => {
                write!(f, "got shape {got:?}, wanted {wanted:?}")
            }
            CompareError::Class { got, wanted } => write!(f, "got {got}, wanted {wanted}"),
        }
    }
}

impl std::error::Error for CompareError {}

/// Holds `actual` against `exact`, with the error of `naive` as the yardstick.
///
/// # Errors
///
/// Tensors of different extents or classes.
pub fn compare(
    actual: &TensorData,
    exact: &TensorData,
    naive: &TensorData,
    rule: Rule,
) -> Result<Comparison, CompareError> {
    for tensor in [actual, naive] {
        if tensor.shape != exact.shape || tensor.data.len() != exact.data.len() {
            let (got, wanted) = (tensor.shape.clone(), exact.shape.clone());
            return Err(CompareError::Shape { got, wanted });
        }
    }
    match (&actual.data, &exact.data, &naive.data) {
        (Data::Float(actual_data), Data::Float(exact_data), Data::Float(naive)) => {
            let errors = naive.iter().zip(exact_data).map(|(&n, &e)| error(n, e));
            let naive_error = errors.filter(|e| e.is_finite()).fold(0.0, greater);
            let bound = rule.factor * naive_error + rule.floor;
            let pairs = actual_data.iter().copied().zip(exact_data.iter().copied());
            Ok(Comparison { naive_error, ..worst(actual, pairs, bound, error) })
        }
        (Data::Int(actual_data), Data::Int(exact_data), Data::Int(_)) => {
            let pairs = actual_data.iter().copied().zip(exact_data.iter().copied());
            let distance = |a: i64, b: i64| a.abs_diff(b) as f64;
            Ok(worst(actual, pairs, 0.0, distance))
        }
        (Data::Bool(actual_data), Data::Bool(exact_data), Data::Bool(_)) => {
            let pairs = actual_data.iter().map(|&x| i64::from(x));
            let pairs = pairs.zip(exact_data.iter().map(|&x| i64::from(x)));
            Ok(worst(actual, pairs, 0.0, |a, b| a.abs_diff(b) as f64))
        }
        (got, wanted, naive) => {
            let got = if got.class() == wanted.class() { naive } else { got };
            Err(CompareError::Class { got: got.class(), wanted: wanted.class() })
        }
    }
}

/// Numbers of a tensor, as the report shows them.
trait Number: Copy {
    fn shown(self) -> f64;
}

impl Number for f64 {
    fn shown(self) -> f64 {
        self
    }
}

impl Number for i64 {
    fn shown(self) -> f64 {
        self as f64
    }
}

fn worst<T: Number>(
    tensor: &TensorData,
    pairs: impl Iterator<Item = (T, T)>,
    bound: f64,
    error: impl Fn(T, T) -> f64,
) -> Comparison {
    let mut found = Comparison {
        pass: true,
        bound,
        naive_error: 0.0,
        max_abs_error: 0.0,
        position: None,
        actual: 0.0,
        expected: 0.0,
        failures: 0,
        nan_count: 0,
        inf_mismatches: 0,
    };
    for (offset, (actual, expected)) in pairs.enumerate() {
        let error = error(actual, expected);
        let (actual, expected) = (actual.shown(), expected.shown());
        if error == f64::INFINITY {
            if actual.is_nan() {
                found.nan_count += 1;
            } else {
                found.inf_mismatches += 1;
            }
        }
        // A bound that overflowed must not let an infinity pass.
        found.failures += usize::from(error > bound || error == f64::INFINITY);
        if found.position.is_none() || error > found.max_abs_error {
            found.max_abs_error = error;
            found.position = Some(tensor.position(offset));
            (found.actual, found.expected) = (actual, expected);
        }
    }
    found.pass = found.failures == 0;
    found
}

/// The distance of two floats. Never NaN: infinite where just one of them is NaN.
fn error(actual: f64, exact: f64) -> f64 {
    if actual == exact || (actual.is_nan() && exact.is_nan()) {
        0.0
    } else if actual.is_nan() || exact.is_nan() {
        f64::INFINITY
    } else {
        (actual - exact).abs()
    }
}

/// The greater of two numbers, neither of them NaN.
fn greater(a: f64, b: f64) -> f64 {
    if b > a { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INF: f64 = f64::INFINITY;
    const NAN: f64 = f64::NAN;

    fn floats(actual: &[f64], exact: &[f64], naive: &[f64]) -> Comparison {
        let tensor = |x: &[f64]| TensorData::floats([x.len() as i64], x);
        compare(&tensor(actual), &tensor(exact), &tensor(naive), Rule::default()).unwrap()
    }

    /// One element between two good ones; the naive result is exact, so the bound is 1e-5.
    fn one(actual: f64, exact: f64) -> Comparison {
        floats(&[1.0, actual, 2.0], &[1.0, exact, 2.0], &[1.0, exact, 2.0])
    }

    #[test]
    fn single_elements() {
        let table = [
            (1.0, 1.0, true),
            (1.0 + 0.9e-5, 1.0, true),
            (1.0 + 1.1e-5, 1.0, false),
            (1.0 - 1.1e-5, 1.0, false),
            (0.0, -0.0, true),
            (INF, INF, true),
            (-INF, -INF, true),
            (NAN, NAN, true),
            (INF, -INF, false),
            (INF, 1e300, false),
            (1e300, INF, false),
            (NAN, 1.0, false),
            (NAN, INF, false),
            (NAN, -INF, false),
            (1.0, NAN, false),
            (INF, NAN, false),
        ];
        for (actual, exact, pass) in table {
            let found = one(actual, exact);
            assert_eq!(found.pass, pass, "{actual} for {exact}: {found:?}");
            assert_eq!(found.failures, usize::from(!pass));
            assert!(!found.max_abs_error.is_nan());
            if !pass {
                assert_eq!(found.position, Some(vec![1]), "{actual} for {exact}");
            }
        }
    }

    #[test]
    fn what_is_not_finite_is_counted() {
        let exact = [0.0, INF, -INF, 1.0, NAN, INF];
        let found = floats(&[NAN, NAN, INF, -INF, 3.0, INF], &exact, &exact);
        assert_eq!((found.nan_count, found.inf_mismatches, found.failures), (2, 3, 5));
        assert_eq!((found.max_abs_error, found.position), (INF, Some(vec![0])));
        assert!(found.actual.is_nan() && !found.pass);
    }

    #[test]
    fn the_naive_error_sets_the_bound() {
        // The greatest naive error, a quarter, holds for the element where the naive is exact.
        let found = floats(&[1.5, 0.0], &[1.0, 0.0], &[1.0, 0.25]);
        assert_eq!((found.naive_error, found.bound), (0.25, 0.5 + 1e-5));
        assert!(found.pass);
        assert!(!floats(&[1.5001, 0.0], &[1.0, 0.0], &[1.0, 0.25]).pass);
    }

    #[test]
    fn a_naive_result_that_breaks_down_excuses_nothing() {
        for naive in [NAN, INF, -INF] {
            let found = floats(&[1.1, 0.0], &[1.0, 0.0], &[naive, 0.0]);
            assert_eq!((found.bound, found.pass), (1e-5, false));
        }
        // A bound beyond f64 is infinite, and still no infinity passes.
        let found = floats(&[INF, NAN], &[0.0, 0.0], &[f64::MAX, 0.0]);
        assert_eq!((found.bound, found.failures), (INF, 2));
    }

    #[test]
    fn the_worst_is_the_first_of_equals() {
        let tensor = |x: [f64; 6]| TensorData::floats([2, 3], x);
        let (exact, actual) = (tensor([0.0; 6]), tensor([0.0, 0.5, -2.0, 1.0, 2.0, 0.0]));
        let found = compare(&actual, &exact, &exact, Rule::default()).unwrap();
        assert_eq!(found.position, Some(vec![0, 2]));
        assert_eq!((found.max_abs_error, found.actual, found.failures), (2.0, -2.0, 4));
    }

    #[test]
    fn nothing_to_compare_passes() {
        let empty = TensorData::floats([0, 4], []);
        let found = compare(&empty, &empty, &empty, Rule::default()).unwrap();
        assert_eq!((found.pass, found.position, found.max_abs_error), (true, None, 0.0));
    }

    #[test]
    fn integers_and_truth_values_are_equal_or_wrong() {
        let ints = |x: [i64; 3]| TensorData::ints([3], x);
        let exact = ints([1, i64::MIN, i64::MAX]);
        assert!(compare(&exact, &exact, &exact, Rule::default()).unwrap().pass);
        let near = ints([1, i64::MIN, i64::MAX - 1]);
        // A naive result that is far off changes nothing, nor does f64 see these two as one.
        let found = compare(&near, &exact, &ints([9, 9, 9]), Rule::default()).unwrap();
        assert_eq!((found.pass, found.position, found.bound), (false, Some(vec![2]), 0.0));
        let bools = |x: [bool; 2]| TensorData::bools([2], x);
        let (exact, other) = (bools([true, false]), bools([true, true]));
        assert!(compare(&exact, &exact, &other, Rule::default()).unwrap().pass);
        assert!(!compare(&other, &exact, &exact, Rule::default()).unwrap().pass);
    }

    #[test]
    fn unlike_tensors_are_an_error() {
        let (a, b) = (TensorData::floats([2], [0.0; 2]), TensorData::floats([1, 2], [0.0; 2]));
        let ints = TensorData::ints([2], [0; 2]);
        let rule = Rule::default();
        assert!(matches!(compare(&b, &a, &a, rule), Err(CompareError::Shape { .. })));
        assert!(matches!(compare(&a, &a, &b, rule), Err(CompareError::Shape { .. })));
        let class = CompareError::Class { got: "int", wanted: "float" };
        assert_eq!(compare(&ints, &a, &a, rule), Err(class.clone()));
        assert_eq!(compare(&a, &a, &ints, rule), Err(class));
    }
}
