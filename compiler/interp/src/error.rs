//! Why a kernel could not be run on its arguments.

use std::fmt;

use tilec_vocab::{Bug, DType};

/// Why there is no outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InterpError {
    /// A generic parameter is not bound.
    NotSpecialised {
        /// The kernel.
        kernel: String,
        /// Its first generic parameter.
        generic: String,
    },
    /// Low mode rounds to a float type.
    NotAFloat(DType),
    /// Another number of arguments than of parameters.
    ArgumentCount {
        /// Parameters.
        wanted: usize,
        /// Arguments.
        got: usize,
    },
    /// A number for a tensor, or elements of another class.
    WrongKind {
        /// The parameter.
        argument: String,
        /// What it is declared as: `tensor of float`.
        wanted: String,
        /// What it was given.
        got: String,
    },
    /// A tensor with another number of dimensions.
    WrongRank {
        /// The parameter.
        argument: String,
        /// Dimensions declared.
        wanted: usize,
        /// Dimensions given.
        got: usize,
    },
    /// A tensor whose extents do not give its number of elements.
    Unsound {
        /// The parameter.
        argument: String,
        /// Its extents.
        shape: Vec<i64>,
        /// Its elements.
        elements: usize,
    },
    /// A dimension with two extents.
    Extent {
        /// The parameter.
        argument: String,
        /// Position of the dimension in it.
        position: usize,
        /// Name of the dimension, or its declared extent.
        dim: String,
        /// The extent it must have.
        wanted: i64,
        /// The argument that set it; none where the kernel does.
        set_by: Option<String>,
        /// The extent it has.
        got: i64,
    },
    /// A dimension that no argument sets.
    UnboundDim(String),
    /// An integer that the declared type cannot hold.
    OutOfRange {
        /// The parameter.
        argument: String,
        /// The number.
        value: i64,
        /// The declared type.
        dtype: DType,
    },
    /// A `require` clause that does not hold.
    Require(String),
    /// A grid axis whose number of programs cannot be computed or is negative.
    Grid(String),
    /// More work than [`Limits::steps`](crate::Limits) allows.
    StepLimit(u64),
    /// More memory than [`Limits::elements`](crate::Limits) allows.
    MemoryLimit(u64),
    /// The kernel breaks a rule of the IR.
    Bug(Bug),
}

impl fmt::Display for InterpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InterpError::NotSpecialised { kernel, generic } => {
                write!(f, "kernel `{kernel}` is not specialised: `{generic}` is not bound")
            }
            InterpError::NotAFloat(dtype) => write!(f, "cannot round floats to {dtype}"),
            InterpError::ArgumentCount { wanted, got } => {
                write!(f, "got {got} arguments, wanted {wanted}")
            }
            InterpError::WrongKind { argument, wanted, got } => {
                write!(f, "argument `{argument}`: got {got}, wanted {wanted}")
            }
            InterpError::WrongRank { argument, wanted, got } => {
                write!(f, "argument `{argument}`: got {got} dimensions, wanted {wanted}")
            }
            InterpError::Unsound { argument, shape, elements } => {
                write!(f, "argument `{argument}`: shape {shape:?} with {elements} elements")
            }
            InterpError::Extent { argument, position, dim, wanted, set_by, got } => {
                write!(
                    f,
                    "argument `{argument}`: dimension {position} (`{dim}`) is {got}, wanted "
                )?;
                match set_by {
                    Some(other) => write!(f, "{wanted} as in `{other}`"),
                    None => write!(f, "{wanted}"),
                }
            }
            InterpError::UnboundDim(name) => write!(f, "no argument has the dimension `{name}`"),
            InterpError::OutOfRange { argument, value, dtype } => {
                write!(f, "argument `{argument}`: {value} does not fit {dtype}")
            }
            InterpError::Require(text) => write!(f, "requirement `{text}` does not hold"),
            InterpError::Grid(name) => {
                write!(f, "the number of programs along `{name}` cannot be computed")
            }
            InterpError::StepLimit(limit) => write!(f, "stopped after {limit} steps"),
            InterpError::MemoryLimit(limit) => {
                write!(f, "stopped: more than {limit} tile elements at a time")
            }
            InterpError::Bug(bug) => bug.fmt(f),
        }
    }
}

impl std::error::Error for InterpError {}

impl From<Bug> for InterpError {
    fn from(bug: Bug) -> InterpError {
        InterpError::Bug(bug)
    }
}

/// What the verifier should have refused.
pub(crate) fn bug<T>(message: impl Into<String>) -> Result<T, InterpError> {
    Err(InterpError::Bug(Bug::new("interp", message)))
}
