//! Addresses as a few bases and immediate offsets.
//!
//! A thread that reads a fragment makes many accesses at addresses that differ by constants, but
//! for the swizzle: XOR is no addition. Accesses whose distance is the same in every thread share a
//! base register and carry the distance as an immediate. With the 128-byte swizzle the second
//! operand of a `dot` along its rows (`ldmatrix.x4`, four chunks each) needs two bases, `.trans`
//! loads need four, whatever the size of the tile.

use crate::buffer::Buffer;
use crate::layout::Layout;

/// How the addresses of a thread's accesses come about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bases {
    /// The accesses whose addresses are computed.
    pub bases: Vec<usize>,
    /// For each access, the number of its base and the bytes to add to it.
    pub offsets: Vec<(usize, i64)>,
}

impl<A: Copy + Ord> Buffer<A> {
    /// The fewest bases for the accesses of [`Buffer::vectors`] that hold for every thread.
    pub fn bases(&self, layout: &Layout<A>) -> Bases {
        let vectors = self.vectors(layout);
        let starts: Vec<u32> =
            vectors.registers.iter().filter_map(|elements| elements.first()).copied().collect();
        let mut found = Bases { bases: Vec::new(), offsets: Vec::new() };
        let mut addresses: Vec<Vec<i64>> = Vec::new();
        for (access, register) in starts.into_iter().enumerate() {
            let mine = self.of_all_threads(layout, register);
            let shared = addresses.iter().enumerate().find_map(|(number, base)| {
                let mut apart = mine.iter().zip(base).map(|(x, y)| x - y);
                let first = apart.next()?;
                apart.all(|other| other == first).then_some((number, first))
            });
            found.offsets.push(shared.unwrap_or((found.bases.len(), 0)));
            if shared.is_none() {
                found.bases.push(access);
                addresses.push(mine);
            }
        }
        found
    }

    /// The address of the element in `register`, thread by thread.
    fn of_all_threads(&self, layout: &Layout<A>, register: u32) -> Vec<i64> {
        let [registers, lanes, warps] = self.tables(layout);
        let (row, column) = registers[register as usize];
        warps
            .iter()
            .flat_map(|(r, c)| lanes.iter().map(move |(r1, c1)| (row + r + r1, column + c + c1)))
            .map(|place| i64::from(self.address_of(place)))
            .collect()
    }
}
