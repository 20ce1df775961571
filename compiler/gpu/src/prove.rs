//! Small proofs about uniform integers: signs, bounds by a dimension, factors. What is not proven is tested at run time.

use tilec_ir::{BinaryOp, DimId, Imm, Kernel, Op, Value, ValueDef};
use tilec_vocab::{HostExpr, HostOp};

/// How deep a proof looks.
const MAX_DEPTH: u32 = 24;

/// What a value may not exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// A literal.
    Int(i64),
    /// A run-time dimension, divided by a positive literal and rounded down.
    Dim(DimId, i64),
}

fn literal(kernel: &Kernel, value: Value) -> Option<i64> {
    match kernel.def(value)?.op {
        Op::Const(Imm::Int(n)) => Some(n),
        _ => None,
    }
}

/// A counter of a loop.
struct Counter {
    first: Value,
    /// What it is less than.
    end: Value,
    step: i64,
}

/// The loop that a value counts, if it counts one.
fn counter(kernel: &Kernel, value: Value) -> Option<Counter> {
    let ValueDef::Param(block, 0) = kernel.values[value].def else { return None };
    let (_, data) = kernel.insts.iter().find(|(_, data)| data.blocks.contains(&block))?;
    let Op::For(axis) = data.op else { return None };
    let step = match axis.map(|axis| kernel.axes[axis].extent) {
        Some(tilec_ir::Extent::Const(lanes)) => lanes,
        Some(_) => return None,
        None => 1,
    };
    Some(Counter { first: data.args[0], end: data.args[1], step })
}

/// Whether a value is never negative.
pub(crate) fn nonnegative(kernel: &Kernel, value: Value) -> bool {
    at_least_zero(kernel, value, MAX_DEPTH)
}

fn at_least_zero(kernel: &Kernel, value: Value, depth: u32) -> bool {
    if depth == 0 {
        return false;
    }
    let go = |value| at_least_zero(kernel, value, depth - 1);
    if let Some(counter) = counter(kernel, value) {
        return go(counter.first);
    }
    let Some(data) = kernel.def(value) else { return false };
    let args = &data.args;
    match data.op {
        Op::Const(Imm::Int(n)) => n >= 0,
        Op::Dim(_) | Op::Program(_) => true,
        Op::Binary(BinaryOp::Add | BinaryOp::Mul | BinaryOp::Min) => go(args[0]) && go(args[1]),
        Op::Binary(BinaryOp::Max) => go(args[0]) || go(args[1]),
        Op::Binary(BinaryOp::Div) => go(args[0]) && go(args[1]),
        Op::Binary(BinaryOp::Rem) => go(args[1]) && go(args[0]),
        Op::Select => go(args[1]) && go(args[2]),
        _ => false,
    }
}

/// Whether a value never exceeds a bound.
pub(crate) fn at_most(kernel: &Kernel, value: Value, bound: Bound) -> bool {
    below(kernel, value, bound, MAX_DEPTH)
}

fn below(kernel: &Kernel, value: Value, bound: Bound, depth: u32) -> bool {
    if depth == 0 {
        return false;
    }
    let go = |value| below(kernel, value, bound, depth - 1);
    let Some(data) = kernel.def(value) else { return false };
    let args = &data.args;
    match (&data.op, bound) {
        (Op::Const(Imm::Int(n)), Bound::Int(most)) => *n <= most,
        (Op::Const(Imm::Int(n)), Bound::Dim(..)) => *n <= 0,
        (Op::Dim(dim), Bound::Dim(most, 1)) => *dim == most,
        (Op::Binary(BinaryOp::Min), _) => go(args[0]) || go(args[1]),
        (Op::Binary(BinaryOp::Max), _) => go(args[0]) && go(args[1]),
        (Op::Select, _) => go(args[1]) && go(args[2]),
        // x / c, where x is at most the dimension.
        (Op::Binary(BinaryOp::Div), Bound::Dim(dim, by)) => {
            literal(kernel, args[1]) == Some(by)
                && below(kernel, args[0], Bound::Dim(dim, 1), depth - 1)
        }
        // x + 1, where x is less than the bound.
        (Op::Binary(BinaryOp::Add), _) if literal(kernel, args[1]) == Some(1) => {
            less_than(kernel, args[0], bound, depth - 1)
        }
        // x * c, where x is at most the bound divided by c; and x * (H / G), where x is at most G.
        (Op::Binary(BinaryOp::Mul), Bound::Dim(dim, 1)) => {
            [(0, 1), (1, 0)].into_iter().any(|(x, c)| {
                let most = match literal(kernel, args[c]) {
                    Some(c) => (c > 0).then_some(Bound::Dim(dim, c)),
                    None => quotient(kernel, args[c])
                        .filter(|&(all, _)| all == dim)
                        .map(|(_, groups)| Bound::Dim(groups, 1)),
                };
                most.is_some_and(|most| below(kernel, args[x], most, depth - 1))
            })
        }
        _ => false,
    }
}

/// The dimensions of `H / G`.
fn quotient(kernel: &Kernel, value: Value) -> Option<(DimId, DimId)> {
    let dim = |value: Value| match kernel.def(value)?.op {
        Op::Dim(dim) => Some(dim),
        _ => None,
    };
    let data = kernel.def(value).filter(|data| data.op == Op::Binary(BinaryOp::Div))?;
    Some((dim(data.args[0])?, dim(data.args[1])?))
}

/// Whether a scalar index is below a bound: the counter of a loop that ends there, a grid axis as long as the dimension, or
/// the number of its group where the kernel requires that groups are whole.
pub(crate) fn less(kernel: &Kernel, value: Value, bound: Bound) -> bool {
    less_than(kernel, value, bound, MAX_DEPTH)
}

fn less_than(kernel: &Kernel, value: Value, bound: Bound, depth: u32) -> bool {
    if depth == 0 {
        return false;
    }
    if let Some(counter) = counter(kernel, value) {
        return below(kernel, counter.end, bound, depth - 1);
    }
    let Some(data) = kernel.def(value) else { return false };
    match (&data.op, bound) {
        (Op::Const(Imm::Int(n)), Bound::Int(end)) => *n < end,
        (Op::Program(grid_axis), bound) => {
            match (kernel.grid.get(*grid_axis as usize).map(|axis| &axis.programs), bound) {
                (Some(HostExpr::Name(name)), Bound::Dim(dim, 1)) => kernel.dims[dim].name == *name,
                (Some(HostExpr::Int(count)), Bound::Int(end)) => *count <= end,
                _ => false,
            }
        }
        // x / (H / G) < G where x < H and H is a multiple of G.
        (Op::Binary(BinaryOp::Div), Bound::Dim(groups, 1)) => quotient(kernel, data.args[1])
            .is_some_and(|(all, by)| {
                by == groups
                    && is_multiple(kernel, all, groups)
                    && less_than(kernel, data.args[0], Bound::Dim(all, 1), depth - 1)
            }),
        _ => false,
    }
}

/// Whether the kernel requires a dimension to be a multiple of another: `H % G == 0`.
fn is_multiple(kernel: &Kernel, of: DimId, by: DimId) -> bool {
    let name = |dim: DimId| HostExpr::Name(kernel.dims[dim].name.clone());
    let rest = HostExpr::binary(HostOp::Rem, name(of), name(by));
    let wanted = HostExpr::binary(HostOp::Eq, rest, HostExpr::Int(0));
    kernel.requires.iter().any(|require| require.expr == wanted)
}

/// A number that divides the value; 0 for one that is 0.
pub(crate) fn factor(kernel: &Kernel, value: Value) -> u64 {
    factor_of(kernel, value, MAX_DEPTH)
}

fn factor_of(kernel: &Kernel, value: Value, depth: u32) -> u64 {
    if depth == 0 {
        return 1;
    }
    let go = |value| factor_of(kernel, value, depth - 1);
    if let Some(Counter { first, step, .. }) = counter(kernel, value) {
        return gcd(go(first), step.unsigned_abs());
    }
    let Some(data) = kernel.def(value) else { return 1 };
    let args = &data.args;
    match data.op {
        Op::Const(Imm::Int(n)) => n.unsigned_abs(),
        Op::Binary(BinaryOp::Mul) => go(args[0]).saturating_mul(go(args[1])),
        Op::Binary(BinaryOp::Add | BinaryOp::Sub | BinaryOp::Min | BinaryOp::Max) => {
            gcd(go(args[0]), go(args[1]))
        }
        Op::Select => gcd(go(args[1]), go(args[2])),
        _ => 1,
    }
}

/// The greatest common divisor; of 0 and x, x.
pub(crate) fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tilec_ir::Kernel;

    /// A kernel with these instructions before its end.
    fn kernel(body: &str) -> Kernel {
        let text = format!(
            "kernel @k(x: &f32[N], y: &mut f32[H, G])\n  require (H % G) == 0\n  grid h in H, g in G\n{{\n  %N: i64 = dim N\n  %H: i64 = dim H\n  \
             %G: i64 = dim G\n  %h: i64 = program h\n  %key: i64 = program g\n  %0: i64 = const 0\n  %64: i64 = const 64\n{body}  yield\n}}\n"
        );
        tilec_ir::parse(&text).unwrap().kernels.remove(0)
    }

    fn last(kernel: &Kernel) -> Value {
        let insts = &kernel.blocks[kernel.body].insts;
        kernel.insts[insts[insts.len() - 2]].results[0]
    }

    fn dim(kernel: &Kernel, name: &str) -> DimId {
        kernel.dims.iter().find(|(_, dim)| dim.name == name).unwrap().0
    }

    #[test]
    fn whole_blocks_stay_inside() {
        let kernel = kernel(
            "  %blocks: i64 = div %N, %64\n  %some: i64 = min %blocks, %h\n  %none: i64 = max %some, %0\n  %end: i64 = mul %none, %64\n",
        );
        let (end, n) = (last(&kernel), dim(&kernel, "N"));
        assert!(at_most(&kernel, end, Bound::Dim(n, 1)));
        assert!(!at_most(&kernel, end, Bound::Dim(dim(&kernel, "H"), 1)));
        assert!(nonnegative(&kernel, end));
        assert_eq!(factor(&kernel, end) % 64, 0);
    }

    #[test]
    fn rounding_up_does_not() {
        let kernel = kernel("  %blocks: i64 = add %N, %64\n  %end: i64 = mul %blocks, %64\n");
        assert!(!at_most(&kernel, last(&kernel), Bound::Dim(dim(&kernel, "N"), 1)));
        let kernel = self::kernel("  %less: i64 = sub %N, %64\n");
        assert!(!nonnegative(&kernel, last(&kernel)));
    }

    /// The only loop's counter.
    fn counted(kernel: &Kernel) -> Value {
        let blocks = kernel.insts.iter().find_map(|(_, data)| data.blocks.first());
        kernel.blocks[*blocks.unwrap()].params[0]
    }

    #[test]
    fn the_heads_of_a_group_are_heads() {
        let heads = |groups: &str, begin: &str, end: &str| {
            let kernel = kernel(&format!(
                "  %1: i64 = const 1\n  %size: i64 = div %H, %{groups}\n  %first: i64 = mul %key, %size\n  %next: i64 = add %key, %1\n  \
                 %end: i64 = mul %next, %size\n  for %head = %{begin} .. %{end} {{\n    yield\n  }}\n"
            ));
            let bound = Bound::Dim(dim(&kernel, "H"), 1);
            let head = counted(&kernel);
            nonnegative(&kernel, head) && less(&kernel, head, bound)
        };
        assert!(heads("G", "first", "end"));
        assert!(heads("G", "0", "H"));
        assert!(!heads("N", "first", "end"), "N groups may be fewer than G");
        assert!(!heads("G", "first", "N"));
    }

    #[test]
    fn a_group_is_one_of_its_groups() {
        let kernel = kernel("  %size: i64 = div %H, %G\n  %g: i64 = div %h, %size\n");
        let (g, groups) = (last(&kernel), Bound::Dim(dim(&kernel, "G"), 1));
        assert!(less(&kernel, g, groups));
        let mut free = kernel.clone();
        free.requires.clear();
        assert!(!less(&free, g, groups), "only where groups are whole");
    }
}
