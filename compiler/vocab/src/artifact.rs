//! What the compiler hands to a device, and the choices it was made under.

use std::collections::BTreeMap;
use std::fmt;

use crate::{Contract, DType};

/// A binding for every generic parameter of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Specialisation {
    /// `T: float` and the like.
    pub dtypes: BTreeMap<String, DType>,
    /// `const D` and `tune BM`.
    pub ints: BTreeMap<String, i64>,
}

/// A compiled kernel: all a device needs to load and launch it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// What it expects of its caller.
    pub contract: Contract,
    /// What it was compiled for.
    pub specialisation: Specialisation,
    /// The code.
    pub payload: Payload,
}

/// Code in the form that is stored and shipped. Never host machine code: a poisoned cache entry
/// must not be able to run, so CPU code is made from verified IR at load time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Optimised tile IR as text, for the interpreter and the CPU's JIT.
    TileIr(String),
}

impl fmt::Display for Specialisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dtypes = self.dtypes.iter().map(|(name, dtype)| format!("{name}={dtype}"));
        let ints = self.ints.iter().map(|(name, value)| format!("{name}={value}"));
        f.write_str(&dtypes.chain(ints).collect::<Vec<_>>().join(" "))
    }
}
