//! Reductions along an axis: what a thread combines, which lanes it asks, which warps remain.
//!
//! A reduction is a sum, product, maximum or the like: operands may come in any order. Lanes that
//! share the reduced axis exchange partial results by `shfl.sync.bfly`, one step for each bit of
//! the digit, and every one of them ends with the result: the layout of the result is
//! [`Layout::without`] the axis, its lanes copies. Where the operation is linear and the tile is
//! inside a loop, the steps may wait until after it.
//!
//! The accumulator of `m16n8k16` reduced along `n`: a thread adds the two columns of each row it
//! holds, then asks lane `l ^ 1`, then lane `l ^ 2`.

use crate::layout::Layout;
use crate::part::{Part, Place};

/// How to reduce along one axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reduction<A> {
    /// Who holds the result in the end.
    pub result: Layout<A>,
    /// For each register of the result, those that a thread combines first.
    pub registers: Vec<Vec<u32>>,
    /// Then, who is to combine with whom.
    pub shares: Shares,
}

impl<A> Reduction<A> {
    /// Shuffles of a thread.
    pub fn num_shuffles(&self) -> usize {
        self.shares.lane_masks.len() * self.registers.len()
    }
}

/// Lanes and warps that each hold a share of a result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// In any order, each register is combined with that of lane `l ^ mask`.
    pub lane_masks: Vec<u32>,
    /// Then warps whose numbers differ in these digits combine theirs through shared memory: what one step of a digit is
    /// worth, and how many values it has.
    pub warp_digits: Vec<(u32, u32)>,
}

impl Shares {
    /// Those of several reductions, one after the other.
    pub fn of<'r, A: 'r>(steps: impl IntoIterator<Item = &'r Reduction<A>>) -> Shares {
        let mut all = Shares::default();
        for step in steps {
            all.lane_masks.extend(&step.shares.lane_masks);
            all.warp_digits.extend(&step.shares.warp_digits);
        }
        all
    }

    /// Whether everybody holds all of it.
    pub fn is_whole(&self) -> bool {
        self.lane_masks.is_empty() && !self.crosses_warps()
    }

    /// Whether warps hold different shares.
    pub fn crosses_warps(&self) -> bool {
        !self.warp_digits.is_empty()
    }
}

impl<A: Copy + Ord> Layout<A> {
    /// How to reduce along `axis`.
    pub fn reduce(&self, axis: A) -> Reduction<A> {
        let result = self.without(axis);
        let mut registers = vec![Vec::new(); result.count(Place::Register) as usize];
        for (register, beside) in (0..).zip(self.broadcast_registers(axis)) {
            registers[beside as usize].push(register);
        }
        let lane_masks = digits(self.parts(Place::Lane))
            .filter(|(_, part)| part.stride_along(axis).is_some())
            .flat_map(|(weight, part)| (0..part.extent.ilog2()).map(move |bit| weight << bit))
            .collect();
        let warp_digits = digits(self.parts(Place::Warp))
            .filter(|(_, part)| part.stride_along(axis).is_some())
            .map(|(weight, part)| (weight, part.extent))
            .collect();
        Reduction { result, registers, shares: Shares { lane_masks, warp_digits } }
    }

    /// The XOR masks that lead from a lane to those that hold the same elements.
    pub fn copy_masks(&self) -> Vec<u32> {
        digits(self.parts(Place::Lane))
            .filter(|(_, part)| part.along.is_none())
            .flat_map(|(weight, part)| (0..part.extent.ilog2()).map(move |bit| weight << bit))
            .collect()
    }

    /// How many lanes, or warps, hold each element.
    pub fn num_copies(&self, place: Place) -> u32 {
        self.parts(place).iter().filter(|p| p.along.is_none()).map(|p| p.extent).product()
    }
}

/// Parts with what one step of them is worth in the number they are digits of. Lane parts are
/// powers of two, since together they are.
fn digits<A: Copy>(parts: &[Part<A>]) -> impl Iterator<Item = (u32, Part<A>)> + '_ {
    parts.iter().scan(1, |weight, part| {
        let mine = *weight;
        *weight *= part.extent;
        Some((mine, *part))
    })
}
