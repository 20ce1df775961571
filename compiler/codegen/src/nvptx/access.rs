//! Accesses to global memory: which elements move together, where they are, and whether they are there.
//!
//! An address is `parameter + thread part + uniform part + register part`. The thread part is computed once. Of the
//! register part what is a known number of bytes becomes an immediate; the rest walks: vectors are taken row by row, and the
//! pointer of a row is that of the row before plus a step.
//!
//! A condition `0 <= uniform + thread + register < extent` is tested as `register - low < high - low`, unsigned, with
//! `low = -(uniform + thread)` and `high = low + extent`, which are the same for all registers.

use std::collections::BTreeMap;

use tilec_gpu::gir::{Access, Val};
use tilec_ir::Axis;
use tilec_layout::{Layout, Place};
use tilec_vocab::DType;

use super::emit::{Emitter, Result};
use super::entry::Stride;
use super::lanes::coefficient;
use super::thread::register_sums;
use super::value::Value;

/// Some neighbouring elements of a thread.
#[derive(Clone, Debug)]
pub struct Vector {
    /// Their registers, in order of addresses.
    pub registers: Vec<u32>,
    /// Address of the first, less `immediate`.
    pub pointer: String,
    /// Bytes.
    pub immediate: i64,
    /// Holds where all of them are there; `None` where they always are.
    pub guard: Option<String>,
    /// How many of them are there, where the guard is not enough to say: an `i32` between 0 and their number.
    pub count: Option<String>,
}

/// How much of an access is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checks {
    /// All is inside: only lanes that the layout has and the axis has not.
    Extents,
    /// Every vector; one that can be there in part is cut into elements.
    Elements,
    /// Every vector; one that can be there in part has a count.
    Counts,
}

/// Bytes that an immediate of the machine's `LDGSTS` reaches, either way.
const SHORT_REACH: i64 = 2048;

/// Most bytes of one access.
pub const VECTOR_BYTES: u32 = 16;

/// An access of a tile in a layout.
pub struct Plan<'a> {
    pub access: &'a Access,
    pub layout: &'a Layout<Axis>,
    pub elem: DType,
    pub mutable: bool,
    pub strides: Vec<Stride>,
    /// The axis of neighbours.
    along: Option<Axis>,
    /// Elements of a vector, if none must be cut.
    pub width: u32,
    /// Whether a vector may be there in part.
    partial: bool,
    /// Whether immediates reach 2 KiB either way and no further, as those of `cp.async`.
    pub short_reach: bool,
    conditions: Vec<Condition>,
    /// What must hold even where everything is inside.
    extents: Vec<Condition>,
}

/// What must hold for an element to be there.
#[derive(Clone, Debug)]
enum Condition {
    /// A lane below a number, both of the entry block or the body.
    Lane { axis: Axis, limit: Limit },
    /// An index inside a dimension.
    Dim(usize),
}

#[derive(Clone, Debug)]
enum Limit {
    Const(u32),
    /// At most the constant, too.
    Present(Val, u32),
}

impl<'a> Emitter<'a> {
    /// What there is to know of an access before it is written.
    pub fn plan<'b>(&self, access: &'b Access, layout: &'b Layout<Axis>) -> Result<Plan<'b>> {
        let (elem, dims, mutable) = self.tensor_type(access.param)?;
        if dims.len() != access.dims.len() {
            return Err(
                self.unsupported("an access with another number of indices than dimensions")
            );
        }
        let last = dims.len().wrapping_sub(1);
        let strides: Vec<Stride> =
            (0..dims.len()).map(|d| self.stride(access.param, d, d == last)).collect();
        let along = self.neighbours(access, &strides, layout);
        let run = along.map_or(1, |axis| layout.contiguous(axis));
        let bytes = elem.size_bytes() as u32;
        let width = access.vector.min(VECTOR_BYTES / bytes).max(1).min(1 << run.trailing_zeros());
        let width = 1 << width.ilog2();
        let (conditions, extents) = self.conditions(access, layout);
        let partial = false;
        let mut plan = Plan {
            access,
            layout,
            elem,
            mutable,
            strides,
            along,
            width,
            partial,
            short_reach: false,
            conditions,
            extents,
        };
        if plan.extents.iter().any(|c| self.varies(&plan, c)) {
            plan.width = 1;
        }
        plan.partial = plan.width > 1 && plan.conditions.iter().any(|c| self.varies(&plan, c));
        Ok(plan)
    }

    /// The axis whose lanes are neighbours in memory.
    fn neighbours(
        &self,
        access: &Access,
        strides: &[Stride],
        layout: &Layout<Axis>,
    ) -> Option<Axis> {
        let last = access.dims.last()?;
        if strides.last() != Some(&Stride::Known(1)) || last.tile.is_some() {
            return None;
        }
        let mut axes =
            layout.axes().into_iter().filter(|axis| coefficient(&last.lanes, *axis) == 1);
        let axis = axes.next()?;
        let elsewhere = access.dims[..access.dims.len() - 1].iter().any(|dim| {
            coefficient(&dim.lanes, axis) != 0
                || dim.tile.is_some_and(|tile| {
                    self.program.layout(tile).is_some_and(|layout| layout.axes().contains(&axis))
                })
        });
        (!elsewhere).then_some(axis)
    }

    /// What must hold, and what must hold even where everything is inside.
    fn conditions(
        &self,
        access: &Access,
        layout: &Layout<Axis>,
    ) -> (Vec<Condition>, Vec<Condition>) {
        let (mut out, mut extents) = (Vec::new(), Vec::new());
        for axis in layout.axes() {
            let (extent, covered) = (self.program.extent(axis), layout.extent(axis));
            let present = access.present.iter().find(|(a, _)| *a == axis);
            if covered > extent {
                extents.push(Condition::Lane { axis, limit: Limit::Const(extent) });
            }
            let limit = match present {
                Some((_, lanes)) => Limit::Present(*lanes, extent),
                None if covered > extent => Limit::Const(extent),
                None => continue,
            };
            out.push(Condition::Lane { axis, limit });
        }
        out.extend((0..access.dims.len()).filter(|d| access.dims[*d].check).map(Condition::Dim));
        (out, extents)
    }

    /// Whether a condition can hold for a part of a vector.
    fn varies(&self, plan: &Plan<'_>, condition: &Condition) -> bool {
        let Some(along) = plan.along else { return false };
        match condition {
            Condition::Lane { axis, limit } => {
                *axis == along
                    && match limit {
                        Limit::Const(extent) => !extent.is_multiple_of(plan.width),
                        Limit::Present(..) => true,
                    }
            }
            Condition::Dim(d) => *d + 1 == plan.access.dims.len(),
        }
    }

    /// Whether anything is checked that may hold for all.
    pub fn has_checks(&self, plan: &Plan<'_>) -> bool {
        plan.conditions.len() > plan.extents.len()
            || plan.conditions.iter().any(|c| {
                matches!(c, Condition::Dim(_) | Condition::Lane { limit: Limit::Present(..), .. })
            })
    }

    /// What to check where there is one way only.
    pub fn checks(&self, plan: &Plan<'_>) -> Checks {
        if self.has_checks(plan) { Checks::Elements } else { Checks::Extents }
    }

    /// Whether vectors must be cut for their checks.
    pub fn is_cut(&self, plan: &Plan<'_>) -> bool {
        plan.partial
    }

    /// Writes the addresses and conditions of an access: its vectors, row by row.
    pub fn vectors(&mut self, plan: &Plan<'_>, checks: Checks) -> Result<Vec<Vector>> {
        let width = if plan.partial && checks == Checks::Elements { 1 } else { plan.width };
        let mut runs = runs(plan, width);
        let elem_bytes = plan.elem.size_bytes() as i64;
        let register = self.register_offsets(plan)?;
        let key = |run: &Vec<u32>| {
            let offsets = &register[run[0] as usize];
            (offsets.steps.clone(), offsets.immediate)
        };
        runs.sort_by_key(key);
        let furthest = runs.iter().map(|run| register[run[0] as usize].immediate).max();
        let far = plan.short_reach && furthest.is_some_and(|most| most * elem_bytes >= SHORT_REACH);
        let bias = if far { SHORT_REACH } else { 0 };
        let base = self.base(plan, bias)?;
        let mut pointers: BTreeMap<Steps, String> = BTreeMap::new();
        let mut last: (Steps, String) = (vec![0; plan.strides.len()], base);
        pointers.insert(last.0.clone(), last.1.clone());
        let guards = self.guards(plan, checks)?;
        let mut gathered: BTreeMap<(Steps, Vec<String>), String> = BTreeMap::new();
        let mut out = Vec::with_capacity(runs.len());
        for run in runs {
            let offsets = &register[run[0] as usize];
            let row = match pointers.get(&offsets.steps) {
                Some(known) => known.clone(),
                None => {
                    let pointer = self.step(plan, &last, &offsets.steps, elem_bytes);
                    pointers.insert(offsets.steps.clone(), pointer.clone());
                    last = (offsets.steps.clone(), pointer.clone());
                    pointer
                }
            };
            let pointer = if offsets.tiles.is_empty() {
                row
            } else {
                let key = (offsets.steps.clone(), offsets.tiles.clone());
                match gathered.get(&key) {
                    Some(known) => known.clone(),
                    None => {
                        let mut pointer = row;
                        for (d, index) in plan.tile_dims().zip(&offsets.tiles) {
                            let bytes = self.scaled(&plan.strides[d], index, elem_bytes);
                            pointer = self.text.def(format_args!(
                                "getelementptr i8, ptr addrspace(1) {pointer}, i64 {bytes}"
                            ));
                        }
                        gathered.insert(key, pointer.clone());
                        pointer
                    }
                }
            };
            let (guard, count) = self.guard(plan, &guards, &run, checks);
            let immediate = offsets.immediate * elem_bytes - bias;
            out.push(Vector { registers: run, pointer, immediate, guard, count });
        }
        Ok(out)
    }

    /// What each register adds to the address.
    fn register_offsets(&mut self, plan: &Plan<'_>) -> Result<Vec<RegisterOffset>> {
        let count = plan.layout.count(Place::Register) as usize;
        let mut out = vec![
            RegisterOffset {
                steps: vec![0; plan.strides.len()],
                immediate: 0,
                tiles: Vec::new()
            };
            count
        ];
        for (d, dim) in plan.access.dims.iter().enumerate() {
            let sums = register_sums(plan.layout, |axis| coefficient(&dim.lanes, axis));
            for (offset, sum) in out.iter_mut().zip(sums) {
                match plan.strides[d] {
                    Stride::Known(stride) => offset.immediate += sum * stride,
                    Stride::Param(_) => offset.steps[d] = sum,
                }
            }
            if let Some(tile) = dim.tile {
                for (offset, index) in out.iter_mut().zip(self.index_tile(tile, plan.layout)?) {
                    offset.tiles.push(index);
                }
            }
        }
        Ok(out)
    }

    /// An index tile's register beside each register of the layout.
    fn index_tile(&mut self, tile: Val, layout: &Layout<Axis>) -> Result<Vec<String>> {
        let count = layout.count(Place::Register) as usize;
        match self.value(tile)? {
            Value::Uniform(name) => Ok(vec![name; count]),
            Value::Tile(registers) => {
                let own = self.layout(tile)?;
                let map = self.beside_layouts(own, layout).ok_or_else(|| {
                    self.unsupported(format!("index {tile} does not lie beside what it indexes"))
                })?;
                Ok(map.iter().map(|r| registers.words[*r as usize].clone()).collect())
            }
        }
    }

    /// What the conditions of all registers share.
    fn guards(&mut self, plan: &Plan<'_>, checks: Checks) -> Result<Vec<Guard>> {
        let mut out = Vec::new();
        let all = if checks == Checks::Extents { &plan.extents } else { &plan.conditions };
        for condition in all {
            out.push(match condition {
                Condition::Lane { axis, limit } => self.lane_guard(plan, *axis, limit)?,
                Condition::Dim(d) => self.dim_guard(plan, *d)?,
            });
        }
        Ok(out)
    }

    fn lane_guard(&mut self, plan: &Plan<'_>, axis: Axis, limit: &Limit) -> Result<Guard> {
        let sum = self.sum(plan.layout, |other| i64::from(other == axis));
        let varies = plan.along == Some(axis);
        let (room, least) = match limit {
            Limit::Const(extent) => {
                let room = self.text.early(format_args!("sub i32 {extent}, {}", sum.thread));
                // Registers so low that every thread's lane is inside.
                (room, i64::from(*extent) - sum.range.1)
            }
            Limit::Present(lanes, extent) => {
                let lanes = self.uniform(*lanes)?;
                let args = [("i64", lanes.as_str()), ("i64", "0")];
                let lanes = self.text.call("i64", "llvm.smax.i64", &args);
                let extent = extent.to_string();
                let args = [("i64", lanes.as_str()), ("i64", extent.as_str())];
                let lanes = self.text.call("i64", "llvm.smin.i64", &args);
                let lanes = self.text.def(format_args!("trunc i64 {lanes} to i32"));
                (self.text.def(format_args!("sub i32 {lanes}, {}", sum.thread)), 0)
            }
        };
        Ok(Guard::Below { room, registers: sum.registers, least, varies })
    }

    fn dim_guard(&mut self, plan: &Plan<'_>, d: usize) -> Result<Guard> {
        let (_, dims, _) = self.tensor_type(plan.access.param)?;
        let extent = self.extent(dims[d])?;
        let dim = &plan.access.dims[d];
        let varies = d + 1 == plan.access.dims.len();
        let (thread, registers) = self.wide_sum(plan.layout, &dim.lanes);
        let mut fixed = match dim.uniform {
            Some(uniform) => self.uniform(uniform)?,
            None => "0".to_string(),
        };
        if thread != "0" {
            fixed = self.text.def(format_args!("add i64 {fixed}, {thread}"));
        }
        if let Some(tile) = dim.tile {
            let tiles = self.index_tile(tile, plan.layout)?;
            return Ok(Guard::Gathered { fixed, registers, tiles, extent });
        }
        let low = self.text.call("i64", "llvm.ssub.sat.i64", &[("i64", "0"), ("i64", &fixed)]);
        let high = self.text.call("i64", "llvm.ssub.sat.i64", &[("i64", &extent), ("i64", &fixed)]);
        let (low, high) = (self.clamped(&low), self.clamped(&high));
        let room = self.text.def(format_args!("sub i32 {high}, {low}"));
        Ok(Guard::Between { low, high, room, registers, varies })
    }

    /// Whether, or how much of, a vector is there.
    fn guard(
        &mut self,
        plan: &Plan<'_>,
        guards: &[Guard],
        run: &[u32],
        checks: Checks,
    ) -> (Option<String>, Option<String>) {
        let first = run[0] as usize;
        let counted = checks == Checks::Counts && plan.partial && run.len() > 1;
        let mut all: Option<String> = None;
        let mut count: Option<String> = None;
        for guard in guards {
            let condition = match guard {
                Guard::Below { room, registers, least, varies, .. } => {
                    let add = registers[first];
                    if *varies && counted {
                        let left = self.text.def(format_args!("sub i32 {room}, {add}"));
                        count = Some(self.fewer(count, &left));
                        continue;
                    }
                    if add < *least {
                        continue;
                    }
                    self.text.def(format_args!("icmp sgt i32 {room}, {add}"))
                }
                Guard::Between { low, high, room, registers, varies, .. } => {
                    let add = registers[first];
                    let from_low = self.text.def(format_args!("sub i32 {add}, {low}"));
                    if *varies && counted {
                        let left = self.text.def(format_args!("sub i32 {high}, {add}"));
                        count = Some(self.fewer(count, &left));
                    }
                    self.text.def(format_args!("icmp ult i32 {from_low}, {room}"))
                }
                Guard::Gathered { fixed, registers, tiles, extent, .. } => {
                    let add = registers[first];
                    let index = self.text.def(format_args!("add i64 {fixed}, {}", tiles[first]));
                    let index = self.text.def(format_args!("add i64 {index}, {add}"));
                    self.text.def(format_args!("icmp ult i64 {index}, {extent}"))
                }
            };
            all = Some(match all {
                Some(so_far) => self.text.def(format_args!("and i1 {so_far}, {condition}")),
                None => condition,
            });
        }
        let width = run.len();
        if let Some(left) = &count {
            let at_least = self.text.def(format_args!("icmp sgt i32 {left}, 0"));
            let left = self.text.def(format_args!("select i1 {at_least}, i32 {left}, i32 0"));
            let fits = self.text.def(format_args!("icmp slt i32 {left}, {width}"));
            let left = self.text.def(format_args!("select i1 {fits}, i32 {left}, i32 {width}"));
            let left = match &all {
                Some(all) => self.text.def(format_args!("select i1 {all}, i32 {left}, i32 0")),
                None => left,
            };
            count = Some(left);
        }
        (all, count)
    }

    fn fewer(&mut self, count: Option<String>, left: &str) -> String {
        let Some(count) = count else { return left.to_string() };
        let less = self.text.def(format_args!("icmp slt i32 {left}, {count}"));
        self.text.def(format_args!("select i1 {less}, i32 {left}, i32 {count}"))
    }
}

/// For each dimension, the register's part of the index where its stride is a run-time number.
pub type Steps = Vec<i64>;

#[derive(Clone)]
struct RegisterOffset {
    steps: Steps,
    /// Elements.
    immediate: i64,
    /// An index for each dimension that has a tile.
    tiles: Vec<String>,
}

enum Guard {
    /// `register < room`.
    Below { room: String, registers: Vec<i64>, least: i64, varies: bool },
    /// `register - low < room`, unsigned, with `high = low + room`.
    Between { low: String, high: String, room: String, registers: Vec<i64>, varies: bool },
    /// `fixed + tile + register < extent`, unsigned.
    Gathered { fixed: String, registers: Vec<i64>, tiles: Vec<String>, extent: String },
}

impl Plan<'_> {
    /// Dimensions with a tile of indices.
    fn tile_dims(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.access.dims.len()).filter(|d| self.access.dims[*d].tile.is_some())
    }
}

/// Registers that move together, in order of addresses.
fn runs(plan: &Plan<'_>, width: u32) -> Vec<Vec<u32>> {
    let count = plan.layout.count(Place::Register);
    let Some(along) = plan.along.filter(|_| width > 1) else {
        return (0..count).map(|register| vec![register]).collect();
    };
    let at = register_sums(plan.layout, |axis| i64::from(axis == along));
    // All that the index along the axis does not change.
    let beside = plan.layout.broadcast_registers(along);
    let mut found: BTreeMap<(u32, i64), Vec<u32>> = BTreeMap::new();
    let mut order: Vec<u32> = (0..count).collect();
    order.sort_by_key(|register| at[*register as usize]);
    for register in order {
        let r = register as usize;
        found.entry((beside[r], at[r] / i64::from(width))).or_default().push(register);
    }
    found.into_values().collect()
}
