//! Which extents to try: the residues at which tiled code goes wrong.
//!
//! A dimension that some axis runs over in blocks is *blocked*: it gets 1, one less than a tile, a
//! tile, one more, primes around them, and now and then nothing at all. Every other dimension
//! only counts programs or heads and stays small.

use std::collections::{BTreeMap, BTreeSet};

use tilec_ir::{GenericKind, Kernel, Op, Value};
use tilec_vocab::{HostExpr, HostOp, Specialisation};

use crate::random::Random;

/// Extents of constants in turn: powers of two, and head sizes that are not.
const CONSTS: [i64; 7] = [16, 32, 64, 80, 96, 128, 256];
/// Small extents, for dimensions that count programs, heads or batches.
const SMALL: [i64; 6] = [1, 2, 3, 4, 5, 6];
/// Primes that are no multiple of any tile.
const PRIMES: [i64; 8] = [2, 7, 17, 31, 61, 97, 127, 131];
/// Tries before a condition between dimensions counts as unsatisfiable here.
const TRIES: usize = 2000;

/// One assignment of every dimension, constant and knob.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extents {
    /// Run-time dimensions by name.
    pub dims: BTreeMap<String, i64>,
    /// Constants and knobs by name.
    pub ints: BTreeMap<String, i64>,
}

/// Draws the `n`-th assignment: the first few walk the edges, the rest are random; names in `fixed` keep
/// their value. `None` where no draw meets the kernel's `require` clauses.
pub fn draw(
    kernel: &Kernel,
    n: usize,
    fixed: &BTreeMap<String, i64>,
    random: &mut Random,
) -> Option<Extents> {
    let blocked = blocked_dims(kernel);
    let in_shapes = shape_consts(kernel);
    for attempt in 0..TRIES {
        let mut ints = BTreeMap::new();
        for generic in kernel.generics.values() {
            let value = match &generic.kind {
                GenericKind::DType(_) => continue,
                _ if fixed.contains_key(&generic.name) => fixed[&generic.name],
                GenericKind::Knob(choices) if choices.is_empty() => continue,
                GenericKind::Knob(choices) => choices[n % choices.len()],
                GenericKind::Const if in_shapes.contains(&generic.name) => CONSTS[n % CONSTS.len()],
                GenericKind::Const => random.pick(&SMALL),
            };
            ints.insert(generic.name.clone(), value);
        }
        let tiles: Vec<i64> = ints.values().copied().filter(|&v| v > 1).collect();
        let mut dims = BTreeMap::new();
        for dim in kernel.dims.values() {
            let extent = if let Some(&extent) = fixed.get(&dim.name) {
                extent
            } else if blocked.contains(&dim.name) {
                edge(n + attempt, &tiles, random)
            } else {
                random.pick(&SMALL)
            };
            dims.insert(dim.name.clone(), extent);
        }
        let extents = Extents { dims, ints };
        if satisfies(kernel, &extents) {
            return Some(extents);
        }
    }
    None
}

/// Whether every `require` clause holds.
pub fn satisfies(kernel: &Kernel, extents: &Extents) -> bool {
    let value = |name: &str| -> Option<i128> {
        extents.dims.get(name).or_else(|| extents.ints.get(name)).map(|&v| i128::from(v))
    };
    kernel.requires.iter().all(|require| match require.expr.eval(&value) {
        Some(truth) => truth != 0,
        // A condition on an integer argument is left to the launch check.
        None => names_only(&require.expr, &|name| value(name).is_none()),
    })
}

fn names_only(expr: &HostExpr, unknown: &dyn Fn(&str) -> bool) -> bool {
    match expr {
        HostExpr::Int(_) => false,
        HostExpr::Name(name) => unknown(name),
        HostExpr::Binary(_, a, b) => names_only(a, unknown) || names_only(b, unknown),
        HostExpr::Not(x) => names_only(x, unknown),
    }
}

fn edge(n: usize, tiles: &[i64], random: &mut Random) -> i64 {
    let tile = if tiles.is_empty() { 16 } else { tiles[n % tiles.len()] };
    // Tiles of element-wise kernels may be large; two blocks are enough to see every boundary.
    match n % 6 {
        0 => 1,
        1 => tile - 1,
        2 => tile,
        3 => tile + 1,
        _ if random.range(0, 11) == 0 => 0,
        _ if random.range(0, 2) == 0 => random.range(1, 2 * tile.min(80) + 1),
        _ => random.pick(&PRIMES),
    }
}

/// Dimensions over which some axis runs in blocks.
pub fn blocked_dims(kernel: &Kernel) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for axis in &kernel.grid {
        collect_cdiv(&axis.programs, &mut found);
    }
    for inst in kernel.walk() {
        let data = &kernel.insts[inst];
        if matches!(data.op, Op::Axis(_) | Op::For(_))
            && let Some(&end) = data.args.get(1)
        {
            collect_dims(kernel, end, &mut found);
        }
    }
    found
}

fn collect_cdiv(expr: &HostExpr, found: &mut BTreeSet<String>) {
    if let HostExpr::Binary(op, a, b) = expr {
        match (op, a.as_ref()) {
            (HostOp::Cdiv, HostExpr::Name(name)) => {
                found.insert(name.clone());
            }
            _ => {
                collect_cdiv(a, found);
                collect_cdiv(b, found);
            }
        }
    }
}

fn collect_dims(kernel: &Kernel, value: Value, found: &mut BTreeSet<String>) {
    let Some(data) = kernel.def(value) else { return };
    match data.op {
        Op::Dim(dim) => {
            found.insert(kernel.dims[dim].name.clone());
        }
        Op::Binary(_) | Op::Select => {
            for &arg in &data.args {
                collect_dims(kernel, arg, found);
            }
        }
        _ => {}
    }
}

fn shape_consts(kernel: &Kernel) -> BTreeSet<String> {
    use tilec_ir::{Extent, ParamType};
    let mut found = BTreeSet::new();
    for param in kernel.params.values() {
        if let ParamType::Tensor { dims, .. } = &param.ty {
            for dim in dims {
                if let Extent::Generic(generic) = dim {
                    found.insert(kernel.generics[*generic].name.clone());
                }
            }
        }
    }
    found
}

/// The specialisation that these extents and element types make.
pub fn binding(
    extents: &Extents,
    dtypes: &BTreeMap<String, tilec_vocab::DType>,
) -> Specialisation {
    Specialisation { dtypes: dtypes.clone(), ints: extents.ints.clone() }
}
