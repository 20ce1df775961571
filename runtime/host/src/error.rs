//! What can be wrong with a launch. Every message names the kernel, the argument and the limit.

use thiserror::Error;
use tilec_vocab::{Bug, DType};

use crate::Place;

/// One side of a disagreement over an extent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// The argument.
    pub argument: String,
    /// The position of the dimension in it.
    pub dim: usize,
    /// The extent it has there.
    pub extent: i64,
}

/// Why a kernel was not run, or did not run to its end.
#[derive(Clone, Debug, PartialEq, Error)]
#[allow(missing_docs)]
pub enum RuntimeError {
    #[error("kernel `{kernel}`: argument `{argument}` is missing; it is {expected}")]
    Missing { kernel: String, argument: String, expected: String },

    #[error("kernel `{kernel}` has no parameter `{argument}`; it has {params}")]
    Unknown { kernel: String, argument: String, params: String },

    #[error("kernel `{kernel}`: argument `{argument}` must be {expected}, got {got}")]
    Kind { kernel: String, argument: String, expected: String, got: String },

    #[error(
        "kernel `{kernel}`: argument `{argument}` has elements of type {got}, the kernel was compiled for {expected}"
    )]
    DType { kernel: String, argument: String, expected: DType, got: DType },

    #[error("kernel `{kernel}`: argument `{argument}` has {} dimensions, shape {got:?}; the kernel takes {expected} dimensions, {dims}", got.len())]
    Rank { kernel: String, argument: String, expected: usize, dims: String, got: Vec<i64> },

    #[error("kernel `{kernel}`: `{name}` is {} by dimension {} of argument `{}` and {} by dimension {} of argument `{}`",
        first.extent, first.dim, first.argument, second.extent, second.dim, second.argument)]
    Extents { kernel: String, name: String, first: Box<Side>, second: Box<Side> },

    #[error("kernel `{kernel}`: dimension {} of argument `{}` is {}, but the kernel was compiled for `{name}` = {expected}", got.dim, got.argument, got.extent)]
    ConstExtent { kernel: String, name: String, expected: i64, got: Side },

    #[error("tensor of shape {shape:?}, strides {strides:?} and offset {offset} reaches elements {lowest} to {highest}, but its buffer has elements 0 to {}", elements - 1)]
    Reach {
        shape: Vec<i64>,
        strides: Vec<i64>,
        offset: i64,
        lowest: i128,
        highest: i128,
        elements: i128,
    },

    #[error(
        "kernel `{kernel}`: argument `{argument}` reaches elements {lowest} to {highest}, outside its buffer of {elements}"
    )]
    ArgumentReach { kernel: String, argument: String, lowest: i128, highest: i128, elements: i128 },

    #[error(
        "kernel `{kernel}` writes argument `{argument}`, but two of its elements share one address (shape {shape:?}, strides {strides:?})"
    )]
    Overlap { kernel: String, argument: String, shape: Vec<i64>, strides: Vec<i64> },

    #[error(
        "kernel `{kernel}` writes argument `{argument}`, which shares memory with argument `{other}`"
    )]
    Alias { kernel: String, argument: String, other: String },

    #[error(
        "kernel `{kernel}`: argument `{argument}` starts at an address that is not a multiple of {alignment}"
    )]
    Misaligned { kernel: String, argument: String, alignment: usize },

    #[error(
        "kernel `{kernel}`: argument `{argument}` lies on {got}, the kernel runs on {expected}"
    )]
    Place { kernel: String, argument: String, expected: Place, got: Place },

    #[error("kernel `{kernel}` requires `{text}`, which does not hold for {values}")]
    Require { kernel: String, text: String, values: String },

    #[error("kernel `{kernel}`: {what} cannot be computed for {values}")]
    Arithmetic { kernel: String, what: String, values: String },

    #[error(
        "kernel `{kernel}`: the grid `{grid}` has {programs} programs for {values}, allowed are 0 to {limit}"
    )]
    Grid { kernel: String, grid: String, programs: i128, values: String, limit: i128 },

    #[error("{0}")]
    Tensor(String),

    #[error("no memory for {bytes} bytes")]
    Memory { bytes: u128 },

    #[error("device {device}: {message}")]
    Device { device: String, message: String },

    /// Not under these knobs: smaller ones need less.
    #[error("device {device}: {message}")]
    NoRoom { device: String, message: String },

    #[error(transparent)]
    Bug(#[from] Bug),
}
