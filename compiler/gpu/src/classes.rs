//! A layout for every tile that is not computed afresh wherever it is wanted.
//!
//! Tiles over the same axes that meet in an element-wise instruction, or that a loop or a branch hands on, are one *class* and
//! have one layout. Dots say theirs first; a layout then spreads:
//!
//! 1. to the result of a reduction, from what is reduced;
//! 2. to operands over fewer axes than the result they are broadcast to;
//! 3. to the indices of rows that are copied to shared memory, from who copies which;
//! 4. to what no dot reaches: the largest class that is left is laid out for wide loads and stores, and so on.
//!
//! Where two dots meet in a class, the first has its way and the second's result is converted.

use std::collections::BTreeMap;

use tilec_ir::{Axis, Entity, Inst, Op, Value};
use tilec_layout::{Layout, blocked, chunked};

use crate::fragments::Fragments;
use crate::study::Study;

/// The classes and their layouts.
pub(crate) struct Classes {
    class: Vec<usize>,
    layouts: BTreeMap<usize, Layout<Axis>>,
}

impl Classes {
    /// The layout of a tile; none for scalars, free tiles and staged loads.
    pub fn layout(&self, value: Value) -> Option<&Layout<Axis>> {
        self.layouts.get(&self.class[value.index()])
    }
}

/// Chooses. `staged` loads have no place in registers.
pub(crate) fn classes(
    study: &Study<'_>,
    dots: &BTreeMap<Inst, Fragments>,
    staged: &[bool],
    warps: u32,
) -> Classes {
    let mut chooser = Chooser {
        study,
        staged,
        warps,
        parents: (0..study.kernel.values.len()).collect(),
        layouts: BTreeMap::new(),
    };
    let insts = study.kernel.walk();
    insts.iter().for_each(|&inst| chooser.join(inst));
    for (&inst, fragments) in dots {
        if let Some(&result) = study.data(inst).results.first() {
            chooser.set(result, fragments.c.clone());
        }
    }
    loop {
        while insts.iter().any(|&inst| chooser.spread(inst)) {}
        if !chooser.anchor(&insts) {
            break;
        }
    }
    let class = (0..study.kernel.values.len()).map(|v| chooser.find(v)).collect();
    Classes { class, layouts: chooser.layouts }
}

struct Chooser<'s, 'k> {
    study: &'s Study<'k>,
    staged: &'s [bool],
    warps: u32,
    parents: Vec<usize>,
    layouts: BTreeMap<usize, Layout<Axis>>,
}

impl Chooser<'_, '_> {
    fn find(&self, mut at: usize) -> usize {
        while self.parents[at] != at {
            at = self.parents[at];
        }
        at
    }

    /// Whether a value has a class.
    fn counts(&self, value: Value) -> bool {
        !self.study.is_scalar(value) && !self.study.free(value) && !self.staged[value.index()]
    }

    fn unite(&mut self, a: Value, b: Value) {
        if self.counts(a) && self.counts(b) && self.study.axes(a) == self.study.axes(b) {
            let (a, b) = (self.find(a.index()), self.find(b.index()));
            self.parents[a.max(b)] = a.min(b);
        }
    }

    fn join(&mut self, inst: Inst) {
        let study = self.study;
        let data = study.data(inst);
        let yields = |block| -> Vec<Value> {
            let last = study.kernel.blocks[block].insts.last();
            last.map_or_else(Vec::new, |&inst| study.data(inst).args.to_vec())
        };
        match &data.op {
            op if Study::element_wise(op) => {
                for &arg in &data.args {
                    self.unite(data.results[0], arg);
                }
            }
            Op::For(_) => {
                let block = data.blocks[0];
                let params = &study.kernel.blocks[block].params;
                for (n, yielded) in yields(block).into_iter().enumerate() {
                    let (result, param) = (data.results[n], params[n + 1]);
                    self.unite(result, param);
                    self.unite(result, yielded);
                    self.unite(result, data.args[n + 2]);
                }
            }
            Op::If => {
                for &block in &data.blocks {
                    for (n, yielded) in yields(block).into_iter().enumerate() {
                        self.unite(data.results[n], yielded);
                    }
                }
            }
            _ => {}
        }
    }

    fn get(&self, value: Value) -> Option<&Layout<Axis>> {
        self.layouts.get(&self.find(value.index()))
    }

    /// Gives a class its layout; false if it has one.
    fn set(&mut self, value: Value, layout: Layout<Axis>) -> bool {
        let class = self.find(value.index());
        if !self.counts(value) || self.layouts.contains_key(&class) {
            return false;
        }
        self.layouts.insert(class, layout);
        true
    }

    /// From one value of an instruction to another; true if a class got its layout.
    fn spread(&mut self, inst: Inst) -> bool {
        let study = self.study;
        let data = study.data(inst);
        match &data.op {
            Op::Reduce(_, over) => {
                let Some(layout) = self.get(data.args[0]) else { return false };
                let reduced = over.iter().fold(layout.clone(), |left, &axis| left.without(axis));
                self.set(data.results[0], reduced)
            }
            // Of a load, the indices that are no sums of lanes.
            op if Study::element_wise(op) || matches!(op, Op::Load(_)) => {
                let result = data.results[0];
                let open = |&&arg: &&Value| self.counts(arg) && self.get(arg).is_none();
                let open: Vec<Value> = data.args.iter().filter(open).copied().collect();
                if open.is_empty() {
                    return false;
                }
                let is_staged = self.staged[result.index()];
                let layout = match is_staged {
                    true => Some(copies(study, inst, self.warps)),
                    false => self.get(result).cloned(),
                };
                let Some(layout) = layout else { return false };
                let axes = study.axes(result);
                open.into_iter().fold(false, |any, arg| {
                    let kept = study.axes(arg);
                    let missing = axes.iter().filter(|axis| !kept.contains(axis));
                    let narrow = missing.fold(layout.clone(), |left, &axis| left.without(axis));
                    // Each index is found by one thread, and sent to those that copy its row.
                    let narrow = if is_staged { narrow.dealt_to_copies() } else { narrow };
                    self.set(arg, narrow) || any
                })
            }
            _ => false,
        }
    }

    /// Lays out the largest class that has no layout; false if there is none.
    fn anchor(&mut self, insts: &[Inst]) -> bool {
        let study = self.study;
        let size = |value: Value| {
            study.axes(value).into_iter().map(|a| u64::from(study.extent(a))).product::<u64>()
        };
        let open = insts
            .iter()
            .flat_map(|&inst| study.data(inst).results.iter().copied())
            .filter(|&value| self.counts(value) && self.get(value).is_none());
        let Some(value) = open.min_by_key(|&value| (std::cmp::Reverse(size(value)), value)) else {
            return false;
        };
        let class = self.find(value.index());
        let accesses = insts.iter().filter_map(|&inst| {
            let data = study.data(inst);
            let moved = match data.op {
                Op::Load(_) => data.results[0],
                Op::Store(_) | Op::AtomicAdd(_) => data.args[0],
                _ => return None,
            };
            (self.counts(moved) && self.find(moved.index()) == class).then_some(inst)
        });
        let axes = accesses
            .map(|inst| memory_order(study, inst))
            .find(|order| order.len() == study.axes(value).len())
            .unwrap_or_else(|| study.axes(value));
        let axes: Vec<(Axis, u32)> = axes.into_iter().map(|a| (a, study.extent(a))).collect();
        let bytes = study.dtype(value).size_bytes() as u32;
        let layout = blocked(&axes, bytes, self.warps);
        self.set(value, layout)
    }
}

/// Who copies what of a load to shared memory, if nothing is padded.
pub(crate) fn copies(study: &Study<'_>, inst: Inst, warps: u32) -> Layout<Axis> {
    let order = memory_order(study, inst);
    let extents: Vec<(Axis, u32)> =
        order.into_iter().map(|axis| (axis, study.extent(axis))).collect();
    let bytes = study.dtype(study.data(inst).results[0]).size_bytes() as u32;
    chunked(&extents, bytes, warps)
}

/// The axes of an access in the order of the dimensions they index, the slowest first.
pub(crate) fn memory_order(study: &Study<'_>, inst: Inst) -> Vec<Axis> {
    let data = study.data(inst);
    let indices = match data.op {
        Op::Load(_) => &data.args[..],
        _ => &data.args[1..],
    };
    let mut order: Vec<Axis> = Vec::new();
    for &index in indices {
        for axis in study.axes(index) {
            // An axis that two dimensions step along is as slow as the faster of them.
            order.retain(|other| *other != axis);
            order.push(axis);
        }
    }
    order
}
