//! A warp's register file: 32 lanes side by side, with one validity bit for each lane of each register.
//!
//! A value is valid when it was computed from defined values. LLVM may carry undefined values around legally, so the
//! bit only travels here; the executor reports it where it would matter.

use crate::program::{D, P, R};

/// Thirty-two lanes of 32 bits.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct V32(pub [u32; 32]);

/// Thirty-two lanes of 64 bits.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct V64(pub [u64; 32]);

/// The registers of one warp.
#[derive(Clone)]
pub struct Regs {
    pub r: Vec<V32>,
    pub d: Vec<V64>,
    pub p: Vec<u32>,
    pub r_valid: Vec<u32>,
    pub d_valid: Vec<u32>,
    pub p_valid: Vec<u32>,
}

impl Regs {
    pub fn new(num_r: usize, num_d: usize, num_p: usize) -> Self {
        Regs {
            r: vec![V32([0; 32]); num_r],
            d: vec![V64([0; 32]); num_d],
            p: vec![0; num_p],
            r_valid: vec![0; num_r],
            d_valid: vec![0; num_d],
            p_valid: vec![0; num_p],
        }
    }

    /// Overwrites with `other`, of the same shape, without allocating.
    pub fn reset_to(&mut self, other: &Regs) {
        self.r.copy_from_slice(&other.r);
        self.d.copy_from_slice(&other.d);
        self.p.copy_from_slice(&other.p);
        self.r_valid.copy_from_slice(&other.r_valid);
        self.d_valid.copy_from_slice(&other.d_valid);
        self.p_valid.copy_from_slice(&other.p_valid);
    }

    #[inline(always)]
    pub fn set_r(&mut self, d: R, value: &[u32; 32], mask: u32, valid: u32) {
        let slot = &mut self.r[d as usize].0;
        if mask == !0 {
            *slot = *value;
        } else {
            for l in 0..32 {
                slot[l] = if mask >> l & 1 == 1 { value[l] } else { slot[l] };
            }
        }
        let v = &mut self.r_valid[d as usize];
        *v = *v & !mask | valid & mask;
    }

    #[inline(always)]
    pub fn set_d(&mut self, d: D, value: &[u64; 32], mask: u32, valid: u32) {
        let slot = &mut self.d[d as usize].0;
        if mask == !0 {
            *slot = *value;
        } else {
            for l in 0..32 {
                slot[l] = if mask >> l & 1 == 1 { value[l] } else { slot[l] };
            }
        }
        let v = &mut self.d_valid[d as usize];
        *v = *v & !mask | valid & mask;
    }

    #[inline(always)]
    pub fn set_p(&mut self, d: P, value: u32, mask: u32, valid: u32) {
        let slot = &mut self.p[d as usize];
        *slot = *slot & !mask | value & mask;
        let v = &mut self.p_valid[d as usize];
        *v = *v & !mask | valid & mask;
    }

    /// Writes one lane.
    pub fn set_r_lane(&mut self, d: R, lane: usize, value: u32, valid: bool) {
        self.r[d as usize].0[lane] = value;
        let v = &mut self.r_valid[d as usize];
        *v = *v & !(1 << lane) | (valid as u32) << lane;
    }

    pub fn set_d_lane(&mut self, d: D, lane: usize, value: u64, valid: bool) {
        self.d[d as usize].0[lane] = value;
        let v = &mut self.d_valid[d as usize];
        *v = *v & !(1 << lane) | (valid as u32) << lane;
    }
}
