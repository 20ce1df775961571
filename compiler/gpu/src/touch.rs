//! What an instruction does to shared memory.

use crate::gir::{Buf, Conversion, Dot, Op, Operand};

/// One contact with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touch {
    Read(Buf),
    Write(Buf),
    /// Written some time before the wait that says so.
    Fly(Buf),
    /// Written, read after a barrier, and given free by another.
    Exchange(Buf),
}

impl Touch {
    pub fn buf(self) -> Buf {
        match self {
            Touch::Read(buf) | Touch::Write(buf) | Touch::Fly(buf) | Touch::Exchange(buf) => buf,
        }
    }
}

/// The contacts of an instruction itself, not of what is nested in it, in order.
pub(crate) fn touches(op: &Op) -> Vec<Touch> {
    match op {
        Op::Put(_, slot) | Op::Clear(slot) => vec![Touch::Write(slot.buf)],
        Op::Get(slot) => vec![Touch::Read(slot.buf)],
        Op::Copy { to, is_async: true, .. } => vec![Touch::Fly(to.buf)],
        Op::Copy { to, .. } => vec![Touch::Write(to.buf)],
        Op::Dot(dot) => {
            let Dot { a, b, .. } = **dot;
            let shared = [a, b].into_iter().filter_map(|operand| match operand {
                Operand::Shared(slot) => Some(Touch::Read(slot.buf)),
                Operand::Registers(_) => None,
            });
            shared.collect()
        }
        Op::Reduce { through: Some(buf), .. }
        | Op::Combine { through: Some(buf), .. }
        | Op::Convert(_, Conversion::Plan(_, Some(buf))) => vec![Touch::Exchange(*buf)],
        _ => Vec::new(),
    }
}
