//! Made-up tensors: constants, counting, random numbers.
//!
//! The generator is counter-based: element `i` of a tensor is a function of the seed and `i` alone,
//! so that any part can be made anywhere, in any order, with the same bits on every machine.
//!
//! ```text
//! mix(x):  x ^= x >> 30; x *= 0xBF58476D1CE4E5B9; x ^= x >> 27; x *= 0x94D049BB133111EB; x ^= x >> 31
//! word(seed, i)    = mix(mix(seed + G) + (i + 1) * G)         G = 0x9E3779B97F4A7C15, all modulo 2^64
//! uniform(seed, i) = (word(seed, i) >> 11) * 2^-53            in [0, 1)
//! normal(seed, i)  = sqrt(-2 ln(1 - u)) * (i even: cos, i odd: sin)(2 pi v)
//!                    u = uniform(seed, i - i % 2), v = uniform(seed, i - i % 2 + 1)
//! ```
//!
//! `mix` is the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom
//! number generators", 2014); the pairs are Box and Muller's. The logarithm, sine and cosine are
//! those of the `libm` crate, since the system's differ in their last bits.

use std::f64::consts::TAU;

use tilec_vocab::DType;

use crate::view::room_for;
use crate::{Elements, RuntimeError, Tensor};

/// What to fill a tensor with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fill {
    /// Every element 0, or false.
    Zeros,
    /// Every element 1, or true.
    Ones,
    /// 0, 1, 2, … in row-major order.
    Arange,
    /// Normal with mean 0 and standard deviation 1. Floats only.
    Normal {
        /// Any number.
        seed: u64,
    },
    /// Floats from `low` up to `high`, integers from `low` to `high - 1`, bools each with one half.
    Uniform {
        /// Any number.
        seed: u64,
        /// Smallest value.
        low: f64,
        /// Bound of the values.
        high: f64,
    },
}

/// A new tensor in host memory.
///
/// # Errors
///
/// No memory, or a fill the type cannot hold: normal numbers as integers, a range without integers.
pub fn filled(fill: Fill, dtype: DType, shape: &[i64]) -> Result<Tensor, RuntimeError> {
    let tensor = Tensor::zeros(dtype, shape)?;
    let count = tensor.len() as u64;
    let unfit = || unfit(fill, dtype);
    let elements = if dtype.is_float() {
        Elements::Floats(collect(count, unfit, |i| Some(float(fill, i)))?)
    } else if dtype.is_int() {
        Elements::Ints(collect(count, unfit, |i| integer(fill, i))?)
    } else {
        Elements::Bools(collect(count, unfit, |i| truth(fill, i))?)
    };
    tensor.write(&elements)?;
    Ok(tensor)
}

fn collect<T>(
    count: u64,
    unfit: impl Fn() -> RuntimeError,
    element: impl Fn(u64) -> Option<T>,
) -> Result<Vec<T>, RuntimeError> {
    let mut out = room_for(u128::from(count))?;
    for i in 0..count {
        out.push(element(i).ok_or_else(&unfit)?);
    }
    Ok(out)
}

/// Random bits number `i` of a seed.
pub fn word(seed: u64, i: u64) -> u64 {
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let stream = mix(seed.wrapping_add(GOLDEN));
    mix(stream.wrapping_add(i.wrapping_add(1).wrapping_mul(GOLDEN)))
}

/// Random number `i` of a seed, in `[0, 1)`.
pub fn uniform(seed: u64, i: u64) -> f64 {
    (word(seed, i) >> 11) as f64 * 2f64.powi(-53)
}

/// Random number `i` of a seed, normal with mean 0 and standard deviation 1.
pub fn normal(seed: u64, i: u64) -> f64 {
    let first = i - i % 2;
    let (u, v) = (uniform(seed, first), uniform(seed, first + 1));
    let radius = (-2.0 * libm::log(1.0 - u)).sqrt();
    radius * if i.is_multiple_of(2) { libm::cos(TAU * v) } else { libm::sin(TAU * v) }
}

fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

fn float(fill: Fill, i: u64) -> f64 {
    match fill {
        Fill::Zeros => 0.0,
        Fill::Ones => 1.0,
        Fill::Arange => i as f64,
        Fill::Normal { seed } => normal(seed, i),
        Fill::Uniform { seed, low, high } => low + (high - low) * uniform(seed, i),
    }
}

fn integer(fill: Fill, i: u64) -> Option<i64> {
    match fill {
        Fill::Zeros => Some(0),
        Fill::Ones => Some(1),
        Fill::Arange => i64::try_from(i).ok(),
        Fill::Normal { .. } => None,
        Fill::Uniform { seed, low, high } => {
            let (low, high) = (low.ceil() as i64, high.ceil() as i64);
            let span = u128::from(high.checked_sub(low)?.unsigned_abs());
            if high <= low {
                return None;
            }
            let step = (u128::from(word(seed, i)) * span) >> 64;
            low.checked_add(i64::try_from(step).ok()?)
        }
    }
}

fn truth(fill: Fill, i: u64) -> Option<bool> {
    match fill {
        Fill::Zeros => Some(false),
        Fill::Ones => Some(true),
        Fill::Uniform { seed, .. } => Some(word(seed, i) >> 63 == 1),
        Fill::Arange | Fill::Normal { .. } => None,
    }
}

fn unfit(fill: Fill, dtype: DType) -> RuntimeError {
    RuntimeError::Tensor(match fill {
        Fill::Normal { .. } => format!("normal numbers are not of type {dtype}; use uniform"),
        Fill::Uniform { low, high, .. } => {
            format!("there is no number of type {dtype} from {low} up to {high}")
        }
        Fill::Arange => format!("counting is not of type {dtype}"),
        Fill::Zeros | Fill::Ones => format!("no such number of type {dtype}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The documented formula, evaluated elsewhere (Python, with integers and the `math` module).
    #[test]
    fn the_generator_is_the_documented_one() {
        assert_eq!(word(7, 0), 0xB8B4C2977EABCE45);
        assert_eq!(word(u64::MAX, 41), 0xD487FDE6C718E369);
        assert!((normal(7, 0) - -0.9422576653840772).abs() < 1e-15);
        assert!((normal(7, 1) - -1.2918528088483523).abs() < 1e-15);
    }

    #[test]
    fn normal_numbers_are_normal() {
        let n = 100_000;
        let values: Vec<f64> = (0..n).map(|i| normal(3, i)).collect();
        let moment = |k: i32| values.iter().map(|x| x.powi(k)).sum::<f64>() / n as f64;
        // Five standard errors of each moment: sqrt(1/n), sqrt(2/n), sqrt(15/n), sqrt(96/n).
        let bound = |variance: f64| 5.0 * (variance / n as f64).sqrt();
        assert!(moment(1).abs() < bound(1.0));
        assert!((moment(2) - 1.0).abs() < bound(2.0));
        assert!(moment(3).abs() < bound(15.0));
        assert!((moment(4) - 3.0).abs() < bound(96.0));
        let neighbours = values.windows(2).map(|w| w[0] * w[1]).sum::<f64>() / n as f64;
        assert!(neighbours.abs() < bound(1.0));
    }

    #[test]
    fn integers_fill_their_range() -> Result<(), RuntimeError> {
        let fill = Fill::Uniform { seed: 1, low: -2.0, high: 3.0 };
        let Elements::Ints(mut values) = filled(fill, DType::I32, &[400])?.read()? else {
            return Err(RuntimeError::Tensor("not integers".into()));
        };
        values.sort_unstable();
        values.dedup();
        assert_eq!(values, [-2, -1, 0, 1, 2]);
        Ok(())
    }

    #[test]
    fn what_a_type_cannot_hold_is_refused() {
        assert!(filled(Fill::Normal { seed: 0 }, DType::I32, &[2]).is_err());
        let empty = Fill::Uniform { seed: 0, low: 2.0, high: 2.0 };
        assert!(filled(empty, DType::I64, &[2]).is_err());
    }
}
