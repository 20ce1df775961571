//! The memories of a launch and what is known about every byte of them.

pub mod address;
pub mod buffer;
pub mod global;
pub mod order;
pub mod shadow;
pub mod shared;
pub mod sparse;
pub mod view;
