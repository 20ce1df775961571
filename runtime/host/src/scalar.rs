//! Numbers as arguments: as the caller gives them, and in the type the kernel declares.

use std::fmt;

use half::{bf16, f16};
use tilec_vocab::{DType, bf16_from_f64, f16_from_f64};

/// A number without a declared type: what a caller writes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// `true`, `false`.
    Bool(bool),
    /// `7`.
    Int(i64),
    /// `0.125`, `inf`.
    Float(f64),
}

/// A number in a declared type: what a kernel receives.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Scalar {
    Bool(bool),
    I32(i32),
    I64(i64),
    F16(f16),
    BF16(bf16),
    F32(f32),
}

impl Number {
    /// The number in a declared type.
    ///
    /// Whole numbers become floats, rounded to nearest; nothing else changes kind, and a whole number
    /// that the type cannot hold is refused.
    pub fn to(self, dtype: DType) -> Option<Scalar> {
        match (dtype, self) {
            (DType::Bool, Number::Bool(value)) => Some(Scalar::Bool(value)),
            (DType::I32, Number::Int(value)) => i32::try_from(value).ok().map(Scalar::I32),
            (DType::I64, Number::Int(value)) => Some(Scalar::I64(value)),
            (DType::F16, Number::Float(value)) => Some(Scalar::F16(f16_from_f64(value))),
            (DType::BF16, Number::Float(value)) => Some(Scalar::BF16(bf16_from_f64(value))),
            (DType::F32, Number::Float(value)) => Some(Scalar::F32(value as f32)),
            // Straight to the type: by way of f64 a large number would be rounded twice.
            (DType::F32, Number::Int(value)) => Some(Scalar::F32(value as f32)),
            (DType::F16 | DType::BF16, Number::Int(value)) => Number::Float(value as f64).to(dtype),
            (DType::Bool, Number::Int(_) | Number::Float(_)) => None,
            (DType::I32 | DType::I64, Number::Bool(_) | Number::Float(_)) => None,
            (DType::F16 | DType::BF16 | DType::F32, Number::Bool(_)) => None,
        }
    }
}

impl Scalar {
    /// Its type.
    pub fn dtype(self) -> DType {
        match self {
            Scalar::Bool(_) => DType::Bool,
            Scalar::I32(_) => DType::I32,
            Scalar::I64(_) => DType::I64,
            Scalar::F16(_) => DType::F16,
            Scalar::BF16(_) => DType::BF16,
            Scalar::F32(_) => DType::F32,
        }
    }

    /// Its value; integers beyond 2^53 are rounded.
    pub fn to_f64(self) -> f64 {
        match self {
            Scalar::Bool(value) => f64::from(u8::from(value)),
            Scalar::I32(value) => f64::from(value),
            Scalar::I64(value) => value as f64,
            Scalar::F16(value) => value.to_f64(),
            Scalar::BF16(value) => value.to_f64(),
            Scalar::F32(value) => f64::from(value),
        }
    }

    /// Its value if it is an integer.
    pub fn to_i64(self) -> Option<i64> {
        match self {
            Scalar::I32(value) => Some(i64::from(value)),
            Scalar::I64(value) => Some(value),
            Scalar::Bool(_) | Scalar::F16(_) | Scalar::BF16(_) | Scalar::F32(_) => None,
        }
    }

    /// Its bytes as they stand in memory.
    pub fn to_ne_bytes(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        match self {
            Scalar::Bool(value) => bytes[0] = u8::from(value),
            Scalar::I32(value) => bytes[..4].copy_from_slice(&value.to_ne_bytes()),
            Scalar::I64(value) => bytes = value.to_ne_bytes(),
            Scalar::F16(value) => bytes[..2].copy_from_slice(&value.to_ne_bytes()),
            Scalar::BF16(value) => bytes[..2].copy_from_slice(&value.to_ne_bytes()),
            Scalar::F32(value) => bytes[..4].copy_from_slice(&value.to_ne_bytes()),
        }
        bytes
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Bool(value) => value.fmt(f),
            Number::Int(value) => value.fmt(f),
            Number::Float(value) => fmt::Debug::fmt(value, f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_become_floats() {
        assert_eq!(Number::Int(3).to(DType::F32), Some(Scalar::F32(3.0)));
        assert_eq!(Number::Float(3.0).to(DType::I32), None);
        assert_eq!(Number::Int(1).to(DType::Bool), None);
        assert_eq!(Number::Int(1 << 31).to(DType::I32), None);
        assert_eq!(Number::Bool(true).to(DType::F32), None);
    }
}
