//! Which extents to try: the residues at which tiled code goes wrong.
//!
//! A dimension that some axis runs over in blocks is *blocked*: it gets 1, one less than a tile, a
//! tile, one more, primes around them, and now and then nothing at all. Every other dimension
//! only counts programs or heads and stays small.

use std::collections::{BTreeMap, BTreeSet};

use tilec_ir::{Extent, GenericKind, Kernel, Op, ParamType, Value};
use tilec_vocab::{DType, HostExpr, Specialisation};

use crate::random::Random;

/// Extents of constants in turn: powers of two, and head sizes that are not.
const CONSTS: [i64; 8] = [16, 32, 64, 80, 96, 128, 192, 256];
/// Small extents, for dimensions that count programs, heads or batches.
const SMALL: [i64; 8] = [1, 1, 2, 2, 3, 4, 5, 6];
/// Primes that are no multiple of any tile.
const PRIMES: [i64; 8] = [2, 7, 17, 31, 61, 97, 127, 131];
/// Tries before a condition between dimensions counts as unsatisfiable here.
const TRIES: usize = 1000;
/// Tries before a blocked dimension takes another kind of extent.
const PATIENCE: usize = 50;
/// Product of all extents at most: an estimate of the multiplications, of which the oracle must do
/// all, twice.
const WORK: i64 = 6_000_000;
/// Cases with one specialisation: as many as there are kinds of extents in [`edge`].
pub const GROUP: usize = 6;

/// One assignment of every dimension, constant and knob.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extents {
    /// Run-time dimensions by name.
    pub dims: BTreeMap<String, i64>,
    /// Constants and knobs by name.
    pub ints: BTreeMap<String, i64>,
}

/// Draws the `n`-th assignment; names in `fixed` keep their value. `None` where no draw meets the
/// kernel's `require` clauses.
///
/// Cases come in groups of six with one specialisation, the first with the default knobs. In a group
/// each blocked dimension goes through all kinds of extents; from group to group the dimensions shift
/// against each other, so that six groups hold every pair of kinds.
pub fn draw(
    kernel: &Kernel,
    n: usize,
    fixed: &BTreeMap<String, i64>,
    seed: u64,
) -> Option<Extents> {
    let blocked = blocked_dims(kernel);
    let in_shapes = shape_consts(kernel);
    let group = n / GROUP;
    let mut random = Random::new(seed.wrapping_add(n as u64 * 0x51_7c_c1));
    (0..CONSTS.len()).find_map(|attempt| {
        let mut alike = Random::new(seed ^ ((group * CONSTS.len() + attempt) as u64));
        let ints = draw_ints(kernel, group, attempt, fixed, &in_shapes, &mut alike);
        (0..TRIES).find_map(|attempt| {
            let mut dims = BTreeMap::new();
            let mut position = 0;
            for dim in kernel.dims.values() {
                let extent = match (fixed.get(&dim.name), blocked.get(&dim.name)) {
                    (Some(&extent), _) => extent,
                    (None, Some(tiles)) => {
                        let kind = n + attempt / PATIENCE + position * (1 + group);
                        position += 1;
                        let tiles = tiles.iter().filter_map(|extent| tile(kernel, extent, &ints));
                        edge(kind % GROUP, &tiles.collect::<Vec<_>>(), &mut random)
                    }
                    (None, None) => random.pick(&SMALL),
                };
                dims.insert(dim.name.clone(), extent);
            }
            let extents = Extents { dims, ints: ints.clone() };
            let fits = work(&extents, &in_shapes, fixed) <= WORK && satisfies(kernel, &extents);
            fits.then_some(extents)
        })
    })
}

/// Constants and knobs of a group of cases.
fn draw_ints(
    kernel: &Kernel,
    group: usize,
    attempt: usize,
    fixed: &BTreeMap<String, i64>,
    in_shapes: &BTreeSet<String>,
    random: &mut Random,
) -> BTreeMap<String, i64> {
    let mut ints = BTreeMap::new();
    for generic in kernel.generics.values() {
        let value = match &generic.kind {
            GenericKind::DType(_) => continue,
            _ if fixed.contains_key(&generic.name) => fixed[&generic.name],
            GenericKind::Knob(choices) if choices.is_empty() => continue,
            GenericKind::Knob(choices) if group == 0 => choices[0],
            GenericKind::Knob(choices) => random.pick(choices),
            GenericKind::Const if in_shapes.contains(&generic.name) => {
                CONSTS[(group + attempt) % CONSTS.len()]
            }
            GenericKind::Const => random.pick(&SMALL),
        };
        ints.insert(generic.name.clone(), value);
    }
    ints
}

/// The same with smaller choices of the knobs that are not fixed: those with the largest product first, since they do most for
/// each byte that is loaded.
pub fn smaller(kernel: &Kernel, from: &Extents, fixed: &BTreeMap<String, i64>) -> Vec<Extents> {
    let mut all = vec![from.clone()];
    for generic in kernel.generics.values() {
        let (GenericKind::Knob(choices), false) =
            (&generic.kind, fixed.contains_key(&generic.name))
        else {
            continue;
        };
        let Some(&set) = from.ints.get(&generic.name) else { continue };
        let less = choices.iter().filter(|&&choice| choice < set);
        let with = |&choice: &i64| {
            all.iter().cloned().map(move |mut extents| {
                extents.ints.insert(generic.name.clone(), choice);
                extents
            })
        };
        let more: Vec<Extents> = less.flat_map(with).collect();
        all.extend(more);
    }
    all.retain(|extents| extents != from && satisfies(kernel, extents));
    all.sort_by_key(|extents| std::cmp::Reverse(extents.ints.values().product::<i64>()));
    all
}

/// Product of all extents that were not asked for.
fn work(extents: &Extents, in_shapes: &BTreeSet<String>, fixed: &BTreeMap<String, i64>) -> i64 {
    let consts = extents.ints.iter().filter(|(name, _)| in_shapes.contains(*name));
    let drawn = extents.dims.iter().chain(consts).filter(|(name, _)| !fixed.contains_key(*name));
    drawn.fold(1, |work: i64, (_, &n)| work.saturating_mul(n.max(1)))
}

fn tile(kernel: &Kernel, extent: &Extent, ints: &BTreeMap<String, i64>) -> Option<i64> {
    match extent {
        Extent::Const(n) => Some(*n),
        Extent::Generic(generic) => ints.get(&kernel.generics[*generic].name).copied(),
        Extent::Dim(_) => None,
    }
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

/// An extent of one kind, for a dimension that runs in these tiles.
fn edge(kind: usize, tiles: &[i64], random: &mut Random) -> i64 {
    let tile = if tiles.is_empty() { 16 } else { random.pick(tiles) };
    match kind {
        0 => 1,
        1 => tile - 1,
        2 => tile,
        3 => tile + 1,
        4 => random.pick(&PRIMES),
        _ if random.range(0, 5) == 0 => 0,
        // Several blocks, of which masks leave out some; tiles of element-wise kernels are large.
        _ => random.range(1, 4 * tile.min(64) + 1),
    }
}

/// Dimensions over which some axis runs in blocks, with the extents of those axes.
pub fn blocked_dims(kernel: &Kernel) -> BTreeMap<String, Vec<Extent>> {
    let mut found = BTreeMap::new();
    for inst in kernel.walk() {
        let data = &kernel.insts[inst];
        let extent = match data.op {
            Op::Axis(axis) | Op::For(Some(axis)) => Some(kernel.axes[axis].extent),
            Op::For(None) => None,
            _ => continue,
        };
        if let Some(&end) = data.args.get(1) {
            collect_dims(kernel, end, extent, &mut found);
        }
    }
    found
}

fn collect_dims(
    kernel: &Kernel,
    value: Value,
    extent: Option<Extent>,
    found: &mut BTreeMap<String, Vec<Extent>>,
) {
    let Some(data) = kernel.def(value) else { return };
    match data.op {
        Op::Dim(dim) => {
            let tiles = found.entry(kernel.dims[dim].name.clone()).or_default();
            tiles.extend(extent.filter(|extent| !tiles.contains(extent)));
        }
        Op::Binary(_) | Op::Select => {
            for &arg in &data.args {
                collect_dims(kernel, arg, extent, found);
            }
        }
        _ => {}
    }
}

fn shape_consts(kernel: &Kernel) -> BTreeSet<String> {
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

/// The specialisation of a kernel, or of its spec, which has fewer generics, that these extents and
/// element types make.
pub fn binding(
    kernel: &Kernel,
    extents: &Extents,
    dtypes: &BTreeMap<String, DType>,
) -> Specialisation {
    let ints = extents.ints.iter().filter(|(name, _)| kernel.declares(name));
    let dtypes = dtypes.iter().filter(|(name, _)| kernel.declares(name));
    Specialisation {
        dtypes: dtypes.map(|(name, dtype)| (name.clone(), *dtype)).collect(),
        ints: ints.map(|(name, n)| (name.clone(), *n)).collect(),
    }
}
