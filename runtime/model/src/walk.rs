//! What each CTA of a launch does: its loops run to their exact ends, which the masks of the source and the shape decide.
//!
//! Only control is evaluated, in uniform integers; what stands between is counted once. A bound that is read from memory (a
//! page table, the end of a sequence) is not known before the launch: the loop then counts as long as the longest
//! dimension allows, and the estimate says so.

use std::collections::{BTreeMap, BTreeSet};

use tilec_gpu::Program;
use tilec_gpu::gir::{Block, For, Op, Stmt, Val};
use tilec_ir::{BinaryOp, Imm, UnaryOp};

use crate::work::{Costs, Work};

/// Iterations of a loop around other loops that are followed one by one.
const MAX_FOLLOWED: i64 = 4096;

/// A block: the work that always happens, and what control decides, in order.
struct Node<'a> {
    work: Work,
    steps: Vec<Step<'a>>,
    yields: &'a [Val],
}

enum Step<'a> {
    /// A uniform integer or truth.
    Eval(&'a Stmt),
    For(&'a Stmt, &'a For, Node<'a>),
    If(&'a Stmt, Val, [Node<'a>; 2]),
}

/// Values of uniform integers, truths as 0 and 1; those that are not there are not known.
type Known = BTreeMap<Val, i64>;

/// The numbers of a launch.
pub struct Launch<'a> {
    /// Dimensions and integer arguments, by name.
    pub names: &'a BTreeMap<String, i64>,
    /// Programs along each grid axis.
    pub grid: Vec<i64>,
}

/// What the CTAs of a launch do.
pub struct Walked {
    /// The work of each CTA, in the order in which they start; of a very large grid that of CTAs at even distances.
    pub ctas: Vec<Work>,
    /// How many CTAs each of these stands for.
    pub each: f64,
    /// Whether a loop's length or a branch had to be guessed.
    pub guessed: bool,
}

/// CTAs that are looked at one by one.
const MAX_CTAS: i64 = 1 << 16;

/// Follows a program.
pub fn walk(program: &Program, launch: &Launch<'_>) -> Walked {
    let root = node(&Costs { program }, &program.body, &[]);
    let longest = launch.names.values().copied().max().unwrap_or(1).max(1);
    let mut walker = Walker { program, launch, longest, guessed: false, position: Vec::new() };
    let matters = positions_that_matter(program);
    let total: i64 = launch.grid.iter().product();
    let looked_at = total.min(MAX_CTAS);
    let mut seen: BTreeMap<Vec<i64>, Work> = BTreeMap::new();
    let mut ctas = Vec::new();
    for number in 0..looked_at {
        let mut rest = (i128::from(number) * i128::from(total) / i128::from(looked_at)) as i64;
        let mut position = vec![0; launch.grid.len()];
        for (axis, &programs) in launch.grid.iter().enumerate().rev() {
            // Where control does not look, all positions are alike.
            position[axis] = if matters.contains(&axis) { rest % programs } else { 0 };
            rest /= programs;
        }
        let work = *seen.entry(position).or_insert_with_key(|position| {
            walker.position.clone_from(position);
            walker.block(&root, &mut Known::new())
        });
        ctas.push(work);
    }
    let each = if looked_at > 0 { total as f64 / looked_at as f64 } else { 0.0 };
    Walked { ctas, each, guessed: walker.guessed }
}

fn node<'a>(costs: &Costs<'_>, body: &'a [Stmt], yields: &'a [Val]) -> Node<'a> {
    let mut node = Node { work: Work::default(), steps: Vec::new(), yields };
    for stmt in body {
        node.work += costs.of(stmt);
        let inner = |block: &'a Block| self::node(costs, &block.body, &block.yields);
        match &stmt.op {
            Op::For(whole) => node.steps.push(Step::For(stmt, whole, inner(&whole.body))),
            Op::If { condition, then, otherwise } => {
                node.steps.push(Step::If(stmt, *condition, [inner(then), inner(otherwise)]));
            }
            _ if stmt.results.iter().all(|&r| costs.program.layout(r).is_none()) => {
                node.steps.push(Step::Eval(stmt));
            }
            _ => {}
        }
    }
    node
}

/// Grid axes whose position a loop's bounds or a branch depend on.
fn positions_that_matter(program: &Program) -> BTreeSet<usize> {
    let mut defs: BTreeMap<Val, &Stmt> = BTreeMap::new();
    let mut wanted: Vec<Val> = Vec::new();
    gather(&program.body, &mut defs, &mut wanted);
    let mut done = BTreeSet::new();
    let mut axes = BTreeSet::new();
    while let Some(value) = wanted.pop() {
        if !done.insert(value) {
            continue;
        }
        let Some(stmt) = defs.get(&value) else { continue };
        match &stmt.op {
            Op::Program(axis) => {
                axes.insert(*axis as usize);
            }
            Op::Unary(_, a) | Op::Cast(a) | Op::Convert(a, _) => wanted.push(*a),
            Op::Binary(_, a, b) | Op::Compare(_, a, b) => wanted.extend([*a, *b]),
            Op::Select(a, b, c) => wanted.extend([*a, *b, *c]),
            Op::If { then, otherwise, .. } => {
                wanted.extend(then.yields.iter().chain(&otherwise.yields));
            }
            Op::For(whole) => wanted.extend(whole.initial.iter().chain(&whole.body.yields)),
            _ => {}
        }
    }
    axes
}

fn gather<'a>(body: &'a [Stmt], defs: &mut BTreeMap<Val, &'a Stmt>, wanted: &mut Vec<Val>) {
    for stmt in body {
        defs.extend(stmt.results.iter().map(|&result| (result, stmt)));
        match &stmt.op {
            Op::For(whole) => {
                wanted.extend([whole.lo, whole.hi]);
                // A parameter of the loop is what it starts from, or what the last iteration left.
                wanted.extend(&whole.initial);
                gather(&whole.body.body, defs, wanted);
            }
            Op::If { condition, then, otherwise } => {
                wanted.push(*condition);
                gather(&then.body, defs, wanted);
                gather(&otherwise.body, defs, wanted);
            }
            _ => {}
        }
    }
}

struct Walker<'a> {
    program: &'a Program,
    launch: &'a Launch<'a>,
    longest: i64,
    guessed: bool,
    position: Vec<i64>,
}

impl Walker<'_> {
    fn block(&mut self, node: &Node<'_>, known: &mut Known) -> Work {
        let mut work = node.work;
        for step in &node.steps {
            match step {
                Step::Eval(stmt) => {
                    if let (Some(&result), Some(value)) =
                        (stmt.results.first(), self.eval(&stmt.op, known))
                    {
                        known.insert(result, value);
                    }
                }
                Step::For(stmt, whole, body) => work += self.for_loop(stmt, whole, body, known),
                Step::If(stmt, condition, branches) => {
                    work += self.branch(stmt, *condition, branches, known);
                }
            }
        }
        work
    }

    fn for_loop(&mut self, stmt: &Stmt, whole: &For, body: &Node<'_>, known: &mut Known) -> Work {
        let (lo, hi) = (known.get(&whole.lo).copied(), known.get(&whole.hi).copied());
        self.guessed |= lo.is_none() || hi.is_none();
        let (lo, hi) = (lo.unwrap_or(0), hi.unwrap_or(self.longest));
        let step = whole.step.max(1);
        let span = i128::from(hi) - i128::from(lo);
        let trips = if span > 0 { (span - 1) / i128::from(step) + 1 } else { 0 };
        let trips = i64::try_from(trips).unwrap_or(i64::MAX);
        let controls = body.steps.iter().any(|step| !matches!(step, Step::Eval(_)));
        let followed = if controls { trips.min(MAX_FOLLOWED) } else { trips.min(1) };
        let mut carried: Vec<Option<i64>> =
            whole.initial.iter().map(|value| known.get(value).copied()).collect();
        let mut work = Work::default();
        for trip in 0..followed {
            known.insert(whole.iv, lo.wrapping_add(trip.wrapping_mul(step)));
            set(known, &whole.params, &carried);
            work += self.block(body, known);
            carried = body.yields.iter().map(|value| known.get(value).copied()).collect();
        }
        if trips > followed && followed > 0 {
            work = work * (trips as f64 / followed as f64);
            // What later iterations hand on was not followed.
            carried.fill(None);
        }
        set(known, &stmt.results, &carried);
        work + Work { iterations: trips as f64, ..Work::default() }
    }

    fn branch(
        &mut self,
        stmt: &Stmt,
        condition: Val,
        [then, otherwise]: &[Node<'_>; 2],
        known: &mut Known,
    ) -> Work {
        let (taken, work) = match known.get(&condition) {
            Some(0) => (otherwise, self.block(otherwise, known)),
            Some(_) => (then, self.block(then, known)),
            None => {
                self.guessed = true;
                let (one, other) = (self.block(then, known), self.block(otherwise, known));
                set(known, &stmt.results, &vec![None; stmt.results.len()]);
                return if one.issued >= other.issued { one } else { other };
            }
        };
        let values: Vec<Option<i64>> =
            taken.yields.iter().map(|value| known.get(value).copied()).collect();
        set(known, &stmt.results, &values);
        work
    }

    fn eval(&self, op: &Op, known: &Known) -> Option<i64> {
        let get = |value: &Val| known.get(value).copied();
        let signature = &self.program.signature;
        match op {
            Op::Const(Imm::Int(value)) => Some(*value),
            Op::Const(Imm::Bool(value)) => Some(i64::from(*value)),
            Op::Dim(dim) => self.launch.names.get(&signature.dims[*dim].name).copied(),
            Op::Scalar(param) => self.launch.names.get(&signature.params[*param].name).copied(),
            Op::Program(axis) => self.position.get(*axis as usize).copied(),
            Op::Unary(op, a) => unary(*op, get(a)?),
            Op::Binary(op, a, b) => binary(*op, get(a), get(b)),
            Op::Compare(op, a, b) => Some(i64::from(op.of_integers(get(a)?, get(b)?))),
            Op::Select(condition, a, b) => {
                if get(condition)? != 0 {
                    get(a)
                } else {
                    get(b)
                }
            }
            // Between integers and truths; floats are never known.
            Op::Cast(a) | Op::Convert(a, _) => get(a),
            _ => None,
        }
    }
}

fn set(known: &mut Known, names: &[Val], values: &[Option<i64>]) {
    for (name, value) in names.iter().zip(values) {
        match value {
            Some(value) => known.insert(*name, *value),
            None => known.remove(name),
        };
    }
}

fn unary(op: UnaryOp, a: i64) -> Option<i64> {
    match op {
        UnaryOp::Neg => Some(a.wrapping_neg()),
        UnaryOp::Not => Some(i64::from(a == 0)),
        UnaryOp::Abs => Some(a.wrapping_abs()),
        UnaryOp::Exp
        | UnaryOp::Exp2
        | UnaryOp::Log
        | UnaryOp::Log2
        | UnaryOp::Tanh
        | UnaryOp::Sqrt
        | UnaryOp::Rsqrt => None,
    }
}

/// One side of `and` and `or` can be enough.
fn binary(op: BinaryOp, a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (op, a, b) {
        (BinaryOp::And, Some(0), _) | (BinaryOp::And, _, Some(0)) => return Some(0),
        (BinaryOp::Or, Some(1), _) | (BinaryOp::Or, _, Some(1)) => return Some(1),
        _ => {}
    }
    Some(op.of_integers(a?, b?))
}
