//! Reductions: registers, then lanes, then warps through shared memory.

use tilec_gpu::gir::{Buf, Val};
use tilec_ir::{Axis, BinaryOp, ReduceOp};
use tilec_layout::{Layout, Place, Reduction, Shares, WARP};
use tilec_vocab::DType;

use super::emit::{Emitter, Result};
use super::thread::digits;
use super::value::is_half;
use super::words::{At, SHARED, Unit};

/// How two values are combined.
fn combination(op: ReduceOp) -> BinaryOp {
    match op {
        ReduceOp::Sum => BinaryOp::Add,
        ReduceOp::Max => BinaryOp::Max,
        ReduceOp::Min => BinaryOp::Min,
        ReduceOp::All => BinaryOp::And,
        ReduceOp::Any => BinaryOp::Or,
    }
}

impl Emitter<'_> {
    pub fn reduce(
        &mut self,
        result: Val,
        op: ReduceOp,
        value: Val,
        steps: &[Reduction<Axis>],
        partial: bool,
        through: Option<Buf>,
    ) -> Result<()> {
        let (elem, layout) = (wide(self.elem(value)), self.layout(value)?);
        let op = combination(op);
        let tile = self.tile(value)?;
        let mut registers = self.registers(&tile, self.elem(value), true);
        for step in steps {
            let mut combined = Vec::with_capacity(step.registers.len());
            for group in &step.registers {
                combined.push(self.combine_all(
                    op,
                    elem,
                    group.iter().map(|r| &registers[*r as usize]),
                ));
            }
            registers = combined;
        }
        if !partial {
            let rows = steps.last().map_or(layout, |step| &step.result);
            registers = self.combined(op, elem, registers, rows, &Shares::of(steps), through)?;
        }
        self.set_wide(result, registers);
        Ok(())
    }

    /// What a partial reduction left.
    pub fn combine_shares(
        &mut self,
        result: Val,
        op: ReduceOp,
        value: Val,
        shares: &Shares,
        through: Option<Buf>,
    ) -> Result<()> {
        let (elem, rows) = (wide(self.elem(value)), self.layout(value)?);
        let tile = self.tile(value)?;
        let registers = self.registers(&tile, self.elem(value), true);
        let registers = self.combined(combination(op), elem, registers, rows, shares, through)?;
        self.set_wide(result, registers);
        Ok(())
    }

    /// Of each register, all shares.
    fn combined(
        &mut self,
        op: BinaryOp,
        elem: DType,
        mut registers: Vec<String>,
        rows: &Layout<Axis>,
        shares: &Shares,
        through: Option<Buf>,
    ) -> Result<Vec<String>> {
        for mask in &shares.lane_masks {
            self.combine_lanes(op, elem, &mut registers, *mask);
        }
        if !shares.crosses_warps() {
            return Ok(registers);
        }
        let through = through
            .ok_or_else(|| self.unsupported("a reduction over warps without shared memory"))?;
        self.combine_warps(op, elem, registers, rows, &shares.warp_digits, through)
    }

    /// In pairs, and pairs of pairs, in order: short chains, and few values at a time.
    fn combine_all<'s>(
        &mut self,
        op: BinaryOp,
        elem: DType,
        values: impl Iterator<Item = &'s String>,
    ) -> String {
        let mut stack: Vec<(u32, String)> = Vec::new();
        for value in values {
            let (mut level, mut sum) = (0, value.clone());
            while let Some((_, left)) = stack.pop_if(|(other, _)| *other == level) {
                sum = self.combine(op, elem, &left, &sum);
                level += 1;
            }
            stack.push((level, sum));
        }
        let mut sum = stack.pop().map(|(_, sum)| sum).unwrap_or_default();
        while let Some((_, left)) = stack.pop() {
            sum = self.combine(op, elem, &left, &sum);
        }
        sum
    }

    fn combine_lanes(&mut self, op: BinaryOp, elem: DType, registers: &mut [String], mask: u32) {
        for register in registers {
            let other = self.other_lane(elem, register, mask);
            *register = self.combine(op, elem, register, &other);
        }
    }

    /// Each warp writes its part of every row; then each thread combines the parts of its rows, all in one order.
    fn combine_warps(
        &mut self,
        op: BinaryOp,
        elem: DType,
        registers: Vec<String>,
        reduced: &Layout<Axis>,
        warp_digits: &[(u32, u32)],
        through: Buf,
    ) -> Result<Vec<String>> {
        let elem_bytes = if elem == DType::I64 { 8 } else { 4 };
        let shape = reduced.shape();
        let rows: u32 = shape.values().product();
        let part_bytes = rows * elem_bytes;
        let data = &self.program.buffers[through];
        if data.buffer.bytes() * data.slots < part_bytes * self.program.warps {
            return Err(
                self.unsupported(format!("{through} is too small for a reduction over warps"))
            );
        }
        let first_byte = data.offset;
        let weight = |axis: Axis| -> i64 {
            let faster = shape.iter().filter(|(other, _)| **other > axis);
            let rows: u32 = faster.map(|(_, extent)| extent).product();
            i64::from(rows * elem_bytes)
        };
        let row = self.sum(reduced, weight);
        let warp = self.warp();
        let mine = self.text.early(format_args!("mul i32 {warp}, {part_bytes}"));
        let at = self.text.early(format_args!("add i32 {mine}, {}", row.thread));
        let base = self.shared_at(&at, first_byte);
        let writer = self.first_lane(reduced);
        let unit = Unit::of(if elem == DType::I64 { DType::I64 } else { DType::I32 }, 1);
        for (register, bytes) in registers.iter().zip(&row.registers) {
            let word = self.reduction_word(elem, register);
            let at = At { space: SHARED, base: &base, bytes: *bytes };
            self.store_words(writer.as_deref(), at, unit, &[word]);
        }
        self.barrier();
        // The first warp of those that share this one's rows, and how far the others are.
        let mut first = warp;
        let mut others = vec![0i64];
        for &(worth, extent) in warp_digits {
            let digit = self.digit(Place::Warp, worth, extent);
            let away = self.text.early(format_args!("mul i32 {digit}, {worth}"));
            first = self.text.early(format_args!("sub i32 {first}, {away}"));
            others = (0..i64::from(extent))
                .flat_map(|digit| others.iter().map(move |at| at + digit * i64::from(worth)))
                .collect();
        }
        let from = self.text.early(format_args!("mul i32 {first}, {part_bytes}"));
        let from = self.text.early(format_args!("add i32 {from}, {}", row.thread));
        let base = self.shared_at(&from, first_byte);
        let mut out = Vec::with_capacity(registers.len());
        for register in &row.registers {
            let mut parts = Vec::with_capacity(others.len());
            for other in &others {
                let bytes = register + other * i64::from(part_bytes);
                let at = At { space: SHARED, base: &base, bytes };
                let words = self.load_words(at, unit, "");
                parts.push(match elem {
                    DType::I64 => words[0].clone(),
                    _ => self.of_words(elem, &words),
                });
            }
            out.push(self.combine_all(op, elem, parts.iter()));
        }
        self.barrier();
        Ok(out)
    }

    fn shared_at(&mut self, bytes: &str, first_byte: u32) -> String {
        let bytes = self.text.early(format_args!("add i32 {bytes}, {first_byte}"));
        self.text.early(format_args!("getelementptr i8, ptr addrspace(3) @$shared, i32 {bytes}"))
    }

    fn reduction_word(&mut self, elem: DType, x: &str) -> String {
        match elem {
            DType::I64 => x.to_string(),
            _ => self.words_of(elem, x).swap_remove(0),
        }
    }

    /// Whether this lane is the first of its warp's that hold the same.
    fn first_lane(&mut self, layout: &Layout<Axis>) -> Option<String> {
        let copies: Vec<_> =
            digits(layout, Place::Lane).into_iter().filter(|(_, p)| p.along.is_none()).collect();
        let mut bits =
            copies.iter().fold(0, |bits, (worth, part)| bits | ((part.extent - 1) * worth));
        bits |= (WARP - 1) & !(layout.count(Place::Lane) - 1);
        if bits == 0 {
            return None;
        }
        let lane = self.lane();
        let digit = self.text.early(format_args!("and i32 {lane}, {bits}"));
        Some(self.text.early(format_args!("icmp eq i32 {digit}, 0")))
    }
}

/// What 16-bit floats are combined in.
fn wide(elem: DType) -> DType {
    if is_half(elem) { DType::F32 } else { elem }
}
