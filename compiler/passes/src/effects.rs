//! What a kernel does to memory.

use tilec_ir::{Kernel, Op, Param};

/// Tensors the kernel writes. A load of any other reads the same whenever it happens: the launch
/// contract keeps a written tensor from sharing memory with another.
pub(crate) fn written(kernel: &Kernel) -> Vec<Param> {
    let mut written: Vec<Param> = kernel
        .walk()
        .into_iter()
        .filter_map(|inst| match kernel.insts[inst].op {
            Op::Store(param) | Op::AtomicAdd(param) => Some(param),
            _ => None,
        })
        .collect();
    written.sort();
    written.dedup();
    written
}
