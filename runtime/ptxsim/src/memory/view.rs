//! A strided view of a buffer: which bytes are elements, and which are the gaps between them.

/// Shape and strides of a tensor inside a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Elements along each axis.
    pub shape: Vec<u64>,
    /// Distance between neighbours along each axis, in elements; zero repeats the same elements.
    pub strides: Vec<u64>,
    /// First element.
    pub offset: u64,
}

impl View {
    /// A row-major view that covers `shape` without gaps.
    pub fn contiguous(shape: &[u64]) -> View {
        let mut strides = vec![1; shape.len()];
        for i in (0..shape.len().saturating_sub(1)).rev() {
            strides[i] = strides[i + 1] * shape[i + 1];
        }
        View { shape: shape.to_vec(), strides, offset: 0 }
    }

    /// Number of distinct elements, if it fits.
    pub fn elements(&self) -> Option<u64> {
        self.shape
            .iter()
            .zip(&self.strides)
            .filter(|(_, stride)| **stride != 0)
            .try_fold(1u64, |n, (s, _)| n.checked_mul(*s))
    }
}

/// A view prepared for fast membership tests.
#[derive(Clone, Debug)]
pub struct ViewMap {
    /// (extent, stride, axis) by falling stride, without axes of extent one or stride zero.
    axes: Vec<(u64, u64, usize)>,
    rank: usize,
    offset: u64,
    /// Elements that lie side by side at the innermost level.
    run: u64,
    /// One past the last element.
    end: u64,
    elem_bytes: u64,
}

impl ViewMap {
    /// Prepares `view`, or says why it cannot be decided which bytes belong to it.
    pub fn new(view: &View, elem_bytes: u64) -> Result<ViewMap, String> {
        if view.shape.len() != view.strides.len() {
            return Err(format!(
                "the view has {} extents and {} strides",
                view.shape.len(),
                view.strides.len()
            ));
        }
        let mut axes: Vec<(u64, u64, usize)> = vec![];
        for (axis, (extent, stride)) in view.shape.iter().zip(&view.strides).enumerate() {
            if *extent == 0 {
                return Ok(ViewMap {
                    axes: vec![],
                    rank: view.shape.len(),
                    offset: 0,
                    run: 0,
                    end: 0,
                    elem_bytes,
                });
            }
            if *extent > 1 && *stride > 0 {
                axes.push((*extent, *stride, axis));
            }
        }
        axes.sort_by_key(|(_, stride, _)| std::cmp::Reverse(*stride));
        // From the inside out: every axis must step over all that the inner axes span.
        let (mut span, mut run) = (1u64, 1u64);
        for (extent, stride, axis) in axes.iter().rev() {
            if *stride < span {
                return Err(format!("axis {axis} of the view overlaps an inner axis"));
            }
            if *stride == run && run == span {
                run = run.checked_mul(*extent).ok_or("the view is larger than 2^64 elements")?;
            }
            let reach = (extent - 1).checked_mul(*stride).and_then(|r| r.checked_add(span));
            span = reach.ok_or("the view is larger than 2^64 elements")?;
        }
        let end = view.offset.checked_add(span).filter(|e| e.checked_mul(elem_bytes).is_some());
        let end = end.ok_or("the view is larger than 2^64 bytes")?;
        Ok(ViewMap { axes, rank: view.shape.len(), offset: view.offset, run, end, elem_bytes })
    }

    /// Bytes the view needs in its buffer.
    pub fn end_bytes(&self) -> u64 {
        self.end * self.elem_bytes
    }

    /// Whether every byte below `bytes` is an element.
    pub fn covers(&self, bytes: u64) -> bool {
        self.offset == 0 && self.run * self.elem_bytes >= bytes
    }

    /// Whether `bytes` bytes at `at` are all elements.
    pub fn contains(&self, at: u64, bytes: u64) -> bool {
        let start = self.offset * self.elem_bytes;
        if at < start || at + bytes > self.end_bytes() {
            return false;
        }
        let mut rest = at - start;
        for (extent, stride, _) in &self.axes {
            if *stride < self.run {
                break;
            }
            let stride = stride * self.elem_bytes;
            let index = rest / stride;
            if index >= *extent {
                return false;
            }
            rest -= index * stride;
        }
        rest + bytes <= self.run * self.elem_bytes
    }

    /// The indices of the element at byte `at`; `None` in a gap.
    pub fn index(&self, at: u64) -> Option<Vec<u64>> {
        let mut rest = (at / self.elem_bytes).checked_sub(self.offset)?;
        let mut out = vec![0; self.rank];
        for (extent, stride, axis) in &self.axes {
            let index = rest / stride;
            if index >= *extent {
                return None;
            }
            out[*axis] = index;
            rest -= index * stride;
        }
        (rest == 0 && self.end > 0).then_some(out)
    }

    /// Byte offsets of all elements, in order of axes.
    pub fn offsets(&self) -> impl Iterator<Item = u64> + '_ {
        let total: u64 = if self.end == 0 { 0 } else { self.axes.iter().map(|a| a.0).product() };
        (0..total).map(move |n| {
            let mut rest = n;
            let mut at = self.offset;
            for (extent, stride, _) in self.axes.iter().rev() {
                at += rest % extent * stride;
                rest /= extent;
            }
            at * self.elem_bytes
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(shape: &[u64], strides: &[u64], offset: u64) -> ViewMap {
        ViewMap::new(&View { shape: shape.to_vec(), strides: strides.to_vec(), offset }, 2).unwrap()
    }

    #[test]
    fn membership_agrees_with_listing_the_elements() {
        for view in [
            map(&[3, 4], &[6, 1], 0),
            map(&[3, 4], &[1, 3], 2),
            map(&[2, 3, 4], &[40, 10, 2], 1),
            map(&[5], &[1], 3),
            map(&[2, 1, 4], &[8, 0, 1], 0),
        ] {
            let mut legal = [false; 200];
            for at in view.offsets() {
                legal[at as usize] = true;
                legal[at as usize + 1] = true;
            }
            for at in 0..190u64 {
                for bytes in [1u64, 2, 4, 8] {
                    let all = (at..at + bytes).all(|b| legal[b as usize]);
                    let aligned = at % bytes == 0;
                    // An access across two runs that happen to touch is not one element run; strides here leave gaps.
                    if aligned {
                        assert_eq!(view.contains(at, bytes), all, "{view:?} {at} {bytes}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_index_is_read_back() {
        let view = map(&[2, 3, 4], &[40, 10, 2], 1);
        assert_eq!(view.index(2 * (1 + 40 + 20 + 6)), Some(vec![1, 2, 3]));
        assert_eq!(view.index(2 * (1 + 1)), None);
        assert_eq!(view.index(0), None);
    }

    #[test]
    fn overlapping_axes_are_refused() {
        let view = View { shape: vec![4, 4], strides: vec![2, 1], offset: 0 };
        assert!(ViewMap::new(&view, 2).is_err());
    }
}
