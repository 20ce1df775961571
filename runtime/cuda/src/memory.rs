//! Device memory.

use std::sync::Arc;

use cudarc::driver::sys::CUdeviceptr;
use tilec_host::{Memory, Place};

use crate::api::call;
use crate::context::Context;
use crate::fault::Fault;
use crate::stream::Stream;

/// A block of device memory, freed with the last of its handles. Tensors in it are made by
/// [`Tensor::in_memory`](tilec_host::Tensor::in_memory).
#[derive(Clone)]
pub struct Buffer(Arc<Block>);

struct Block {
    context: Arc<Context>,
    address: CUdeviceptr,
    bytes: usize,
}

impl Buffer {
    /// A block with anything in it.
    pub(crate) fn new(context: &Arc<Context>, bytes: usize) -> Result<Buffer, Fault> {
        let api = context.enter()?;
        let mut address = 0;
        // SAFETY: the address is written on success. The driver refuses a block without bytes.
        context.noted(unsafe { call!(api, cuMemAlloc_v2(&raw mut address, bytes.max(1))) })?;
        Ok(Buffer(Arc::new(Block { context: Arc::clone(context), address, bytes })))
    }

    /// A block of zeros.
    ///
    /// # Errors
    ///
    /// Those of the driver: no memory above all.
    pub(crate) fn zeros(stream: &Stream, bytes: usize) -> Result<Buffer, Fault> {
        let buffer = Buffer::new(stream.context(), bytes)?;
        let api = buffer.0.context.enter()?;
        let zero = || {
            // SAFETY: the block has so many bytes.
            unsafe { call!(api, cuMemsetD8Async(buffer.0.address, 0, bytes, stream.raw())) }
        };
        if bytes > 0 {
            buffer.0.context.noted(zero())?;
        }
        stream.wait()?;
        Ok(buffer)
    }

    /// Copies from the host to the start of the block, and waits.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    ///
    /// # Panics
    ///
    /// If there are more bytes than the block has.
    pub(crate) fn upload(&self, stream: &Stream, from: &[u8]) -> Result<(), Fault> {
        assert!(from.len() <= self.0.bytes, "{} bytes into {}", from.len(), self.0.bytes);
        if from.is_empty() {
            return Ok(());
        }
        let api = self.0.context.enter()?;
        let (source, bytes) = (from.as_ptr().cast(), from.len());
        // SAFETY: both sides have so many bytes, and live until the wait below is over.
        let copy = unsafe {
            call!(api, cuMemcpyHtoDAsync_v2(self.0.address, source, bytes, stream.raw()))
        };
        let waited = stream.wait();
        self.0.context.noted(copy).and(waited)
    }

    /// Copies the start of the block to the host, and waits.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    ///
    /// # Panics
    ///
    /// If more bytes are wanted than the block has.
    pub(crate) fn download(&self, stream: &Stream, to: &mut [u8]) -> Result<(), Fault> {
        assert!(to.len() <= self.0.bytes, "{} bytes out of {}", to.len(), self.0.bytes);
        if to.is_empty() {
            return Ok(());
        }
        let api = self.0.context.enter()?;
        let (target, bytes) = (to.as_mut_ptr().cast(), to.len());
        // SAFETY: both sides have so many bytes, and live until the wait below is over.
        let copy = unsafe {
            call!(api, cuMemcpyDtoHAsync_v2(target, self.0.address, bytes, stream.raw()))
        };
        let waited = stream.wait();
        self.0.context.noted(copy).and(waited)
    }

    /// The first byte, to the device.
    pub fn device_address(&self) -> u64 {
        self.0.address
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Ok(api) = self.context.enter() {
            // SAFETY: allocated once, freed once. Nothing could be done about a failure.
            let _ = unsafe { (api.cuMemFree_v2)(self.address) };
        }
    }
}

// SAFETY: the block is one allocation of so many bytes at the device's address, until dropped; those that leave this
// crate were made by `zeros`, so they are initialised.
unsafe impl Memory for Buffer {
    fn place(&self) -> Place {
        Place::Cuda(self.0.context.ordinal())
    }

    fn address(&self) -> *mut u8 {
        // An address of the device: nobody on the host may follow it.
        std::ptr::without_provenance_mut(self.0.address as usize)
    }

    fn size_bytes(&self) -> usize {
        self.0.bytes
    }
}
