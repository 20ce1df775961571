//! What the code is made for: the machine's name, its features, its vectors and its unit for bf16 dots.

use inkwell::targets::TargetMachine;

/// What a dot of bf16 operands is made of. Each takes pairs of neighbours along the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bf16Dots {
    /// AMX: a product of tiles of 16 by 16 by 32.
    Tiles,
    /// AVX-512: `vdpbf16ps`, two products into each lane.
    Pairs,
    /// Widened to f32.
    Widened,
}

/// A processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// LLVM's name for it.
    pub cpu: String,
    /// LLVM's feature string.
    pub features: String,
    /// `f32` lanes of its widest vectors.
    pub lanes: usize,
    /// Its unit for bf16 dots; tiles and pairs need vectors of 16 lanes.
    pub bf16: Bf16Dots,
}

impl Host {
    /// The machine this runs on. Asks the kernel once for the use of AMX tiles.
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
        let bf16 = if lanes < 16 || !has("avx512bf16") || !has("avx512bw") {
            Bf16Dots::Widened
        } else if has("amx-tile") && has("amx-bf16") && tiles_allowed() {
            Bf16Dots::Tiles
        } else {
            Bf16Dots::Pairs
        };
        Host { cpu, features, lanes, bf16 }
    }

    /// This machine with narrower vectors, or a lesser unit.
    #[must_use]
    pub fn with(&self, lanes: usize, bf16: Bf16Dots) -> Host {
        let bf16 = if lanes < 16 { Bf16Dots::Widened } else { bf16 };
        Host { lanes, bf16, ..self.clone() }
    }

    /// The vectors in use.
    pub fn vectors(&self) -> &'static str {
        match self.lanes {
            16 => "avx512",
            8 => "avx2",
            _ => "128-bit vectors",
        }
    }

    /// The unit for bf16 dots in use, if there is one.
    pub fn bf16_dots(&self) -> Option<&'static str> {
        match self.bf16 {
            Bf16Dots::Tiles => Some("amx-bf16"),
            Bf16Dots::Pairs => Some("avx512-bf16"),
            Bf16Dots::Widened => None,
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

/// Whether the kernel lets this process use AMX tiles, whose state it saves for those only who ask.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn tiles_allowed() -> bool {
    /// `arch_prctl`, and its request for a part of the extended state.
    const ARCH_PRCTL: i64 = 158;
    const REQUEST_PERMISSION: i64 = 0x1023;
    const TILE_DATA: i64 = 18;
    let refused: i64;
    // SAFETY: this system call takes two numbers, reads and writes no memory of ours, and clobbers rcx and r11.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => refused,
            in("rdi") REQUEST_PERMISSION,
            in("rsi") TILE_DATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    refused == 0
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn tiles_allowed() -> bool {
    false
}
