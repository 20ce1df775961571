//! Element types.

use std::fmt;

/// The type of one element of a tensor or tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
            DType::F16 => half::f16::from_f64(value).to_f64(),
            DType::BF16 => half::bf16::from_f64(value).to_f64(),
            DType::F32 => f64::from(value as f32),
        }
    }
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
