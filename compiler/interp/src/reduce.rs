//! Reductions over axes.
//!
//! Each output takes its lanes in one order: the axes as the op lists them, the first slowest,
//! each from lane 0 up. Only how outputs are interleaved is chosen for speed.

use tilec_ir::{Axis, AxisSet, ReduceOp};

use crate::data::Data;
use crate::error::{InterpError, bug};
use crate::lanes::Lanes;
use crate::loops::Loops;
use crate::mode::Mode;
use crate::scalar;

/// The reduction of `x`, spanning `axes`, over some of them; a sum of floats is still to be
/// rounded to its type.
pub(crate) fn reduce(
    op: ReduceOp,
    over: &[Axis],
    (x, axes): (&Data, &AxisSet),
    lanes: &Lanes,
    mode: Mode,
) -> Result<Data, InterpError> {
    let kept = axes.without(over);
    let outputs = lanes.count(&kept);
    // Operand and output; the axes of the inner loops last. Runs along the operand's fastest axis.
    let dims =
        |axis: Axis| (lanes.present(axis), [lanes.stride(axes, axis), lanes.stride(&kept, axis)]);
    let reduces_fastest = axes.iter().next_back().is_some_and(|axis| over.contains(&axis));
    let loops: Loops<2> = if reduces_fastest {
        Loops::new(kept.iter().chain(over.iter().copied()).map(dims))
    } else {
        Loops::new(over.iter().copied().chain(kept.iter()).map(dims))
    };
    match (op, x) {
        (ReduceOp::Sum, Data::Float(x)) => Ok(Data::Float(match mode {
            Mode::Exact => fold(&loops, x, vec![0.0; outputs], |sum, x| sum + x),
            Mode::Declared | Mode::Low(_) => {
                fold(&loops, x, vec![0.0; outputs], |sum, x| f64::from((sum + x) as f32))
            }
        })),
        (ReduceOp::Max, Data::Float(x)) => {
            Ok(Data::Float(fold(&loops, x, vec![f64::NEG_INFINITY; outputs], scalar::max)))
        }
        (ReduceOp::Min, Data::Float(x)) => {
            Ok(Data::Float(fold(&loops, x, vec![f64::INFINITY; outputs], scalar::min)))
        }
        (ReduceOp::Sum, Data::Int(x)) => {
            Ok(Data::Int(fold(&loops, x, vec![0; outputs], i64::wrapping_add)))
        }
        (ReduceOp::Max, Data::Int(x)) => {
            Ok(Data::Int(fold(&loops, x, vec![i64::MIN; outputs], i64::max)))
        }
        (ReduceOp::Min, Data::Int(x)) => {
            Ok(Data::Int(fold(&loops, x, vec![i64::MAX; outputs], i64::min)))
        }
        (ReduceOp::All, Data::Bool(x)) => {
            Ok(Data::Bool(fold(&loops, x, vec![true; outputs], |all, x| all & x)))
        }
        (ReduceOp::Any, Data::Bool(x)) => {
            Ok(Data::Bool(fold(&loops, x, vec![false; outputs], |any, x| any | x)))
        }
        (ReduceOp::Sum | ReduceOp::Max | ReduceOp::Min, Data::Bool(_))
        | (ReduceOp::All | ReduceOp::Any, Data::Float(_) | Data::Int(_)) => {
            bug(format!("`{}` of {}", op.name(), x.class()))
        }
    }
}

fn fold<T: Copy>(loops: &Loops<2>, x: &[T], mut out: Vec<T>, f: impl Fn(T, T) -> T) -> Vec<T> {
    let (n, [sx, so]) = (loops.len, loops.step);
    loops.rows(|[i, o]| match (sx, so) {
        (1, 0) => out[o] = x[i..i + n].iter().fold(out[o], |acc, &x| f(acc, x)),
        (_, 0) => out[o] = (0..n).fold(out[o], |acc, l| f(acc, x[i + l * sx])),
        (1, 1) => {
            out[o..o + n].iter_mut().zip(&x[i..i + n]).for_each(|(acc, &x)| *acc = f(*acc, x));
        }
        _ => (0..n).for_each(|l| out[o + l * so] = f(out[o + l * so], x[i + l * sx])),
    });
    out
}
