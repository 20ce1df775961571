//! Where the elements of tensors live.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::sync::RwLock;

/// Every host buffer starts at a multiple of this many bytes: a cache line, and the widest vector.
pub const HOST_ALIGNMENT: usize = 64;

/// Who can read an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// This process.
    Host,
    /// The CUDA device with this ordinal.
    Cuda(u32),
}

/// A block of memory. It stays where it is, at its size, until dropped.
///
/// # Safety
///
/// `address()..address() + size_bytes()` is one allocation, initialised, and readable and writable
/// at [`Memory::place`] for as long as the value lives.
pub unsafe trait Memory: Send + Sync {
    /// Who can read the address.
    fn place(&self) -> Place;

    /// The first byte.
    fn address(&self) -> *mut u8;

    /// How many bytes there are.
    fn size_bytes(&self) -> usize;
}

/// Zeroed memory of this process, aligned to [`HOST_ALIGNMENT`].
pub struct HostMemory {
    block: *mut u8,
    layout: Layout,
    address: *mut u8,
    size_bytes: usize,
}

/// A block and the lock that keeps host reads and launches apart.
///
/// Tensors share their memory, so Rust's borrows cannot say who writes; this lock does.
pub(crate) struct Storage {
    pub(crate) memory: Box<dyn Memory>,
    pub(crate) lock: RwLock<()>,
}

impl HostMemory {
    /// A zeroed block; `None` if the address space has no room for one so large.
    ///
    /// Zeroed by the system, so that pages never touched take no memory.
    pub fn new(size_bytes: usize) -> Option<HostMemory> {
        // The allocator hands out untouched pages only for small alignments: align by hand.
        let total = size_bytes.checked_add(HOST_ALIGNMENT)?;
        let layout = Layout::from_size_align(total, 1).ok()?;
        // SAFETY: the layout is not of size zero.
        let block = unsafe { alloc_zeroed(layout) };
        if block.is_null() {
            if total < 1 << 20 {
                handle_alloc_error(layout);
            }
            return None;
        }
        let skip = block.align_offset(HOST_ALIGNMENT);
        // SAFETY: the block has HOST_ALIGNMENT bytes more than asked for, and `skip` is less.
        let address = unsafe { block.add(skip) };
        Some(HostMemory { block, layout, address, size_bytes })
    }
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        // SAFETY: `block` came from `alloc_zeroed` with this layout and is freed once.
        unsafe { dealloc(self.block, self.layout) }
    }
}

// SAFETY: the block is owned, and all access to it goes through `Storage`'s lock.
unsafe impl Send for HostMemory {}
// SAFETY: as above.
unsafe impl Sync for HostMemory {}

// SAFETY: the block is one allocation, zeroed, of `size_bytes` bytes from `address` on.
unsafe impl Memory for HostMemory {
    fn place(&self) -> Place {
        Place::Host
    }

    fn address(&self) -> *mut u8 {
        self.address
    }

    fn size_bytes(&self) -> usize {
        self.size_bytes
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Host => f.write_str("host"),
            Place::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes on {}", self.memory.size_bytes(), self.memory.place())
    }
}
