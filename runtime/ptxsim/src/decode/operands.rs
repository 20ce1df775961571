//! Operands to register indices, with the class each position demands.

use super::{Decoded, Decoder, ParamPlace};
use crate::memory::address::LOCAL_BASE;
use crate::program::*;
use crate::syntax::ast::{Operand, Space};

impl Decoder<'_> {
    /// Demands exactly `N` operands.
    pub(super) fn exactly<'o, const N: usize>(
        &self,
        operands: &'o [Operand],
    ) -> Decoded<&'o [Operand; N]> {
        operands.try_into().or_else(|_| {
            self.error(format!("this opcode has {N} operands, here are {}", operands.len()))
        })
    }

    /// A source of 32 bits or fewer.
    pub(super) fn r(&mut self, operand: &Operand) -> Decoded<R> {
        match operand {
            Operand::Int(v) => Ok(self.names.const_r(*v as u32)),
            Operand::F32(v) => Ok(self.names.const_r(*v)),
            Operand::Name(name) => match self.names.find(name).map(|s| s.reg) {
                Some(Reg::R(r)) => Ok(r),
                Some(_) => self.error(format!("`{name}` should be a register of 32 bits or fewer")),
                None => match self.symbols.get(name) {
                    Some(address) => Ok(self.names.const_r(*address as u32)),
                    None if name == "WARP_SZ" => Ok(self.names.const_r(32)),
                    None => self.error(format!("`{name}` is not declared")),
                },
            },
            _ => self.error("expected a register or a constant of 32 bits or fewer"),
        }
    }

    /// A 16-bit source: as [`Self::r`], with constants cut to 16 bits.
    pub(super) fn h(&mut self, operand: &Operand) -> Decoded<R> {
        match operand {
            Operand::Int(v) => Ok(self.names.const_r(*v as u32 & 0xffff)),
            _ => self.r(operand),
        }
    }

    /// A 64-bit source.
    pub(super) fn d(&mut self, operand: &Operand) -> Decoded<D> {
        match operand {
            Operand::Int(v) | Operand::F64(v) => Ok(self.names.const_d(*v)),
            Operand::Sum(name, offset) => match self.symbols.get(name) {
                Some(address) => Ok(self.names.const_d(address.wrapping_add_signed(*offset))),
                None => self.error(format!("`{name}` is not declared")),
            },
            Operand::Name(name) => match self.names.find(name).map(|s| s.reg) {
                Some(Reg::D(d)) => Ok(d),
                Some(_) => self.error(format!("`{name}` should be a 64-bit register")),
                None => match self.symbols.get(name) {
                    Some(address) => Ok(self.names.const_d(*address)),
                    None => self.error(format!("`{name}` is not declared")),
                },
            },
            _ => self.error("expected a 64-bit register or constant"),
        }
    }

    /// A predicate source; a negated one goes through a temporary.
    pub(super) fn p(&mut self, operand: &Operand) -> Decoded<P> {
        match operand {
            Operand::Name(name) => self.names.pred(name, self.line),
            Operand::Not(name) => {
                let source = self.names.pred(name, self.line)?;
                let copy = self.names.temp_p();
                self.prologue.push(Op::Alu(Alu::PredNot(copy, source)));
                Ok(copy)
            }
            Operand::Int(v) => {
                let copy = self.names.temp_p();
                self.prologue.push(Op::Alu(Alu::PredConst(copy, *v != 0)));
                Ok(copy)
            }
            _ => self.error("expected a predicate"),
        }
    }

    /// A destination of 32 bits or fewer.
    pub(super) fn dst_r(&mut self, operand: &Operand) -> Decoded<R> {
        match self.dst(operand)? {
            Reg::R(r) => Ok(r),
            Reg::Sink => Ok(self.names.temp_r()),
            Reg::D(_) | Reg::P(_) => {
                self.error("the destination should be a register of 32 bits or fewer")
            }
        }
    }

    /// A 64-bit destination.
    pub(super) fn dst_d(&mut self, operand: &Operand) -> Decoded<D> {
        match self.dst(operand)? {
            Reg::D(d) => Ok(d),
            Reg::Sink => Ok(self.names.temp_d()),
            Reg::R(_) | Reg::P(_) => self.error("the destination should be a 64-bit register"),
        }
    }

    /// A predicate destination.
    pub(super) fn dst_p(&mut self, operand: &Operand) -> Decoded<P> {
        match self.dst(operand)? {
            Reg::P(p) => Ok(p),
            Reg::Sink => Ok(self.names.temp_p()),
            Reg::R(_) | Reg::D(_) => self.error("the destination should be a predicate"),
        }
    }

    /// Any destination.
    pub(super) fn dst(&mut self, operand: &Operand) -> Decoded<Reg> {
        Ok(self.dst_bits(operand)?.0)
    }

    /// Any destination, with its declared width.
    pub(super) fn dst_bits(&mut self, operand: &Operand) -> Decoded<(Reg, u32)> {
        match operand {
            Operand::Name(name) if name == "_" => Ok((Reg::Sink, 64)),
            Operand::Name(name) => match self.names.find(name) {
                Some(slot) => Ok((slot.reg, slot.bits)),
                None => self.error(format!("register `{name}` is not declared")),
            },
            _ => self.error("the destination should be a register"),
        }
    }

    /// A source whose class follows from its width in bits.
    pub(super) fn source(&mut self, operand: &Operand, bits: u32) -> Decoded<Reg> {
        match bits {
            64 => Ok(Reg::D(self.d(operand)?)),
            16 => Ok(Reg::R(self.h(operand)?)),
            _ => Ok(Reg::R(self.r(operand)?)),
        }
    }

    /// The elements of a vector operand, or the operand itself.
    pub(super) fn elements<'o>(
        &self,
        operand: &'o Operand,
        count: usize,
    ) -> Decoded<&'o [Operand]> {
        let elements = match operand {
            Operand::Vector(v) => v.as_slice(),
            other => std::slice::from_ref(other),
        };
        if elements.len() != count {
            return self.error(format!(
                "this operand has {} elements, the opcode says {count}",
                elements.len()
            ));
        }
        Ok(elements)
    }

    /// `[base+offset]` in `space`.
    pub(super) fn address(&mut self, operand: &Operand, space: Space) -> Decoded<Address> {
        let Operand::Memory { base, offset } = operand else {
            return self.error("expected an address in brackets");
        };
        let Some(name) = base else {
            let base = self.names.const_d(0);
            return Ok(Address { space, base, offset: *offset });
        };
        if let Some(place) = self.param_place(name) {
            return match place {
                ParamPlace::Frame(at, _) => {
                    let base = self.names.const_d(LOCAL_BASE + at as u64);
                    Ok(Address { space: Space::Local, base, offset: *offset })
                }
                ParamPlace::Entry(_) => self.error("a kernel parameter has no address here"),
            };
        }
        let base = match self.names.find(name).map(|s| s.reg) {
            Some(Reg::D(d)) => d,
            Some(Reg::R(r)) => {
                let wide = self.names.temp_d();
                self.prologue.push(Op::Alu(Alu::Extend { signed: false, d: wide, a: r }));
                wide
            }
            Some(_) => return self.error(format!("`{name}` is not an address")),
            None => match self.symbols.get(name) {
                Some(address) => self.names.const_d(*address),
                None => return self.error(format!("`{name}` is not declared")),
            },
        };
        Ok(Address { space, base, offset: *offset })
    }

    pub(super) fn param_place(&self, name: &str) -> Option<ParamPlace> {
        self.params.iter().rev().find_map(|scope| scope.get(name).copied())
    }
}
