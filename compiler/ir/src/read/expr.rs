//! Host expressions. Every nested operation stands in parentheses, so there is no precedence.

use tilec_vocab::{HostExpr, HostOp};

use super::lex::Word;
use super::{Read, Reader};
use crate::limits;

const OPERATORS: &[HostOp] = &[
    HostOp::Or,
    HostOp::And,
    HostOp::Eq,
    HostOp::Ne,
    HostOp::Lt,
    HostOp::Le,
    HostOp::Gt,
    HostOp::Ge,
    HostOp::Add,
    HostOp::Sub,
    HostOp::Mul,
    HostOp::Div,
    HostOp::Rem,
];

const CALLS: &[HostOp] = &[HostOp::Min, HostOp::Max, HostOp::Cdiv];

impl<'s> Reader<'s> {
    pub(super) fn host_expr(&mut self) -> Read<HostExpr> {
        self.operation(1)
    }

    fn operation(&mut self, depth: usize) -> Read<HostExpr> {
        let left = self.term(depth)?;
        let (Word::Mark(symbol) | Word::Name(symbol)) = self.word else { return Ok(left) };
        let Some(&op) = OPERATORS.iter().find(|op| op.symbol() == symbol) else {
            return Ok(left);
        };
        self.advance()?;
        let right = self.term(depth)?;
        Ok(HostExpr::binary(op, left, right))
    }

    fn term(&mut self, depth: usize) -> Read<HostExpr> {
        if depth > limits::DEPTH {
            return self.error(format!("an expression nested more than {} deep", limits::DEPTH));
        }
        match self.word {
            Word::Number(_) | Word::Mark("-") => Ok(HostExpr::Int(self.int("an integer")?)),
            Word::Mark("(") => {
                self.advance()?;
                let inner = self.operation(depth + 1)?;
                self.expect(")")?;
                Ok(inner)
            }
            Word::Name("not") => {
                self.advance()?;
                Ok(HostExpr::Not(Box::new(self.term(depth + 1)?)))
            }
            Word::Name(_) => {
                let name = self.name("a name")?;
                if !self.is_mark("(") {
                    return Ok(HostExpr::Name(name.to_owned()));
                }
                let Some(&op) = CALLS.iter().find(|op| op.symbol() == name) else {
                    return self.error(format!("there is no function `{name}` here"));
                };
                self.advance()?;
                let left = self.operation(depth + 1)?;
                self.expect(",")?;
                let right = self.operation(depth + 1)?;
                self.expect(")")?;
                Ok(HostExpr::binary(op, left, right))
            }
            _ => self.expected("an expression"),
        }
    }
}
