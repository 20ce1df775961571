//! Register names and constants to dense indices. Scopes nest as braces do; an inner name hides an outer one.
//!
//! A register gets its index when first used, so a kernel that declares `%r<952>` and uses 600 keeps 600. A constant is
//! a register that nobody writes: the executor then needs no operand kinds.

use std::collections::BTreeMap;

use super::Decoded;
use crate::program::{D, P, R, Reg};
use crate::syntax::PtxError;
use crate::syntax::parse_type_bytes;

/// A declared register: its class and, once used, its index.
#[derive(Clone, Copy)]
pub struct Slot {
    pub reg: Reg,
    /// Declared width; 1 for predicates.
    pub bits: u32,
}

#[derive(Default)]
struct Scope {
    /// `.reg .b32 %r<8>` declares the family `%r` with members `%r0` to `%r7`.
    families: BTreeMap<String, (u32, u32)>,
    names: BTreeMap<String, u32>,
    slots: BTreeMap<String, Slot>,
}

#[derive(Default)]
pub struct Names {
    scopes: Vec<Scope>,
    pub num_r: R,
    pub num_d: D,
    pub num_p: P,
    pub const_r: BTreeMap<u32, R>,
    pub const_d: BTreeMap<u64, D>,
}

impl Names {
    pub fn open(&mut self) {
        self.scopes.push(Scope::default());
    }

    pub fn close(&mut self) {
        self.scopes.pop();
    }

    pub fn declare(&mut self, ty: &str, names: &[(String, Option<u32>)], line: u32) -> Decoded<()> {
        let bits = match ty {
            "pred" => 1,
            _ => {
                8 * parse_type_bytes(ty).ok_or_else(|| {
                    PtxError::new(line, format!("registers of type `.{ty}` are not modelled"))
                })? as u32
            }
        };
        let Some(scope) = self.scopes.last_mut() else {
            return Err(PtxError::new(line, "a register outside a function"));
        };
        for (name, count) in names {
            let old = match count {
                Some(n) => scope.families.insert(name.clone(), (*n, bits)).is_some(),
                None => scope.names.insert(name.clone(), bits).is_some(),
            };
            if old {
                return Err(PtxError::new(
                    line,
                    format!("register `{name}` is declared twice in this scope"),
                ));
            }
        }
        Ok(())
    }

    /// The register called `name`, or `None` if no scope declares it.
    pub fn find(&mut self, name: &str) -> Option<Slot> {
        let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let (family, index) = name.split_at(name.len() - digits);
        for depth in (0..self.scopes.len()).rev() {
            let scope = &self.scopes[depth];
            if let Some(slot) = scope.slots.get(name) {
                return Some(*slot);
            }
            let member = scope.families.get(family).filter(|(count, _)| {
                index.parse::<u32>().is_ok_and(|i| i < *count)
                    && (index == "0" || !index.starts_with('0'))
            });
            if let Some(bits) = scope.names.get(name).copied().or(member.map(|m| m.1)) {
                let reg = match bits {
                    1 => Reg::P(self.temp_p()),
                    64 => Reg::D(self.temp_d()),
                    _ => Reg::R(self.temp_r()),
                };
                let slot = Slot { reg, bits };
                self.scopes[depth].slots.insert(name.to_string(), slot);
                return Some(slot);
            }
        }
        None
    }

    pub fn pred(&mut self, name: &str, line: u32) -> Decoded<P> {
        match self.find(name) {
            Some(Slot { reg: Reg::P(p), .. }) => Ok(p),
            _ => Err(PtxError::new(line, format!("`{name}` is not a predicate register"))),
        }
    }

    pub fn temp_r(&mut self) -> R {
        self.num_r += 1;
        self.num_r - 1
    }

    pub fn temp_d(&mut self) -> D {
        self.num_d += 1;
        self.num_d - 1
    }

    pub fn temp_p(&mut self) -> P {
        self.num_p += 1;
        self.num_p - 1
    }

    pub fn const_r(&mut self, value: u32) -> R {
        let next = self.num_r;
        let found = *self.const_r.entry(value).or_insert(next);
        self.num_r += (found == next) as u32;
        found
    }

    pub fn const_d(&mut self, value: u64) -> D {
        let next = self.num_d;
        let found = *self.const_d.entry(value).or_insert(next);
        self.num_d += (found == next) as u32;
        found
    }
}
