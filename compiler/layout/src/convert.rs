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
pub fn exchange<A: Copy + Ord>(
    from: &Layout<A>,
    to: &Layout<A>,
    elem_bytes: u32,
) -> Result<Exchange<A>, ConvertError> {
    let axes: Vec<(A, u32)> = from.shape().into_iter().collect();
    let mut best: Option<Exchange<A>> = None;
    for (last, contiguous) in axes.iter().enumerate() {
        let others = axes.iter().enumerate().filter(|(i, _)| *i != last);
        let order: Vec<_> = others.map(|(_, axis)| *axis).chain([*contiguous]).collect();
        let found = through(Buffer::new(&order, elem_bytes)?, from, to);
        if best.as_ref().is_none_or(|least| found.cost.weight() < least.cost.weight()) {
            best = Some(found);
        }
    }
    // A tile without axes is a value that all threads have; its layouts differ in nothing.
    best.ok_or(ConvertError::Shapes)
}

fn through<A: Copy + Ord>(buffer: Buffer<A>, from: &Layout<A>, to: &Layout<A>) -> Exchange<A> {
    let ldmatrix =
        buffer.contiguous().and_then(|axis| Ldmatrix::of(to, axis, buffer.elem_bytes())).filter(
            |_| buffer.row_bytes() == buffer.axes().last().map_or(0, |a| a.1) * buffer.elem_bytes(),
        );
    let load = match &ldmatrix {
        Some(ldmatrix) => Access { layout: &ldmatrix.addresses, lanes: Lanes::FirstCopies },
        None => Access { layout: to, lanes: Lanes::All },
    };
    let store = Access { layout: from, lanes: Lanes::FirstCopies };
    let (buffer, wavefronts) = buffer.best_swizzle(&[store, load]);
    let accesses = |layout: &Layout<A>| buffer.vectors(layout).registers.len() as u32;
    let warps_keep = from.tables()[2] == to.tables()[2] && from.num_copies(Place::Warp) == 1;
    let sync = if warps_keep { Sync::Warp } else { Sync::Cta };
    let cost = Cost {
        instructions: accesses(from) + accesses(load.layout) + 1,
        wavefronts: wavefronts.actual,
        barriers: u32::from(sync == Sync::Cta),
    };
    let load = ldmatrix.map_or(Load::Vectors, Load::Ldmatrix);
    Exchange { buffer, load, sync, cost }
}
