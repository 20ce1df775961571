//! The driver's functions: what each checks and does. Source: CUDA driver API, by the name of the function.
//!
//! Every function takes what its C declaration does, and the pointers have to be what that says.

// The names are the driver's, and what is safe of them is up to its callers.
#![allow(clippy::missing_safety_doc, missing_docs, non_snake_case)]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

use tilec_ptxsim::{Module, buffer_address};

use crate::code;
use crate::cubin;
use crate::launch::{Recorded, values_of};
use crate::plan::Clock;
use crate::state::{CURRENT, Code, Function, Needs, State, call, log};

/// An opaque pointer of the driver.
type Handle = *mut c_void;

/// `CUDA_VERSION` of the driver.
const VERSION: c_int = 12_040;

/// Shared memory of a CTA without opting in.
const SHARED_BYTES: i32 = 48 * 1024;

/// Numbers of `CUdevice_attribute` with the values of an A100, but for those of the plan.
fn attribute(state: &State, number: c_int) -> Option<c_int> {
    Some(match number {
        1 => 1024,
        5 => 0x7fff_ffff,
        8 => SHARED_BYTES,
        13 => 1_410_000,
        16 => 108,
        36 => 1_215_000,
        37 => 5120,
        38 => 40 << 20,
        39 => 2048,
        75 => state.plan.capability / 10,
        76 => state.plan.capability % 10,
        81 => 164 * 1024,
        82 => 64 * 1024,
        97 => state.plan.shared_bytes_optin,
        _ => return None,
    })
}

fn put<T>(to: *mut T, value: T) -> Result<(), Code> {
    if to.is_null() {
        return Err(code::INVALID_VALUE);
    }
    // SAFETY: the caller of the driver gives a place for a value of this type.
    unsafe { to.write(value) };
    Ok(())
}

fn handle(number: usize) -> Handle {
    std::ptr::without_provenance_mut(number)
}

fn check(holds: bool, code: Code) -> Result<(), Code> {
    if holds { Ok(()) } else { Err(code) }
}

macro_rules! driver {
    ($($name:ident($($arg:ident: $ty:ty),* $(,)?), $needs:ident, |$state:pat_param| $body:expr;)*) => {
        $(
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($arg: $ty),*) -> Code {
                call(stringify!($name), Needs::$needs, |$state| $body)
            }
        )*
    };
}

driver! {
    cuInit(flags: c_uint), Nothing, |state| {
        check(flags == 0, code::INVALID_VALUE)?;
        check(state.plan.devices > 0, code::NO_DEVICE)?;
        state.initialised = true;
        Ok(())
    };
    cuDriverGetVersion(version: *mut c_int), Nothing, |_| put(version, VERSION);
    cuGetErrorName(error: Code, text: *mut *const c_char), Nothing, |_| {
        let (name, _) = code::words(error).ok_or(code::INVALID_VALUE)?;
        put(text, name.as_ptr())
    };
    cuGetErrorString(error: Code, text: *mut *const c_char), Nothing, |_| {
        let (_, words) = code::words(error).ok_or(code::INVALID_VALUE)?;
        put(text, words.as_ptr())
    };

    cuDeviceGetCount(count: *mut c_int), Driver, |state| put(count, state.plan.devices);
    cuDeviceGet(device: *mut c_int, ordinal: c_int), Driver, |state| {
        check((0..state.plan.devices).contains(&ordinal), code::INVALID_DEVICE)?;
        put(device, ordinal)
    };
    cuDeviceGetName(name: *mut c_char, len: c_int, _device: c_int), Driver, |_| {
        let text = c"Fake A100 (PTX simulator)".to_bytes_with_nul();
        check(len as usize >= text.len(), code::INVALID_VALUE)?;
        // SAFETY: the caller has room for `len` bytes.
        unsafe { name.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), text.len()) };
        Ok(())
    };
    cuDeviceGetAttribute(value: *mut c_int, number: c_int, _device: c_int), Driver, |state| {
        put(value, attribute(state, number).ok_or(code::INVALID_VALUE)?)
    };
    cuDeviceTotalMem_v2(bytes: *mut usize, _device: c_int), Driver, |state| {
        put(bytes, state.plan.memory_bytes)
    };

    cuDevicePrimaryCtxRetain(context: *mut Handle, device: c_int), Driver, |state| {
        check((0..state.plan.devices).contains(&device), code::INVALID_DEVICE)?;
        state.retained += 1;
        put(context, handle(0x100))
    };
    cuDevicePrimaryCtxRelease_v2(_device: c_int), Driver, |state| {
        check(state.retained > 0, code::INVALID_CONTEXT)?;
        state.retained -= 1;
        let left = state.left();
        if state.retained == 0 && !left.is_empty() {
            log(&format!("left: {left}"));
        }
        Ok(())
    };
    cuCtxSetCurrent(context: Handle), Driver, |_| {
        check(context.is_null() || context == handle(0x100), code::INVALID_CONTEXT)?;
        CURRENT.set(!context.is_null());
        Ok(())
    };

    cuMemGetInfo_v2(free: *mut usize, total: *mut usize), Context, |state| {
        put(free, state.plan.memory_bytes - state.taken())?;
        put(total, state.plan.memory_bytes)
    };
    cuMemAlloc_v2(address: *mut u64, bytes: usize), Context, |state| {
        check(bytes > 0, code::INVALID_VALUE)?;
        check(bytes <= state.plan.memory_bytes - state.taken(), code::OUT_OF_MEMORY)?;
        let number = state.memory.len();
        // Whatever was there before: all ones are NaN in every format.
        state.memory.push(Some(vec![0xff; bytes]));
        put(address, buffer_address(number))
    };
    cuMemFree_v2(address: u64), Context, |state| {
        let numbers = 0..state.memory.len();
        let number = numbers.into_iter().find(|&number| buffer_address(number) == address);
        let block = number.and_then(|number| state.memory[number].take());
        block.map(drop).ok_or(code::INVALID_VALUE)
    };
    cuMemcpyHtoDAsync_v2(to: u64, from: *const c_void, bytes: usize, stream: Handle), Context, |state| {
        state.running(stream.addr())?;
        let to = state.bytes(to, bytes)?;
        // SAFETY: the caller has so many bytes.
        to.copy_from_slice(unsafe { std::slice::from_raw_parts(from.cast(), bytes) });
        Ok(())
    };
    cuMemcpyDtoHAsync_v2(to: *mut c_void, from: u64, bytes: usize, stream: Handle), Context, |state| {
        state.running(stream.addr())?;
        let from = state.bytes(from, bytes)?;
        // SAFETY: the caller has room for so many bytes.
        unsafe { to.cast::<u8>().copy_from_nonoverlapping(from.as_ptr(), bytes) };
        Ok(())
    };
    cuMemsetD8Async(to: u64, value: u8, bytes: usize, stream: Handle), Context, |state| {
        state.running(stream.addr())?;
        state.bytes(to, bytes)?.fill(value);
        Ok(())
    };

    cuStreamCreate(stream: *mut Handle, flags: c_uint), Context, |state| {
        check(flags <= 1, code::INVALID_VALUE)?;
        let number = state.handle();
        state.streams.insert(number, None);
        put(stream, handle(number))
    };
    cuStreamSynchronize(stream: Handle), Context, |state| {
        state.running(stream.addr())
    };
    cuStreamDestroy_v2(stream: Handle), Context, |state| {
        state.streams.remove(&stream.addr()).map(drop).ok_or(code::INVALID_HANDLE)
    };

    cuEventCreate(event: *mut Handle, _flags: c_uint), Context, |state| {
        let number = state.handle();
        state.events.insert(number, None);
        put(event, handle(number))
    };
    cuEventRecord(event: Handle, stream: Handle), Context, |state| {
        state.running(stream.addr())?;
        let now = state.now_ns;
        *state.events.get_mut(&event.addr()).ok_or(code::INVALID_HANDLE)? = Some(now);
        Ok(())
    };
    cuEventSynchronize(event: Handle), Context, |state| {
        check(state.events.contains_key(&event.addr()), code::INVALID_HANDLE)
    };
    cuEventElapsedTime(milliseconds: *mut f32, from: Handle, to: Handle), Context, |state| {
        let recorded = |event: Handle| state.events.get(&event.addr()).copied().flatten();
        let from = recorded(from).ok_or(code::INVALID_HANDLE)?;
        let to = recorded(to).ok_or(code::INVALID_HANDLE)?;
        put(milliseconds, match state.plan.clock {
            Clock::Instructions => (to as f64 - from as f64) as f32 / 1e6,
            Clock::Zero => 0.0,
            Clock::Nan => f32::NAN,
        })
    };
    cuEventDestroy_v2(event: Handle), Context, |state| {
        state.events.remove(&event.addr()).map(drop).ok_or(code::INVALID_HANDLE)
    };

    cuModuleLoadDataEx(
        module: *mut Handle,
        image: *const c_void,
        count: c_uint,
        options: *mut c_int,
        values: *mut Handle,
    ), Context, |state| {
        // SAFETY: PTX ends in a zero byte, and what begins as ELF has its whole header.
        let is_elf = unsafe { CStr::from_ptr(image.cast()) }.to_bytes().starts_with(cubin::MAGIC);
        let start = if is_elf { cubin::HEADER_BYTES } else { 0 };
        // SAFETY: as above; a zero byte comes after a cubin of this driver's, and in the tables of any other.
        let text = unsafe { CStr::from_ptr(image.cast::<c_char>().add(start)) }.to_str();
        let parsed = match text {
            // A header without anything behind it: a real cubin, of another machine.
            Ok("") if is_elf => Err("no code for this device".to_owned()),
            text => text.map_err(|_| "not UTF-8".to_owned()),
        };
        let parsed = parsed.and_then(|text| Module::parse(text).map_err(|error| error.to_string()));
        let parsed = parsed.map_err(|error| {
            // SAFETY: the caller gives so many options and values.
            unsafe { write_log(count as usize, options, values, &format!("fake ptxas: {error}")) };
            if is_elf { code::NO_BINARY_FOR_GPU } else { code::INVALID_PTX }
        })?;
        let number = state.handle();
        state.modules.insert(number, parsed);
        put(module, handle(number))
    };
    cuModuleGetFunction(function: *mut Handle, module: Handle, name: *const c_char), Context, |state| {
        // SAFETY: a name ends in a zero byte.
        let entry = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
        let loaded = state.modules.get(&module.addr()).ok_or(code::INVALID_HANDLE)?;
        check(loaded.kernel(&entry).is_some(), code::NOT_FOUND)?;
        let number = state.handle();
        let shared_bytes = SHARED_BYTES as u32;
        state.functions.insert(number, Function { module: module.addr(), entry, shared_bytes });
        put(function, handle(number))
    };
    cuModuleUnload(module: Handle), Context, |state| {
        state.functions.retain(|_, function| function.module != module.addr());
        state.modules.remove(&module.addr()).map(drop).ok_or(code::INVALID_HANDLE)
    };

    cuFuncGetAttribute(value: *mut c_int, number: c_int, function: Handle), Context, |state| {
        let function = state.functions.get(&function.addr()).ok_or(code::INVALID_HANDLE)?;
        let kernel = state.modules.get(&function.module).and_then(|m| m.kernel(&function.entry));
        let kernel = kernel.ok_or(code::INVALID_HANDLE)?;
        let block = kernel.reqntid.or(kernel.maxntid).unwrap_or([1024, 1, 1]);
        put(value, match number {
            0 => block.iter().product::<u32>() as c_int,
            1 => kernel.static_shared_bytes as c_int,
            3 => 0,
            4 => 32,
            _ => return Err(code::INVALID_VALUE),
        })
    };
    cuFuncSetAttribute(function: Handle, number: c_int, value: c_int), Context, |state| {
        let limit = state.plan.shared_bytes_optin;
        let function = state.functions.get_mut(&function.addr()).ok_or(code::INVALID_HANDLE)?;
        check(number == 8 && (0..=limit).contains(&value), code::INVALID_VALUE)?;
        function.shared_bytes = value as u32;
        Ok(())
    };
    cuOccupancyMaxActiveBlocksPerMultiprocessor(
        count: *mut c_int,
        function: Handle,
        threads: c_int,
        shared_bytes: usize,
    ), Context, |state| {
        check(state.functions.contains_key(&function.addr()), code::INVALID_HANDLE)?;
        check((1..=1024).contains(&threads), code::INVALID_VALUE)?;
        // A CTA takes a kilobyte of its own.
        let by_shared = 164 * 1024 / (shared_bytes + 1024);
        put(count, (2048 / threads).min(by_shared as c_int).min(32))
    };
    cuLaunchKernel(
        function: Handle,
        grid_x: c_uint,
        grid_y: c_uint,
        grid_z: c_uint,
        block_x: c_uint,
        block_y: c_uint,
        block_z: c_uint,
        shared_bytes: c_uint,
        stream: Handle,
        values: *mut Handle,
        extra: *mut Handle,
    ), Context, |state| {
        check(extra.is_null(), code::INVALID_VALUE)?;
        let function = state.functions.get(&function.addr()).ok_or(code::INVALID_HANDLE)?.clone();
        let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        // SAFETY: the caller gives the parameters of the entry.
        let values = unsafe { values_of(state, &function, values) }?;
        let launch = Recorded { function, grid, block, shared_bytes, values };
        match state.streams.get_mut(&stream.addr()).ok_or(code::INVALID_HANDLE)? {
            Some(recorded) => {
                recorded.push(launch);
                Ok(())
            }
            None => launch.run(state),
        }
    };

    cuStreamBeginCapture_v2(stream: Handle, mode: c_int), Context, |state| {
        check((0..=2).contains(&mode), code::INVALID_VALUE)?;
        state.running(stream.addr())?;
        state.streams.insert(stream.addr(), Some(Vec::new()));
        Ok(())
    };
    cuStreamEndCapture(stream: Handle, graph: *mut Handle), Context, |state| {
        let recorded = state.streams.get_mut(&stream.addr()).ok_or(code::INVALID_HANDLE)?;
        let recorded = recorded.take().ok_or(code::INVALID_VALUE)?;
        let number = state.handle();
        state.graphs.insert(number, recorded);
        put(graph, handle(number))
    };
    cuGraphInstantiateWithFlags(executable: *mut Handle, graph: Handle, flags: u64), Context, |state| {
        check(flags == 0, code::INVALID_VALUE)?;
        let recorded = state.graphs.get(&graph.addr()).ok_or(code::INVALID_VALUE)?.clone();
        let number = state.handle();
        state.executables.insert(number, recorded);
        put(executable, handle(number))
    };
    cuGraphLaunch(executable: Handle, stream: Handle), Context, |state| {
        state.running(stream.addr())?;
        let recorded = state.executables.get(&executable.addr()).ok_or(code::INVALID_VALUE)?.clone();
        recorded.iter().try_for_each(|launch| launch.run(state))
    };
    cuGraphDestroy(graph: Handle), Context, |state| {
        state.graphs.remove(&graph.addr()).map(drop).ok_or(code::INVALID_VALUE)
    };
    cuGraphExecDestroy(executable: Handle), Context, |state| {
        state.executables.remove(&executable.addr()).map(drop).ok_or(code::INVALID_VALUE)
    };
}

/// Writes into the caller's log of errors, where there is one.
///
/// # Safety
///
/// There are `count` options and values.
unsafe fn write_log(count: usize, options: *mut c_int, values: *mut Handle, text: &str) {
    /// `CU_JIT_ERROR_LOG_BUFFER` and its size.
    const ERROR_LOG: (c_int, c_int) = (5, 6);
    // SAFETY: the caller's promise.
    let option = |n: usize| unsafe { (*options.add(n), *values.add(n)) };
    let value = |wanted: c_int| (0..count).map(option).find(|o| o.0 == wanted).map(|o| o.1);
    let (Some(log), Some(size)) = (value(ERROR_LOG.0), value(ERROR_LOG.1)) else { return };
    let fits = text.len().min(size.addr().saturating_sub(1));
    // SAFETY: the log has so many bytes and one more for the zero.
    unsafe {
        log.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), fits);
        log.cast::<u8>().add(fits).write(0);
    }
}
