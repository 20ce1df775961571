//! What there is to know of each target: a row for each.

/// A GPU architecture as the code is written for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// As in `.target`.
    pub name: &'static str,
    /// PTX version to ask LLVM for: the oldest that has all we use, so that old drivers take it.
    pub ptx: &'static str,
    /// Dynamic shared memory of one CTA, in bytes, at most.
    pub max_cta_shared_bytes: u32,
    /// Shared memory of an SM, in bytes; each CTA takes [`Target::RESERVED_SHARED_BYTES`] of its own.
    pub sm_shared_bytes: u32,
    /// Registers of an SM, 32 bits each.
    pub sm_registers: u32,
    /// Threads of an SM.
    pub sm_threads: u32,
    /// CTAs of an SM.
    pub sm_ctas: u32,
    /// Threads of a CTA.
    pub max_cta_threads: u32,
    /// Registers of a thread.
    pub max_thread_registers: u32,
    /// Whether a bf16 in memory can be added to atomically.
    pub bf16_atomics: bool,
}

const SM_80: Target = Target {
    name: "sm_80",
    ptx: "+ptx80",
    max_cta_shared_bytes: 163 * 1024,
    sm_shared_bytes: 164 * 1024,
    sm_registers: 64 * 1024,
    sm_threads: 2048,
    sm_ctas: 32,
    max_cta_threads: 1024,
    max_thread_registers: 255,
    bf16_atomics: false,
};

/// All targets. Source: CUDA C++ Programming Guide, "Technical Specifications per Compute Capability".
pub const TARGETS: &[Target] = &[
    SM_80,
    Target {
        name: "sm_86",
        max_cta_shared_bytes: 99 * 1024,
        sm_shared_bytes: 100 * 1024,
        sm_threads: 1536,
        sm_ctas: 16,
        ..SM_80
    },
    Target {
        name: "sm_89",
        max_cta_shared_bytes: 99 * 1024,
        sm_shared_bytes: 100 * 1024,
        sm_threads: 1536,
        sm_ctas: 24,
        ..SM_80
    },
    Target {
        name: "sm_90",
        max_cta_shared_bytes: 227 * 1024,
        sm_shared_bytes: 228 * 1024,
        bf16_atomics: true,
        ..SM_80
    },
];

impl Target {
    /// What the driver keeps of shared memory for each CTA.
    pub const RESERVED_SHARED_BYTES: u32 = 1024;

    /// The target with this name.
    pub fn named(name: &str) -> Option<&'static Target> {
        TARGETS.iter().find(|target| target.name == name)
    }
}
