//! Variables through branches and loops: the making of SSA.
//!
//! A variable's value is a fact of the lowering, replaced at each assignment and logged, so that
//! an arm of an `if` can be undone before the other is lowered. What either arm has changed leaves
//! through the results of the `if`; what a loop's body assigns goes round through its parameters.
//! (Structured control flow makes this direct; compare Braun et al., "Simple and Efficient
//! Construction of Static Single Assignment Form", 2013, which needs no structure.)

use std::collections::BTreeMap;

use tilec_ir::{Axis, Block, Builder, Elem, Type, Value, limits};
use tilec_vocab::{Diagnostic, Span, codes};

use crate::lower::Lower;
use crate::scope::{Env, Thing, Var, VarId};

/// An `if` of which the first arm has been begun.
pub(crate) struct Branch {
    outer: Block,
    then: Block,
    otherwise: Option<Block>,
    mark: usize,
    vars: usize,
    first: BTreeMap<u32, Value>,
    span: Span,
}

/// A loop whose body has been begun.
pub(crate) struct Loop {
    outer: Block,
    body: Block,
    axis: Option<Axis>,
    bounds: (Value, Value),
    carried: Vec<VarId>,
    initial: Vec<Value>,
    span: Span,
    /// The loop's index.
    pub index: Value,
}

impl<'a> Lower<'a> {
    /// A new variable.
    pub fn declare_var(&mut self, env: Env, name: &'a str, span: Span, value: Value) -> Env {
        let id = VarId(self.vars.len() as u32);
        let ty = self.kernel.ty(value).clone();
        self.name_value(value, name);
        self.vars.push(Var { name, span, ty, value, frame: self.frame });
        self.scopes.bind(env, name, span, Thing::Var(id))
    }

    /// Gives a variable a value of its type.
    pub fn set_var(&mut self, id: VarId, value: Value) {
        let Some(var) = self.vars.get_mut(id.0 as usize) else { return };
        let (old, name) = (std::mem::replace(&mut var.value, value), var.name);
        self.log.push((id, old));
        self.name_value(value, name);
    }

    /// Undoes the assignments since `mark` to variables that were there before; what they held.
    fn undo(&mut self, mark: usize, vars: usize) -> BTreeMap<u32, Value> {
        let mut changed = BTreeMap::new();
        for &(id, _) in &self.log[mark..] {
            if (id.0 as usize) < vars {
                changed.insert(id.0, self.vars[id.0 as usize].value);
            }
        }
        while self.log.len() > mark {
            if let Some((id, old)) = self.log.pop() {
                self.vars[id.0 as usize].value = old;
            }
        }
        changed.retain(|&id, value| self.vars[id as usize].value != *value);
        changed
    }

    /// Begins an `if`: instructions go to its first arm.
    pub fn begin_if(&mut self, span: Span) -> Option<Branch> {
        let then = self.open_block(Vec::new(), span)?;
        let outer = std::mem::replace(&mut self.block, then);
        self.block_depth += 1;
        let (mark, vars) = (self.log.len(), self.vars.len());
        Some(Branch { outer, then, otherwise: None, mark, vars, first: BTreeMap::new(), span })
    }

    /// Goes on to the second arm.
    pub fn next_arm(&mut self, branch: &mut Branch) {
        branch.first = self.undo(branch.mark, branch.vars);
        let otherwise = self.build().new_block([]);
        self.block = otherwise;
        branch.otherwise = Some(otherwise);
    }

    /// Ends an `if`, in its second arm.
    pub fn end_if(&mut self, branch: Branch, condition: Value) {
        let second = self.undo(branch.mark, branch.vars);
        let Some(otherwise) = branch.otherwise else { return };
        self.block_depth -= 1;
        self.block = branch.outer;
        self.span = branch.span;
        let mut changed: Vec<u32> = branch.first.keys().chain(second.keys()).copied().collect();
        changed.sort_unstable();
        changed.dedup();
        if changed.len() > limits::OPERANDS {
            self.too_many_variables(changed.len(), branch.span);
            return;
        }
        let types: Vec<Type> =
            changed.iter().map(|&id| self.vars[id as usize].ty.clone()).collect();
        for (block, values) in [(branch.then, &branch.first), (otherwise, &second)] {
            let values: Vec<Value> = changed
                .iter()
                .map(|id| values.get(id).copied().unwrap_or(self.vars[*id as usize].value))
                .collect();
            let span = branch.span;
            Builder { kernel: &mut self.kernel, block, span }.yield_values(&values);
        }
        let results = self.build().if_else(condition, branch.then, otherwise, types);
        for (&id, &result) in changed.iter().zip(&results) {
            self.set_var(VarId(id), result);
        }
    }

    /// Begins a loop that assigns `carried`: instructions go to its body.
    pub fn begin_for(
        &mut self,
        axis: Option<Axis>,
        bounds: (Value, Value),
        carried: Vec<VarId>,
        span: Span,
    ) -> Option<Loop> {
        if carried.len() + 2 > limits::OPERANDS {
            self.too_many_variables(carried.len(), span);
            return None;
        }
        let vars = carried.iter().map(|id| self.vars[id.0 as usize].ty.clone());
        let types = std::iter::once(Type::scalar(Elem::I64)).chain(vars).collect();
        let body = self.open_block(types, span)?;
        let initial = carried.iter().map(|id| self.vars[id.0 as usize].value).collect();
        let outer = std::mem::replace(&mut self.block, body);
        self.block_depth += 1;
        let params = self.kernel.blocks[body].params.clone();
        for (&id, &param) in carried.iter().zip(&params[1..]) {
            self.set_var(id, param);
        }
        Some(Loop { outer, body, axis, bounds, carried, initial, span, index: params[0] })
    }

    /// Ends a loop.
    pub fn end_for(&mut self, looped: Loop) {
        self.span = looped.span;
        let values: Vec<Value> =
            looped.carried.iter().map(|id| self.vars[id.0 as usize].value).collect();
        self.build().yield_values(&values);
        self.block_depth -= 1;
        self.block = looped.outer;
        let (lo, hi) = looped.bounds;
        let results = self.build().for_loop(looped.axis, lo, hi, &looped.initial, looped.body);
        for (&id, &result) in looped.carried.iter().zip(&results) {
            self.set_var(id, result);
        }
    }

    #[cold]
    #[inline(never)]
    fn too_many_variables(&mut self, n: usize, span: Span) {
        self.exhausted = true;
        self.report(Diagnostic::error(
            codes::E0608,
            span,
            format!("{n} variables are assigned in here; at most {}", limits::OPERANDS - 2),
            "too many variables",
        ));
    }
}
