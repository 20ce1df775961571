//! Evaluates what is known at compile time and drops what changes nothing.
//!
//! ```text
//! %2: i64 = const 64     %3: i64 = const 2     %4: i64 = div %2, %3     -> %4: i64 = const 32
//! %5: i64[m] = add %1, %0   (%0 = 0)                                    -> %1
//! %6: f32 = select %true, %a, %b                                        -> %a
//! if %true { a } else { b }                                             -> a
//! for %i = %9 .. %3 { … }   (9 >= 3)                                    -> its initial values
//! a loop that carries a value and always yields it unchanged            -> the initial value
//! ```
//!
//! After `specialise`, which turns knobs and constants into literals.
//!
//! # Numerics
//!
//! Never changes a float result, the sign of a zero and the presence of a NaN included: `x * 1`
//! and `x - 0.0` go, `x * 0`, `x + 0.0` and `x - x` stay, nothing is reassociated, and `exp` and its
//! kin are left to the target. Integers wrap, so any identity modulo 2^64 holds.

mod eval;
mod identities;

use tilec_ir::{Block, Builder, Copier, Entity, Imm, Inst, InstData, Kernel, Op, Type, Value};
use tilec_vocab::Bug;

use crate::rewrite::{Rewrite, rewrite};

/// Rounds after which it rests: one is enough but where a loop's carried value turns out constant.
const ROUNDS: usize = 16;

/// Runs the pass.
///
/// # Errors
///
/// None; the signature is that of all passes.
pub fn run(kernel: &Kernel) -> Result<Kernel, Bug> {
    let (mut kernel, mut changed) = round(kernel);
    for _ in 1..ROUNDS {
        if !changed {
            break;
        }
        (kernel, changed) = round(&kernel);
    }
    Ok(kernel)
}

fn round(kernel: &Kernel) -> (Kernel, bool) {
    let mut uses = vec![0_usize; kernel.values.len()];
    for inst in kernel.walk() {
        kernel.insts[inst].args.iter().for_each(|arg| uses[arg.index()] += 1);
    }
    let mut fold = Fold { old: kernel, copier: Copier::new(), uses, changed: false };
    let new = rewrite(kernel, &mut fold);
    (new, fold.changed)
}

/// What an instruction comes to.
enum Folded {
    /// A value of the same element type, over the same axes or fewer.
    Value(Value),
    /// A literal in every lane.
    Imm(Imm),
}

struct Fold<'k> {
    old: &'k Kernel,
    copier: Copier,
    /// How often each old value is an operand.
    uses: Vec<usize>,
    changed: bool,
}

impl<'k> Rewrite<'k> for Fold<'k> {
    fn old(&self) -> &'k Kernel {
        self.old
    }

    fn copier(&mut self) -> &mut Copier {
        &mut self.copier
    }

    fn enter(&mut self, owner: Inst, _to: &mut Builder<'_>) {
        let data = &self.old.insts[owner];
        for slot in self.unchanging(data) {
            let param = self.old.blocks[data.blocks[0]].params[slot + 1];
            self.copier.map(param, self.copier.value(data.args[slot + 2]));
            self.changed |= self.uses[param.index()] > 0;
        }
    }

    fn inst(&mut self, inst: Inst, to: &mut Builder<'_>) {
        let data = &self.old.insts[inst];
        let args = self.copier.values(&data.args);
        let known = |n: usize| literal(to.kernel, args[n]);
        match &data.op {
            Op::If => {
                if let Some(Imm::Bool(holds)) = known(0) {
                    return self.splice(data, data.blocks[usize::from(!holds)], to);
                }
            }
            Op::For(_) => {
                if let (Some(Imm::Int(lo)), Some(Imm::Int(hi))) = (known(0), known(1))
                    && lo >= hi
                {
                    return self.become_values(data, &args[2..]);
                }
            }
            op if op.is_pure() => {
                let ty = self.copier.ty(self.old.ty(data.results[0]));
                to.span = data.span;
                if let Some(folded) = identities::fold(op, &args, &ty, to) {
                    return self.replace(data.results[0], folded, &ty, to);
                }
            }
            _ => {}
        }
        self.copy(inst, to);
        for slot in self.unchanging(data) {
            self.copier.map(data.results[slot], args[slot + 2]);
            self.changed |= self.uses[data.results[slot].index()] > 0;
        }
    }
}

impl Fold<'_> {
    fn become_values(&mut self, data: &InstData, values: &[Value]) {
        for (&result, &value) in data.results.iter().zip(values) {
            self.copier.map(result, value);
        }
        self.changed = true;
    }

    /// The instructions of a block in place of the branch that owned it.
    fn splice(&mut self, data: &InstData, block: Block, to: &mut Builder<'_>) {
        for &inst in &self.old.blocks[block].insts {
            let nested = &self.old.insts[inst];
            if nested.op == Op::Yield {
                let yielded = self.copier.values(&nested.args);
                self.become_values(data, &yielded);
            } else {
                self.inst(inst, to);
            }
        }
    }

    /// The carried values of a loop that its body yields as they came in, or as they were at
    /// first. They go nowhere: `dce` drops them, once nobody reads them.
    fn unchanging(&self, data: &InstData) -> Vec<usize> {
        let (Op::For(_), Some(&body)) = (&data.op, data.blocks.first()) else { return Vec::new() };
        let body = &self.old.blocks[body];
        let Some(&last) = body.insts.last() else { return Vec::new() };
        let unchanged = |&(slot, value): &(usize, &Value)| {
            *value == body.params[slot + 1] || *value == data.args[slot + 2]
        };
        let yielded = self.old.insts[last].args.iter().enumerate();
        yielded.filter(unchanged).map(|(slot, _)| slot).collect()
    }

    fn replace(&mut self, result: Value, folded: Folded, ty: &Type, to: &mut Builder<'_>) {
        let made = to.kernel.values.len();
        let scalar = match folded {
            Folded::Value(value) => value,
            Folded::Imm(imm) => to.constant(imm, ty.elem),
        };
        let value = match to.kernel.ty(scalar).axes == ty.axes {
            true => scalar,
            false => to.splat(scalar, &ty.axes),
        };
        if to.kernel.values.len() > made && to.kernel.values[value].name.is_none() {
            to.kernel.values[value].name.clone_from(&self.old.values[result].name);
        }
        self.copier.map(result, value);
        self.changed = true;
    }
}

/// The literal that a value holds in every lane.
fn literal(kernel: &Kernel, value: Value) -> Option<Imm> {
    let mut def = kernel.def(value)?;
    while def.op == Op::Splat {
        def = kernel.def(def.args[0])?;
    }
    match def.op {
        Op::Const(imm) => Some(imm),
        _ => None,
    }
}
