//! A GPU that this process works on: its primary context, which other libraries of the process share.

use std::ptr;
use std::sync::{Arc, OnceLock};

use cudarc::driver::sys::{CUcontext, CUdevice};

use crate::api::{Api, call};
use crate::facts::Facts;
use crate::fault::{Fault, code};

/// An open GPU.
pub struct Context {
    api: &'static Api,
    device: CUdevice,
    context: CUcontext,
    ordinal: u32,
    facts: Facts,
    /// The fault after which nothing more can be done here.
    lost: OnceLock<Fault>,
}

// SAFETY: a driver context may be used from any thread; each call sets it as current first.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

/// How many GPUs there are; else what is missing.
///
/// # Errors
///
/// There is no driver, or it does not work; in one sentence.
pub fn count() -> Result<u32, String> {
    let api = Api::get()?;
    // SAFETY: may be called any number of times.
    if let Err(fault) = unsafe { call!(api, cuInit(0)) } {
        return match fault.code {
            code::NO_DEVICE => Ok(0),
            code::STUB_LIBRARY => Err(
                "the CUDA toolkit's stub of libcuda was found before the driver's; take its `stubs` folder out of \
                 LD_LIBRARY_PATH"
                    .to_owned(),
            ),
            _ => Err(fault.to_string()),
        };
    }
    let mut count = 0;
    // SAFETY: the number is written on success.
    unsafe { call!(api, cuDeviceGetCount(&raw mut count)) }.map_err(|fault| fault.to_string())?;
    Ok(u32::try_from(count).unwrap_or(0))
}

impl Context {
    /// Opens the GPU with this number.
    ///
    /// # Errors
    ///
    /// What is missing, in one sentence.
    pub fn open(ordinal: u32) -> Result<Arc<Context>, String> {
        match count()? {
            0 => return Err("the NVIDIA driver finds no GPU".to_owned()),
            1 if ordinal > 0 => return Err("there is one GPU, cuda:0".to_owned()),
            n if ordinal >= n => {
                return Err(format!("there are {n} GPUs, cuda:0 to cuda:{}", n - 1));
            }
            _ => {}
        }
        Context::retain(Api::get()?, ordinal).map(Arc::new).map_err(|fault| fault.to_string())
    }

    fn retain(api: &'static Api, ordinal: u32) -> Result<Context, Fault> {
        let mut device = 0;
        // SAFETY: the device is written on success.
        unsafe { call!(api, cuDeviceGet(&raw mut device, ordinal.cast_signed())) }?;
        let facts = Facts::of(api, device)?;
        let mut context = ptr::null_mut();
        // SAFETY: the context is written on success; it is released when this is dropped.
        unsafe { call!(api, cuDevicePrimaryCtxRetain(&raw mut context, device)) }?;
        Ok(Context { api, device, context, ordinal, facts, lost: OnceLock::new() })
    }

    /// The number it was opened by.
    pub fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// What it is.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Device memory that nobody has, and all there is.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    pub fn memory(&self) -> Result<(usize, usize), Fault> {
        let api = self.enter()?;
        let (mut free, mut total) = (0, 0);
        // SAFETY: both are written on success.
        self.noted(unsafe { call!(api, cuMemGetInfo_v2(&raw mut free, &raw mut total)) })?;
        Ok((free, total))
    }

    /// The driver, with this context current on the calling thread.
    pub(crate) fn enter(&self) -> Result<&'static Api, Fault> {
        if let Some(lost) = self.lost.get() {
            return Err(lost.clone());
        }
        // SAFETY: the context is retained for as long as `self` lives.
        self.noted(unsafe { call!(self.api, cuCtxSetCurrent(self.context)) })?;
        Ok(self.api)
    }

    /// A result, remembered if nothing can be done after it.
    pub(crate) fn noted<T>(&self, result: Result<T, Fault>) -> Result<T, Fault> {
        if let Err(fault) = &result
            && fault.is_sticky()
        {
            let _ = self.lost.set(fault.clone());
        }
        result
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: retained once, released once. Nothing could be done about a failure.
        let _ = unsafe { (self.api.cuDevicePrimaryCtxRelease_v2)(self.device) };
    }
}
