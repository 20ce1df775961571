//! One file for each verb: its arguments, its help, what it does.

pub mod bench;
pub mod build;
pub mod cache;
pub mod candidate;
pub mod check;
pub mod completions;
pub mod devices;
pub mod doctor;
pub mod emit;
pub mod explain;
pub mod fmt;
pub mod inspect;
pub mod man;
pub mod mask_diff;
pub mod new;
pub mod run;
pub mod tune;
pub mod verify;
