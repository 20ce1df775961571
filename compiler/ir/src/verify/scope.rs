//! Third layer: what is visible where. Walks blocks in program order; `types` looks at each
//! instruction on the way.

use super::{Checker, Rule};
use crate::entity::Entity;
use crate::kernel::{Axis, Block, Inst, Value};
use crate::limits;
use crate::ops::Op;
use crate::types::{Extent, Type};

/// Where the walk stands with an axis.
#[derive(Clone, Copy, PartialEq)]
enum Declared {
    NotYet,
    Here,
    Before,
}

struct Scope {
    visible: Vec<bool>,
    axes: Vec<Declared>,
}

impl Checker<'_> {
    pub(super) fn scopes(&mut self) {
        let mut scope = Scope {
            visible: vec![false; self.kernel.values.len()],
            axes: vec![Declared::NotYet; self.kernel.axes.len()],
        };
        self.block(self.kernel.body, None, &mut scope);
    }

    fn block(&mut self, block: Block, owner: Option<Inst>, scope: &mut Scope) {
        let data = &self.kernel.blocks[block];
        let mut values: Vec<Value> = Vec::new();
        let mut axes: Vec<Axis> = Vec::new();
        for &param in &data.params {
            self.define(param, owner, scope);
            values.push(param);
        }
        if owner.is_none() && !data.params.is_empty() {
            self.report(Rule::Shape, None, "the body has parameters");
        }
        for &inst in &data.insts {
            self.uses(inst, scope);
            let op = &self.kernel.insts[inst].op;
            if let Op::Axis(axis) = *op {
                self.declare(axis, inst, scope);
                axes.push(axis);
            }
            self.types(inst, owner);
            if let Op::For(Some(axis)) = *op {
                self.declare(axis, inst, scope);
            }
            for &nested in &self.kernel.insts[inst].blocks {
                self.block(nested, Some(inst), scope);
            }
            if let Op::For(Some(axis)) = *op {
                scope.axes[axis.index()] = Declared::Before;
            }
            for &result in &self.kernel.insts[inst].results {
                self.define(result, Some(inst), scope);
                values.push(result);
            }
        }
        values.into_iter().for_each(|value| scope.visible[value.index()] = false);
        axes.into_iter().for_each(|axis| scope.axes[axis.index()] = Declared::Before);
    }

    fn uses(&mut self, inst: Inst, scope: &Scope) {
        let data = &self.kernel.insts[inst];
        for &arg in &data.args {
            if !scope.visible[arg.index()] {
                let name = self.names.value(arg).to_string();
                self.report(Rule::Visible, inst, format!("{name} is not visible here"));
            }
        }
        let named: &[Axis] = match &data.op {
            Op::Index(axis) => std::slice::from_ref(axis),
            Op::Reduce(_, over) | Op::Dot(over, _) => over,
            _ => &[],
        };
        named.iter().for_each(|&axis| self.axis_in_scope(axis, inst, scope));
    }

    fn axis_in_scope(&mut self, axis: Axis, inst: impl Into<Option<Inst>>, scope: &Scope) {
        if scope.axes[axis.index()] != Declared::Here {
            let name = self.names.axis(axis).to_string();
            self.report(Rule::AxisScope, inst, format!("axis {name} is not in scope here"));
        }
    }

    fn declare(&mut self, axis: Axis, inst: Inst, scope: &mut Scope) {
        let name = self.names.axis(axis).to_string();
        if scope.axes[axis.index()] != Declared::NotYet {
            self.report(Rule::DeclaredOnce, inst, format!("axis {name} has been declared before"));
        }
        scope.axes[axis.index()] = Declared::Here;
        let extent = self.kernel.axes[axis].extent;
        if !self.extent_is_sound(extent) {
            self.report(Rule::Generics, inst, format!("the extent of {name}"));
        }
        match extent {
            Extent::Const(n) if !(1..=limits::TILE_ELEMENTS).contains(&n) => {
                self.report(Rule::Extents, inst, format!("axis {name} has {n} lanes"));
            }
            Extent::Dim(_) => {
                let is_axis = matches!(self.kernel.insts[inst].op, Op::Axis(_));
                if !(is_axis && self.kernel.grid.is_empty()) {
                    let message = format!("the extent of {name} is a run-time dimension");
                    self.report(Rule::RuntimeExtents, inst, message);
                }
            }
            Extent::Const(_) | Extent::Generic(_) => {}
        }
    }

    fn define(&mut self, value: Value, inst: Option<Inst>, scope: &mut Scope) {
        scope.visible[value.index()] = true;
        let ty = &self.kernel.values[value].ty;
        for axis in ty.axes.iter() {
            self.axis_in_scope(axis, inst, scope);
        }
        if !self.elem_is_sound(ty.elem) {
            let name = self.names.value(value).to_string();
            self.report(Rule::Generics, inst, format!("the type of {name}"));
        }
        self.tile_size(ty, inst);
    }

    /// Known extents only; what is still generic is checked once it is bound.
    pub(super) fn tile_size(&mut self, ty: &Type, inst: Option<Inst>) {
        let lanes = |axis: Axis| match self.kernel.axes[axis].extent {
            Extent::Const(n) => n.max(1),
            Extent::Generic(_) | Extent::Dim(_) => 1,
        };
        let elements =
            ty.axes.iter().fold(1_i64, |product, axis| product.saturating_mul(lanes(axis)));
        if elements > limits::TILE_ELEMENTS {
            let shown = self.names.ty(ty).to_string();
            self.report(Rule::TileSize, inst, format!("{shown} has {elements} elements"));
        }
    }
}
