//! Which elements of a buffer a strided view touches, in wide integers.
//!
//! Strides may be negative or zero. Everything is counted in elements from the buffer's start.

use crate::View;

/// The lowest and highest element a view touches; `None` if it touches none.
///
/// # Example
///
/// ```
/// // Rows backwards, columns forwards, from element 8 of a 3x4 buffer.
/// assert_eq!(tilec_host::reach(&[3, 4], &[-4, 1], 8), Some((0, 11)));
/// ```
pub fn reach(shape: &[i64], strides: &[i64], offset: i64) -> Option<(i128, i128)> {
    let mut lowest = i128::from(offset);
    let mut highest = i128::from(offset);
    for (&extent, &stride) in shape.iter().zip(strides) {
        if extent <= 0 {
            return None;
        }
        // At most 2^126 in size; a sum of 2^64 of them would still be needed to overflow twice
        // over, and ranks are below 2^8: saturation is never reached but never wrong either.
        let step = (i128::from(extent) - 1) * i128::from(stride);
        if step < 0 {
            lowest = lowest.saturating_add(step);
        } else {
            highest = highest.saturating_add(step);
        }
    }
    Some((lowest, highest))
}

/// Whether two index tuples of a view name one element.
///
/// Exact. Nearly every view is decided by its strides alone: sorted by size, each stride passes over
/// all that the smaller ones reach. The rest is decided by marking elements, of which there
/// are at most as many as the buffer has.
pub fn overlaps_itself(shape: &[i64], strides: &[i64]) -> bool {
    let Some((lowest, highest)) = reach(shape, strides, 0) else { return false };
    if is_nested(shape, strides) {
        return false;
    }
    let span = highest - lowest + 1;
    let lanes = shape.iter().try_fold(1i128, |n, &extent| n.checked_mul(i128::from(extent)));
    if lanes.is_none_or(|lanes| lanes > span) {
        return true;
    }
    let mut marks = Marks::new(span);
    !every_element(shape, strides, &mut |at| marks.set_new((i128::from(at) - lowest) as usize))
}

/// Whether two views share a byte.
///
/// Exact, but for a `read` view with more lanes than bytes in its range, where the ranges decide.
/// The `written` view must not overlap itself.
pub(crate) fn share_bytes(written: &View, read: &View) -> bool {
    let (Some(a), Some(b)) = (range(written), range(read)) else { return false };
    if a.1 < b.0 || b.1 < a.0 {
        return false;
    }
    // A repeated lane touches nothing new.
    let shape: Vec<i64> =
        read.shape.iter().zip(&read.strides).map(|(&e, &s)| if s == 0 { 1 } else { e }).collect();
    let lanes = shape.iter().try_fold(1i128, |n, &extent| n.checked_mul(i128::from(extent)));
    if lanes.is_none_or(|lanes| lanes > b.1 - b.0 + 1) {
        return true;
    }
    if is_contiguous(written, a) {
        // Only the other view has gaps to look at.
        return !every_element(&shape, &read.strides, &mut |at| {
            let first = byte(read, at);
            first + size(read) <= a.0 || first > a.1
        });
    }
    let mut marks = Marks::new(a.1 - a.0 + 1);
    every_element(&written.shape, &written.strides, &mut |at| {
        (0..size(written)).all(|k| marks.set_new((byte(written, at) + k - a.0) as usize))
    });
    !every_element(&shape, &read.strides, &mut |at| {
        (0..size(read)).all(|k| {
            let byte = byte(read, at) + k;
            byte < a.0 || byte > a.1 || !marks.get((byte - a.0) as usize)
        })
    })
}

/// Addresses of the first and last byte.
fn range(view: &View) -> Option<(i128, i128)> {
    let (lowest, highest) = reach(&view.shape, &view.strides, 0)?;
    let address = view.address.addr() as i128;
    Some((address + lowest * size(view), address + (highest + 1) * size(view) - 1))
}

fn is_contiguous(view: &View, range: (i128, i128)) -> bool {
    let lanes: i128 = view.shape.iter().map(|&extent| i128::from(extent)).product();
    lanes * size(view) == range.1 - range.0 + 1
}

/// Address of an element's first byte.
fn byte(view: &View, element: i64) -> i128 {
    view.address.addr() as i128 + i128::from(element) * size(view)
}

fn size(view: &View) -> i128 {
    view.dtype.size_bytes() as i128
}

/// Whether each stride is larger than all that smaller strides reach: then no two lanes meet.
fn is_nested(shape: &[i64], strides: &[i64]) -> bool {
    let mut dims: Vec<(u64, i64)> = strides
        .iter()
        .zip(shape)
        .filter(|&(_, &extent)| extent > 1)
        .map(|(stride, &extent)| (stride.unsigned_abs(), extent))
        .collect();
    dims.sort_unstable();
    let mut reached: i128 = 0;
    for (stride, extent) in dims {
        if i128::from(stride) <= reached {
            return false;
        }
        reached = reached.saturating_add(i128::from(stride) * (i128::from(extent) - 1));
    }
    true
}

/// Calls `visit` with each lane's element relative to the first; stops when it answers false.
pub(crate) fn every_element(
    shape: &[i64],
    strides: &[i64],
    visit: &mut dyn FnMut(i64) -> bool,
) -> bool {
    if shape.iter().any(|&extent| extent <= 0) {
        return true;
    }
    let mut index = vec![0i64; shape.len()];
    let mut at = 0i64;
    loop {
        if !visit(at) {
            return false;
        }
        let mut dim = shape.len();
        loop {
            if dim == 0 {
                return true;
            }
            dim -= 1;
            index[dim] += 1;
            // Wrapping is exact here: only the sums at lanes count, and those are in range.
            at = at.wrapping_add(strides[dim]);
            if index[dim] < shape[dim] {
                break;
            }
            at = at.wrapping_sub(strides[dim].wrapping_mul(shape[dim]));
            index[dim] = 0;
        }
    }
}

/// A set of small numbers.
struct Marks(Vec<u64>);

impl Marks {
    fn new(len: i128) -> Marks {
        Marks(vec![0; (len as usize).div_ceil(64)])
    }

    fn get(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 == 1
    }

    /// Adds `at`; false if it was there.
    fn set_new(&mut self, at: usize) -> bool {
        let new = !self.get(at);
        self.0[at / 64] |= 1 << (at % 64);
        new
    }
}
