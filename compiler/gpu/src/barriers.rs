//! Barriers, where they are needed and nowhere else.
//!
//! Between two barriers no byte of shared memory may be written by one thread and touched by another. Which thread touches which
//! byte is not looked at, only which bytes: what has been read, and what has been written, since the last barrier. A copy
//! under way counts as written from the wait on that may be for it: then its bytes are there, but only its own thread knows.
//!
//! A wait ends the copies of all groups but the latest so many: how many groups a copy is behind is kept, on each path.
//!
//! A copy that may still be under way when another buffer takes its bytes is waited for first: the loop that would have waited
//! for it may have had no iteration.
//!
//! Copies begun only where there is an iteration to fetch for are not under way after a loop that has none, nor after the
//! last iteration.
//!
//! A loop's body begins with what its end leaves behind. What stands in a branch has its barrier before the branch, where
//! all that follows has the good of it.

use std::collections::BTreeMap;

use tilec_ir::{BinaryOp, CompareOp, Imm, Table};

use crate::gir::{Block, Buf, BufData, For, Op, Program, Stmt, Val};
use crate::touch::{Touch, touches};

/// Puts barriers into a program whose buffers have their places.
pub(crate) fn place(program: &mut Program) {
    let mut placer = Placer { buffers: &program.buffers, numbers: BTreeMap::new() };
    let body = std::mem::take(&mut program.body);
    let (body, _) = placer.block(body, State::default());
    program.body = body;
}

/// Bytes touched since the last barrier: buffers, which stand for their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    read: Vec<Buf>,
    written: Vec<Buf>,
    /// Copies under way; of several to one buffer the latest.
    flying: BTreeMap<Buf, Flight>,
}

/// A copy under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flight {
    /// Groups begun since, its own among them.
    groups: u32,
    /// It was begun only where this holds.
    only_if: Option<Val>,
}

/// Groups counted, at most: no wait leaves so many.
const MOST_GROUPS: u32 = 64;

fn add(to: &mut Vec<Buf>, buf: Buf) {
    if let Err(at) = to.binary_search(&buf) {
        to.insert(at, buf);
    }
}

impl State {
    fn joined(mut self, other: &State) -> State {
        other.read.iter().for_each(|&buf| add(&mut self.read, buf));
        other.written.iter().for_each(|&buf| add(&mut self.written, buf));
        other.flying.iter().for_each(|(&buf, &flight)| self.fly(buf, flight));
        self
    }

    fn meet(&mut self) {
        self.read.clear();
        self.written.clear();
    }

    fn fly(&mut self, buf: Buf, flight: Flight) {
        let known = self.flying.entry(buf).or_insert(flight);
        known.groups = flight.groups.min(known.groups);
        known.only_if = known.only_if.filter(|_| known.only_if == flight.only_if);
    }

    fn commit(&mut self) {
        for flight in self.flying.values_mut() {
            flight.groups = (flight.groups + 1).min(MOST_GROUPS);
        }
    }

    /// After a wait for all groups but the latest so many.
    fn land(&mut self, but: u32) {
        self.flying.keys().for_each(|&buf| add(&mut self.written, buf));
        self.flying.retain(|_, flight| flight.groups <= but);
    }

    fn touch(&mut self, touch: Touch) {
        match touch {
            Touch::Read(buf) => add(&mut self.read, buf),
            Touch::Write(buf) => add(&mut self.written, buf),
            Touch::Fly(buf) => self.fly(buf, Flight { groups: 0, only_if: None }),
            // It ends with a barrier of its own.
            Touch::Exchange(_) => self.meet(),
        }
    }
}

struct Placer<'b> {
    buffers: &'b Table<Buf, BufData>,
    /// How uniform values are made.
    numbers: BTreeMap<Val, Op>,
}

impl Placer<'_> {
    fn overlap(&self, a: Buf, b: Buf) -> bool {
        let range = |buf: Buf| {
            let data = &self.buffers[buf];
            (data.offset, data.offset + data.buffer.bytes() * data.slots)
        };
        let ((from, to), (other_from, other_to)) = (range(a), range(b));
        from < other_to && other_from < to
    }

    fn clashes(&self, state: &State, touch: Touch) -> bool {
        let buf = touch.buf();
        let among = |list: &[Buf]| list.iter().any(|&other| self.overlap(buf, other));
        among(&state.written) || !matches!(touch, Touch::Read(_)) && among(&state.read)
    }

    /// Whether a write is to bytes to which a copy for another buffer may be under way. Copies to one ring are kept apart by
    /// its slots.
    fn meets_copy(&self, state: &State, touch: Touch) -> bool {
        let buf = touch.buf();
        !matches!(touch, Touch::Read(_))
            && state.flying.keys().any(|&other| other != buf && self.overlap(buf, other))
    }

    /// Whether a truth says that `from`, or what is past it by at least `past`, is below `hi`.
    fn is_below(&self, truth: Option<Val>, from: Val, past: i64, hi: Val) -> bool {
        let number = |val: &Val| self.numbers.get(val);
        let Some(Op::Compare(CompareOp::Lt, x, end)) = truth.as_ref().and_then(number) else {
            return false;
        };
        let by = match number(x) {
            _ if *x == from => Some(0),
            Some(Op::Binary(BinaryOp::Add, base, by)) if *base == from => match number(by) {
                Some(Op::Const(Imm::Int(by))) => Some(*by),
                _ => None,
            },
            _ => None,
        };
        *end == hi && by.is_some_and(|by| by >= past)
    }

    fn block(&mut self, body: Vec<Stmt>, mut state: State) -> (Vec<Stmt>, State) {
        let mut placed = Vec::with_capacity(body.len());
        for mut stmt in body {
            if let (true, [result]) = (stmt.op.is_arithmetic(), &stmt.results[..]) {
                self.numbers.insert(*result, stmt.op.clone());
            }
            let contacts = match &stmt.op {
                Op::If { then, otherwise, .. } => {
                    [then, otherwise].into_iter().flat_map(|block| inner(&block.body)).collect()
                }
                op => touches(op),
            };
            if contacts.iter().any(|&touch| self.meets_copy(&state, touch)) {
                placed.push(Stmt { results: Vec::new(), op: Op::Wait(0), span: stmt.span });
                state.land(0);
            }
            let clash = contacts.iter().any(|&touch| self.clashes(&state, touch));
            if clash {
                placed.push(Stmt { results: Vec::new(), op: Op::Barrier, span: stmt.span });
                state.meet();
            }
            match &mut stmt.op {
                Op::Barrier => state.meet(),
                Op::Commit => state.commit(),
                Op::Wait(but) => state.land(*but),
                Op::If { condition, then, otherwise } => {
                    let mut first = self.nested(then, state.clone());
                    for (buf, flight) in &mut first.flying {
                        if !state.flying.contains_key(buf) {
                            flight.only_if = Some(*condition);
                        }
                    }
                    let second = self.nested(otherwise, state);
                    state = first.joined(&second);
                }
                Op::For(whole) => {
                    // What the end of the body leaves is what it begins with.
                    let mut before = state.clone();
                    let For { lo, hi, iv, step, .. } = **whole;
                    before.flying.retain(|_, f| !self.is_below(f.only_if, lo, 0, hi));
                    loop {
                        let (_, end) = self.block(whole.body.body.clone(), state.clone());
                        let next = state.clone().joined(&end);
                        if next == state {
                            break;
                        }
                        state = next;
                    }
                    let mut end = self.nested(&mut whole.body, state);
                    // The last iteration fetches nothing for a next one, and has waited for its own.
                    end.flying.retain(|_, f| !self.is_below(f.only_if, iv, step, hi));
                    state = before.joined(&end);
                }
                op => touches(op).into_iter().for_each(|touch| state.touch(touch)),
            }
            placed.push(stmt);
        }
        (placed, state)
    }

    fn nested(&mut self, block: &mut Block, state: State) -> State {
        let (body, end) = self.block(std::mem::take(&mut block.body), state);
        block.body = body;
        end
    }
}

/// All contacts within statements.
fn inner(body: &[Stmt]) -> Vec<Touch> {
    let mut all = Vec::new();
    for stmt in body {
        match &stmt.op {
            Op::If { then, otherwise, .. } => {
                all.extend(inner(&then.body));
                all.extend(inner(&otherwise.body));
            }
            Op::For(whole) => all.extend(inner(&whole.body.body)),
            op => all.extend(touches(op)),
        }
    }
    all
}
