//! Element types.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The type of one element of a tensor or tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// Truth value; one byte in memory, 0 or 1.
    Bool,
    /// 32-bit integer: storage only, arithmetic widens it to `i64`.
    I32,
    /// 64-bit integer: the type of every index and extent.
    I64,
    /// IEEE binary16.
    F16,
    /// bfloat16.
    BF16,
    /// IEEE binary32.
    F32,
}

/// A family of element types, as a generic parameter asks for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DTypeClass {
    /// `f16`, `bf16`, `f32`.
    Float,
    /// `i32`, `i64`.
    Int,
}

impl DType {
    /// Every type, in declaration order.
    pub const ALL: [DType; 6] =
        [DType::Bool, DType::I32, DType::I64, DType::F16, DType::BF16, DType::F32];

    /// The keyword of the language.
    pub const fn name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::I32 => "i32",
            DType::I64 => "i64",
            DType::F16 => "f16",
            DType::BF16 => "bf16",
            DType::F32 => "f32",
        }
    }

    /// The type with this keyword.
    pub fn from_name(name: &str) -> Option<DType> {
        DType::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// Bytes of one element in memory.
    pub const fn size_bytes(self) -> usize {
        match self {
            DType::Bool => 1,
            DType::F16 | DType::BF16 => 2,
            DType::I32 | DType::F32 => 4,
            DType::I64 => 8,
        }
    }

    /// Whether it is a floating-point type.
    pub const fn is_float(self) -> bool {
        matches!(self, DType::F16 | DType::BF16 | DType::F32)
    }

    /// Whether it is an integer type.
    pub const fn is_int(self) -> bool {
        matches!(self, DType::I32 | DType::I64)
    }

    /// Rounds a value to what this type can hold, ties to even; integers saturate, NaN gives 0.
    pub fn round(self, value: f64) -> f64 {
        match self {
            DType::Bool => f64::from(u8::from(value != 0.0)),
            DType::I32 => f64::from(value as i32),
            DType::I64 => value as i64 as f64,
            DType::F16 => f16_from_f64(value).to_f64(),
            DType::BF16 => bf16_from_f64(value).to_f64(),
            DType::F32 => f64::from(value as f32),
        }
    }
}

/// The nearest binary16, ties to even, in one rounding.
///
/// `half::f16::from_f64` rounds twice where the host has F16C and drops the low 32 bits where it
/// has not, so that near ties it is off by one and depends on the machine.
pub fn f16_from_f64(value: f64) -> half::f16 {
    half::f16::from_f32(to_f32_odd(value))
}

/// The nearest bfloat16, ties to even, in one rounding; see [`f16_from_f64`].
pub fn bf16_from_f64(value: f64) -> half::bf16 {
    half::bf16::from_f32(to_f32_odd(value))
}

/// Rounds to odd: toward zero, the last bit set if anything was lost. A second rounding to a type
/// with at least two bits fewer is then exact (Boldo and Melquiond, "When double rounding is odd").
fn to_f32_odd(value: f64) -> f32 {
    let near = value as f32;
    let back = f64::from(near);
    if back == value || value.is_nan() {
        return near;
    }
    let toward_zero = near.to_bits() - u32::from(back.abs() > value.abs());
    f32::from_bits(toward_zero | 1)
}

impl DTypeClass {
    /// The keyword of the language.
    pub const fn name(self) -> &'static str {
        match self {
            DTypeClass::Float => "float",
            DTypeClass::Int => "int",
        }
    }

    /// Whether `dtype` belongs to the family.
    pub const fn contains(self, dtype: DType) -> bool {
        match self {
            DTypeClass::Float => dtype.is_float(),
            DTypeClass::Int => dtype.is_int(),
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for DTypeClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_rounding_to_half() {
        let just_above_a_tie = 1.0 + 2f64.powi(-11) + 2f64.powi(-40);
        assert_eq!(DType::F16.round(just_above_a_tie), 1.0 + 2f64.powi(-10));
        assert_eq!(DType::F16.round(1.0 + 2f64.powi(-11)), 1.0);
        assert_eq!(DType::F16.round(-just_above_a_tie), -1.0 - 2f64.powi(-10));
        let just_above_a_tie = 1.0 + 2f64.powi(-8) + 2f64.powi(-50);
        assert_eq!(DType::BF16.round(just_above_a_tie), 1.0 + 2f64.powi(-7));
    }

    #[test]
    fn ends_of_the_range() {
        assert_eq!(DType::F16.round(65519.999999), 65504.0);
        assert_eq!(DType::F16.round(65520.0), f64::INFINITY);
        assert_eq!(DType::F16.round(1e300), f64::INFINITY);
        assert_eq!(DType::BF16.round(-1e300), f64::NEG_INFINITY);
        assert_eq!(DType::F16.round(f64::INFINITY), f64::INFINITY);
        assert!(DType::F16.round(f64::NAN).is_nan());
        // The tie between 0 and the smallest subnormal goes to 0; anything above it does not.
        assert_eq!(DType::F16.round(2f64.powi(-25)), 0.0);
        assert_eq!(DType::F16.round(2f64.powi(-25) * (1.0 + 2f64.powi(-45))), 2f64.powi(-24));
        assert_eq!(DType::BF16.round(2f64.powi(-134)), 0.0);
        assert_eq!(DType::BF16.round(2f64.powi(-133) * 0.75), 2f64.powi(-133));
        assert!(DType::F16.round(-1e-300).is_sign_negative());
    }

    #[test]
    fn every_half_is_its_own_rounding() {
        for bits in 0..=u16::MAX {
            let value = half::f16::from_bits(bits).to_f64();
            if !value.is_nan() {
                assert_eq!(DType::F16.round(value).to_bits(), value.to_bits());
            }
        }
    }
}
