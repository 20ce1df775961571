//! Contractions.
//!
//! Both operands are copied into matrices, `a[batch, i, k]` and `b[batch, k, j]`, where `batch`
//! are the axes both keep, `i` those of `a` alone, `j` those of `b` alone, and `k` those summed
//! over; then multiplied in blocks held in registers. Every element of the result adds up its
//! products one after another in the order of `k`, so blocking changes no bit.

use std::ops::{AddAssign, Mul};

use tilec_ir::{Axis, AxisSet};

use crate::lanes::Lanes;
use crate::loops::{Loops, map1};
use crate::mode::Mode;

/// One operand: elements and the axes they span.
pub(crate) type Operand<'a> = (&'a [f64], &'a AxisSet);

/// Rows of the result in one register block.
const ROWS: usize = 4;

/// The contraction over `over` (first slowest), in the axes of the result; still to be rounded to
/// its type.
pub(crate) fn dot(a: Operand, b: Operand, over: &[Axis], lanes: &Lanes, mode: Mode) -> Vec<f64> {
    let result = a.1.union(b.1).without(over);
    if lanes.count(&result) == 0 || over.iter().any(|&axis| lanes.present(axis) == 0) {
        return vec![0.0; lanes.count(&result)];
    }
    let only = |x: &AxisSet, y: &AxisSet| x.without(over).without(y.as_slice());
    // The result's last axis should be a column, so that rows of `b` and of the result are runs.
    let last_is_of_a = result.iter().next_back().is_some_and(|axis| only(a.1, b.1).contains(axis));
    let (a, b) = if last_is_of_a { (b, a) } else { (a, b) };
    let (i, j) = (only(a.1, b.1), only(b.1, a.1));
    let batch = a.1.without(over).without(i.as_slice());
    let plan = Plan {
        batch: lanes.count(&batch),
        rows: lanes.count(&i),
        columns: lanes.count(&j),
        depth: over.iter().map(|&axis| lanes.present(axis)).product(),
    };
    let matrix = |(_, axes): Operand, order: [&[Axis]; 3]| -> Loops<1> {
        let dims = order.into_iter().flatten();
        Loops::new(dims.map(|&axis| (lanes.present(axis), [lanes.stride(axes, axis)])))
    };
    let a_loops = matrix(a, [batch.as_slice(), i.as_slice(), over]);
    let b_loops = matrix(b, [batch.as_slice(), over, j.as_slice()]);
    let product: Vec<f64> = match mode {
        Mode::Exact => {
            let (a, b) = (map1(&a_loops, a.0, |x| x), map1(&b_loops, b.0, |x| x));
            plan.multiply::<f64, 4>(&a, &b)
        }
        Mode::Declared | Mode::Low(_) => {
            let (a, b) = (map1(&a_loops, a.0, |x| x as f32), map1(&b_loops, b.0, |x| x as f32));
            plan.multiply::<f32, 8>(&a, &b).into_iter().map(f64::from).collect()
        }
    };
    let order: Vec<Axis> = batch.iter().chain(i.iter()).chain(j.iter()).collect();
    if order == result.as_slice() {
        return product;
    }
    let stride = |axis: Axis| {
        let at = order.iter().position(|&other| other == axis).unwrap_or(order.len());
        order.iter().skip(at + 1).map(|&other| lanes.present(other)).product()
    };
    let dims = result.iter().map(|axis| (lanes.present(axis), [stride(axis)]));
    map1(&Loops::new(dims), &product, |x| x)
}

/// Sizes of the matrices; none is 0.
struct Plan {
    batch: usize,
    rows: usize,
    columns: usize,
    depth: usize,
}

impl Plan {
    fn multiply<T, const W: usize>(&self, a: &[T], b: &[T]) -> Vec<T>
    where
        T: Copy + Default + AddAssign + Mul<Output = T>,
    {
        let Plan { batch, rows, columns, depth } = *self;
        let mut out = vec![T::default(); batch * rows * columns];
        let matrices = a.chunks_exact(rows * depth).zip(b.chunks_exact(depth * columns));
        for ((a, b), out) in matrices.zip(out.chunks_exact_mut(rows * columns)) {
            for row in (0..rows).step_by(ROWS) {
                let height = ROWS.min(rows - row);
                for column in (0..columns).step_by(W) {
                    let width = W.min(columns - column);
                    let block = Block { a, b, depth, columns, row, column };
                    if (height, width) == (ROWS, W) {
                        block.full::<W>(out);
                    } else {
                        block.ragged(out, height, width);
                    }
                }
            }
        }
        out
    }
}

/// A block of the result, and what it is made from.
struct Block<'a, T> {
    a: &'a [T],
    b: &'a [T],
    depth: usize,
    columns: usize,
    row: usize,
    column: usize,
}

impl<T: Copy + Default + AddAssign + Mul<Output = T>> Block<'_, T> {
    fn full<const W: usize>(&self, out: &mut [T]) {
        let mut sums = [[T::default(); W]; ROWS];
        let rows: [&[T]; ROWS] = std::array::from_fn(|r| {
            &self.a[(self.row + r) * self.depth..(self.row + r + 1) * self.depth]
        });
        for k in 0..self.depth {
            let at = k * self.columns + self.column;
            let columns = &self.b[at..at + W];
            for (sums, row) in sums.iter_mut().zip(&rows) {
                let factor = row[k];
                sums.iter_mut().zip(columns).for_each(|(sum, &b)| *sum += factor * b);
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            let at = (self.row + r) * self.columns + self.column;
            out[at..at + W].copy_from_slice(sums);
        }
    }

    fn ragged(&self, out: &mut [T], height: usize, width: usize) {
        for row in self.row..self.row + height {
            for column in self.column..self.column + width {
                let factors = &self.a[row * self.depth..(row + 1) * self.depth];
                let others = self.b[column..].iter().step_by(self.columns);
                let sum = &mut out[row * self.columns + column];
                factors.iter().zip(others).for_each(|(&a, &b)| *sum += a * b);
            }
        }
    }
}
