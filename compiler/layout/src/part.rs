//! Parts: one digit of a register number, a lane number or a warp number, and what it is worth.

use std::fmt;

/// Where a digit is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A thread's registers, one element each: two f16 in one 32-bit register are two here.
    Register,
    /// The 32 lanes of a warp.
    Lane,
    /// The warps of a CTA.
    Warp,
}

impl Place {
    /// All places, fastest first.
    pub const ALL: [Place; 3] = [Place::Register, Place::Lane, Place::Warp];

    pub(crate) fn index(self) -> usize {
        match self {
            Place::Register => 0,
            Place::Lane => 1,
            Place::Warp => 2,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Place::Register => "register",
            Place::Lane => "lane",
            Place::Warp => "warp",
        })
    }
}

/// One digit: it runs from 0 to `extent - 1`, and each step moves by `stride` along an axis, or
/// not at all, and then each value of the digit holds a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Part<A> {
    /// Number of values of the digit.
    pub extent: u32,
    /// Axis and step; `None` for copies.
    pub along: Option<(A, u32)>,
}

impl<A> Part<A> {
    /// A digit that walks along `axis` in steps of `stride`.
    pub const fn new(extent: u32, axis: A, stride: u32) -> Part<A> {
        Part { extent, along: Some((axis, stride)) }
    }

    /// A digit whose values all hold the same element.
    pub const fn copies(extent: u32) -> Part<A> {
        Part { extent, along: None }
    }
}

impl<A: Copy + Eq> Part<A> {
    /// The step along `axis`, if it walks there.
    pub fn stride_along(&self, axis: A) -> Option<u32> {
        self.along.filter(|(a, _)| *a == axis).map(|(_, stride)| stride)
    }

    /// This digit and the next as one digit, where the second goes on where this one ends.
    pub(crate) fn merged(self, next: Part<A>) -> Option<Part<A>> {
        let goes_on = match (self.along, next.along) {
            (None, None) => true,
            (Some((a, s)), Some((b, t))) => a == b && t == s * self.extent,
            (Some(_), None) | (None, Some(_)) => false,
        };
        goes_on.then_some(Part { extent: self.extent * next.extent, along: self.along })
    }
}

/// `4 n*2`, or `4 copies`.
impl<A: fmt::Display> fmt::Display for Part<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.along {
            Some((axis, stride)) => write!(f, "{} {axis}*{stride}", self.extent),
            None => write!(f, "{} copies", self.extent),
        }
    }
}
