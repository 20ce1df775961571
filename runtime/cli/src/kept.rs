//! Code kept between runs, in the cache.

use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use tilec_cache::{Cache, CacheError, Key, Kind, default_root, sha256_hex};
use tilec_host::{Code, CodeKey, CodeStore, RuntimeError};

use crate::output::Talk;

/// The cache as a store of code.
struct Kept {
    cache: Cache,
    /// This very program: another build may make other code of the same IR.
    build: String,
    talk: Talk,
}

/// The store of this user, unless there is no place for one. Whatever is wrong with it is only talked about.
pub fn store(talk: Talk) -> Option<Arc<dyn CodeStore>> {
    let build = build()?;
    match default_root().and_then(Cache::open) {
        Ok(cache) => Some(Arc::new(Kept { cache, build, talk })),
        Err(CacheError::NoPlace) => None,
        Err(error) => {
            talk.say(format!("warning: {error}"));
            None
        }
    }
}

/// What tells this program from every other build of it, without reading it: version, place, size, time of its making.
fn build() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    let facts = std::fs::metadata(&program).ok()?;
    let made = facts.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(identity(&program, facts.len(), made.as_nanos()))
}

fn identity(program: &Path, bytes: u64, made_ns: u128) -> String {
    let text = format!("{} {bytes} {made_ns}", program.display());
    format!("{} {}", env!("CARGO_PKG_VERSION"), &sha256_hex(text.as_bytes())[..16])
}

impl CodeStore for Kept {
    fn get_or_make(
        &self,
        key: &CodeKey<'_>,
        make: &mut dyn FnMut() -> Result<Vec<u8>, RuntimeError>,
    ) -> Result<Code, RuntimeError> {
        let entry = Key::new(Kind::Artifact)
            .with("compiler", &self.build)
            .with("kernel", key.kernel)
            .with("ir", sha256_hex(key.ir.as_bytes()));
        let entry = key.fields.iter().fold(entry, |entry, (name, value)| entry.with(name, value));
        let mut kept = true;
        let mut warn = |text: String| self.talk.say(format!("warning: {text}"));
        let bytes = self.cache.get_or_make(&entry, &mut warn, || {
            kept = false;
            make()
        })?;
        let (kernel, file) = (key.kernel, entry.file_name());
        let what = key.fields.iter().find(|(name, _)| *name == "code");
        let what = what.map_or("code", |(_, what)| what);
        self.talk.detail(match kept {
            true => format!("{what} of `{kernel}` from the cache: {file}"),
            false => format!("{what} of `{kernel}` made, and kept as {file}"),
        });
        Ok(Code { bytes, kept })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_build_has_another_name() {
        let names = [("a", 1, 1), ("b", 1, 1), ("a", 2, 1), ("a", 1, 2)]
            .map(|(path, bytes, made)| identity(Path::new(path), bytes, made));
        let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
    }
}
