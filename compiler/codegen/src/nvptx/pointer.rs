//! Pointers into tensors: where a loop's counter comes in, and what the machine's assembler is not to see through.

use super::access::{Plan, Steps};
use super::emit::{Emitter, Result};
use super::entry::Stride;

impl Emitter<'_> {
    /// An index times a stride, in bytes.
    pub fn scaled(&mut self, stride: &Stride, index: &str, elem_bytes: i64) -> String {
        let elements = match stride {
            Stride::Known(1) => index.to_string(),
            Stride::Known(stride) => self.text.def(format_args!("mul i64 {index}, {stride}")),
            Stride::Param(stride) => self.text.def(format_args!("mul i64 {index}, {stride}")),
        };
        self.text.def(format_args!("mul i64 {elements}, {elem_bytes}"))
    }

    /// Parameter, thread and uniform part, and so many bytes.
    pub fn base(&mut self, plan: &Plan<'_>, bias: i64) -> Result<String> {
        let elem_bytes = plan.elem.size_bytes() as i64;
        let mut pointer = self.tensor(plan.access.param);
        for (dim, stride) in plan.access.dims.iter().zip(&plan.strides) {
            let (thread, _) = self.wide_sum(plan.layout, &dim.lanes);
            if thread == "0" {
                continue;
            }
            let elements = match stride {
                Stride::Known(1) => thread,
                Stride::Known(stride) => {
                    self.text.early(format_args!("mul i64 {thread}, {stride}"))
                }
                Stride::Param(stride) => {
                    self.text.early(format_args!("mul i64 {thread}, {stride}"))
                }
            };
            let bytes = self.text.early(format_args!("mul i64 {elements}, {elem_bytes}"));
            pointer = self
                .text
                .early(format_args!("getelementptr i8, ptr addrspace(1) {pointer}, i64 {bytes}"));
        }
        if bias != 0 {
            pointer = self
                .text
                .early(format_args!("getelementptr i8, ptr addrspace(1) {pointer}, i64 {bias}"));
        }
        let mark = self.text.mark();
        let depth = self.loops.len();
        let (mut counted, mut varies) = (Vec::new(), false);
        for (dim, stride) in plan.access.dims.iter().zip(&plan.strides) {
            let Some(uniform) = dim.uniform else { continue };
            let inside = depth > 0 && self.depth(uniform) == depth;
            let mut start = self.uniform(uniform)?;
            match self.counters.get(&uniform).cloned() {
                Some(counter) if inside => {
                    start =
                        self.text.def(format_args!("add i64 {}, {}", counter.base, counter.past));
                    counted.push((stride, counter));
                }
                _ => varies |= inside,
            }
            if start == "0" {
                continue;
            }
            let bytes = self.scaled(stride, &start, elem_bytes);
            pointer = self
                .text
                .def(format_args!("getelementptr i8, ptr addrspace(1) {pointer}, i64 {bytes}"));
        }
        if plan.short_reach && !counted.is_empty() {
            pointer = self.whole(&pointer);
            if let Some(innermost) = self.loops.last().filter(|_| !varies) {
                self.text.move_to(&innermost.before, mark);
            }
        }
        // Last, so that all before it stays the same from one iteration to the next.
        for (stride, counter) in counted {
            let count = self.text.def(format_args!("zext i32 {} to i64", counter.count));
            let step = self.scaled(stride, &counter.scale.to_string(), elem_bytes);
            let bytes = self.text.def(format_args!("mul i64 {count}, {step}"));
            pointer = self
                .text
                .def(format_args!("getelementptr i8, ptr addrspace(1) {pointer}, i64 {bytes}"));
        }
        if !self.text.is_nested() {
            return Ok(pointer);
        }
        // Opaque to LLVM, which would give each row a pointer of its own that lives across a loop.
        Ok(self.text.def(format_args!(
            "call ptr addrspace(1) asm \"mov.b64 $0, $1;\", \"=l,l\"(ptr addrspace(1) {pointer})"
        )))
    }

    /// A pointer that ptxas cannot take apart. It would gather the constants of a sum at the copies, where they reach further than
    /// an immediate and cost an addition of 64 bits each.
    fn whole(&mut self, pointer: &str) -> String {
        // The grid has one dimension; ptxas does not know.
        let zero = self.special("ctaid.z");
        let zero = self.text.early(format_args!("zext i32 {zero} to i64"));
        self.text.def(format_args!(
            "call ptr addrspace(1) asm \"xor.b64 $0, $1, $2;\", \"=l,l,l\"(ptr addrspace(1) {pointer}, i64 {zero}) #2"
        ))
    }

    /// From one row's pointer to another's.
    pub fn step(
        &mut self,
        plan: &Plan<'_>,
        (from, pointer): &(Steps, String),
        to: &Steps,
        elem_bytes: i64,
    ) -> String {
        let mut bytes: Option<String> = None;
        for (d, stride) in plan.strides.iter().enumerate() {
            let (Stride::Param(stride), by) = (stride, to[d] - from[d]) else { continue };
            if by == 0 {
                continue;
            }
            let term = self.text.early(format_args!("mul i64 {stride}, {}", by * elem_bytes));
            bytes = Some(match bytes {
                Some(sum) => self.text.early(format_args!("add i64 {sum}, {term}")),
                None => term,
            });
        }
        match bytes {
            Some(bytes) => self
                .text
                .def(format_args!("getelementptr i8, ptr addrspace(1) {pointer}, i64 {bytes}")),
            None => pointer.clone(),
        }
    }
}
