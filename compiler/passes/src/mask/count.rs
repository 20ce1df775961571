//! The classes of a loop's blocks for one shape: how many of each, and which, block by block.
//!
//! The end points a [`Plan`] holds are evaluated for every program of the grid; mixed blocks are looked
//! into lane by lane. Numbers that a kernel loads from memory are not known here; a plan that needs one says so.

use std::collections::{BTreeMap, BTreeSet};

use tilec_ir::{
    Axis, BinaryOp, CompareOp, Elem, Extent, Imm, Op, UnaryOp, Value, ValueDef,
};

use super::classify::Interval;
use super::expr::{Expr, name};
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
    /// Lanes of the loop's axis and the masks' other axes for which every mask holds.
    pub lanes: u64,
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
    let mut counts = Counts::default();
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
        let world = World { scope, shape, programs: &programs };
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

struct World<'a, 'k> {
    scope: &'a Scope<'k>,
    shape: &'a Shape,
    programs: &'a [i64],
}

/// Indices of axes at the lane looked at.
type Lane = BTreeMap<Axis, i64>;

impl World<'_, '_> {
    fn program(&self, plan: &Plan, counts: &mut Counts) -> Result<(), CountError> {
        let total = self.expr(&plan.blocks.count())?;
        let lo = self.expr(&plan.blocks.lo)?;
        let hi = self.expr(&plan.blocks.hi)?;
        let live = self.intervals(&plan.live)?;
        let mixed = self.intervals(&plan.mixed)?;
        let mut row = Vec::new();
        for block in 0..total {
            let inside = |list: &[(i64, i64)]| list.iter().any(|&(a, b)| a <= block && block < b);
            let class = match (inside(&live), inside(&mixed)) {
                (false, _) => Class::Dead,
                (true, false) => Class::Full,
                (true, true) => Class::Mixed,
            };
            match class {
                Class::Dead => counts.dead += counts.repeats,
                Class::Full => counts.full += counts.repeats,
                Class::Mixed => counts.mixed += counts.repeats,
            }
            if class != Class::Dead {
                let first = lo + block * plan.blocks.step;
                let past = (first + plan.blocks.step).min(hi);
                let lanes = self.lanes(plan, first..past, class)?;
                counts.lanes += counts.repeats * lanes;
            }
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

    /// Lanes of a block for which every mask holds.
    fn lanes(
        &self,
        plan: &Plan,
        block: std::ops::Range<i64>,
        class: Class,
    ) -> Result<u64, CountError> {
        let kernel = self.scope.kernel;
        let mut axes = BTreeSet::from([plan.blocks.axis]);
        for condition in &plan.conditions {
            axes.extend(kernel.ty(condition.value).axes.iter());
        }
        let mut ranges = Vec::new();
        for &axis in &axes {
            let range = if axis == plan.blocks.axis { block.clone() } else { self.range(axis)? };
            ranges.push((axis, range));
        }
        let size: i64 = ranges.iter().map(|(_, r)| (r.end - r.start).max(0)).product();
        if class == Class::Full || plan.conditions.is_empty() {
            return Ok(size as u64);
        }
        let mut lane: Lane = ranges.iter().map(|(axis, range)| (*axis, range.start)).collect();
        let mut found = 0;
        for n in 0..size {
            let mut rest = n;
            for (axis, range) in &ranges {
                let extent = range.end - range.start;
                lane.insert(*axis, range.start + rest % extent);
                rest /= extent;
            }
            let mut holds = true;
            for condition in &plan.conditions {
                // What depends on data counts as holding.
                holds &= condition.opaque.is_empty().then(|| self.value(condition.value, &lane)).transpose()? != Some(0);
            }
            found += u64::from(holds);
        }
        Ok(found)
    }

    fn range(&self, axis: Axis) -> Result<std::ops::Range<i64>, CountError> {
        let start = self.value(self.scope.start(axis), &Lane::new())?;
        let end = self.value(self.scope.end(axis), &Lane::new())?;
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
                Expr::Value(value) => self.value(*value, &Lane::new()),
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

    /// An integer or truth value at a lane.
    fn value(&self, value: Value, lane: &Lane) -> Result<i64, CountError> {
        let kernel = self.scope.kernel;
        let unknown = || CountError::Unknown(name(kernel, value));
        let ValueDef::Result(inst, _) = kernel.values[value].def else { return Err(unknown()) };
        let data = &kernel.insts[inst];
        let arg = |n: usize| self.value(data.args[n], lane);
        let given = |name: &str| self.shape.names.get(name).copied().ok_or_else(unknown);
        match &data.op {
            Op::Const(Imm::Int(n)) => Ok(*n),
            Op::Const(Imm::Bool(b)) => Ok(i64::from(*b)),
            Op::Dim(dim) => given(&kernel.dims[*dim].name),
            Op::Scalar(param) => given(&kernel.params[*param].name),
            Op::Program(at) => self.programs.get(*at as usize).copied().ok_or_else(unknown),
            Op::Index(axis) => lane.get(axis).copied().ok_or_else(unknown),
            Op::Splat => arg(0),
            Op::Cast if kernel.ty(data.args[0]).elem != Elem::F32 => arg(0),
            Op::Unary(UnaryOp::Neg) => Ok(arg(0)?.wrapping_neg()),
            Op::Unary(UnaryOp::Abs) => Ok(arg(0)?.wrapping_abs()),
            Op::Unary(UnaryOp::Not) => Ok(1 - arg(0)?),
            Op::Compare(op) => Ok(i64::from(compare(*op, arg(0)?, arg(1)?))),
            Op::Select => {
                if arg(0)? != 0 {
                    arg(1)
                } else {
                    arg(2)
                }
            }
            Op::Binary(op) => Ok(binary(*op, arg(0)?, arg(1)?)),
            _ => Err(unknown()),
        }
    }
}

fn compare(op: CompareOp, a: i64, b: i64) -> bool {
    match op {
        CompareOp::Eq => a == b,
        CompareOp::Ne => a != b,
        CompareOp::Lt => a < b,
        CompareOp::Le => a <= b,
        CompareOp::Gt => a > b,
        CompareOp::Ge => a >= b,
    }
}

fn binary(op: BinaryOp, a: i64, b: i64) -> i64 {
    let quotient = |a: i64, b: i64| {
        let q = a.wrapping_div(b);
        if a.wrapping_rem(b) != 0 && (a < 0) != (b < 0) { q - 1 } else { q }
    };
    match op {
        BinaryOp::Add => a.wrapping_add(b),
        BinaryOp::Sub => a.wrapping_sub(b),
        BinaryOp::Mul => a.wrapping_mul(b),
        BinaryOp::Div if b == 0 => 0,
        BinaryOp::Div => quotient(a, b),
        BinaryOp::Rem if b == 0 => a,
        BinaryOp::Rem => a.wrapping_sub(quotient(a, b).wrapping_mul(b)),
        BinaryOp::Min => a.min(b),
        BinaryOp::Max => a.max(b),
        BinaryOp::And => a & b,
        BinaryOp::Or => a | b,
    }
}
