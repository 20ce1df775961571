//! The bytes between the first and the last that a view touches: what a copy of it on another device has to hold, so that
//! the same strides lead to the same elements there.

use crate::{View, reach};

/// Where a view lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span {
    /// Bytes from the first to the last, gaps included.
    pub bytes: u64,
    /// Bytes from the first to the element with all indices 0; strides below 0 put it further up.
    pub origin: u64,
    /// Bytes of the elements alone; those that lie upon each other count once for each stride that is not 0.
    pub element_bytes: u128,
}

/// The span of `view`; empty if it has no elements.
pub fn span(view: &View) -> Span {
    let Some((lowest, highest)) = reach(&view.shape, &view.strides, 0) else {
        return Span::default();
    };
    let size = view.dtype.size_bytes() as u64;
    let elements = dims(view).iter().fold(1u128, |n, &(_, extent)| n.saturating_mul(extent.into()));
    // The view is of memory that exists, so its bytes are fewer than 2^63.
    Span {
        bytes: (highest - lowest + 1) as u64 * size,
        origin: (-lowest) as u64 * size,
        element_bytes: elements.saturating_mul(size.into()),
    }
}

/// Calls `visit` with every run of neighbouring elements: bytes from the start of the span, and how many.
///
/// A set of elements, in no order of indices; those of a view that overlaps itself may come twice.
pub fn runs(view: &View, mut visit: impl FnMut(u64, u64)) {
    if view.shape.contains(&0) {
        return;
    }
    let size = view.dtype.size_bytes() as u64;
    let (mut run, mut outer) = (1, Vec::new());
    for (stride, extent) in dims(view) {
        // A stride below 0 reaches the same elements from the other end.
        match outer.is_empty() && stride == run {
            true => run *= extent,
            false => outer.push((stride, extent)),
        }
    }
    let mut index = vec![0; outer.len()];
    let mut at = 0;
    loop {
        visit(at * size, run * size);
        let mut dim = 0;
        loop {
            let Some(&(stride, extent)) = outer.get(dim) else { return };
            index[dim] += 1;
            at += stride;
            if index[dim] < extent {
                break;
            }
            at -= stride * extent;
            index[dim] = 0;
            dim += 1;
        }
    }
}

/// The sizes of strides with their extents, smallest first, without those that lead nowhere.
fn dims(view: &View) -> Vec<(u64, u64)> {
    let all = view.strides.iter().zip(&view.shape);
    let mut dims: Vec<(u64, u64)> = all
        .filter(|&(&stride, &extent)| stride != 0 && extent > 1)
        .map(|(stride, &extent)| (stride.unsigned_abs(), extent as u64))
        .collect();
    dims.sort_unstable();
    dims
}

/// Copies the elements of `view` to their places in `to`, a span's worth of bytes; gaps in it stay as they are.
///
/// # Safety
///
/// Every element of the view can be read.
///
/// # Panics
///
/// If `to` is shorter than the span.
pub unsafe fn gather(view: &View, to: &mut [u8]) {
    let start = start(view);
    runs(view, |at, bytes| {
        let to = &mut to[at as usize..][..bytes as usize];
        // SAFETY: a run holds elements only, which the caller lets us read.
        unsafe { start.add(at as usize).copy_to_nonoverlapping(to.as_mut_ptr(), to.len()) };
    });
}

/// Sets the elements of `view` from their places in `from`; the gaps between them are not touched.
///
/// # Safety
///
/// Every element of the view can be written, and nobody else reads or writes it.
///
/// # Panics
///
/// If `from` is shorter than the span.
pub unsafe fn scatter(view: &View, from: &[u8]) {
    let start = start(view);
    runs(view, |at, bytes| {
        let from = &from[at as usize..][..bytes as usize];
        // SAFETY: a run holds elements only, which the caller lets us write.
        unsafe { start.add(at as usize).copy_from_nonoverlapping(from.as_ptr(), from.len()) };
    });
}

/// The first byte of the span.
pub fn start(view: &View) -> *mut u8 {
    view.address.wrapping_sub(span(view).origin as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tilec_vocab::DType;

    fn view(memory: &mut [u16], at: usize, shape: &[i64], strides: &[i64]) -> View {
        let address = memory[at..].as_mut_ptr().cast();
        View { dtype: DType::F16, address, shape: shape.to_vec(), strides: strides.to_vec() }
    }

    #[test]
    fn gaps_are_neither_read_nor_written() {
        let mut memory: Vec<u16> = (0..40).collect();
        // Rows backwards, columns two apart; the lowest element is 4.
        let view = view(&mut memory, 24, &[3, 4], &[-10, 2]);
        let span = span(&view);
        assert_eq!(span, Span { bytes: 2 * 27, origin: 2 * 20, element_bytes: 24 });
        let mut copy = vec![0xee; span.bytes as usize];
        // SAFETY: the view is of `memory`.
        unsafe { gather(&view, &mut copy) };
        let elements: Vec<u16> =
            copy.chunks(2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]])).collect();
        for (at, &element) in elements.iter().enumerate() {
            let column = at % 10;
            let there = column < 8 && column % 2 == 0;
            assert_eq!(element, if there { at as u16 + 4 } else { 0xeeee }, "{at}");
        }
        // SAFETY: as above.
        unsafe { scatter(&view, &vec![0x11; span.bytes as usize]) };
        assert_eq!(memory.iter().filter(|&&element| element == 0x1111).count(), 12);
        assert_eq!(memory[24], 0x1111);
        assert_eq!(memory[25], 25);
    }

    #[test]
    fn whole_rows_are_one_run() {
        let mut memory = vec![0u16; 64];
        let mut found = Vec::new();
        runs(&view(&mut memory, 0, &[2, 3, 4], &[16, 4, 1]), |at, bytes| found.push((at, bytes)));
        assert_eq!(found, [(0, 24), (32, 24)]);
        found.clear();
        runs(&view(&mut memory, 0, &[5, 4], &[0, 1]), |at, bytes| found.push((at, bytes)));
        assert_eq!(found, [(0, 8)]);
        runs(&view(&mut memory, 0, &[5, 0], &[4, 1]), |_, _| panic!("nothing is there"));
    }
}
