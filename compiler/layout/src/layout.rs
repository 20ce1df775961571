//! The layout: which element of a tile each register of each lane of each warp holds.

use std::collections::BTreeMap;
use std::fmt;

use crate::part::{Part, Place};

/// Lanes of a warp.
pub const WARP: u32 = 32;

/// Elements of the largest tile, as in the IR's limits.
const MAX_ELEMENTS: u64 = 1 << 31;

/// An element of a tile, or of a space with more axes than the tile: its index along each axis.
pub type Coordinate<A> = BTreeMap<A, u32>;

/// A register of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// Register, counting elements.
    pub register: u32,
    /// Lane of the warp.
    pub lane: u32,
    /// Warp of the CTA.
    pub warp: u32,
}

/// Parts that are no layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A digit without values.
    #[error("a {place} part of extent 0")]
    ZeroExtent {
        /// Where.
        place: Place,
    },
    /// Two registers of a thread for one element.
    #[error("register parts cannot be copies: a thread holds an element once")]
    RegisterCopies,
    /// Elements of an axis that nobody holds, or that two digits reach.
    #[error("an axis has a part of stride {found} where stride {wanted} is next")]
    Strides {
        /// The stride of the part.
        found: u32,
        /// The product of the extents below it.
        wanted: u32,
    },
    /// Not a warp.
    #[error("{count} lanes: wanted a power of two, at most 32")]
    Lanes {
        /// How many.
        count: u64,
    },
    /// More elements than a tile may have.
    #[error("more than 2^31 positions or elements")]
    TooLarge,
}

/// Spreads the elements of a tile over registers, lanes and warps.
///
/// Always in normal form: no part of extent 1, and no two parts that could be one. So `==` says
/// whether two layouts put the same elements at the same positions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Layout<A> {
    /// By [`Place`]; the fastest digit first.
    parts: [Vec<Part<A>>; 3],
}

impl<A: Copy + Ord> Layout<A> {
    /// One element in one register of one thread.
    pub fn scalar() -> Layout<A> {
        Layout { parts: [Vec::new(), Vec::new(), Vec::new()] }
    }

    /// A layout of these parts; those of one place from the fastest digit up.
    ///
    /// # Errors
    /// The strides of each axis must be the products of the extents below them, so that each
    /// element has a holder, and one only but for copies.
    pub fn new(
        parts: impl IntoIterator<Item = (Place, Part<A>)>,
    ) -> Result<Layout<A>, LayoutError> {
        let mut layout = Layout::scalar();
        for (place, part) in parts {
            if part.extent == 0 {
                return Err(LayoutError::ZeroExtent { place });
            }
            layout.parts[place.index()].push(part);
        }
        layout.check()?;
        layout.normalise();
        Ok(layout)
    }

    /// As [`Layout::new`], for parts that are right by construction.
    pub(crate) fn built(parts: impl IntoIterator<Item = (Place, Part<A>)>) -> Layout<A> {
        let mut layout = Layout::scalar();
        for (place, part) in parts {
            layout.parts[place.index()].push(part);
        }
        debug_assert_eq!(layout.check(), Ok(()));
        layout.normalise();
        layout
    }

    fn check(&self) -> Result<(), LayoutError> {
        if self.parts(Place::Register).iter().any(|p| p.extent > 1 && p.along.is_none()) {
            return Err(LayoutError::RegisterCopies);
        }
        let product = |parts: &[Part<A>]| {
            parts.iter().fold(1u64, |n, p| n.saturating_mul(u64::from(p.extent)))
        };
        let lanes = product(self.parts(Place::Lane));
        if lanes > u64::from(WARP) || !lanes.is_power_of_two() {
            return Err(LayoutError::Lanes { count: lanes });
        }
        let positions = self.parts.iter().fold(1u64, |n, p| n.saturating_mul(product(p)));
        if positions > MAX_ELEMENTS {
            return Err(LayoutError::TooLarge);
        }
        for axis in self.axes() {
            let mut wanted = 1;
            for (stride, extent) in self.chain(axis) {
                if stride != wanted {
                    return Err(LayoutError::Strides { found: stride, wanted });
                }
                wanted *= extent;
            }
        }
        Ok(())
    }

    /// Stride and extent of the parts along an axis, by stride; digits of one value left out.
    fn chain(&self, axis: A) -> Vec<(u32, u32)> {
        let mut chain: Vec<_> = self
            .all_parts()
            .filter(|(_, p)| p.extent > 1)
            .filter_map(|(_, p)| Some((p.stride_along(axis)?, p.extent)))
            .collect();
        chain.sort_unstable();
        chain
    }

    fn normalise(&mut self) {
        for parts in &mut self.parts {
            let mut merged: Vec<Part<A>> = Vec::with_capacity(parts.len());
            for part in parts.iter().copied().filter(|p| p.extent > 1) {
                if let Some(last) = merged.last_mut()
                    && let Some(both) = last.merged(part)
                {
                    *last = both;
                } else {
                    merged.push(part);
                }
            }
            *parts = merged;
        }
    }

    /// The parts of one place, the fastest digit first.
    pub fn parts(&self, place: Place) -> &[Part<A>] {
        &self.parts[place.index()]
    }

    /// All parts with their places: registers, lanes, warps.
    pub fn all_parts(&self) -> impl Iterator<Item = (Place, Part<A>)> + '_ {
        Place::ALL.into_iter().flat_map(|place| self.parts(place).iter().map(move |p| (place, *p)))
    }

    /// The axes with more than one index, in order.
    pub fn axes(&self) -> Vec<A> {
        let mut axes: Vec<A> =
            self.all_parts().filter_map(|(_, p)| p.along.map(|(axis, _)| axis)).collect();
        axes.sort_unstable();
        axes.dedup();
        axes
    }

    /// Number of indices of an axis; 1 for one that the tile does not have.
    pub fn extent(&self, axis: A) -> u32 {
        self.all_parts()
            .filter(|(_, p)| p.stride_along(axis).is_some())
            .map(|(_, p)| p.extent)
            .product()
    }

    /// Axes and extents.
    pub fn shape(&self) -> BTreeMap<A, u32> {
        self.axes().into_iter().map(|axis| (axis, self.extent(axis))).collect()
    }

    /// Number of registers of a thread, of lanes, or of warps.
    pub fn count(&self, place: Place) -> u32 {
        self.parts(place).iter().map(|p| p.extent).product()
    }

    /// All positions: warp by warp, lane by lane, register by register.
    pub fn positions(&self) -> impl Iterator<Item = Position> + use<A> {
        let [registers, lanes, warps] = Place::ALL.map(|place| self.count(place));
        (0..warps).flat_map(move |warp| {
            (0..lanes).flat_map(move |lane| {
                (0..registers).map(move |register| Position { register, lane, warp })
            })
        })
    }

    /// The element at a position: an index for each of [`Layout::axes`].
    pub fn at(&self, position: Position) -> Coordinate<A> {
        let mut coordinate: Coordinate<A> = self.axes().into_iter().map(|axis| (axis, 0)).collect();
        for (place, number) in Place::ALL.into_iter().zip(position.numbers()) {
            let mut rest = number;
            for part in self.parts(place) {
                if let Some((axis, stride)) = part.along {
                    *coordinate.entry(axis).or_default() += rest % part.extent * stride;
                }
                rest /= part.extent;
            }
        }
        coordinate
    }

    /// The inverse of [`Layout::at`]: all positions of an element, none for one outside the tile.
    /// Indices along axes that the tile does not have say nothing.
    pub fn holders(&self, coordinate: &Coordinate<A>) -> Vec<Position> {
        let index = |axis: A| coordinate.get(&axis).copied().unwrap_or(0);
        if self.axes().into_iter().any(|axis| index(axis) >= self.extent(axis)) {
            return Vec::new();
        }
        let mut found = vec![[0; 3]];
        for place in Place::ALL {
            let mut weight = 1;
            for part in self.parts(place) {
                let digits = match part.along {
                    Some((axis, stride)) => {
                        let digit = index(axis) / stride % part.extent;
                        digit..digit + 1
                    }
                    None => 0..part.extent,
                };
                found = digits
                    .flat_map(|digit| {
                        found.iter().map(move |position| {
                            let mut position = *position;
                            position[place.index()] += digit * weight;
                            position
                        })
                    })
                    .collect();
                weight *= part.extent;
            }
        }
        found.into_iter().map(|[register, lane, warp]| Position { register, lane, warp }).collect()
    }

    /// Row-major numbers of the elements, as sums: see [`Layout::sums`]. Layouts of one shape number
    /// them alike.
    pub(crate) fn tables(&self) -> [Vec<u32>; 3] {
        let mut weights = BTreeMap::new();
        let mut weight = 1;
        for (axis, extent) in self.shape() {
            weights.insert(axis, weight);
            weight *= extent;
        }
        self.sums(|axis| weights[&axis])
    }

    /// What each register, each lane and each warp adds to a weighted sum of the indices: a layout
    /// is additive, so any linear function of the element at a position is the sum of three.
    pub fn sums(&self, weight: impl Fn(A) -> u32) -> [Vec<u32>; 3] {
        Place::ALL.map(|place| {
            let mut table = vec![0];
            for part in self.parts(place) {
                let step = part.along.map_or(0, |(axis, stride)| weight(axis) * stride);
                table = (0..part.extent)
                    .flat_map(|digit| table.iter().map(move |at| at + digit * step))
                    .collect();
            }
            table
        })
    }

    /// Whether a lane or a warp is the first of those that hold the same elements.
    pub fn is_first_copy(&self, place: Place, number: u32) -> bool {
        let mut rest = number;
        self.parts(place).iter().all(|part| {
            let digit = rest % part.extent;
            rest /= part.extent;
            part.along.is_some() || digit == 0
        })
    }
}

impl Position {
    fn numbers(self) -> [u32; 3] {
        [self.register, self.lane, self.warp]
    }
}

/// One line for each place:
///
/// ```text
/// register  2 k*1   2 m*8   2 k*8
/// lane      4 k*2   8 m*1
/// warp      4 m*16
/// ```
impl<A: Copy + Ord + fmt::Display> fmt::Display for Layout<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in Place::ALL {
            let parts: Vec<String> = self.parts(place).iter().map(Part::to_string).collect();
            if !parts.is_empty() {
                writeln!(f, "{place:<10}{}", parts.join("   "))?;
            }
        }
        Ok(())
    }
}
