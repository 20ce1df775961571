//! One file for each verb: its arguments, its help, what it does.

pub mod completions;
pub mod devices;
pub mod explain;
pub mod man;
pub mod new;
