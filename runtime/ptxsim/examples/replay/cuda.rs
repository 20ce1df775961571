//! The few calls of the CUDA driver that a replay needs, looked up at run time: nothing links to CUDA.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};

use tilec_ptxsim::{Arg, Contents, Launch};

type Status = c_int;
type Pointer = u64;

/// `CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES`.
const MAX_DYNAMIC_SHARED: c_int = 8;
/// `CU_JIT_ERROR_LOG_BUFFER` and its size in bytes.
const ERROR_LOG: [c_int; 2] = [5, 6];

unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

macro_rules! driver {
    ($($field:ident = $symbol:literal ($($arg:ty),*);)*) => {
        /// The driver's entry points.
        pub struct Cuda { $($field: unsafe extern "C" fn($($arg),*) -> Status,)* }

        impl Cuda {
            fn load() -> Result<Cuda, String> {
                // SAFETY: the name is a C string; loading the driver runs its own initialisers only.
                let library = unsafe { dlopen(c"libcuda.so.1".as_ptr(), 2) };
                if library.is_null() {
                    return Err("libcuda.so.1 is not installed".into());
                }
                Ok(Cuda { $($field: {
                    // SAFETY: the library is open and the name is a C string.
                    let symbol = unsafe { dlsym(library, $symbol.as_ptr()) };
                    if symbol.is_null() {
                        return Err(format!("the driver has no {:?}", $symbol));
                    }
                    // SAFETY: the driver API documents this signature for this symbol.
                    unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($arg),*) -> Status>(symbol) }
                },)* })
            }
        }
    };
}

driver! {
    init = c"cuInit" (c_uint);
    device = c"cuDeviceGet" (*mut c_int, c_int);
    device_name = c"cuDeviceGetName" (*mut c_char, c_int, c_int);
    context = c"cuCtxCreate_v2" (*mut *mut c_void, c_uint, c_int);
    synchronize = c"cuCtxSynchronize" ();
    error_name = c"cuGetErrorName" (Status, *mut *const c_char);
    load_module = c"cuModuleLoadDataEx" (*mut *mut c_void, *const c_void, c_uint, *mut c_int, *mut *mut c_void);
    unload_module = c"cuModuleUnload" (*mut c_void);
    function = c"cuModuleGetFunction" (*mut *mut c_void, *mut c_void, *const c_char);
    set_attribute = c"cuFuncSetAttribute" (*mut c_void, c_int, c_int);
    allocate = c"cuMemAlloc_v2" (*mut Pointer, usize);
    free = c"cuMemFree_v2" (Pointer);
    upload = c"cuMemcpyHtoD_v2" (Pointer, *const c_void, usize);
    download = c"cuMemcpyDtoH_v2" (*mut c_void, Pointer, usize);
    launch = c"cuLaunchKernel" (*mut c_void, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, *mut c_void, *mut *mut c_void, *mut *mut c_void);
}

impl Cuda {
    /// Opens the first GPU; its name.
    pub fn open() -> Result<(Cuda, String), String> {
        let cuda = Cuda::load()?;
        let (mut device, mut context, mut name) = (0, std::ptr::null_mut(), [0 as c_char; 100]);
        // SAFETY: every pointer is to a live local of the type the driver documents; the name is terminated by the driver.
        unsafe {
            cuda.check("cuInit", (cuda.init)(0))?;
            cuda.check("cuDeviceGet", (cuda.device)(&mut device, 0))?;
            cuda.check("cuDeviceGetName", (cuda.device_name)(name.as_mut_ptr(), 99, device))?;
            cuda.check("cuCtxCreate", (cuda.context)(&mut context, 0, device))?;
            let name = CStr::from_ptr(name.as_ptr()).to_string_lossy().into_owned();
            Ok((cuda, name))
        }
    }

    fn check(&self, call: &str, status: Status) -> Result<(), String> {
        if status == 0 {
            return Ok(());
        }
        let mut name = std::ptr::null();
        // SAFETY: the driver stores a pointer to a constant string, or leaves it null.
        let known = unsafe { (self.error_name)(status, &mut name) == 0 && !name.is_null() };
        if !known {
            return Err(format!("{call}: {status}"));
        }
        // SAFETY: not null, and terminated by the driver.
        let text = unsafe { CStr::from_ptr(name) }.to_string_lossy();
        Err(format!("{call}: {text}"))
    }

    /// Runs a launch; the final bytes of its buffers, in order.
    pub fn run(&self, text: &str, launch: &Launch) -> Result<Vec<Vec<u8>>, String> {
        let module = self.compile(text)?;
        let mut device = vec![];
        let result = self.run_loaded(module, launch, &mut device);
        // SAFETY: every pointer and the module came from the driver and are not used again.
        unsafe {
            device.iter().for_each(|p| {
                (self.free)(*p);
            });
            (self.unload_module)(module);
        }
        result
    }

    fn compile(&self, text: &str) -> Result<*mut c_void, String> {
        let text = CString::new(text).map_err(|e| e.to_string())?;
        let (mut module, mut log) = (std::ptr::null_mut(), vec![0u8; 4096]);
        let mut options = ERROR_LOG;
        let mut values = [log.as_mut_ptr().cast(), log.len() as *mut c_void];
        // SAFETY: the text is terminated, and the log has the length that is given with it.
        let status = unsafe {
            (self.load_module)(
                &mut module,
                text.as_ptr().cast(),
                2,
                options.as_mut_ptr(),
                values.as_mut_ptr(),
            )
        };
        let message = String::from_utf8_lossy(&log).trim_end_matches('\0').trim().to_string();
        self.check("cuModuleLoadDataEx", status).map_err(|e| format!("{e} {message}"))?;
        Ok(module)
    }

    fn run_loaded(
        &self,
        module: *mut c_void,
        launch: &Launch,
        device: &mut Vec<Pointer>,
    ) -> Result<Vec<Vec<u8>>, String> {
        let mut host = vec![];
        for buffer in &launch.buffers {
            let bytes = match &buffer.contents {
                Contents::Dense(bytes) => bytes.clone(),
                Contents::Poison(n) => vec![0xff; *n as usize],
                Contents::Sparse { .. } => return Err(format!("`{}` is sparse", buffer.name)),
            };
            let mut pointer = 0;
            // SAFETY: the driver writes the pointer; the copy has the length of the vector it reads.
            unsafe {
                self.check("cuMemAlloc", (self.allocate)(&mut pointer, bytes.len().max(1)))?;
                device.push(pointer);
                self.check(
                    "cuMemcpyHtoD",
                    (self.upload)(pointer, bytes.as_ptr().cast(), bytes.len()),
                )?;
            }
            host.push(bytes);
        }
        let mut args: Vec<Vec<u8>> = vec![];
        for arg in &launch.args {
            args.push(match arg {
                Arg::Value(bytes) => bytes.clone(),
                Arg::Pointer { buffer, offset } => {
                    let base = device.get(*buffer).ok_or("an argument points into no buffer")?;
                    base.wrapping_add_signed(*offset).to_le_bytes().to_vec()
                }
            });
        }
        let mut pointers: Vec<*mut c_void> =
            args.iter_mut().map(|a| a.as_mut_ptr().cast()).collect();
        let name = CString::new(launch.entry.as_str()).map_err(|e| e.to_string())?;
        let ([gx, gy, gz], [bx, by, bz]) = (launch.grid, launch.block);
        let shared = launch.dynamic_shared_bytes;
        let (mut function, stream, extra) =
            (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: module and function are the driver's; each argument pointer leads to as many bytes as the parameter
        // has, which the simulator has checked; the copies back have the length of their vectors.
        unsafe {
            self.check(
                "cuModuleGetFunction",
                (self.function)(&mut function, module, name.as_ptr()),
            )?;
            if shared > 48 * 1024 {
                self.check(
                    "cuFuncSetAttribute",
                    (self.set_attribute)(function, MAX_DYNAMIC_SHARED, shared as c_int),
                )?;
            }
            let params = pointers.as_mut_ptr();
            self.check(
                "cuLaunchKernel",
                (self.launch)(function, gx, gy, gz, bx, by, bz, shared, stream, params, extra),
            )?;
            self.check("cuCtxSynchronize", (self.synchronize)())?;
            for (bytes, pointer) in host.iter_mut().zip(device) {
                self.check(
                    "cuMemcpyDtoH",
                    (self.download)(bytes.as_mut_ptr().cast(), *pointer, bytes.len()),
                )?;
            }
        }
        Ok(host)
    }
}
