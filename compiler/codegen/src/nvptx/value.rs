//! Values as LLVM sees them: a name for each register, two 16-bit floats in one.

use tilec_ir::Imm;
use tilec_vocab::DType;

use super::text::Text;

/// A value.
#[derive(Clone, Debug)]
pub enum Value {
    /// One for all threads.
    Uniform(String),
    /// One for each register of a layout.
    Tile(Tile),
}

/// The registers of a tile.
#[derive(Clone, Debug)]
pub struct Tile {
    /// LLVM values: one for each register, or for two of them.
    pub words: Vec<String>,
    /// Whether a word holds registers `2i` and `2i + 1`: 16-bit floats, where they come in pairs.
    pub packed: bool,
}

/// Type of one element in registers.
pub fn llvm_type(elem: DType) -> &'static str {
    match elem {
        DType::Bool => "i1",
        DType::I32 => "i32",
        DType::I64 => "i64",
        DType::F16 => "half",
        DType::BF16 => "bfloat",
        DType::F32 => "float",
    }
}

/// Type of two 16-bit floats.
pub fn pair_type(elem: DType) -> &'static str {
    if elem == DType::BF16 { "<2 x bfloat>" } else { "<2 x half>" }
}

/// Whether an element is a 16-bit float.
pub fn is_half(elem: DType) -> bool {
    matches!(elem, DType::F16 | DType::BF16)
}

/// A literal; a float must be a value of its type.
pub fn literal(imm: Imm, elem: DType) -> String {
    match (imm, elem) {
        (Imm::Bool(value), _) => value.to_string(),
        (Imm::Int(value), _) => value.to_string(),
        (Imm::Float(value), DType::F16) => {
            format!("0xH{:04X}", tilec_vocab::f16_from_f64(value).to_bits())
        }
        (Imm::Float(value), DType::BF16) => {
            format!("0xR{:04X}", tilec_vocab::bf16_from_f64(value).to_bits())
        }
        (Imm::Float(value), _) => float(value as f32),
    }
}

/// An `f32` literal.
pub fn float(value: f32) -> String {
    format!("0x{:016X}", f64::from(value).to_bits())
}

impl Tile {
    /// Whether tiles of this type are packed.
    pub fn packs(elem: DType, registers: usize) -> bool {
        is_half(elem) && registers.is_multiple_of(2)
    }

    /// A tile of one LLVM value for each register.
    pub fn of(text: &mut Text, elem: DType, registers: Vec<String>) -> Tile {
        if !Tile::packs(elem, registers.len()) {
            return Tile { words: registers, packed: false };
        }
        let pairs = registers.chunks(2).map(|pair| join(text, elem, &pair[0], &pair[1])).collect();
        Tile { words: pairs, packed: true }
    }

    /// A tile of `f32` values, rounded to `elem` where that is a 16-bit float.
    pub fn rounded(text: &mut Text, elem: DType, registers: Vec<String>) -> Tile {
        if !is_half(elem) {
            return Tile { words: registers, packed: false };
        }
        if !Tile::packs(elem, registers.len()) {
            let words = registers.iter().map(|x| narrow(text, elem, x)).collect();
            return Tile { words, packed: false };
        }
        let words = registers
            .chunks(2)
            .map(|pair| {
                let (a, b) = (&pair[0], &pair[1]);
                let low =
                    text.def(format_args!("insertelement <2 x float> poison, float {a}, i32 0"));
                let both =
                    text.def(format_args!("insertelement <2 x float> {low}, float {b}, i32 1"));
                text.def(format_args!("fptrunc <2 x float> {both} to {}", pair_type(elem)))
            })
            .collect();
        Tile { words, packed: true }
    }

    /// Number of registers.
    pub fn len(&self) -> usize {
        if self.packed { self.words.len() * 2 } else { self.words.len() }
    }

    /// One register.
    pub fn register(&self, text: &mut Text, elem: DType, register: usize) -> String {
        if !self.packed {
            return self.words[register].clone();
        }
        let (word, half) = (&self.words[register / 2], register % 2);
        text.def(format_args!("extractelement {} {word}, i32 {half}", pair_type(elem)))
    }

    /// LLVM type of a word.
    pub fn word_type(&self, elem: DType) -> &'static str {
        if self.packed { pair_type(elem) } else { llvm_type(elem) }
    }

    /// The tile whose register `i` is register `map[i]` of this one.
    pub fn mapped(&self, text: &mut Text, elem: DType, map: &[u32]) -> Tile {
        if !self.packed {
            let words = map.iter().map(|r| self.words[*r as usize].clone()).collect();
            return Tile::of(text, elem, words);
        }
        let mut words = Vec::with_capacity(map.len());
        if !Tile::packs(elem, map.len()) {
            for register in map {
                words.push(self.register(text, elem, *register as usize));
            }
            return Tile { words, packed: false };
        }
        for pair in map.chunks(2) {
            if pair[0].is_multiple_of(2) && pair[1] == pair[0] + 1 {
                words.push(self.words[pair[0] as usize / 2].clone());
            } else {
                let low = self.register(text, elem, pair[0] as usize);
                let high = self.register(text, elem, pair[1] as usize);
                words.push(join(text, elem, &low, &high));
            }
        }
        Tile { words, packed: true }
    }
}

/// Two 16-bit floats as one word.
pub fn join(text: &mut Text, elem: DType, low: &str, high: &str) -> String {
    let (ty, pair) = (llvm_type(elem), pair_type(elem));
    let one = text.def(format_args!("insertelement {pair} poison, {ty} {low}, i32 0"));
    text.def(format_args!("insertelement {pair} {one}, {ty} {high}, i32 1"))
}

/// A 16-bit float as `f32`; others as they are.
pub fn widen(text: &mut Text, elem: DType, x: &str) -> String {
    if !is_half(elem) {
        return x.to_string();
    }
    text.def(format_args!("fpext {} {x} to float", llvm_type(elem)))
}

/// An `f32` rounded to a 16-bit float; others as they are.
pub fn narrow(text: &mut Text, elem: DType, x: &str) -> String {
    if !is_half(elem) {
        return x.to_string();
    }
    text.def(format_args!("fptrunc float {x} to {}", llvm_type(elem)))
}
