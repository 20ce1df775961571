//! The folder of entries: reading, writing, and keeping it small.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::entry::{self, Fault, MAX_ENTRY_BYTES};
use crate::key::{Key, Kind};
use crate::owner;
use crate::place::CacheError;

/// The bound on the sum of all entries.
const MAX_BYTES: u64 = 1 << 30;

/// A file that is still being written after so long has lost its writer.
const ORPHAN_AGE: Duration = Duration::from_secs(3600);

/// How long to wait for another process that makes the same entry. Longer, and the work is done twice.
const LOCK_WAIT: Duration = Duration::from_secs(20);

const TEMPORARY: &str = ".new-";
const SUFFIX: &str = ".tilec";

/// An open cache.
#[derive(Debug)]
pub struct Cache {
    root: PathBuf,
    user: u32,
    max_bytes: u64,
}

/// What a look-up found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The payload, as it was stored for this key.
    Hit(Vec<u8>),
    /// Nothing is stored.
    Miss,
    /// Something is stored that must not be used; to be said once and then treated as a miss.
    Refused(PathBuf, Fault),
}

/// One file, for people.
#[derive(Debug)]
pub struct Listed {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// When it was written or last used.
    pub used: SystemTime,
    /// Its key and payload, or what is wrong with it.
    pub content: Result<(Key, Vec<u8>), Fault>,
}

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files of writers that were killed.
    pub orphans: usize,
    /// Entries that were used longest ago, above the bound on size.
    pub evicted: usize,
}

impl Cache {
    /// Opens the cache in a folder, making it if need be.
    ///
    /// # Errors
    ///
    /// The folder cannot be made, or somebody else could write it.
    pub fn open(root: impl Into<PathBuf>) -> Result<Cache, CacheError> {
        Cache::open_for(root.into(), owner::this_user())
    }

    /// Opens the cache in a folder if the folder is there: what is only read need not be made.
    ///
    /// # Errors
    ///
    /// As [`Cache::open`].
    pub fn open_existing(root: impl Into<PathBuf>) -> Result<Option<Cache>, CacheError> {
        let root = root.into();
        match fs::symlink_metadata(&root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            _ => Cache::open(root).map(Some),
        }
    }

    fn open_for(root: PathBuf, user: u32) -> Result<Cache, CacheError> {
        owner::make_folder(&root).map_err(CacheError::io(&root))?;
        let facts = fs::symlink_metadata(&root).map_err(CacheError::io(&root))?;
        let why = match facts.is_dir() {
            false => Some("it is not a folder, or a link to one".to_owned()),
            true => owner::distrust(&facts, user),
        };
        match why {
            Some(why) => Err(CacheError::Refused { path: root, why }),
            None => Ok(Cache { root, user, max_bytes: MAX_BYTES }),
        }
    }

    /// The cache under another bound on size.
    #[must_use]
    pub fn with_max_bytes(self, max_bytes: u64) -> Cache {
        Cache { max_bytes, ..self }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Looks an entry up. Never an error: whatever is wrong with it, the caller can make it anew.
    pub fn get(&self, key: &Key) -> Lookup {
        let path = self.root.join(key.file_name());
        let refused = |fault| Lookup::Refused(path.clone(), fault);
        let bytes = match self.read(&path) {
            Ok(bytes) => bytes,
            Err(Absent::Nothing) => return Lookup::Miss,
            Err(Absent::Faulty(fault)) => return refused(fault),
        };
        match entry::decode_for(&bytes, key) {
            Ok(payload) => {
                let payload = payload.to_vec();
                self.touch(&path);
                Lookup::Hit(payload)
            }
            Err(fault) => refused(fault),
        }
    }

    /// Stores an entry, in place of one with the same key.
    ///
    /// # Errors
    ///
    /// It could not be written; what was there before still is.
    pub fn put(&self, key: &Key, payload: &[u8]) -> Result<PathBuf, CacheError> {
        let path = self.root.join(key.file_name());
        match self.write(&path, key, payload) {
            // Somebody cleared the cache away under us.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                owner::make_folder(&self.root).map_err(CacheError::io(&self.root))?;
                self.write(&path, key, payload)
            }
            other => other,
        }
        .map_err(CacheError::io(&path))?;
        self.sweep();
        Ok(path)
    }

    fn write(&self, path: &Path, key: &Key, payload: &[u8]) -> io::Result<()> {
        let mut file =
            tempfile::Builder::new().prefix(TEMPORARY).suffix("").tempfile_in(&self.root)?;
        file.write_all(&entry::encode(key, payload))?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    /// The entry, or what `make` gives, stored. Of processes that want the same entry at one time, one makes it and
    /// the others wait for it a while; `warn` hears what went wrong with the cache meanwhile.
    ///
    /// # Errors
    ///
    /// Those of `make` alone.
    pub fn get_or_make<E>(
        &self,
        key: &Key,
        warn: &mut dyn FnMut(String),
        make: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E> {
        match self.get(key) {
            Lookup::Hit(payload) => return Ok(payload),
            Lookup::Miss => {}
            Lookup::Refused(path, fault) => warn(format!("{}: {fault}", path.display())),
        }
        let lock = self.lock(key);
        if lock.is_some()
            && let Lookup::Hit(payload) = self.get(key)
        {
            return Ok(payload);
        }
        let payload = make()?;
        if let Err(error) = self.put(key, &payload) {
            warn(error.to_string());
        }
        Ok(payload)
    }

    /// A lock that this key shares with few others; held until dropped, and by a killed process no longer.
    fn lock(&self, key: &Key) -> Option<File> {
        let name = key.file_name();
        let hash = name.split('-').nth(1)?;
        // A fixed set of files: removing a lock's file would let two hold it.
        let path = self.root.join(format!(".lock-{}", hash.get(..2)?));
        let file = File::options().create(true).append(true).open(path).ok()?;
        let start = Instant::now();
        while start.elapsed() < LOCK_WAIT {
            match file.try_lock() {
                Ok(()) => return Some(file),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
                Err(TryLockError::Error(_)) => return None,
            }
        }
        None
    }

    /// Every entry, by name; reads and checks each.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, CacheError> {
        let mut found = Vec::new();
        for Stored { path, bytes, used, .. } in self.files()? {
            if !is_entry(&path) {
                continue;
            }
            let content = match self.read(&path) {
                // It went while we looked.
                Err(Absent::Nothing) => continue,
                Err(Absent::Faulty(fault)) => Err(fault),
                Ok(read) => match entry::decode(&read) {
                    Ok((key, _)) if path.file_name() != Some(key.file_name().as_ref()) => {
                        Err(Fault::OtherKey)
                    }
                    Ok((key, payload)) => Ok((key, payload.to_vec())),
                    Err(fault) => Err(fault),
                },
            };
            found.push(Listed { path, bytes, used, content });
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// Removes all entries, or those of one kind, and what killed writers left; answers how many files went.
    ///
    /// # Errors
    ///
    /// A file cannot be removed.
    pub fn clear(&self, kind: Option<Kind>) -> Result<usize, CacheError> {
        let mut removed = 0;
        for Stored { path, .. } in self.files()? {
            let meant = match kind {
                Some(kind) => is_of(&path, kind),
                None => is_entry(&path) || is_temporary(&path),
            };
            if meant {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(CacheError::Io { path, error });
                    }
                    _ => removed += 1,
                }
            }
        }
        Ok(removed)
    }

    /// Removes what killed writers left, and the entries used longest ago while all are above the bound.
    ///
    /// Runs after each write; what it cannot remove it leaves.
    pub fn sweep(&self) -> Swept {
        let mut swept = Swept::default();
        let Ok(files) = self.files() else { return swept };
        let now = SystemTime::now();
        // A clock that was set back makes files from the future: those are as suspect as old ones.
        let age =
            |used: SystemTime| now.duration_since(used).unwrap_or_else(|error| error.duration());
        let (temporary, mut entries): (Vec<Stored>, Vec<Stored>) =
            files.into_iter().partition(|file| is_temporary(&file.path));
        for file in temporary.iter().filter(|file| age(file.used) > ORPHAN_AGE) {
            swept.orphans += usize::from(fs::remove_file(&file.path).is_ok());
        }
        entries.retain(|file| is_entry(&file.path));
        let mut total: u64 = entries.iter().map(|file| file.bytes).sum();
        entries.sort_by_key(|file| (is_of(&file.path, Kind::Record), file.used));
        for file in entries {
            if total <= self.max_bytes {
                break;
            }
            if fs::remove_file(&file.path).is_ok() {
                total -= file.bytes;
                swept.evicted += 1;
            }
        }
        swept
    }

    fn files(&self) -> Result<Vec<Stored>, CacheError> {
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(CacheError::io(&self.root))?,
        };
        let facts = |entry: fs::DirEntry| {
            let facts = entry.metadata().ok()?;
            let used = facts.modified().ok()?;
            (!facts.is_dir()).then(|| Stored { path: entry.path(), bytes: facts.len(), used })
        };
        Ok(entries.flatten().filter_map(facts).collect())
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, Absent> {
        let fault = |fault| Err(Absent::Faulty(fault));
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Absent::Nothing,
            _ if path.is_symlink() => Absent::Faulty(Fault::NotOurs("it is a link".to_owned())),
            _ => Absent::Faulty(Fault::Unreadable(error.to_string())),
        };
        let file = owner::open(path).map_err(unreadable)?;
        // Facts of what was opened, not of what the name stands for by now.
        let facts = file.metadata().map_err(unreadable)?;
        if !facts.is_file() {
            return fault(Fault::NotOurs("it is not a plain file".to_owned()));
        }
        if let Some(why) = owner::distrust(&facts, self.user) {
            return fault(Fault::NotOurs(why));
        }
        if facts.len() > MAX_ENTRY_BYTES {
            return fault(Fault::Damaged("it is larger than any entry"));
        }
        let mut bytes = Vec::new();
        file.take(MAX_ENTRY_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
        Ok(bytes)
    }

    /// Marks an entry as used now; that it fails on a folder one can only read is no matter.
    fn touch(&self, path: &Path) {
        if let Ok(file) = File::options().append(true).open(path) {
            let _ = file.set_modified(SystemTime::now());
        }
    }
}

/// Why there are no bytes.
enum Absent {
    Nothing,
    Faulty(Fault),
}

/// A file of the folder.
struct Stored {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn is_entry(path: &Path) -> bool {
    Kind::ALL.iter().any(|&kind| is_of(path, kind))
}

fn is_of(path: &Path, kind: Kind) -> bool {
    let rest = name(path).strip_prefix(kind.name()).and_then(|rest| rest.strip_prefix('-'));
    rest.is_some_and(|rest| rest.ends_with(SUFFIX))
}

fn is_temporary(path: &Path) -> bool {
    name(path).starts_with(TEMPORARY)
}

#[cfg(test)]
mod tests;
