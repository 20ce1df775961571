//! Making instructions: the one place where result types are worked out.
//!
//! The builder trusts its caller: operands that do not fit make an instruction the verifier
//! refuses. The front end checks first and speaks in the user's terms.

use smallvec::SmallVec;
use tilec_vocab::{DType, Span};

use crate::kernel::{
    Axis, AxisData, Block, BlockData, DimId, Generic, Inst, InstData, Kernel, Param, ParamType,
    Value, ValueData, ValueDef,
};
use crate::ops::{BinaryOp, CompareOp, Imm, Op, Precision, ReduceOp, UnaryOp};
use crate::types::{AxisSet, Elem, Extent, Type};

/// Appends instructions to a block of a kernel.
pub struct Builder<'k> {
    /// The kernel being built.
    pub kernel: &'k mut Kernel,
    /// Where instructions go.
    pub block: Block,
    /// The source given to new instructions.
    pub span: Span,
}

impl<'k> Builder<'k> {
    /// A builder at the end of the kernel's body.
    pub fn new(kernel: &'k mut Kernel) -> Builder<'k> {
        let (block, span) = (kernel.body, kernel.span);
        Builder { kernel, block, span }
    }

    /// Appends an instruction with results of the given types.
    pub fn inst(
        &mut self,
        op: Op,
        args: impl IntoIterator<Item = Value>,
        blocks: impl IntoIterator<Item = Block>,
        results: impl IntoIterator<Item = Type>,
    ) -> Inst {
        let inst = self.kernel.insts.push(InstData {
            op,
            args: args.into_iter().collect(),
            results: SmallVec::new(),
            blocks: blocks.into_iter().collect(),
            span: self.span,
        });
        for (n, ty) in results.into_iter().enumerate() {
            let def = ValueDef::Result(inst, n as u32);
            let value = self.kernel.values.push(ValueData { ty, def, name: None });
            self.kernel.insts[inst].results.push(value);
        }
        self.kernel.blocks[self.block].insts.push(inst);
        inst
    }

    fn value(&mut self, op: Op, args: &[Value], ty: Type) -> Value {
        let inst = self.inst(op, args.iter().copied(), [], [ty]);
        self.kernel.insts[inst].results[0]
    }

    fn union(&self, values: &[Value]) -> AxisSet {
        values.iter().fold(AxisSet::new(), |axes, &v| axes.union(&self.kernel.ty(v).axes))
    }

    /// A literal.
    pub fn constant(&mut self, imm: Imm, elem: Elem) -> Value {
        self.value(Op::Const(imm), &[], Type::scalar(elem))
    }

    /// An `i64` literal.
    pub fn int(&mut self, value: i64) -> Value {
        self.constant(Imm::Int(value), Elem::I64)
    }

    /// A literal of a float type, rounded to it.
    pub fn float(&mut self, value: f64, dtype: DType) -> Value {
        self.constant(Imm::Float(dtype.round(value)), Elem::Known(dtype))
    }

    /// A constant or knob.
    pub fn generic(&mut self, generic: Generic) -> Value {
        self.value(Op::Generic(generic), &[], Type::scalar(Elem::I64))
    }

    /// A run-time dimension.
    pub fn dim(&mut self, dim: DimId) -> Value {
        self.value(Op::Dim(dim), &[], Type::scalar(Elem::I64))
    }

    /// An extent as a value.
    pub fn extent(&mut self, extent: Extent) -> Value {
        match extent {
            Extent::Const(n) => self.int(n),
            Extent::Generic(generic) => self.generic(generic),
            Extent::Dim(dim) => self.dim(dim),
        }
    }

    /// A number parameter.
    pub fn scalar(&mut self, param: Param) -> Value {
        let elem = match self.kernel.params[param].ty {
            ParamType::Scalar(elem) | ParamType::Tensor { elem, .. } => elem,
        };
        self.value(Op::Scalar(param), &[], Type::scalar(elem))
    }

    /// This program's position along a grid axis.
    pub fn program(&mut self, grid_axis: usize) -> Value {
        self.value(Op::Program(grid_axis as u32), &[], Type::scalar(Elem::I64))
    }

    /// Declares an axis whose lane `i` is `start + i`, present below `end`.
    pub fn axis(&mut self, data: AxisData, start: Value, end: Value) -> Axis {
        let axis = self.kernel.axes.push(data);
        self.inst(Op::Axis(axis), [start, end], [], []);
        axis
    }

    /// The indices of an axis.
    pub fn index(&mut self, axis: Axis) -> Value {
        self.value(Op::Index(axis), &[], Type::tile(Elem::I64, [axis].into_iter().collect()))
    }

    /// `x` over `axes` (and those it has).
    pub fn splat(&mut self, x: Value, axes: &AxisSet) -> Value {
        let ty = self.kernel.ty(x);
        let ty = Type::tile(ty.elem, ty.axes.union(axes));
        self.value(Op::Splat, &[x], ty)
    }

    /// An element-wise op of one operand.
    pub fn unary(&mut self, op: UnaryOp, x: Value) -> Value {
        let ty = self.kernel.ty(x).clone();
        self.value(Op::Unary(op), &[x], ty)
    }

    /// An element-wise op of two operands.
    pub fn binary(&mut self, op: BinaryOp, a: Value, b: Value) -> Value {
        let ty = Type::tile(self.kernel.ty(a).elem, self.union(&[a, b]));
        self.value(Op::Binary(op), &[a, b], ty)
    }

    /// A comparison.
    pub fn compare(&mut self, op: CompareOp, a: Value, b: Value) -> Value {
        let ty = Type::tile(Elem::BOOL, self.union(&[a, b]));
        self.value(Op::Compare(op), &[a, b], ty)
    }

    /// `a` where the condition holds, else `b`.
    pub fn select(&mut self, condition: Value, a: Value, b: Value) -> Value {
        let ty = Type::tile(self.kernel.ty(a).elem, self.union(&[condition, a, b]));
        self.value(Op::Select, &[condition, a, b], ty)
    }

    /// Conversion; the value itself where it already has the type.
    pub fn cast(&mut self, x: Value, elem: Elem) -> Value {
        let ty = self.kernel.ty(x);
        if ty.elem == elem {
            return x;
        }
        let ty = ty.with_elem(elem);
        self.value(Op::Cast, &[x], ty)
    }

    /// A reduction over axes that `x` spans.
    pub fn reduce(&mut self, op: ReduceOp, x: Value, over: &[Axis]) -> Value {
        let ty = self.kernel.ty(x);
        let ty = Type::tile(ty.elem, ty.axes.without(over));
        self.value(Op::Reduce(op, over.iter().copied().collect()), &[x], ty)
    }

    /// A contraction over axes that both operands span.
    pub fn dot(&mut self, a: Value, b: Value, over: &[Axis], precision: Precision) -> Value {
        let ty = Type::tile(Elem::F32, self.union(&[a, b]).without(over));
        self.value(Op::Dot(over.iter().copied().collect(), precision), &[a, b], ty)
    }

    /// Reads a tensor.
    pub fn load(&mut self, tensor: Param, indices: &[Value]) -> Value {
        let elem = match self.kernel.params[tensor].ty {
            ParamType::Tensor { elem, .. } | ParamType::Scalar(elem) => elem,
        };
        let ty = Type::tile(elem, self.union(indices));
        self.value(Op::Load(tensor), indices, ty)
    }

    /// Writes a tensor.
    pub fn store(&mut self, tensor: Param, value: Value, indices: &[Value]) {
        let args = std::iter::once(value).chain(indices.iter().copied());
        self.inst(Op::Store(tensor), args, [], []);
    }

    /// Adds to a tensor.
    pub fn atomic_add(&mut self, tensor: Param, value: Value, indices: &[Value]) {
        let args = std::iter::once(value).chain(indices.iter().copied());
        self.inst(Op::AtomicAdd(tensor), args, [], []);
    }

    /// A new block with parameters of the given types, attached to nothing yet.
    pub fn new_block(&mut self, params: impl IntoIterator<Item = Type>) -> Block {
        let block = self.kernel.blocks.push(BlockData::default());
        for (n, ty) in params.into_iter().enumerate() {
            let def = ValueDef::Param(block, n as u32);
            let value = self.kernel.values.push(ValueData { ty, def, name: None });
            self.kernel.blocks[block].params.push(value);
        }
        block
    }

    /// A loop whose body block was made by [`Builder::new_block`] with `(iv, carried…)`.
    pub fn for_loop(
        &mut self,
        axis: Option<Axis>,
        lo: Value,
        hi: Value,
        initial: &[Value],
        body: Block,
    ) -> SmallVec<[Value; 1]> {
        let types: Vec<Type> = initial.iter().map(|&v| self.kernel.ty(v).clone()).collect();
        let args = [lo, hi].into_iter().chain(initial.iter().copied());
        let inst = self.inst(Op::For(axis), args, [body], types);
        self.kernel.insts[inst].results.clone()
    }

    /// A two-way branch whose blocks yield values of the given types.
    pub fn if_else(
        &mut self,
        condition: Value,
        then: Block,
        otherwise: Block,
        results: impl IntoIterator<Item = Type>,
    ) -> SmallVec<[Value; 1]> {
        let inst = self.inst(Op::If, [condition], [then, otherwise], results);
        self.kernel.insts[inst].results.clone()
    }

    /// Ends the block.
    pub fn yield_values(&mut self, values: &[Value]) {
        self.inst(Op::Yield, values.iter().copied(), [], []);
    }
}
