//! Operands: names, numbers, memory, vectors, pairs and lists.

use super::{Parsed, Parser};
use crate::syntax::ast::Operand;
use crate::syntax::lex::Kind;

impl Parser<'_> {
    pub(super) fn operand(&mut self) -> Parsed<Operand> {
        let first = self.simple_operand()?;
        if self.eat('|') {
            let second = self.simple_operand()?;
            return Ok(Operand::Pair(Box::new(first), Box::new(second)));
        }
        Ok(first)
    }

    fn simple_operand(&mut self) -> Parsed<Operand> {
        match self.peek() {
            Some(Kind::Punct('[')) => self.memory(),
            Some(Kind::Punct('{')) => Ok(Operand::Vector(self.operands_until('}')?)),
            Some(Kind::Punct('(')) => Ok(Operand::List(self.operands_until(')')?)),
            Some(Kind::Punct('!')) => {
                self.at += 1;
                Ok(Operand::Not(self.word()?.to_string()))
            }
            Some(Kind::Punct('-')) => {
                self.at += 1;
                match self.number()? {
                    Operand::Int(v) => Ok(Operand::Int(v.wrapping_neg())),
                    _ => self.error("a sign goes with an integer"),
                }
            }
            Some(Kind::Number(_)) => self.number(),
            Some(Kind::Word(w)) => {
                self.at += 1;
                let negative = self.is('-');
                if negative || self.is('+') {
                    self.at += 1;
                    let n = self.integer()?;
                    return Ok(Operand::Sum(
                        w.to_string(),
                        if negative { n.wrapping_neg() } else { n },
                    ));
                }
                Ok(Operand::Name(w.to_string()))
            }
            _ => self.error("expected an operand"),
        }
    }

    /// Vectors and lists hold plain operands: nesting has no meaning in PTX, and refusing it bounds the recursion.
    fn operands_until(&mut self, close: char) -> Parsed<Vec<Operand>> {
        self.at += 1;
        let mut out = vec![];
        while !self.eat(close) {
            if self.is('{') || self.is('(') || self.is('[') {
                return self.error("operand lists do not nest");
            }
            out.push(self.simple_operand()?);
            if !self.is(close) {
                self.expect(',')?;
            }
        }
        Ok(out)
    }

    fn memory(&mut self) -> Parsed<Operand> {
        self.at += 1;
        let operand = if let Some(Kind::Word(w)) = self.peek() {
            self.at += 1;
            let negative = self.is('-');
            let offset = if negative || self.is('+') {
                self.at += 1;
                self.integer()?
            } else {
                0
            };
            let offset = if negative { offset.wrapping_neg() } else { offset };
            Operand::Memory { base: Some(w.to_string()), offset }
        } else {
            Operand::Memory { base: None, offset: self.integer()? }
        };
        self.expect(']')?;
        Ok(operand)
    }

    fn number(&mut self) -> Parsed<Operand> {
        let Kind::Number(n) = self.next()? else {
            self.at -= 1;
            return self.error("expected a number");
        };
        let parsed = if let Some(hex) = n.strip_prefix("0f").or(n.strip_prefix("0F")) {
            (hex.len() == 8).then(|| u32::from_str_radix(hex, 16).ok().map(Operand::F32)).flatten()
        } else if let Some(hex) = n.strip_prefix("0d").or(n.strip_prefix("0D")) {
            (hex.len() == 16).then(|| u64::from_str_radix(hex, 16).ok().map(Operand::F64)).flatten()
        } else if n.contains('.') {
            n.parse::<f64>().ok().map(|v| Operand::F64(v.to_bits()))
        } else {
            integer(n).map(Operand::Int)
        };
        match parsed {
            Some(operand) => Ok(operand),
            None => {
                self.at -= 1;
                self.error(format!("`{n}` is not a number"))
            }
        }
    }
}

/// Decimal, `0x`, `0b` and octal integers, with PTX's optional `U` suffix.
pub(super) fn integer(text: &str) -> Option<u64> {
    let text = text.strip_suffix('U').unwrap_or(text);
    if let Some(hex) = text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        u64::from_str_radix(hex, 16).ok()
    } else if let Some(binary) = text.strip_prefix("0b").or(text.strip_prefix("0B")) {
        u64::from_str_radix(binary, 2).ok()
    } else if text.len() > 1 && text.starts_with('0') {
        u64::from_str_radix(&text[1..], 8).ok()
    } else {
        text.parse().ok()
    }
}
