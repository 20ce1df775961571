//! What an entry is for. Everything that could change its payload is a field of its key.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Kinds of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A compiled kernel; cheap to make again.
    Artifact,
    /// A tuning record; costly to make again, so the last to go.
    Record,
}

/// The key of an entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// What the payload is.
    pub kind: Kind,
    /// Fields by name: compiler, kernel, hash of its IR, specialisation, device, …
    #[serde(rename = "key")]
    pub fields: BTreeMap<String, String>,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 2] = [Kind::Artifact, Kind::Record];

    /// As in names of files.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Artifact => "artifact",
            Kind::Record => "record",
        }
    }
}

impl Key {
    /// A key without fields.
    pub fn new(kind: Kind) -> Key {
        Key { kind, fields: BTreeMap::new() }
    }

    /// The key with one field more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Key {
        self.fields.insert(name.to_owned(), value.to_string());
        self
    }

    /// One line of JSON, the same for the same key: its fields are sorted.
    pub fn to_line(&self) -> String {
        // Strings in a map always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The name of its file.
    pub fn file_name(&self) -> String {
        format!("{}-{}.tilec", self.kind.name(), &sha256_hex(self.to_line().as_bytes())[..32])
    }
}

/// SHA-256 in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4, the example of one block.
    #[test]
    fn the_hash_is_sha_256() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_hex(b"abc"), expected);
    }

    #[test]
    fn order_does_not_matter_and_everything_else_does() {
        let one = Key::new(Kind::Record).with("kernel", "f").with("device", "cpu");
        let other = Key::new(Kind::Record).with("device", "cpu").with("kernel", "f");
        assert_eq!(one.file_name(), other.file_name());
        let names = [
            one.file_name(),
            one.clone().with("kernel", "g").file_name(),
            one.clone().with("more", "").file_name(),
            Key { kind: Kind::Artifact, ..one.clone() }.file_name(),
        ];
        let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
    }
}
