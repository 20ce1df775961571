//! What `tilec` remembers between runs: one self-describing file for each entry.
//!
//! ```text
//! tilec-cache 1 sha256=5f2c…                                  of all that follows
//! {"kind":"record","key":{"compiler":"0.1.0","kernel":"flash_forward",…}}
//! payload
//! ```
//!
//! Promises, each with a test:
//!
//! - A reader sees a whole entry or none: entries are written beside and renamed.
//! - A damaged entry is a miss with a reason, never an error and never a wrong payload.
//! - Only what this user wrote is read, from a folder that only this user can write.
//! - An entry answers to the whole key it was made for, not to a hash of it.
//! - What a killed writer leaves is swept; the whole stays under a bound on size.
//!
//! Deliberately absent: `fsync`, since the checksum finds what a power failure tears; a lock for reading.

mod entry;
mod key;
mod owner;
mod place;
mod store;

pub use entry::Fault;
pub use key::{Key, Kind, sha256_hex};
pub use place::{CacheError, default_root};
pub use store::{Cache, Listed, Lookup, Swept};
