//! Barriers, where they are needed and nowhere else.
//!
//! Between two barriers no byte of shared memory may be written by one thread and touched by another. Which thread touches which
//! byte is not looked at, only which bytes: what has been read, and what has been written, since the last barrier. A copy
//! under way counts as written from the wait on that may be for it: then its bytes are there, but only its own thread knows.
//!
//! A copy that may still be under way when another buffer takes its bytes is waited for first: the loop that would have waited
//! for it may have had no iteration.
//!
//! A loop's body begins with what its end leaves behind. What stands in a branch has its barrier before the branch, where
//! all that follows has the good of it.

use tilec_ir::Table;

use crate::gir::{Block, Buf, BufData, Op, Program, Stmt};
use crate::touch::{Touch, touches};

/// Puts barriers into a program whose buffers have their places.
pub(crate) fn place(program: &mut Program) {
    let mut placer = Placer { buffers: &program.buffers };
    let body = std::mem::take(&mut program.body);
    let (body, _) = placer.block(body, State::default());
    program.body = body;
}

/// Bytes touched since the last barrier: buffers, which stand for their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    read: Vec<Buf>,
    written: Vec<Buf>,
    flying: Vec<Buf>,
}

fn add(to: &mut Vec<Buf>, buf: Buf) {
    if let Err(at) = to.binary_search(&buf) {
        to.insert(at, buf);
    }
}

impl State {
    fn joined(mut self, other: &State) -> State {
        other.read.iter().for_each(|&buf| add(&mut self.read, buf));
        other.written.iter().for_each(|&buf| add(&mut self.written, buf));
        other.flying.iter().for_each(|&buf| add(&mut self.flying, buf));
        self
    }

    fn meet(&mut self) {
        self.read.clear();
        self.written.clear();
    }

    /// After a wait for everything.
    fn land(&mut self) {
        std::mem::take(&mut self.flying).into_iter().for_each(|buf| add(&mut self.written, buf));
    }

    fn touch(&mut self, touch: Touch) {
        match touch {
            Touch::Read(buf) => add(&mut self.read, buf),
            Touch::Write(buf) => add(&mut self.written, buf),
            Touch::Fly(buf) => add(&mut self.flying, buf),
            // It ends with a barrier of its own.
            Touch::Exchange(_) => self.meet(),
        }
    }
}

struct Placer<'b> {
    buffers: &'b Table<Buf, BufData>,
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
            && state.flying.iter().any(|&other| other != buf && self.overlap(buf, other))
    }

    fn block(&mut self, body: Vec<Stmt>, mut state: State) -> (Vec<Stmt>, State) {
        let mut placed = Vec::with_capacity(body.len());
        for mut stmt in body {
            let contacts = match &stmt.op {
                Op::If { then, otherwise, .. } => {
                    [then, otherwise].into_iter().flat_map(|block| inner(&block.body)).collect()
                }
                op => touches(op),
            };
            if contacts.iter().any(|&touch| self.meets_copy(&state, touch)) {
                placed.push(Stmt { results: Vec::new(), op: Op::Wait(0), span: stmt.span });
                state.land();
            }
            let clash = contacts.iter().any(|&touch| self.clashes(&state, touch));
            if clash {
                placed.push(Stmt { results: Vec::new(), op: Op::Barrier, span: stmt.span });
                state.meet();
            }
            match &mut stmt.op {
                Op::Barrier => state.meet(),
                Op::Wait(_) => {
                    let landed = state.flying.clone();
                    landed.into_iter().for_each(|buf| add(&mut state.written, buf));
                }
                Op::If { then, otherwise, .. } => {
                    let first = self.nested(then, state.clone());
                    let second = self.nested(otherwise, state);
                    state = first.joined(&second);
                }
                Op::For(whole) => {
                    // What the end of the body leaves is what it begins with.
                    let before = state.clone();
                    loop {
                        let (_, end) = self.block(whole.body.body.clone(), state.clone());
                        let next = state.clone().joined(&end);
                        if next == state {
                            break;
                        }
                        state = next;
                    }
                    let end = self.nested(&mut whole.body, state);
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
