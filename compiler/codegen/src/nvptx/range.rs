//! What is known of uniform integers, and their arithmetic in 32 bits where that is enough.
//!
//! The language's integers have 64 bits, a GPU's registers 32. Dimensions are at most [`MAX_GPU_EXTENT`], so positions of
//! programs, indices and bounds nearly always fit; each takes half the registers and a third of the instructions.

use std::collections::BTreeMap;

use tilec_gpu::gir::Val;
use tilec_ir::{BinaryOp, Kernel};
use tilec_vocab::{HostExpr, HostOp, MAX_GPU_EXTENT};

use super::emit::Emitter;

/// Least and greatest value.
pub type Range = (i64, i64);

/// Any dimension.
pub const EXTENT: Range = (0, MAX_GPU_EXTENT);

/// What is known of some values.
#[derive(Default)]
pub struct Ranges(BTreeMap<Val, Range>);

/// Whether a number is an `i32` with so much to spare on both sides.
fn is_short((low, high): Range, spare: i64) -> bool {
    low >= i64::from(i32::MIN) + spare && high <= i64::from(i32::MAX) - spare
}

/// Results of `a op b`.
fn combined(op: BinaryOp, a: Range, b: Range) -> Option<Range> {
    let corners = |f: fn(i64, i64) -> Option<i64>| {
        let all = [f(a.0, b.0), f(a.0, b.1), f(a.1, b.0), f(a.1, b.1)];
        let all: Vec<i64> = all.into_iter().collect::<Option<_>>()?;
        Some((*all.iter().min()?, *all.iter().max()?))
    };
    match op {
        BinaryOp::Add => corners(i64::checked_add),
        BinaryOp::Sub => corners(i64::checked_sub),
        BinaryOp::Mul => corners(i64::checked_mul),
        BinaryOp::Min => Some((a.0.min(b.0), a.1.min(b.1))),
        BinaryOp::Max => Some((a.0.max(b.0), a.1.max(b.1))),
        // By a number above 0; by 0 the quotient is 0 and the rest all.
        BinaryOp::Rem if b.0 > 0 => Some((0, if a.0 >= 0 { a.1.min(b.1 - 1) } else { b.1 - 1 })),
        BinaryOp::Div if b.0 > 0 => Some((a.0.min(0).div_euclid(b.0), a.1.max(0) / b.0)),
        BinaryOp::Div if a.0 >= 0 && b.0 >= 0 => Some((0, a.1)),
        BinaryOp::Rem if a.0 >= 0 && b.0 >= 0 => Some((0, a.1)),
        _ => None,
    }
}

/// Values of an expression over dimensions, as far as grids need.
fn of_host(expr: &HostExpr, kernel: &Kernel) -> Option<Range> {
    match expr {
        HostExpr::Int(value) => Some((*value, *value)),
        HostExpr::Name(name) => kernel.dims.values().any(|dim| dim.name == *name).then_some(EXTENT),
        HostExpr::Binary(op, a, b) => {
            let (a, b) = (of_host(a, kernel)?, of_host(b, kernel)?);
            match op {
                HostOp::Cdiv if a.0 >= 0 && b.0 > 0 => {
                    Some((a.0 / b.1, a.1.checked_add(b.0 - 1)? / b.0))
                }
                HostOp::Mul => combined(BinaryOp::Mul, a, b),
                _ => None,
            }
        }
        HostExpr::Not(_) => None,
    }
}

impl Ranges {
    /// Says what a value can be.
    pub fn know(&mut self, value: Val, range: Range) {
        self.0.insert(value, range);
    }

    /// What is known of a value.
    pub fn of(&self, value: Val) -> Option<Range> {
        self.0.get(&value).copied()
    }

    /// Whether a value is from 0 to 2^31 - 1.
    pub fn is_natural(&self, value: Val) -> bool {
        self.of(value).is_some_and(|range| range.0 >= 0 && is_short(range, 0))
    }

    /// Whether a value is an `i32` and stays one when so much is added or taken away.
    pub fn is_short(&self, value: Val, spare: i64) -> bool {
        self.of(value).is_some_and(|range| is_short(range, spare))
    }

    /// The positions along a grid axis.
    pub fn position(kernel: &Kernel, axis: u32) -> Range {
        let programs = kernel.grid.get(axis as usize).map(|axis| &axis.programs);
        let most = programs.and_then(|programs| of_host(programs, kernel)).map(|range| range.1);
        // No launch has more programs than an `i32` counts.
        let most = most.unwrap_or(i64::MAX).min(i64::from(i32::MAX));
        (0, (most - 1).max(0))
    }
}

impl Emitter<'_> {
    /// Knows what an integer operation gives, and writes it in 32 bits if operands and result are `i32`s.
    pub fn short_binary(&mut self, result: Val, op: BinaryOp, a: Val, b: Val) -> Option<String> {
        let any = |op: BinaryOp| (op == BinaryOp::Rem).then_some((i64::MIN, i64::MAX));
        let (x, y) = (self.ranges.of(a).or_else(|| any(op))?, self.ranges.of(b)?);
        let made = combined(op, x, y)?;
        self.ranges.know(result, made);
        if self.program.layout(result).is_some() {
            return None;
        }
        // Divisions have a way of their own.
        let divides = matches!(op, BinaryOp::Div | BinaryOp::Rem);
        if divides || ![x, y, made].into_iter().all(|range| is_short(range, 0)) {
            return None;
        }
        let (x, y) = (self.uniform(a).ok()?, self.uniform(b).ok()?);
        let (x, y) = (self.short(&x), self.short(&y));
        let args = [("i32", x.as_str()), ("i32", y.as_str())];
        let short = match op {
            BinaryOp::Add => self.text.def(format_args!("add nsw i32 {x}, {y}")),
            BinaryOp::Sub => self.text.def(format_args!("sub nsw i32 {x}, {y}")),
            BinaryOp::Mul => self.text.def(format_args!("mul nsw i32 {x}, {y}")),
            BinaryOp::Min => self.text.call("i32", "llvm.smin.i32", &args),
            BinaryOp::Max => self.text.call("i32", "llvm.smax.i32", &args),
            _ => return None,
        };
        Some(self.long(&short, made))
    }

    /// As [`Emitter::short_binary`], for a choice.
    pub fn short_select(&mut self, result: Val, condition: Val, a: Val, b: Val) -> Option<String> {
        let (x, y) = (self.ranges.of(a)?, self.ranges.of(b)?);
        if self.program.layout(result).is_some() {
            return None;
        }
        let made = (x.0.min(y.0), x.1.max(y.1));
        self.ranges.know(result, made);
        if !is_short(made, 0) {
            return None;
        }
        let condition = self.uniform(condition).ok()?;
        let (x, y) = (self.uniform(a).ok()?, self.uniform(b).ok()?);
        let (x, y) = (self.short(&x), self.short(&y));
        let short = self.text.def(format_args!("select i1 {condition}, i32 {x}, i32 {y}"));
        Some(self.long(&short, made))
    }

    /// An `i64` known to be an `i32`, as such.
    pub fn short(&mut self, number: &str) -> String {
        match number.parse::<i64>() {
            Ok(_) => number.to_string(),
            Err(_) => self.text.def(format_args!("trunc i64 {number} to i32")),
        }
    }

    /// An `i32` in this range as an `i64`.
    pub fn long(&mut self, number: &str, range: Range) -> String {
        let extension = if range.0 >= 0 { "zext nneg" } else { "sext" };
        self.text.def(format_args!("{extension} i32 {number} to i64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_in_its_range() {
        let ends = [-7, -3, -1, 0, 1, 2, 5, 64];
        let ranges: Vec<Range> = ends
            .iter()
            .flat_map(|&low| ends.iter().filter(move |&&h| h >= low).map(move |&h| (low, h)))
            .collect();
        type Operation = fn(i64, i64) -> i64;
        let ops: [(BinaryOp, Operation); 7] = [
            (BinaryOp::Add, |a, b| a + b),
            (BinaryOp::Sub, |a, b| a - b),
            (BinaryOp::Mul, |a, b| a * b),
            (BinaryOp::Min, i64::min),
            (BinaryOp::Max, i64::max),
            (BinaryOp::Div, |a, b| if b == 0 { 0 } else { (a as f64 / b as f64).floor() as i64 }),
            (
                BinaryOp::Rem,
                |a, b| if b == 0 { a } else { a - b * (a as f64 / b as f64).floor() as i64 },
            ),
        ];
        for (op, f) in ops {
            for (&x, &y) in ranges.iter().flat_map(|x| ranges.iter().map(move |y| (x, y))) {
                let Some(made) = combined(op, x, y) else { continue };
                for a in (x.0..=x.1).filter(|a| a - x.0 < 9 || x.1 - a < 9) {
                    for b in (y.0..=y.1).filter(|b| b - y.0 < 9 || y.1 - b < 9) {
                        let result = f(a, b);
                        assert!(made.0 <= result && result <= made.1, "{op:?} {a} {b}: {made:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_sum_that_may_overflow_is_unknown() {
        let wide = (i64::MIN, i64::MAX);
        assert_eq!(combined(BinaryOp::Add, wide, (1, 1)), None);
        assert_eq!(combined(BinaryOp::Sub, (0, 0), wide), None);
        assert!(is_short(EXTENT, 1 << 20) && !is_short((0, 1 << 31), 0));
    }
}
