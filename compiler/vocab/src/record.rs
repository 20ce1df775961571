//! What tuning found, in the form in which it is kept, shipped, and put into bundles.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::artifact::{Specialisation, settings};

/// What was found by tuning once. It is a hint about speed: whoever takes it checks that its knobs are there to be chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`Record::SCHEMA`].
    pub schema: String,
    /// The kernel.
    pub kernel: String,
    /// The shapes it holds for.
    pub bucket: String,
    /// The shape it was measured at.
    pub shape: BTreeMap<String, i64>,
    /// Element types: `T=f16`.
    pub types: String,
    /// Constants: `D=64`.
    #[serde(default)]
    pub consts: String,
    /// The knobs that won.
    pub knobs: BTreeMap<String, i64>,
    /// Time with them: the first quartile of the samples.
    pub time_ns: u64,
    /// Time with the default knobs, if those ran.
    pub default_ns: Option<u64>,
    /// Candidates that were tried.
    pub tried: usize,
    /// SHA-256 of the code that was measured.
    pub code: String,
    /// The device's model and what its code is generated for.
    pub device: String,
    /// The compiler's version.
    pub compiler: String,
    /// When, in UTC.
    pub date: String,
}

impl Record {
    /// The format that this version writes and reads.
    pub const SCHEMA: &str = "tilec.tuning/1";

    /// Whether code of this kernel under this specialisation is what was found to be fastest.
    pub fn is_of(&self, kernel: &str, code: &Specialisation) -> bool {
        let is_knob = |name: &str| self.knobs.contains_key(name);
        let (knobs, consts): (Vec<_>, Vec<_>) =
            code.ints.iter().partition(|(name, _)| is_knob(name));
        self.schema == Record::SCHEMA
            && self.kernel == kernel
            && self.types == settings(&code.dtypes)
            && self.consts == settings(consts)
            && knobs.into_iter().eq(&self.knobs)
    }
}
