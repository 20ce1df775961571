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
        let (mut least, mut most) = (0i64, 0i64);
        for &(axis, coefficient) in lanes {
            let reach = coefficient.saturating_mul(i64::from(layout.extent(axis)) - 1);
            (least, most) = (least.saturating_add(reach.min(0)), most.saturating_add(reach.max(0)));
        }
        self.ranges.know(result, (least, most));
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
        let registers = register_sums(layout, |axis| coefficient(lanes, axis));
        let small = registers.iter().all(|add| add.abs() < LARGE);
        let (rest, ty) = match small {
            true => (self.near(than, 0, layout, lanes)?, "i32"),
            false => {
                let than = self.uniform(than)?;
                (self.less_thread(&than, layout, lanes), "i64")
            }
        };
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
        let own: Lanes = vec![(axis, 1)];
        let sums = register_sums(layout, |axis| coefficient(lanes, axis));
        let lane = register_sums(layout, |other| i64::from(other == axis));
        let rest = self.near(most, 0, layout, lanes)?;
        let last = self.near(count, 1, layout, &own)?;
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

    /// `x - less` without what the thread adds to a sum of lanes, cut to a range that leaves room for small sums.
    fn near(&mut self, x: Val, less: i64, layout: &Layout<Axis>, lanes: &Lanes) -> Result<String> {
        let axes = layout.axes();
        let sums = axes.iter().map(|&axis| {
            coefficient(lanes, axis).saturating_abs().saturating_mul(layout.extent(axis).into())
        });
        let most = sums.fold(less, i64::saturating_add);
        let name = self.uniform(x)?;
        let lower = |emitter: &mut Self, ty: &str, x: String| match less {
            0 => x,
            _ => emitter.text.def(format_args!("sub {ty} {x}, {less}")),
        };
        let near = if most >= LARGE / 4 {
            let x = lower(self, "i64", name);
            let rest = self.less_thread(&x, layout, lanes);
            return Ok(self.cut(&rest, -LARGE, LARGE));
        } else if self.ranges.is_short(x, 2 * most) {
            let x = self.short(&name);
            lower(self, "i32", x)
        } else {
            // Cut first: what the thread adds changes nothing of what lies so far out.
            let x = lower(self, "i64", name);
            self.cut(&x, -LARGE, LARGE)
        };
        Ok(match self.sum(layout, |axis| coefficient(lanes, axis)).thread.as_str() {
            "0" => near,
            thread => self.text.def(format_args!("sub i32 {near}, {thread}")),
        })
    }

    /// `x` less what the thread adds to a sum of lanes, or the nearest `i64`.
    fn less_thread(&mut self, x: &str, layout: &Layout<Axis>, lanes: &Lanes) -> String {
        match self.wide_sum(layout, lanes).0.as_str() {
            "0" => x.to_string(),
            thread => self.text.call("i64", "llvm.ssub.sat.i64", &[("i64", x), ("i64", thread)]),
        }
    }

    /// An `i64` as the nearest `i32`.
    pub fn clamped(&mut self, x: &str) -> String {
        self.cut(x, i32::MIN.into(), i32::MAX.into())
    }

    /// An `i64` as the nearest `i32` from `low` to `high`.
    fn cut(&mut self, x: &str, low: i64, high: i64) -> String {
        let (low, high) = (low.to_string(), high.to_string());
        let x = self.text.call("i64", "llvm.smax.i64", &[("i64", x), ("i64", &low)]);
        let x = self.text.call("i64", "llvm.smin.i64", &[("i64", &x), ("i64", &high)]);
        self.text.def(format_args!("trunc i64 {x} to i32"))
    }
}

/// A layout with its axes by number.
fn named(layout: &Layout<Axis>) -> String {
    layout.to_string()
}
