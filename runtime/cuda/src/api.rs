//! The calls of the CUDA driver that we make, looked up once in the library that cudarc finds.
//!
//! cudarc's own bindings panic where a symbol is missing, and take a driver's answer for one of the codes they know. A
//! driver can be older or newer than they are, so the table here has codes as numbers and a missing symbol as an error;
//! cudarc supplies the search for the library and the types of handles.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;
use std::sync::OnceLock;

use cudarc::driver::sys::{
    self, CUcontext, CUdevice, CUdeviceptr, CUevent, CUfunction, CUgraph, CUgraphExec, CUmodule,
    CUstream,
};

/// A `CUresult`.
pub(crate) type Code = c_int;

/// As the loader of this system calls the driver.
const LIBRARY: &str = if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" };

macro_rules! api {
    ($($name:ident($($ty:ty),* $(,)?);)*) => {
        /// The driver's functions.
        #[allow(non_snake_case)]
        pub(crate) struct Api {
            $(pub $name: unsafe extern "C" fn($($ty),*) -> Code,)*
        }

        /// Looks up every function.
        fn load() -> Result<Api, String> {
            // SAFETY: looking for a library runs its initialisers; the driver's are made for it.
            if !unsafe { sys::is_culib_present() } {
                return Err(format!("no NVIDIA driver: {LIBRARY} was not found"));
            }
            // SAFETY: as above; it was found a moment ago, so this does not panic.
            let library = unsafe { sys::culib() };
            Ok(Api {
                $($name: {
                    let name = concat!(stringify!($name), "\0");
                    // SAFETY: the types are those of the driver's header for this symbol.
                    *unsafe { library.get(name.as_bytes()) }.map_err(|_| {
                        let name = stringify!($name);
                        format!("the NVIDIA driver is too old: {LIBRARY} has no `{name}`")
                    })?
                },)*
            })
        }
    };
}

api! {
    cuInit(c_uint);
    cuDriverGetVersion(*mut c_int);
    cuGetErrorName(Code, *mut *const c_char);
    cuGetErrorString(Code, *mut *const c_char);
    cuDeviceGetCount(*mut c_int);
    cuDeviceGet(*mut CUdevice, c_int);
    cuDeviceGetName(*mut c_char, c_int, CUdevice);
    cuDeviceGetAttribute(*mut c_int, c_int, CUdevice);
    cuDeviceTotalMem_v2(*mut usize, CUdevice);
    cuDevicePrimaryCtxRetain(*mut CUcontext, CUdevice);
    cuDevicePrimaryCtxRelease_v2(CUdevice);
    cuCtxSetCurrent(CUcontext);
    cuMemGetInfo_v2(*mut usize, *mut usize);
    cuMemAlloc_v2(*mut CUdeviceptr, usize);
    cuMemFree_v2(CUdeviceptr);
    cuMemcpyHtoDAsync_v2(CUdeviceptr, *const c_void, usize, CUstream);
    cuMemcpyDtoHAsync_v2(*mut c_void, CUdeviceptr, usize, CUstream);
    cuMemsetD8Async(CUdeviceptr, u8, usize, CUstream);
    cuStreamCreate(*mut CUstream, c_uint);
    cuStreamSynchronize(CUstream);
    cuStreamDestroy_v2(CUstream);
    cuEventCreate(*mut CUevent, c_uint);
    cuEventRecord(CUevent, CUstream);
    cuEventSynchronize(CUevent);
    cuEventElapsedTime(*mut f32, CUevent, CUevent);
    cuEventDestroy_v2(CUevent);
    cuModuleLoadDataEx(*mut CUmodule, *const c_void, c_uint, *mut c_int, *mut *mut c_void);
    cuModuleGetFunction(*mut CUfunction, CUmodule, *const c_char);
    cuModuleUnload(CUmodule);
    cuFuncGetAttribute(*mut c_int, c_int, CUfunction);
    cuFuncSetAttribute(CUfunction, c_int, c_int);
    cuOccupancyMaxActiveBlocksPerMultiprocessor(*mut c_int, CUfunction, c_int, usize);
    cuStreamBeginCapture_v2(CUstream, c_int);
    cuStreamEndCapture(CUstream, *mut CUgraph);
    cuGraphInstantiateWithFlags(*mut CUgraphExec, CUgraph, u64);
    cuGraphLaunch(CUgraphExec, CUstream);
    cuGraphDestroy(CUgraph);
    cuGraphExecDestroy(CUgraphExec);
    cuLaunchKernel(
        CUfunction, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, CUstream,
        *mut *mut c_void, *mut *mut c_void,
    );
}

impl Api {
    /// The driver of this machine, looked for once; else what is missing.
    pub fn get() -> Result<&'static Api, String> {
        static API: OnceLock<Result<Api, String>> = OnceLock::new();
        API.get_or_init(load).as_ref().map_err(Clone::clone)
    }

    /// What the driver calls a code, and what it says of it.
    pub fn words(&self, code: Code) -> (String, String) {
        let say = |ask: unsafe extern "C" fn(Code, *mut *const c_char) -> Code| {
            let mut text = ptr::null();
            // SAFETY: `text` is written on success, with a string that is never freed.
            let known = unsafe { ask(code, &raw mut text) } == 0 && !text.is_null();
            // SAFETY: as above.
            known.then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
        };
        let name = say(self.cuGetErrorName).unwrap_or_else(|| format!("CUresult {code}"));
        (name, say(self.cuGetErrorString).unwrap_or_else(|| "unknown to this driver".to_owned()))
    }
}

/// Calls the driver: `call!(api, cuInit(0))` is `Ok(())` or the [`Fault`](crate::Fault).
macro_rules! call {
    ($api:expr, $name:ident($($arg:expr),* $(,)?)) => {{
        let api = $api;
        match (api.$name)($($arg),*) {
            0 => Ok(()),
            code => Err($crate::fault::Fault::new(api, stringify!($name), code)),
        }
    }};
}

pub(crate) use call;
