//! What a GPU is and where its limits are, as the driver tells.

use std::ffi::c_char;

use cudarc::driver::sys::{CUdevice, CUdevice_attribute as Attribute};

use crate::api::{Api, call};
use crate::fault::Fault;

/// One GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// As its maker calls it.
    pub name: String,
    /// Compute capability, major and minor.
    pub capability: (u32, u32),
    /// The newest CUDA that the driver knows, major and minor.
    pub driver: (u32, u32),
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// Device memory.
    pub memory_bytes: u64,
    /// Level-2 cache.
    pub l2_bytes: u64,
    /// Threads of a CTA, at most.
    pub max_threads: u32,
    /// CTAs of a one-dimensional grid, at most.
    pub max_ctas: u32,
    /// Shared memory that a CTA has without asking.
    pub shared_bytes: u32,
    /// Shared memory that a CTA can have by opting in.
    pub shared_bytes_optin: u32,
    /// Shared memory of a multiprocessor.
    pub shared_bytes_per_multiprocessor: u32,
    /// 32-bit registers of a multiprocessor.
    pub registers_per_multiprocessor: u32,
    /// Threads that a multiprocessor holds.
    pub threads_per_multiprocessor: u32,
    /// Clock, at its highest.
    pub clock_khz: u32,
    /// Memory clock, at its highest.
    pub memory_clock_khz: u32,
    /// Width of the memory bus.
    pub memory_bus_bits: u32,
}

impl Facts {
    /// Asks the driver.
    pub(crate) fn of(api: &Api, device: CUdevice) -> Result<Facts, Fault> {
        let number = |attribute: Attribute| {
            let mut value = 0;
            // SAFETY: `value` is written on success.
            unsafe { call!(api, cuDeviceGetAttribute(&raw mut value, attribute as i32, device)) }?;
            Ok(u32::try_from(value).unwrap_or(0))
        };
        let mut name = [0u8; 256];
        // SAFETY: the driver writes at most this many bytes, a zero among them.
        unsafe { call!(api, cuDeviceGetName(name.as_mut_ptr().cast::<c_char>(), 256, device)) }?;
        let length = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
        let mut memory_bytes = 0;
        // SAFETY: the number is written on success.
        unsafe { call!(api, cuDeviceTotalMem_v2(&raw mut memory_bytes, device)) }?;
        let mut version = 0;
        // SAFETY: as above.
        unsafe { call!(api, cuDriverGetVersion(&raw mut version)) }?;
        let version = u32::try_from(version).unwrap_or(0);
        Ok(Facts {
            name: String::from_utf8_lossy(&name[..length]).into_owned(),
            capability: (
                number(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
                number(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
            ),
            driver: (version / 1000, version % 1000 / 10),
            multiprocessors: number(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
            memory_bytes: memory_bytes as u64,
            l2_bytes: number(Attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)?.into(),
            max_threads: number(Attribute::CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK)?,
            max_ctas: number(Attribute::CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X)?,
            shared_bytes: number(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK)?,
            shared_bytes_optin: number(
                Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
            )?,
            shared_bytes_per_multiprocessor: number(
                Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR,
            )?,
            registers_per_multiprocessor: number(
                Attribute::CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR,
            )?,
            threads_per_multiprocessor: number(
                Attribute::CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR,
            )?,
            clock_khz: number(Attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE)?,
            memory_clock_khz: number(Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE)?,
            memory_bus_bits: number(Attribute::CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH)?,
        })
    }

    /// The architecture: `sm_80`.
    pub fn architecture(&self) -> String {
        let (major, minor) = self.capability;
        format!("sm_{major}{minor}")
    }
}
