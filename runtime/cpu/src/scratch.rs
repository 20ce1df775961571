//! A thread's scratch memory.

use std::cell::RefCell;

const ALIGNMENT: usize = 64;

thread_local! {
    /// The last one given back, so that a launch does not ask the system for memory it just had.
    static SPARE: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// A cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; ALIGNMENT]);

/// Zeroed at first; afterwards it holds whatever the last program left.
pub(crate) struct Scratch(Vec<Line>);

impl Scratch {
    pub(crate) fn new(bytes: usize) -> Scratch {
        let mut lines = SPARE.take();
        let wanted = bytes.div_ceil(ALIGNMENT);
        if lines.len() < wanted {
            lines = vec![Line([0; ALIGNMENT]); wanted];
        }
        Scratch(lines)
    }

    pub(crate) fn pointer(&mut self) -> *mut u8 {
        self.0.as_mut_ptr().cast()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        SPARE.set(std::mem::take(&mut self.0));
    }
}
