//! Loads, stores and adds.
//!
//! Loads go anywhere, in range or not. Stores begin with the indices that only this program has,
//! and give each other dimension an axis of its own or a scalar, so that no element is written by
//! two lanes. Adds of which the order does not matter may leave the program's own indices out.

use tilec_vocab::DType;

use super::track::Track;
use super::{Draw, Item, Output};
use crate::kernel::{Axis, Param, ParamType, Value};
use crate::ops::BinaryOp;
use crate::types::{AxisSet, Elem, Extent};

/// A tensor that the kernel writes.
#[derive(Clone, Copy)]
pub(super) struct Written {
    param: Param,
    err: f64,
}

/// A part of an output that only this program touches, and what holds of all that stands there
/// at any time: a loop may read what a later line wrote.
#[derive(Clone)]
pub(super) struct Region {
    param: Param,
    indices: Vec<Value>,
    track: Track,
}

impl Written {
    pub(super) fn output(&self) -> Output {
        Output { param: self.param, tolerance: self.err }
    }
}

impl Draw {
    pub(super) fn load(&mut self) -> Option<Item> {
        let tensors: Vec<Param> = self
            .kernel
            .params
            .iter()
            .filter(|(_, p)| matches!(p.ty, ParamType::Tensor { mutable: false, .. }))
            .map(|(id, _)| id)
            .collect();
        let tensor = self.rng.pick(&tensors);
        let ParamType::Tensor { elem: Elem::Known(dtype), ref dims, .. } =
            self.kernel.params[tensor].ty
        else {
            return None;
        };
        let mut indices = Vec::new();
        let mut axes = AxisSet::new();
        for _ in 0..dims.len() {
            let index = self.any_index(&axes)?;
            axes = axes.union(&self.ty(index).axes);
            indices.push(index.value);
        }
        let value = self.to().load(tensor, &indices);
        Some(self.keep(value, Track::input(dtype)))
    }

    /// Any integer at all, most often an axis, perhaps shifted, scaled or wrapped around.
    fn any_index(&mut self, axes: &AxisSet) -> Option<Item> {
        let mut index = self.find(|draw, item| {
            let ty = draw.ty(item);
            ty.elem == Elem::I64 && draw.small(&ty.axes.union(axes))
        })?;
        if self.rng.percent(30) {
            let op = self.rng.pick(&[
                BinaryOp::Add,
                BinaryOp::Sub,
                BinaryOp::Mul,
                BinaryOp::Div,
                BinaryOp::Rem,
                BinaryOp::Min,
                BinaryOp::Max,
            ]);
            let n = self.rng.between(-2, 9);
            let by = self.to().int(n);
            let track = index.track.binary(op, Track::int(9.0), DType::I64)?;
            let value = self.to().binary(op, index.value, by);
            index = self.keep(value, track);
        }
        Some(index)
    }

    /// Some value, to a new output.
    pub(super) fn store(&mut self) {
        // What is loaded in a loop and kept for long is not worth as much as what was computed.
        let item = self.find(|draw, item| draw.small(&draw.written_axes(item)));
        if let Some(item) = item {
            self.store_item(item);
        }
    }

    fn written_axes(&self, item: Item) -> AxisSet {
        self.own.iter().fold(self.ty(item).axes.clone(), |axes, own| {
            axes.union(&self.kernel.ty(own.index).axes)
        })
    }

    pub(super) fn store_item(&mut self, item: Item) {
        let dtype = self.dtype(item);
        let adds = dtype != DType::Bool && self.can_add(item, dtype) && self.rng.percent(25);
        // Where any order of adding gives the same, programs may meet.
        let meets = adds && (dtype.is_int() || self.depth == 0) && self.rng.percent(50);
        let mut own = self.own.clone();
        own.retain(|own| !(meets && self.kernel.ty(own.index).is_scalar()));
        let mut dims: Vec<Extent> = own.iter().map(|own| own.extent).collect();
        let mut indices: Vec<Value> = own.iter().map(|own| own.index).collect();
        let own: AxisSet =
            indices.iter().flat_map(|&index| self.kernel.ty(index).axes.iter()).collect();
        let axes: Vec<Axis> = self.ty(item).axes.iter().filter(|&a| !own.contains(a)).collect();
        for axis in axes {
            let (extent, index) = self.store_index(axis);
            dims.push(extent);
            indices.push(index);
        }
        if self.rng.percent(20) {
            dims.push(Extent::Const(3));
            indices.push(match self.bound() {
                Some(bound) => bound.value,
                None => return,
            });
        }
        let name = format!("o{}", self.outputs.len());
        let elem = Elem::Known(dtype);
        let param = self.param(name, ParamType::Tensor { elem, dims, mutable: true });
        let mut to = self.to();
        match adds {
            true => to.atomic_add(param, item.value, &indices),
            false => to.store(param, item.value, &indices),
        }
        self.outputs.push(Written { param, err: item.track.err });
        if !adds && item.track.is_equal() {
            let input = Track::input(dtype);
            let grain = item.track.grain.map(|grain| grain.max(4));
            let track = Track { max: item.track.max.max(64.0), grain, err: 0.0 }.either(input);
            self.regions.push(Region { param, indices, track });
        }
    }

    /// Reads or writes once more what was written before, so that order within a program matters.
    pub(super) fn again(&mut self) -> Option<Item> {
        let region = self.regions.get(self.rng.below(self.regions.len()))?.clone();
        let indices = region.indices.iter();
        let axes =
            indices.fold(AxisSet::new(), |axes, &index| axes.union(&self.kernel.ty(index).axes));
        if self.rng.percent(60) {
            let small = self.small(&axes);
            return small.then(|| {
                let value = self.to().load(region.param, &region.indices);
                self.keep(value, region.track)
            });
        }
        let ParamType::Tensor { elem, .. } = self.kernel.params[region.param].ty else {
            return None;
        };
        let item = self.find(|draw, item| {
            let ty = draw.ty(item);
            ty.elem == elem && ty.axes.is_subset(&axes) && item.track.within(region.track)
        })?;
        self.to().store(region.param, item.value, &region.indices);
        Some(item)
    }

    /// Whether adds of it come to the same in any order: integers wrap, and the sum of so small
    /// floats of every program is exact.
    fn can_add(&self, item: Item, dtype: DType) -> bool {
        let exact = Track { max: 64.0, grain: Some(4), err: 0.0 };
        dtype.is_int() || (dtype == DType::F32 && item.track.within(exact))
    }

    /// An axis as the index of an output's dimension: as it is, or shifted so that some lanes
    /// fall outside.
    fn store_index(&mut self, axis: Axis) -> (Extent, Value) {
        let lanes = match self.kernel.axes[axis].extent {
            Extent::Const(n) => n,
            Extent::Generic(_) | Extent::Dim(_) => 1,
        };
        let extent = match self.rng.below(3) {
            0 => Extent::Const(lanes),
            1 => Extent::Const((lanes - 1).max(1)),
            _ => self.dim("N"),
        };
        let mut index = self.to().index(axis);
        if self.rng.percent(30) {
            let n = self.rng.between(-3, 3);
            let mut to = self.to();
            let by = to.int(n);
            index = to.binary(BinaryOp::Sub, index, by);
        }
        (extent, index)
    }
}
