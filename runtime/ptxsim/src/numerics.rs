//! The freedom PTX leaves in numbers, as models: its corners, and points between. A test passes only if it passes under
//! every model.
//!
//! Bounds are those of the PTX ISA, sections 9.7.3 and 9.7.4 (`ex2`, `lg2`, `rcp`, `div`, `tanh`, `sqrt`, `rsqrt`,
//! `sin`, `cos`). Results that the ISA fixes (zeros, infinities, NaN, `ex2(±0) = 1`) are never moved.

use crate::program::Approx;

/// Which value an approximate instruction returns within its error bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApproxModel {
    /// The correctly rounded value.
    Nearest,
    /// As far above the exact value as the bound allows.
    High,
    /// As far below the exact value as the bound allows.
    Low,
    /// Somewhere within the bound, by a hash of seed, lane and operand.
    Scatter(u64),
}

/// How `mma` adds its products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SumModel {
    /// f32 fused multiply-adds in order of k, starting from the accumulator.
    Sequential,
    /// The sum in f64, rounded once.
    Exact,
    /// Groups of this many products and the running sum are aligned to the largest exponent, cut to 24 bits there and
    /// added, as tensor cores are reported to do (Fasi, Higham, Mikaitis, Pranesh, "Numerical behavior of NVIDIA
    /// tensor cores", PeerJ CS 2021).
    Truncate {
        /// Products per group; 4 and 8 are found in hardware.
        group: u32,
    },
}

/// One conforming machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numerics {
    /// Approximate functions.
    pub approx: ApproxModel,
    /// Matrix products.
    pub sum: SumModel,
}

impl Numerics {
    /// The reference machine: correctly rounded approximations, sequential sums.
    pub const REFERENCE: Numerics =
        Numerics { approx: ApproxModel::Nearest, sum: SumModel::Sequential };

    /// The machines a test has to pass: every corner of the freedom.
    pub fn all() -> Vec<Numerics> {
        let approx =
            [ApproxModel::Nearest, ApproxModel::High, ApproxModel::Low, ApproxModel::Scatter(1)];
        let sums = [
            SumModel::Sequential,
            SumModel::Exact,
            SumModel::Truncate { group: 4 },
            SumModel::Truncate { group: 8 },
        ];
        approx.iter().flat_map(|a| sums.iter().map(|s| Numerics { approx: *a, sum: *s })).collect()
    }
}

/// How far a result may be from the exact value.
#[derive(Clone, Copy, Debug)]
enum Bound {
    /// Units in the last place of f32, from the correctly rounded value.
    Ulps(i32),
    Relative(f64),
    Absolute(f64),
}

/// 2^-22.9, 2^-20.5 and the like.
fn pow2(e: f64) -> f64 {
    e.exp2()
}

/// `op(x)` in f32 under `model`; `lane` only seeds [`ApproxModel::Scatter`].
pub fn approximate(op: Approx, x: f32, model: ApproxModel, lane: u32) -> f32 {
    let wide = x as f64;
    let exact = match op {
        Approx::Ex2 => wide.exp2(),
        Approx::Lg2 => wide.log2(),
        Approx::Rcp => 1.0 / wide,
        Approx::Sqrt => wide.sqrt(),
        Approx::Rsqrt => 1.0 / wide.sqrt(),
        Approx::Sin => wide.sin(),
        Approx::Cos => wide.cos(),
        Approx::Tanh => wide.tanh(),
    };
    if op == Approx::Ex2 && x == 0.0 {
        return 1.0;
    }
    let bound = match op {
        Approx::Ex2 => Bound::Ulps(2),
        Approx::Rcp => Bound::Ulps(1),
        Approx::Lg2 if x > 0.5 && x < 2.0 => Bound::Absolute(pow2(-22.0)),
        Approx::Lg2 => Bound::Relative(pow2(-22.0)),
        Approx::Sqrt => Bound::Relative(pow2(-23.0)),
        Approx::Rsqrt => Bound::Relative(pow2(-22.9)),
        Approx::Sin | Approx::Cos => Bound::Absolute(pow2(-20.5)),
        Approx::Tanh => Bound::Relative(pow2(-11.0)),
    };
    place(exact, bound, model, lane, x.to_bits() as u64)
}

/// `a / b` of `div.approx` and `div.full`: two ulps.
pub fn divide(a: f32, b: f32, model: ApproxModel, lane: u32) -> f32 {
    let seed = (a.to_bits() as u64) << 32 | b.to_bits() as u64;
    place(a as f64 / b as f64, Bound::Ulps(2), model, lane, seed)
}

/// `op(x)` for a half-precision `x`, before rounding to the half format: `ex2` and `tanh`.
pub fn approximate_half(op: Approx, brain: bool, x: f32, model: ApproxModel, lane: u32) -> f64 {
    let wide = x as f64;
    let (exact, error) = match op {
        Approx::Tanh => {
            (wide.tanh(), Bound::Absolute(if brain { pow2(-8.0) } else { pow2(-10.987) }))
        }
        _ => (wide.exp2(), Bound::Relative(if brain { pow2(-7.0) } else { pow2(-9.9) })),
    };
    let unit = direction(model, lane, x.to_bits() as u64);
    if exact == 0.0 || !exact.is_finite() || x == 0.0 {
        return exact;
    }
    // Half of the bound is left to the rounding that follows.
    exact
        + 0.5
            * unit
            * match error {
                Bound::Relative(e) => e * exact.abs(),
                Bound::Absolute(e) => e,
                Bound::Ulps(_) => 0.0,
            }
}

/// Where in the error interval the model sits, from -1 to 1.
fn direction(model: ApproxModel, lane: u32, operand: u64) -> f64 {
    match model {
        ApproxModel::Nearest => 0.0,
        ApproxModel::High => 1.0,
        ApproxModel::Low => -1.0,
        ApproxModel::Scatter(seed) => {
            let h = crate::hash::mix(
                seed ^ operand.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (lane as u64) << 17,
            );
            (h >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        }
    }
}

fn place(exact: f64, bound: Bound, model: ApproxModel, lane: u32, operand: u64) -> f32 {
    let nearest = exact as f32;
    if nearest.is_nan() {
        return f32::from_bits(0x7fff_ffff);
    }
    if model == ApproxModel::Nearest || nearest == 0.0 || nearest.is_infinite() {
        return nearest;
    }
    let unit = direction(model, lane, operand);
    match bound {
        Bound::Ulps(n) => {
            let steps = (unit * n as f64).round() as i32;
            let toward_up = if nearest > 0.0 { steps } else { -steps };
            let magnitude = (nearest.to_bits() & 0x7fff_ffff) as i32;
            let moved = (magnitude + toward_up).clamp(0, 0x7f7f_ffff) as u32;
            f32::from_bits(moved | nearest.to_bits() & 0x8000_0000)
        }
        Bound::Relative(e) => within(exact, unit, e * exact.abs()),
        Bound::Absolute(e) => within(exact, unit, e),
    }
}

/// The f32 nearest to `exact + unit * error` that is still within `error` of `exact`.
fn within(exact: f64, unit: f64, error: f64) -> f32 {
    let moved = (exact + unit * error) as f32;
    if (moved as f64 - exact).abs() <= error {
        return moved;
    }
    let inward = if (moved as f64) > exact { moved.next_down() } else { moved.next_up() };
    if (inward as f64 - exact).abs() <= error { inward } else { exact as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODELS: [ApproxModel; 4] =
        [ApproxModel::Nearest, ApproxModel::High, ApproxModel::Low, ApproxModel::Scatter(9)];

    fn sample(i: u32) -> f32 {
        f32::from_bits(i.wrapping_mul(0x9e37_79b9))
    }

    #[test]
    fn every_model_stays_within_the_bound_and_uses_it() {
        let mut used = [0.0f64; 3];
        for i in 0..200_000 {
            let x = sample(i);
            for model in MODELS {
                let y = approximate(Approx::Rcp, x, model, i & 31);
                let nearest = 1.0 / x;
                if nearest.is_finite() && nearest != 0.0 {
                    let ulps = (y.to_bits() as i64 - nearest.to_bits() as i64).abs();
                    assert!(ulps <= 1, "rcp {x:e}: {ulps} ulps");
                    used[0] = used[0].max(ulps as f64);
                }
                if x > 0.0 && x.is_finite() {
                    let y = approximate(Approx::Lg2, x, model, i & 31) as f64;
                    let exact = (x as f64).log2();
                    let error = (y - exact).abs();
                    let bound = pow2(-22.0) * if x > 0.5 && x < 2.0 { 1.0 } else { exact.abs() };
                    assert!(error <= bound, "lg2 {x:e}: {error:e} > {bound:e}");
                    used[1] = used[1].max(error / bound);
                    let y = approximate(Approx::Sqrt, x, model, i & 31) as f64;
                    let exact = (x as f64).sqrt();
                    assert!((y - exact).abs() <= pow2(-23.0) * exact);
                    used[2] = used[2].max((y - exact).abs() / (pow2(-23.0) * exact));
                }
            }
        }
        assert!(used[0] == 1.0 && used[1] > 0.9 && used[2] > 0.9, "{used:?}");
    }

    #[test]
    fn fixed_results_are_not_moved() {
        for model in MODELS {
            let f = |op, x| approximate(op, x, model, 3);
            assert_eq!(f(Approx::Ex2, 0.0), 1.0);
            assert_eq!(f(Approx::Ex2, -0.0), 1.0);
            assert_eq!(f(Approx::Ex2, f32::NEG_INFINITY).to_bits(), 0);
            assert_eq!(f(Approx::Ex2, f32::INFINITY), f32::INFINITY);
            assert_eq!(f(Approx::Lg2, 0.0), f32::NEG_INFINITY);
            assert_eq!(f(Approx::Lg2, -0.0), f32::NEG_INFINITY);
            assert!(f(Approx::Lg2, -1.0).is_nan());
            assert_eq!(f(Approx::Rcp, -0.0), f32::NEG_INFINITY);
            assert_eq!(f(Approx::Rcp, f32::NEG_INFINITY).to_bits(), 1 << 31);
            assert_eq!(f(Approx::Rsqrt, 0.0), f32::INFINITY);
            assert_eq!(f(Approx::Sqrt, -0.0).to_bits(), 1 << 31);
        }
    }
}
