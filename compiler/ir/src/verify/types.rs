//! Third layer: operands and results of each op.

use std::collections::BTreeSet;

use tilec_vocab::DType;

use super::{Checker, Rule};
use crate::kernel::{Axis, Inst, InstData, Param, ParamType, Value};
use crate::ops::{BinaryOp, CompareOp, Imm, Op, ReduceOp, UnaryOp};
use crate::types::{AxisSet, Elem, Type};

/// Numbers of operands, results and blocks; `None` where the rest of the instruction decides.
fn shape(op: &Op) -> (Option<usize>, Option<usize>, usize) {
    match op {
        Op::Const(_)
        | Op::Generic(_)
        | Op::Dim(_)
        | Op::Scalar(_)
        | Op::Program(_)
        | Op::Index(_) => (Some(0), Some(1), 0),
        Op::Splat | Op::Unary(_) | Op::Cast | Op::Reduce(..) => (Some(1), Some(1), 0),
        Op::Binary(_) | Op::Compare(_) | Op::Dot(..) => (Some(2), Some(1), 0),
        Op::Select => (Some(3), Some(1), 0),
        Op::Axis(_) => (Some(2), Some(0), 0),
        Op::Load(_) => (None, Some(1), 0),
        Op::Store(_) | Op::AtomicAdd(_) | Op::Yield => (None, Some(0), 0),
        Op::For(_) => (None, None, 1),
        Op::If => (Some(1), None, 2),
    }
}

/// Arithmetic is done in `i64` and in floats; `i32` is storage.
fn is_number(elem: Elem) -> bool {
    elem == Elem::I64 || elem.is_float()
}

impl Checker<'_> {
    pub(super) fn types(&mut self, inst: Inst, owner: Option<Inst>) {
        let kernel = self.kernel;
        let data = &kernel.insts[inst];
        let (args, results, blocks) = shape(&data.op);
        if args.is_some_and(|n| n != data.args.len())
            || results.is_some_and(|n| n != data.results.len())
            || blocks != data.blocks.len()
        {
            let (args, results, blocks) = (data.args.len(), data.results.len(), data.blocks.len());
            let message = format!("{args} operands, {results} results, {blocks} blocks");
            return self.report(Rule::Shape, inst, message);
        }
        let i64 = Type::scalar(Elem::I64);
        match &data.op {
            Op::Const(imm) => self.literal(inst, data, *imm),
            Op::Generic(generic) => {
                self.wanted(Rule::Sources, inst, data.results[0], &i64);
                if !self.extent_is_sound(crate::types::Extent::Generic(*generic)) {
                    self.report(Rule::Generics, inst, "an element type has no value");
                }
            }
            Op::Dim(_) | Op::Program(_) => self.wanted(Rule::Sources, inst, data.results[0], &i64),
            Op::Index(axis) => {
                let ty = Type::tile(Elem::I64, [*axis].into_iter().collect());
                self.wanted(Rule::Sources, inst, data.results[0], &ty);
            }
            Op::Scalar(param) => match kernel.params[*param].ty {
                ParamType::Scalar(elem) => {
                    self.wanted(Rule::Sources, inst, data.results[0], &Type::scalar(elem));
                }
                ParamType::Tensor { .. } => {
                    self.report(Rule::Sources, inst, "this parameter is a tensor");
                }
            },
            Op::Axis(_) => self.bounds(inst, data),
            Op::Splat => self.splat(inst, data),
            Op::Unary(_) | Op::Binary(_) | Op::Compare(_) | Op::Select => {
                self.elementwise(inst, data);
            }
            Op::Cast => self.cast(inst, data),
            Op::Reduce(op, over) => self.reduce(inst, data, *op, over),
            Op::Dot(over, _) => self.dot(inst, data, over),
            Op::Load(param) => self.load(inst, data, *param),
            Op::Store(param) | Op::AtomicAdd(param) => self.store(inst, data, *param),
            Op::For(_) => self.for_loop(inst, data),
            Op::If => self.branch(inst, data),
            Op::Yield => self.yields(inst, data, owner),
        }
    }

    fn wanted(&mut self, rule: Rule, inst: Inst, value: Value, wanted: &Type) {
        let got = self.kernel.ty(value);
        if got != wanted {
            let name = self.names.value(value).to_string();
            let (got, wanted) = (self.names.ty(got).to_string(), self.names.ty(wanted).to_string());
            self.report(rule, inst, format!("{name}: got {got}, wanted {wanted}"));
        }
    }

    fn union(&self, values: &[Value]) -> AxisSet {
        values.iter().fold(AxisSet::new(), |axes, &v| axes.union(&self.kernel.ty(v).axes))
    }

    fn literal(&mut self, inst: Inst, data: &InstData, imm: Imm) {
        let ty = self.kernel.ty(data.results[0]);
        let fits = match (imm, ty.elem) {
            (Imm::Bool(_), elem) => elem.is_bool(),
            (Imm::Int(value), Elem::Known(DType::I32)) => i32::try_from(value).is_ok(),
            (Imm::Int(_), elem) => elem.is_int(),
            (Imm::Float(value), Elem::Known(dtype)) if dtype.is_float() => {
                value.is_nan() || dtype.round(value) == value
            }
            (Imm::Float(_), elem) => elem.is_float(),
        };
        if !fits || !ty.is_scalar() {
            let ty = self.names.ty(ty).to_string();
            self.report(Rule::Literal, inst, format!("{imm:?} as {ty}"));
        }
    }

    /// Both operands of an axis, the first two of a loop.
    fn bounds(&mut self, inst: Inst, data: &InstData) {
        for &bound in &data.args[..2] {
            self.wanted(Rule::Bounds, inst, bound, &Type::scalar(Elem::I64));
        }
    }

    fn splat(&mut self, inst: Inst, data: &InstData) {
        let (x, result) = (self.kernel.ty(data.args[0]), self.kernel.ty(data.results[0]));
        if x.elem != result.elem || !x.axes.is_subset(&result.axes) {
            let (x, result) = (self.names.ty(x).to_string(), self.names.ty(result).to_string());
            self.report(Rule::Splat, inst, format!("from {x} to {result}"));
        }
    }

    fn elementwise(&mut self, inst: Inst, data: &InstData) {
        let elem = |n: usize| self.kernel.ty(data.args[n]).elem;
        // The operands that must have one type, whether the op takes it, and the result's.
        let (same, takes, result) = match &data.op {
            Op::Unary(op) => {
                let takes = match op {
                    UnaryOp::Not => elem(0).is_bool(),
                    UnaryOp::Neg | UnaryOp::Abs => is_number(elem(0)),
                    UnaryOp::Exp
                    | UnaryOp::Exp2
                    | UnaryOp::Log
                    | UnaryOp::Log2
                    | UnaryOp::Tanh
                    | UnaryOp::Sqrt
                    | UnaryOp::Rsqrt => elem(0).is_float(),
                };
                (true, takes, elem(0))
            }
            Op::Binary(op) => {
                let takes = match op {
                    BinaryOp::And | BinaryOp::Or => elem(0).is_bool(),
                    BinaryOp::Rem => elem(0) == Elem::I64,
                    BinaryOp::Add
                    | BinaryOp::Sub
                    | BinaryOp::Mul
                    | BinaryOp::Div
                    | BinaryOp::Min
                    | BinaryOp::Max => is_number(elem(0)),
                };
                (elem(0) == elem(1), takes, elem(0))
            }
            Op::Compare(op) => {
                let takes = is_number(elem(0))
                    || elem(0).is_bool() && matches!(op, CompareOp::Eq | CompareOp::Ne);
                (elem(0) == elem(1), takes, Elem::BOOL)
            }
            _ => (elem(1) == elem(2), elem(0).is_bool(), elem(1)),
        };
        if !same || !takes {
            let types: Vec<String> =
                data.args.iter().map(|&v| self.names.ty(self.kernel.ty(v)).to_string()).collect();
            let message = format!("operands of type {}", types.join(" and "));
            return self.report(Rule::Elementwise, inst, message);
        }
        let wanted = Type::tile(result, self.union(&data.args));
        self.wanted(Rule::Elementwise, inst, data.results[0], &wanted);
    }

    fn cast(&mut self, inst: Inst, data: &InstData) {
        let (x, result) = (self.kernel.ty(data.args[0]), self.kernel.ty(data.results[0]));
        if x.axes != result.axes || (result.elem.is_bool() && !x.elem.is_bool()) {
            let (x, result) = (self.names.ty(x).to_string(), self.names.ty(result).to_string());
            self.report(Rule::Cast, inst, format!("from {x} to {result}"));
        }
    }

    /// Whether `over` is not empty, without repeats, and spanned by each operand.
    fn contracts(&self, data: &InstData, over: &[Axis]) -> bool {
        let distinct: BTreeSet<&Axis> = over.iter().collect();
        let spanned = |v: &Value| over.iter().all(|&axis| self.kernel.ty(*v).axes.contains(axis));
        !over.is_empty() && distinct.len() == over.len() && data.args.iter().all(spanned)
    }

    fn reduce(&mut self, inst: Inst, data: &InstData, op: ReduceOp, over: &[Axis]) {
        let x = self.kernel.ty(data.args[0]);
        let takes = match op {
            ReduceOp::Sum | ReduceOp::Max | ReduceOp::Min => is_number(x.elem),
            ReduceOp::All | ReduceOp::Any => x.elem.is_bool(),
        };
        if !takes || !self.contracts(data, over) {
            let (x, over) = (self.names.ty(x).to_string(), self.names.axis_list(over));
            return self.report(Rule::Reduce, inst, format!("of {x} over {over}"));
        }
        let wanted = Type::tile(x.elem, x.axes.without(over));
        self.wanted(Rule::Reduce, inst, data.results[0], &wanted);
    }

    fn dot(&mut self, inst: Inst, data: &InstData, over: &[Axis]) {
        let (a, b) = (self.kernel.ty(data.args[0]), self.kernel.ty(data.args[1]));
        if a.elem != b.elem || !a.elem.is_float() || !self.contracts(data, over) {
            let (a, b) = (self.names.ty(a).to_string(), self.names.ty(b).to_string());
            let over = self.names.axis_list(over);
            return self.report(Rule::Dot, inst, format!("of {a} and {b} over {over}"));
        }
        let wanted = Type::tile(Elem::F32, a.axes.union(&b.axes).without(over));
        self.wanted(Rule::Dot, inst, data.results[0], &wanted);
    }

    /// The tensor's element type and whether it is written, if the indices fit it.
    fn access(&mut self, inst: Inst, indices: &[Value], param: Param) -> Option<(Elem, bool)> {
        let data = &self.kernel.params[param];
        let ParamType::Tensor { elem, dims, mutable } = &data.ty else {
            self.report(Rule::Access, inst, format!("`{}` is a number", data.name));
            return None;
        };
        if dims.len() != indices.len() {
            let (dims, indices) = (dims.len(), indices.len());
            let message = format!("`{}` has {dims} dimensions, got {indices} indices", data.name);
            self.report(Rule::Access, inst, message);
            return None;
        }
        for &index in indices {
            let wanted = self.kernel.ty(index).with_elem(Elem::I64);
            self.wanted(Rule::Access, inst, index, &wanted);
        }
        Some((*elem, *mutable))
    }

    fn load(&mut self, inst: Inst, data: &InstData, param: Param) {
        if let Some((elem, _)) = self.access(inst, &data.args, param) {
            let wanted = Type::tile(elem, self.union(&data.args));
            self.wanted(Rule::Load, inst, data.results[0], &wanted);
        }
    }

    fn store(&mut self, inst: Inst, data: &InstData, param: Param) {
        let Some((&value, indices)) = data.args.split_first() else {
            return self.report(Rule::Shape, inst, "nothing to store");
        };
        let Some((elem, mutable)) = self.access(inst, indices, param) else { return };
        let ty = self.kernel.ty(value);
        let axes = self.union(indices);
        let adds_bool = matches!(data.op, Op::AtomicAdd(_)) && elem.is_bool();
        if !mutable || ty.elem != elem || !ty.axes.is_subset(&axes) || adds_bool {
            let to = if mutable { "&mut " } else { "&" };
            let (elem, ty) = (self.names.elem(elem), self.names.ty(ty).to_string());
            let axes = self.names.axis_set(&axes);
            self.report(Rule::Store, inst, format!("{ty} to {to}{elem} at [{axes}]"));
        }
        // The lanes written are those of the indices, which may be more than any value has.
        self.tile_size(&Type::tile(Elem::I64, axes), Some(inst));
    }

    fn for_loop(&mut self, inst: Inst, data: &InstData) {
        let params = &self.kernel.blocks[data.blocks[0]].params;
        let carried = data.results.len();
        if data.args.len() != carried + 2 || params.len() != carried + 1 {
            let (args, params) = (data.args.len(), params.len());
            let message = format!("{args} operands, {params} block parameters, {carried} results");
            return self.report(Rule::Shape, inst, message);
        }
        self.bounds(inst, data);
        self.wanted(Rule::Loop, inst, params[0], &Type::scalar(Elem::I64));
        for (n, &result) in data.results.iter().enumerate() {
            let ty = self.kernel.ty(result);
            self.wanted(Rule::Loop, inst, data.args[n + 2], ty);
            self.wanted(Rule::Loop, inst, params[n + 1], ty);
        }
    }

    fn branch(&mut self, inst: Inst, data: &InstData) {
        self.wanted(Rule::Branch, inst, data.args[0], &Type::scalar(Elem::BOOL));
        if data.blocks.iter().any(|&block| !self.kernel.blocks[block].params.is_empty()) {
            self.report(Rule::Shape, inst, "a block of a branch has parameters");
        }
    }

    /// What a block yields is what its owner results in; the body yields nothing.
    fn yields(&mut self, inst: Inst, data: &InstData, owner: Option<Inst>) {
        let owner = owner.map(|owner| &self.kernel.insts[owner]);
        let results: &[Value] = owner.map_or(&[], |owner| &owner.results);
        let rule = match owner.map(|owner| &owner.op) {
            Some(Op::If) => Rule::Branch,
            Some(_) => Rule::Loop,
            None => Rule::Yields,
        };
        if results.len() != data.args.len() {
            let (got, wanted) = (data.args.len(), results.len());
            return self.report(rule, inst, format!("got {got} values, wanted {wanted}"));
        }
        for (&value, &result) in data.args.iter().zip(results) {
            self.wanted(rule, inst, value, self.kernel.ty(result));
        }
    }
}
