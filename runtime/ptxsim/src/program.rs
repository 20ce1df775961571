//! The decoded form of a kernel: one typed operation for each instruction, dense register numbers, constants as extra
//! registers, branch targets and reconvergence points as instruction indices.
//!
//! Invariant: every register index in an [`Op`] is below the file size in [`Kernel`], and every code index is below
//! `code.len()`. The decoder establishes this; the executor relies on it only for speed, never for memory safety.

use crate::float::{Format, Round};
use crate::syntax::ast::{Loc, Space};

/// A register of 32 bits or fewer (narrow values are zero-extended).
pub type R = u32;
/// A 64-bit register.
pub type D = u32;
/// A predicate register.
pub type P = u32;
/// An instruction index.
pub type Pc = u32;

/// No such program counter.
pub const NOWHERE: Pc = Pc::MAX;

/// Guard predicate of an instruction.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    pub pred: P,
    pub negated: bool,
}

/// One decoded instruction.
#[derive(Clone, Debug)]
pub struct Inst {
    pub guard: Option<Guard>,
    pub op: Op,
}

/// Two-operand operations on the 32-bit file. `H` forms work on 16-bit values.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bin32 {
    Add, Sub, MulLo, MulHiS, MulHiU, MinS, MaxS, MinU, MaxU, And, Or, Xor, Shl, ShrU, ShrS,
    AddH, SubH, MulLoH, MulHiSH, MulHiUH, MulWideSH, MulWideUH, MinSH, MaxSH, MinUH, MaxUH, XorH, ShlH, ShrUH, ShrSH,
    FAdd, FSub, FMul, FMin, FMax, FMinNan, FMaxNan, CopySign,
}

/// One-operand operations on the 32-bit file.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Un32 {
    Mov, Not, NotH, Neg, Abs, NegH, AbsH, Popc, Clz, Brev, FNeg, FAbs, HNeg, HAbs, H2Neg, H2Abs, Ftz,
    F16ToF32, Bf16ToF32, F32ToF16, F32ToBf16,
    SignExtend8, SignExtend16, ZeroExtend8, ZeroExtend16, S32ToF32, U32ToF32,
    Activemask,
}

/// Three-operand operations on the 32-bit file.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tern32 {
    MadLo, MadLoH, MadHiS, MadHiU, SadS, SadU, BfeU, BfeS, Fma, ShfLWrap, ShfLClamp, ShfRWrap, ShfRClamp, Prmt,
}

/// Two-operand operations on the 64-bit file.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bin64 {
    Add, Sub, MulLo, MulHiS, MulHiU, MinS, MaxS, MinU, MaxU, And, Or, Xor,
    FAdd, FSub, FMul, FDiv, FMin, FMax, CopySign,
}

/// One-operand operations on the 64-bit file.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Un64 { Mov, Not, Neg, Abs, Brev, FNeg, FAbs, FSqrt, FRcp }

/// Shifts of a 64-bit value by a 32-bit amount.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift64 { Left, RightU, RightS }

/// Integer division and remainder; a zero divisor is reported.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Division { pub signed: bool, pub remainder: bool, pub bits: u32 }

/// The scalar types a comparison or conversion can name.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar { U8, U16, U32, U64, S8, S16, S32, S64, F16, Bf16, F32, F64 }

/// Comparison relations; `u` forms are also true for NaN.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation { Eq, Ne, Lt, Le, Gt, Ge, Equ, Neu, Ltu, Leu, Gtu, Geu, Num, Nan }

/// Boolean operations on predicates.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logic { And, Or, Xor }

/// Half-precision arithmetic, on one or two elements of a register.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HalfOp { Add, Sub, Mul, Fma, FmaRelu, Min, Max, MinNan, MaxNan }

/// Element kind and count of a half-precision operation.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HalfType { pub brain: bool, pub packed: bool, pub flush: bool }

/// f32 arithmetic with a rounding mode other than nearest-even, or that is rare enough not to need a fast loop.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ieee { Add, Mul, Fma, Div, Rcp, Sqrt }

/// Functions whose PTX definition gives an error bound instead of a result.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approx { Ex2, Lg2, Rcp, Sqrt, Rsqrt, Sin, Cos, Tanh }

/// What `testp` asks.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class { Finite, Infinite, Number, NotANumber, Normal, Subnormal }

/// A conversion between scalar types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversion {
    pub to: Scalar,
    pub from: Scalar,
    pub round: Round,
    /// Float to float with an integer rounding mode (`cvt.rni.f32.f32`).
    pub to_integral: bool,
    pub saturate: bool,
    pub flush: bool,
    /// Declared width of the destination register.
    pub dst_bits: u32,
}

/// A register of any class, as a data operand of a load, store or generic lane loop.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reg { R(R), D(D), P(P), Sink }

/// Special registers.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    Tid(u8), Ntid(u8), Ctaid(u8), Nctaid(u8), Laneid, Warpid, Nwarpid, Smid,
    LanemaskEq, LanemaskLt, LanemaskLe, LanemaskGt, LanemaskGe, DynamicSharedBytes, TotalSharedBytes,
}

/// Lane-local arithmetic: everything that reads and writes registers of one lane only.
#[rustfmt::skip]
#[derive(Clone, Debug)]
pub enum Alu {
    Bin32(Bin32, R, R, R),
    Un32(Un32, R, R),
    Tern32(Tern32, R, R, R, R),
    Bfi32(R, R, R, R, R),
    Lop3(R, R, R, R, u8),
    Bin64(Bin64, D, D, D),
    Un64(Un64, D, D),
    Shift64(Shift64, D, D, R),
    Fma64(D, D, D, D),
    MadLo64(D, D, D, D),
    Bfe64 { signed: bool, d: D, a: D, pos: R, len: R },
    Bfi64(D, D, D, R, R),
    Popc64(R, D),
    Clz64(R, D),
    MulWide { signed: bool, d: D, a: R, b: R },
    MadWide { signed: bool, d: D, a: R, b: R, c: D },
    /// d64 = zero- or sign-extended a32
    Extend { signed: bool, d: D, a: R },
    /// d32 = low half of a64
    Truncate(R, D),
    /// d64 = {lo, hi}
    Join64(D, R, R),
    /// {lo, hi} = a64
    Split64(Option<R>, Option<R>, D),
    /// d32 = {lo16, hi16}
    Join32(R, R, R),
    Split32(Option<R>, Option<R>, R),
    Join64x4(D, [R; 4]),
    Split64x4([Option<R>; 4], D),
    Special(R, Special),
    SetpI32 { signed: bool, rel: Relation, d: P, a: R, b: R },
    SetpF32 { rel: Relation, d: P, a: R, b: R },
    Setp { ty: Scalar, flush: bool, rel: Relation, d: P, a: Reg, b: Reg },
    Logic(Logic, P, P, P),
    PredNot(P, P),
    PredMov(P, P),
    PredConst(P, bool),
    Sel32(R, R, R, P),
    Sel64(D, D, D, P),
    Slct32 { d: R, a: R, b: R, c: R, float: bool },
    Slct64 { d: D, a: D, b: D, c: R, float: bool },
    Half { op: HalfOp, ty: HalfType, d: R, a: R, b: R, c: R },
    Ieee { op: Ieee, round: Round, flush: bool, saturate: bool, d: R, a: R, b: R, c: R },
    Approx { op: Approx, flush: bool, d: R, a: R },
    ApproxHalf { op: Approx, ty: HalfType, d: R, a: R },
    /// `div.approx` and `div.full`
    ApproxDiv { flush: bool, d: R, a: R, b: R },
    Testp { class: Class, d: P, a: R },
    Convert(Conversion, Reg, Reg),
    /// d = {narrow(hi), narrow(lo)}
    PackHalf { brain: bool, round: Round, relu: bool, d: R, hi: R, lo: R },
    ToTf32 { round: Round, d: R, a: R },
}

/// A memory address: a 64-bit register plus a constant, in a state space.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    pub space: Space,
    pub base: D,
    pub offset: i64,
}

/// How a load widens what it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Bytes of one element.
    pub bytes: u32,
    pub signed: bool,
    /// Width of the destination register, for sign extension.
    pub reg_bits: u32,
    /// `.relaxed`, `.acquire`, `.release`, `.volatile`: does not race with other strong accesses.
    pub strong: bool,
    pub acquire: bool,
    pub release: bool,
}

/// Read-modify-write operations.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtomOp { Add, Min, Max, And, Or, Xor, Exch, Cas, Inc, Dec }

/// An atomic or a reduction.
#[derive(Clone, Debug)]
pub struct Atom {
    pub op: AtomOp,
    pub ty: AtomType,
    pub addr: Address,
    pub d: Option<Reg>,
    pub b: Reg,
    pub c: Option<Reg>,
    pub release: bool,
}

/// Operand types of atomics.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtomType { U32, S32, U64, S64, B16, B32, B64, F32, F64, F16, Bf16, F16x2, Bf16x2 }

impl AtomType {
    /// Bytes of the memory cell.
    pub fn bytes(self) -> u32 {
        match self {
            AtomType::F16 | AtomType::Bf16 | AtomType::B16 => 2,
            AtomType::U32
            | AtomType::S32
            | AtomType::B32
            | AtomType::F32
            | AtomType::F16x2
            | AtomType::Bf16x2 => 4,
            AtomType::U64 | AtomType::S64 | AtomType::B64 | AtomType::F64 => 8,
        }
    }
}

/// Operand formats of `mma`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MmaKind {
    /// m16n8k16 or m16n8k8, f16 or bf16 operands, f32 accumulator.
    Half { brain: bool, k: u32 },
    /// m16n8k8 or m16n8k4, tf32 operands, f32 accumulator.
    Tf32 { k: u32 },
}

impl MmaKind {
    /// Registers of the A and of the B fragment.
    pub fn fragment_sizes(self) -> (usize, usize) {
        match self {
            MmaKind::Half { k: 16, .. } | MmaKind::Tf32 { k: 8 } => (4, 2),
            MmaKind::Half { .. } | MmaKind::Tf32 { .. } => (2, 1),
        }
    }
}

/// A warp matrix product; unused tail entries of `a` and `b` are zero.
#[derive(Clone, Debug)]
pub struct Mma {
    pub kind: MmaKind,
    pub d: [R; 4],
    pub a: [R; 4],
    pub b: [R; 2],
    pub c: [R; 4],
}

/// Lane selection of `shfl`.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShflMode { Up, Down, Bfly, Idx }

/// Reductions over a warp.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReduxOp { Add, MinS, MaxS, MinU, MaxU, And, Or, Xor }

/// `vote` modes.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoteMode { All, Any, Uni, Ballot }

/// Reductions of `bar.red`.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarRed { Popc(R), And(P), Or(P) }

/// CTA barrier operations.
#[derive(Clone, Debug)]
pub struct Barrier {
    pub id: R,
    /// Thread count; all threads of the CTA when absent.
    pub count: Option<R>,
    pub arrive_only: bool,
    pub red: Option<(BarRed, P)>,
}

/// A block of `.param` space to copy at a call or return: (from, to, bytes) in the local frame.
pub type ParamCopy = (u32, u32, u32);

/// An operation.
#[rustfmt::skip]
#[derive(Clone, Debug)]
pub enum Op {
    Alu(Alu),
    Divide32(Division, R, R, R),
    Divide64(Division, D, D, D),
    LoadParam { access: Access, d: Box<[Reg]>, offset: u32 },
    Load { addr: Address, access: Access, d: Box<[Reg]> },
    Store { addr: Address, access: Access, v: Box<[Reg]> },
    Atom(Box<Atom>),
    Fence,
    CpAsync { dst: Address, src: Address, bytes: u32, src_bytes: R },
    CommitGroup,
    WaitGroup(u32),
    WaitAll,
    Ldmatrix { addr: Address, trans: bool, d: Box<[R]> },
    Mma(Box<Mma>),
    Movmatrix(R, R),
    Shfl { mode: ShflMode, d: R, ok: Option<P>, a: R, b: R, c: R, members: R },
    Vote { mode: VoteMode, d: Reg, a: P, negated: bool, members: R },
    Match { all: bool, wide: bool, d: R, ok: Option<P>, a: Reg, members: R },
    Redux { op: ReduxOp, d: R, a: R, members: R },
    BarWarp(R),
    Barrier(Box<Barrier>),
    Branch { target: Pc, reconverge: Pc },
    BranchIndexed { index: R, targets: Box<[Pc]>, reconverge: Pc },
    Call { entry: Pc, copies: Box<[ParamCopy]> },
    CopyParams(Box<[ParamCopy]>),
    /// Return from a device function; in an entry this is `Exit`.
    Return,
    Exit,
    Trap,
    Nop,
}

/// Where an instruction came from.
#[derive(Clone, Debug)]
pub struct Site {
    /// One-based PTX line.
    pub line: u32,
    /// The statement on one line.
    pub text: String,
    pub loc: Option<Loc>,
    /// Prepares operands in registers of the decoder's own, for the operation of the same statement that follows.
    pub prepares: bool,
}

/// A variable in shared memory.
#[derive(Clone, Debug)]
pub struct SharedVariable {
    /// PTX name.
    pub name: String,
    /// Byte offset from the start of shared memory.
    pub offset: u64,
    /// `None`: dynamic shared memory, to the end.
    pub bytes: Option<u64>,
}

/// A formal parameter of an entry.
#[derive(Clone, Debug)]
pub struct ParamInfo {
    /// PTX name.
    pub name: String,
    /// Scalar type, such as `u64`.
    pub ty: String,
    /// Offset in the parameter block.
    pub offset: u64,
    /// Size in bytes.
    pub bytes: u64,
}

/// An innermost loop: the code range of its header and latch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopInfo {
    pub header: Pc,
    /// Nesting depth, outermost 1.
    pub depth: u32,
}

/// A kernel entry, decoded together with every device function it reaches.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Entry name.
    pub name: String,
    /// Parameters, in order.
    pub params: Vec<ParamInfo>,
    /// Bytes of the parameter block.
    pub param_bytes: u64,
    /// Block shape demanded by `.reqntid`.
    pub reqntid: Option<[u32; 3]>,
    /// Largest block allowed by `.maxntid`.
    pub maxntid: Option<[u32; 3]>,
    /// Shared variables, static and dynamic.
    pub shared: Vec<SharedVariable>,
    /// Bytes of static shared memory.
    pub static_shared_bytes: u64,
    pub(crate) code: Vec<Inst>,
    pub(crate) sites: Vec<Site>,
    pub(crate) entry: Pc,
    pub(crate) num_r: usize,
    pub(crate) num_d: usize,
    pub(crate) num_p: usize,
    pub(crate) const_r: Vec<(R, u32)>,
    pub(crate) const_d: Vec<(D, u64)>,
    pub(crate) local_bytes: u32,
    /// For each instruction, the index in `loops` of its innermost loop.
    pub(crate) loop_of: Vec<Option<u32>>,
    pub(crate) loops: Vec<LoopInfo>,
    /// The narrowest store to global memory, in bytes: the grain of the global shadow.
    pub(crate) global_grain: u32,
}

impl Scalar {
    pub fn bits(self) -> u32 {
        match self {
            Scalar::U8 | Scalar::S8 => 8,
            Scalar::U16 | Scalar::S16 | Scalar::F16 | Scalar::Bf16 => 16,
            Scalar::U32 | Scalar::S32 | Scalar::F32 => 32,
            Scalar::U64 | Scalar::S64 | Scalar::F64 => 64,
        }
    }

    pub fn is_float(self) -> bool {
        self.format().is_some() || self == Scalar::F64
    }

    pub fn is_signed(self) -> bool {
        matches!(self, Scalar::S8 | Scalar::S16 | Scalar::S32 | Scalar::S64)
    }

    /// The format of a float narrower than f64.
    pub fn format(self) -> Option<Format> {
        match self {
            Scalar::F16 => Some(crate::float::F16),
            Scalar::Bf16 => Some(crate::float::BF16),
            Scalar::F32 => Some(crate::float::F32),
            _ => None,
        }
    }
}
