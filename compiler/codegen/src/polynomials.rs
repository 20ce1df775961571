//! Coefficients of the functions that both targets compute by polynomials, the highest power first.

/// (log(1 + m) - m + m^2 / 2) / m^3.
pub(crate) const LOG: &[f32] = &[
    7.037_683_6e-2,
    -1.151_461e-1,
    1.167_699_9e-1,
    -1.242_014_1e-1,
    1.424_932_3e-1,
    -1.666_805_8e-1,
    2.000_071_5e-1,
    -2.499_999_4e-1,
    0.333_333_3,
];

/// (tanh(x) / x - 1) / x^2 in x^2.
#[allow(
    clippy::excessive_precision,
    reason = "as published (Cephes); the shortest form reads no better"
)]
pub(crate) const TANH: &[f32] =
    &[-5.704_988_7e-3, 2.063_908_9e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328_2e-1];
