//! Values where they are wanted: in a layout, as a sum of lanes, as numbers.

use tilec_ir::{
    Axis, BinaryOp, CompareOp, Entity, Imm, InstData, Op as TileOp, UnaryOp, Value, facts,
};
use tilec_layout::{Layout, Plan, Shuffles, blocked, convert};
use tilec_vocab::DType;

use super::{Form, Home, Lower};
use crate::error::{GpuError, Result};
use crate::gir::{Buf, BufData, Conversion, Lanes, Op, Slot, Val};
use crate::prove;

/// Coefficients and literals of sums stay below this, so that sums over lanes fit 32 bits.
const MAX_COEFFICIENT: i64 = 1 << 10;

impl<'k> Lower<'k> {
    /// A scalar instruction.
    pub(super) fn scalar_inst(&mut self, result: Value, data: &InstData) -> Result<Home> {
        let elem = self.study.dtype(result);
        let args = data.args.iter().map(|&arg| self.scalar(arg)).collect::<Result<Vec<Val>>>()?;
        let op = match &data.op {
            TileOp::Const(imm) => Op::Const(*imm),
            TileOp::Dim(dim) => Op::Dim(*dim),
            TileOp::Scalar(param) => Op::Scalar(*param),
            TileOp::Program(axis) => Op::Program(*axis),
            other => element_op(other, &args)?,
        };
        Ok(Home::Uniform(self.uniform(op, elem)))
    }

    /// An element-wise instruction over a tile; `None` for one that is computed where it is wanted.
    pub(super) fn element_wise(&mut self, result: Value, data: &InstData) -> Result<Option<Home>> {
        if let Some(form) = self.form_of(result, data)? {
            return Ok(Some(Home::Form(form)));
        }
        if self.study.free(result) {
            return Ok(None);
        }
        if let Some(dot) = self.fused_dot(result, data) {
            return Ok(Some(self.fused(dot, data)?));
        }
        let layout = self.layout_of(result)?;
        if let Some(shares) = self.late.get(&result).cloned() {
            return Ok(Some(Home::Partial(self.in_parts(result, data, &layout)?, shares)));
        }
        let val = self.compute(result, data, &layout)?;
        self.note_padding(val, data, &layout);
        Ok(Some(Home::Tile(val)))
    }

    /// An instruction on sums that are in parts.
    fn in_parts(&mut self, result: Value, data: &InstData, layout: &Layout<Axis>) -> Result<Val> {
        let mut args = Vec::new();
        for &arg in &data.args {
            args.push(match self.scope.homes.get(&arg) {
                Some(Home::Partial(val, _)) => *val,
                _ => self.operand(arg, layout)?,
            });
        }
        let elem = self.study.dtype(result);
        Ok(self.push(element_op(&data.op, &args)?, elem, Some(layout.clone())))
    }

    /// What absent lanes hold after an instruction, from what they held before: the -inf of a score becomes the 0 of its
    /// weight.
    fn note_padding(&mut self, val: Val, data: &InstData, layout: &Layout<Axis>) {
        const HIDDEN: f64 = f64::NEG_INFINITY;
        let held = |at: usize| {
            let from = *data.args.get(at)?;
            let source = match self.scope.homes.get(&from) {
                Some(Home::Tile(val)) => Some(*val),
                _ => self.scope.made.get(&(from, layout.clone())).copied(),
            };
            match self.padding.get(&source?) {
                Some((Imm::Float(x), axes)) => Some((*x, axes.clone())),
                _ => None,
            }
        };
        let kernel = self.kernel;
        let now = match data.op {
            TileOp::Cast => held(0).filter(|(x, _)| *x == 0.0),
            TileOp::Unary(UnaryOp::Exp2) => {
                held(0).filter(|(x, _)| *x == HIDDEN).map(|(_, axes)| (0.0, axes))
            }
            TileOp::Binary(BinaryOp::Mul) => [(0, 1), (1, 0)].into_iter().find_map(|(x, by)| {
                held(x).filter(|(x, _)| *x == HIDDEN && facts::positive(kernel, data.args[by]))
            }),
            TileOp::Binary(BinaryOp::Sub) => held(0)
                .filter(|(x, _)| *x == HIDDEN && facts::above_minus_infinity(kernel, data.args[1])),
            _ => None,
        };
        if let Some((x, axes)) = now {
            self.padding.insert(val, (Imm::Float(x), axes));
        }
    }

    /// A choice between a tile and a literal also fills the absent lanes with the literal: whoever must not see them
    /// asks for a zero or an infinity, most often the same one.
    fn select_present(
        &mut self,
        condition: Val,
        result: Value,
        layout: &Layout<Axis>,
    ) -> Result<Option<(Val, Vec<Axis>)>> {
        let axes = self.study.axes(result).into_iter().filter(|&axis| self.study.consumed(axis));
        let axes: Vec<Axis> = axes.collect();
        let mut all = condition;
        let mut filled = Vec::new();
        for axis in axes {
            if !self.has_absent(axis, layout) {
                continue;
            }
            filled.push(axis);
            if let Some((lanes, most)) = self.bounds.get(&all).cloned()
                && lanes.contains(&(axis, 1))
            {
                let count = self.present_lanes(axis);
                let op = Op::AtMostWithin { lanes, most, within: (axis, count) };
                all = self.push(op, DType::Bool, Some(layout.clone()));
                continue;
            }
            let Some(inside) = self.inside(axis, layout) else { continue };
            let shape = match self.program.layout(all) {
                Some(_) => layout.clone(),
                None => self.program.layout(inside).cloned().unwrap_or_else(|| layout.clone()),
            };
            let op = Op::Binary(BinaryOp::And, all, inside);
            all = self.push(op, DType::Bool, Some(shape));
        }
        Ok((!filled.is_empty()).then_some((all, filled)))
    }

    /// An integer tile as a sum, if it is one.
    fn form_of(&mut self, result: Value, data: &InstData) -> Result<Option<Form>> {
        if self.study.is_scalar(result) || self.study.dtype(result) != DType::I64 {
            return Ok(None);
        }
        match data.op {
            TileOp::Index(axis) => {
                let Some(range) = self.scope.axes.get(&axis).copied() else {
                    return Err(GpuError::bug("the index of an axis that is not declared"));
                };
                let factor = range.names.map_or(1, |(start, _)| prove::factor(self.kernel, start));
                let lanes = vec![(axis, 1)];
                Ok(Some(Form { uniform: Some(range.start), lanes, factor }))
            }
            TileOp::Splat => self.form(data.args[0]),
            TileOp::Binary(op @ (BinaryOp::Add | BinaryOp::Sub)) => {
                let (Some(a), Some(b)) = (self.form(data.args[0])?, self.form(data.args[1])?)
                else {
                    return Ok(None);
                };
                let sign = if op == BinaryOp::Add { 1 } else { -1 };
                let lanes = sum(&a.lanes, &b.lanes, sign);
                if lanes.iter().any(|(_, by)| by.abs() > MAX_COEFFICIENT) {
                    return Ok(None);
                }
                let uniform = match (a.uniform, b.uniform) {
                    (Some(a), Some(b)) => Some(self.int_op(op, a, b)),
                    (None, Some(b)) if sign < 0 => {
                        let zero = self.int(0);
                        Some(self.int_op(op, zero, b))
                    }
                    (a, b) => a.or(b),
                };
                Ok(Some(Form { uniform, lanes, factor: prove::gcd(a.factor, b.factor) }))
            }
            TileOp::Binary(BinaryOp::Mul) => {
                let literal = |value| match self.study.def(value).map(|data| &data.op) {
                    Some(TileOp::Const(Imm::Int(n))) if n.abs() <= MAX_COEFFICIENT => Some(*n),
                    _ => None,
                };
                let (x, by) = match (literal(data.args[0]), literal(data.args[1])) {
                    (_, Some(by)) => (data.args[0], by),
                    (Some(by), None) => (data.args[1], by),
                    (None, None) => return Ok(None),
                };
                let Some(form) = self.form(x)? else { return Ok(None) };
                let lanes: Lanes = form
                    .lanes
                    .iter()
                    .map(|&(axis, c)| (axis, c * by))
                    .filter(|(_, c)| *c != 0)
                    .collect();
                if lanes.iter().any(|(_, c)| c.abs() > MAX_COEFFICIENT) {
                    return Ok(None);
                }
                let factor = form.factor.saturating_mul(by.unsigned_abs());
                let uniform = match form.uniform {
                    Some(uniform) => {
                        let by = self.int(by);
                        Some(self.int_op(BinaryOp::Mul, uniform, by))
                    }
                    None => None,
                };
                Ok(Some(Form { uniform, lanes, factor }))
            }
            _ => Ok(None),
        }
    }

    /// An integer as a sum of lanes: scalars have none.
    pub(super) fn form(&mut self, value: Value) -> Result<Option<Form>> {
        if self.study.dtype(value) != DType::I64 {
            return Ok(None);
        }
        if self.study.is_scalar(value) {
            let uniform = Some(self.scalar(value)?);
            let factor = prove::factor(self.kernel, value);
            return Ok(Some(Form { uniform, lanes: Vec::new(), factor }));
        }
        Ok(match self.scope.homes.get(&value) {
            Some(Home::Form(form)) => Some(form.clone()),
            _ => None,
        })
    }

    /// The layout that was chosen for a tile, or one for wide accesses.
    pub(super) fn layout_of(&mut self, value: Value) -> Result<Layout<Axis>> {
        if let Some(layout) = self.classes.layout(value) {
            return Ok(layout.clone());
        }
        let axes: Vec<(Axis, u32)> =
            self.study.axes(value).into_iter().map(|a| (a, self.study.extent(a))).collect();
        let bytes = self.study.dtype(value).size_bytes() as u32;
        Ok(blocked(&axes, bytes, self.program.warps))
    }

    /// A layout without the axes that a value lacks.
    pub(super) fn narrow(&self, layout: &Layout<Axis>, value: Value) -> Layout<Axis> {
        let axes = self.study.axes(value);
        let missing = layout.axes().into_iter().filter(|axis| !axes.contains(axis));
        missing.fold(layout.clone(), |left, axis| left.without(axis))
    }

    /// A value as an operand of an instruction whose result has this layout: over all its axes, or
    /// fewer where it does not depend on them.
    pub(super) fn operand(&mut self, value: Value, layout: &Layout<Axis>) -> Result<Val> {
        let layout = self.narrow(layout, value);
        let key = (value, layout.clone());
        if let Some(val) = self.scope.made.get(&key) {
            return Ok(*val);
        }
        let val = match self.scope.homes.get(&value).cloned() {
            Some(Home::Uniform(val)) => return Ok(val),
            Some(Home::Tile(val)) if self.program.layout(val).is_none_or(|l| *l == layout) => {
                return Ok(val);
            }
            Some(Home::Tile(val)) => match self.load_again(value, &layout)? {
                Some(val) => val,
                None => self.converted(val, &layout)?,
            },
            Some(Home::Partial(val, shares)) => {
                let sum = self.combined(value, val, shares)?;
                self.scope.homes.insert(value, Home::Tile(sum));
                return self.operand(value, &layout);
            }
            Some(Home::Form(form)) => self.sum(&form, &layout),
            None => {
                let Some(data) = self.study.def(value) else {
                    return Err(GpuError::bug(format!("{value} is nowhere")));
                };
                if !self.study.free(value) {
                    return Err(GpuError::bug(format!("{value} has no value yet")));
                }
                self.compute(value, data, &layout)?
            }
        };
        self.scope.made.insert(key, val);
        Ok(val)
    }

    /// A value in exactly this layout.
    pub(super) fn full(&mut self, value: Value, layout: &Layout<Axis>) -> Result<Val> {
        let val = self.operand(value, layout)?;
        self.spread(val, layout)
    }

    /// A value over all axes of a layout, in it.
    pub(super) fn spread(&mut self, val: Val, layout: &Layout<Axis>) -> Result<Val> {
        if self.program.layout(val) == Some(layout) {
            return Ok(val);
        }
        let elem = self.program.elem(val);
        Ok(self.push(Op::Convert(val, Conversion::Free), elem, Some(layout.clone())))
    }

    fn sum(&mut self, form: &Form, layout: &Layout<Axis>) -> Val {
        let lanes = self.push(Op::Lanes(form.lanes.clone()), DType::I64, Some(layout.clone()));
        match form.uniform {
            Some(uniform) => {
                let op = Op::Binary(BinaryOp::Add, lanes, uniform);
                self.push(op, DType::I64, Some(layout.clone()))
            }
            None => lanes,
        }
    }

    /// Computes an element-wise instruction in a layout.
    fn compute(&mut self, result: Value, data: &InstData, layout: &Layout<Axis>) -> Result<Val> {
        if let TileOp::Splat = data.op {
            return self.operand(data.args[0], layout);
        }
        if let TileOp::Compare(op) = data.op
            && let (Some(a), Some(b)) = (self.form(data.args[0])?, self.form(data.args[1])?)
        {
            let lanes = sum(&a.lanes, &b.lanes, -1);
            let rest = match (a.uniform, b.uniform) {
                (Some(a), Some(b)) => self.int_op(BinaryOp::Sub, b, a),
                (None, Some(b)) => b,
                (Some(a), None) => {
                    let zero = self.int(0);
                    self.int_op(BinaryOp::Sub, zero, a)
                }
                (None, None) => self.int(0),
            };
            let bound = match op {
                CompareOp::Le => Some((lanes.clone(), rest)),
                CompareOp::Lt => {
                    let one = self.int(1);
                    Some((lanes.clone(), self.int_op(BinaryOp::Sub, rest, one)))
                }
                CompareOp::Ge => {
                    let zero = self.int(0);
                    Some((sum(&Lanes::new(), &lanes, -1), self.int_op(BinaryOp::Sub, zero, rest)))
                }
                CompareOp::Gt | CompareOp::Eq | CompareOp::Ne => None,
            };
            let val =
                self.push(Op::CompareLanes(op, lanes, rest), DType::Bool, Some(layout.clone()));
            if let Some(bound) = bound {
                self.bounds.insert(val, bound);
            }
            return Ok(val);
        }
        if let TileOp::Binary(op @ (BinaryOp::Div | BinaryOp::Rem)) = data.op
            && let Some(val) = self.division(op, data, layout)?
        {
            return Ok(val);
        }
        let mut args =
            data.args.iter().map(|&arg| self.operand(arg, layout)).collect::<Result<Vec<Val>>>()?;
        let elem = self.study.dtype(result);
        if let (TileOp::Select, Some(literal)) = (&data.op, self.float_literal(data.args.last()))
            && (literal == 0.0 || literal == f64::NEG_INFINITY)
            && let Some((condition, axes)) = self.select_present(args[0], result, layout)?
        {
            args[0] = condition;
            let op = element_op(&data.op, &args)?;
            let val = self.push(op, elem, Some(layout.clone()));
            self.padding.insert(val, (Imm::Float(literal), axes));
            return Ok(val);
        }
        // Nothing in it depends on the tile's axes.
        let uniform = args.iter().all(|&arg| self.program.layout(arg).is_none());
        let layout = if uniform { None } else { Some(layout.clone()) };
        Ok(self.push(element_op(&data.op, &args)?, elem, layout))
    }

    /// A uniform number and lanes, divided by a natural number that is not known yet. The uniform one is divided for all lanes at
    /// once, and what each has left to divide is less than the divisor and the lanes, so that 32 bits will do:
    ///
    /// ```text
    /// (u + lanes) / by = u / by + (u % by + lanes) / by        (u + lanes) % by = (u % by + lanes) % by
    /// ```
    fn division(
        &mut self,
        op: BinaryOp,
        data: &InstData,
        layout: &Layout<Axis>,
    ) -> Result<Option<Val>> {
        let (a, b) = (data.args[0], data.args[1]);
        let is_known = matches!(self.study.def(b), Some(InstData { op: TileOp::Const(_), .. }));
        if is_known || !self.study.is_scalar(b) || !prove::nonnegative(self.kernel, b) {
            return Ok(None);
        }
        let Some(whole @ Form { uniform: Some(uniform), .. }) = self.form(a)? else {
            return Ok(None);
        };
        if whole.lanes.iter().any(|(_, by)| *by < 0) {
            return Ok(None);
        }
        let divisor = self.scalar(b)?;
        let (zero, one) = (self.int(0), self.int(1));
        let by = self.int_op(BinaryOp::Max, divisor, one);
        let rest = self.int_op(BinaryOp::Rem, uniform, by);
        let rest = self.sum(&Form { uniform: Some(rest), ..whole.clone() }, layout);
        let shape = || Some(layout.clone());
        let part = self.push(Op::Binary(op, rest, by), DType::I64, shape());
        // By zero the quotient is 0 and the rest all.
        let (val, by_zero) = if op == BinaryOp::Div {
            let quotient = self.int_op(BinaryOp::Div, uniform, by);
            let sum = Op::Binary(BinaryOp::Add, part, quotient);
            (self.push(sum, DType::I64, shape()), zero)
        } else {
            (part, self.sum(&whole, layout))
        };
        let is_zero = self.compare(CompareOp::Eq, divisor, zero);
        Ok(Some(self.push(Op::Select(is_zero, by_zero, val), DType::I64, shape())))
    }

    /// The float that a scalar, or copies of one, is known to be.
    fn float_literal(&self, value: Option<&Value>) -> Option<f64> {
        let data = self.study.def(*value?)?;
        match data.op {
            TileOp::Const(Imm::Float(x)) => Some(x),
            TileOp::Splat => self.float_literal(data.args.first()),
            _ => None,
        }
    }

    /// A tile in another layout.
    pub(super) fn converted(&mut self, val: Val, layout: &Layout<Axis>) -> Result<Val> {
        let Some(from) = self.program.layout(val).cloned() else { return self.spread(val, layout) };
        if from == *layout {
            return Ok(val);
        }
        let elem = self.program.elem(val);
        let plan = convert(&from, layout, elem.size_bytes() as u32);
        match plan {
            Ok(Plan::Same) => Ok(val),
            Ok(plan @ (Plan::Registers(_) | Plan::Shuffles(_))) => {
                let op = Op::Convert(val, Conversion::Plan(plan, None));
                Ok(self.push(op, elem, Some(layout.clone())))
            }
            Ok(Plan::Shared(exchange)) => {
                // Integers are indices, mostly: copies wait for them, and all threads would meet twice for each.
                let is_index = matches!(elem, DType::I32 | DType::I64);
                let shuffles = || Shuffles::between(&from, layout, elem.size_bytes() as u32);
                if let Some(shuffles) = is_index.then(shuffles).flatten() {
                    let op = Op::Convert(val, Conversion::Plan(Plan::Shuffles(shuffles), None));
                    return Ok(self.push(op, elem, Some(layout.clone())));
                }
                let data = BufData {
                    name: self.name_of(val, "exchange"),
                    buffer: exchange.buffer,
                    slots: 1,
                    offset: 0,
                };
                let buf = self.program.buffers.push(data);
                self.through(val, buf, layout)
            }
            // The two cover different lanes past the end.
            Err(_) => {
                let buf = self.plain_buffer(val, layout)?;
                self.through(val, buf, layout)
            }
        }
    }

    fn through(&mut self, val: Val, buf: Buf, layout: &Layout<Axis>) -> Result<Val> {
        let slot = Slot { buf, slot: None };
        self.stmt(Vec::new(), Op::Put(val, slot));
        let elem = self.program.elem(val);
        Ok(self.push(Op::Get(slot), elem, Some(layout.clone())))
    }

    fn plain_buffer(&mut self, val: Val, to: &Layout<Axis>) -> Result<Buf> {
        let mut axes: Vec<(Axis, u32)> = Vec::new();
        if let Some(from) = self.program.layout(val) {
            for axis in from.axes().into_iter().chain(to.axes()) {
                if !axes.iter().any(|(other, _)| *other == axis) {
                    axes.push((axis, from.extent(axis).max(to.extent(axis))));
                }
            }
        }
        let elem = self.program.elem(val).size_bytes() as u32;
        let buffer = tilec_layout::Buffer::new(&axes, elem)
            .map_err(|error| GpuError::bug(error.to_string()))?;
        let name = self.name_of(val, "exchange");
        Ok(self.program.buffers.push(BufData { name, buffer, slots: 1, offset: 0 }))
    }

    pub(super) fn name_of(&self, val: Val, otherwise: &str) -> String {
        let name = self.program.values[val].name.clone();
        name.unwrap_or_else(|| otherwise.to_owned())
    }

    /// The elements of a tile that exist along some axes, and `otherwise` in place of the rest.
    pub(super) fn masked(&mut self, val: Val, axes: &[Axis], otherwise: Imm) -> Result<Val> {
        let Some(layout) = self.program.layout(val).cloned() else { return Ok(val) };
        let elem = self.program.elem(val);
        let mut masked = val;
        let filled = self.padding.get(&val).filter(|(literal, _)| *literal == otherwise);
        let filled = filled.map_or_else(Vec::new, |(_, axes)| axes.clone());
        for axis in axes.iter().copied().filter(|axis| !filled.contains(axis)) {
            let Some(inside) = self.inside(axis, &layout) else { continue };
            let other = self.uniform(Op::Const(otherwise), elem);
            masked = self.push(Op::Select(inside, masked, other), elem, Some(layout.clone()));
        }
        Ok(masked)
    }

    /// Whether lanes of an axis can be absent in a layout.
    fn has_absent(&self, axis: Axis, layout: &Layout<Axis>) -> bool {
        !self.kernel.axes[axis].full || layout.extent(axis) > self.study.extent(axis)
    }

    /// How many lanes of an axis are present.
    fn present_lanes(&mut self, axis: Axis) -> Val {
        let extent = self.int(i64::from(self.study.extent(axis)));
        match self.count(axis) {
            Some(present) if !self.kernel.axes[axis].full => {
                self.int_op(BinaryOp::Min, present, extent)
            }
            _ => extent,
        }
    }

    /// Whether each lane of an axis is present, if any can be absent.
    fn inside(&mut self, axis: Axis, layout: &Layout<Axis>) -> Option<Val> {
        if !self.has_absent(axis, layout) {
            return None;
        }
        let count = self.present_lanes(axis);
        // Over that axis alone: the others have copies.
        let others = layout.axes().into_iter().filter(|other| *other != axis);
        let narrow = others.fold(layout.clone(), |left, other| left.without(other));
        let op = Op::CompareLanes(CompareOp::Lt, vec![(axis, 1)], count);
        Some(self.push(op, DType::Bool, Some(narrow)))
    }

    /// How many lanes of an axis are present; may exceed its extent.
    pub(super) fn count(&mut self, axis: Axis) -> Option<Val> {
        let range = self.scope.axes.get(&axis).copied()?;
        Some(self.int_op(BinaryOp::Sub, range.end, range.start))
    }

    /// The zero of a type.
    pub(super) fn zero(elem: DType) -> Imm {
        match elem {
            DType::Bool => Imm::Bool(false),
            DType::I32 | DType::I64 => Imm::Int(0),
            DType::F16 | DType::BF16 | DType::F32 => Imm::Float(0.0),
        }
    }
}

/// An element-wise op on GPU values.
fn element_op(op: &TileOp, args: &[Val]) -> Result<Op> {
    Ok(match (op, args) {
        (TileOp::Unary(op), &[x]) => Op::Unary(*op, x),
        (TileOp::Binary(op), &[a, b]) => Op::Binary(*op, a, b),
        (TileOp::Compare(op), &[a, b]) => Op::Compare(*op, a, b),
        (TileOp::Select, &[condition, a, b]) => Op::Select(condition, a, b),
        (TileOp::Cast, &[x]) => Op::Cast(x),
        // A literal over no axes.
        (TileOp::Splat, &[x]) => Op::Convert(x, Conversion::Free),
        _ => return Err(GpuError::bug("an element-wise op with other operands")),
    })
}

/// `a + sign * b`.
fn sum(a: &Lanes, b: &Lanes, sign: i64) -> Lanes {
    let mut all = a.clone();
    for &(axis, by) in b {
        match all.iter_mut().find(|(other, _)| *other == axis) {
            Some((_, coefficient)) => *coefficient += sign * by,
            None => all.push((axis, sign * by)),
        }
    }
    all.retain(|(_, by)| *by != 0);
    all.sort_unstable_by_key(|(axis, _)| axis.index());
    all
}
