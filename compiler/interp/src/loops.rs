//! Loops over a row-major index space in which each of `K` operands has strides of its own.
//!
//! A stride of 0 is a broadcast. Dimensions that all operands step through as one are merged
//! first, so that most tiles come down to one or two long runs.

/// The loops; made once for each execution of an op.
pub(crate) struct Loops<const K: usize> {
    /// Sizes and strides around the innermost dimension, outermost first.
    outer: Vec<(usize, [usize; K])>,
    /// Length of the innermost dimension.
    pub len: usize,
    /// Strides in the innermost dimension.
    pub step: [usize; K],
    /// Number of points.
    pub total: usize,
}

impl<const K: usize> Loops<K> {
    /// From sizes and strides, outermost first.
    pub(crate) fn new(dims: impl IntoIterator<Item = (usize, [usize; K])>) -> Loops<K> {
        let dims: Vec<(usize, [usize; K])> = dims.into_iter().collect();
        if dims.iter().any(|&(size, _)| size == 0) {
            // The other sizes may be beyond what can be multiplied.
            return Loops { outer: Vec::new(), len: 0, step: [0; K], total: 0 };
        }
        let mut merged: Vec<(usize, [usize; K])> = Vec::new();
        let mut total = 1;
        for (size, strides) in dims {
            total *= size;
            if size == 1 {
                continue;
            }
            match merged.last_mut() {
                Some((outer, outer_strides))
                    if (0..K).all(|k| outer_strides[k] == strides[k] * size) =>
                {
                    *outer *= size;
                    *outer_strides = strides;
                }
                _ => merged.push((size, strides)),
            }
        }
        let (len, step) = merged.pop().unwrap_or((1, [0; K]));
        Loops { outer: merged, len, step, total }
    }

    /// Calls `row` with the offset of each operand at the start of each run.
    pub(crate) fn rows(&self, mut row: impl FnMut([usize; K])) {
        if self.total == 0 {
            return;
        }
        let mut at = [0; K];
        if self.outer.is_empty() {
            return row(at);
        }
        let mut index = vec![0; self.outer.len()];
        loop {
            row(at);
            let mut d = self.outer.len();
            loop {
                if d == 0 {
                    return;
                }
                d -= 1;
                let (size, strides) = self.outer[d];
                index[d] += 1;
                (0..K).for_each(|k| at[k] += strides[k]);
                if index[d] < size {
                    break;
                }
                index[d] = 0;
                (0..K).for_each(|k| at[k] -= strides[k] * size);
            }
        }
    }

    /// Calls `point` with the offset of each operand at each point.
    pub(crate) fn points(&self, mut point: impl FnMut([usize; K])) {
        self.rows(|mut at| {
            for _ in 0..self.len {
                point(at);
                (0..K).for_each(|k| at[k] += self.step[k]);
            }
        });
    }
}

/// `f` of one operand at each point, in order.
pub(crate) fn map1<A: Copy, R>(loops: &Loops<1>, a: &[A], f: impl Fn(A) -> R + Copy) -> Vec<R> {
    let (n, [step]) = (loops.len, loops.step);
    let mut out = Vec::with_capacity(loops.total);
    loops.rows(|[i]| match step {
        1 => out.extend(a[i..i + n].iter().map(|&a| f(a))),
        _ => out.extend((0..n).map(|l| f(a[i + l * step]))),
    });
    out
}

/// `f` of two operands at each point, in order.
pub(crate) fn map2<A: Copy, B: Copy, R>(
    loops: &Loops<2>,
    a: &[A],
    b: &[B],
    f: impl Fn(A, B) -> R + Copy,
) -> Vec<R> {
    let (n, [sa, sb]) = (loops.len, loops.step);
    let mut out = Vec::with_capacity(loops.total);
    loops.rows(|[i, j]| match (sa, sb) {
        (1, 1) => out.extend(a[i..i + n].iter().zip(&b[j..j + n]).map(|(&a, &b)| f(a, b))),
        (1, 0) => {
            let b = b[j];
            out.extend(a[i..i + n].iter().map(|&a| f(a, b)));
        }
        (0, 1) => {
            let a = a[i];
            out.extend(b[j..j + n].iter().map(|&b| f(a, b)));
        }
        _ => out.extend((0..n).map(|l| f(a[i + l * sa], b[j + l * sb]))),
    });
    out
}

/// `a` where the condition holds, else `b`, at each point, in order.
pub(crate) fn choose<A: Copy>(loops: &Loops<3>, condition: &[bool], a: &[A], b: &[A]) -> Vec<A> {
    let (n, [sc, sa, sb]) = (loops.len, loops.step);
    let mut out = Vec::with_capacity(loops.total);
    loops.rows(|[c, i, j]| {
        out.extend((0..n).map(|l| {
            let (a, b) = (a[i + l * sa], b[j + l * sb]);
            if condition[c + l * sc] { a } else { b }
        }));
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets<const K: usize>(dims: &[(usize, [usize; K])]) -> Vec<[usize; K]> {
        let mut all = Vec::new();
        Loops::new(dims.iter().copied()).points(|at| all.push(at));
        all
    }

    fn naive<const K: usize>(dims: &[(usize, [usize; K])]) -> Vec<[usize; K]> {
        if dims.iter().any(|&(size, _)| size == 0) {
            return Vec::new();
        }
        dims.iter().fold(vec![[0; K]], |outer, &(size, strides)| {
            let step = |at: &[usize; K]| {
                let at = *at;
                (0..size).map(move |i| std::array::from_fn(|k| at[k] + i * strides[k]))
            };
            outer.iter().flat_map(step).collect()
        })
    }

    #[test]
    fn points_are_those_of_nested_loops() {
        let tables: [&[(usize, [usize; 2])]; 10] = [
            &[],
            &[(5, [1, 0])],
            &[(3, [4, 0]), (4, [1, 1])],
            &[(3, [4, 4]), (4, [1, 1])],
            &[(2, [12, 0]), (3, [4, 1]), (4, [1, 0])],
            &[(1, [7, 7]), (3, [0, 1]), (1, [9, 9]), (2, [1, 3])],
            &[(3, [1, 0]), (0, [1, 1])],
            &[(0, [1, 1]), (3, [1, 0])],
            &[(usize::MAX, [1, 1]), (usize::MAX, [9, 0]), (0, [1, 0])],
            &[(2, [0, 0]), (3, [0, 0]), (2, [0, 1]), (2, [1, 0])],
        ];
        for dims in tables {
            assert_eq!(offsets(dims), naive(dims), "{dims:?}");
        }
    }

    #[test]
    fn what_can_be_one_run_is() {
        let loops = Loops::new([(2, [12, 12]), (3, [4, 4]), (4, [1, 1])]);
        assert_eq!((loops.len, loops.step, loops.outer.len()), (24, [1, 1], 0));
    }
}
