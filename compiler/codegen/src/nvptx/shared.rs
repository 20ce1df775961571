//! Accesses to shared memory: bases that are computed once, and immediates.
//!
//! An element's byte is `row * row_bytes + (column ^ swizzle of the row)`. Accesses whose distance is the same in every
//! thread share a base ([`Buffer::bases`]). Bases that differ by the same bits in every thread share a root: each is the
//! root with those bits flipped, one instruction where it is wanted in place of a register that lives across loops. The
//! root is computed in the entry block, from the thread's number; where the buffer begins is part of the immediate, so that
//! buffers of one shape share their roots.

use std::collections::BTreeMap;
use std::rc::Rc;

use tilec_gpu::gir::{Slot, Val};
use tilec_ir::Axis;
use tilec_layout::{Buffer, CHUNK_BYTES, Lanes, Layout, Ldmatrix, Place, WARP};
use tilec_vocab::DType;

use super::emit::{Emitter, Result};
use super::fragment::{Source, fragment_tile};
use super::value::{Tile, Value};
use super::words::{At, Parts, SHARED, Unit, memory_words};

/// Alignment of shared memory: bits below it may be flipped in an address.
pub const SHARED_ALIGNMENT: u32 = 128;

/// The accesses of one layout to buffers of one shape.
#[derive(Clone, Debug)]
pub struct Places {
    buffer: Buffer<Axis>,
    layout: Layout<Axis>,
    found: Rc<Vectors>,
    /// Whether a loop's body uses them.
    in_loop: bool,
}

/// Where each vector is.
#[derive(Debug)]
pub struct Vectors {
    /// For each, the registers of its elements in order of addresses.
    pub registers: Vec<Vec<u32>>,
    /// For each, how to get its address.
    pub ways: Vec<Way>,
    /// Pointers of the entry block.
    roots: Vec<String>,
}

/// A root, bits to flip, bytes to add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    pub root: usize,
    pub flip: u32,
    bytes: i64,
}

/// The accesses of one statement to one slot of a buffer.
pub struct Window {
    pub vectors: Rc<Vectors>,
    roots: Vec<String>,
    first_byte: u32,
    flipped: BTreeMap<(usize, u32), String>,
}

impl Window {
    /// Base and immediate of a vector.
    pub fn at(&mut self, emitter: &mut Emitter<'_>, vector: usize) -> (String, i64) {
        let Way { root, flip, bytes } = self.vectors.ways[vector];
        let bytes = bytes + i64::from(self.first_byte);
        if flip == 0 {
            return (self.roots[root].clone(), bytes);
        }
        let from = &self.roots[root];
        let base = self.flipped.entry((root, flip)).or_insert_with(|| {
            // In inline assembly, so that it stays where it is.
            emitter.text.def(format_args!(
                "call ptr addrspace(3) asm sideeffect \"xor.b32 $0, $1, {flip};\", \"=r,r\"(ptr addrspace(3) {from})"
            ))
        });
        (base.clone(), bytes)
    }

    /// The same accesses so many bytes further.
    pub fn moved(&self, emitter: &mut Emitter<'_>, bytes: &str) -> Window {
        let further = |root: &String| {
            emitter.text.def(format_args!("getelementptr i8, ptr addrspace(3) {root}, i32 {bytes}"))
        };
        let roots = self.roots.iter().map(further).collect();
        Window { roots, vectors: self.vectors.clone(), flipped: BTreeMap::new(), ..*self }
    }
}

impl Emitter<'_> {
    /// The accesses of a layout to a slot of a buffer that begins at `first_byte` of shared memory.
    pub fn window(
        &mut self,
        buffer: &Buffer<Axis>,
        first_byte: u32,
        layout: &Layout<Axis>,
        slot_bytes: Option<&str>,
    ) -> Window {
        let vectors = self.shared_vectors(buffer, layout);
        let roots = vectors
            .roots
            .iter()
            .map(|root| match slot_bytes {
                None => root.clone(),
                Some(bytes) => self
                    .text
                    .def(format_args!("getelementptr i8, ptr addrspace(3) {root}, i32 {bytes}")),
            })
            .collect();
        Window { vectors, roots, first_byte, flipped: BTreeMap::new() }
    }

    fn shared_vectors(&mut self, buffer: &Buffer<Axis>, layout: &Layout<Axis>) -> Rc<Vectors> {
        let in_loop = !self.loops.is_empty();
        let same = |known: &&mut Places| known.layout == *layout && known.buffer == *buffer;
        if let Some(known) = self.places.iter_mut().find(same) {
            known.in_loop |= in_loop;
            return known.found.clone();
        }
        let registers = buffer.vectors(layout).registers;
        let bases = buffer.bases(layout);
        let related = self.related(buffer, layout, &bases.bases);
        let mut roots: Vec<(usize, String)> = Vec::new();
        let mut by_base = Vec::new();
        for (number, (parent, flip)) in related.into_iter().enumerate() {
            let root = match roots.iter().position(|(base, _)| *base == parent) {
                Some(root) => root,
                None => {
                    let register = registers[bases.bases[number]][0];
                    roots.push((number, self.shared_base(buffer, layout, register)));
                    roots.len() - 1
                }
            };
            by_base.push((root, flip));
        }
        let way = |(base, bytes): (usize, i64)| {
            let (root, flip) = by_base[base];
            Way { root, flip, bytes }
        };
        let ways = bases.offsets.into_iter().map(way).collect();
        let roots = roots.into_iter().map(|(_, pointer)| pointer).collect();
        let found = Rc::new(Vectors { registers, ways, roots });
        let (buffer, layout) = (buffer.clone(), layout.clone());
        self.places.push(Places { buffer, layout, found: found.clone(), in_loop });
        found
    }

    /// Forgets addresses that no loop uses: after a loop they are computed again.
    pub fn forget_idle_places(&mut self) {
        self.places.retain(|place| place.in_loop);
    }

    /// For each base, the first of which it differs by the same bits in every thread, and the bits.
    fn related(
        &self,
        buffer: &Buffer<Axis>,
        layout: &Layout<Axis>,
        bases: &[usize],
    ) -> Vec<(usize, u32)> {
        let mut addresses: Vec<Vec<Option<u32>>> = vec![Vec::new(); bases.len()];
        for warp in 0..layout.count(Place::Warp) {
            let (_, all) = buffer.addresses(layout, Lanes::All, warp);
            for (own, base) in addresses.iter_mut().zip(bases) {
                own.extend(&all[*base]);
            }
        }
        let may_flip = buffer.bytes().is_multiple_of(SHARED_ALIGNMENT);
        let mut out: Vec<(usize, u32)> = Vec::new();
        for (number, own) in addresses.iter().enumerate() {
            let found =
                (0..number).filter(|root| may_flip && out[*root] == (*root, 0)).find_map(|root| {
                    let mut bits =
                        own.iter().zip(&addresses[root]).filter_map(|(a, b)| Some((*a)? ^ (*b)?));
                    let flip = bits.next()?;
                    (flip < SHARED_ALIGNMENT && bits.all(|other| other == flip))
                        .then_some((root, flip))
                });
            out.push(found.unwrap_or((number, 0)));
        }
        out
    }

    /// The address of a register's element in a buffer that begins with shared memory, in the entry block.
    fn shared_base(
        &mut self,
        buffer: &Buffer<Axis>,
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
        text.early(format_args!("getelementptr i8, ptr addrspace(3) @$shared, i32 {bytes}"))
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

    pub fn put(&mut self, tile: &Tile, elem: DType, layout: &Layout<Axis>, to: Slot) -> Result<()> {
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
        let mut window = self.window(buffer, first_byte, layout, slot_bytes);
        let first = self.first_copy(layout);
        let vectors = window.vectors.clone();
        for (vector, registers) in vectors.registers.iter().enumerate() {
            let inside = self.inside_buffer(buffer, layout, registers[0]);
            let guard = match (&first, inside) {
                (Some(a), Some(b)) => Some(self.text.early(format_args!("and i1 {a}, {b}"))),
                (Some(one), None) => Some(one.clone()),
                (None, other) => other,
            };
            let words = memory_words(self, tile, elem, registers);
            let (base, bytes) = window.at(self, vector);
            let at = At { space: SHARED, base: &base, bytes };
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
        let mut window = self.window(buffer, first_byte, layout, slot_bytes);
        let mut parts = Parts::new(elem, layout.count(Place::Register) as usize);
        let vectors = window.vectors.clone();
        for (vector, registers) in vectors.registers.iter().enumerate() {
            let (base, bytes) = window.at(self, vector);
            let at = At { space: SHARED, base: &base, bytes };
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
        let own = self
            .text
            .early(format_args!("add i32 {own}, {}", self.program.buffers[slot.buf].offset));
        let mut base =
            self.text.early(format_args!("getelementptr i8, ptr addrspace(3) @$shared, i32 {own}"));
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
