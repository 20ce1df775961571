//! Loads, stores and atomic additions in global memory.

use tilec_gpu::gir::{Access, Val};
use tilec_ir::Axis;
use tilec_layout::Layout;
use tilec_vocab::DType;

use super::access::{Checks, Plan, Vector};
use super::emit::{Emitter, Result};
use super::entry::EMPTY_NODE;
use super::value::{Tile, Value, is_half, llvm_type};
use super::words::{At, GLOBAL, Parts, Unit, memory_words, offset};

/// From this many vectors on, unchecked accesses have code of their own.
const MANY_VECTORS: usize = 3;

impl Emitter<'_> {
    pub fn load(&mut self, result: Val, access: &Access) -> Result<()> {
        let elem = self.elem(result);
        let scalar = Layout::scalar();
        let layout = self.program.layout(result).unwrap_or(&scalar);
        let tile = self.load_tile(access, layout)?;
        let made = if self.program.layout(result).is_some() {
            Value::Tile(tile)
        } else {
            Value::Uniform(tile.register(&mut self.text, elem, 0))
        };
        self.set(result, made);
        Ok(())
    }

    /// The elements of a tile; zero where they are outside.
    pub fn load_tile(&mut self, access: &Access, layout: &Layout<Axis>) -> Result<Tile> {
        let plan = self.plan(access, layout)?;
        let Some(all_inside) = self.two_ways(&plan) else {
            let checks = self.checks(&plan);
            return self.load_vectors(&plan, checks);
        };
        let [(fast, fast_end), (slow, slow_end)] = self.either(all_inside, |emitter, inside| {
            let checks = if inside { Checks::Extents } else { Checks::Elements };
            emitter.load_vectors(&plan, checks)
        })?;
        let ty = fast.word_type(plan.elem);
        let words = fast
            .words
            .iter()
            .zip(&slow.words)
            .map(|(a, b)| {
                self.text.def(format_args!("phi {ty} [ {a}, %{fast_end} ], [ {b}, %{slow_end} ]"))
            })
            .collect();
        Ok(Tile { words, packed: fast.packed })
    }

    /// The condition under which nothing need be checked, where code of its own pays for that case.
    fn two_ways(&self, plan: &Plan<'_>) -> Option<Val> {
        let registers = plan.layout.count(tilec_layout::Place::Register) as usize;
        let many = registers / plan.width as usize >= MANY_VECTORS;
        plan.access.all_inside.filter(|_| self.has_checks(plan) && (many || self.is_cut(plan)))
    }

    fn load_vectors(&mut self, plan: &Plan<'_>, checks: Checks) -> Result<Tile> {
        let vectors = self.vectors(plan, checks)?;
        let registers = plan.layout.count(tilec_layout::Place::Register) as usize;
        let mut tile = Parts::new(plan.elem, registers);
        for vector in &vectors {
            let words = self.load_vector(plan, vector);
            tile.take(self, &vector.registers, &words);
        }
        Ok(tile.finish(self))
    }

    /// The memory words of a vector, zero where it is not there.
    fn load_vector(&mut self, plan: &Plan<'_>, vector: &Vector) -> Vec<String> {
        let unit = Unit::of(plan.elem, vector.registers.len());
        let at = At { space: GLOBAL, base: &vector.pointer, bytes: vector.immediate };
        match &vector.guard {
            Some(guard) => self.load_words_if(guard, at, unit, !plan.mutable),
            None if plan.mutable => self.load_words(at, unit, ""),
            None => self.load_words(at, unit, &format!(", !invariant.load !{EMPTY_NODE}")),
        }
    }

    pub fn store(&mut self, access: &Access, value: Val) -> Result<()> {
        let (tile, layout, elem) = self.stored(access, value)?;
        let plan = self.plan(access, &layout)?;
        let Some(all_inside) = self.two_ways(&plan) else {
            let checks = self.checks(&plan);
            return self.store_vectors(&plan, &tile, elem, checks);
        };
        self.either(all_inside, |emitter, inside| {
            let checks = if inside { Checks::Extents } else { Checks::Elements };
            emitter.store_vectors(&plan, &tile, elem, checks)
        })?;
        Ok(())
    }

    /// What is written, and in which layout: a uniform value by one thread.
    fn stored(&mut self, access: &Access, value: Val) -> Result<(Tile, Layout<Axis>, DType)> {
        let elem = self.elem(value);
        match self.value(value)? {
            Value::Tile(tile) => Ok((tile, self.layout(value)?.clone(), elem)),
            Value::Uniform(name) => {
                if access.dims.iter().any(|dim| !dim.lanes.is_empty() || dim.tile.is_some()) {
                    return Err(self.unsupported("a uniform value written over lanes"));
                }
                Ok((Tile { words: vec![name], packed: false }, Layout::scalar(), elem))
            }
        }
    }

    fn store_vectors(
        &mut self,
        plan: &Plan<'_>,
        tile: &Tile,
        elem: DType,
        checks: Checks,
    ) -> Result<()> {
        let first = self.first_copy(plan.layout);
        for vector in self.vectors(plan, checks)? {
            let words = memory_words(self, tile, elem, &vector.registers);
            let unit = Unit::of(elem, vector.registers.len());
            let guard = both(self, first.as_deref(), vector.guard.as_deref());
            let at = At { space: GLOBAL, base: &vector.pointer, bytes: vector.immediate };
            self.store_words(guard.as_deref(), at, unit, &words);
        }
        Ok(())
    }

    pub fn atomic_add(&mut self, access: &Access, value: Val) -> Result<()> {
        let (tile, layout, elem) = self.stored(access, value)?;
        let (name, constraint) = match elem {
            DType::F32 => ("add.f32", "f"),
            DType::I32 => ("add.u32", "r"),
            DType::I64 => ("add.u64", "l"),
            DType::F16 => ("add.noftz.f16", "h"),
            DType::BF16 if self.target.bf16_atomics => ("add.noftz.bf16", "h"),
            DType::BF16 | DType::Bool => {
                let target = self.target.name;
                return Err(self.unsupported(format!("{target} has no atomic addition of {elem}")));
            }
        };
        // One element at a time.
        let access = Access { vector: 1, ..access.clone() };
        let plan = self.plan(&access, &layout)?;
        let first = self.first_copy(&layout);
        let checks = self.checks(&plan);
        for vector in self.vectors(&plan, checks)? {
            let Vector { registers, pointer, immediate, guard, .. } = &vector;
            let mut x = tile.register(&mut self.text, elem, registers[0] as usize);
            let mut ty = llvm_type(elem);
            if is_half(elem) {
                x = self.text.def(format_args!("bitcast {ty} {x} to i16"));
                ty = "i16";
            }
            let at = offset(*immediate);
            match both(self, first.as_deref(), guard.as_deref()) {
                Some(guard) => self.text.line(format_args!(
                    "call void asm sideeffect \"@$2 red.global.{name} [$0{at}], $1;\", \"l,{constraint},b,~{{memory}}\"(ptr addrspace(1) {pointer}, {ty} {x}, i1 {guard})"
                )),
                None => self.text.line(format_args!(
                    "call void asm sideeffect \"red.global.{name} [$0{at}], $1;\", \"l,{constraint},~{{memory}}\"(ptr addrspace(1) {pointer}, {ty} {x})"
                )),
            }
        }
        Ok(())
    }
}

/// Where both hold; `None` always holds.
pub fn both(emitter: &mut Emitter<'_>, a: Option<&str>, b: Option<&str>) -> Option<String> {
    match (a, b) {
        (Some(a), Some(b)) => Some(emitter.text.def(format_args!("and i1 {a}, {b}"))),
        (Some(one), None) | (None, Some(one)) => Some(one.to_string()),
        (None, None) => None,
    }
}
