//! The address map. Buffers lie 2^44 bytes apart, so that a wrapped or negative offset lands in a hole and the report
//! can say which element of which buffer was meant; `address >> 44` names the buffer.

/// log2 of the distance between buffers.
pub const TAG_SHIFT: u32 = 44;
/// First byte of shared memory, in shared space; not zero, so that a null pointer is never valid.
pub const SHARED_BASE: u64 = 0x400;
/// First byte of a thread's local memory, in local space.
pub const LOCAL_BASE: u64 = 0x100;
/// Tag of the first module-scope variable.
pub const MODULE_TAG: u64 = 0x8_0000;
/// Generic address of shared-space address zero.
pub const SHARED_WINDOW: u64 = tagged(0xf_fffe);
/// Generic address of local-space address zero.
pub const LOCAL_WINDOW: u64 = tagged(0xf_fffd);

/// The first address of a tag.
pub const fn tagged(tag: u64) -> u64 {
    tag << TAG_SHIFT
}

/// The device address of the first byte of the launch's buffer number `index`.
pub const fn buffer_address(index: usize) -> u64 {
    tagged(index as u64 + 1)
}
