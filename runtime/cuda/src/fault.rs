//! What the driver answers when a call fails, and which answers end all work on a device.

use std::fmt;

use crate::api::{Api, Code};

/// Codes that other modules look for.
pub(crate) mod code {
    use super::Code;

    /// `CUDA_ERROR_OUT_OF_MEMORY`.
    pub const OUT_OF_MEMORY: Code = 2;
    /// `CUDA_ERROR_STUB_LIBRARY`: the toolkit's library to link against, which is no driver.
    pub const STUB_LIBRARY: Code = 34;
    /// `CUDA_ERROR_NO_DEVICE`.
    pub const NO_DEVICE: Code = 100;
}

/// After these the context takes no more work: CUDA driver API, `CUresult`, "the context must be destroyed" and "process
/// must be terminated and relaunched".
const STICKY: &[Code] = &[214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721];

/// A call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The driver's function.
    pub call: &'static str,
    /// Its `CUresult`.
    pub code: i32,
    /// The name of the code: `CUDA_ERROR_OUT_OF_MEMORY`.
    pub name: String,
    /// What the driver says of it.
    pub text: String,
}

impl Fault {
    pub(crate) fn new(api: &Api, call: &'static str, code: Code) -> Fault {
        let (name, text) = api.words(code);
        Fault { call, code, name, text }
    }

    /// Whether this process can do nothing more on the device.
    pub fn is_sticky(&self) -> bool {
        STICKY.contains(&self.code)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {} ({}, {})", self.call, self.text, self.name, self.code)?;
        if self.is_sticky() {
            f.write_str("; the device takes no more work from this process")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}
