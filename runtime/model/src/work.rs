//! What one statement costs a CTA, by pipe.
//!
//! Counted in instructions of warps: an element-wise statement is one for each register of its result. 16-bit floats are
//! computed in f32 and rounded, two at a time.

use std::ops::{Add, AddAssign, Mul};

use tilec_gpu::Program;
use tilec_gpu::gir::{Conversion, Dot, DotKind, Op, Operand, Stmt, Val};
use tilec_ir::{Axis, BinaryOp, Precision, ReduceOp, UnaryOp};
use tilec_layout::{Dot as DotAxis, Layout, Place, Plan};
use tilec_vocab::DType;

use crate::gpus::{GLOBAL_CLOCKS, L2_CLOCKS, SHARED_CLOCKS};

/// Threads of a warp.
const WARP: f64 = 32.0;

/// Work of one CTA. Instructions are those of all its warps together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Floating-point operations of `mma` with operands of 16 bits.
    pub half_flops: f64,
    /// The same with tf32 operands.
    pub tf32_flops: f64,
    /// Instructions of f32 arithmetic.
    pub fp32: f64,
    /// Comparisons, minima, integers, conversions.
    pub alu: f64,
    /// Exponentials and the like.
    pub sfu: f64,
    /// Instructions in all.
    pub issued: f64,
    /// Bytes through shared memory.
    pub shared_bytes: f64,
    /// Bytes asked of L2, or of memory.
    pub global_bytes: f64,
    /// Clocks that each warp waits with nothing else of its own to do.
    pub waits: f64,
    /// Iterations of loops.
    pub iterations: f64,
}

impl Add for Work {
    type Output = Work;

    fn add(self, other: Work) -> Work {
        Work {
            half_flops: self.half_flops + other.half_flops,
            tf32_flops: self.tf32_flops + other.tf32_flops,
            fp32: self.fp32 + other.fp32,
            alu: self.alu + other.alu,
            sfu: self.sfu + other.sfu,
            issued: self.issued + other.issued,
            shared_bytes: self.shared_bytes + other.shared_bytes,
            global_bytes: self.global_bytes + other.global_bytes,
            waits: self.waits + other.waits,
            iterations: self.iterations + other.iterations,
        }
    }
}

impl AddAssign for Work {
    fn add_assign(&mut self, other: Work) {
        *self = *self + other;
    }
}

impl Mul<f64> for Work {
    type Output = Work;

    fn mul(self, times: f64) -> Work {
        Work {
            half_flops: self.half_flops * times,
            tf32_flops: self.tf32_flops * times,
            fp32: self.fp32 * times,
            alu: self.alu * times,
            sfu: self.sfu * times,
            issued: self.issued * times,
            shared_bytes: self.shared_bytes * times,
            global_bytes: self.global_bytes * times,
            waits: self.waits * times,
            iterations: self.iterations * times,
        }
    }
}

impl Work {
    /// Floating-point operations of dots.
    pub fn flops(&self) -> f64 {
        self.half_flops + self.tf32_flops
    }

    fn fp32(count: f64) -> Work {
        Work { fp32: count, issued: count, ..Work::default() }
    }

    fn alu(count: f64) -> Work {
        Work { alu: count, issued: count, ..Work::default() }
    }

    fn sfu(count: f64) -> Work {
        Work { sfu: count, issued: count, ..Work::default() }
    }

    /// Bytes through shared memory, 16 for each lane of an instruction.
    fn shared(bytes: f64) -> Work {
        Work { shared_bytes: bytes, issued: bytes / (16.0 * WARP), ..Work::default() }
    }

    fn waiting(clocks: f64) -> Work {
        Work { waits: clocks, ..Work::default() }
    }
}

/// Costs of the statements of a program.
pub struct Costs<'a> {
    /// Whose.
    pub program: &'a Program,
}

impl Costs<'_> {
    /// Of a statement, without what a loop or a branch holds.
    pub fn of(&self, stmt: &Stmt) -> Work {
        let count = stmt.results.first().map_or(0.0, |&result| self.instructions(result));
        let rounding = stmt.results.first().map_or(Work::default(), |&r| self.rounding(r, count));
        match &stmt.op {
            // Once for the CTA or, of literals and positions, folded into what uses them.
            Op::Const(_) | Op::Dim(_) | Op::Scalar(_) | Op::Program(_) | Op::Lanes(_) => {
                Work::default()
            }
            Op::CompareLanes(..) | Op::AtMostWithin { .. } | Op::Compare(..) | Op::Select(..) => {
                Work::alu(count)
            }
            Op::Unary(op, _) => unary(*op, count) + rounding,
            Op::Binary(op, ..) => self.binary(*op, stmt, count) + rounding,
            Op::Fma(..) => Work::fp32(count) + rounding,
            Op::Cast(_) => match rounding == Work::default() {
                true => Work::alu(count),
                false => rounding,
            },
            Op::Convert(value, conversion) => self.convert(*value, conversion),
            Op::Reduce { op, value, steps, partial, through } => {
                let combined = reduce(*op, self.instructions(*value));
                if *partial {
                    return combined;
                }
                let warps = f64::from(self.program.warps);
                let shuffles: f64 =
                    steps.iter().map(|step| step.num_shuffles() as f64).sum::<f64>() * warps;
                combined + exchanged(*op, shuffles) + meeting(through.is_some())
            }
            Op::Combine { op, shares, through, .. } => {
                let shuffles = count * shares.lane_masks.len() as f64;
                exchanged(*op, shuffles) + meeting(through.is_some())
            }
            Op::Load(_) => {
                let bytes = stmt.results.first().map_or(0.0, |&r| self.tile_bytes(r));
                self.global(bytes) + Work::waiting(GLOBAL_CLOCKS)
            }
            Op::Store(_, value) => self.global(self.tile_bytes(*value)),
            // Read and written.
            Op::AtomicAdd(_, value) => self.global(2.0 * self.tile_bytes(*value)),
            Op::Put(value, _) => Work::shared(self.held_bytes(*value)),
            Op::Get(_) => {
                let bytes = stmt.results.first().map_or(0.0, |&r| self.held_bytes(r));
                Work::shared(bytes) + Work::waiting(SHARED_CLOCKS)
            }
            Op::Clear(slot) => {
                Work::shared(f64::from(self.program.buffers[slot.buf].buffer.bytes()))
            }
            Op::Copy { to, is_async, .. } => {
                let bytes = f64::from(self.program.buffers[to.buf].buffer.bytes());
                let wait = if *is_async { 0.0 } else { GLOBAL_CLOCKS };
                self.global(bytes) + Work::shared(bytes) + Work::waiting(wait)
            }
            Op::Commit => Work::default(),
            // A copy that others follow had their time to land.
            Op::Wait(0) => Work::waiting(L2_CLOCKS),
            Op::Wait(_) => Work::default(),
            Op::Barrier => Work::waiting(SHARED_CLOCKS),
            Op::Dot(dot) => self.dot(dot, stmt.results.first().copied()),
            Op::For(_) => Work { alu: 1.0, issued: 3.0, ..Work::default() },
            Op::If { .. } => Work::alu(1.0),
        }
    }

    /// Instructions of all warps for a value, one for each register; of a uniform value none: it is not worth counting.
    fn instructions(&self, value: Val) -> f64 {
        let layout = self.program.layout(value);
        let registers = layout.map_or(0, |layout| layout.count(Place::Register));
        f64::from(registers) * f64::from(self.program.warps)
    }

    fn rounding(&self, result: Val, count: f64) -> Work {
        match self.program.elem(result) {
            DType::F16 | DType::BF16 => Work::alu(count / 2.0),
            DType::F32 | DType::Bool | DType::I32 | DType::I64 => Work::default(),
        }
    }

    fn binary(&self, op: BinaryOp, stmt: &Stmt, count: f64) -> Work {
        let is_float = stmt.results.first().is_some_and(|&r| self.program.elem(r).is_float());
        match op {
            BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul if is_float => Work::fp32(count),
            BinaryOp::Div if is_float => Work::sfu(count) + Work::fp32(2.0 * count),
            // Division of integers is a routine of some tens of instructions.
            BinaryOp::Div | BinaryOp::Rem => Work::alu(20.0 * count),
            BinaryOp::Add
            | BinaryOp::Sub
            | BinaryOp::Mul
            | BinaryOp::Min
            | BinaryOp::Max
            | BinaryOp::And
            | BinaryOp::Or => Work::alu(count),
        }
    }

    fn convert(&self, value: Val, conversion: &Conversion) -> Work {
        let registers = self.instructions(value);
        match conversion {
            Conversion::Free => Work::default(),
            Conversion::Plan(Plan::Same | Plan::Registers(_), _) => Work::default(),
            Conversion::Plan(Plan::Shuffles(_), _) => {
                Work::shared(4.0 * WARP * registers) + Work::waiting(SHARED_CLOCKS)
            }
            Conversion::Plan(Plan::Shared(_), _) => {
                Work::shared(2.0 * self.held_bytes(value)) + Work::waiting(2.0 * SHARED_CLOCKS)
            }
        }
    }

    fn global(&self, bytes: f64) -> Work {
        Work { global_bytes: bytes, issued: bytes / (16.0 * WARP), ..Work::default() }
    }

    /// Bytes of a tile, each element once.
    fn tile_bytes(&self, value: Val) -> f64 {
        let elements = self.program.layout(value).map_or(1.0, |layout| {
            layout.shape().values().map(|&extent| f64::from(extent)).product()
        });
        elements * self.program.elem(value).size_bytes() as f64
    }

    /// Bytes in the registers of all threads, copies too.
    fn held_bytes(&self, value: Val) -> f64 {
        self.instructions(value) * WARP * self.program.elem(value).size_bytes() as f64
    }

    fn dot(&self, dot: &Dot, result: Option<Val>) -> Work {
        let depth: f64 =
            dot.over.iter().map(|&axis| f64::from(self.program.extent(axis))).product();
        let results = result.map_or(0.0, |result| self.instructions(result));
        match dot.kind {
            DotKind::Mma(mma, precision) => {
                let bytes = mma.operand_bytes();
                let times = if precision == Precision::Tf32x3 { 3.0 } else { 1.0 };
                // Every register of the result takes a product from each step of the sum in each lane.
                let flops = times * 2.0 * results * WARP * depth;
                let one = 2.0 * 16.0 * 8.0 * f64::from(mma.extent(DotAxis::K));
                let operands = self.fragments(dot.a, &dot.a_layout, bytes)
                    + self.fragments(dot.b, &dot.b_layout, bytes);
                let count =
                    Work { issued: flops / one, ..Work::default() } + Work::shared(operands);
                match bytes {
                    2 => Work { half_flops: flops, ..count },
                    _ => Work { tf32_flops: flops, ..count },
                }
            }
            DotKind::Fma => {
                // A block of r by r results reads 2 r numbers at each step.
                let side = (results / f64::from(self.program.warps)).max(1.0).sqrt();
                let read = 2.0 * side * depth * 4.0 * WARP * f64::from(self.program.warps);
                Work::fp32(results * depth) + Work::shared(read)
            }
        }
    }

    /// Bytes of fragments that are read from shared memory.
    fn fragments(&self, operand: Operand, layout: &Layout<Axis>, bytes: u32) -> f64 {
        match operand {
            Operand::Registers(_) => 0.0,
            Operand::Shared(_) => {
                let registers = layout.count(Place::Register) * bytes;
                f64::from(registers) * WARP * f64::from(self.program.warps)
            }
        }
    }
}

fn unary(op: UnaryOp, count: f64) -> Work {
    match op {
        UnaryOp::Exp | UnaryOp::Log | UnaryOp::Tanh => Work::sfu(count) + Work::fp32(count),
        UnaryOp::Exp2 | UnaryOp::Log2 | UnaryOp::Sqrt | UnaryOp::Rsqrt => Work::sfu(count),
        UnaryOp::Neg | UnaryOp::Not | UnaryOp::Abs => Work::alu(count),
    }
}

fn reduce(op: ReduceOp, count: f64) -> Work {
    match op {
        ReduceOp::Sum => Work::fp32(count),
        ReduceOp::Max | ReduceOp::Min | ReduceOp::All | ReduceOp::Any => Work::alu(count),
    }
}

/// Two barriers and what is written and read between them, where warps share a result.
fn meeting(of_warps: bool) -> Work {
    Work::waiting(if of_warps { 2.0 * SHARED_CLOCKS } else { 0.0 })
}

/// Shuffles, which go through shared memory's ways, each followed by a combination.
fn exchanged(op: ReduceOp, count: f64) -> Work {
    let steps = if count > 0.0 { SHARED_CLOCKS } else { 0.0 };
    Work { shared_bytes: count * 4.0 * WARP, issued: count, ..Work::waiting(steps) }
        + reduce(op, count)
}
