//! What values and axes are called in text.
//!
//! Values are numbered in the order in which text defines them and carry the source name as a
//! hint: `%top.3`, or `%3` where there is none. Axes go by their source name, with a number where
//! the name was taken: `n`, `n.1`. Neither depends on how the tables happen to be filled, so two
//! kernels that differ in numbering only have one text.

use std::collections::BTreeMap;
use std::fmt;

use crate::entity::Entity;
use crate::kernel::{Axis, Block, Kernel, Value};
use crate::ops::Op;
use crate::types::{AxisSet, Elem, Extent, Type};

/// The names of one kernel's values and axes.
pub struct Names<'k> {
    kernel: &'k Kernel,
    values: Vec<Option<u32>>,
    axes: Vec<Option<AxisName>>,
    value_count: u32,
    axis_count: u32,
    taken: BTreeMap<&'k str, u32>,
}

#[derive(Clone, Copy)]
struct AxisName {
    /// Position among the axes in order of text.
    rank: u32,
    /// How many axes before it have its name.
    repeat: u32,
}

impl<'k> Names<'k> {
    /// Names all that is reachable from the body. Works for kernels that do not verify.
    pub fn new(kernel: &'k Kernel) -> Names<'k> {
        let mut names = Names {
            kernel,
            values: vec![None; kernel.values.len()],
            axes: vec![None; kernel.axes.len()],
            value_count: 0,
            axis_count: 0,
            taken: BTreeMap::new(),
        };
        names.visit();
        names
    }

    /// Depth first with a stack of its own; a block is entered once even if ownership is broken.
    fn visit(&mut self) {
        let kernel = self.kernel;
        let mut entered = vec![false; kernel.blocks.len()];
        let mut stack: Vec<(Block, usize)> = vec![(kernel.body, 0)];
        while let Some((block, at)) = stack.pop() {
            let Some(data) = kernel.blocks.get(block) else { continue };
            if at == 0 {
                if std::mem::replace(&mut entered[block.index()], true) {
                    continue;
                }
                data.params.iter().for_each(|&value| self.name_value(value));
            }
            let Some(&inst) = data.insts.get(at) else { continue };
            stack.push((block, at + 1));
            let Some(inst) = kernel.insts.get(inst) else { continue };
            inst.results.iter().for_each(|&value| self.name_value(value));
            if let Op::Axis(axis) | Op::For(Some(axis)) = inst.op {
                self.name_axis(axis);
            }
            stack.extend(inst.blocks.iter().rev().map(|&nested| (nested, 0)));
        }
    }

    fn name_value(&mut self, value: Value) {
        if let Some(slot @ None) = self.values.get_mut(value.index()) {
            *slot = Some(self.value_count);
            self.value_count += 1;
        }
    }

    fn name_axis(&mut self, axis: Axis) {
        if let Some(slot @ None) = self.axes.get_mut(axis.index()) {
            let taken = self.taken.entry(&self.kernel.axes[axis].name).or_default();
            *slot = Some(AxisName { rank: self.axis_count, repeat: *taken });
            *taken += 1;
            self.axis_count += 1;
        }
    }

    /// `%3`, `%top.3`; `%?17` for what no reachable block defines.
    pub fn value(&self, value: Value) -> impl fmt::Display + use<> {
        match (self.values.get(value.index()), self.kernel.values.get(value)) {
            (Some(Some(number)), Some(data)) => match &data.name {
                Some(name) => format!("%{name}.{number}"),
                None => format!("%{number}"),
            },
            _ => format!("%?{}", value.index()),
        }
    }

    /// `n`, `n.1`; `?n` for an axis that no reachable instruction declares.
    pub fn axis(&self, axis: Axis) -> impl fmt::Display + use<> {
        match (self.axes.get(axis.index()), self.kernel.axes.get(axis)) {
            (Some(Some(AxisName { repeat: 0, .. })), Some(data)) => data.name.clone(),
            (Some(Some(AxisName { repeat, .. })), Some(data)) => format!("{}.{repeat}", data.name),
            (_, Some(data)) => format!("?{}", data.name),
            (_, None) => format!("?{axis}"),
        }
    }

    /// `f32[m, n]`, axes in order of text.
    pub fn ty(&self, ty: &Type) -> impl fmt::Display + use<> {
        let elem = self.elem(ty.elem);
        if ty.is_scalar() { elem } else { format!("{elem}[{}]", self.axis_set(&ty.axes)) }
    }

    /// `m, n`, in order of text.
    pub fn axis_set(&self, axes: &AxisSet) -> String {
        let mut axes: Vec<Axis> = axes.iter().collect();
        axes.sort_by_key(|&axis| match self.axes.get(axis.index()) {
            Some(Some(name)) => (name.rank, 0),
            _ => (u32::MAX, axis.index()),
        });
        self.axis_list(&axes)
    }

    /// `m, n`, in the order given.
    pub fn axis_list(&self, axes: &[Axis]) -> String {
        let names: Vec<String> = axes.iter().map(|&axis| self.axis(axis).to_string()).collect();
        names.join(", ")
    }

    /// `%1, %2`.
    pub fn values(&self, values: &[Value]) -> String {
        let names: Vec<String> = values.iter().map(|&v| self.value(v).to_string()).collect();
        names.join(", ")
    }

    /// `f32`, `T`.
    pub fn elem(&self, elem: Elem) -> String {
        match elem {
            Elem::Known(dtype) => dtype.name().to_owned(),
            Elem::Generic(generic, _) => match self.kernel.generics.get(generic) {
                Some(data) => data.name.clone(),
                None => format!("?{generic}"),
            },
        }
    }

    /// `64`, `BM`, `N`.
    pub fn extent(&self, extent: Extent) -> String {
        match extent {
            Extent::Const(value) => value.to_string(),
            Extent::Generic(generic) => match self.kernel.generics.get(generic) {
                Some(data) => data.name.clone(),
                None => format!("?{generic}"),
            },
            Extent::Dim(dim) => match self.kernel.dims.get(dim) {
                Some(data) => data.name.clone(),
                None => format!("?{dim}"),
            },
        }
    }
}
