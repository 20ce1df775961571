//! The blocks of a grid on the CPU, where nobody chose any.
//!
//! A program of a grid copies what it reads into the order that its dots want: bf16 operands always, f32 operands whose rows
//! lie far apart. The larger its block, the more each copy is used. So such kernels take the largest blocks that leave
//! every core enough programs, fit its cache and have few lanes to spare; the blocks of loops stay at their first choice.

use tilec_host::{Arg, DeviceInfo, bucket};
use tilec_ir::{Axis, Entity, Extent, GenericKind, Kernel, Op, Value};
use tilec_tune::{Knobs, candidates};
use tilec_vocab::{DType, HostExpr};

use crate::prepare::Prepared;

/// Bytes of the tiles of a program: half of a second-level cache of today.
const MOST_BYTES: i64 = 1 << 20;

/// Programs for each core of the machine, so that none waits long for another. Not for each thread of the launch: by that
/// number nothing of a result may change.
const FEWEST_PROGRAMS: i128 = 16;

/// Rows of f32 that are farther apart are copied.
const FAR_ELEMENTS: i64 = 128;

/// Knobs with larger blocks than the first choices, if those are worth it.
pub fn larger(kernel: &Kernel, prepared: &Prepared, device: &DeviceInfo) -> Option<Knobs> {
    if device.name != "cpu" || !copies(kernel, prepared) {
        return None;
    }
    let of_grid = |name: &str| kernel.grid.iter().any(|axis| mentions(&axis.programs, name));
    let first = |name: &String, choices: &[i64]| Some((name.clone(), *choices.first()?));
    let fixed = kernel.generics.values().filter_map(|generic| match &generic.kind {
        GenericKind::Knob(choices) if !of_grid(&generic.name) => first(&generic.name, choices),
        _ => None,
    });
    let all = candidates(kernel, &fixed.collect()).ok()?;
    let shape = bucket::numbers(&prepared.launch);
    let value = |knobs: &Knobs, name: &str| {
        knobs
            .get(name)
            .or_else(|| shape.get(name))
            .or_else(|| prepared.binding.ints.get(name))
            .copied()
    };
    let programs = |knobs: &Knobs| {
        let of_axis = |axis: &tilec_ir::GridAxis| {
            axis.programs.eval(&|name| value(knobs, name).map(i128::from))
        };
        kernel.grid.iter().map(of_axis).product::<Option<i128>>()
    };
    let lanes = |knobs: &Knobs| knobs.values().product::<i64>();
    // With those that no element is for.
    let all_lanes = |knobs: &Knobs| Some(programs(knobs)? * i128::from(lanes(knobs)));
    let default = all.first().cloned()?;
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as i128);
    let fits = |knobs: &&Knobs| {
        let extent = |axis: Axis| match kernel.axes[axis].extent {
            Extent::Const(lanes) => Some(lanes),
            Extent::Generic(generic) => value(knobs, &kernel.generics[generic].name),
            Extent::Dim(_) => None,
        };
        tile_bytes(kernel, &extent).is_some_and(|bytes| bytes <= MOST_BYTES)
            && programs(knobs).is_some_and(|n| n >= FEWEST_PROGRAMS * cores)
            && all_lanes(knobs) <= all_lanes(&default).map(|lanes| lanes + lanes / 8)
    };
    let best = all.iter().filter(fits).max_by_key(|knobs| lanes(knobs))?;
    (lanes(best) > lanes(&default)).then(|| best.clone())
}

/// Whether there is a dot, and an operand that is copied for it.
fn copies(kernel: &Kernel, prepared: &Prepared) -> bool {
    let insts = || kernel.insts.values();
    let has_dot = insts().any(|data| matches!(data.op, Op::Dot(..)));
    let args = &prepared.launch.args().args;
    let is_copied = |data: &tilec_ir::InstData| {
        let Op::Load(param) = data.op else { return false };
        let Some(Arg::Tensor(view)) = args.get(param.index()) else { return false };
        let spans = |&value: &Value| !kernel.ty(value).axes.is_empty();
        let strides = data.args.iter().zip(&view.strides).filter(|(index, _)| spans(index));
        let strides: Vec<i64> = strides.map(|(_, stride)| stride.abs()).collect();
        let far = strides.iter().max().is_some_and(|&stride| stride > FAR_ELEMENTS);
        strides.len() == 2 && (view.dtype == DType::BF16 || view.dtype == DType::F32 && far)
    };
    has_dot && insts().any(is_copied)
}

/// Bytes of the tiles that a program loads or makes by dots, as f32.
fn tile_bytes(kernel: &Kernel, extent: &dyn Fn(Axis) -> Option<i64>) -> Option<i64> {
    let tiles = kernel.insts.values().filter(|data| matches!(data.op, Op::Load(_) | Op::Dot(..)));
    let values = tiles.flat_map(|data| data.results.iter());
    values
        .map(|&value| {
            let lanes = kernel.ty(value).axes.iter().map(extent).product::<Option<i64>>()?;
            lanes.checked_mul(4)
        })
        .sum()
}

fn mentions(expr: &HostExpr, name: &str) -> bool {
    match expr {
        HostExpr::Int(_) => false,
        HostExpr::Name(other) => other == name,
        HostExpr::Binary(_, left, right) => mentions(left, name) || mentions(right, name),
        HostExpr::Not(of) => mentions(of, name),
    }
}
