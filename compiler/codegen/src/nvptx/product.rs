//! Matrix products without tensor cores: one fused multiply-add for each product, operands from shared memory. Where they are
//! many a loop runs over the depth, a few steps in each iteration.

use tilec_gpu::gir::{Dot, Operand};
use tilec_ir::Axis;
use tilec_layout::{Layout, Place};
use tilec_vocab::DType;

use super::emit::{Emitter, Result};
use super::shared::Window;
use super::value::{is_half, llvm_type, pair_type, widen};
use super::words::{At, SHARED, Unit};

/// Multiply-adds of a thread that are written one after the other: more would not stay in the instruction cache, and take LLVM
/// seconds.
const MOST_IN_A_ROW: usize = 512;
/// Depth of an iteration where a loop runs over it: two vectors of 16 bytes of `f32`.
const STEPS: u32 = 8;

/// An operand, loaded when it is first wanted.
struct Loaded {
    elem: DType,
    window: Window,
    /// For each register, its vector and its place there.
    at: Vec<(usize, usize)>,
    given: Vec<Option<Vec<String>>>,
    /// For each register of the result, the register of depth 0.
    beside: std::rc::Rc<[u32]>,
    /// Registers of one depth.
    step: u32,
}

impl Emitter<'_> {
    /// Adds every product to its sum.
    pub fn products(
        &mut self,
        layout: &Layout<Axis>,
        dot: &Dot,
        sums: &mut [String],
    ) -> Result<()> {
        let depth: u32 = dot.over.iter().map(|axis| self.program.extent(*axis)).product();
        if depth as usize * sums.len() > MOST_IN_A_ROW
            && depth.is_multiple_of(STEPS)
            && let (Some(a), Some(b)) =
                (self.depth_stride(dot, dot.a), self.depth_stride(dot, dot.b))
        {
            let a = (self.operand_of_products(layout, dot, dot.a, Some(STEPS))?, a);
            let b = (self.operand_of_products(layout, dot, dot.b, Some(STEPS))?, b);
            self.products_in_a_loop(a, b, depth, sums);
            return Ok(());
        }
        let mut a = self.operand_of_products(layout, dot, dot.a, None)?;
        let mut b = self.operand_of_products(layout, dot, dot.b, None)?;
        self.in_a_row(&mut a, &mut b, depth, sums);
        Ok(())
    }

    fn in_a_row(&mut self, a: &mut Loaded, b: &mut Loaded, depth: u32, sums: &mut [String]) {
        for k in 0..depth {
            for (register, sum) in sums.iter_mut().enumerate() {
                let x = a.element(self, register, k);
                let y = b.element(self, register, k);
                *sum = self.float_call("llvm.fma.f32", &[&x, &y, sum]);
            }
        }
    }

    /// Operands of [`STEPS`] of the depth with the bytes from one of it to the next.
    fn products_in_a_loop(
        &mut self,
        (mut a, a_stride): (Loaded, u32),
        (mut b, b_stride): (Loaded, u32),
        depth: u32,
        sums: &mut [String],
    ) {
        let before = self.text.current();
        let (body, exit) = (self.text.new_label(), self.text.new_label());
        self.text.jump(&body);
        self.text.begin(&body);
        let k = self.text.name();
        let k_line = self.text.reserve();
        let phis: Vec<_> = sums
            .iter_mut()
            .map(|sum| {
                let name = self.text.name();
                (self.text.reserve(), name.clone(), std::mem::replace(sum, name))
            })
            .collect();
        for (operand, stride) in [(&mut a, a_stride), (&mut b, b_stride)] {
            let bytes = self.text.def(format_args!("mul i32 {k}, {stride}"));
            operand.window = operand.window.moved(self, &bytes);
        }
        self.in_a_row(&mut a, &mut b, STEPS, sums);
        let next = self.text.def(format_args!("add i32 {k}, {STEPS}"));
        let more = self.text.def(format_args!("icmp ult i32 {next}, {depth}"));
        self.text
            .fill(&k_line, format_args!("{k} = phi i32 [ 0, %{before} ], [ {next}, %{body} ]"));
        for ((line, name, first), again) in phis.iter().zip(sums.iter()) {
            let phi =
                format_args!("{name} = phi float [ {first}, %{before} ], [ {again}, %{body} ]");
            self.text.fill(line, phi);
        }
        self.text.branch(&more, &body, &exit);
        self.text.begin(&exit);
    }

    /// Bytes from one step along the depth to the next, where that is the same everywhere.
    fn depth_stride(&self, dot: &Dot, operand: Operand) -> Option<u32> {
        let (Operand::Shared(slot), [axis]) = (operand, &dot.over[..]) else { return None };
        let buffer = &self.program.buffers[slot.buf].buffer;
        let bytes = buffer.row_weight(*axis) * buffer.row_bytes() + buffer.column_weight(*axis);
        (buffer.swizzle().bits == 0).then_some(bytes)
    }

    /// An operand's first steps of the depth; all of them for `None`.
    fn operand_of_products(
        &mut self,
        layout: &Layout<Axis>,
        dot: &Dot,
        operand: Operand,
        steps: Option<u32>,
    ) -> Result<Loaded> {
        let Operand::Shared(slot) = operand else {
            return Err(
                self.unsupported("an operand in registers of a product without tensor cores")
            );
        };
        let buffer = self.program.buffers[slot.buf].buffer.clone();
        let own: Vec<Axis> = buffer.axes().iter().map(|(axis, _)| *axis).collect();
        let mut beside = layout.clone();
        for axis in layout.axes().into_iter().filter(|axis| !own.contains(axis)) {
            beside = beside.without(axis);
        }
        let step = beside.count(Place::Register);
        let map = self
            .beside_layouts(&beside, layout)
            .ok_or_else(|| self.unsupported("a product whose operand is not beside its result"))?;
        let mut fragment = beside;
        for axis in &dot.over {
            let extent = steps.unwrap_or_else(|| self.program.extent(*axis));
            fragment = fragment.over_registers(*axis, extent);
        }
        for &(axis, extent) in buffer.axes() {
            if fragment.extent(axis) > extent {
                return Err(
                    self.unsupported(format!("a product over more than {} holds", slot.buf))
                );
            }
        }
        let slot_bytes = self.slot_bytes(slot)?;
        let first_byte = self.offset(slot.buf);
        let window = self.window(&buffer, first_byte, &fragment, slot_bytes.as_deref());
        let mut at = vec![(0, 0); fragment.count(Place::Register) as usize];
        for (vector, registers) in window.vectors.registers.iter().enumerate() {
            for (place, register) in registers.iter().enumerate() {
                at[*register as usize] = (vector, place);
            }
        }
        let given = vec![None; window.vectors.registers.len()];
        Ok(Loaded { elem: dot.elem, window, at, given, beside: map, step })
    }
}

impl Loaded {
    /// The element beside a register of the result, as `f32`.
    fn element(&mut self, emitter: &mut Emitter<'_>, register: usize, depth: u32) -> String {
        let own = self.beside[register] + depth * self.step;
        let (vector, place) = self.at[own as usize];
        if let Some(given) = &self.given[vector] {
            return given[place].clone();
        }
        let (base, bytes) = self.window.at(emitter, vector);
        let elements = self.window.vectors.registers[vector].len();
        let at = At { space: SHARED, base: &base, bytes };
        let words = emitter.load_words(at, Unit::of(self.elem, elements), "");
        let given = floats(emitter, self.elem, elements, &words);
        let one = given[place].clone();
        self.given[vector] = Some(given);
        one
    }
}

/// The elements in some words of memory, as `f32`.
fn floats(
    emitter: &mut Emitter<'_>,
    elem: DType,
    elements: usize,
    words: &[String],
) -> Vec<String> {
    let text = &mut emitter.text;
    if !is_half(elem) {
        return words
            .iter()
            .map(|word| text.def(format_args!("bitcast i32 {word} to float")))
            .collect();
    }
    if elements == 1 {
        let half = text.def(format_args!("bitcast i16 {} to {}", words[0], llvm_type(elem)));
        return vec![widen(text, elem, &half)];
    }
    let pair = pair_type(elem);
    let mut out = Vec::with_capacity(elements);
    for word in words {
        let both = text.def(format_args!("bitcast i32 {word} to {pair}"));
        for half in 0..2 {
            let one = text.def(format_args!("extractelement {pair} {both}, i32 {half}"));
            out.push(widen(text, elem, &one));
        }
    }
    out
}
