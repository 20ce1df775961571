//! What this target cannot do, and what only we can have done wrong.

use std::fmt;

use tilec_vocab::{Bug, Span};

/// Why there is no GPU code for a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GpuError {
    /// The kernel asks for what this target does not do yet, or for more than it has.
    Unsupported {
        /// A sentence that names it, and the repair where there is one.
        what: String,
        /// Where it is asked for.
        span: Span,
    },
    /// Our fault.
    Bug(Bug),
}

impl GpuError {
    pub(crate) fn unsupported(what: impl Into<String>, span: Span) -> GpuError {
        GpuError::Unsupported { what: what.into(), span }
    }

    pub(crate) fn bug(what: impl Into<String>) -> GpuError {
        GpuError::Bug(Bug::new("to_gpu", what.into()))
    }
}

impl fmt::Display for GpuError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GpuError::Unsupported { what, .. } => f.write_str(what),
            GpuError::Bug(bug) => bug.fmt(f),
        }
    }
}

impl std::error::Error for GpuError {}

pub(crate) type Result<T> = std::result::Result<T, GpuError>;
