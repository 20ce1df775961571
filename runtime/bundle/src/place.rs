//! The devices that run bundles, by the names that people give them.

use std::sync::Arc;

use tilec_cuda::{CudaDevice, CudaKernel};
use tilec_host::{Device, Executable, RuntimeError};
use tilec_sim::{Options, SimDevice};
use tilec_vocab::Artifact;

use crate::Bundle;

/// A device that takes PTX.
pub enum AnyDevice {
    /// A GPU.
    Cuda(CudaDevice),
    /// The simulator, and what it takes code for.
    Sim(SimDevice, String),
}

/// A kernel of such a device.
#[derive(Clone)]
pub enum AnyKernel {
    /// On a GPU.
    Cuda(Arc<CudaKernel>),
    /// On the simulator.
    Sim(Arc<dyn Executable>),
}

impl AnyDevice {
    /// Opens `cuda`, `cuda:N` or `sim` for the kernels of a bundle.
    ///
    /// # Errors
    ///
    /// There is no such device, or it runs nothing of the bundle; what is missing.
    pub fn open(name: &str, bundle: &Bundle) -> Result<AnyDevice, RuntimeError> {
        let error = |message: &str| RuntimeError::Device {
            device: name.to_owned(),
            message: message.to_owned(),
        };
        let targets = bundle.targets();
        let newest = targets.last().ok_or_else(|| error("the bundle is empty"))?;
        if name == "sim" {
            let target = (*newest).to_owned();
            let options = Options { target: target.clone(), ..Options::default() };
            return Ok(AnyDevice::Sim(SimDevice::new(options, None), target));
        }
        let number = match name.strip_prefix("cuda") {
            Some("") => Some(0),
            Some(rest) => rest.strip_prefix(':').and_then(|number| number.parse().ok()),
            None => None,
        };
        let number =
            number.ok_or_else(|| error("there is no such device; known are cuda, cuda:N, sim"))?;
        CudaDevice::open(number, &targets, None).map(AnyDevice::Cuda)
    }

    /// What code is taken for.
    pub fn target(&self) -> &str {
        match self {
            AnyDevice::Cuda(device) => device.target(),
            AnyDevice::Sim(_, target) => target,
        }
    }

    /// The device itself.
    pub fn device(&self) -> &dyn Device {
        match self {
            AnyDevice::Cuda(device) => device,
            AnyDevice::Sim(device, _) => device,
        }
    }

    /// Makes a kernel ready for tensors of the host, or, if `resident`, for those that lie on the device.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Device`] if the device cannot run it.
    pub fn load(&self, artifact: &Artifact, resident: bool) -> Result<AnyKernel, RuntimeError> {
        Ok(match (self, resident) {
            (AnyDevice::Cuda(device), true) => {
                AnyKernel::Cuda(Arc::new(device.load_resident(artifact)))
            }
            (AnyDevice::Cuda(device), false) => {
                AnyKernel::Cuda(Arc::new(device.load_copying(artifact)))
            }
            // Its tensors are the host's; others are refused at the launch.
            (AnyDevice::Sim(device, _), _) => AnyKernel::Sim(device.load(artifact)?),
        })
    }
}

impl AnyKernel {
    /// The kernel itself.
    pub fn executable(&self) -> &dyn Executable {
        match self {
            AnyKernel::Cuda(kernel) => kernel.as_ref(),
            AnyKernel::Sim(kernel) => kernel.as_ref(),
        }
    }
}
