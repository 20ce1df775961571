//! Dots of bf16 operands that take two neighbours along the sum at a time: AMX tiles, or `vdpbf16ps`.
//!
//! Both multiply without rounding and add in f32; both take numbers too small for f32's full precision for zero.
//! Both read the same packed operands (`pack.rs`): a row of the one, `[lane][step]`, meets vectors of the
//! other, `[step / 2][lane][step % 2]`.
//!
//! With tiles a block of the result is up to 32 by 32: four tiles, fed by two of each operand, so that each load of
//! a tile serves two products.

use tilec_ir::{Axis, AxisSet, InstData, Op, Value};

use super::emit::{Buffer, Emitter, Home, Kind, Result};
use super::eval::{Point, Val};
use super::layout::DotPlan;
use super::pack::{LANES, Packed, STEPS};
use super::text::Text;

/// The most tiles along the sum whose code is written out.
const MOST_UNROLLED: usize = 4;

/// A dot's packed operands, and what its sum runs over besides the pairs.
pub(super) struct Operands {
    pub rows: Packed,
    pub vectors: Packed,
    pub pairs: Axis,
    pub rest: Vec<Axis>,
}

/// A block of tiles of the result.
struct TileBlock<'a> {
    operands: &'a Operands,
    /// Tiles down and across.
    height: usize,
    width: usize,
    /// Its first lane along the rows, and along the vectors.
    row: &'a str,
    base: &'a str,
}

impl Emitter<'_> {
    /// Packs what a dot in pairs needs.
    pub fn operands(&mut self, data: &InstData, plan: &DotPlan) -> Result<Option<Operands>> {
        let Op::Dot(over, _) = &data.op else {
            return self.unsupported("a dot of another op", data.span);
        };
        let (wide, single) = (plan.vector_operand, 1 - plan.vector_operand);
        let (Some(pairs), Some(of_wide), Some(of_single)) =
            (plan.pairs, plan.format(wide), plan.format(single))
        else {
            return Ok(None);
        };
        let rows = self.packed(data.args[single], of_single)?;
        let vectors = self.packed(data.args[wide], of_wide)?;
        let rest = over.iter().copied().filter(|&axis| axis != pairs).collect();
        Ok(Some(Operands { rows, vectors, pairs, rest }))
    }

    /// A dot by tiles into a buffer of its own order, plus `init` where there is one.
    pub fn tile_dot(
        &mut self,
        operands: &Operands,
        axes: &AxisSet,
        rows: Axis,
        into: &Buffer,
        init: Option<Value>,
    ) -> Result<()> {
        self.text.use_tiles();
        let along = into.inner;
        let tiles = |axis| self.extent(axis).div_ceil(LANES);
        let pairwise = |tiles: usize| if tiles.is_multiple_of(2) { 2 } else { 1 };
        let (height, width) = (pairwise(tiles(rows)), pairwise(tiles(along)));
        // Rows of the last tile that are not there have no room in the result.
        let fits = self.extent(rows).is_multiple_of(LANES);
        let adds_in_place = fits
            && init.is_some_and(|init| {
                matches!(self.homes.get(&init), Some(Home::Buffer(home))
                    if home.region == into.region && home.inner == along)
            });
        let direct = adds_in_place || fits && init.is_none();
        let aside = match direct {
            true => None,
            false => Some(self.room(axes, LANES * LANES * 4 * height * width)?),
        };
        let outer: Vec<Axis> = axes.iter().filter(|&axis| axis != along && axis != rows).collect();
        let (row_count, column_count) = (self.count(rows), self.count(along));
        self.nest(&outer, None, &mut |this, point| {
            let row_loop = this.text.open_loop("0", &row_count, &(LANES * height).to_string());
            let column_loop = this.text.open_loop("0", &column_count, &(LANES * width).to_string());
            let (row, base) = (row_loop.at.clone(), column_loop.at.clone());
            let block = TileBlock { operands, height, width, row: &row, base: &base };
            let (place, row_bytes) = match &aside {
                Some((pointer, _)) => (pointer.clone(), 4 * LANES * width),
                None => {
                    let corner = point.with(rows, &row).along(along, &base);
                    (this.address(into, axes, &corner), 4 * into.strides[&rows])
                }
            };
            this.tiles(&block, point, &place, row_bytes, adds_in_place)?;
            if let Some((pointer, region)) = &aside {
                let left = this.text.def(format_args!("sub i64 {row_count}, {row}"));
                let most = (LANES * height).to_string();
                let lanes = this.intrinsic("smin", Kind::Int, false, &[&left, &most]);
                let lanes = if this.is_whole(rows, LANES * height) { most } else { lanes };
                let opened = this.text.open_loop("0", &lanes, "1");
                let lane = this.text.def(format_args!("add nuw nsw i64 {row}, {}", opened.at));
                for c in 0..width {
                    let column =
                        this.text.def(format_args!("add nuw nsw i64 {base}, {}", c * LANES));
                    let mut at = point.with(rows, &lane).along(along, &column);
                    let offset = format_args!("mul nuw nsw i64 {}, {}", opened.at, LANES * width);
                    let offset = this.text.def(offset);
                    let offset =
                        this.text.def(format_args!("add nuw nsw i64 {offset}, {}", c * LANES));
                    let place =
                        format_args!("getelementptr inbounds float, ptr {pointer}, i64 {offset}");
                    let place = this.text.def(place);
                    let tag = Text::tag(*region);
                    let mut sum = this
                        .text
                        .def(format_args!("load <16 x float>, ptr {place}, align 64{tag}"));
                    // Added last: sums of blocks lose less than one long sum.
                    if let Some(init) = init {
                        let init = this.eval_lifted(init, &mut at)?.text;
                        sum = this.fop("fadd contract", true, &init, &sum);
                    }
                    this.write(into, axes, &at, &Val::lanes(sum));
                }
                this.text.close_loop(opened);
            }
            this.text.close_loop(column_loop);
            this.text.close_loop(row_loop);
            Ok(())
        })
    }

    /// One block: tiles 0 to 3 hold the result, 4 and 5 rows, 6 and 7 vectors.
    fn tiles(
        &mut self,
        block: &TileBlock<'_>,
        point: &Point,
        place: &str,
        row_bytes: usize,
        add: bool,
    ) -> Result<()> {
        let (height, width) = (block.height, block.width);
        let results: Vec<(usize, usize)> =
            (0..height).flat_map(|r| (0..width).map(move |c| (r, c))).collect();
        let stride = row_bytes.to_string();
        let corner = |this: &mut Self, (r, c): (usize, usize)| {
            let offset = r * LANES * row_bytes + c * LANES * 4;
            this.text.def(format_args!("getelementptr inbounds i8, ptr {place}, i64 {offset}"))
        };
        for &(r, c) in &results {
            let tile = 2 * r + c;
            if add {
                let place = corner(self, (r, c));
                self.tile_memory("load", tile, &place, &stride);
            } else {
                self.text.call_void("llvm.x86.tilezero", &[("i8", &tile.to_string())]);
            }
        }
        let operands = block.operands;
        self.nest_from(point, &operands.rest, None, &mut |this, point| {
            let rows = this.packed_at(&operands.rows, point);
            let rows = this.packed_row(&operands.rows, &rows, block.row);
            let vectors = this.packed_at(&operands.vectors, point);
            let vectors = this
                .text
                .def(format_args!("getelementptr inbounds i32, ptr {vectors}, i64 {}", block.base));
            if this.is_whole(operands.pairs, STEPS)
                && this.extent(operands.pairs) <= STEPS * MOST_UNROLLED
            {
                for step in (0..this.extent(operands.pairs)).step_by(STEPS) {
                    this.tile_step(block, &rows, &vectors, &step.to_string());
                }
                return Ok(());
            }
            let count = this.count(operands.pairs);
            let opened = this.text.open_loop("0", &count, &STEPS.to_string());
            this.tile_step(block, &rows, &vectors, &opened.at.clone());
            this.text.close_loop(opened);
            Ok(())
        })?;
        for &(r, c) in &results {
            let place = corner(self, (r, c));
            self.tile_memory("store", 2 * r + c, &place, &stride);
        }
        Ok(())
    }

    fn tile_step(&mut self, block: &TileBlock<'_>, rows: &str, vectors: &str, step: &str) {
        let Operands { rows: of_rows, vectors: of_vectors, .. } = block.operands;
        let rows =
            self.text.def(format_args!("getelementptr inbounds i16, ptr {rows}, i64 {step}"));
        let pair = self.text.def(format_args!("lshr i64 {step}, 1"));
        let vectors = self.packed_row(of_vectors, vectors, &pair);
        for r in 0..block.height {
            let place = self.packed_row(of_rows, &rows, &(r * LANES).to_string());
            self.tile_memory("load", 4 + r, &place, &of_rows.row_bytes);
        }
        for c in 0..block.width {
            let place =
                format_args!("getelementptr inbounds i32, ptr {vectors}, i64 {}", c * LANES);
            let place = self.text.def(place);
            self.tile_memory("load", 6 + c, &place, &of_vectors.row_bytes);
        }
        for r in 0..block.height {
            for c in 0..block.width {
                let tiles = [2 * r + c, 4 + r, 6 + c].map(|tile| tile.to_string());
                let args = tiles.each_ref().map(|tile| ("i8", tile.as_str()));
                self.text.call_void("llvm.x86.tdpbf16ps", &args);
            }
        }
    }

    fn tile_memory(&mut self, what: &str, tile: usize, place: &str, stride: &str) {
        let name = if what == "load" { "llvm.x86.tileloadd64" } else { "llvm.x86.tilestored64" };
        let tile = tile.to_string();
        self.text.call_void(name, &[("i8", &tile), ("ptr", place), ("i64", stride)]);
    }

    /// What one pair of steps adds to a register block: for each row one pair, for each vector 16 pairs.
    pub fn pair_step(
        &mut self,
        operands: &Operands,
        rows: Option<Axis>,
        points: &[Point],
        width: usize,
        slots: &[String],
        step: &Point,
    ) {
        let at = step.at.get(&operands.pairs).cloned().unwrap_or_else(|| "0".into());
        let pair = self.text.def(format_args!("lshr i64 {at}, 1"));
        let joined = |point: &Point| {
            let mut joined = point.clone();
            joined.at.extend(step.at.clone());
            joined
        };
        let mut columns = Vec::new();
        for point in &points[..width] {
            let first = self.packed_at(&operands.vectors, &joined(point));
            let row = self.packed_row(&operands.vectors, &first, &pair);
            let base = point.vector.as_ref().map_or("0", |(_, base)| base.as_str());
            let place =
                self.text.def(format_args!("getelementptr inbounds i32, ptr {row}, i64 {base}"));
            columns.push(self.text.def(format_args!("load <32 x bfloat>, ptr {place}, align 64")));
        }
        for (row, slots) in points.chunks(width).zip(slots.chunks(width)) {
            let first = self.packed_at(&operands.rows, &joined(&row[0]));
            let lane = rows.and_then(|axis| row[0].at.get(&axis).cloned());
            let first = self.packed_row(&operands.rows, &first, lane.as_deref().unwrap_or("0"));
            let place =
                self.text.def(format_args!("getelementptr inbounds i16, ptr {first}, i64 {at}"));
            let one = self.text.def(format_args!("load i32, ptr {place}, align 2"));
            let one = self.splat(&one, "i32");
            let one = self.text.def(format_args!("bitcast <16 x i32> {one} to <32 x bfloat>"));
            for (column, slot) in columns.iter().zip(slots) {
                let sum = self.text.def(format_args!("load <16 x float>, ptr {slot}"));
                let args = [
                    ("<16 x float>", sum.as_str()),
                    ("<32 x bfloat>", &one),
                    ("<32 x bfloat>", column),
                ];
                let sum = self.text.call("<16 x float>", "llvm.x86.avx512bf16.dpbf16ps.512", &args);
                self.text.line(format_args!("store <16 x float> {sum}, ptr {slot}"));
            }
        }
    }

    /// A loop over pairs of steps inside loops over the rest of a sum.
    pub fn pair_nest(
        &mut self,
        operands: &Operands,
        body: &mut dyn FnMut(&mut Self, &Point),
    ) -> Result<()> {
        let pairs = operands.pairs;
        self.nest(&operands.rest, None, &mut |this, point| {
            let count = this.count(pairs);
            let opened = this.text.open_loop("0", &count, "2");
            body(this, &point.with(pairs, &opened.at));
            this.text.close_loop(opened);
            Ok(())
        })
    }
}
