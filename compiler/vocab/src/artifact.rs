//! What the compiler hands to a device, and the choices it was made under.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Contract, Cubin, DType};

/// A binding for every generic parameter of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Specialisation {
    /// `T: float` and the like.
    pub dtypes: BTreeMap<String, DType>,
    /// `const D` and `tune BM`.
    pub ints: BTreeMap<String, i64>,
}

/// A compiled kernel: all a device needs to load and launch it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// What it expects of its caller.
    pub contract: Contract,
    /// What it was compiled for.
    pub specialisation: Specialisation,
    /// The code.
    pub payload: Payload,
}

/// Code in the form that is shipped. Never host machine code: what comes from elsewhere must not be able to run as it is, so CPU
/// code is made from verified IR at load time, or taken from a store of what this user made before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// Optimised tile IR as text, for the interpreter, the CPU's JIT, and devices that bring a compiler to PTX.
    TileIr(String),
    /// PTX, in variants that assume less and less of the arguments: the first that fits is launched.
    Ptx(Vec<PtxCode>),
}

/// PTX for one kernel, and how to launch it.
///
/// Parameters of the entry, in this order:
///
/// | for each | parameters |
/// | --- | --- |
/// | tensor | its address (`.u64`), then the stride of each dimension in elements (`.u64`) |
/// | number | its value, in its own type; `bool` as one byte |
/// | run-time dimension, in the contract's order | its extent (`.u64`) |
/// | grid axis, slowest first | the number of programs along it (`.u32`) |
///
/// The grid has one dimension: program `p` has, along the fastest grid axis, position `p % programs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PtxCode {
    /// One module with one entry.
    pub text: String,
    /// The name of the entry.
    pub entry: String,
    /// What it was written for: `sm_80`.
    pub target: String,
    /// Threads of a CTA, along x.
    pub threads: u32,
    /// Dynamic shared memory of a CTA, in bytes.
    pub shared_bytes: u32,
    /// What it assumes of each parameter, in order; of a number nothing.
    pub assumes: Vec<TensorFacts>,
    /// Machine code of the same, by `ptxas`, for GPUs of the target's generation: no translation at the first launch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cubin: Option<Cubin>,
}

/// Most lanes of a dimension on a GPU, whose code computes indices in 32 bits: a tile or two past the end must fit as well.
pub const MAX_GPU_EXTENT: i64 = (1 << 31) - (1 << 24);

/// What is known of a tensor argument beyond its contract.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct TensorFacts {
    /// The last dimension has stride 1, or one element at most, and the address and all other strides are multiples of
    /// 16 bytes: rows can be moved 16 bytes at a time.
    pub rows_of_16_bytes: bool,
    /// Rows, along the last dimension, follow one another: the stride of the dimension before it is the extent of the last.
    pub packed_rows: bool,
}

impl TensorFacts {
    /// All that can be known: what a tensor without gaps has.
    pub const ALL: TensorFacts = TensorFacts { rows_of_16_bytes: true, packed_rows: true };

    /// Whether an argument of which this is known may be given to code that assumes `other`.
    pub fn imply(self, other: TensorFacts) -> bool {
        let implies = |known: bool, wanted: bool| known || !wanted;
        implies(self.rows_of_16_bytes, other.rows_of_16_bytes)
            && implies(self.packed_rows, other.packed_rows)
    }
}

impl fmt::Display for Specialisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [settings(&self.dtypes), settings(&self.ints)];
        f.write_str(parts.join(" ").trim())
    }
}

/// `BM=64 BN=32`.
pub fn settings<'a, T: fmt::Display + 'a>(
    values: impl IntoIterator<Item = (&'a String, &'a T)>,
) -> String {
    let parts = values.into_iter().map(|(name, value)| format!("{name}={value}"));
    parts.collect::<Vec<_>>().join(" ")
}
