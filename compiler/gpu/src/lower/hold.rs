//! First operands of dots that a loop does not change, kept in registers as fragments where they fit.
//!
//! A fragment read from shared memory is read again in each iteration. Those of queries are the same every time: held, they
//! cost their registers and nothing else.

use tilec_ir::{Axis, Block as TileBlock, Op as TileOp, Precision, Value};
use tilec_layout::{Layout, Place};

use super::Lower;
use crate::gir::{Op, Slot};

/// Registers of a thread for what is held, carried and made by the dots of a loop. The rest of the 255 are for operands
/// under way, rounded scores, addresses and counters.
const ROOM: u32 = 175;

/// Registers of a thread for a tile.
fn words(layout: &Layout<Axis>, bytes: u32) -> u32 {
    (layout.count(Place::Register) * bytes).div_ceil(4)
}

impl Lower<'_> {
    /// Reads what can be held through a loop. `carried` is what the loop hands on, `groups` the groups of copies begun
    /// since those of the operands.
    pub(super) fn hold(&mut self, block: TileBlock, carried: &[Option<Layout<Axis>>], groups: u32) {
        if !self.options.held_operands {
            return;
        }
        let dots: Vec<_> = self.kernel.blocks[block]
            .insts
            .iter()
            .filter(|inst| self.fragments.get(inst).is_some_and(|cut| cut.mma.is_some()))
            .copied()
            .collect();
        let mut taken: u32 = carried.iter().flatten().map(|layout| words(layout, 4)).sum();
        for (value, layout) in self.scope.held.keys() {
            taken += words(layout, self.bytes_of(*value));
        }
        for inst in &dots {
            let made = Some(self.fragments[inst].c.clone());
            // Else it is added to what is carried.
            if !carried.contains(&made) {
                taken += made.map_or(0, |layout| words(&layout, 4));
            }
        }
        for inst in dots {
            let data = self.study.data(inst);
            let value = data.args[self.roles[&inst].first];
            let key = (value, self.fragments[&inst].a.clone());
            let Some(&slot) = self.scope.shared.get(&value) else { continue };
            let parts = if matches!(data.op, TileOp::Dot(_, Precision::Tf32x3)) { 2 } else { 1 };
            let needed = words(&key.1, self.bytes_of(value)) * parts;
            if self.scope.held.contains_key(&key) || taken + needed > ROOM {
                continue;
            }
            taken += needed;
            self.read_held(key, slot, groups);
        }
    }

    fn read_held(&mut self, key: (Value, Layout<Axis>), slot: Slot, groups: u32) {
        if self.scope.pending.contains(&slot.buf) {
            self.stmt(Vec::new(), Op::Wait(groups));
            self.scope.pending.clear();
        }
        let elem = self.study.dtype(key.0);
        let held = self.push(Op::Get(slot), elem, Some(key.1.clone()));
        self.program.values[held].name.clone_from(&self.kernel.values[key.0].name);
        self.scope.held.insert(key, held);
    }

    fn bytes_of(&self, value: Value) -> u32 {
        self.study.dtype(value).size_bytes() as u32
    }
}
