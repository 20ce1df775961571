//! Loads and stores: indices as sums, what must be checked, how wide an access may be.

use tilec_ir::{Axis, BinaryOp, CompareOp, DimId, Extent, Op as TileOp, Param, ParamType, Value};
use tilec_layout::{Layout, blocked, convert};
use tilec_vocab::DType;

use super::{Form, Home, Lower, Uniform};
use crate::error::{GpuError, Result};
use crate::gir::{Access, Index, Op, Val};
use crate::prove::{self, Bound};

/// Bytes of the widest access.
const WIDEST_BYTES: u64 = 16;
/// A tile with so few elements a thread is stored as it lies.
const FEW_ELEMENTS: u32 = 4;

impl Lower<'_> {
    /// A load into registers.
    pub(super) fn load(&mut self, result: Value, param: Param, indices: &[Value]) -> Result<Home> {
        if self.study.is_scalar(result) {
            let access = self.access(param, indices, &[], None)?;
            return Ok(Home::Uniform(self.uniform(Op::Load(access), self.study.dtype(result))));
        }
        let layout = self.layout_of(result)?;
        Ok(Home::Tile(self.load_in(result, param, indices, &layout)?))
    }

    fn load_in(
        &mut self,
        result: Value,
        param: Param,
        indices: &[Value],
        layout: &Layout<Axis>,
    ) -> Result<Val> {
        let axes = self.study.axes(result);
        let access = self.access(param, indices, &axes, Some(layout))?;
        Ok(self.push(Op::Load(access), self.study.dtype(result), Some(layout.clone())))
    }

    /// A vector that is wanted in another layout is read once more rather than sent around, where nobody writes it.
    pub(super) fn load_again(
        &mut self,
        value: Value,
        layout: &Layout<Axis>,
    ) -> Result<Option<Val>> {
        let Some(data) = self.study.def(value) else { return Ok(None) };
        let TileOp::Load(param) = data.op else { return Ok(None) };
        if self.study.written(param) || self.study.axes(value).len() > 1 {
            return Ok(None);
        }
        for &index in &data.args {
            // Else the index would be sent around instead.
            if self.form(index)?.is_none() {
                return Ok(None);
            }
        }
        self.load_in(value, param, &data.args, layout).map(Some)
    }

    /// A store or an atomic addition; `args` are the value and the indices.
    pub(super) fn store(&mut self, param: Param, args: &[Value], atomic: bool) -> Result<()> {
        let (value, indices) = (args[0], &args[1..]);
        let mut axes: Vec<Axis> = Vec::new();
        for &index in indices {
            for axis in self.study.axes(index) {
                axes.retain(|other| *other != axis);
                axes.push(axis);
            }
        }
        let (layout, val) = if axes.is_empty() {
            (None, self.scalar(value)?)
        } else {
            let layout = self.store_layout(value, &axes, param, atomic)?;
            let val = self.full(value, &layout)?;
            (Some(layout), val)
        };
        let access = self.access(param, indices, &axes, layout.as_ref())?;
        let op = if atomic { Op::AtomicAdd(access, val) } else { Op::Store(access, val) };
        self.stmt(Vec::new(), op);
        Ok(())
    }

    /// The layout in which a tile is stored: as it lies, unless it pays to gather whole rows first.
    fn store_layout(
        &mut self,
        value: Value,
        axes: &[Axis],
        param: Param,
        atomic: bool,
    ) -> Result<Layout<Axis>> {
        let bytes = self.study.param_dtype(param).size_bytes() as u32;
        let extents: Vec<(Axis, u32)> =
            axes.iter().map(|&axis| (axis, self.study.extent(axis))).collect();
        let wide = blocked(&extents, bytes, self.program.warps);
        let same_axes = self.study.axes(value).len() == axes.len();
        let Some(lies) = self.classes.layout(value).filter(|_| same_axes).cloned() else {
            return Ok(wide);
        };
        let Some(&last) = axes.last() else { return Ok(lies) };
        let run = lies.contiguous(last).min(wide.contiguous(last)) * bytes;
        let rows = self.options.facts.get(tilec_ir::Entity::index(param));
        let aligned = rows.is_some_and(|facts| facts.rows_of_16_bytes);
        let few = lies.count(tilec_layout::Place::Register) <= FEW_ELEMENTS;
        let gather = self.options.wide_stores
            && aligned
            && !atomic
            && !few
            && u64::from(run) < WIDEST_BYTES
            && convert(&lies, &wide, bytes).is_ok();
        Ok(if gather { wide } else { lies })
    }

    /// The elements that an access over `axes` is to. `layout` is that of the access, for indices that are no sums.
    pub(super) fn access(
        &mut self,
        param: Param,
        indices: &[Value],
        axes: &[Axis],
        layout: Option<&Layout<Axis>>,
    ) -> Result<Access> {
        let ParamType::Tensor { dims: extents, .. } = &self.kernel.params[param].ty else {
            return Err(GpuError::bug("an access to a number"));
        };
        let mut all_inside: Option<Val> = None;
        let mut provable = true;
        let mut dims = Vec::new();
        let mut vector = 1;
        for (dim, (&index, &extent)) in indices.iter().zip(extents).enumerate() {
            let last = dim + 1 == indices.len();
            let Some(form) = self.form(index)? else {
                provable = false;
                dims.push(self.tile_index(index, layout)?);
                continue;
            };
            if last {
                vector = self.vector(param, &form);
            }
            let check = !self.proven(index, &form, extent);
            if check {
                let inside = self.form_inside(&form, extent);
                all_inside = Some(self.both(all_inside, inside));
            }
            let Form { uniform, lanes, .. } = form;
            dims.push(Index { uniform, lanes, tile: None, check });
        }
        let mut present = Vec::new();
        for &axis in axes {
            if self.kernel.axes[axis].full {
                continue;
            }
            let Some(count) = self.count(axis) else {
                return Err(GpuError::bug("an access along an axis that is not declared"));
            };
            let extent = self.int(i64::from(self.study.extent(axis)));
            let whole = self.compare(CompareOp::Ge, count, extent);
            all_inside = Some(self.both(all_inside, whole));
            present.push((axis, count));
        }
        let all_inside = all_inside.filter(|_| provable);
        Ok(Access { param, dims, present, all_inside, vector })
    }

    /// An index that is no sum.
    fn tile_index(&mut self, index: Value, layout: Option<&Layout<Axis>>) -> Result<Index> {
        // Widened where it is wanted, so that half of it moves.
        let index = match self.study.def(index) {
            Some(data) if data.op == TileOp::Cast && self.is_short_tile(data.args[0]) => {
                data.args[0]
            }
            _ => index,
        };
        let (mut val, elem) = match layout {
            Some(layout) => (self.operand(index, layout)?, self.study.dtype(index)),
            None => (self.scalar(index)?, self.study.dtype(index)),
        };
        let shape = self.program.layout(val).cloned();
        if elem != DType::I64 {
            val = self.push(Op::Cast(val), DType::I64, shape.clone());
        }
        let check = true;
        Ok(match shape {
            Some(_) => Index { tile: Some(val), check, ..Index::default() },
            None => Index { uniform: Some(val), check, ..Index::default() },
        })
    }

    fn is_short_tile(&self, value: Value) -> bool {
        self.study.dtype(value) == DType::I32 && !self.study.is_scalar(value)
    }

    /// Whether an index is inside its dimension wherever its lanes are present.
    fn proven(&self, index: Value, form: &Form, extent: Extent) -> bool {
        let bound = match extent {
            Extent::Const(lanes) => Bound::Int(lanes),
            Extent::Dim(dim) => Bound::Dim(dim, 1),
            Extent::Generic(_) => return false,
        };
        if form.lanes.is_empty() {
            return prove::nonnegative(self.kernel, index)
                && prove::less(self.kernel, index, bound);
        }
        let Some(data) = self.study.def(index) else { return false };
        let TileOp::Index(axis) = data.op else { return false };
        let names = self.scope.axes.get(&axis).and_then(|range| range.names);
        names.is_some_and(|(start, end)| {
            prove::nonnegative(self.kernel, start) && prove::at_most(self.kernel, end, bound)
        })
    }

    /// Whether a sum is inside a dimension in every lane.
    fn form_inside(&mut self, form: &Form, extent: Extent) -> Val {
        let reach = |by: i64, axis: Axis| by * (i64::from(self.study.extent(axis)) - 1);
        let least: i64 = form.lanes.iter().map(|&(axis, by)| reach(by, axis).min(0)).sum();
        let most: i64 = form.lanes.iter().map(|&(axis, by)| reach(by, axis).max(0)).sum();
        let (least, most) = (self.int(least), self.int(most));
        let (lowest, highest) = match form.uniform {
            Some(uniform) => (
                self.int_op(BinaryOp::Add, uniform, least),
                self.int_op(BinaryOp::Add, uniform, most),
            ),
            None => (least, most),
        };
        let zero = self.int(0);
        let end = self.extent_val(extent);
        let above = self.compare(CompareOp::Ge, lowest, zero);
        let below = self.compare(CompareOp::Lt, highest, end);
        self.both(Some(above), below)
    }

    /// Whether a scalar index is inside its dimension, where that is not proven.
    pub(super) fn index_inside(&mut self, param: Param, dim: usize, index: Value) -> Result<()> {
        let ParamType::Tensor { dims, .. } = &self.kernel.params[param].ty else { return Ok(()) };
        if let (Some(form), Some(&extent)) = (self.form(index)?, dims.get(dim))
            && !self.proven(index, &form, extent)
        {
            self.form_inside(&form, extent);
        }
        Ok(())
    }

    fn extent_val(&mut self, extent: Extent) -> Val {
        match extent {
            Extent::Const(lanes) => self.int(lanes),
            Extent::Dim(dim) => self.dim(dim),
            Extent::Generic(_) => self.int(0),
        }
    }

    fn dim(&mut self, dim: DimId) -> Val {
        self.once(Uniform::Dim(dim))
    }

    /// How many elements along the last dimension may be moved at once.
    fn vector(&self, param: Param, form: &Form) -> u32 {
        let facts = self.options.facts.get(tilec_ir::Entity::index(param));
        if !facts.is_some_and(|facts| facts.rows_of_16_bytes) {
            return 1;
        }
        let widest = WIDEST_BYTES / self.study.param_dtype(param).size_bytes() as u64;
        let mut along = 0;
        let mut whole = form.factor;
        for &(_, by) in &form.lanes {
            if by == 1 {
                along += 1;
            } else {
                whole = prove::gcd(whole, by.unsigned_abs());
            }
        }
        if along != 1 {
            return 1;
        }
        // The largest power of two that divides both; a uniform part of 0 is a multiple of all.
        let width = if whole == 0 { widest } else { prove::gcd(widest, whole) };
        u32::try_from(width).unwrap_or(1)
    }
}
