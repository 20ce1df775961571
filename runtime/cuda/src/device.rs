//! A GPU as a device of ours.

use std::sync::Arc;

use tilec_host::gpu::PtxCompiler;
use tilec_host::{Device, DeviceInfo, Executable, Place, RuntimeError};
use tilec_vocab::Artifact;

use crate::context::Context;
use crate::facts::Facts;
use crate::fault::Fault;
use crate::kernel::{CudaKernel, capability};
use crate::memory::Buffer;
use crate::stream::Stream;

/// A CUDA GPU.
pub struct CudaDevice {
    context: Arc<Context>,
    stream: Arc<Stream>,
    target: String,
    compiler: Option<Arc<dyn PtxCompiler>>,
}

impl CudaDevice {
    /// The GPU with this number. Artifacts of tile IR are compiled by `compiler`, for the newest of `targets` (`sm_80`, …)
    /// that the GPU runs; without one it takes PTX only.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Device`]: what is missing.
    pub fn open(
        ordinal: u32,
        targets: &[&str],
        compiler: Option<Arc<dyn PtxCompiler>>,
    ) -> Result<CudaDevice, RuntimeError> {
        let error = |message: String| {
            let device = Place::Cuda(ordinal).to_string();
            RuntimeError::Device { device, message }
        };
        let context = Context::open(ordinal).map_err(error)?;
        let facts = context.facts();
        let runs = |target: &&&str| capability(target).is_some_and(|is| is <= facts.capability);
        let newest = targets.iter().filter(runs).max_by_key(|target| capability(target));
        let target = newest.map(|target| (*target).to_owned()).ok_or_else(|| {
            let (name, architecture) = (&facts.name, facts.architecture());
            let known = targets.join(", ");
            error(format!("{name} is an {architecture}, and code is made for {known}"))
        })?;
        let stream = Stream::new(&context).map_err(|fault| error(fault.to_string()))?;
        Ok(CudaDevice { context, stream: Arc::new(stream), target, compiler })
    }

    /// What it is, in full.
    pub fn facts(&self) -> &Facts {
        self.context.facts()
    }

    /// What code is made for.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Makes ready a kernel whose tensors lie on this device: see [`CudaDevice::zeros`].
    pub fn load_resident(&self, artifact: &Artifact) -> CudaKernel {
        self.kernel(artifact, Place::Cuda(self.context.ordinal()))
    }

    /// As [`Device::load`], with its own type.
    pub fn load_copying(&self, artifact: &Artifact) -> CudaKernel {
        self.kernel(artifact, Place::Host)
    }

    fn kernel(&self, artifact: &Artifact, place: Place) -> CudaKernel {
        let target = (artifact, self.target.as_str());
        CudaKernel::new(&self.context, &self.stream, target, self.compiler.clone(), place)
    }

    /// Memory of this device, all zeros; tensors in it are made by [`Tensor::in_memory`](tilec_host::Tensor::in_memory).
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Device`] if the device has no room.
    pub fn zeros(&self, bytes: usize) -> Result<Buffer, RuntimeError> {
        Buffer::zeros(&self.stream, bytes).map_err(|fault| self.error(bytes, &fault))
    }

    /// Copies from the host to the start of memory of this device.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    ///
    /// # Panics
    ///
    /// If there are more bytes than the buffer has.
    pub fn upload(&self, to: &Buffer, from: &[u8]) -> Result<(), RuntimeError> {
        to.upload(&self.stream, from).map_err(|fault| self.error(from.len(), &fault))
    }

    /// Copies from the start of memory of this device to the host.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    ///
    /// # Panics
    ///
    /// If more bytes are wanted than the buffer has.
    pub fn download(&self, from: &Buffer, to: &mut [u8]) -> Result<(), RuntimeError> {
        from.download(&self.stream, to).map_err(|fault| self.error(to.len(), &fault))
    }

    fn error(&self, bytes: usize, fault: &Fault) -> RuntimeError {
        let device = Place::Cuda(self.context.ordinal()).to_string();
        RuntimeError::Device { device, message: format!("{bytes} bytes: {fault}") }
    }
}

impl Device for CudaDevice {
    fn info(&self) -> DeviceInfo {
        let facts = self.facts();
        let (major, minor) = facts.driver;
        DeviceInfo {
            name: Place::Cuda(self.context.ordinal()).to_string(),
            model: facts.name.clone(),
            units: facts.multiprocessors as usize,
            features: vec![facts.architecture(), format!("CUDA {major}.{minor}")],
        }
    }

    fn load(&self, artifact: &Artifact) -> Result<Arc<dyn Executable>, RuntimeError> {
        Ok(Arc::new(self.load_copying(artifact)))
    }
}
