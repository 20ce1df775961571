//! Accesses to shared memory: bases that are computed once, and immediates.
//!
//! An element's byte is `row * row_bytes + (column ^ swizzle of the row)`. Accesses whose distance is the same in every
//! thread share a base ([`Buffer::bases`]); the base is computed in the entry block, from the thread's number.

use std::rc::Rc;

use tilec_gpu::gir::{Slot, Val};
use tilec_ir::Axis;
use tilec_layout::{Buffer, CHUNK_BYTES, Layout, Ldmatrix, Place, WARP};
use tilec_vocab::DType;

use super::emit::{Emitter, Result};
use super::fragment::{Source, fragment_tile};
use super::value::{Tile, Value};
use super::words::{At, Parts, SHARED, Unit, memory_words};

/// The accesses of one layout to one buffer.
#[derive(Clone, Debug)]
pub struct Places {
    buffer: Buffer<Axis>,
    layout: Layout<Axis>,
    first_byte: u32,
    found: Rc<Vectors>,
}

/// Where each vector is.
#[derive(Debug)]
pub struct Vectors {
    /// For each, the registers of its elements in order of addresses.
    pub registers: Vec<Vec<u32>>,
    /// For each, the number of its base and the bytes to add.
    pub offsets: Vec<(usize, i64)>,
    /// Pointers of the entry block.
    pub bases: Vec<String>,
}

impl Emitter<'_> {
    /// The accesses of a layout to a buffer that begins at `first_byte` of shared memory.
    pub fn shared_vectors(
        &mut self,
        buffer: &Buffer<Axis>,
        first_byte: u32,
        layout: &Layout<Axis>,
    ) -> Rc<Vectors> {
        let known = self.places.iter().find(|known| {
            known.first_byte == first_byte && known.layout == *layout && known.buffer == *buffer
        });
        if let Some(known) = known {
            return known.found.clone();
        }
        let registers = buffer.vectors(layout).registers;
        let bases = buffer.bases(layout);
        let pointers = bases
            .bases
            .iter()
            .map(|access| self.shared_base(buffer, first_byte, layout, registers[*access][0]))
            .collect();
        let found = Rc::new(Vectors { registers, offsets: bases.offsets, bases: pointers });
        let (buffer, layout) = (buffer.clone(), layout.clone());
        self.places.push(Places { buffer, layout, first_byte, found: found.clone() });
        found
    }

    /// The address of a register's element, in the entry block.
    fn shared_base(
        &mut self,
        buffer: &Buffer<Axis>,
        first_byte: u32,
        layout: &Layout<Axis>,
        register: u32,
    ) -> String {
        let rows = self.sum(layout, |axis| i64::from(buffer.row_weight(axis)));
        let columns = self.sum(layout, |axis| i64::from(buffer.column_weight(axis)));
        let (row, column) =
            (rows.registers[register as usize], columns.registers[register as usize]);
        let swizzle = buffer.swizzle();
        let text = &mut self.text;
        let row = text.early(format_args!("add i32 {}, {row}", rows.thread));
        let mut column = text.early(format_args!("add i32 {}, {column}", columns.thread));
        if swizzle.bits > 0 {
            let bits = text.early(format_args!("lshr i32 {row}, {}", swizzle.row_shift));
            let bits = text.early(format_args!("and i32 {bits}, {}", (1 << swizzle.bits) - 1));
            let bits = text.early(format_args!("shl i32 {bits}, {}", swizzle.base_log2));
            column = text.early(format_args!("xor i32 {column}, {bits}"));
        }
        let bytes = text.early(format_args!("mul i32 {row}, {}", buffer.row_bytes()));
        let bytes = text.early(format_args!("add i32 {bytes}, {column}"));
        let bytes = text.early(format_args!("add i32 {bytes}, {first_byte}"));
        text.early(format_args!("getelementptr i8, ptr addrspace(3) @shared, i32 {bytes}"))
    }

    /// The bases of a slot.
    pub fn bases_in_slot(&mut self, vectors: &Vectors, slot_bytes: Option<&str>) -> Vec<String> {
        let Some(bytes) = slot_bytes else { return vectors.bases.clone() };
        let at = |base: &String| {
            self.text.def(format_args!("getelementptr i8, ptr addrspace(3) {base}, i32 {bytes}"))
        };
        vectors.bases.iter().map(at).collect()
    }

    /// Whether the element of a register is inside the buffer, for layouts that cover more: `None` where it always is.
    pub fn inside_buffer(
        &mut self,
        buffer: &Buffer<Axis>,
        layout: &Layout<Axis>,
        register: u32,
    ) -> Option<String> {
        let mut all: Option<String> = None;
        for &(axis, extent) in buffer.axes() {
            if layout.extent(axis) <= extent {
                continue;
            }
            let sum = self.sum(layout, |other| i64::from(other == axis));
            let add = sum.registers[register as usize];
            if add + sum.range.1 < i64::from(extent) {
                continue;
            }
            let limit = i64::from(extent) - add;
            let inside = self.text.early(format_args!("icmp slt i32 {}, {limit}", sum.thread));
            all = Some(match all {
                Some(so_far) => self.text.early(format_args!("and i1 {so_far}, {inside}")),
                None => inside,
            });
        }
        all
    }

    pub fn put(
        &mut self,
        tile: &Tile,
        elem: DType,
        layout: &Layout<Axis>,
        to: Slot,
    ) -> Result<()> {
        let buffer = self.program.buffers[to.buf].buffer.clone();
        let slot_bytes = self.slot_bytes(to)?;
        let first_byte = self.offset(to.buf);
        self.put_at(tile, elem, layout, &buffer, first_byte, slot_bytes.as_deref());
        Ok(())
    }

    /// Writes a tile; the first of several copies does.
    pub fn put_at(
        &mut self,
        tile: &Tile,
        elem: DType,
        layout: &Layout<Axis>,
        buffer: &Buffer<Axis>,
        first_byte: u32,
        slot_bytes: Option<&str>,
    ) {
        let vectors = self.shared_vectors(buffer, first_byte, layout);
        let bases = self.bases_in_slot(&vectors, slot_bytes);
        let first = self.first_copy(layout);
        for (registers, (base, bytes)) in vectors.registers.iter().zip(&vectors.offsets) {
            let inside = self.inside_buffer(buffer, layout, registers[0]);
            let guard = match (&first, inside) {
                (Some(a), Some(b)) => Some(self.text.early(format_args!("and i1 {a}, {b}"))),
                (Some(one), None) => Some(one.clone()),
                (None, other) => other,
            };
            let words = memory_words(self, tile, elem, registers);
            let at = At { space: SHARED, base: &bases[*base], bytes: *bytes };
            self.store_words(guard.as_deref(), at, Unit::of(elem, registers.len()), &words);
        }
    }

    /// Reads a tile, vector by vector.
    pub fn get_at(
        &mut self,
        elem: DType,
        layout: &Layout<Axis>,
        buffer: &Buffer<Axis>,
        first_byte: u32,
        slot_bytes: Option<&str>,
    ) -> Tile {
        let vectors = self.shared_vectors(buffer, first_byte, layout);
        let bases = self.bases_in_slot(&vectors, slot_bytes);
        let mut parts = Parts::new(elem, layout.count(Place::Register) as usize);
        for (registers, (base, bytes)) in vectors.registers.iter().zip(&vectors.offsets) {
            let at = At { space: SHARED, base: &bases[*base], bytes: *bytes };
            let unit = Unit::of(elem, registers.len());
            let words = match self.inside_buffer(buffer, layout, registers[0]) {
                Some(inside) => self.load_words_if(&inside, at, unit, false),
                None => self.load_words(at, unit, ""),
            };
            parts.take(self, registers, &words);
        }
        parts.finish(self)
    }

    pub fn get(&mut self, result: Val, from: Slot) -> Result<()> {
        let (elem, layout) = (self.elem(result), self.layout(result)?);
        let buffer = self.program.buffers[from.buf].buffer.clone();
        let slot_bytes = self.slot_bytes(from)?;
        let slot_bytes = slot_bytes.as_deref();
        let first_byte = self.offset(from.buf);
        let covers = buffer.axes().iter().all(|(axis, extent)| layout.extent(*axis) <= *extent);
        let load = buffer
            .contiguous()
            .filter(|_| covers && elem.is_float())
            .and_then(|axis| Ldmatrix::of(layout, axis, buffer.elem_bytes()));
        let source = load.and_then(|load| {
            Source::ldmatrix(self, &load, layout, &buffer, first_byte, slot_bytes)
        });
        let tile = match source {
            Some(mut source) => {
                fragment_tile(self, &mut source, elem, layout.count(Place::Register))
            }
            None => self.get_at(elem, layout, &buffer, first_byte, slot_bytes),
        };
        self.set(result, Value::Tile(tile));
        Ok(())
    }

    /// Zeros, 16 bytes of each thread at a time.
    pub fn clear(&mut self, slot: Slot) -> Result<()> {
        let bytes = self.program.buffers[slot.buf].buffer.bytes();
        let slot_bytes = self.slot_bytes(slot)?;
        let tid = self.tid();
        let own = self.text.early(format_args!("mul i32 {tid}, {CHUNK_BYTES}"));
        let own = self.text.early(format_args!("add i32 {own}, {}", self.program.buffers[slot.buf].offset));
        let mut base =
            self.text.early(format_args!("getelementptr i8, ptr addrspace(3) @shared, i32 {own}"));
        if let Some(bytes) = slot_bytes {
            base = self
                .text
                .def(format_args!("getelementptr i8, ptr addrspace(3) {base}, i32 {bytes}"));
        }
        let pass = self.program.warps * WARP * CHUNK_BYTES;
        let unit = Unit::of(DType::I32, (CHUNK_BYTES / 4) as usize);
        let zeros = vec!["0".to_string(); unit.count];
        for from in (0..bytes).step_by(pass as usize) {
            let left = (bytes - from) / CHUNK_BYTES;
            let guard = (bytes - from < pass)
                .then(|| self.text.early(format_args!("icmp ult i32 {tid}, {left}")));
            let at = At { space: SHARED, base: &base, bytes: i64::from(from) };
            self.store_words(guard.as_deref(), at, unit, &zeros);
        }
        Ok(())
    }
}
