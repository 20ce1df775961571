//! What a launch is given: buffers with contents, a direction and perhaps a view.

use super::view::View;

/// Element type of a buffer, for names in reports and for fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elem {
    /// Bytes.
    U8,
    /// 16-bit integer.
    U16,
    /// IEEE half.
    F16,
    /// bfloat16.
    Bf16,
    /// 32-bit integer.
    U32,
    /// IEEE single.
    F32,
    /// 64-bit integer.
    U64,
    /// IEEE double.
    F64,
}

impl Elem {
    /// Size in bytes.
    pub const fn bytes(self) -> u64 {
        match self {
            Elem::U8 => 1,
            Elem::U16 | Elem::F16 | Elem::Bf16 => 2,
            Elem::U32 | Elem::F32 => 4,
            Elem::U64 | Elem::F64 => 8,
        }
    }
}

/// What the kernel may do with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Read only; a write is an error.
    In,
    /// Written: starts as poison, and every element has to be written.
    Out,
    /// Read and written.
    InOut,
    /// Starts as poison and need not be written.
    Scratch,
}

/// The bytes a sparse buffer shows where nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// All ones: NaN in every float format.
    Poison,
    /// Element `i` is a function of `i` and the seed: a multiple of 1/64 in [-1, 1) for floats, 64 mixed bits cut to
    /// size for integers.
    Hash {
        /// Seed of the hash.
        seed: u64,
    },
}

/// Initial contents.
#[derive(Clone, Debug, PartialEq)]
pub enum Contents {
    /// These bytes.
    Dense(Vec<u8>),
    /// This many bytes of poison.
    Poison(u64),
    /// A virtual buffer whose untouched pages take no memory.
    Sparse {
        /// Size, at most 2^44.
        bytes: u64,
        /// Background.
        fill: Fill,
        /// Initial contents at byte offsets, over the background.
        patches: Vec<(u64, Vec<u8>)>,
    },
}

/// A buffer in global memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffer {
    /// Name in reports.
    pub name: String,
    /// Element type.
    pub elem: Elem,
    /// Allowed use.
    pub direction: Direction,
    /// Initial contents.
    pub contents: Contents,
    /// The elements; all of the buffer if absent.
    pub view: Option<View>,
}

impl Buffer {
    /// An input with the given bytes.
    pub fn input(name: &str, elem: Elem, bytes: Vec<u8>) -> Buffer {
        let contents = Contents::Dense(bytes);
        Buffer { name: name.into(), elem, direction: Direction::In, contents, view: None }
    }

    /// An output of `elements` elements.
    pub fn output(name: &str, elem: Elem, elements: u64) -> Buffer {
        let contents = Contents::Poison(elements * elem.bytes());
        Buffer { name: name.into(), elem, direction: Direction::Out, contents, view: None }
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        match &self.contents {
            Contents::Dense(bytes) => bytes.len() as u64,
            Contents::Poison(bytes) | Contents::Sparse { bytes, .. } => *bytes,
        }
    }
}

impl Fill {
    /// The element with index `i` of type `elem`, as bits.
    pub fn element(self, elem: Elem, i: u64) -> u64 {
        match self {
            Fill::Poison => !0,
            Fill::Hash { seed } => {
                let h = crate::hash::mix(seed ^ i.wrapping_mul(0xd134_2543_de82_ef95));
                let unit = (h >> 57) as i64 - 64;
                let x = unit as f64 / 64.0;
                let narrow = |format| {
                    crate::float::round_to(x, format, crate::float::Round::NearestEven) as u64
                };
                match elem {
                    Elem::F16 => narrow(crate::float::F16),
                    Elem::Bf16 => narrow(crate::float::BF16),
                    Elem::F32 => narrow(crate::float::F32),
                    Elem::F64 => x.to_bits(),
                    Elem::U8 | Elem::U16 | Elem::U32 | Elem::U64 => h,
                }
            }
        }
    }

    /// The 32-bit word at word index `word`.
    pub fn word(self, elem: Elem, word: u64) -> u32 {
        match elem.bytes() {
            8 => (self.element(elem, word / 2) >> (32 * (word & 1))) as u32,
            4 => self.element(elem, word) as u32,
            2 => (0..2)
                .fold(0, |w, i| w | (self.element(elem, word * 2 + i) as u32 & 0xffff) << (16 * i)),
            _ => (0..4)
                .fold(0, |w, i| w | (self.element(elem, word * 4 + i) as u32 & 0xff) << (8 * i)),
        }
    }
}
