//! Statements: runs of ops, loops with carried values, branches.

use tilec_vocab::Span;

use super::track::Track;
use super::{AXIS_EXTENTS, Draw, INDEX_MAX, Item};
use crate::kernel::{AxisData, Block, Value};
use crate::ops::BinaryOp;
use crate::types::{Elem, Extent, Type};

/// How deep loops and branches go.
const DEPTH: usize = 3;

/// How a carried value goes round.
#[derive(Clone, Copy)]
enum Carry {
    /// The body yields any value of which no more than this is known.
    Any(Track),
    /// The body adds to it, and uses it for nothing else.
    Sum(Track),
}

/// What may be added to an accumulator in one iteration.
const TERM: Track = Track { max: 16.0, grain: Some(4), err: 0.0 };
const TRIPS: f64 = 8.0;

impl Draw {
    pub(super) fn statements(&mut self, budget: usize) {
        let mut left = budget;
        while left > 0 {
            left -= 1;
            match self.rng.below(100) {
                0..62 => drop(self.op()),
                62..72 => drop(self.load()),
                72..75 => drop(self.axis()),
                75..81 => self.store(),
                81..90 => drop(self.again()),
                _ if self.depth < DEPTH && left > 6 => {
                    let inner = 3 + self.rng.below(left / 2);
                    left -= inner.min(left);
                    match self.rng.percent(60) {
                        true => drop(self.for_loop(inner)),
                        false => drop(self.branch(inner)),
                    }
                }
                _ => {}
            }
        }
    }

    /// Fills a block by `fill`; what becomes visible there stays there.
    fn inside<T>(&mut self, block: Block, fill: impl FnOnce(&mut Draw) -> T) -> T {
        let outer = std::mem::replace(&mut self.block, block);
        let (items, axes, regions) = (self.items.len(), self.axes.len(), self.regions.len());
        self.depth += 1;
        let out = fill(self);
        self.depth -= 1;
        self.items.truncate(items);
        self.axes.truncate(axes);
        self.regions.truncate(regions);
        self.block = outer;
        out
    }

    /// Bounds that give few iterations, perhaps none.
    fn bounds(&mut self, lanes: i64) -> Option<(Value, Value)> {
        let lo = self.bound()?.value;
        let hi = self.bound()?.value;
        let trips = if self.depth == 0 { 8 } else { 2 };
        let mut to = self.to();
        let most = to.int(trips * lanes);
        let last = to.binary(BinaryOp::Add, lo, most);
        Some((lo, to.binary(BinaryOp::Min, hi, last)))
    }

    fn for_loop(&mut self, budget: usize) -> Option<()> {
        let lanes = self.rng.percent(70).then(|| self.rng.pick(&AXIS_EXTENTS[1..]));
        let (lo, hi) = self.bounds(lanes.unwrap_or(1))?;
        let axis = lanes.map(|lanes| {
            let extent = Extent::Const(lanes);
            let name = self.rng.pick(&["n", "k", "m"]).to_owned();
            self.kernel.axes.push(AxisData { name, extent, full: false, span: Span::default() })
        });
        let mut carried: Vec<(Item, Carry)> = Vec::new();
        for _ in 0..self.rng.below(4) {
            let initial = self.find(|_, _| true)?;
            let carry = self.carry(initial);
            carried.push((initial, carry));
        }
        let types = carried.iter().map(|(item, _)| self.ty(*item).clone());
        let types: Vec<Type> = std::iter::once(Type::scalar(Elem::I64)).chain(types).collect();
        let body = self.to().new_block(types);
        let params = self.kernel.blocks[body].params.clone();
        self.inside(body, |draw| {
            draw.axes.extend(axis);
            draw.items.push(Item { value: params[0], track: Track::int(INDEX_MAX) });
            if let Some(axis) = axis {
                let index = draw.to().index(axis);
                draw.keep(index, Track::int(INDEX_MAX));
            }
            for (&param, (_, carry)) in params[1..].iter().zip(&carried) {
                if let Carry::Any(track) = *carry {
                    draw.items.push(Item { value: param, track });
                }
            }
            draw.statements(budget);
            let yields: Vec<Value> = params[1..]
                .iter()
                .zip(&carried)
                .map(|(&param, (_, carry))| draw.next_carried(param, *carry))
                .collect();
            draw.to().yield_values(&yields);
        });
        let initial: Vec<Value> = carried.iter().map(|(item, _)| item.value).collect();
        let results = self.to().for_loop(axis, lo, hi, &initial, body);
        for (result, (_, carry)) in results.into_iter().zip(carried) {
            let (Carry::Any(track) | Carry::Sum(track)) = carry;
            self.keep(result, track);
        }
        Some(())
    }

    /// What is promised of a carried value, from before the first iteration to after the last.
    fn carry(&mut self, initial: Item) -> Carry {
        let (dtype, start) = (self.dtype(initial), initial.track);
        if !dtype.is_float() {
            // Integers may wrap, but i32 is only ever stored.
            let max = if dtype == tilec_vocab::DType::I64 { f64::INFINITY } else { start.max };
            return Carry::Any(Track::int(max));
        }
        let total = start.max + TERM.max * TRIPS;
        let grain = start.grain.map(|grain| grain.max(4));
        let sum = Track { max: total, grain, err: start.err }.rounded(dtype);
        match sum {
            Some(sum) if start.is_equal() && self.rng.percent(50) => Carry::Sum(sum),
            _ => Carry::Any(Track { max: start.max.max(8.0), grain, err: start.err }),
        }
    }

    fn next_carried(&mut self, param: Value, carry: Carry) -> Value {
        let ty = self.kernel.ty(param).clone();
        let limit = match carry {
            Carry::Any(track) => track,
            Carry::Sum(_) => TERM,
        };
        let next = self.find(|draw, item| {
            let of = draw.ty(item);
            of.elem == ty.elem && of.axes.is_subset(&ty.axes) && item.track.within(limit)
        });
        let Some(next) = next else { return param };
        let mut value = next.value;
        if let Carry::Sum(_) = carry {
            value = self.to().binary(BinaryOp::Add, param, value);
        }
        if self.kernel.ty(value).axes != ty.axes {
            value = self.to().splat(value, &ty.axes);
        }
        value
    }

    fn branch(&mut self, budget: usize) -> Option<()> {
        let condition =
            self.find(|draw, item| draw.ty(item).is_scalar() && draw.ty(item).elem == Elem::BOOL)?;
        let results: Vec<Item> =
            (0..self.rng.below(3)).filter_map(|_| self.find(|_, _| true)).collect();
        let promises: Vec<Track> = results
            .iter()
            .map(|item| match self.carry(*item) {
                Carry::Any(track) | Carry::Sum(track) => track.either(item.track),
            })
            .collect();
        let mut blocks = Vec::new();
        for _ in 0..2 {
            let block = self.to().new_block([]);
            self.inside(block, |draw| {
                let share = draw.rng.below(budget / 2 + 1);
                draw.statements(share);
                let yields: Vec<Value> = results
                    .iter()
                    .zip(&promises)
                    .map(|(item, track)| draw.next_carried(item.value, Carry::Any(*track)))
                    .collect();
                draw.to().yield_values(&yields);
            });
            blocks.push(block);
        }
        let types: Vec<Type> = results.iter().map(|item| self.ty(*item).clone()).collect();
        let made = self.to().if_else(condition.value, blocks[0], blocks[1], types);
        for (value, track) in made.into_iter().zip(promises) {
            self.keep(value, track);
        }
        Some(())
    }
}
