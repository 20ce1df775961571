//! The bytes of an entry, and everything that can be wrong with them.

use thiserror::Error;

use crate::key::{Key, sha256_hex};

/// The format this version writes and reads.
const FORMAT: u32 = 1;
const MAGIC: &str = "tilec-cache";

/// No entry is larger: what claims to be is not read.
pub const MAX_ENTRY_BYTES: u64 = 256 << 20;

/// Why an entry is not used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum Fault {
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    #[error("it has format {got}, this version reads format {FORMAT}")]
    Format { got: String },
    #[error("it was made for another key")]
    OtherKey,
    #[error("{0}")]
    NotOurs(String),
    #[error("it cannot be read: {0}")]
    Unreadable(String),
}

/// An entry as bytes.
pub fn encode(key: &Key, payload: &[u8]) -> Vec<u8> {
    let mut rest = key.to_line().into_bytes();
    rest.push(b'\n');
    rest.extend_from_slice(payload);
    let mut bytes = first_line(&rest).into_bytes();
    bytes.extend_from_slice(&rest);
    bytes
}

/// Key and payload of an entry, if every byte is as it was written.
pub fn decode(bytes: &[u8]) -> Result<(Key, &[u8]), Fault> {
    let (first, rest) = split_line(bytes).ok_or(Fault::Damaged("it has no first line"))?;
    let first = std::str::from_utf8(first).map_err(|_| Fault::Damaged("its first line"))?;
    let mut words = first.split(' ');
    if words.next() != Some(MAGIC) {
        return Err(Fault::Damaged("it does not start as an entry"));
    }
    match words.next() {
        Some(format) if format != FORMAT.to_string() => {
            let got = if format.len() < 12 { format } else { "unknown" };
            return Err(Fault::Format { got: got.to_owned() });
        }
        _ => {}
    }
    if first_line(rest).trim_end() != first {
        return Err(Fault::Damaged("its checksum does not fit"));
    }
    let (line, payload) = split_line(rest).ok_or(Fault::Damaged("it has no key"))?;
    let key = serde_json::from_slice(line).map_err(|_| Fault::Damaged("its key"))?;
    Ok((key, payload))
}

/// Payload of an entry that was made for `key`.
pub fn decode_for<'a>(bytes: &'a [u8], key: &Key) -> Result<&'a [u8], Fault> {
    let (found, payload) = decode(bytes)?;
    if found == *key { Ok(payload) } else { Err(Fault::OtherKey) }
}

fn first_line(rest: &[u8]) -> String {
    format!("{MAGIC} {FORMAT} sha256={}\n", sha256_hex(rest))
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Kind;

    fn sample() -> (Key, Vec<u8>, Vec<u8>) {
        let key = Key::new(Kind::Artifact).with("kernel", "flash").with("D", 64);
        let payload = b"kernel flash {\n}\n".to_vec();
        let bytes = encode(&key, &payload);
        (key, payload, bytes)
    }

    #[test]
    fn what_is_written_is_read() {
        let (key, payload, bytes) = sample();
        assert_eq!(decode(&bytes), Ok((key.clone(), &payload[..])));
        assert_eq!(decode_for(&bytes, &key), Ok(&payload[..]));
        assert_eq!(decode_for(&encode(&key, b""), &key), Ok(&b""[..]));
    }

    /// 1 flip for each bit, 1 cut for each length, and more.
    #[test]
    fn no_damage_gets_through() {
        let (key, _, bytes) = sample();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                assert!(decode_for(&bad, &key).is_err(), "bit {bit} of byte {at}");
                assert!(decode(&bad).is_err(), "bit {bit} of byte {at}");
            }
            assert!(decode(&bytes[..at]).is_err(), "cut to {at} bytes");
            assert!(decode(&bytes[at + 1..]).is_err(), "first {} bytes gone", at + 1);
            let mut zeroed = bytes.clone();
            zeroed[at..].fill(0);
            assert!(decode(&zeroed).is_err(), "zero from {at}");
        }
        for more in [&b"\n"[..], b"x", b"\0", &bytes] {
            assert!(decode(&[&bytes[..], more].concat()).is_err(), "appended");
        }
    }

    #[test]
    fn another_format_or_key_is_refused_by_name() {
        let (key, payload, bytes) = sample();
        let newer = String::from_utf8(bytes.clone()).map(|t| t.replacen("cache 1", "cache 2", 1));
        let newer = newer.unwrap_or_default();
        let fault = Err(Fault::Format { got: "2".into() });
        assert_eq!(decode_for(newer.as_bytes(), &key), fault);
        let other = encode(&key.clone().with("D", 128), &payload);
        assert_eq!(decode_for(&other, &key), Err(Fault::OtherKey));
    }
}
