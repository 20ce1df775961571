//! placeholder
pub mod mask;
