//! Code that was made before: what a device asks for before it makes any.

use crate::RuntimeError;

/// What some code is for. Whatever could change it is a field, but for the compiler itself, which the store adds.
#[derive(Clone, Debug)]
pub struct CodeKey<'a> {
    /// The kernel, for people.
    pub kernel: &'a str,
    /// The optimised tile IR it is made of.
    pub ir: &'a str,
    /// What it is made for: the target, its features, options; `code` says what it is.
    pub fields: Vec<(&'static str, String)>,
}

/// Code that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// As it was made.
    pub bytes: Vec<u8>,
    /// Whether it was there already.
    pub kept: bool,
}

/// Keeps code between runs.
///
/// Machine code runs as it is found: a store gives back only what this user wrote, whole and for the very same key.
pub trait CodeStore: Send + Sync {
    /// The code of this key, made by `make` if it is not there.
    ///
    /// # Errors
    ///
    /// Those of `make` alone.
    fn get_or_make(
        &self,
        key: &CodeKey<'_>,
        make: &mut dyn FnMut() -> Result<Vec<u8>, RuntimeError>,
    ) -> Result<Code, RuntimeError>;
}
