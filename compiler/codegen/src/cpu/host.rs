//! What the code is made for: the machine's name, its features, and its vectors.

use inkwell::targets::TargetMachine;

/// A processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// LLVM's name for it.
    pub cpu: String,
    /// LLVM's feature string.
    pub features: String,
    /// `f32` lanes of its widest vectors.
    pub lanes: usize,
}

impl Host {
    /// The machine this runs on.
    pub fn this() -> Host {
        let cpu = TargetMachine::get_host_cpu_name().to_string();
        let features = TargetMachine::get_host_cpu_features().to_string();
        let has = |name: &str| features.split(',').any(|f| f.strip_prefix('+') == Some(name));
        let lanes = if has("avx512f") {
            16
        } else if has("avx2") {
            8
        } else {
            4
        };
        Host { cpu, features, lanes }
    }

    /// The vectors in use.
    pub fn vectors(&self) -> &'static str {
        match self.lanes {
            16 => "avx512",
            8 => "avx2",
            _ => "128-bit vectors",
        }
    }

    /// The widest vectors in bits.
    pub fn vector_bits(&self) -> usize {
        self.lanes * 32
    }

    /// Vector registers.
    pub fn registers(&self) -> usize {
        if self.lanes == 8 { 16 } else { 32 }
    }
}
