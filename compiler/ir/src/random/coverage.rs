//! Which ops a set of kernels holds, and for which element types.

use std::collections::BTreeMap;
use std::fmt;

use tilec_vocab::DType;

use crate::kernel::{Kernel, ParamType};
use crate::ops::Op;

/// Counts of op and element type: of the operand that the op computes with, or of the tensor.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    counts: BTreeMap<(&'static str, &'static str), usize>,
}

impl Coverage {
    /// Counts a kernel's instructions.
    pub fn add(&mut self, kernel: &Kernel) {
        for inst in kernel.walk() {
            let data = &kernel.insts[inst];
            let name = name(&data.op);
            let of_value = |n: usize| data.args.get(n).and_then(|&v| kernel.ty(v).elem.known());
            let of_result = || data.results.first().and_then(|&v| kernel.ty(v).elem.known());
            let dtype = match data.op {
                Op::Load(param) | Op::Store(param) | Op::AtomicAdd(param) | Op::Scalar(param) => {
                    match kernel.params[param].ty {
                        ParamType::Tensor { elem, .. } | ParamType::Scalar(elem) => elem.known(),
                    }
                }
                Op::Select => of_value(1),
                Op::Const(_) => of_result(),
                Op::For(_) | Op::If => {
                    for &result in &data.results {
                        self.count(name, kernel.ty(result).elem.known());
                    }
                    None
                }
                _ => of_value(0),
            };
            self.count(name, dtype);
        }
    }

    fn count(&mut self, name: &'static str, dtype: Option<DType>) {
        *self.counts.entry((name, dtype.map_or("-", DType::name))).or_default() += 1;
    }

    /// How often an op stands on an element type.
    pub fn of(&self, op: &str, dtype: DType) -> usize {
        let found = self.counts.iter().find(|((name, of), _)| *name == op && *of == dtype.name());
        found.map_or(0, |(_, &count)| count)
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((op, dtype), count) in &self.counts {
            writeln!(f, "{op:>14} {dtype:>5} {count:>7}")?;
        }
        Ok(())
    }
}

/// The word of an op; reductions are told from element-wise ops.
fn name(op: &Op) -> &'static str {
    match op {
        Op::Const(_) => "const",
        Op::Generic(_) => "generic",
        Op::Dim(_) => "dim",
        Op::Scalar(_) => "scalar",
        Op::Program(_) => "program",
        Op::Axis(_) => "axis",
        Op::Index(_) => "index",
        Op::Splat => "splat",
        Op::Unary(op) => op.name(),
        Op::Binary(op) => op.name(),
        Op::Compare(op) => op.name(),
        Op::Select => "select",
        Op::Cast => "cast",
        Op::Reduce(op, _) => match op {
            crate::ops::ReduceOp::Sum => "sum over",
            crate::ops::ReduceOp::Max => "max over",
            crate::ops::ReduceOp::Min => "min over",
            crate::ops::ReduceOp::All => "all over",
            crate::ops::ReduceOp::Any => "any over",
        },
        Op::Dot(..) => "dot",
        Op::Load(_) => "load",
        Op::Store(_) => "store",
        Op::AtomicAdd(_) => "atomic",
        Op::For(Some(_)) => "for axis",
        Op::For(None) => "for",
        Op::If => "if",
        Op::Yield => "yield",
    }
}
