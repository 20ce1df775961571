//! A bundle open on a device: kernels are loaded when first launched, and kept.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use thiserror::Error;
use tilec_cuda::CudaKernel;
use tilec_host::{Arguments, Launch, Place, RuntimeError, launch};

use crate::{AnyDevice, AnyKernel, Bundle, Choice, Fault};

/// A bundle on a device.
pub struct Session {
    bundle: Bundle,
    device: AnyDevice,
    /// By number of the artifact and whether the tensors lie on the device.
    loaded: Mutex<BTreeMap<(usize, bool), AnyKernel>>,
}

/// Why a bundle could not be opened on a device.
#[derive(Debug, Error)]
pub enum OpenError {
    /// It is no bundle.
    #[error("the bundle: {0}")]
    Bundle(#[from] Fault),
    /// There is no such device, or it runs nothing of the bundle.
    #[error(transparent)]
    Device(#[from] RuntimeError),
}

/// A checked launch of a loaded kernel, to be run as often as is wanted.
pub struct Ready {
    kernel: AnyKernel,
    launch: Launch,
    because: Choice,
}

impl Session {
    /// Reads a bundle and opens `cuda`, `cuda:N` or `sim` for it.
    ///
    /// # Errors
    ///
    /// The bytes are no bundle, or there is no such device.
    pub fn open(bytes: &[u8], device: &str) -> Result<Session, OpenError> {
        let bundle = Bundle::decode(bytes)?;
        let device = AnyDevice::open(device, &bundle)?;
        Ok(Session { bundle, device, loaded: Mutex::default() })
    }

    /// The bundle.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The device.
    pub fn device(&self) -> &AnyDevice {
        &self.device
    }

    /// Checks arguments, and loads the setting of the kernel that a tuning record has for them, else the first that suits. Tensors of the host are copied at each
    /// run; if one lies on the GPU, all have to, and nothing is copied.
    ///
    /// # Errors
    ///
    /// No setting suits the arguments: why the first does not. The device cannot load it.
    pub fn ready(&self, kernel: &str, args: &Arguments) -> Result<Ready, RuntimeError> {
        let chosen = self.bundle.choose(
            Some(kernel),
            args,
            self.device.target(),
            &self.device.device().info(),
        )?;
        let resident = chosen.launch.tensors().any(|(_, tensor, _)| tensor.place() != Place::Host);
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (chosen.number, resident);
        let kernel = match loaded.get(&key) {
            Some(kernel) => kernel.clone(),
            None => {
                let kernel = self.device.load(chosen.artifact, resident)?;
                loaded.insert(key, kernel.clone());
                kernel
            }
        };
        Ok(Ready { kernel, launch: chosen.launch, because: chosen.because })
    }
}

impl Ready {
    /// Runs it and waits.
    ///
    /// # Errors
    ///
    /// Limits of the device, and faults of the kernel.
    pub fn run(&self) -> Result<(), RuntimeError> {
        launch(self.kernel.executable(), &self.launch)
    }

    /// The arguments as they were checked.
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// Why it has the knobs it has.
    pub fn because(&self) -> &Choice {
        &self.because
    }

    /// The kernel, where it is a GPU's: for [`CudaKernel::prepare`] and [`CudaKernel::stay`].
    pub fn cuda(&self) -> Option<&CudaKernel> {
        match &self.kernel {
            AnyKernel::Cuda(kernel) => Some(kernel),
            AnyKernel::Sim(_) => None,
        }
    }
}
