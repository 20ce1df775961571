//! Layouts from layouts: repeated over larger tiles, put inside one another, with other axes.

use crate::layout::{Layout, LayoutError};
use crate::part::{Part, Place};

impl<A: Copy + Ord> Layout<A> {
    /// This tile `times` over along `axis`, one after the other in each thread's registers.
    pub fn over_registers(&self, axis: A, times: u32) -> Layout<A> {
        self.over(Place::Register, axis, times)
    }

    /// This tile `times` over along `axis`, each in warps of its own.
    pub fn over_warps(&self, axis: A, times: u32) -> Layout<A> {
        self.over(Place::Warp, axis, times)
    }

    fn over(&self, place: Place, axis: A, times: u32) -> Layout<A> {
        let next = Part::new(times.max(1), axis, self.extent(axis));
        Layout::built(self.all_parts().chain([(place, next)]))
    }

    /// This tile in as many registers as it takes to cover `extent` indices of `axis`: exactly
    /// where the extent is a multiple of this tile's, else with indices past the end.
    pub fn covering(&self, axis: A, extent: u32) -> Layout<A> {
        self.over_registers(axis, extent.div_ceil(self.extent(axis)))
    }

    /// The same in each of `times` groups of warps.
    pub fn copied_over_warps(&self, times: u32) -> Layout<A> {
        Layout::built(self.all_parts().chain([(Place::Warp, Part::copies(times.max(1)))]))
    }

    /// The same lanes over and over, up to a full warp.
    pub fn filling_the_warp(&self) -> Layout<A> {
        let copies = Part::copies(crate::WARP / self.count(Place::Lane));
        Layout::built(self.all_parts().chain([(Place::Lane, copies)]))
    }

    /// A tile of such tiles: where `outer` holds index `i` of an axis, the result holds the whole
    /// block `i` of this layout's extent. Its digits are slower than this layout's.
    ///
    /// # Errors
    /// Too many lanes.
    pub fn within(&self, outer: &Layout<A>) -> Result<Layout<A>, LayoutError> {
        let scaled = outer.all_parts().map(|(place, part)| {
            let along = part.along.map(|(axis, stride)| (axis, stride * self.extent(axis)));
            (place, Part { along, ..part })
        });
        Layout::new(self.all_parts().chain(scaled))
    }

    /// The same with other names for the axes.
    ///
    /// # Errors
    /// Two axes get one name.
    pub fn rename<B: Copy + Ord>(&self, name: impl Fn(A) -> B) -> Result<Layout<B>, LayoutError> {
        Layout::new(self.all_parts().map(|(place, part)| {
            let along = part.along.map(|(axis, stride)| (name(axis), stride));
            (place, Part { extent: part.extent, along })
        }))
    }

    /// The layout of a value without `axis` beside values in this one: the row maximum beside the
    /// scores. Registers that differ only there become one, lanes and warps become copies.
    pub fn without(&self, axis: A) -> Layout<A> {
        Layout::built(self.all_parts().filter_map(|(place, part)| {
            if part.stride_along(axis).is_none() {
                return Some((place, part));
            }
            (place != Place::Register).then_some((place, Part::copies(part.extent)))
        }))
    }

    /// The elements of each warp in fewer registers: lanes that hold copies get elements of their own, as far as those go. What is
    /// long to compute is computed once there, and goes by shuffles to where it is wanted.
    pub fn dealt_to_copies(&self) -> Layout<A> {
        let mut registers = self.parts(Place::Register).to_vec();
        let mut lanes = Vec::new();
        for part in self.parts(Place::Lane) {
            if part.along.is_some() {
                lanes.push(*part);
                continue;
            }
            let mut copies = part.extent;
            for register in &mut registers {
                let Some((axis, stride)) = register.along else { continue };
                let dealt = 1 << copies.trailing_zeros().min(register.extent.trailing_zeros());
                lanes.push(Part::new(dealt, axis, stride));
                *register = Part::new(register.extent / dealt, axis, stride * dealt);
                copies /= dealt;
            }
            lanes.push(Part::copies(copies));
        }
        let warps = self.parts(Place::Warp).iter().map(|&part| (Place::Warp, part));
        let registers = registers.into_iter().map(|part| (Place::Register, part));
        let lanes = lanes.into_iter().map(|part| (Place::Lane, part));
        Layout::built(registers.chain(lanes).chain(warps))
    }

    /// The register of [`Layout::without`] that stands beside each register of this layout, so
    /// that broadcasting along `axis` is a look-up at compile time.
    pub fn broadcast_registers(&self, axis: A) -> Vec<u32> {
        let mut beside = vec![0];
        let mut weight = 1;
        for part in self.parts(Place::Register) {
            let step = if part.stride_along(axis).is_some() { 0 } else { weight };
            beside = (0..part.extent)
                .flat_map(|digit| beside.iter().map(move |at| at + digit * step))
                .collect();
            weight *= part.extent.pow(u32::from(step != 0));
        }
        beside
    }

    /// The same positions with the indices of `axis` in another order: an index is split into
    /// digits of `radices` (fastest first), which are put together again in the order `order` (the
    /// fastest first). A `dot` may do this to the axis it sums over, for both operands at once.
    ///
    /// # Errors
    /// The digits are not those of the axis, or cut across a part.
    pub fn reordered(
        &self,
        axis: A,
        radices: &[u32],
        order: &[usize],
    ) -> Result<Layout<A>, ReorderError> {
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..radices.len())
            || radices.contains(&0)
            || radices.iter().product::<u32>() != self.extent(axis)
        {
            return Err(ReorderError::Digits);
        }
        let old: Vec<u32> = (0..radices.len()).map(|i| radices[..i].iter().product()).collect();
        let mut new = vec![0; radices.len()];
        let mut stride = 1;
        for &digit in order {
            new[digit] = stride;
            stride *= radices[digit];
        }
        let mut parts = Vec::new();
        for (place, part) in self.all_parts() {
            let Some(stride) = part.stride_along(axis) else {
                parts.push((place, part));
                continue;
            };
            for piece in pieces(stride, part.extent, &old, radices)? {
                let (digit, below, extent) = piece;
                parts.push((place, Part::new(extent, axis, new[digit] * below)));
            }
        }
        Ok(Layout::built(parts))
    }
}

/// Cuts the digit `(stride, extent)` where the given digits begin and end: which of them each piece
/// lies in, the stride inside it, and the extent of the piece.
fn pieces(
    stride: u32,
    extent: u32,
    strides: &[u32],
    radices: &[u32],
) -> Result<Vec<(usize, u32, u32)>, ReorderError> {
    let (mut at, end) = (stride, stride * extent);
    let mut found = Vec::new();
    for (digit, (&from, &radix)) in strides.iter().zip(radices).enumerate() {
        let to = from * radix;
        if at < from || at >= to || at == end {
            continue;
        }
        let until = end.min(to);
        if at % from != 0 || until % at != 0 || to % until != 0 {
            return Err(ReorderError::Cut);
        }
        found.push((digit, at / from, until / at));
        at = until;
    }
    Ok(found)
}

/// An order of indices that no layout of parts can express.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReorderError {
    /// The radices do not multiply to the extent, or the order is not one of all digits.
    #[error("the digits are not those of the axis")]
    Digits,
    /// A part of the layout lies across two digits and cannot be cut there.
    #[error("a part of the layout lies across the digits")]
    Cut,
}
