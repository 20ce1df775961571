//! Two layouts of one value compared: equal, other registers, other names.

use std::collections::BTreeMap;

use crate::layout::Layout;
use crate::part::Place;

impl<A: Copy + Ord> Layout<A> {
    /// Where every thread holds the same elements as in `to`, in whatever registers: the register
    /// of this layout for each register of `to`. The registers of a program have no order, so such
    /// a conversion is a renaming and costs nothing.
    pub fn register_map(&self, to: &Layout<A>) -> Option<Vec<u32>> {
        if self.shape() != to.shape()
            || self.parts(Place::Lane) != to.parts(Place::Lane)
            || self.parts(Place::Warp) != to.parts(Place::Warp)
        {
            return None;
        }
        let [mine, ..] = self.tables();
        let [theirs, ..] = to.tables();
        let at: BTreeMap<u32, u32> = mine.into_iter().zip(0..).collect();
        theirs.into_iter().map(|element| at.get(&element).copied()).collect()
    }

    /// Names for the axes under which this layout becomes `other`, registers in the same order.
    pub fn renaming_to<B: Copy + Ord>(&self, other: &Layout<B>) -> Option<BTreeMap<A, B>> {
        let mut names: BTreeMap<A, B> = BTreeMap::new();
        let (mine, theirs) = (self.axes(), other.axes());
        if mine.len() != theirs.len() {
            return None;
        }
        for ((_, part), (_, wanted)) in self.all_parts().zip(other.all_parts()) {
            if let (Some((axis, _)), Some((name, _))) = (part.along, wanted.along)
                && *names.entry(axis).or_insert(name) != name
            {
                return None;
            }
        }
        let all_named = mine.iter().all(|axis| names.contains_key(axis));
        let renamed = if all_named { self.rename(|axis| names[&axis]).ok() } else { None };
        (renamed.as_ref() == Some(other)).then_some(names)
    }

    /// The same elements in the same threads, registers in order of `axes`: those that walk along
    /// the first of them innermost. The order in which a vector load wants them.
    pub fn with_registers_along(&self, axes: &[A]) -> Layout<A> {
        let rank = |axis: A| axes.iter().position(|a| *a == axis).unwrap_or(axes.len());
        let mut registers = self.parts(Place::Register).to_vec();
        registers.sort_by_key(|p| p.along.map(|(axis, stride)| (rank(axis), axis, stride)));
        let others = self.all_parts().filter(|(place, _)| *place != Place::Register);
        Layout::built(registers.into_iter().map(|p| (Place::Register, p)).chain(others))
    }

    /// How many indices of `axis` in a row, from a multiple of that number, one thread holds,
    /// whatever the order of its registers: the widest vector of a load or store along it.
    pub fn contiguous(&self, axis: A) -> u32 {
        let mut run = 1;
        while let Some(part) =
            self.parts(Place::Register).iter().find(|p| p.stride_along(axis) == Some(run))
        {
            run *= part.extent;
        }
        run
    }
}
