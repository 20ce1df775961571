//! The intrinsics that may be called: LLVM ends the process over one it cannot select.

/// Names, or beginnings of names where a type follows.
const ALLOWED: &[&str] = &[
    "llvm.abs.i64",
    "llvm.copysign.f32",
    "llvm.fabs.f32",
    "llvm.fma.f32",
    "llvm.fptosi.sat.i32.f32",
    "llvm.fptosi.sat.i64.f32",
    "llvm.maximum.f32",
    "llvm.minimum.f32",
    "llvm.nvvm.bar.warp.sync",
    "llvm.nvvm.barrier.cta.sync.aligned.all",
    "llvm.nvvm.cp.async.commit.group",
    "llvm.nvvm.cp.async.wait.group",
    "llvm.nvvm.ex2.approx.ftz.f",
    "llvm.nvvm.f2tf32.rna",
    "llvm.nvvm.mma.m16n8k16.row.col.bf16",
    "llvm.nvvm.mma.m16n8k16.row.col.f32.f32",
    "llvm.nvvm.mma.m16n8k8.row.col.bf16",
    "llvm.nvvm.mma.m16n8k8.row.col.f32.f32",
    "llvm.nvvm.mma.m16n8k8.row.col.tf32",
    "llvm.nvvm.rcp.approx.ftz.f",
    "llvm.nvvm.read.ptx.sreg.ctaid.x",
    "llvm.nvvm.read.ptx.sreg.ctaid.z",
    "llvm.nvvm.read.ptx.sreg.tid.x",
    "llvm.nvvm.rsqrt.approx.f",
    "llvm.nvvm.shfl.sync.bfly.i32",
    "llvm.nvvm.shfl.sync.idx.i32",
    "llvm.smax.i32",
    "llvm.smax.i64",
    "llvm.smin.i32",
    "llvm.smin.i64",
    "llvm.sqrt.f32",
    "llvm.ssub.sat.i64",
    "llvm.trap",
];

/// Whether LLVM can select it for every target of the table.
pub fn allowed(name: &str) -> bool {
    ALLOWED.contains(&name)
}
