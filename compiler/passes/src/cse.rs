//! Computes once what is computed twice.
//!
//! ```text
//! %4: i64 = mul %1, %2    %5: i64 = mul %2, %1    -> %4, and %5 is %4
//! ```
//!
//! A value serves in the rest of its block and the blocks nested there; two branches that compute
//! the same keep one each. Loads count too where the kernel never writes the tensor. After `hoist`,
//! which brings the loop-invariant parts of neighbouring loops into one block.
//!
//! # Numerics
//!
//! None: the same op on the same operands. `a + b` and `b + a` are the same for floats too.

use std::collections::BTreeMap;

use smallvec::SmallVec;
use tilec_ir::{
    Axis, BinaryOp, Builder, CompareOp, Copier, DimId, Generic, Imm, Inst, Kernel, Op, Param,
    Precision, ReduceOp, Type, UnaryOp, Value,
};
use tilec_vocab::Bug;

use crate::effects::written;
use crate::rewrite::{Rewrite, rewrite};

/// Runs the pass.
///
/// # Errors
///
/// None; the signature is that of all passes.
pub fn run(kernel: &Kernel) -> Result<Kernel, Bug> {
    let mut cse = Cse {
        old: kernel,
        copier: Copier::new(),
        written: written(kernel),
        known: BTreeMap::new(),
        scopes: vec![Vec::new()],
    };
    Ok(rewrite(kernel, &mut cse))
}

/// What makes two instructions the same.
type Key = (Same, SmallVec<[Value; 4]>, Type);

/// An op, in a form with an order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Same {
    Bool(bool),
    Int(i64),
    /// By bits: 0.0 and -0.0 differ.
    Float(u64),
    Generic(Generic),
    Dim(DimId),
    Scalar(Param),
    Program(u32),
    Index(Axis),
    Splat,
    Unary(UnaryOp),
    Binary(BinaryOp),
    Compare(CompareOp),
    Select,
    Cast,
    Reduce(ReduceOp, Vec<Axis>),
    Dot(Vec<Axis>, Precision),
    Load(Param),
}

struct Cse<'k> {
    old: &'k Kernel,
    copier: Copier,
    written: Vec<Param>,
    known: BTreeMap<Key, Value>,
    /// What each open block has added to `known`.
    scopes: Vec<Vec<Key>>,
}

impl<'k> Rewrite<'k> for Cse<'k> {
    fn old(&self) -> &'k Kernel {
        self.old
    }

    fn copier(&mut self) -> &mut Copier {
        &mut self.copier
    }

    fn enter(&mut self, _owner: Inst, _to: &mut Builder<'_>) {
        self.scopes.push(Vec::new());
    }

    fn leave(&mut self) {
        for key in self.scopes.pop().into_iter().flatten() {
            self.known.remove(&key);
        }
    }

    fn inst(&mut self, inst: Inst, to: &mut Builder<'_>) {
        let Some(key) = self.key(inst) else {
            self.copy(inst, to);
            return;
        };
        let result = self.old.insts[inst].results[0];
        if let Some(&value) = self.known.get(&key) {
            return self.copier.map(result, value);
        }
        self.copy(inst, to);
        self.known.insert(key.clone(), self.copier.value(result));
        if let Some(scope) = self.scopes.last_mut() {
            scope.push(key);
        }
    }
}

impl Cse<'_> {
    fn key(&self, inst: Inst) -> Option<Key> {
        let data = &self.old.insts[inst];
        let mut args: SmallVec<[Value; 4]> = self.copier.values(&data.args).into();
        let over = |axes: &[Axis]| {
            let mut axes = axes.to_vec();
            axes.sort();
            axes
        };
        let same = match self.copier.op(&data.op) {
            Op::Const(Imm::Bool(value)) => Same::Bool(value),
            Op::Const(Imm::Int(value)) => Same::Int(value),
            Op::Const(Imm::Float(value)) => Same::Float(value.to_bits()),
            Op::Generic(generic) => Same::Generic(generic),
            Op::Dim(dim) => Same::Dim(dim),
            Op::Scalar(param) => Same::Scalar(param),
            Op::Program(axis) => Same::Program(axis),
            Op::Index(axis) => Same::Index(axis),
            Op::Splat => Same::Splat,
            Op::Unary(op) => Same::Unary(op),
            Op::Binary(op) => {
                if commutes(op) {
                    args.sort();
                }
                Same::Binary(op)
            }
            Op::Compare(op) => {
                // `a > b` is `b < a`, with NaN too.
                let op = match op {
                    CompareOp::Gt | CompareOp::Ge => {
                        args.reverse();
                        if op == CompareOp::Gt { CompareOp::Lt } else { CompareOp::Le }
                    }
                    CompareOp::Eq | CompareOp::Ne => {
                        args.sort();
                        op
                    }
                    CompareOp::Lt | CompareOp::Le => op,
                };
                Same::Compare(op)
            }
            Op::Select => Same::Select,
            Op::Cast => Same::Cast,
            Op::Reduce(op, axes) => Same::Reduce(op, over(&axes)),
            Op::Dot(axes, precision) => {
                args.sort();
                Same::Dot(over(&axes), precision)
            }
            Op::Load(param) if !self.written.contains(&param) => Same::Load(param),
            Op::Load(_)
            | Op::Axis(_)
            | Op::Store(_)
            | Op::AtomicAdd(_)
            | Op::For(_)
            | Op::If
            | Op::Yield => return None,
        };
        Some((same, args, self.copier.ty(self.old.ty(data.results[0]))))
    }
}

fn commutes(op: BinaryOp) -> bool {
    match op {
        BinaryOp::Add
        | BinaryOp::Mul
        | BinaryOp::Min
        | BinaryOp::Max
        | BinaryOp::And
        | BinaryOp::Or => true,
        BinaryOp::Sub | BinaryOp::Div | BinaryOp::Rem => false,
    }
}
