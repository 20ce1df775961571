//! The classes of a loop's blocks for one shape: how many of each, and which, block by block.
//!
//! The end points a [`Plan`] holds are evaluated for every program of the grid; mixed blocks are looked
//! into lane by lane. Numbers that a kernel loads from memory are not known here; a plan that needs one says so.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use tilec_ir::{Axis, Extent, Op, Value};

use super::classify::Interval;
use super::expr::{Expr, name};
use super::formula::{Formula, Input};
use super::plan::Plan;
use super::scope::Scope;

/// Run-time dimensions and number arguments by name.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// Values; truth is 0 or 1.
    pub names: BTreeMap<String, i64>,
}

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Not run.
    Dead,
    /// Run without masks.
    Full,
    /// Run as written.
    Mixed,
}

/// Blocks of one loop over all programs that differ in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Not run.
    pub dead: u64,
    /// Run without masks.
    pub full: u64,
    /// Run as written.
    pub mixed: u64,
    /// Combinations of lanes of [`Counts::axes`] that exist and for which every mask holds: for attention the
    /// pairs of a query and a key.
    pub lanes: u64,
    /// The loop's axis, those of its masks, and those of its dots that may have absent lanes.
    pub axes: Vec<Axis>,
    /// Programs with the same classes as each that was counted.
    pub repeats: u64,
    /// For each program counted, its blocks in order.
    pub rows: Vec<Vec<Class>>,
}

/// Why a plan cannot be counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CountError {
    /// A number the kernel loads, or one that was not given.
    Unknown(String),
}

/// Counts the blocks of a loop. `grid` is the number of programs along each grid axis.
pub fn count(
    scope: &Scope<'_>,
    plan: &Plan,
    shape: &Shape,
    grid: &[i64],
) -> Result<Counts, CountError> {
    let mut used = BTreeSet::new();
    let mut leaves = Vec::new();
    let ends = plan.live.iter().chain(&plan.mixed).flat_map(|i| [&i.from, &i.to]).flatten();
    for expr in ends.chain([&plan.blocks.lo, &plan.blocks.hi]) {
        expr.leaves(&mut |leaf| leaves.push(leaf.clone()));
    }
    for leaf in &leaves {
        for value in leaf_values(scope, leaf) {
            programs_of(scope, value, &mut used, 0);
        }
    }
    for condition in &plan.conditions {
        programs_of(scope, condition.value, &mut used, 0);
    }
    let axes = pair_axes(scope, plan);
    for &axis in axes.iter().filter(|&&axis| axis != plan.blocks.axis) {
        for value in [scope.start(axis), scope.end(axis)] {
            programs_of(scope, value, &mut used, 0);
        }
    }
    let mut counts = Counts { axes: axes.iter().copied().collect(), ..Counts::default() };
    let all: i64 = grid.iter().product();
    let mut programs = vec![0; grid.len()];
    let distinct: i64 = used.iter().map(|&at| grid.get(at).copied().unwrap_or(1)).product();
    counts.repeats = if distinct > 0 { (all / distinct) as u64 } else { 0 };
    for n in 0..distinct {
        let mut rest = n;
        for &at in used.iter().rev() {
            programs[at] = rest % grid[at];
            rest /= grid[at];
        }
        let world = World { scope, shape, programs: &programs, axes: &axes };
        world.program(plan, &mut counts)?;
    }
    Ok(counts)
}

fn leaf_values(scope: &Scope<'_>, leaf: &Expr) -> Vec<Value> {
    match leaf {
        Expr::Value(value) | Expr::Extreme(_, value) => vec![*value],
        Expr::First(axis) | Expr::Last(axis) => vec![scope.start(*axis), scope.end(*axis)],
        _ => Vec::new(),
    }
}

/// Grid axes that a value depends on.
fn programs_of(scope: &Scope<'_>, value: Value, used: &mut BTreeSet<usize>, depth: usize) {
    let Some(data) = scope.kernel.def(value).filter(|_| depth < 64) else { return };
    if let Op::Program(at) = data.op {
        used.insert(at as usize);
    }
    if let Op::Index(axis) = data.op {
        programs_of(scope, scope.start(axis), used, depth + 1);
    }
    for &arg in &data.args {
        programs_of(scope, arg, used, depth + 1);
    }
}

/// See [`Counts::axes`].
fn pair_axes(scope: &Scope<'_>, plan: &Plan) -> BTreeSet<Axis> {
    let kernel = scope.kernel;
    let mut axes = BTreeSet::from([plan.blocks.axis]);
    for condition in &plan.conditions {
        axes.extend(kernel.ty(condition.value).axes.iter());
    }
    let body = scope.inside(kernel.insts[plan.inst].blocks[0]);
    for &inst in body.iter().flat_map(|&block| &kernel.blocks[block].insts) {
        let data = &kernel.insts[inst];
        if matches!(data.op, Op::Dot(..)) {
            let spanned = data.args.iter().flat_map(|&arg| kernel.ty(arg).axes.iter());
            axes.extend(spanned.filter(|&axis| !kernel.axes[axis].full));
        }
    }
    // An axis of a loop inside this one has no range here.
    axes.retain(|&axis| axis == plan.blocks.axis || !body.contains(&scope.declared_in(axis)));
    axes
}

struct World<'a, 'k> {
    scope: &'a Scope<'k>,
    shape: &'a Shape,
    programs: &'a [i64],
    axes: &'a BTreeSet<Axis>,
}

impl World<'_, '_> {
    fn program(&self, plan: &Plan, counts: &mut Counts) -> Result<(), CountError> {
        let total = self.expr(&plan.blocks.count())?;
        let lo = self.expr(&plan.blocks.lo)?;
        let hi = self.expr(&plan.blocks.hi)?;
        let live = self.intervals(&plan.live)?;
        let mixed = self.intervals(&plan.mixed)?;
        // The lanes along other axes are the same in all blocks.
        let mut others: Option<Vec<(Axis, Range<i64>)>> = None;
        let mut row = Vec::new();
        for block in 0..total {
            let inside = |list: &[(i64, i64)]| list.iter().any(|&(a, b)| a <= block && block < b);
            let class = match (inside(&live), inside(&mixed)) {
                (false, _) => Class::Dead,
                (true, false) => Class::Full,
                (true, true) => Class::Mixed,
            };
            let first = lo + block * plan.blocks.step;
            let range = first..(first + plan.blocks.step).min(hi);
            let whole = range.end - range.start == plan.blocks.step;
            let (lanes, all) = if class == Class::Dead {
                (0, 0)
            } else {
                let others = match &mut others {
                    Some(others) => others,
                    none => none.insert(self.ranges(plan)?),
                };
                self.lanes(plan, others, range, class)?
            };
            // What the intervals leave open is decided when the block comes.
            let class = match class {
                Class::Mixed if !plan.tests.is_empty() && lanes == 0 => Class::Dead,
                Class::Mixed if plan.decides_full() && whole && lanes == all => Class::Full,
                class => class,
            };
            match class {
                Class::Dead => counts.dead += counts.repeats,
                Class::Full => counts.full += counts.repeats,
                Class::Mixed => counts.mixed += counts.repeats,
            }
            counts.lanes += counts.repeats * lanes;
            row.push(class);
        }
        counts.rows.push(row);
        Ok(())
    }

    fn intervals(&self, list: &[Interval]) -> Result<Vec<(i64, i64)>, CountError> {
        list.iter()
            .map(|interval| {
                let from = interval.from.as_ref().map_or(Ok(i64::MIN), |e| self.expr(e))?;
                let to = interval.to.as_ref().map_or(Ok(i64::MAX), |e| self.expr(e))?;
                Ok((from, to))
            })
            .collect()
    }

    /// The lanes that exist along all axes of [`Counts::axes`] but the loop's own.
    fn ranges(&self, plan: &Plan) -> Result<Vec<(Axis, Range<i64>)>, CountError> {
        let others = self.axes.iter().filter(|&&axis| axis != plan.blocks.axis);
        others.map(|&axis| Ok((axis, self.range(axis)?))).collect()
    }

    /// Lanes of a block for which every mask holds, and all its lanes.
    fn lanes(
        &self,
        plan: &Plan,
        others: &[(Axis, Range<i64>)],
        block: Range<i64>,
        class: Class,
    ) -> Result<(u64, u64), CountError> {
        let mut ranges = others.to_vec();
        ranges.push((plan.blocks.axis, block));
        let size: i64 = ranges.iter().map(|(_, r)| (r.end - r.start).max(0)).product();
        // What depends on data counts as holding.
        let known = plan.conditions.iter().filter(|condition| condition.opaque.is_empty());
        let known: Vec<Value> = known.map(|condition| condition.value).collect();
        if class == Class::Full || known.is_empty() {
            return Ok((size as u64, size as u64));
        }
        let formula = Formula::all(self.scope, &known).map_err(CountError::Unknown)?;
        let mut lane = ranges.iter().map(|(axis, range)| (*axis, range.start)).collect();
        let mut inputs = self.inputs(&formula, &lane)?;
        let mut registers = Vec::new();
        let mut found = 0;
        for n in 0..size {
            let mut rest = n;
            for (axis, range) in &ranges {
                let extent = range.end - range.start;
                lane.insert(*axis, range.start + rest % extent);
                rest /= extent;
            }
            for (input, value) in formula.inputs.iter().zip(&mut inputs) {
                if let Input::Index(axis) = input {
                    *value = lane[axis];
                }
            }
            found += u64::from(formula.eval(&inputs, &mut registers) != 0);
        }
        Ok((found, size as u64))
    }

    fn range(&self, axis: Axis) -> Result<Range<i64>, CountError> {
        let start = self.value(self.scope.start(axis))?;
        let end = self.value(self.scope.end(axis))?;
        let extent = match self.scope.kernel.axes[axis].extent {
            Extent::Const(n) => n,
            Extent::Generic(_) | Extent::Dim(_) => end - start,
        };
        Ok(start..end.min(start + extent))
    }

    fn expr(&self, expr: &Expr) -> Result<i64, CountError> {
        let mut values: BTreeMap<Expr, i128> = BTreeMap::new();
        let mut failed = None;
        expr.leaves(&mut |leaf| {
            let value = match leaf {
                Expr::Int(n) => Ok(*n),
                Expr::Value(value) => self.value(*value),
                Expr::First(axis) => self.range(*axis).map(|range| range.start),
                Expr::Last(axis) => self.range(*axis).map(|range| range.end - 1),
                Expr::Extreme(_, value) => {
                    Err(CountError::Unknown(name(self.scope.kernel, *value)))
                }
                _ => Ok(0),
            };
            match value {
                Ok(value) => {
                    values.insert(leaf.clone(), i128::from(value));
                }
                Err(error) => failed = Some(error),
            }
        });
        match failed {
            Some(error) => Err(error),
            None => {
                let leaf = |leaf: &Expr| values.get(leaf).copied().unwrap_or(0);
                let value = expr.eval(&leaf);
                Ok(value.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
            }
        }
    }

    /// A scalar of this program.
    fn value(&self, value: Value) -> Result<i64, CountError> {
        let formula = Formula::of(self.scope, value).map_err(CountError::Unknown)?;
        let inputs = self.inputs(&formula, &BTreeMap::new())?;
        Ok(formula.eval(&inputs, &mut Vec::new()))
    }

    /// What a formula needs, with indices of axes from `lane`.
    fn inputs(
        &self,
        formula: &Formula,
        lane: &BTreeMap<Axis, i64>,
    ) -> Result<Vec<i64>, CountError> {
        let unknown = |what: &str| CountError::Unknown(what.to_owned());
        let input = |input: &Input| match input {
            Input::Index(axis) => {
                let name = &self.scope.kernel.axes[*axis].name;
                lane.get(axis).copied().ok_or_else(|| unknown(name))
            }
            Input::Program(at) => self.programs.get(*at).copied().ok_or_else(|| unknown("program")),
            Input::Name(name) => self.shape.names.get(name).copied().ok_or_else(|| unknown(name)),
        };
        formula.inputs.iter().map(input).collect()
    }
}
