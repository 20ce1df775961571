//! What the mask pass knows of a kernel, in symbols and for one shape: which blocks of each loop run, what they
//! compute and what they move.

use tilec_ir::{Axis, Extent, Inst, Kernel, Op, ParamType};
use tilec_passes::mask::classify::Interval;
use tilec_passes::mask::count::{CountError, Counts, Shape, count};
use tilec_passes::mask::expr::Expr;
use tilec_passes::mask::plan::{Condition, Plan, plan};
use tilec_passes::mask::scope::Scope;
use tilec_passes::pipeline;
use tilec_vocab::{Span, Specialisation};

use crate::compile::{CompileError, specialise};

/// A kernel under one specialisation, and what it does for one shape.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The kernel's name.
    pub kernel: String,
    /// Programs along each grid axis, by name.
    pub grid: Vec<(String, i64)>,
    /// Its loops over blocks, outer before inner.
    pub loops: Vec<LoopReport>,
    /// Floating-point operations of all dots: with every block that runs counted whole, and with only the lanes
    /// that exist and that no mask excludes. None where a loop could not be counted.
    pub flops: Option<Flops>,
    /// Bytes of all tensors, each counted once: the least that must move.
    pub tensor_bytes: u64,
    /// Bytes that loads and stores of tiles ask for; none where a loop could not be counted.
    pub tile_bytes: Option<u64>,
}

/// Floating-point operations; a multiply-add is two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flops {
    /// In blocks that run.
    pub executed: u64,
    /// For lanes that count.
    pub exact: u64,
}

/// One loop.
#[derive(Clone, Debug)]
pub struct LoopReport {
    /// The name of its axis.
    pub axis: String,
    /// Lanes of a block.
    pub block: i64,
    /// Its masks.
    pub masks: Vec<MaskReport>,
    /// Blocks outside these are dead.
    pub live: Vec<String>,
    /// Of the live blocks, those outside these are full.
    pub mixed: Vec<String>,
    /// Whether the last block may lack lanes.
    pub ragged: bool,
    /// The classes for the shape, or the number that is not known.
    pub counts: Result<Counts, String>,
    /// Names of the axes that `counts.lanes` speaks of.
    pub pair: Vec<String>,
}

/// One mask of a loop.
#[derive(Clone, Debug)]
pub struct MaskReport {
    /// Where it is written.
    pub span: Span,
    /// What of it depends on data, by name; such a mask stays in every block.
    pub opaque: Vec<String>,
    /// Why blocks in which it is false everywhere are run all the same.
    pub kept: Option<String>,
    /// Whether blocks that the bounds leave open are tested as they come.
    pub tested: bool,
}

/// Inspects a kernel.
///
/// # Errors
///
/// As [`crate::optimise`].
pub fn inspect(
    kernel: &Kernel,
    binding: &Specialisation,
    shape: &Shape,
) -> Result<Inspection, CompileError> {
    // The loops as the mask pass finds them.
    let options = pipeline::Options::loops_whole();
    let kernel = pipeline::optimise(&specialise(kernel, binding)?, &options)?;
    let scope = Scope::new(&kernel);
    let names = |name: &str| shape.names.get(name).map(|&value| i128::from(value));
    let programs = |axis: &tilec_ir::GridAxis| {
        let count = axis.programs.eval(&names).and_then(|count| i64::try_from(count).ok());
        (axis.name.clone(), count.unwrap_or(0))
    };
    let grid: Vec<(String, i64)> = kernel.grid.iter().map(programs).collect();
    let extents: Vec<i64> = grid.iter().map(|(_, count)| *count).collect();

    let plans: Vec<Plan> = kernel.walk().into_iter().filter_map(|i| plan(&scope, i)).collect();
    let counts: Vec<_> = plans.iter().map(|plan| count(&scope, plan, shape, &extents)).collect();
    let totals = Totals { scope: &scope, plans: &plans, counts: &counts, extents: &extents };
    let (flops, tile_bytes) = (totals.flops(), totals.tile_bytes());
    let tensor_bytes = tensor_bytes(&kernel, shape);
    let report =
        |(plan, counts): (&Plan, &Result<Counts, CountError>)| report(&kernel, plan, counts);
    let loops = plans.iter().zip(&counts).map(report).collect();
    Ok(Inspection { kernel: kernel.name.clone(), grid, loops, flops, tensor_bytes, tile_bytes })
}

fn report(kernel: &Kernel, plan: &Plan, counts: &Result<Counts, CountError>) -> LoopReport {
    let show = |intervals: &[Interval]| {
        let count = plan.blocks.count().show(kernel);
        let end = |end: &Option<Expr>, default: &str| match end {
            Some(end) => end.show(kernel).replace(&count, "end"),
            None => default.to_owned(),
        };
        let one = |i: &Interval| format!("{} .. {}", end(&i.from, "0"), end(&i.to, "end"));
        intervals.iter().map(one).collect()
    };
    let mask = |condition: &Condition| MaskReport {
        span: kernel.def(condition.value).map(|data| data.span).unwrap_or_default(),
        opaque: condition.opaque.clone(),
        kept: condition.harmless.clone().err(),
        tested: plan.tests.contains(&condition.value),
    };
    let counts = counts.clone().map_err(|CountError::Unknown(name)| name);
    let pair = counts.iter().flat_map(|counts| &counts.axes);
    LoopReport {
        axis: kernel.axes[plan.blocks.axis].name.clone(),
        block: plan.blocks.step,
        masks: plan.conditions.iter().map(mask).collect(),
        live: show(&plan.live),
        mixed: show(&plan.mixed),
        ragged: plan.ragged,
        pair: pair.map(|&axis| kernel.axes[axis].name.clone()).collect(),
        counts,
    }
}

/// Sums over the whole grid.
struct Totals<'a, 'k> {
    scope: &'a Scope<'k>,
    plans: &'a [Plan],
    counts: &'a [Result<Counts, CountError>],
    extents: &'a [i64],
}

impl Totals<'_, '_> {
    /// How often an instruction runs over all programs, and the counts of the loop it stands in.
    fn runs(&self, inst: Inst) -> Option<(u64, Option<&Counts>)> {
        let home = self.scope.home(inst)?;
        let around = |plan: &Plan| {
            let body = self.scope.kernel.insts[plan.inst].blocks[0];
            self.scope.inside(body).contains(&home)
        };
        let mut loops = self.plans.iter().zip(self.counts).filter(|(plan, _)| around(plan));
        let plain_loop = self.scope.kernel.insts.iter().any(|(_, data)| {
            matches!(data.op, Op::For(None))
                && data.blocks.iter().any(|&block| self.scope.inside(block).contains(&home))
        });
        if plain_loop {
            return None;
        }
        match (loops.next(), loops.next()) {
            (None, _) => Some((self.extents.iter().product::<i64>() as u64, None)),
            (Some((_, counts)), None) => {
                let counts = counts.as_ref().ok()?;
                Some((counts.full + counts.mixed, Some(counts)))
            }
            // How often the inner one of two loops runs depends on where the outer one is.
            (Some(_), Some(_)) => None,
        }
    }

    fn lanes(&self, axes: impl Iterator<Item = Axis>) -> u64 {
        let extent = |axis: Axis| match self.scope.kernel.axes[axis].extent {
            Extent::Const(lanes) => lanes as u64,
            Extent::Generic(_) | Extent::Dim(_) => 1,
        };
        axes.map(extent).fold(1, u64::saturating_mul)
    }

    fn flops(&self) -> Option<Flops> {
        let kernel = self.scope.kernel;
        let mut flops = Flops::default();
        for inst in kernel.walk() {
            let data = &kernel.insts[inst];
            if !matches!(data.op, Op::Dot(..)) {
                continue;
            }
            let axes = kernel.ty(data.args[0]).axes.union(&kernel.ty(data.args[1]).axes);
            let (runs, counts) = self.runs(inst)?;
            let executed = 2 * runs * self.lanes(axes.iter());
            flops.executed += executed;
            flops.exact += match counts {
                Some(counts) if counts.axes.iter().all(|&axis| axes.contains(axis)) => {
                    2 * counts.lanes * self.lanes(axes.without(&counts.axes).iter())
                }
                _ => executed,
            };
        }
        Some(flops)
    }

    fn tile_bytes(&self) -> Option<u64> {
        let kernel = self.scope.kernel;
        let mut bytes = 0;
        for inst in kernel.walk() {
            let data = &kernel.insts[inst];
            let (param, indices) = match data.op {
                Op::Load(param) => (param, &data.args[..]),
                Op::Store(param) | Op::AtomicAdd(param) => (param, &data.args[1..]),
                _ => continue,
            };
            let ParamType::Tensor { elem, .. } = &kernel.params[param].ty else { continue };
            let axes: tilec_ir::AxisSet =
                indices.iter().flat_map(|&index| kernel.ty(index).axes.iter()).collect();
            let size = elem.known().map_or(0, |dtype| dtype.size_bytes() as u64);
            bytes += self.runs(inst)?.0 * self.lanes(axes.iter()) * size;
        }
        Some(bytes)
    }
}

fn tensor_bytes(kernel: &Kernel, shape: &Shape) -> u64 {
    let extent = |extent: &Extent| match extent {
        Extent::Const(n) => *n,
        Extent::Dim(dim) => shape.names.get(&kernel.dims[*dim].name).copied().unwrap_or(1),
        Extent::Generic(_) => 1,
    };
    let bytes = |ty: &ParamType| match ty {
        ParamType::Tensor { elem, dims, .. } => {
            let size = elem.known().map_or(0, |dtype| dtype.size_bytes() as u64);
            dims.iter().map(|dim| extent(dim).max(0) as u64).fold(size, u64::saturating_mul)
        }
        ParamType::Scalar(_) => 0,
    };
    kernel.params.values().map(|param| bytes(&param.ty)).sum()
}
