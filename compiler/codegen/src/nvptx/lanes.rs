//! Lanes of axes as numbers and conditions, and where the operands of an element-wise instruction are.

use std::rc::Rc;

use tilec_gpu::gir::{Lanes, Val};
use tilec_ir::{Axis, CompareOp};
use tilec_layout::{Layout, Place};

use super::elementwise::signed;
use super::emit::{Emitter, Result};
use super::thread::register_sums;

/// For pairs of layouts, the register of the second that stands beside each of the first.
#[derive(Default)]
pub struct Broadcasts {
    known: Vec<Broadcast>,
}

/// Two layouts, and for each register of the second that of the first.
type Broadcast = (Layout<Axis>, Layout<Axis>, Rc<[u32]>);

/// How much one lane of an axis counts.
pub fn coefficient(lanes: &Lanes, axis: Axis) -> i64 {
    lanes.iter().filter(|(a, _)| *a == axis).map(|(_, coefficient)| coefficient).sum()
}

/// Sums of this size and above are left to 64-bit arithmetic.
const LARGE: i64 = 1 << 30;

impl Emitter<'_> {
    /// For each register of the result, the register of a tile over some of its axes.
    pub fn beside(&mut self, operand: Val, result: Val) -> Result<Rc<[u32]>> {
        let (from, to) = (self.layout(operand)?, self.layout(result)?);
        self.beside_layouts(from, to).ok_or_else(|| {
            self.unsupported(format!(
                "{operand} does not lie beside {result}:\n{}against\n{}",
                named(from),
                named(to)
            ))
        })
    }

    /// As [`Emitter::beside`]; `None` where the threads do not agree.
    pub fn beside_layouts(&mut self, from: &Layout<Axis>, to: &Layout<Axis>) -> Option<Rc<[u32]>> {
        let known = self.broadcasts.known.iter().find(|(f, t, _)| f == from && t == to);
        if let Some((_, _, map)) = known {
            return Some(map.clone());
        }
        let axes = from.axes();
        let mut beside = to.clone();
        let mut map: Vec<u32> = (0..to.count(Place::Register)).collect();
        for axis in to.axes().into_iter().filter(|axis| !axes.contains(axis)) {
            let step = beside.broadcast_registers(axis);
            for register in &mut map {
                *register = step[*register as usize];
            }
            beside = beside.without(axis);
        }
        if beside != *from {
            let names = from.register_map(&beside)?;
            for register in &mut map {
                *register = names[*register as usize];
            }
        }
        let map: Rc<[u32]> = map.into();
        self.broadcasts.known.push((from.clone(), to.clone(), map.clone()));
        Some(map)
    }

    pub fn lanes(&mut self, result: Val, lanes: &Lanes) -> Result<()> {
        let layout = self.layout(result)?;
        let (thread, registers) = self.wide_sum(layout, lanes);
        let out = registers
            .iter()
            .map(|add| match (thread.as_str(), add) {
                (_, 0) => thread.clone(),
                ("0", add) => add.to_string(),
                _ => self.text.def(format_args!("add i64 {thread}, {add}")),
            })
            .collect();
        self.set_registers(result, out);
        Ok(())
    }

    /// A sum of lanes: what the thread adds, an `i64` of the entry block, and each register.
    pub fn wide_sum(&mut self, layout: &Layout<Axis>, lanes: &Lanes) -> (String, Vec<i64>) {
        let sum = self.sum(layout, |axis| {
            let coefficient = coefficient(lanes, axis);
            if coefficient.abs() < LARGE / (1 << 12) { coefficient } else { 0 }
        });
        let mut thread = match sum.thread.as_str() {
            "0" => "0".to_string(),
            name => self.text.early(format_args!("sext i32 {name} to i64")),
        };
        let mut registers = sum.registers;
        for &(axis, coefficient) in lanes {
            if coefficient.abs() < LARGE / (1 << 12) {
                continue;
            }
            let lane = self.sum(layout, |other| i64::from(other == axis));
            let wide = self.text.early(format_args!("sext i32 {} to i64", lane.thread));
            let term = self.text.early(format_args!("mul i64 {wide}, {coefficient}"));
            thread = self.text.early(format_args!("add i64 {thread}, {term}"));
            for (sum, own) in registers.iter_mut().zip(lane.registers) {
                *sum = sum.wrapping_add(own.wrapping_mul(coefficient));
            }
        }
        (thread, registers)
    }

    /// `thread + register op than` as `register op than - thread`: one 32-bit comparison with a constant for each.
    pub fn compare_lanes(
        &mut self,
        result: Val,
        op: CompareOp,
        lanes: &Lanes,
        than: Val,
    ) -> Result<()> {
        let layout = self.layout(result)?;
        let than = self.uniform(than)?;
        let registers = register_sums(layout, |axis| coefficient(lanes, axis));
        let (thread, _) = self.wide_sum(layout, lanes);
        let rest = match thread.as_str() {
            "0" => than,
            _ => {
                let args = [("i64", than.as_str()), ("i64", thread.as_str())];
                self.text.call("i64", "llvm.ssub.sat.i64", &args)
            }
        };
        let small = registers.iter().all(|add| add.abs() < LARGE);
        let (rest, ty) = if small { (self.clamped(&rest), "i32") } else { (rest, "i64") };
        let swapped = match op {
            CompareOp::Eq | CompareOp::Ne => op,
            CompareOp::Lt => CompareOp::Gt,
            CompareOp::Le => CompareOp::Ge,
            CompareOp::Gt => CompareOp::Lt,
            CompareOp::Ge => CompareOp::Le,
        };
        let name = signed(swapped);
        let out = registers
            .iter()
            .map(|add| self.text.def(format_args!("{name} {ty} {rest}, {add}")))
            .collect();
        self.set_registers(result, out);
        Ok(())
    }

    /// Both conditions are bounds of the axis's lane: one comparison with the lesser, which is worked out once for each
    /// register of the other axes.
    pub fn at_most_within(
        &mut self,
        result: Val,
        lanes: &Lanes,
        most: Val,
        (axis, count): (Axis, Val),
    ) -> Result<()> {
        let layout = self.layout(result)?;
        let (most, count) = (self.uniform(most)?, self.uniform(count)?);
        let own: Lanes = vec![(axis, 1)];
        let sums = register_sums(layout, |axis| coefficient(lanes, axis));
        let lane = register_sums(layout, |other| i64::from(other == axis));
        let rest = self.near(&most, layout, lanes);
        let last = self.text.def(format_args!("sub i64 {count}, 1"));
        let last = self.near(&last, layout, &own);
        let mut bounds: Vec<(i64, String)> = Vec::new();
        let mut out = Vec::new();
        for (sum, lane) in sums.iter().zip(&lane) {
            let others = sum - lane;
            let known = bounds.iter().find(|(known, _)| *known == others);
            let bound = match known {
                Some((_, bound)) => bound.clone(),
                None => {
                    let bound = self.text.def(format_args!("sub i32 {rest}, {others}"));
                    let args = [("i32", bound.as_str()), ("i32", last.as_str())];
                    let bound = self.text.call("i32", "llvm.smin.i32", &args);
                    bounds.push((others, bound.clone()));
                    bound
                }
            };
            out.push(self.text.def(format_args!("icmp sge i32 {bound}, {lane}")));
        }
        self.set_registers(result, out);
        Ok(())
    }

    /// `x` less what the thread adds to a sum of lanes, cut to a range that leaves room for small sums.
    fn near(&mut self, x: &str, layout: &Layout<Axis>, lanes: &Lanes) -> String {
        let (thread, _) = self.wide_sum(layout, lanes);
        let args = [("i64", x), ("i64", thread.as_str())];
        let rest = self.text.call("i64", "llvm.ssub.sat.i64", &args);
        let (low, high) = ((-LARGE).to_string(), LARGE.to_string());
        let rest = self.text.call("i64", "llvm.smax.i64", &[("i64", &rest), ("i64", &low)]);
        let rest = self.text.call("i64", "llvm.smin.i64", &[("i64", &rest), ("i64", &high)]);
        self.text.def(format_args!("trunc i64 {rest} to i32"))
    }

    /// An `i64` as the nearest `i32`.
    pub fn clamped(&mut self, x: &str) -> String {
        let low = i64::from(i32::MIN).to_string();
        let high = i64::from(i32::MAX).to_string();
        let x = self.text.call("i64", "llvm.smax.i64", &[("i64", x), ("i64", &low)]);
        let x = self.text.call("i64", "llvm.smin.i64", &[("i64", &x), ("i64", &high)]);
        self.text.def(format_args!("trunc i64 {x} to i32"))
    }
}

/// A layout with its axes by number.
fn named(layout: &Layout<Axis>) -> String {
    layout.to_string()
}
