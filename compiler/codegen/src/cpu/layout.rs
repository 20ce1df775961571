//! Which axis of a tile is innermost, and which tiles have a buffer at all.
//!
//! A dot `out[.., i, j] = sum over k of a[.., i, k] * b[k, j]` wants one operand and its result to be vectors along
//! the same axis `j`, and takes the other operand element by element. The cheapest choice wins: an operand that is in that
//! order anyway (a load whose last index is `j`), else one that is put in order once, outside the loop. From dots the choice
//! spreads over element-wise ops, loop-carried values and branches of the same axes.

use std::collections::{BTreeMap, BTreeSet};

use tilec_ir::{
    Axis, BinaryOp, Block, Extent, Inst, InstData, Kernel, Op, UnaryOp, Value, ValueDef,
};
use tilec_vocab::DType;

use super::host::{Bf16Dots, Host};

/// How one dot is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DotPlan {
    /// Which operand is read as vectors.
    pub vector_operand: usize,
    /// The axis of the vectors.
    pub along: Axis,
    /// The longest axis of the result that only the other operand has.
    pub rows: Option<Axis>,
    /// For bf16 operands that meet in pairs: the axis whose neighbours are the pairs.
    pub pairs: Option<Axis>,
}

impl DotPlan {
    /// What a dot in pairs wants of an operand.
    pub fn format(&self, operand: usize) -> Option<Format> {
        let steps = self.pairs?;
        match (operand == self.vector_operand, self.rows) {
            (true, _) => Some(Format { role: Role::Vectors, lanes: Some(self.along), steps }),
            (false, lanes) => Some(Format { role: Role::Rows, lanes, steps }),
        }
    }
}

/// How an operand of a bf16 dot lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Format {
    pub role: Role,
    /// The axis that the result keeps.
    pub lanes: Option<Axis>,
    /// The axis that is summed over, in pairs.
    pub steps: Axis,
}

/// Which side of a bf16 dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// `[lane][step]`.
    Rows,
    /// `[step / 2][lane][step % 2]`.
    Vectors,
}

/// What was decided for a kernel.
pub struct Layouts {
    /// Innermost axis by value.
    inner: BTreeMap<Value, Axis>,
    /// Plans of the dots that have one, by result; others are reductions of products.
    dots: BTreeMap<Value, DotPlan>,
    /// Tiles that are computed where they are used.
    lazy: BTreeMap<Value, bool>,
    /// By a sum of a dot and something else: the dot, and the something, which it adds last.
    fused: BTreeMap<Value, (Inst, Value)>,
    /// Results of such dots.
    absorbed: BTreeSet<Value>,
    /// Who uses each value, once for each use.
    users: BTreeMap<Value, Vec<Inst>>,
    /// What bf16 dots want of a value, in the order of the dots.
    packs: BTreeMap<Value, Vec<Format>>,
    /// Values that only bf16 dots look at, and that can be computed where they are packed.
    packed_only: BTreeSet<Value>,
    /// Where each instruction stands.
    home: BTreeMap<Inst, Block>,
}

impl Layouts {
    /// Decides.
    pub fn new(kernel: &Kernel, host: &Host) -> Layouts {
        let mut search = Search::new(kernel, host);
        search.unite();
        let dots = search.anchor_dots();
        let inner = search.inner();
        let fused = search.fused(&dots);
        let lazy = search.lazy(&fused);
        let absorbed = fused.values().map(|(dot, _)| kernel.insts[*dot].results[0]).collect();
        let packs = search.packs(&dots);
        let (users, home) = (search.users, search.home);
        let packed_only = packs.iter().filter(|(value, formats)| {
            let alone = users.get(value).is_some_and(|users| users.len() == formats.len());
            alone && kernel.def(**value).is_some_and(|data| !matches!(data.op, Op::Reduce(..)))
        });
        let packed_only = packed_only.map(|(&value, _)| value).collect();
        Layouts { inner, dots, lazy, fused, absorbed, users, packs, packed_only, home }
    }

    /// The instructions that use a value.
    pub fn users(&self, value: Value) -> &[Inst] {
        self.users.get(&value).map_or(&[], Vec::as_slice)
    }

    /// What bf16 dots want of a value.
    pub fn packs(&self, value: Value) -> &[Format] {
        self.packs.get(&value).map_or(&[], Vec::as_slice)
    }

    /// Whether bf16 dots are all that looks at a value.
    pub fn is_packed_only(&self, value: Value) -> bool {
        self.packed_only.contains(&value)
    }

    /// Whether all that looks at a value are dots that take it element by element, or as vectors along its innermost axis.
    pub fn is_for_dots(&self, kernel: &Kernel, value: Value) -> bool {
        self.users(value).iter().all(|&user| {
            let data = &kernel.insts[user];
            let plan = data.results.first().and_then(|&result| self.dot(result));
            plan.is_some_and(|plan| {
                let single = data.args[plan.vector_operand] != value;
                plan.pairs.is_none() && (single || Some(plan.along) == self.inner(value))
            })
        })
    }

    /// How a dot with this result is computed, if not as a reduction of products.
    pub fn dot(&self, result: Value) -> Option<DotPlan> {
        self.dots.get(&result).copied()
    }

    /// The dot a sum is computed by, and what the dot adds last.
    pub fn fused_into(&self, sum: Value) -> Option<(Inst, Value)> {
        self.fused.get(&sum).copied()
    }

    /// Whether a dot is computed as part of a sum.
    pub fn is_fused(&self, dot: Value) -> bool {
        self.absorbed.contains(&dot)
    }

    /// Whether a value is made in the block that holds the loop with this body, for that loop alone.
    pub fn is_last_use(&self, kernel: &Kernel, value: Value, body: Block) -> bool {
        let of_loop = |inst: &Inst| kernel.insts[*inst].blocks.contains(&body);
        let around = self.home.iter().find(|(inst, _)| of_loop(inst)).map(|(_, block)| *block);
        let made_in = match kernel.values[value].def {
            ValueDef::Result(inst, _) => self.home.get(&inst).copied(),
            ValueDef::Param(block, _) => Some(block),
        };
        self.users(value).len() == 1 && made_in == around
    }

    /// The innermost axis of a tile.
    pub fn inner(&self, value: Value) -> Option<Axis> {
        self.inner.get(&value).copied()
    }

    /// Whether a tile has no buffer.
    pub fn is_lazy(&self, value: Value) -> bool {
        self.lazy.get(&value).copied().unwrap_or(false)
    }
}

struct Search<'k> {
    kernel: &'k Kernel,
    /// Whether bf16 dots take pairs.
    pairs: bool,
    /// Union-find over values that share an order.
    parent: BTreeMap<Value, Value>,
    chosen: BTreeMap<Value, Axis>,
    /// Each instruction's block, and each block's parent.
    home: BTreeMap<Inst, Block>,
    users: BTreeMap<Value, Vec<Inst>>,
    order: Vec<Inst>,
}

impl<'k> Search<'k> {
    fn new(kernel: &'k Kernel, host: &Host) -> Search<'k> {
        let mut search = Search {
            kernel,
            pairs: host.bf16 != Bf16Dots::Widened && host.lanes == 16,
            parent: BTreeMap::new(),
            chosen: BTreeMap::new(),
            home: BTreeMap::new(),
            users: BTreeMap::new(),
            order: kernel.walk(),
        };
        for (block, data) in kernel.blocks.iter() {
            for &inst in &data.insts {
                search.home.insert(inst, block);
            }
        }
        for &inst in &search.order {
            for &arg in &kernel.insts[inst].args {
                search.users.entry(arg).or_default().push(inst);
            }
        }
        search
    }

    fn root(&self, value: Value) -> Value {
        let mut at = value;
        while let Some(&up) = self.parent.get(&at) {
            at = up;
        }
        at
    }

    fn union(&mut self, a: Value, b: Value) {
        if self.kernel.ty(a).axes == self.kernel.ty(b).axes && !self.kernel.ty(a).is_scalar() {
            let (a, b) = (self.root(a), self.root(b));
            if a != b {
                self.parent.insert(a, b);
            }
        }
    }

    fn unite(&mut self) {
        let kernel = self.kernel;
        for inst in self.order.clone() {
            let data = &kernel.insts[inst];
            match &data.op {
                Op::Splat
                | Op::Unary(_)
                | Op::Binary(_)
                | Op::Compare(_)
                | Op::Select
                | Op::Cast => {
                    for &arg in &data.args {
                        self.union(arg, data.results[0]);
                    }
                }
                Op::For(_) => {
                    let body = &kernel.blocks[data.blocks[0]];
                    let yielded = body.insts.last().map(|&last| &kernel.insts[last].args);
                    for (n, &result) in data.results.iter().enumerate() {
                        self.union(result, body.params[n + 1]);
                        self.union(data.args[n + 2], result);
                        if let Some(&value) = yielded.and_then(|args| args.get(n)) {
                            self.union(value, result);
                        }
                    }
                }
                Op::If => {
                    for &block in &data.blocks {
                        let last = kernel.blocks[block].insts.last();
                        let Some(args) = last.map(|&last| &kernel.insts[last].args) else {
                            continue;
                        };
                        for (&result, &value) in data.results.iter().zip(args) {
                            self.union(value, result);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// The axis of a load's last index: what memory usually has innermost.
    fn natural(&self, value: Value) -> Option<Axis> {
        let data = self.kernel.def(value)?;
        let Op::Load(_) = data.op else { return None };
        let last = data.args.last()?;
        self.kernel.ty(*last).axes.iter().last()
    }

    fn anchor_dots(&mut self) -> BTreeMap<Value, DotPlan> {
        let kernel = self.kernel;
        let mut plans = BTreeMap::new();
        for inst in self.order.clone() {
            let data = &kernel.insts[inst];
            let Op::Dot(over, _) = &data.op else { continue };
            let mut best: Option<(u32, DotPlan)> = None;
            // The second operand first: on equal terms it is the one that streams.
            for vector_operand in [1, 0] {
                let (mine, other) = (data.args[vector_operand], data.args[1 - vector_operand]);
                for along in kernel.ty(mine).axes.iter().rev() {
                    if over.contains(&along) || kernel.ty(other).axes.contains(along) {
                        continue;
                    }
                    let plan = self.plan(data, over, vector_operand, along);
                    let cost = self.cost(data, &plan, inst);
                    if best.is_none_or(|(least, _)| cost < least) {
                        best = Some((cost, plan));
                    }
                }
            }
            let Some((_, plan)) = best else { continue };
            plans.insert(data.results[0], plan);
            let (wide, single) =
                (data.args[plan.vector_operand], data.args[1 - plan.vector_operand]);
            let mut wishes = vec![(data.results[0], plan.along)];
            match plan.pairs {
                None => wishes.push((wide, plan.along)),
                // A load is packed from where it lies.
                Some(pairs) => wishes.extend(
                    [(wide, plan.along), (single, pairs)]
                        .into_iter()
                        .filter(|(value, _)| self.natural(*value).is_none()),
                ),
            }
            for (value, axis) in wishes {
                let root = self.root(value);
                self.chosen.entry(root).or_insert(axis);
            }
        }
        plans
    }

    fn plan(&self, data: &InstData, over: &[Axis], vector_operand: usize, along: Axis) -> DotPlan {
        let kernel = self.kernel;
        let extent = |axis: Axis| match kernel.axes[axis].extent {
            Extent::Const(lanes) => lanes,
            Extent::Generic(_) | Extent::Dim(_) => 1,
        };
        let wide = &kernel.ty(data.args[vector_operand]).axes;
        let rows = kernel.ty(data.results[0]).axes.iter().filter(|&axis| !wide.contains(axis));
        let rows = rows.max_by_key(|&axis| extent(axis));
        let narrow = |value: &Value| kernel.ty(*value).elem.known() == Some(DType::BF16);
        let pairs = over.iter().copied().max_by_key(|&axis| extent(axis));
        let pairs = pairs.filter(|_| self.pairs && data.args.iter().all(narrow));
        DotPlan { vector_operand, along, rows, pairs }
    }

    fn cost(&self, data: &InstData, plan: &DotPlan, dot: Inst) -> u32 {
        let wide = data.args[plan.vector_operand];
        let Some(pairs) = plan.pairs else {
            return match (self.order(wide) == Some(plan.along), self.is_outside(wide, dot)) {
                (true, _) => 0,
                (false, true) => 1,
                (false, false) => 2,
            };
        };
        let single = data.args[1 - plan.vector_operand];
        // Interleaving rows is cheap, turning them is not, turning what is computed least of all.
        let turned = |value| if self.natural(value).is_some() { 3 } else { 4 };
        let of_vectors = match self.order(wide) {
            _ if self.is_outside(wide, dot) => 1,
            Some(axis) if axis != plan.along => turned(wide),
            _ => 1,
        };
        let of_rows = match self.order(single) {
            Some(axis) if axis == pairs => u32::from(self.natural(single).is_none()),
            _ if self.is_outside(single, dot) => 1,
            Some(_) => turned(single),
            None => 1,
        };
        of_vectors + of_rows
    }

    /// The axis a value has innermost, as far as that is known.
    fn order(&self, value: Value) -> Option<Axis> {
        self.chosen.get(&self.root(value)).copied().or_else(|| self.natural(value))
    }

    fn is_outside(&self, value: Value, dot: Inst) -> bool {
        match self.kernel.values[value].def {
            ValueDef::Result(inst, _) => self.home.get(&inst) != self.home.get(&dot),
            ValueDef::Param(block, _) => self.home.get(&dot) != Some(&block),
        }
    }

    fn packs(&self, dots: &BTreeMap<Value, DotPlan>) -> BTreeMap<Value, Vec<Format>> {
        let mut packs: BTreeMap<Value, Vec<Format>> = BTreeMap::new();
        for &inst in &self.order {
            let data = &self.kernel.insts[inst];
            let Some(plan) = data.results.first().and_then(|result| dots.get(result)) else {
                continue;
            };
            for (operand, &value) in data.args.iter().enumerate() {
                if let Some(format) = plan.format(operand) {
                    packs.entry(value).or_default().push(format);
                }
            }
        }
        packs
    }

    fn inner(&self) -> BTreeMap<Value, Axis> {
        let mut inner = BTreeMap::new();
        let mut natural: BTreeMap<Value, Axis> = BTreeMap::new();
        for (value, _) in self.kernel.values.iter() {
            if let Some(axis) = self.natural(value) {
                natural.entry(self.root(value)).or_insert(axis);
            }
        }
        for (value, data) in self.kernel.values.iter() {
            let root = self.root(value);
            let chosen = self.chosen.get(&root).or_else(|| natural.get(&root)).copied();
            let axis = chosen.or_else(|| data.ty.axes.iter().last());
            if let Some(axis) = axis.filter(|axis| data.ty.axes.contains(*axis)) {
                inner.insert(value, axis);
            }
        }
        inner
    }

    /// Sums that are computed by the dot that is one of their terms.
    fn fused(&self, dots: &BTreeMap<Value, DotPlan>) -> BTreeMap<Value, (Inst, Value)> {
        let mut fused = BTreeMap::new();
        for &inst in &self.order {
            let data = &self.kernel.insts[inst];
            if data.op != Op::Binary(BinaryOp::Add) {
                continue;
            }
            let sum = data.results[0];
            for (dot, other) in [(1, 0), (0, 1)].map(|(a, b)| (data.args[a], data.args[b])) {
                let ValueDef::Result(by, _) = self.kernel.values[dot].def else { continue };
                let alone = self.users.get(&dot).is_some_and(|users| users.len() == 1);
                let here = self.home.get(&by) == self.home.get(&inst);
                if dots.contains_key(&dot)
                    && alone
                    && here
                    && self.kernel.ty(dot) == self.kernel.ty(sum)
                {
                    fused.insert(sum, (by, other));
                    break;
                }
            }
        }
        fused
    }

    fn lazy(&self, fused: &BTreeMap<Value, (Inst, Value)>) -> BTreeMap<Value, bool> {
        let mut lazy = BTreeMap::new();
        let mut costs: BTreeMap<Value, u32> = BTreeMap::new();
        for &inst in &self.order {
            let data = &self.kernel.insts[inst];
            let &[result] = data.results.as_slice() else { continue };
            if self.kernel.ty(result).is_scalar() {
                continue;
            }
            let users = self.users.get(&result).map_or(&[][..], Vec::as_slice);
            let of_dot =
                users.iter().any(|&user| matches!(self.kernel.insts[user].op, Op::Dot(..)));
            if fused.contains_key(&result) {
                let yields = |&user: &Inst| self.kernel.insts[user].op == Op::Yield;
                let is_lazy =
                    matches!(users, [user] if yields(user)) && self.used_once_alike(inst, result);
                lazy.insert(result, is_lazy);
                costs.insert(result, 1);
                continue;
            }
            if of_dot {
                costs.insert(result, 1);
                continue;
            }
            let of_args: u32 =
                data.args.iter().map(|arg| costs.get(arg).copied().unwrap_or(1)).sum();
            let own = match &data.op {
                Op::Index(_) | Op::Splat | Op::Cast => 0,
                Op::Binary(BinaryOp::Div | BinaryOp::Rem)
                    if self.kernel.ty(result).elem.is_int() =>
                {
                    20
                }
                Op::Binary(_) | Op::Compare(_) | Op::Select => 1,
                Op::Unary(op) => match op {
                    UnaryOp::Neg | UnaryOp::Not | UnaryOp::Abs => 1,
                    _ => 20,
                },
                Op::Load(param) => {
                    let read_only = matches!(
                        self.kernel.params[*param].ty,
                        tilec_ir::ParamType::Tensor { mutable: false, .. }
                    );
                    // What another store may change is read where it is written, in order.
                    let once = read_only && self.used_once_alike(inst, result);
                    lazy.insert(result, once);
                    costs.insert(result, if once { 30 } else { 1 });
                    continue;
                }
                _ => continue,
            };
            let cost = own + of_args;
            // Index arithmetic and masks are cheaper to compute again than to keep.
            let is_lazy = cost <= 6 || self.used_once_alike(inst, result);
            lazy.insert(result, is_lazy);
            costs.insert(result, if is_lazy { cost } else { 1 });
        }
        lazy
    }

    /// Whether a value has one user, in its own block, which looks at each of its elements once.
    fn used_once_alike(&self, inst: Inst, value: Value) -> bool {
        let Some([user]) = self.users.get(&value).map(Vec::as_slice) else { return false };
        if self.home.get(user) != self.home.get(&inst) {
            return false;
        }
        let data = &self.kernel.insts[*user];
        match &data.op {
            Op::Splat | Op::Unary(_) | Op::Binary(_) | Op::Compare(_) | Op::Select | Op::Cast => {
                self.kernel.ty(data.results[0]).axes == self.kernel.ty(value).axes
            }
            Op::Reduce(..) => true,
            Op::Store(_) => data.args[0] == value,
            Op::Yield => true,
            _ => false,
        }
    }
}
