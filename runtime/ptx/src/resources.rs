//! What a program needs of an SM, before anything is launched: shared memory, threads, registers.
//!
//! Shared memory and threads are exact. Registers are a model of what `ptxas` will find: the most registers of tiles that are
//! alive at once, and an allowance for the rest. `tests/tests/ptxas.rs` holds it against `ptxas`, which takes more than it
//! needs where nothing stops it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use tilec_codegen::nvptx::Target;
use tilec_gpu::Program;
use tilec_gpu::gir::{Access, Block, Dot, DotKind, Op, Operand, Stmt, Val};
use tilec_ir::Axis;
use tilec_layout::{Layout, Place};
use tilec_vocab::DType;

/// Registers for addresses, loop counters and what an instruction is at, without dots: measured over the library.
const ALLOWANCE: u32 = 16;
/// The same with dots by multiply-adds.
const FMA_ALLOWANCE: u32 = 48;
/// The same with dots on tensor cores, whose fragments `ptxas` reads far ahead.
const MMA_ALLOWANCE: u32 = 68;

/// What a program needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Threads of a CTA.
    pub threads: u32,
    /// Shared memory of a CTA, in bytes.
    pub shared_bytes: u32,
    /// Registers of a thread, as modelled.
    pub registers: u32,
}

impl Needs {
    /// Of a program.
    pub fn of(program: &Program) -> Needs {
        let uses = Uses::default();
        let mut pressure = Pressure { program, uses, most: 0, allowance: ALLOWANCE };
        pressure.uses.count(&program.body);
        pressure.body(&program.body, BTreeSet::new());
        Needs {
            threads: program.warps * 32,
            shared_bytes: program.shared_bytes,
            registers: pressure.most + pressure.allowance,
        }
    }

    /// What a target has too little of for this.
    pub fn shortage(&self, target: &'static Target) -> Option<Shortage> {
        let shortage = |resource, needed, available| {
            (needed > available).then_some(Shortage { resource, needed, available, target })
        };
        shortage(Resource::Threads, self.threads, target.max_cta_threads).or_else(|| {
            shortage(Resource::SharedBytes, self.shared_bytes, target.max_cta_shared_bytes)
        })
    }

    /// Words for a program whose registers will not be enough, by the model: it runs, but slowly.
    pub fn spills(&self, target: &Target) -> Option<String> {
        (self.registers > target.max_thread_registers).then(|| {
            format!(
                "about {} registers a thread are wanted, and {} has {}: expect spills; smaller tiles or more warps need \
                 fewer",
                self.registers, target.name, target.max_thread_registers
            )
        })
    }
}

/// What a CTA can run out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Threads.
    Threads,
    /// Bytes of shared memory.
    SharedBytes,
}

/// More of a resource than a CTA of the target can have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shortage {
    /// Of what.
    pub resource: Resource,
    /// What the program needs.
    pub needed: u32,
    /// What there is.
    pub available: u32,
    /// The target.
    pub target: &'static Target,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.resource {
            Resource::Threads => "threads",
            Resource::SharedBytes => "bytes of shared memory",
        };
        let Shortage { needed, available, target, .. } = self;
        write!(f, "needs {needed} {what}, a CTA of {} has {available}", target.name)
    }
}

/// A knob: its name, the value that is set, and what else it can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Name.
    pub name: String,
    /// What it is set to.
    pub set: i64,
    /// Its choices.
    pub choices: Vec<i64>,
}

/// What to set so that a program fits: for each knob that alone is enough the largest value that fits, else the
/// combination with the largest values. `fits` tries one.
pub fn advice(knobs: &[Choice], fits: impl Fn(&BTreeMap<&str, i64>) -> bool) -> String {
    let set: BTreeMap<&str, i64> =
        knobs.iter().map(|knob| (knob.name.as_str(), knob.set)).collect();
    let smaller = |knob: &Choice| {
        let mut smaller: Vec<i64> =
            knob.choices.iter().copied().filter(|&value| value < knob.set).collect();
        smaller.sort_unstable_by(|a, b| b.cmp(a));
        smaller
    };
    let alone: Vec<String> = knobs
        .iter()
        .filter_map(|knob| {
            let with = |&value: &i64| {
                let mut tried = set.clone();
                tried.insert(&knob.name, value);
                fits(&tried)
            };
            let value = smaller(knob).into_iter().find(with)?;
            Some(format!("{} to at most {value}", knob.name))
        })
        .collect();
    if !alone.is_empty() {
        return format!("set {}", alone.join(" or "));
    }
    // Larger tiles do more for each byte that is loaded: the largest product of values comes first.
    let mut all: Vec<BTreeMap<&str, i64>> = vec![BTreeMap::new()];
    for knob in knobs {
        let values: Vec<i64> = std::iter::once(knob.set).chain(smaller(knob)).collect();
        all = all
            .into_iter()
            .flat_map(|known| {
                values.iter().map(move |&value| {
                    let mut more = known.clone();
                    more.insert(&knob.name, value);
                    more
                })
            })
            .collect();
    }
    all.sort_by_key(|tried| std::cmp::Reverse(tried.values().product::<i64>()));
    match all.into_iter().find(|tried| *tried != set && fits(tried)) {
        None => "no choice of its knobs fits".to_owned(),
        Some(tried) => {
            let changed = tried.iter().filter(|(name, value)| set[*name] != **value);
            let changed: Vec<String> =
                changed.map(|(name, value)| format!("{name} to {value}")).collect();
            format!("set {}", changed.join(" and "))
        }
    }
}

/// What tells how values are kept.
#[derive(Default)]
struct Uses {
    /// How often each value is read.
    reads: BTreeMap<Val, u32>,
    /// What a reduction reads.
    reduced: BTreeSet<Val>,
    /// Choices between tiles.
    choices: BTreeSet<Val>,
    /// Integers that came from tensors, or from other threads, and what they were made into.
    fetched: BTreeSet<Val>,
    /// Integers that came from shared memory.
    wide: BTreeSet<Val>,
}

impl Uses {
    fn count(&mut self, body: &[Stmt]) {
        for stmt in body {
            let result = stmt.results.first().copied();
            match &stmt.op {
                Op::For(whole) => self.count(&whole.body.body),
                Op::If { then, otherwise, .. } => {
                    [then, otherwise].into_iter().for_each(|block| self.count(&block.body));
                }
                Op::Reduce { value, .. } => {
                    self.reduced.insert(*value);
                }
                Op::Select(..) => self.choices.extend(result),
                Op::Load(_) | Op::Convert(..) => self.fetched.extend(result),
                Op::Get(_) => self.wide.extend(result),
                Op::Cast(from) if self.fetched.contains(from) => self.fetched.extend(result),
                _ => {}
            }
            for read in operands(&stmt.op) {
                *self.reads.entry(read).or_default() += 1;
            }
        }
    }

    /// Whether a reduction takes the elements of a choice one by one as they are made.
    fn is_passing(&self, value: Val) -> bool {
        let once = self.reads.get(&value) == Some(&1);
        once && self.choices.contains(&value) && self.reduced.contains(&value)
    }
}

/// Dots of the same block that wait for neither each other: `ptxas` has the fragments of both under way.
fn beside_each_other(body: &[Stmt], at: usize) -> impl Iterator<Item = &Dot> {
    let after = |at: usize| {
        let mut made: BTreeSet<Val> = body[at].results.iter().copied().collect();
        for stmt in &body[at + 1..] {
            if operands(&stmt.op).iter().any(|value| made.contains(value)) {
                made.extend(&stmt.results);
            }
        }
        made
    };
    let mine = after(at);
    body.iter().enumerate().filter_map(move |(other, stmt)| {
        let Op::Dot(dot) = &stmt.op else { return None };
        let depends = match other.cmp(&at) {
            std::cmp::Ordering::Less => body[at].results.iter().any(|r| after(other).contains(r)),
            std::cmp::Ordering::Equal => true,
            std::cmp::Ordering::Greater => stmt.results.iter().any(|r| mine.contains(r)),
        };
        (!depends).then_some(&**dot)
    })
}

/// Counts registers of tiles, backwards: what is alive after a statement, less what it makes, and what it reads.
struct Pressure<'a> {
    program: &'a Program,
    uses: Uses,
    most: u32,
    allowance: u32,
}

impl Pressure<'_> {
    /// Registers of 32 bits in which a thread keeps a value. Truths are predicates, and integers that need not be fetched are
    /// made where they are wanted; pairs of 16-bit floats share a register.
    fn registers(&self, value: Val) -> u32 {
        let Some(layout) = self.program.layout(value) else { return 0 };
        let elements = layout.count(Place::Register);
        match self.program.elem(value) {
            _ if self.uses.is_passing(value) => 0,
            DType::F32 => elements,
            DType::F16 | DType::BF16 => elements.div_ceil(2),
            DType::I32 | DType::I64 if self.uses.fetched.contains(&value) => elements,
            DType::I64 if self.uses.wide.contains(&value) => 2 * elements,
            DType::Bool | DType::I32 | DType::I64 => 0,
        }
    }

    fn note(&mut self, alive: &BTreeSet<Val>, beside: u32) {
        let all: u32 = alive.iter().map(|&value| self.registers(value)).sum();
        self.most = self.most.max(all + beside);
    }

    /// What is alive before the statements, given what is alive after them.
    fn body(&mut self, body: &[Stmt], mut alive: BTreeSet<Val>) -> BTreeSet<Val> {
        for (at, stmt) in body.iter().enumerate().rev() {
            let after = alive.clone();
            stmt.results.iter().for_each(|result| {
                alive.remove(result);
            });
            match &stmt.op {
                Op::For(whole) => {
                    let mut inside = alive.clone();
                    inside.extend(&whole.body.yields);
                    // What an iteration reads from outside is wanted by all that follow.
                    let first = self.block(&whole.body, inside.clone(), &whole.params);
                    inside.extend(&first);
                    let first = self.block(&whole.body, inside, &whole.params);
                    alive.extend(first);
                    alive.extend(&whole.initial);
                }
                Op::If { then, otherwise, .. } => {
                    let mut before = alive.clone();
                    for block in [then, otherwise] {
                        before.extend(self.block(block, alive.clone(), &[]));
                    }
                    alive = before;
                }
                op => alive.extend(operands(op)),
            }
            let mut beside = self.beside(stmt.results.first(), &stmt.op);
            if matches!(stmt.op, Op::Dot(_)) {
                beside += beside_each_other(body, at).map(|dot| self.under_way(dot)).sum::<u32>();
            }
            // A product goes on from its sum, register by register; so do element-wise operations.
            self.note(&after, beside);
            if !matches!(stmt.op, Op::For(_) | Op::If { .. }) {
                self.note(&alive, beside);
            }
        }
        alive
    }

    fn block(&mut self, block: &Block, mut after: BTreeSet<Val>, params: &[Val]) -> BTreeSet<Val> {
        after.extend(&block.yields);
        let mut before = self.body(&block.body, after);
        params.iter().for_each(|param| {
            before.remove(param);
        });
        before
    }

    /// Registers that an instruction needs for itself.
    fn beside(&mut self, result: Option<&Val>, op: &Op) -> u32 {
        match op {
            Op::Dot(dot) => {
                let (allowance, own) = match dot.kind {
                    DotKind::Mma(..) => (MMA_ALLOWANCE, self.under_way(dot)),
                    DotKind::Fma => {
                        (FMA_ALLOWANCE, result.map_or(0, |result| self.factors(dot, *result)))
                    }
                };
                self.allowance = self.allowance.max(allowance);
                own
            }
            // An address for each row that is found by a table.
            Op::Copy { access, layout, .. } if access.dims.iter().any(|dim| dim.tile.is_some()) => {
                2 * layout.count(Place::Register) / access.vector.max(1)
            }
            // All of it is under way from memory to shared memory.
            Op::Copy { to, layout, is_async: false, .. } => {
                let bytes = self.program.buffers[to.buf].buffer.elem_bytes();
                (layout.count(Place::Register) * bytes).div_ceil(4)
            }
            _ => 0,
        }
    }

    /// Fragments of one step of a product on tensor cores, of operands in shared memory.
    fn under_way(&self, dot: &Dot) -> u32 {
        let DotKind::Mma(mma, _) = dot.kind else { return 0 };
        let bytes = mma.operand_bytes();
        let depth: u32 = dot.over.iter().map(|&axis| self.program.extent(axis)).product();
        let steps = (depth * bytes / 32).max(1);
        let words = |operand: Operand, layout: &Layout<Axis>| match operand {
            Operand::Registers(_) => 0,
            Operand::Shared(_) => (layout.count(Place::Register) * bytes).div_ceil(4 * steps),
        };
        words(dot.a, &dot.a_layout) + words(dot.b, &dot.b_layout).min(16)
    }

    /// Vectors of 16 bytes of the rows and the columns of a product without tensor cores.
    fn factors(&self, dot: &Dot, result: Val) -> u32 {
        let Some(layout) = self.program.layout(result) else { return 0 };
        let vectors = |operand: Operand| {
            let Operand::Shared(slot) = operand else { return 0 };
            let own = self.program.buffers[slot.buf].buffer.axes();
            let foreign =
                layout.axes().into_iter().filter(|axis| own.iter().all(|(own, _)| own != axis));
            foreign.fold(layout.clone(), |layout, axis| layout.without(axis)).count(Place::Register)
        };
        4 * (vectors(dot.a) + vectors(dot.b))
    }
}

/// Tiles that say which elements an access is to.
fn tiles(access: &Access) -> impl Iterator<Item = Val> {
    access.dims.iter().filter_map(|dim| dim.tile)
}

/// The values that an instruction reads, but for loops and branches.
fn operands(op: &Op) -> Vec<Val> {
    match op {
        Op::CompareLanes(_, _, a)
        | Op::AtMostWithin { most: a, .. }
        | Op::Unary(_, a)
        | Op::Cast(a)
        | Op::Convert(a, _)
        | Op::Combine { value: a, .. }
        | Op::Reduce { value: a, .. }
        | Op::Put(a, _) => vec![*a],
        Op::Store(access, a) | Op::AtomicAdd(access, a) => {
            tiles(access).chain(std::iter::once(*a)).collect()
        }
        Op::Load(access) | Op::Copy { access, .. } => tiles(access).collect(),
        Op::Binary(_, a, b) | Op::Compare(_, a, b) => vec![*a, *b],
        Op::Select(a, b, c) | Op::Fma(a, b, c) => vec![*a, *b, *c],
        Op::Dot(dot) => {
            let held = |operand: Operand| match operand {
                Operand::Registers(value) => Some(value),
                Operand::Shared(_) => None,
            };
            [held(dot.a), held(dot.b), dot.acc].into_iter().flatten().collect()
        }
        Op::Const(_)
        | Op::Dim(_)
        | Op::Scalar(_)
        | Op::Program(_)
        | Op::Lanes(_)
        | Op::Clear(_)
        | Op::Get(_)
        | Op::Commit
        | Op::Wait(_)
        | Op::Barrier
        | Op::For(_)
        | Op::If { .. } => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knob(name: &str, set: i64, choices: &[i64]) -> Choice {
        Choice { name: name.to_owned(), set, choices: choices.to_vec() }
    }

    #[test]
    fn advice_names_each_knob_that_is_enough_with_the_largest_value_that_fits() {
        let knobs = [
            knob("BM", 128, &[64, 128]),
            knob("BN", 128, &[64, 32, 128]),
            knob("stages", 3, &[1, 2, 3]),
        ];
        let bytes = |tried: &BTreeMap<&str, i64>| tried["BM"] + tried["BN"] * tried["stages"];
        assert_eq!(
            advice(&knobs, |t| bytes(t) <= 330),
            "set BN to at most 64 or stages to at most 1"
        );
        assert_eq!(advice(&knobs, |t| bytes(t) <= 230), "set BN to at most 32");
        assert_eq!(
            advice(&knobs, |t| bytes(t) <= 128),
            "set BM to 64 and BN to 64 and stages to 1"
        );
        assert_eq!(advice(&knobs, |_| false), "no choice of its knobs fits");
    }
}
