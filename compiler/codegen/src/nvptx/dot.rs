//! Matrix products by tensor cores.
//!
//! The summed axis is outermost, then the columns, then the rows: no more than one step's fragments live at a time, and
//! each fragment of the second operand is loaded right before the instructions that want it. Where all fragments of a first
//! operand from shared memory fit into few registers, two columns at a time are outermost instead: sums are then finished
//! one after the other, and what follows (a row maximum) overlaps the products that are left.

use std::collections::BTreeMap;

use tilec_gpu::gir::{Dot, DotKind, Operand, Val};
use tilec_ir::{Axis, Precision};
use tilec_layout::{Coordinate, Dot as Role, Layout, Mma, Place, Position};
use tilec_vocab::DType;

use super::emit::{Emitter, Result};
use super::fragment::Source;
use super::value::{Value, float, pair_type};

/// Registers for all fragments of a first operand, at most, for columns to be outermost.
const FEW_REGISTERS: u32 = 32;
/// Columns whose sums are made together: fewer would wait for the latency of each product.
const COLUMNS_AT_ONCE: usize = 2;

/// Fragments of one operand, group by group.
struct Fragments {
    source: Source,
    /// Registers of a group.
    words: u32,
    /// Coordinates of the first register of each group.
    groups: Vec<Coordinate<Axis>>,
    /// For f32 operands: the parts of each group.
    parts: BTreeMap<u32, Parts>,
}

/// tf32 parts of a group's words: the nearest, and what is left.
#[derive(Clone)]
struct Parts {
    high: Vec<String>,
    low: Vec<String>,
}

/// Coordinates of the first register of each group of so many.
fn groups(layout: &Layout<Axis>, registers: u32) -> Vec<Coordinate<Axis>> {
    (0..layout.count(Place::Register) / registers)
        .map(|group| layout.at(Position { register: group * registers, ..Position::default() }))
        .collect()
}

fn restricted(coordinate: &Coordinate<Axis>, keep: impl Fn(&Axis) -> bool) -> Coordinate<Axis> {
    coordinate.iter().filter(|(axis, _)| keep(axis)).map(|(axis, at)| (*axis, *at)).collect()
}

impl Emitter<'_> {
    pub fn dot(&mut self, result: Val, dot: &Dot) -> Result<()> {
        let layout = self.layout(result)?;
        let registers = layout.count(Place::Register) as usize;
        let mut sums = match dot.acc {
            None => vec![float(0.0); registers],
            Some(acc) => match self.value(acc)? {
                Value::Uniform(name) => vec![name; registers],
                Value::Tile(_) => self.operand(acc, result, true)?,
            },
        };
        match dot.kind {
            DotKind::Mma(mma, precision) => {
                self.mma_all(layout, dot, mma, precision, &mut sums)?;
            }
            DotKind::Fma => self.products(layout, dot, &mut sums)?,
        }
        self.set_registers(result, sums);
        Ok(())
    }

    fn mma_all(
        &mut self,
        layout: &Layout<Axis>,
        dot: &Dot,
        mma: Mma,
        precision: Precision,
        sums: &mut [String],
    ) -> Result<()> {
        let count = |role: &Layout<Role>| role.count(Place::Register);
        let packed = 4 / mma.operand_bytes();
        let mut a = Fragments {
            source: Source::of(self, dot.a, &dot.a_layout, dot.elem)?,
            words: count(&mma.a()) / packed,
            groups: groups(&dot.a_layout, count(&mma.a())),
            parts: BTreeMap::new(),
        };
        let mut b = Fragments {
            source: Source::of(self, dot.b, &dot.b_layout, dot.elem)?,
            words: count(&mma.b()) / packed,
            groups: groups(&dot.b_layout, count(&mma.b())),
            parts: BTreeMap::new(),
        };
        let opcode = opcode(mma, dot.elem)
            .filter(|_| dot.elem.size_bytes() as u32 == mma.operand_bytes())
            .ok_or_else(|| self.unsupported(format!("{} of {}", mma.name(), dot.elem)))?;
        if dot.elem == DType::F32 && precision == Precision::Ieee {
            return Err(self.unsupported("f32 products in full on tensor cores"));
        }
        let summed = |axis: &Axis| dot.over.contains(axis);
        let c_axes = layout.axes();
        let size = count(&mma.c());
        let c_groups: BTreeMap<Coordinate<Axis>, usize> =
            groups(layout, size).into_iter().zip(0..).collect();
        let mut depths: Vec<Coordinate<Axis>> =
            a.groups.iter().map(|at| restricted(at, summed)).collect();
        depths.sort();
        depths.dedup();
        // Depths whose fragments lie at one base, one after the other.
        depths.sort_by_key(|depth| {
            let base = |of: &Fragments| {
                let group = of.groups.iter().position(|at| restricted(at, summed) == *depth);
                of.source.base_of(group.unwrap_or(0) as u32 * of.words)
            };
            (base(&b), base(&a))
        });
        let mut steps = Vec::new();
        let mut columns: Vec<Coordinate<Axis>> = Vec::new();
        for depth in &depths {
            let at_depth = |groups: &[Coordinate<Axis>]| -> Vec<u32> {
                let here =
                    groups.iter().zip(0..).filter(|(at, _)| restricted(at, summed) == *depth);
                here.map(|(_, number)| number).collect()
            };
            let rows = at_depth(&a.groups);
            for column in at_depth(&b.groups) {
                let of_b = &b.groups[column as usize];
                let place = restricted(of_b, |axis| !summed(axis));
                let rank = columns.iter().position(|known| *known == place).unwrap_or_else(|| {
                    columns.push(place);
                    columns.len() - 1
                });
                for &row in &rows {
                    let of_a = &a.groups[row as usize];
                    let meet = of_a.iter().all(|(axis, at)| of_b.get(axis).is_none_or(|b| b == at));
                    if !meet {
                        continue;
                    }
                    let mut at: Coordinate<Axis> = c_axes.iter().map(|axis| (*axis, 0)).collect();
                    for (axis, index) in of_a.iter().chain(of_b) {
                        at.entry(*axis).and_modify(|at| *at = *index);
                    }
                    let group = c_groups.get(&at).ok_or_else(|| {
                        self.unsupported("a product whose fragments do not fit its result")
                    })?;
                    steps.push((rank, row, column, group * size as usize));
                }
            }
        }
        let fragments = a.groups.len() as u32 * a.words;
        let ends_here = matches!(dot.a, Operand::Shared(_)) || dot.acc.is_none();
        if ends_here && fragments <= FEW_REGISTERS {
            steps.sort_by_key(|(rank, ..)| rank / COLUMNS_AT_ONCE);
        }
        let mut wanted: BTreeMap<u32, usize> = BTreeMap::new();
        for (step, (_, row, ..)) in steps.iter().enumerate() {
            wanted.entry(*row).or_insert(step);
        }
        let wanted: Vec<(usize, Vec<String>)> = wanted
            .into_iter()
            .map(|(row, step)| (step, a.source.names(row * a.words..(row + 1) * a.words)))
            .collect();
        let mut held_back = self.text.hold_back(&wanted);
        for (step, (_, row, column, first)) in steps.into_iter().enumerate() {
            self.text.resume(held_back.remove(&step).unwrap_or_default());
            let sums = &mut sums[first..first + size as usize];
            self.mma_group(opcode, dot.elem, precision, (&mut a, row), (&mut b, column), sums);
        }
        Ok(())
    }

    fn mma_group(
        &mut self,
        opcode: &str,
        elem: DType,
        precision: Precision,
        (a, row): (&mut Fragments, u32),
        (b, column): (&mut Fragments, u32),
        sums: &mut [String],
    ) {
        if elem != DType::F32 {
            let a = self.half_words(a, row, elem);
            let b = self.half_words(b, column, elem);
            return self.mma(opcode, elem, &a, &b, sums);
        }
        let three = precision == Precision::Tf32x3;
        let a = self.tf32_parts(a, row, three);
        let b = self.tf32_parts(b, column, three);
        if three {
            // The small products first.
            self.mma(opcode, elem, &a.low, &b.high, sums);
            self.mma(opcode, elem, &a.high, &b.low, sums);
        }
        self.mma(opcode, elem, &a.high, &b.high, sums);
    }

    fn half_words(&mut self, of: &mut Fragments, group: u32, elem: DType) -> Vec<String> {
        let first = group * of.words;
        let words: Vec<String> =
            (first..first + of.words).map(|word| of.source.word(self, word)).collect();
        if elem == DType::BF16 {
            return words;
        }
        let pair = pair_type(elem);
        words
            .iter()
            .map(|word| self.text.def(format_args!("bitcast i32 {word} to {pair}")))
            .collect()
    }

    /// The nearest tf32, and if wanted the nearest to what is left; nothing is left of an infinity.
    fn tf32_parts(&mut self, of: &mut Fragments, group: u32, three: bool) -> Parts {
        if let Some(parts) = of.parts.get(&group) {
            return parts.clone();
        }
        let first = group * of.words;
        let mut parts = Parts { high: Vec::new(), low: Vec::new() };
        for word in first..first + of.words {
            let bits = of.source.word(self, word);
            let x = self.text.def(format_args!("bitcast i32 {bits} to float"));
            let high = self.text.call("i32", "llvm.nvvm.f2tf32.rna", &[("float", &x)]);
            parts.high.push(high.clone());
            if three {
                let high = self.text.def(format_args!("bitcast i32 {high} to float"));
                let rest = self.text.def(format_args!("fsub float {x}, {high}"));
                let size = self.float_call("llvm.fabs.f32", &[&high]);
                let inf = float(f32::INFINITY);
                let is_inf = self.text.def(format_args!("fcmp oeq float {size}, {inf}"));
                let zero = float(0.0);
                let rest =
                    self.text.def(format_args!("select i1 {is_inf}, float {zero}, float {rest}"));
                parts.low.push(self.text.call("i32", "llvm.nvvm.f2tf32.rna", &[("float", &rest)]));
            }
        }
        of.parts.insert(group, parts.clone());
        parts
    }

    fn mma(&mut self, opcode: &str, elem: DType, a: &[String], b: &[String], sums: &mut [String]) {
        const RETURNED: &str = "{ float, float, float, float }";
        let operand = if elem == DType::F16 { pair_type(elem) } else { "i32" };
        let operands = a.iter().chain(b).map(|word| (operand, word.as_str()));
        let args: Vec<(&str, &str)> =
            operands.chain(sums.iter().map(|sum| ("float", sum.as_str()))).collect();
        let all = self.text.meet(RETURNED, opcode, &args);
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = self.text.def(format_args!("extractvalue {RETURNED} {all}, {i}"));
        }
    }
}

fn opcode(mma: Mma, elem: DType) -> Option<&'static str> {
    Some(match (mma, elem) {
        (Mma::M16N8K16Half, DType::F16) => "llvm.nvvm.mma.m16n8k16.row.col.f32.f32",
        (Mma::M16N8K16Half, DType::BF16) => "llvm.nvvm.mma.m16n8k16.row.col.bf16",
        (Mma::M16N8K8Half, DType::F16) => "llvm.nvvm.mma.m16n8k8.row.col.f32.f32",
        (Mma::M16N8K8Half, DType::BF16) => "llvm.nvvm.mma.m16n8k8.row.col.bf16",
        (Mma::M16N8K8Tf32, DType::F32) => "llvm.nvvm.mma.m16n8k8.row.col.tf32",
        _ => return None,
    })
}
