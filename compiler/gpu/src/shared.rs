//! Places in shared memory: buffers whose times do not overlap share bytes.
//!
//! A buffer's time runs from its first contact to its last, in program order. One that is touched both inside a loop and
//! outside it, or whose first contact in a loop is a read, lives for the whole loop. Large buffers choose first.

use tilec_ir::Entity;

use crate::gir::{Op, Program, Stmt};
use crate::touch::{Touch, touches};

/// Offsets are multiples of this: all banks, and the period of every swizzle.
const ALIGNMENT: u32 = 128;

/// When a buffer is in use.
#[derive(Clone, Copy, Debug)]
struct Time {
    first: usize,
    last: usize,
    /// The first contact is a read.
    reads_first: bool,
}

/// Gives every buffer its place.
pub(crate) fn allocate(program: &mut Program) {
    let mut clock = Clock { now: 0, times: vec![None; program.buffers.len()] };
    clock.block(&program.body);
    let bytes = |buf| {
        let data = &program.buffers[buf];
        (data.buffer.bytes() * data.slots).next_multiple_of(ALIGNMENT)
    };
    let mut order: Vec<_> = program.buffers.keys().collect();
    order.sort_by_key(|&buf| (std::cmp::Reverse(bytes(buf)), buf));
    let mut placed: Vec<(u32, u32, Time)> = Vec::new();
    let mut offsets = vec![0; program.buffers.len()];
    for buf in order {
        let Some(time) = clock.times[buf.index()] else { continue };
        let mut taken: Vec<(u32, u32)> = placed
            .iter()
            .filter(|(_, _, other)| time.first <= other.last && other.first <= time.last)
            .map(|&(from, to, _)| (from, to))
            .collect();
        taken.sort_unstable();
        let mut at = 0;
        for (from, to) in taken {
            if at + bytes(buf) <= from {
                break;
            }
            at = at.max(to);
        }
        offsets[buf.index()] = at;
        placed.push((at, at + bytes(buf), time));
    }
    program.shared_bytes = placed.iter().map(|(_, to, _)| *to).max().unwrap_or(0);
    for (index, offset) in offsets.into_iter().enumerate() {
        program.buffers[Entity::new(index)].offset = offset;
    }
}

struct Clock {
    now: usize,
    times: Vec<Option<Time>>,
}

impl Clock {
    fn block(&mut self, body: &[Stmt]) {
        for stmt in body {
            self.now += 1;
            match &stmt.op {
                Op::If { then, otherwise, .. } => {
                    self.block(&then.body);
                    self.block(&otherwise.body);
                }
                Op::For(whole) => self.repeated(&whole.body.body),
                op => touches(op).into_iter().for_each(|touch| self.touch(touch)),
            }
        }
    }

    fn touch(&mut self, touch: Touch) {
        let (now, reads_first) = (self.now, matches!(touch, Touch::Read(_)));
        let time = &mut self.times[touch.buf().index()];
        match time {
            Some(time) => time.last = now,
            None => *time = Some(Time { first: now, last: now, reads_first }),
        }
    }

    fn repeated(&mut self, body: &[Stmt]) {
        let start = self.now;
        let empty = vec![None; self.times.len()];
        let before = std::mem::replace(&mut self.times, empty);
        self.block(body);
        self.now += 1;
        let end = self.now;
        for (time, before) in self.times.iter_mut().zip(before) {
            *time = match (*time, before) {
                (None, before) => before,
                (Some(_), Some(before)) => Some(Time { last: end, ..before }),
                (Some(inside), None) if inside.reads_first => {
                    Some(Time { first: start, last: end, reads_first: true })
                }
                (Some(inside), None) => Some(inside),
            };
        }
    }
}
