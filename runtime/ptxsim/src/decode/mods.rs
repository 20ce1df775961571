//! The table of opcodes, and the suffixes of an opcode as a list that a decoder consumes. What is left over at the end
//! was not understood, and is an error: a suffix is never ignored.

use super::{Decoded, Decoder, arith, control, convert, half, memory, sync};
use crate::float::Round;
use crate::program::{Op, Scalar};
use crate::syntax::PtxError;
use crate::syntax::ast::{Operand, Space};

type DecodeFn =
    for<'d, 't, 'm> fn(&'d mut Decoder<'t>, &'m mut Mods<'_>, &'m [Operand]) -> Decoded<Op>;

/// Every opcode that is modelled. Each has a file in `tests/suite/ops` that runs it, which a test demands.
pub const OPCODES: &[(&str, DecodeFn)] = &[
    ("abs", arith::unary),
    ("activemask", sync::activemask),
    ("add", arith::add_sub),
    ("and", arith::bitwise),
    ("atom", memory::atom),
    ("bar", sync::bar),
    ("barrier", sync::bar),
    ("bfe", arith::bfe),
    ("bfi", arith::bfi),
    ("bra", control::bra),
    ("brev", arith::unary),
    ("brx", control::brx),
    ("call", control::call),
    ("clz", arith::count_bits),
    ("copysign", arith::copysign),
    ("cos", arith::approx),
    ("cp", memory::cp_async),
    ("cvt", convert::cvt),
    ("cvta", memory::cvta),
    ("div", arith::div),
    ("ex2", arith::approx),
    ("exit", control::exit),
    ("fence", memory::fence),
    ("fma", arith::fma),
    ("ld", memory::ld),
    ("ldmatrix", sync::ldmatrix),
    ("lg2", arith::approx),
    ("lop3", arith::lop3),
    ("mad", arith::mad),
    ("match", sync::match_),
    ("max", arith::min_max),
    ("membar", memory::fence),
    ("min", arith::min_max),
    ("mma", sync::mma),
    ("mov", convert::mov),
    ("movmatrix", sync::movmatrix),
    ("mul", arith::mul),
    ("neg", arith::unary),
    ("not", arith::bitwise),
    ("or", arith::bitwise),
    ("popc", arith::count_bits),
    ("prefetch", memory::prefetch),
    ("prefetchu", memory::prefetch),
    ("prmt", arith::prmt),
    ("rcp", arith::rcp_sqrt),
    ("red", memory::atom),
    ("redux", sync::redux),
    ("rem", arith::div),
    ("ret", control::ret),
    ("rsqrt", arith::approx),
    ("sad", arith::sad),
    ("selp", convert::selp),
    ("setp", half::setp),
    ("shf", arith::shf),
    ("shfl", sync::shfl),
    ("shl", arith::shift),
    ("shr", arith::shift),
    ("sin", arith::approx),
    ("slct", convert::slct),
    ("sqrt", arith::rcp_sqrt),
    ("st", memory::st),
    ("sub", arith::add_sub),
    ("tanh", arith::approx),
    ("testp", half::testp),
    ("trap", control::trap),
    ("vote", sync::vote),
    ("xor", arith::bitwise),
];

pub fn lookup(name: &str) -> Option<DecodeFn> {
    OPCODES.binary_search_by_key(&name, |row| row.0).ok().map(|i| OPCODES[i].1)
}

/// An opcode split at its dots.
pub struct Mods<'a> {
    pub name: &'a str,
    whole: &'a str,
    parts: Vec<&'a str>,
    line: u32,
}

impl<'a> Mods<'a> {
    pub fn new(opcode: &'a str, line: u32) -> Self {
        let mut parts = opcode.split('.');
        let name = parts.next().unwrap_or("");
        Mods { name, whole: opcode, parts: parts.collect(), line }
    }

    pub fn unknown<T>(&self) -> Decoded<T> {
        Err(PtxError::new(self.line, format!("unknown opcode `{}`", self.whole)))
    }

    /// Removes `part` if present.
    pub fn take(&mut self, part: &str) -> bool {
        let found = self.parts.iter().position(|p| *p == part);
        if let Some(i) = found {
            self.parts.remove(i);
        }
        found.is_some()
    }

    /// Whether any of `parts` is there.
    pub fn has(&self, parts: &[&str]) -> bool {
        self.parts.iter().any(|p| parts.contains(p))
    }

    /// Removes any of `parts`.
    pub fn drop_all(&mut self, parts: &[&str]) {
        self.parts.retain(|p| !parts.contains(p));
    }

    /// Removes the first suffix found in `table` and returns its meaning.
    pub fn choose<T: Copy>(&mut self, table: &[(&str, T)]) -> Option<T> {
        let (at, value) =
            self.parts.iter().enumerate().find_map(|(i, p)| {
                table.iter().find(|(name, _)| name == p).map(|(_, v)| (i, *v))
            })?;
        self.parts.remove(at);
        Some(value)
    }

    /// Removes and returns the last suffix, usually the type.
    pub fn last(&mut self) -> Decoded<&'a str> {
        match self.parts.pop() {
            Some(part) => Ok(part),
            None => self.unknown(),
        }
    }

    pub fn first(&mut self) -> Decoded<&'a str> {
        if self.parts.is_empty() { self.unknown() } else { Ok(self.parts.remove(0)) }
    }

    /// `.v2` and `.v4`.
    pub fn vector(&mut self) -> usize {
        self.choose(&[("v2", 2), ("v4", 4)]).unwrap_or(1)
    }

    pub fn space(&mut self) -> Space {
        if self.take("shared::cta") {
            return Space::Shared;
        }
        self.choose(&[
            ("global", Space::Global),
            ("shared", Space::Shared),
            ("local", Space::Local),
            ("const", Space::Const),
            ("param", Space::Param),
        ])
        .unwrap_or(Space::Generic)
    }

    pub fn round(&mut self) -> Option<Round> {
        self.choose(&[
            ("rn", Round::NearestEven),
            ("rna", Round::NearestAway),
            ("rz", Round::Zero),
            ("rm", Round::Down),
            ("rp", Round::Up),
        ])
    }

    pub fn finish(&self) -> Decoded<()> {
        if self.parts.is_empty() { Ok(()) } else { self.unknown() }
    }
}

/// A scalar type by its name; untyped bits count as unsigned.
pub fn scalar(ty: &str) -> Option<Scalar> {
    Some(match ty {
        "b8" | "u8" => Scalar::U8,
        "b16" | "u16" => Scalar::U16,
        "b32" | "u32" => Scalar::U32,
        "b64" | "u64" => Scalar::U64,
        "s8" => Scalar::S8,
        "s16" => Scalar::S16,
        "s32" => Scalar::S32,
        "s64" => Scalar::S64,
        "f16" => Scalar::F16,
        "bf16" => Scalar::Bf16,
        "f32" => Scalar::F32,
        "f64" => Scalar::F64,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_for_binary_search() {
        assert!(OPCODES.windows(2).all(|w| w[0].0 < w[1].0));
    }
}
