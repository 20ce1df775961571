//! The words every crate shares: sources and spans, diagnostics, element types, and the launch
//! contract between compiler and runtime.
//!
//! Nothing here knows what a kernel means. Nothing here reads files, clocks or the environment.

mod artifact;
mod bug;
pub mod codes;
mod contract;
mod cubin;
mod diagnostic;
mod dtype;
mod host_expr;
mod record;
pub mod render;
mod source;

pub use artifact::{
    Artifact, MAX_GPU_EXTENT, Payload, PtxCode, Specialisation, TensorFacts, settings,
};
pub use bug::Bug;
pub use codes::Code;
pub use contract::{Contract, ParamKind, ParamSpec, Require};
pub use cubin::Cubin;
pub use diagnostic::{Diagnostic, Edit, Label, Severity, Suggestion};
pub use dtype::{DType, DTypeClass, bf16_from_f64, f16_from_f64};
pub use host_expr::{HostExpr, HostOp};
pub use record::Record;
pub use source::{FileId, SourceFile, Sources, Span};
