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

/// Rows and vectors of a block, each a divisor of what there is.
fn block_size(rows: usize, vectors: usize, registers: usize) -> (usize, usize) {
    let divisors = |n: usize| (1..=n.min(24)).filter(move |d| n.is_multiple_of(*d));
    let mut best = (1, 1);
    // Multiply-adds for each load, in parts of 1000.
    let mut most = 0;
    for r in divisors(rows.max(1)) {
        for v in divisors(vectors.max(1)) {
            let worth = 1000 * r * v / (r + v);
            if r * v + v + 1 < registers && worth > most {
                (best, most) = ((r, v), worth);
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
        let (height, width) = block_size(
            rows.map_or(1, |axis| self.extent(axis)),
            self.extent(along).div_ceil(lanes),
            self.host.registers(),
        );
        let outer: Vec<Axis> =
            axes.iter().filter(|&axis| axis != along && Some(axis) != rows).collect();
        let ty = self.ty(Kind::Float, true);
        let slots: Vec<String> = (0..height * width).map(|_| self.text.slot(&ty)).collect();
        let (row_count, column_count) = (rows.map(|axis| self.count(axis)), self.count(along));
        self.nest(&outer, None, &mut |this, point| {
            // Vectors, which are the more memory, stay in the first cache while the rows pass by.
            let block = (width * lanes).to_string();
            let column_loop = this.text.open_loop("0", &column_count, &block);
            let row_loop = row_count
                .as_ref()
                .map(|count| this.text.open_loop("0", count, &height.to_string()));
            // The points of the block, row by row.
            let mut points = Vec::new();
            for r in 0..height {
                let mut row = point.clone();
                if let (Some(axis), Some(opened)) = (rows, &row_loop) {
                    let lane = this.text.def(format_args!("add nuw nsw i64 {}, {r}", opened.at));
                    row = point.with(axis, &lane);
                }
                for c in 0..width {
                    let base = format_args!("add nuw nsw i64 {}, {}", column_loop.at, c * lanes);
                    let base = this.text.def(base);
                    points.push(row.along(along, &base));
                }
            }
            for slot in &slots {
                this.text.line(format_args!("store {ty} zeroinitializer, ptr {slot}"));
            }
            this.steps(&step, over, rows, &points, width, &slots)?;
            for (slot, at) in slots.iter().zip(&points) {
                let mut sum = this.text.def(format_args!("load {ty}, ptr {slot}"));
                // Added last: sums of blocks lose less than one long sum.
                if let Some(init) = init {
                    let init = this.eval_lifted(init, &mut at.clone())?.text;
                    sum = this.fop("fadd contract", true, &init, &sum);
                }
                this.write(into, axes, at, &Val::lanes(sum));
            }
            if let Some(opened) = row_loop {
                this.text.close_loop(opened);
            }
            this.text.close_loop(column_loop);
            Ok(())
        })
    }

    /// Adds all products to a block's registers.
    fn steps(
        &mut self,
        step: &Step<'_>,
        over: &[Axis],
        rows: Option<Axis>,
        points: &[Point],
        width: usize,
        slots: &[String],
    ) -> Result<()> {
        let Step::Single { wide, wide_axes, single, single_axes } = step else {
            let Step::Pair(operands) = step else { return Ok(()) };
            return self.pair_nest(operands, &mut |this, step| {
                this.pair_step(operands, rows, points, width, slots, step);
            });
        };
        let ty = self.ty(Kind::Float, true);
        let Some((&last, rest)) = over.split_last() else { return Ok(()) };
        // Two steps for each turn of the loop, where there is no odd one.
        let at_once = if self.is_whole(last, 2) { 2 } else { 1 };
        self.nest(rest, None, &mut |this, step| {
            let count = this.count(last);
            let opened = this.text.open_loop("0", &count, &at_once.to_string());
            for n in 0..at_once {
                let at = this.text.def(format_args!("add nuw nsw i64 {}, {n}", opened.at));
                let step = step.with(last, &at);
                let joined = |at: &Point| {
                    let mut joined = at.clone();
                    joined.at.extend(step.at.clone());
                    joined
                };
                let columns: Vec<String> = points[..width]
                    .iter()
                    .map(|at| this.read(wide, wide_axes, &joined(at)).text)
                    .collect();
                for (row, slots) in points.chunks(width).zip(slots.chunks(width)) {
                    let one = this.read(single, single_axes, &joined(&row[0]).first());
                    let one = this.splat(&one.text, "float");
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

#[cfg(test)]
mod tests {
    use super::block_size;

    #[test]
    fn blocks_fit_the_registers_and_divide_what_there_is() {
        assert_eq!(block_size(64, 4, 32), (4, 4));
        assert_eq!(block_size(64, 5, 32), (4, 5));
        assert_eq!(block_size(1, 1, 32), (1, 1));
        assert_eq!(block_size(64, 8, 16), (2, 4));
        for (rows, vectors) in [(1, 8), (3, 7), (48, 6), (100, 2)] {
            let (r, v) = block_size(rows, vectors, 32);
            assert!(rows % r == 0 && vectors % v == 0 && r * v + v < 31, "{rows} {vectors}");
        }
    }
}
