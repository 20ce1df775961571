//! Operands of matrix products: registers as they are, or fragments loaded when they are first wanted.

use std::ops::Range;

use tilec_gpu::gir::Operand;
use tilec_ir::Axis;
use tilec_layout::{Buffer, Layout, Ldmatrix, Place};
use tilec_vocab::DType;

use super::emit::{Emitter, Result};
use super::shared::Window;
use super::value::{Tile, is_half, pair_type};
use super::words::{At, SHARED, Unit, offset};

/// Bytes of a row of a matrix of `ldmatrix`.
const ROW_BYTES: u32 = 16;

/// Where 32-bit words of a fragment come from: word `i` is register `i`, or registers `2i` and `2i + 1`.
pub struct Source {
    how: How,
    elem_bytes: u32,
    /// What each instruction gave.
    given: Vec<Option<Vec<String>>>,
}

enum How {
    Registers(Vec<String>),
    Ldmatrix {
        opcode: String,
        num_matrices: u32,
        /// For each register of the fragment, the one it is loaded into.
        loaded: Vec<u32>,
        /// For each instruction, its place among the vectors.
        order: Vec<usize>,
        window: Window,
    },
    Vectors {
        elem: DType,
        /// For each register of the fragment, its vector and its place there.
        at: Vec<(usize, usize)>,
        window: Window,
    },
}

impl Source {
    /// An operand of a dot.
    pub fn of(
        emitter: &mut Emitter<'_>,
        operand: Operand,
        layout: &Layout<Axis>,
        elem: DType,
    ) -> Result<Source> {
        match operand {
            Operand::Registers(value) => {
                let mut tile = emitter.tile(value)?;
                let own = emitter.layout(value)?;
                if own != layout {
                    let map = own.register_map(layout).ok_or_else(|| {
                        emitter.unsupported(format!("{value} is in another layout than its dot's"))
                    })?;
                    tile = tile.mapped(&mut emitter.text, elem, &map);
                }
                Source::registers(emitter, &tile, elem)
            }
            Operand::Shared(slot) => {
                let buffer = emitter.program.buffers[slot.buf].buffer.clone();
                let first_byte = emitter.offset(slot.buf);
                for &(axis, extent) in buffer.axes() {
                    if layout.extent(axis) > extent {
                        return Err(emitter.unsupported(format!(
                            "fragments of {} indices of {axis}, of which {} has {extent}",
                            layout.extent(axis),
                            slot.buf
                        )));
                    }
                }
                let slot_bytes = emitter.slot_bytes(slot)?;
                let slot_bytes = slot_bytes.as_deref();
                let load = buffer
                    .contiguous()
                    .and_then(|axis| Ldmatrix::of(layout, axis, buffer.elem_bytes()));
                let by_matrix = load.and_then(|load| {
                    Source::ldmatrix(emitter, &load, layout, &buffer, first_byte, slot_bytes)
                });
                Ok(match by_matrix {
                    Some(source) => source,
                    None => Source::vectors(emitter, layout, &buffer, elem, first_byte, slot_bytes),
                })
            }
        }
    }

    fn registers(emitter: &mut Emitter<'_>, tile: &Tile, elem: DType) -> Result<Source> {
        let words = match (elem, tile.packed) {
            (DType::F16 | DType::BF16, true) => {
                let ty = pair_type(elem);
                tile.words
                    .iter()
                    .map(|word| emitter.text.def(format_args!("bitcast {ty} {word} to i32")))
                    .collect()
            }
            (DType::F32, _) => tile
                .words
                .iter()
                .map(|word| emitter.text.def(format_args!("bitcast float {word} to i32")))
                .collect(),
            _ => return Err(emitter.unsupported(format!("a fragment of {elem}"))),
        };
        let elem_bytes = elem.size_bytes() as u32;
        Ok(Source { how: How::Registers(words), elem_bytes, given: Vec::new() })
    }

    /// Whole fragments; `None` where the swizzle cuts rows of 16 bytes.
    pub fn ldmatrix(
        emitter: &mut Emitter<'_>,
        load: &Ldmatrix<Axis>,
        layout: &Layout<Axis>,
        buffer: &Buffer<Axis>,
        first_byte: u32,
        slot_bytes: Option<&str>,
    ) -> Option<Source> {
        let elem_bytes = buffer.elem_bytes();
        let row = ROW_BYTES / elem_bytes;
        if buffer.vectors(&load.addresses).width != row {
            return None;
        }
        let loaded = load.loaded.register_map(layout)?;
        let window = emitter.window(buffer, first_byte, &load.addresses, slot_bytes);
        let mut order = vec![0; window.vectors.registers.len()];
        for (place, registers) in window.vectors.registers.iter().enumerate() {
            *order.get_mut((registers[0] / row) as usize)? = place;
        }
        let trans = if load.trans { ".trans" } else { "" };
        let num_matrices = load.num_matrices;
        let opcode = format!("ldmatrix.sync.aligned.m8n8.x{num_matrices}{trans}.shared.b16");
        let given = vec![None; order.len()];
        let how = How::Ldmatrix { opcode, num_matrices, loaded, order, window };
        Some(Source { how, elem_bytes, given })
    }

    fn vectors(
        emitter: &mut Emitter<'_>,
        layout: &Layout<Axis>,
        buffer: &Buffer<Axis>,
        elem: DType,
        first_byte: u32,
        slot_bytes: Option<&str>,
    ) -> Source {
        let window = emitter.window(buffer, first_byte, layout, slot_bytes);
        let mut at = vec![(0, 0); layout.count(Place::Register) as usize];
        for (vector, registers) in window.vectors.registers.iter().enumerate() {
            for (place, register) in registers.iter().enumerate() {
                at[*register as usize] = (vector, place);
            }
        }
        let given = vec![None; window.vectors.registers.len()];
        let how = How::Vectors { elem, at, window };
        Source { how, elem_bytes: buffer.elem_bytes(), given }
    }

    /// The names of words that are in registers.
    pub fn names(&self, words: Range<u32>) -> Vec<String> {
        match &self.how {
            How::Registers(names) => words.map(|word| names[word as usize].clone()).collect(),
            How::Ldmatrix { .. } | How::Vectors { .. } => Vec::new(),
        }
    }

    /// One word, as an `i32`.
    pub fn word(&mut self, emitter: &mut Emitter<'_>, word: u32) -> String {
        let packed = if self.elem_bytes == 2 { 2 } else { 1 };
        match &mut self.how {
            How::Registers(words) => words[word as usize].clone(),
            How::Ldmatrix { opcode, num_matrices, loaded, order, window } => {
                let into = loaded[(word * packed) as usize] / packed;
                let (instruction, matrix) = (into / *num_matrices, into % *num_matrices);
                let given = self.given[instruction as usize].get_or_insert_with(|| {
                    let (base, bytes) = window.at(emitter, order[instruction as usize]);
                    ldmatrix(emitter, opcode, *num_matrices, &base, bytes)
                });
                given[matrix as usize].clone()
            }
            How::Vectors { .. } => self.word_of_vectors(emitter, word * packed, packed),
        }
    }

    /// The base that a word is loaded from: words of one base are best wanted together.
    pub fn base_of(&self, word: u32) -> (usize, u32) {
        let packed = if self.elem_bytes == 2 { 2 } else { 1 };
        match &self.how {
            How::Registers(_) | How::Vectors { .. } => (0, 0),
            How::Ldmatrix { num_matrices, loaded, order, window, .. } => {
                let into = loaded[(word * packed) as usize] / packed;
                let way = window.vectors.ways[order[(into / num_matrices) as usize]];
                (way.root, way.flip)
            }
        }
    }

    fn word_of_vectors(&mut self, emitter: &mut Emitter<'_>, first: u32, packed: u32) -> String {
        let How::Vectors { elem, at, window } = &mut self.how else { return String::new() };
        let mut halves = Vec::new();
        for register in first..first + packed {
            let (vector, place) = at[register as usize];
            let elements = window.vectors.registers[vector].len();
            let words = self.given[vector].get_or_insert_with(|| {
                let (base, bytes) = window.at(emitter, vector);
                let at = At { space: SHARED, base: &base, bytes };
                emitter.load_words(at, Unit::of(*elem, elements), "")
            });
            if packed == 1 {
                return words[place].clone();
            }
            let text = &mut emitter.text;
            halves.push(if elements == 1 {
                text.def(format_args!("zext i16 {} to i32", words[0]))
            } else {
                let word = &words[place / 2];
                if place % 2 == 0 {
                    text.def(format_args!("and i32 {word}, 65535"))
                } else {
                    text.def(format_args!("lshr i32 {word}, 16"))
                }
            });
        }
        let text = &mut emitter.text;
        let high = text.def(format_args!("shl i32 {}, 16", halves[1]));
        text.def(format_args!("or i32 {}, {high}", halves[0]))
    }
}

/// In inline assembly, so that the immediate stays one: LLVM would compute each address ahead of the loop, in a register.
fn ldmatrix(
    emitter: &mut Emitter<'_>,
    opcode: &str,
    num_matrices: u32,
    base: &str,
    bytes: i64,
) -> Vec<String> {
    let count = num_matrices as usize;
    let outputs: Vec<String> = (0..count).map(|i| format!("${i}")).collect();
    let returned = match count {
        1 => "i32".to_string(),
        _ => format!("{{ {} }}", vec!["i32"; count].join(", ")),
    };
    let all = emitter.text.def(format_args!(
        "call {returned} asm sideeffect \"{opcode} {{{}}}, [${count}{}];\", \"{},r,~{{memory}}\"(ptr addrspace(3) {base}) #1",
        outputs.join(", "),
        offset(bytes),
        vec!["=r"; count].join(","),
    ));
    if count == 1 {
        return vec![all];
    }
    (0..count)
        .map(|i| emitter.text.def(format_args!("extractvalue {returned} {all}, {i}")))
        .collect()
}

/// All of a fragment as a tile.
pub fn fragment_tile(
    emitter: &mut Emitter<'_>,
    source: &mut Source,
    elem: DType,
    registers: u32,
) -> Tile {
    if is_half(elem) {
        let words = (0..registers / 2)
            .map(|word| {
                let word = source.word(emitter, word);
                emitter.text.def(format_args!("bitcast i32 {word} to {}", pair_type(elem)))
            })
            .collect();
        return Tile { words, packed: true };
    }
    let words = (0..registers)
        .map(|word| {
            let word = source.word(emitter, word);
            emitter.of_words(elem, &[word])
        })
        .collect();
    Tile { words, packed: false }
}
