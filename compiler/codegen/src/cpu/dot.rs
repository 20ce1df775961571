//! Dots: blocks of the result held in registers.
//!
//! For each step along what is summed over, a few vectors of one operand meet a few single elements of the other, and each
//! pair feeds one fused multiply-add. A block of `rows` by `vectors` so costs `rows + vectors` loads for `rows * vectors`
//! multiply-adds; the best block that fits the registers is taken.

use tilec_ir::{Axis, AxisSet, InstData, Op, Value};

use super::emit::{Buffer, Emitter, Kind, Result};
use super::eval::{Point, Val};
use super::host::Bf16Dots;
use super::pairs::Operands;

/// What memory moves at once.
const LINE_BYTES: usize = 64;

/// Rows and vectors of a block. The vectors divide what there is; so do the rows, or the last block has fewer.
fn block_size(rows: usize, vectors: usize, registers: usize, last_is_less: bool) -> (usize, usize) {
    let (rows, vectors) = (rows.max(1), vectors.max(1));
    let mut best = (1, 1);
    let mut fewest = usize::MAX;
    for v in (1..=vectors.min(24)).filter(|v| vectors.is_multiple_of(*v)) {
        for r in (1..=rows.min(24)).filter(|r| last_is_less || rows.is_multiple_of(*r)) {
            // For each step along the sum, of all blocks.
            let loads = (vectors / v) * (rows + rows.div_ceil(r) * v);
            if (r, v) == (1, 1) || r * v + v + 1 < registers && loads < fewest {
                (best, fewest) = ((r, v), loads);
            }
        }
    }
    best
}

/// What one step along the sum reads.
enum Step<'k> {
    /// One element of each row, one vector for each column.
    Single { wide: Buffer, wide_axes: &'k AxisSet, single: Buffer, single_axes: &'k AxisSet },
    /// Two neighbours of each.
    Pair(Operands),
}

/// How the blocks of a dot are made.
#[derive(Clone, Copy)]
struct Block<'a, 'k> {
    step: &'a Step<'k>,
    over: &'a [Axis],
    rows: Option<Axis>,
    along: Axis,
    /// Vectors of a block.
    width: usize,
    axes: &'a AxisSet,
    into: &'a Buffer,
    init: Option<Value>,
}

impl Emitter<'_> {
    /// Writes a dot's result, plus `init` where there is one.
    pub fn dot(&mut self, data: &InstData, into: &Buffer, init: Option<Value>) -> Result<()> {
        let Op::Dot(over, _) = &data.op else {
            return self.unsupported("a dot of another op", data.span);
        };
        let Some(plan) = self.layouts.dot(data.results[0]) else {
            return self.reduce_to_tile(data, into);
        };
        let along = plan.along;
        if into.inner != along {
            // Made in the order it wants, then put in the order that is asked for.
            let axes = self.axes(data.results[0]);
            let aside = self.allocate(Kind::Float, axes, along)?;
            self.dot(data, &aside, init)?;
            let outer: Vec<Axis> = axes.iter().filter(|&axis| axis != into.inner).collect();
            return self.nest(&outer, Some(into.inner), &mut |this, point| {
                let val = this.read(&aside, axes, point);
                this.write(into, axes, point, &val);
                Ok(())
            });
        }
        let (axes, rows) = (self.axes(data.results[0]), plan.rows);
        let step = match self.operands(data, &plan)? {
            Some(operands) => match rows.filter(|_| self.host.bf16 == Bf16Dots::Tiles) {
                Some(rows) => return self.tile_dot(&operands, axes, rows, into, init),
                None => Step::Pair(operands),
            },
            None => {
                let (wide, single) =
                    (data.args[plan.vector_operand], data.args[1 - plan.vector_operand]);
                Step::Single {
                    wide_axes: self.axes(wide),
                    single_axes: self.axes(single),
                    wide: self.buffer(wide, Some(along))?,
                    single: self.buffer(single, None)?,
                }
            }
        };
        let lanes = self.host.lanes;
        let most_rows = rows.map_or(1, |axis| self.extent(axis));
        // Two kinds of blocks are more for LLVM to compile, and the last, partial turn of a loop is not worth it.
        let often = self.loop_axis.is_none_or(|axis| self.is_whole(axis, 1));
        let vectors = self.extent(along).div_ceil(lanes);
        let (height, width) = block_size(most_rows, vectors, self.host.registers(), often);
        let outer: Vec<Axis> =
            axes.iter().filter(|&axis| axis != along && Some(axis) != rows).collect();
        let ty = self.ty(Kind::Float, true);
        let slots: Vec<String> = (0..height * width).map(|_| self.text.slot(&ty)).collect();
        let column_count = self.count(along);
        // Rows in whole blocks, and those left over.
        let left = most_rows % height;
        let whole = (most_rows - left).to_string();
        let row_count = rows.map_or_else(|| "1".into(), |axis| self.count(axis));
        let until = match rows.filter(|&axis| left > 0 && !self.is_whole(axis, 1)) {
            Some(_) => self.intrinsic("smin", Kind::Int, false, &[&row_count, &whole]),
            None if left > 0 => whole.clone(),
            None => row_count.clone(),
        };
        let mut parts = vec![("0", until.as_str(), height)];
        if left > 0 {
            parts.push((&whole, &row_count, left));
        }
        let block = Block { step: &step, over, rows, along, width, axes, into, init };
        self.nest(&outer, None, &mut |this, point| {
            // Vectors, which are the more memory, stay in the first cache while the rows pass by.
            let columns = (width * lanes).to_string();
            let column_loop = this.text.open_loop("0", &column_count, &columns);
            for &(from, to, height) in &parts {
                let row_loop = this.text.open_loop(from, to, &height.to_string());
                let corner = point.with(along, &column_loop.at);
                this.block_at(&block, &corner, &row_loop.at, height, &slots)?;
                this.text.close_loop(row_loop);
            }
            this.text.close_loop(column_loop);
            Ok(())
        })
    }

    /// One block of the result, from a lane of the vectors' axis and a row on.
    fn block_at(
        &mut self,
        block: &Block<'_, '_>,
        corner: &Point,
        first_row: &str,
        height: usize,
        slots: &[String],
    ) -> Result<()> {
        let Block { rows, along, width, into, .. } = *block;
        let slots = &slots[..height * width];
        let column = corner.at.get(&along).cloned().unwrap_or_default();
        let mut points = Vec::new();
        for r in 0..height {
            let mut row = corner.clone();
            row.at.remove(&along);
            if let Some(axis) = rows {
                let lane = self.text.def(format_args!("add nuw nsw i64 {first_row}, {r}"));
                row = row.with(axis, &lane);
            }
            for c in 0..width {
                let base = format_args!("add nuw nsw i64 {column}, {}", c * self.host.lanes);
                let base = self.text.def(base);
                points.push(row.along(along, &base));
            }
        }
        let ty = self.ty(Kind::Float, true);
        for slot in slots {
            self.text.line(format_args!("store {ty} zeroinitializer, ptr {slot}"));
        }
        self.steps(block, &points, slots, (first_row, &column))?;
        for (slot, at) in slots.iter().zip(&points) {
            let mut sum = self.text.def(format_args!("load {ty}, ptr {slot}"));
            // Added last: sums of blocks lose less than one long sum.
            if let Some(init) = block.init {
                let init = self.eval_lifted(init, &mut at.clone())?.text;
                sum = self.fop("fadd contract", true, &init, &sum);
            }
            self.write(into, block.axes, at, &Val::lanes(sum));
        }
        Ok(())
    }

    /// Adds all products to a block's registers.
    fn steps(
        &mut self,
        block: &Block<'_, '_>,
        points: &[Point],
        slots: &[String],
        corner: (&str, &str),
    ) -> Result<()> {
        let Block { step, over, rows, width, .. } = *block;
        let Step::Single { wide, wide_axes, single, single_axes } = step else {
            let Step::Pair(operands) = step else { return Ok(()) };
            return self.pair_nest(operands, &mut |this, step| {
                this.pair_step(operands, rows, points, width, slots, step);
            });
        };
        let ty = self.ty(Kind::Float, true);
        let Some((&last, rest)) = over.split_last() else { return Ok(()) };
        // Where each row starts, in a register of its own: the loop adds no strides up.
        let beside = rows.is_some_and(|axis| single.stride(axis) == "1");
        let firsts: Vec<String> = points
            .chunks(width)
            .map(|row| {
                let first = self.address(single, single_axes, &row[0].first());
                if beside { first } else { self.text.opaque_pointer(&first) }
            })
            .collect();
        let columns: Vec<String> =
            points[..width].iter().map(|at| self.address(wide, wide_axes, at)).collect();
        // Two steps for each turn of the loop, where there is no odd one.
        let at_once = if self.is_whole(last, 2) { 2 } else { 1 };
        let ahead: Vec<String> = [wide, single]
            .into_iter()
            .filter_map(|operand| self.part_ahead(operand, block, corner))
            .collect();
        self.nest(rest, None, &mut |this, step| {
            let count = this.count(last);
            let opened = this.text.open_loop("0", &count, &at_once.to_string());
            for ahead in &ahead {
                this.ask_for(ahead, &opened.at, LINE_BYTES / at_once);
            }
            for n in 0..at_once {
                let at = this.text.def(format_args!("add nuw nsw i64 {}, {n}", opened.at));
                let step = step.with(last, &at);
                let offset = this.offset(wide, wide_axes, &step);
                let columns: Vec<String> = columns
                    .iter()
                    .map(|first| this.read_from(wide, first, &offset, true))
                    .collect();
                let offset = this.offset(single, single_axes, &step);
                for (first, slots) in firsts.iter().zip(slots.chunks(width)) {
                    let one = this.read_from(single, first, &offset, false);
                    let one = this.splat(&one, "float");
                    for (column, slot) in columns.iter().zip(slots) {
                        let sum = this.text.def(format_args!("load {ty}, ptr {slot}"));
                        let sum = this.intrinsic("fma", Kind::Float, true, &[&one, column, &sum]);
                        this.text.line(format_args!("store {ty} {sum}, ptr {slot}"));
                    }
                }
            }
            this.text.close_loop(opened);
            Ok(())
        })
    }
}

impl Emitter<'_> {
    /// Where to ask memory for what the loop's next turn reads, so that it is there by then: each block asks for its share.
    fn part_ahead(
        &mut self,
        operand: &Buffer,
        block: &Block<'_, '_>,
        (row, column): (&str, &str),
    ) -> Option<String> {
        let ahead = operand.ahead.as_ref()?;
        let bytes: usize = operand.strides.keys().map(|&axis| self.extent(axis)).product::<usize>()
            * operand.kind.bytes();
        let rows = block.rows.map_or(1, |axis| self.extent(axis));
        let columns = block.width * self.host.lanes;
        let part = bytes / rows / self.extent(block.along).div_ceil(columns);
        let of_row = self.text.def(format_args!("mul nuw nsw i64 {row}, {part}"));
        let of_column = self.text.def(format_args!("udiv i64 {column}, {columns}"));
        let of_column = format_args!("mul nuw nsw i64 {of_column}, {}", part * rows);
        let of_column = self.text.def(of_column);
        let offset = self.text.def(format_args!("add nuw nsw i64 {of_row}, {of_column}"));
        Some(self.text.def(format_args!("getelementptr i8, ptr {ahead}, i64 {offset}")))
    }

    /// Asks for memory, so many bytes on for each step.
    fn ask_for(&mut self, from: &str, step: &str, bytes: usize) {
        let offset = self.text.def(format_args!("mul nuw nsw i64 {step}, {bytes}"));
        let place = self.text.def(format_args!("getelementptr i8, ptr {from}, i64 {offset}"));
        // To be read, into the second cache.
        let hints = [("ptr", place.as_str()), ("i32", "0"), ("i32", "2"), ("i32", "1")];
        self.text.call_void("llvm.prefetch.p0", &hints);
    }
}

#[cfg(test)]
mod tests {
    use super::block_size;

    #[test]
    fn blocks_fit_the_registers_and_their_vectors_divide_what_there_is() {
        assert_eq!(block_size(64, 4, 32, true), (6, 4));
        assert_eq!(block_size(64, 4, 32, false), (4, 4));
        assert_eq!(block_size(64, 5, 32, true), (5, 5));
        assert_eq!(block_size(1, 1, 32, true), (1, 1));
        assert_eq!(block_size(64, 8, 16, true), (6, 2));
        for (rows, vectors) in [(1, 8), (3, 7), (48, 6), (100, 2)] {
            for last_is_less in [true, false] {
                let (r, v) = block_size(rows, vectors, 32, last_is_less);
                assert!(r <= rows && vectors % v == 0 && r * v + v < 31, "{rows} {vectors}");
                assert!(last_is_less || rows % r == 0, "{rows} {vectors}");
            }
        }
    }
}
