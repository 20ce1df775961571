//! In which order the programs of a grid run. The result must not depend on it.

/// An order of programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The last grid axis fastest.
    Forward,
    /// Forward, from the end.
    Reverse,
    /// A permutation chosen by this seed.
    Shuffled(u64),
}

impl Order {
    /// The numbers of `count` programs in this order.
    pub(crate) fn programs(self, count: usize) -> Box<dyn Iterator<Item = usize>> {
        match self {
            Order::Forward => Box::new(0..count),
            Order::Reverse => Box::new((0..count).rev()),
            Order::Shuffled(seed) => Box::new(shuffled(count, seed).into_iter()),
        }
    }
}

/// Fisher and Yates, on SplitMix64.
fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut state = seed;
    for last in (1..count).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        order.swap(last, (z % (last as u64 + 1)) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_runs_once() {
        let natural: Vec<usize> = (0..97).collect();
        for order in [Order::Forward, Order::Reverse, Order::Shuffled(1), Order::Shuffled(2)] {
            let mut programs: Vec<usize> = order.programs(97).collect();
            assert_eq!(programs == natural, order == Order::Forward);
            programs.sort_unstable();
            assert_eq!(programs, natural);
        }
        assert_eq!(Order::Shuffled(3).programs(0).count(), 0);
    }
}
