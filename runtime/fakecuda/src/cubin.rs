//! What this driver takes for machine code: the header of an ELF file without tables, then PTX.

/// How an ELF file begins.
pub const MAGIC: &[u8] = b"\x7fELF";

/// Bytes of the header, after which the PTX stands.
pub const HEADER_BYTES: usize = 64;

/// "Machine code" that this driver runs, to tell it from the PTX it stands beside.
pub fn cubin(ptx: &str) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    // 64 bits, least byte first.
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    bytes.extend_from_slice(ptx.as_bytes());
    bytes
}
