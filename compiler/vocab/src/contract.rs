//! The launch contract: what a compiled kernel expects of its arguments.
//!
//! Written by the compiler, checked by the launcher in `i128` before anything runs. It is plain
//! data, so that a program that only launches prebuilt artifacts needs no compiler.

use serde::{Deserialize, Serialize};

use crate::{DType, HostExpr};

/// What a kernel expects of its caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// The kernel's name.
    pub kernel: String,
    /// Parameters in source order.
    pub params: Vec<ParamSpec>,
    /// Names of the run-time dimensions, in order of first mention.
    ///
    /// A name used twice must have one extent. Compiled code receives them in this order.
    pub dims: Vec<String>,
    /// Names of dimensions fixed at compile time, with the extent they must have.
    pub consts: Vec<(String, i64)>,
    /// Conditions on dimensions and integer arguments.
    pub requires: Vec<Require>,
    /// Programs along each grid axis, slowest first.
    pub grid: Vec<HostExpr>,
}

/// One parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParamSpec {
    /// Its name in the source.
    pub name: String,
    /// What it is.
    pub kind: ParamKind,
}

/// A view of memory or a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParamKind {
    /// `&T[B, M, D]` or `&mut T[B, M, D]`; strides are free and given in elements.
    Tensor {
        /// Element type.
        dtype: DType,
        /// Dimension names, each in `dims` or `consts`.
        dims: Vec<String>,
        /// Whether the kernel writes it.
        mutable: bool,
    },
    /// A number.
    Scalar(DType),
}

/// A `require` clause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Require {
    /// The condition.
    pub expr: HostExpr,
    /// As the author wrote it, for the error.
    pub text: String,
}
