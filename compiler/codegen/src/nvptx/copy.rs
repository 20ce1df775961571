//! Copies from tensors into shared memory: `cp.async` of 16 bytes, or through registers.

use tilec_gpu::gir::{Access, Slot, Val};
use tilec_ir::Axis;
use tilec_layout::{Layout, Place};

use super::access::{Checks, Plan, VECTOR_BYTES};
use super::emit::{Emitter, Result};
use super::words::offset;

/// Pieces of 16 bytes of a thread, at most, for a copy to have one way for tiles inside and at the edge of their tensor.
const FEW_VECTORS: u32 = 8;

impl Emitter<'_> {
    pub fn copy(
        &mut self,
        access: &Access,
        to: Slot,
        layout: &Layout<Axis>,
        is_async: bool,
        when: Option<Val>,
    ) -> Result<()> {
        let when = match when {
            Some(_) if !is_async => {
                return Err(self.unsupported("a conditional copy through registers"));
            }
            Some(when) => Some(self.uniform(when)?),
            None => None,
        };
        let when = when.as_deref();
        let mut plan = self.plan(access, layout)?;
        if !is_async {
            let tile = self.load_tile(access, layout)?;
            return self.put(&tile, plan.elem, layout, to);
        }
        if plan.width * plan.elem.size_bytes() as u32 != VECTOR_BYTES {
            return Err(self.unsupported("an asynchronous copy of other than 16 bytes"));
        }
        plan.short_reach = true;
        // Testing a few rows takes fewer instructions than a second copy of the code.
        let few = layout.count(Place::Register) / plan.width <= FEW_VECTORS && !self.is_cut(&plan);
        let slot_bytes = self.slot_bytes(to)?;
        if !self.has_checks(&plan) {
            return self.copy_vectors(&plan, to, slot_bytes.as_deref(), Checks::Extents, when);
        }
        let Some(all_inside) = access.all_inside.filter(|_| !few) else {
            return self.copy_vectors(&plan, to, slot_bytes.as_deref(), Checks::Counts, when);
        };
        self.either(all_inside, |emitter, inside| {
            let checks = if inside { Checks::Extents } else { Checks::Counts };
            emitter.copy_vectors(&plan, to, slot_bytes.as_deref(), checks, when)
        })?;
        Ok(())
    }

    fn copy_vectors(
        &mut self,
        plan: &Plan<'_>,
        to: Slot,
        slot_bytes: Option<&str>,
        checks: Checks,
        when: Option<&str>,
    ) -> Result<()> {
        let buffer = self.program.buffers[to.buf].buffer.clone();
        let first_byte = self.offset(to.buf);
        let mut window = self.window(&buffer, first_byte, plan.layout, slot_bytes);
        let places = window.vectors.clone();
        let first = self.first_copy(plan.layout);
        for vector in self.vectors(plan, checks)? {
            let Some(at) = places.registers.iter().position(|r| *r == vector.registers) else {
                return Err(self.unsupported("a copy whose vectors are not those of its buffer"));
            };
            let (base, bytes) = window.at(self, at);
            let inside = self.inside_buffer(&buffer, plan.layout, vector.registers[0]);
            let taken = match (&first, inside) {
                (Some(a), Some(b)) => Some(self.text.early(format_args!("and i1 {a}, {b}"))),
                (Some(one), None) => Some(one.clone()),
                (None, other) => other,
            };
            let size = self.source_bytes(plan, vector.guard.as_deref(), vector.count.as_deref());
            let size = match when {
                Some(when) => Some(self.bytes_when(when, size)),
                None => size,
            };
            self.copy_16_bytes(
                (&base, bytes),
                (&vector.pointer, vector.immediate),
                size.as_deref(),
                taken.as_deref(),
            );
        }
        Ok(())
    }

    /// Bytes to read; the rest of 16 is zero.
    fn source_bytes(
        &mut self,
        plan: &Plan<'_>,
        guard: Option<&str>,
        count: Option<&str>,
    ) -> Option<String> {
        let elem_bytes = plan.elem.size_bytes();
        match (guard, count) {
            (_, Some(count)) => Some(self.text.def(format_args!("mul i32 {count}, {elem_bytes}"))),
            (Some(guard), None) => {
                Some(self.text.def(format_args!("select i1 {guard}, i32 {VECTOR_BYTES}, i32 0")))
            }
            (None, None) => None,
        }
    }

    /// So many bytes, or none, and zeros instead: a predicated copy would have an address of its own in the machine's code.
    fn bytes_when(&mut self, when: &str, size: Option<String>) -> String {
        let bytes = size.unwrap_or_else(|| VECTOR_BYTES.to_string());
        self.text.def(format_args!("select i1 {when}, i32 {bytes}, i32 0"))
    }

    /// One copy; nothing happens where `taken` does not hold.
    fn copy_16_bytes(
        &mut self,
        (base, bytes): (&str, i64),
        (pointer, immediate): (&str, i64),
        size: Option<&str>,
        taken: Option<&str>,
    ) {
        // In inline assembly, so that immediates stay what they are: LLVM would compute each address ahead of a loop.
        let mut operands = String::new();
        let (mut predicate, mut constraints, mut args) =
            (String::new(), String::new(), String::new());
        let mut next = 2;
        if let Some(size) = size {
            operands = format!(", ${next}");
            constraints.push_str(",r");
            args.push_str(&format!(", i32 {size}"));
            next += 1;
        }
        if let Some(taken) = taken {
            predicate = format!("@${next} ");
            constraints.push_str(",b");
            args.push_str(&format!(", i1 {taken}"));
        }
        self.text.line(format_args!(
            "call void asm sideeffect \"{predicate}cp.async.cg.shared.global [$0{}], [$1{}], 16{operands};\", \"r,l{constraints},~{{memory}}\"(ptr addrspace(3) {base}, ptr addrspace(1) {pointer}{args})",
            offset(bytes),
            offset(immediate),
        ));
    }
}
