//! Machine code of a GPU, as text in files: two digits for each byte.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A cubin: an ELF file with the machine code of one module.
#[derive(Clone, PartialEq, Eq)]
pub struct Cubin(pub Vec<u8>);

impl Cubin {
    /// Whether its header and the tables that it names lie inside of it. A driver is given no length, and reads as far as the
    /// header says. Source: ELF-64 Object File Format 1.5, section 3.
    pub fn is_whole(&self) -> bool {
        let bytes = &self.0;
        // 64 bits, least byte first.
        if bytes.len() < 64 || !bytes.starts_with(b"\x7fELF\x02\x01") {
            return false;
        }
        let number = |at: usize, size: usize| {
            bytes[at..at + size].iter().rev().fold(0u128, |all, &byte| all << 8 | u128::from(byte))
        };
        // Where the tables of program headers and of sections are, how large a row is, how many there are.
        let tables = [(32, 54, 56), (40, 58, 60)];
        let ends =
            tables.map(|(at, size, count)| number(at, 8) + number(size, 2) * number(count, 2));
        ends.into_iter().all(|end| end <= bytes.len() as u128)
    }
}

impl fmt::Debug for Cubin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cubin({} bytes)", self.0.len())
    }
}

impl Serialize for Cubin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use fmt::Write as _;
        let mut text = String::with_capacity(2 * self.0.len());
        for byte in &self.0 {
            // To a string nothing fails.
            let _ = write!(text, "{byte:02x}");
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Cubin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Cubin, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        let byte = |pair: &[u8]| match *pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
        bytes
            .map(Cubin)
            .ok_or_else(|| D::Error::custom("a cubin is two hexadecimal digits for each byte"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back() {
        let cubin = Cubin((0..=255).collect());
        let text = serde_json::to_string(&cubin).expect("JSON");
        assert_eq!(serde_json::from_str::<Cubin>(&text).expect("a cubin"), cubin);
        for wrong in ["\"0\"", "\"0g\"", "\"é\"", "[1]"] {
            assert!(serde_json::from_str::<Cubin>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_that_is_cut_is_not_whole() {
        let mut bytes = vec![0; 200];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        // Two sections of 64 bytes from byte 72 on.
        (bytes[40], bytes[58], bytes[60]) = (72, 64, 2);
        assert!(Cubin(bytes.clone()).is_whole());
        assert!(!Cubin(bytes[..199].to_vec()).is_whole());
        bytes[47] = 0xff;
        assert!(!Cubin(bytes).is_whole());
        assert!(!Cubin(b"\x7fELF".to_vec()).is_whole());
    }
}
