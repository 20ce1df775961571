//! What a simulation is asked to do and what it answers.

use std::fmt;

use crate::changes::Changes;
use crate::finding::Finding;
use crate::memory::address;
use crate::memory::buffer::Buffer;
use crate::memory::global::DeviceBuffer;
use crate::numerics::Numerics;
use crate::stats::Stats;

/// A kernel argument.
#[derive(Clone, Debug, PartialEq)]
pub enum Arg {
    /// The bytes of a scalar or a by-value structure.
    Value(Vec<u8>),
    /// A pointer into buffer number `buffer` of the launch, in bytes from its start.
    Pointer {
        /// Index into [`Launch::buffers`].
        buffer: usize,
        /// Byte offset.
        offset: i64,
    },
}

impl Arg {
    /// A 32-bit integer.
    pub fn u32(v: u32) -> Arg {
        Arg::Value(v.to_le_bytes().to_vec())
    }

    /// A 64-bit integer.
    pub fn u64(v: u64) -> Arg {
        Arg::Value(v.to_le_bytes().to_vec())
    }

    /// An f32.
    pub fn f32(v: f32) -> Arg {
        Arg::Value(v.to_le_bytes().to_vec())
    }

    /// The start of a buffer.
    pub fn buffer(index: usize) -> Arg {
        Arg::Pointer { buffer: index, offset: 0 }
    }
}

/// A named part of shared memory, for reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedRegion {
    /// Name.
    pub name: String,
    /// First byte from the start of shared memory.
    pub offset: u64,
    /// Bytes of one stage.
    pub stage_bytes: u64,
    /// Copies of the region that follow each other.
    pub stages: u64,
    /// Bytes of one row of a stage.
    pub row_bytes: u64,
    /// Bytes of one element.
    pub elem_bytes: u64,
}

/// One kernel launch.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// Entry name.
    pub entry: String,
    /// CTAs along each axis.
    pub grid: [u32; 3],
    /// Threads along each axis.
    pub block: [u32; 3],
    /// Dynamic shared memory.
    pub dynamic_shared_bytes: u32,
    /// Kernel parameters, in order.
    pub args: Vec<Arg>,
    /// Global memory.
    pub buffers: Vec<Buffer>,
    /// Names for parts of shared memory; the PTX names of variables where absent.
    pub shared_regions: Vec<SharedRegion>,
}

/// Which warp runs next, and in which order CTAs start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Warps in order, each until it blocks.
    RoundRobin,
    /// Warps and CTAs in reverse order.
    Reverse,
    /// Any warp for a few instructions at a time; CTAs shuffled.
    Random(u64),
    /// This warp (modulo their number) whenever it can run.
    FarAhead(u32),
}

impl Schedule {
    /// `count` different schedules: the four kinds first, random ones after.
    pub fn variety(count: usize) -> Vec<Schedule> {
        let fixed =
            [Schedule::RoundRobin, Schedule::Reverse, Schedule::FarAhead(0), Schedule::FarAhead(1)];
        let random = (0..).map(Schedule::Random);
        fixed.into_iter().chain(random).take(count).collect()
    }
}

/// When the bytes of an asynchronous copy arrive. A correct kernel cannot tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// At the wait that completes them; until then the destination holds poison, and the source is read only then.
    Late,
    /// When issued.
    Early,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checks {
    /// Everything.
    All,
    /// Only what the simulation itself needs: bounds, alignment, barriers, divergence.
    Structure,
}

/// How to simulate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Order of execution.
    pub schedule: Schedule,
    /// The machine's arithmetic.
    pub numerics: Numerics,
    /// Asynchronous copies.
    pub delivery: Delivery,
    /// Faults looked for.
    pub checks: Checks,
    /// Instructions one warp may execute.
    pub step_limit: u64,
    /// Different errors after which the launch ends.
    pub max_findings: usize,
    /// Operating-system threads; findings and results of a correct kernel do not depend on it.
    pub threads: usize,
    /// What is counted.
    pub counters: Counters,
    /// The build of the lane arithmetic; results do not depend on it.
    pub lanes: Lanes,
}

/// Which build of the 32-lane loops runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lanes {
    /// The fastest this CPU can run.
    Fastest,
    /// The one that runs on every CPU.
    Portable,
}

/// How much is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counters {
    /// Instructions only.
    Steps,
    /// Instruction mix, shared wavefronts, global sectors, divergence.
    Full,
    /// What each instruction changed; slow.
    Changes {
        /// First and last PTX line of parts whose changes are left out of the digest, and the copies that they issue
        /// wherever they appear; no line is 0.
        except: [(u32, u32); 2],
    },
}

impl Default for Config {
    fn default() -> Config {
        Config {
            schedule: Schedule::RoundRobin,
            numerics: Numerics::REFERENCE,
            delivery: Delivery::Late,
            checks: Checks::All,
            step_limit: 1 << 28,
            max_findings: 32,
            threads: 1,
            counters: Counters::Steps,
            lanes: Lanes::Fastest,
        }
    }
}

/// A launch that cannot begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchError(pub String);

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot launch: {}", self.0)
    }
}

impl std::error::Error for LaunchError {}

/// The final contents of a buffer.
pub struct FinalBuffer(pub(crate) DeviceBuffer);

impl FinalBuffer {
    /// Name given in the launch.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// All bytes of a dense buffer; empty for a sparse one.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.dense_bytes()
    }

    /// `len` bytes from `at`, or `None` outside the buffer.
    pub fn read(&self, at: u64, len: usize) -> Option<Vec<u8>> {
        let end = at.checked_add(len as u64)?;
        if end > self.0.bytes {
            return None;
        }
        let byte = |at: u64| {
            let mut b = [0];
            self.0.load(at, &mut b);
            b[0]
        };
        Some((at..end).map(byte).collect())
    }

    /// 64-KiB pages a sparse buffer has come to hold.
    pub fn num_pages(&self) -> usize {
        self.0.num_pages()
    }
}

/// The result of a launch.
pub struct Outcome {
    /// The buffers, in launch order.
    pub buffers: Vec<FinalBuffer>,
    /// Everything found wrong.
    pub findings: Vec<Finding>,
    /// Counters.
    pub stats: Stats,
    /// What each instruction changed; empty unless asked for.
    pub changes: Changes,
    /// Whether every CTA ran to its end.
    pub completed: bool,
}

impl Outcome {
    /// Whether the launch ran to its end with no finding other than warnings.
    pub fn is_clean(&self) -> bool {
        let error = |f: &Finding| f.code.effect() != crate::finding::Effect::Warning;
        self.completed && !self.findings.iter().any(error)
    }

    /// The bytes of the dense buffer called `name`.
    pub fn bytes_of(&self, name: &str) -> Option<Vec<u8>> {
        self.buffers.iter().find(|b| b.name() == name).map(FinalBuffer::bytes)
    }
}

/// The device address of the first byte of buffer `index`, for pointers inside by-value structures.
pub fn buffer_address(index: usize) -> u64 {
    address::buffer_address(index)
}
