//! What still ends with exit code 5 when the process can go on no further: LLVM, which aborts on faults of
//! code generation, a stack that overflows, a fault in generated code.

#[cfg(unix)]
use crate::failure::REPORT;

/// Takes over the signals of a crash.
#[cfg(unix)]
pub fn install() {
    for signal in [libc::SIGABRT, libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE] {
        // SAFETY: an all-zero `sigaction` is valid; the handler only calls what signal-safety(7)
        // allows, on the stack that Rust's runtime keeps for handlers.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_crash as *const () as usize;
            action.sa_flags = libc::SA_ONSTACK | libc::SA_RESETHAND;
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}

#[cfg(not(unix))]
pub fn install() {}

#[cfg(unix)]
extern "C" fn on_crash(_: libc::c_int) {
    const WHAT: &str =
        "error: compiler bug: a fault stopped the process (LLVM may have said why)\n";
    for text in [WHAT, REPORT, "\n"] {
        // SAFETY: it may be called in a handler, and the text is a constant.
        unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
    }
    // SAFETY: it may be called in a handler.
    unsafe { libc::_exit(5) }
}
