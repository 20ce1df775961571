//! Reductions.

use tilec_ir::{Axis, Imm, Inst, ReduceOp, Value};
use tilec_layout::{Buffer, Layout, Reduction, Shares};
use tilec_vocab::DType;

use super::{Home, Lower};
use crate::error::{GpuError, Result};
use crate::gir::{Buf, BufData, Op, Val};

impl Lower<'_> {
    /// Combines a tile over axes.
    pub(super) fn reduce(&mut self, inst: Inst, op: ReduceOp, over: &[Axis]) -> Result<Home> {
        let data = self.study.data(inst);
        let (value, result) = (data.args[0], data.results[0]);
        let layout = self.layout_of(value)?;
        let whole = self.full(value, &layout)?;
        let elem = self.program.elem(whole);
        let masked = self.masked(whole, over, op.identity(elem))?;
        self.reduce_val(op, masked, over, elem, self.late.contains_key(&data.results[0]), result)
    }

    /// As [`Lower::reduce`], of a tile whose absent lanes are harmless.
    pub(super) fn reduce_val(
        &mut self,
        op: ReduceOp,
        value: Val,
        over: &[Axis],
        elem: DType,
        partial: bool,
        result: Value,
    ) -> Result<Home> {
        // 16-bit sums are rounded once.
        let wide = op == ReduceOp::Sum && matches!(elem, DType::F16 | DType::BF16);
        let sum_elem = if wide { DType::F32 } else { elem };
        let mut layout = self.program.layout(value).cloned().unwrap_or_else(Layout::scalar);
        let value =
            if wide { self.push(Op::Cast(value), DType::F32, Some(layout.clone())) } else { value };
        let mut steps: Vec<Reduction<Axis>> = Vec::new();
        for &axis in over {
            let step = layout.reduce(axis);
            layout = step.result.clone();
            steps.push(step);
        }
        let shares = Shares::of(&steps);
        let through = match partial {
            true => None,
            false => self.by_warp(op, &shares, &layout, sum_elem)?,
        };
        let scalar = self.study.is_scalar(result);
        let shape = if scalar { None } else { Some(layout) };
        let op = Op::Reduce { op, value, steps, partial, through };
        let mut val = self.push(op, sum_elem, shape.clone());
        if wide {
            val = self.push(Op::Cast(val), elem, shape);
        }
        Ok(match (scalar, partial) {
            (true, _) => Home::Uniform(val),
            (false, true) => Home::Partial(val, shares),
            (false, false) => Home::Tile(val),
        })
    }

    /// Room for a row of results from each warp, where warps hold shares of them.
    fn by_warp(
        &mut self,
        op: ReduceOp,
        shares: &Shares,
        layout: &Layout<Axis>,
        elem: DType,
    ) -> Result<Option<Buf>> {
        if !shares.crosses_warps() {
            return Ok(None);
        }
        let axes: Vec<(Axis, u32)> = layout.shape().into_iter().collect();
        let buffer = Buffer::new(&axes, elem.size_bytes() as u32)
            .map_err(|error| GpuError::bug(error.to_string()))?;
        let name = format!("{}_by_warp", op.name());
        let slots = self.program.warps;
        Ok(Some(self.program.buffers.push(BufData { name, buffer, slots, offset: 0 })))
    }

    /// What was left in parts, combined.
    pub(super) fn combined(&mut self, value: Value, val: Val, shares: Shares) -> Result<Val> {
        let (op, elem) = (ReduceOp::Sum, self.program.elem(val));
        let layout = self.program.layout(val).cloned().unwrap_or_else(Layout::scalar);
        let through = self.by_warp(op, &shares, &layout, elem)?;
        let sum = self.push(Op::Combine { op, value: val, shares, through }, elem, Some(layout));
        self.program.values[sum].name.clone_from(&self.kernel.values[value].name);
        Ok(sum)
    }

    /// Whether a literal is zero.
    pub(super) fn is_zero(imm: Imm) -> bool {
        imm == Imm::Float(0.0) || imm == Imm::Int(0)
    }
}
