//! Conversions: a value in one layout wanted in another, by the cheapest way there is.
//!
//! | plan | when | moves |
//! | --- | --- | --- |
//! | same | equal | nothing |
//! | registers | equal lanes and warps | nothing: names of registers |
//! | shuffles | no element crosses warps | `shfl.sync` and selects |
//! | shared | always | stores, a barrier, loads or `ldmatrix` |
//!
//! Both of the last two are planned where both can be, and the lighter one is taken.

use crate::buffer::{Buffer, BufferError, Lanes};
use crate::choose::Access;
use crate::layout::{Layout, WARP};
use crate::ldmatrix::Ldmatrix;
use crate::part::Place;
use crate::shuffle::Shuffles;

/// What a plan costs a warp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Cost {
    /// Instructions.
    pub instructions: u32,
    /// Passes through the shared-memory pipe, which shuffles use too.
    pub wavefronts: u32,
    /// Barriers of the whole CTA.
    pub barriers: u32,
}

impl Cost {
    /// One figure to choose by, roughly cycles of one of an SM's four schedulers: they share one pipe
    /// to shared memory, a barrier is about as long as a round trip to it, and an instruction costs
    /// its slot once more in length of code.
    pub fn weight(self) -> u32 {
        2 * self.instructions + 4 * self.wavefronts + 30 * self.barriers
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Cost { instructions, wavefronts, barriers } = self;
        write!(f, "{instructions} instructions, {wavefronts} wavefronts, {barriers} barriers")
    }
}

/// A way from one layout to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan<A> {
    /// The layouts are equal.
    Same,
    /// For each register of the result, the one that becomes it.
    Registers(Vec<u32>),
    /// Between the lanes of each warp.
    Shuffles(Shuffles),
    /// Through shared memory.
    Shared(Exchange<A>),
}

/// How the other side of an exchange reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Load<A> {
    /// The accesses of [`Buffer::vectors`] of the target layout.
    Vectors,
    /// Whole fragments.
    Ldmatrix(Ldmatrix<A>),
}

/// Who must wait between stores and loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Each warp for itself: `bar.warp.sync`.
    Warp,
    /// All: `bar.sync`.
    Cta,
}

/// A conversion through shared memory: first copies store the accesses of [`Buffer::vectors`] of the
/// source layout, then all load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange<A> {
    /// Where.
    pub buffer: Buffer<A>,
    /// How the loads are done.
    pub load: Load<A>,
    /// What stands between.
    pub sync: Sync,
    /// Stores, loads and barriers.
    pub cost: Cost,
}

/// Layouts between which there is nothing to plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// Different tiles.
    #[error("the layouts have different axes or extents")]
    Shapes,
    /// Not all lanes, or other warps.
    #[error("the layouts are not over full warps, and the same number of them")]
    Threads,
    /// Elements that shared memory does not take.
    #[error(transparent)]
    Buffer(#[from] BufferError),
}

impl<A> Plan<A> {
    /// One word for dumps.
    pub fn name(&self) -> &'static str {
        match self {
            Plan::Same => "same",
            Plan::Registers(_) => "registers",
            Plan::Shuffles(_) => "shuffles",
            Plan::Shared(_) => "shared",
        }
    }

    /// What it costs.
    pub fn cost(&self) -> Cost {
        match self {
            Plan::Same | Plan::Registers(_) => Cost::default(),
            Plan::Shuffles(shuffles) => shuffles.cost(),
            Plan::Shared(exchange) => exchange.cost,
        }
    }
}

/// The lightest way from one layout of a value to another.
///
/// # Errors
/// The layouts are not of one value: other axes or extents, other numbers of warps or lanes.
pub fn convert<A: Copy + Ord>(
    from: &Layout<A>,
    to: &Layout<A>,
    elem_bytes: u32,
) -> Result<Plan<A>, ConvertError> {
    if from.shape() != to.shape() {
        return Err(ConvertError::Shapes);
    }
    let lanes = [from, to].map(|layout| layout.count(Place::Lane));
    if lanes != [WARP; 2] || from.count(Place::Warp) != to.count(Place::Warp) {
        return Err(ConvertError::Threads);
    }
    if from == to {
        return Ok(Plan::Same);
    }
    if let Some(map) = from.register_map(to) {
        return Ok(Plan::Registers(map));
    }
    let exchange = exchange(from, to, elem_bytes)?;
    Ok(match Shuffles::between(from, to, elem_bytes) {
        Some(shuffles) if shuffles.cost().weight() <= exchange.cost.weight() => {
            Plan::Shuffles(shuffles)
        }
        Some(_) | None => Plan::Shared(exchange),
    })
}

/// The lightest exchange through shared memory, with each axis tried as the contiguous one.
///
/// # Errors
/// Elements of odd sizes; a tile without axes.
pub fn exchange<A: Copy + Ord>(
    from: &Layout<A>,
    to: &Layout<A>,
    elem_bytes: u32,
) -> Result<Exchange<A>, ConvertError> {
    let axes: Vec<(A, u32)> = from.shape().into_iter().collect();
    let mut routes = Vec::new();
    for (last, contiguous) in axes.iter().enumerate() {
        let others = axes.iter().enumerate().filter(|(i, _)| *i != last);
        let order: Vec<_> = others.map(|(_, axis)| *axis).chain([*contiguous]).collect();
        routes.push(Route::new(Buffer::new(&order, elem_bytes)?, from, to));
    }
    routes.sort_by_key(|route| route.cost.weight());
    let mut best: Option<Exchange<A>> = None;
    for route in routes {
        // Its cost so far is without wavefronts, which take longest to find out.
        let hopeless = |least: &Exchange<A>| least.cost.weight() <= route.cost.weight();
        if best.as_ref().is_some_and(hopeless) {
            continue;
        }
        let found = route.finish(from, to);
        if best.as_ref().is_none_or(|least| found.cost.weight() < least.cost.weight()) {
            best = Some(found);
        }
    }
    // A tile without axes is a value that all threads have; its layouts differ in nothing.
    best.ok_or(ConvertError::Shapes)
}

/// An exchange without a swizzle yet.
struct Route<A> {
    buffer: Buffer<A>,
    load: Load<A>,
    sync: Sync,
    cost: Cost,
}

impl<A: Copy + Ord> Route<A> {
    fn new(buffer: Buffer<A>, from: &Layout<A>, to: &Layout<A>) -> Route<A> {
        let ldmatrix = buffer
            .contiguous()
            .and_then(|axis| Ldmatrix::of(to, axis, buffer.elem_bytes()))
            .map(Load::Ldmatrix);
        let load = ldmatrix.unwrap_or(Load::Vectors);
        // Equal digits of warps leave equal sets of elements to the rest.
        let warps_keep = from.parts(Place::Warp) == to.parts(Place::Warp);
        let sync =
            if warps_keep && from.num_copies(Place::Warp) == 1 { Sync::Warp } else { Sync::Cta };
        let accesses = |layout: &Layout<A>| buffer.vectors(layout).registers.len() as u32;
        let cost = Cost {
            instructions: accesses(from) + accesses(load.access(to).layout) + 1,
            wavefronts: 0,
            barriers: u32::from(sync == Sync::Cta),
        };
        Route { buffer, load, sync, cost }
    }

    fn finish(self, from: &Layout<A>, to: &Layout<A>) -> Exchange<A> {
        let Route { buffer, load, sync, cost } = self;
        let store = Access { layout: from, lanes: Lanes::FirstCopies };
        let (buffer, wavefronts) = buffer.best_swizzle(&[store, load.access(to)]);
        Exchange { buffer, load, sync, cost: Cost { wavefronts: wavefronts.actual, ..cost } }
    }
}

impl<A> Load<A> {
    /// The access to the buffer by which a value gets into layout `to`.
    pub fn access<'a>(&'a self, to: &'a Layout<A>) -> Access<'a, A> {
        match self {
            Load::Vectors => Access { layout: to, lanes: Lanes::All },
            Load::Ldmatrix(load) => Access { layout: &load.addresses, lanes: Lanes::FirstCopies },
        }
    }
}
