//! Lane-local arithmetic: each operation is one loop over 32 lanes that the compiler turns into vector code.
//!
//! The loops are compiled twice, for the baseline CPU and for AVX2 with FMA and F16C, and chosen at run time. Built for
//! plain x86-64 alone they are seven times slower, since `f32::mul_add` becomes a library call there. Both builds give
//! the same bits: every operation is IEEE or integer.

mod alu;
mod compare;
mod ex2;
mod matrix;
mod scalar;

use crate::numerics::Numerics;
use crate::program::{Alu, Mma};
use crate::regs::Regs;

/// What special registers say.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub warp: u32,
    pub num_warps: u32,
    pub block: [u32; 3],
    pub cta: [u32; 3],
    pub grid: [u32; 3],
    pub dynamic_shared_bytes: u32,
    pub total_shared_bytes: u32,
    pub numerics: Numerics,
}

/// The arithmetic chosen for this CPU.
#[derive(Clone, Copy)]
pub struct Kernels {
    alu: unsafe fn(&Alu, &mut Regs, u32, &Place),
    mma: unsafe fn(&Mma, &mut Regs, &Place),
}

impl Kernels {
    /// The fastest build this CPU can run.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
        {
            return Kernels { alu: alu_avx2, mma: matrix::mma_avx2 };
        }
        Kernels::baseline()
    }

    /// The build that runs everywhere.
    pub fn baseline() -> Self {
        Kernels { alu: alu_baseline, mma: matrix::mma_portable }
    }

    /// Executes `op` in the lanes of `mask`.
    #[inline(always)]
    pub fn alu(&self, op: &Alu, regs: &mut Regs, mask: u32, place: &Place) {
        // SAFETY: the functions need only the CPU features that `detect` found.
        unsafe { (self.alu)(op, regs, mask, place) }
    }

    /// Executes a matrix product in all lanes.
    #[inline(always)]
    pub fn mma(&self, op: &Mma, regs: &mut Regs, place: &Place) {
        // SAFETY: as above.
        unsafe { (self.mma)(op, regs, place) }
    }
}

fn alu_baseline(op: &Alu, regs: &mut Regs, mask: u32, place: &Place) {
    alu::execute(op, regs, mask, place);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt")]
fn alu_avx2(op: &Alu, regs: &mut Regs, mask: u32, place: &Place) {
    alu::execute(op, regs, mask, place);
}
