//! Where the cache lies.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why there is no cache, or an entry was not stored. Never a reason to fail: work goes on without.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum CacheError {
    #[error("there is no place for the cache: set TILEC_CACHE_DIR, XDG_CACHE_HOME or HOME")]
    NoPlace,
    #[error("the cache {path} is not used: {why}", path = path.display())]
    Refused { path: PathBuf, why: String },
    #[error("{path}: {error}", path = path.display())]
    Io { path: PathBuf, error: io::Error },
}

impl CacheError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> CacheError {
        let path = path.to_owned();
        move |error| CacheError::Io { path, error }
    }
}

/// The folder of this user's cache: `TILEC_CACHE_DIR`, else `tilec` in `XDG_CACHE_HOME`, else `~/.cache/tilec`.
///
/// # Errors
///
/// [`CacheError::NoPlace`] where none of the three says.
pub fn default_root() -> Result<PathBuf, CacheError> {
    root_from(|name| env::var_os(name))
}

fn root_from(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, CacheError> {
    let given = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = given("TILEC_CACHE_DIR") {
        return Ok(path);
    }
    // The XDG base directory specification: a relative path is ignored.
    let base = given("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    let base = base.or_else(|| Some(given("HOME")?.join(".cache")));
    base.map(|base| base.join("tilec")).ok_or(CacheError::NoPlace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(variables: &[(&str, &str)]) -> Option<PathBuf> {
        let find = |name: &str| variables.iter().find(|(n, _)| *n == name);
        root_from(|name| find(name).map(|(_, value)| (*value).into())).ok()
    }

    #[test]
    fn the_first_variable_that_says_counts() {
        let home = ("HOME", "/people/ada");
        let xdg = ("XDG_CACHE_HOME", "/x");
        assert_eq!(root(&[home, xdg, ("TILEC_CACHE_DIR", "c")]), Some("c".into()));
        assert_eq!(root(&[home, xdg, ("TILEC_CACHE_DIR", "")]), Some("/x/tilec".into()));
        assert_eq!(root(&[home, ("XDG_CACHE_HOME", "x")]), Some("/people/ada/.cache/tilec".into()));
        assert_eq!(root(&[]), None);
    }
}
