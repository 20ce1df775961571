//! What a launch changed, instruction by instruction: evidence that an instruction, or a mutation of one, has no effect.
//!
//! A change is a register that holds another value, or becomes defined or undefined, in some lane; a store, an atomic or an
//! asynchronous copy, with its addresses and values; a `commit_group` that closes a group with a copy in it; a `wait_group`
//! that completes copies, and which; every barrier and fence; the end of a lane. A branch changes nothing itself: where it
//! leads shows in what is executed there.
//!
//! Two texts that differ on a line and have the same [`Changes::digest`] went through the same states on this launch,
//! warp by warp: the difference had no effect. A line whose `changed` is 0 could be deleted, on this launch.

use std::collections::BTreeMap;

use crate::program::Kernel;
use crate::stats::Tally;

/// One PTX statement over a launch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineChanges {
    /// The statement.
    pub ptx: String,
    /// Warps that executed it, with a lane active but for branches.
    pub executed: u64,
    /// Those for which it changed something; for a branch, those of which some lane went elsewhere.
    pub changed: u64,
}

/// What a launch changed, under `Counters::Changes`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// A hash of every change with its PTX line, in order within each warp; it depends on no schedule.
    pub digest: u64,
    /// Every statement, by PTX line.
    pub lines: BTreeMap<u32, LineChanges>,
}

impl Changes {
    pub(crate) fn new(kernel: &Kernel, tally: &Tally) -> Changes {
        let mut lines: BTreeMap<u32, LineChanges> = BTreeMap::new();
        for (site, counts) in kernel.sites.iter().zip(tally.executed.iter().zip(&tally.changed)) {
            let line = lines.entry(site.line).or_default();
            line.ptx.clone_from(&site.text);
            line.executed = line.executed.max(*counts.0);
            line.changed = line.changed.max(*counts.1);
        }
        Changes { digest: tally.digest, lines }
    }

    /// Counts of another launch of the same text on top; digests are combined in order.
    pub fn add(&mut self, other: &Changes) {
        self.digest = crate::hash::mix(self.digest) ^ other.digest;
        for (line, more) in &other.lines {
            let sum = self.lines.entry(*line).or_default();
            sum.ptx.clone_from(&more.ptx);
            sum.executed += more.executed;
            sum.changed += more.changed;
        }
    }
}
