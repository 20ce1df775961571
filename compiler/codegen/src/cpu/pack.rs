//! Operands of bf16 dots, as AMX and `vdpbf16ps` want them: rows with neighbours along the sum side by side, or
//! those neighbours interleaved lane by lane ([`Role`]). What is not there is zero on both sides, so that it adds nothing.
//!
//! A tile that is computed is packed vector by vector. A block of a tensor that is wholly there is read as it lies, or
//! moved by whole vectors (`transpose.rs`).

use std::collections::BTreeMap;

use tilec_ir::{Axis, AxisSet, InstData, Op, Param, ParamType, Value};
use tilec_vocab::DType;

use super::access::element;
use super::emit::{Emitter, Result, apart};
use super::eval::Point;
use super::layout::{Format, Role};
use super::text::Text;

/// Lanes of a tile, and of a vector of f32.
pub(super) const LANES: usize = 16;

/// Steps along the sum that one row of a tile holds.
pub(super) const STEPS: usize = 32;

/// Rows farther apart than this are moved together first: at powers of two they would meet in few lines of the first cache.
const FAR_BYTES: usize = 512;

/// An operand in memory.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    pub pointer: String,
    /// Bytes from one row to the next: a row is a lane, or two steps.
    pub row_bytes: String,
    /// Of the axes that are neither lanes nor steps, in elements.
    pub strides: BTreeMap<Axis, usize>,
    pub region: usize,
}

/// A block of a tensor: lanes and steps as plain strides from its first element.
pub(super) struct Panel {
    pub pointer: String,
    pub lane_stride: String,
    pub step_stride: String,
    /// Whether all of it is there.
    pub whole: String,
    pub read_only: bool,
}

impl Emitter<'_> {
    /// An operand that is packed already, or is packed now.
    pub fn packed(&mut self, value: Value, format: Format) -> Result<Packed> {
        match self.packed.get(&(value, format)) {
            Some(packed) => Ok(packed.clone()),
            None => self.pack(value, format),
        }
    }

    /// Packs an operand.
    pub fn pack(&mut self, value: Value, format: Format) -> Result<Packed> {
        let packed = self.room_for(value, format)?;
        let Some(panel) = self.panel(value, format)? else {
            self.pack_computed(value, format, &packed)?;
            return Ok(packed);
        };
        let along_steps = self.runs_along(value, format.steps);
        let unit = if along_steps { &panel.step_stride } else { &panel.lane_stride };
        let unit = self.text.def(format_args!("icmp eq i64 {unit}, 1"));
        let ready = self.text.def(format_args!("and i1 {}, {unit}", panel.whole));
        let moved = |this: &mut Self| {
            let mut branch = this.text.open_if(&ready);
            this.move_panel(format, &panel, along_steps, &packed);
            this.text.open_else(&mut branch);
            this.pack_computed(value, format, &packed)?;
            this.text.close_if(branch);
            Ok(())
        };
        if format.role != Role::Rows || !along_steps || !panel.read_only {
            moved(self)?;
            return Ok(packed);
        }
        let row_bytes = self.text.def(format_args!("mul i64 {}, 2", panel.lane_stride));
        let near = self.text.def(format_args!("icmp ule i64 {row_bytes}, {FAR_BYTES}"));
        let as_it_lies = self.text.def(format_args!("and i1 {ready}, {near}"));
        let mut branch = self.text.open_if(&as_it_lies);
        self.text.open_else(&mut branch);
        moved(self)?;
        let (otherwise, then) = (self.text.current().to_string(), branch.then_end().to_string());
        self.text.close_if(branch);
        let pointer = self.text.def(format_args!(
            "phi ptr [ {}, %{then} ], [ {}, %{otherwise} ]",
            panel.pointer, packed.pointer
        ));
        let row_bytes = self.text.def(format_args!(
            "phi i64 [ {row_bytes}, %{then} ], [ {}, %{otherwise} ]",
            packed.row_bytes
        ));
        Ok(Packed { pointer, row_bytes, ..packed })
    }

    /// The address of a packed operand's first row, at a point of its other axes.
    pub fn packed_at(&mut self, packed: &Packed, point: &Point) -> String {
        let mut pointer = packed.pointer.clone();
        for (axis, stride) in &packed.strides {
            let lane = point.at.get(axis).cloned().unwrap_or_else(|| "0".into());
            let offset = self.text.def(format_args!("mul nuw nsw i64 {lane}, {stride}"));
            pointer = self
                .text
                .def(format_args!("getelementptr inbounds i16, ptr {pointer}, i64 {offset}"));
        }
        pointer
    }

    /// The address of a row.
    pub fn packed_row(&mut self, packed: &Packed, first: &str, row: &str) -> String {
        let offset = self.text.def(format_args!("mul nuw nsw i64 {row}, {}", packed.row_bytes));
        self.text.def(format_args!("getelementptr inbounds i8, ptr {first}, i64 {offset}"))
    }

    fn row_bytes(&self, format: Format) -> usize {
        apart(match format.role {
            Role::Rows => 2 * self.extent(format.steps).next_multiple_of(STEPS),
            Role::Vectors => {
                4 * format.lanes.map_or(1, |axis| self.extent(axis)).next_multiple_of(LANES)
            }
        })
    }

    /// Room for a packed operand.
    pub fn room_for(&mut self, value: Value, format: Format) -> Result<Packed> {
        let axes = self.axes(value);
        let lanes = format.lanes.map_or(1, |axis| self.extent(axis)).next_multiple_of(LANES);
        let steps = self.extent(format.steps).next_multiple_of(STEPS);
        let row_bytes = self.row_bytes(format);
        let rows = if format.role == Role::Rows { lanes } else { steps / 2 };
        let mut size = rows * row_bytes / 2;
        let mut strides = BTreeMap::new();
        for axis in axes.iter().rev() {
            if axis != format.steps && Some(axis) != format.lanes {
                strides.insert(axis, size);
                size = size.saturating_mul(self.extent(axis));
            }
        }
        let (pointer, region) = self.room(axes, size.saturating_mul(2))?;
        Ok(Packed { pointer, row_bytes: row_bytes.to_string(), strides, region })
    }

    /// Whether an axis has no absent lanes and is a multiple of `unit` long.
    pub fn is_whole(&self, axis: Axis, unit: usize) -> bool {
        self.count(axis) == self.extent(axis).to_string() && self.extent(axis).is_multiple_of(unit)
    }

    fn pack_computed(&mut self, value: Value, format: Format, packed: &Packed) -> Result<()> {
        let others: Vec<Axis> = packed.strides.keys().copied().collect();
        self.nest(&others, None, &mut |this, point| match format.role {
            Role::Rows => this.pack_rows(value, format, packed, point),
            Role::Vectors => this.pack_vectors(value, format, packed, point),
        })
    }

    fn pack_rows(
        &mut self,
        value: Value,
        format: Format,
        packed: &Packed,
        point: &Point,
    ) -> Result<()> {
        let first = self.packed_at(packed, point);
        let steps = format.steps;
        let lanes: Vec<Axis> = format.lanes.into_iter().collect();
        self.nest_from(point, &lanes, None, &mut |this, point| {
            let lane = format.lanes.and_then(|axis| point.at.get(&axis).cloned());
            let row = this.packed_row(packed, &first, lane.as_deref().unwrap_or("0"));
            let count = this.count(steps);
            let opened = this.text.open_loop("0", &count, &LANES.to_string());
            let mut val = this.eval_unrounded(value, &mut point.along(steps, &opened.at))?;
            if !this.is_whole(steps, LANES) {
                let left = this.text.def(format_args!("sub i64 {count}, {}", opened.at));
                let mask = this.lanes_below(&left);
                val = this.text.def(format_args!(
                    "select <16 x i1> {mask}, <16 x float> {val}, <16 x float> zeroinitializer"
                ));
            }
            let bits = this.text.call(
                "<16 x bfloat>",
                "llvm.x86.avx512bf16.cvtneps2bf16.512",
                &[("<16 x float>", &val)],
            );
            let at = &opened.at;
            let place =
                this.text.def(format_args!("getelementptr inbounds i16, ptr {row}, i64 {at}"));
            let tag = Text::tag(packed.region);
            this.text.line(format_args!("store <16 x bfloat> {bits}, ptr {place}, align 32{tag}"));
            this.text.close_loop(opened);
            if this.is_whole(steps, STEPS) {
                return Ok(());
            }
            // The rest of the row's last block of steps.
            let (from, to) = (this.rounded_up(&count, LANES), this.rounded_up(&count, STEPS));
            let opened = this.text.open_loop(&from, &to, &LANES.to_string());
            let at = &opened.at;
            let place =
                this.text.def(format_args!("getelementptr inbounds i16, ptr {row}, i64 {at}"));
            this.text
                .line(format_args!("store <16 x i16> zeroinitializer, ptr {place}, align 32{tag}"));
            this.text.close_loop(opened);
            Ok(())
        })
    }

    fn pack_vectors(
        &mut self,
        value: Value,
        format: Format,
        packed: &Packed,
        point: &Point,
    ) -> Result<()> {
        let first = self.packed_at(packed, point);
        let lanes = format.lanes.map_or_else(|| "1".into(), |axis| self.count(axis));
        let opened = self.text.open_loop("0", &lanes, &LANES.to_string());
        let base = opened.at.clone();
        let point = match format.lanes {
            Some(axis) => point.along(axis, &base),
            None => point.clone(),
        };
        let count = self.count(format.steps);
        let steps = self.text.open_loop("0", &count, "2");
        let at = steps.at.clone();
        let even = self.eval_unrounded(value, &mut point.with(format.steps, &at))?;
        let odd = self.second_of_pair(value, format.steps, &at, &point)?;
        self.write_pair(packed, &first, &at, &base, [&even, &odd]);
        self.text.close_loop(steps);
        self.zero_pairs(format.steps, packed, &first, &base);
        self.text.close_loop(opened);
        Ok(())
    }

    /// A vector of values before they are rounded to bf16, which packing does.
    pub fn eval_unrounded(&mut self, value: Value, point: &mut Point) -> Result<String> {
        let cast =
            self.kernel.def(value).filter(|data| data.op == Op::Cast).map(|data| data.args[0]);
        let unrounded =
            cast.filter(|&from| !self.homes.contains_key(&value) && self.dtype(from) == DType::F32);
        let val = self.eval_lifted(unrounded.unwrap_or(value), point)?;
        Ok(self.lift(&val, "float"))
    }

    /// The value at the step after `at`; zero if there is none.
    pub fn second_of_pair(
        &mut self,
        value: Value,
        steps: Axis,
        at: &str,
        point: &Point,
    ) -> Result<String> {
        let next = self.text.def(format_args!("add nuw nsw i64 {at}, 1"));
        if self.is_whole(steps, 2) {
            return self.eval_unrounded(value, &mut point.with(steps, &next));
        }
        let count = self.count(steps);
        let there = self.text.def(format_args!("icmp slt i64 {next}, {count}"));
        let next = self.text.def(format_args!("select i1 {there}, i64 {next}, i64 {at}"));
        let odd = self.eval_unrounded(value, &mut point.with(steps, &next))?;
        Ok(self.text.def(format_args!(
            "select i1 {there}, <16 x float> {odd}, <16 x float> zeroinitializer"
        )))
    }

    /// Writes the steps `at` and `at + 1` of the lanes from `base` on.
    pub fn write_pair(
        &mut self,
        packed: &Packed,
        first: &str,
        at: &str,
        base: &str,
        [even, odd]: [&str; 2],
    ) {
        let halves = self.text.call(
            "<32 x bfloat>",
            "llvm.x86.avx512bf16.cvtne2ps2bf16.512",
            &[("<16 x float>", odd), ("<16 x float>", even)],
        );
        let order: Vec<String> =
            (0..LANES).flat_map(|n| [format!("i32 {n}"), format!("i32 {}", n + LANES)]).collect();
        let pairs = self.text.def(format_args!(
            "shufflevector <32 x bfloat> {halves}, <32 x bfloat> poison, <32 x i32> <{}>",
            order.join(", ")
        ));
        let row = self.text.def(format_args!("lshr i64 {at}, 1"));
        let row = self.packed_row(packed, first, &row);
        let place =
            self.text.def(format_args!("getelementptr inbounds i32, ptr {row}, i64 {base}"));
        let tag = Text::tag(packed.region);
        self.text.line(format_args!("store <32 x bfloat> {pairs}, ptr {place}, align 64{tag}"));
    }

    /// Zeros for the pairs from the last step to the end of its block.
    pub fn zero_pairs(&mut self, steps: Axis, packed: &Packed, first: &str, base: &str) {
        if self.is_whole(steps, STEPS) {
            return;
        }
        let count = self.count(steps);
        let (from, to) = (self.rounded_up(&count, 2), self.rounded_up(&count, STEPS));
        let opened = self.text.open_loop(&from, &to, "2");
        let row = self.text.def(format_args!("lshr i64 {}, 1", opened.at));
        let row = self.packed_row(packed, first, &row);
        let place =
            self.text.def(format_args!("getelementptr inbounds i32, ptr {row}, i64 {base}"));
        let tag = Text::tag(packed.region);
        self.text
            .line(format_args!("store <16 x i32> zeroinitializer, ptr {place}, align 64{tag}"));
        self.text.close_loop(opened);
    }

    pub fn rounded_up(&mut self, count: &str, unit: usize) -> String {
        let up = self.text.def(format_args!("add i64 {count}, {}", unit - 1));
        self.text.def(format_args!("and i64 {up}, -{unit}"))
    }

    /// Whether memory most likely has this axis innermost: it is in a load's last index.
    pub fn runs_along(&self, value: Value, axis: Axis) -> bool {
        let last = self.kernel.def(value).and_then(|data| data.args.last());
        last.is_some_and(|&index| self.axes(index).contains(axis))
    }

    /// A load of bf16 whose lanes and steps are plain strides, in whole tiles.
    fn panel(&mut self, value: Value, format: Format) -> Result<Option<Panel>> {
        let Some(lanes) = format.lanes else { return Ok(None) };
        let whole_tiles = self.extent(lanes).is_multiple_of(LANES)
            && self.extent(format.steps).is_multiple_of(STEPS);
        if self.homes.contains_key(&value)
            || self.dtype(value) != DType::BF16
            || !whole_tiles
            || !(self.runs_along(value, lanes) || self.runs_along(value, format.steps))
        {
            return Ok(None);
        }
        self.panel_over(value, lanes, format.steps)
    }

    /// A load over two axes, each a plain stride.
    pub fn panel_over(&mut self, value: Value, lanes: Axis, steps: Axis) -> Result<Option<Panel>> {
        let kernel = self.kernel;
        let Some(data) = kernel.def(value) else { return Ok(None) };
        let Op::Load(param) = data.op else { return Ok(None) };
        if self.axes(value) != &AxisSet::from_iter([lanes, steps]) {
            return Ok(None);
        }
        let position = |this: &Self, mine: Axis, other: Axis| {
            let spans = |n: &usize| this.axes(data.args[*n]).contains(mine);
            let mut found = (0..data.args.len()).filter(spans);
            let n = found.next()?;
            let alone = found.next().is_none() && !this.axes(data.args[n]).contains(other);
            (alone && this.is_linear(data.args[n], mine)).then_some(n)
        };
        let (Some(of_lanes), Some(of_steps)) =
            (position(self, lanes, steps), position(self, steps, lanes))
        else {
            return Ok(None);
        };
        let element = element(self.dtype(value));
        self.panel_at(data, param, element, [(of_lanes, lanes), (of_steps, steps)]).map(Some)
    }

    fn panel_at(
        &mut self,
        data: &InstData,
        param: Param,
        element: &str,
        along: [(usize, Axis); 2],
    ) -> Result<Panel> {
        let address = self.param_word(param, 0);
        let base = self.text.def(format_args!("inttoptr i64 {address} to ptr"));
        let (mut whole, mut offset) = ("true".to_string(), "0".to_string());
        let mut strides = vec![String::new(); data.args.len()];
        for (n, &index) in data.args.iter().enumerate() {
            let at = self.eval(index, &mut Point::default())?.text;
            let (extent, stride) = (self.dimension(param, n), self.param_word(param, n + 1));
            let inside = match along.iter().find(|(of, _)| *of == n) {
                None => self.text.def(format_args!("icmp ult i64 {at}, {extent}")),
                Some((_, axis)) => {
                    let (count, lanes) = (self.count(*axis), self.extent(*axis));
                    let all = self.text.def(format_args!("icmp eq i64 {count}, {lanes}"));
                    let from = self.text.def(format_args!("icmp sge i64 {at}, 0"));
                    let room = [("i64", extent.as_str()), ("i64", at.as_str())];
                    let room = self.text.call("i64", "llvm.ssub.sat.i64", &room);
                    let to = self.text.def(format_args!("icmp sge i64 {room}, {lanes}"));
                    let both = self.text.def(format_args!("and i1 {from}, {to}"));
                    self.text.def(format_args!("and i1 {all}, {both}"))
                }
            };
            whole = self.text.def(format_args!("and i1 {whole}, {inside}"));
            let part = self.text.def(format_args!("mul i64 {at}, {stride}"));
            offset = self.text.def(format_args!("add i64 {offset}, {part}"));
            strides[n] = stride;
        }
        let pointer =
            self.text.def(format_args!("getelementptr {element}, ptr {base}, i64 {offset}"));
        let read_only =
            matches!(self.kernel.params[param].ty, ParamType::Tensor { mutable: false, .. });
        let [(lanes, _), (steps, _)] = along;
        let (lane_stride, step_stride) = (strides[lanes].clone(), strides[steps].clone());
        Ok(Panel { pointer, lane_stride, step_stride, whole, read_only })
    }

    /// Moves a panel whose steps, or else whose lanes, are side by side.
    fn move_panel(&mut self, format: Format, panel: &Panel, along_steps: bool, packed: &Packed) {
        let lanes = format.lanes.map_or(1, |axis| self.extent(axis));
        let steps = self.extent(format.steps);
        let tag = Text::tag(packed.region);
        // Lanes that are side by side are read 32 at a time where there are as many.
        let wide = !along_steps && lanes.is_multiple_of(2 * LANES);
        let width = if wide { 2 * LANES } else { LANES };
        let outer = self.text.open_loop("0", &steps.to_string(), &STEPS.to_string());
        let inner = self.text.open_loop("0", &lanes.to_string(), &width.to_string());
        let (step, lane) = (outer.at.clone(), inner.at.clone());
        let first = self.text.def(format_args!("mul i64 {lane}, {}", panel.lane_stride));
        let second = self.text.def(format_args!("mul i64 {step}, {}", panel.step_stride));
        let offset = self.text.def(format_args!("add i64 {first}, {second}"));
        let mut from =
            self.text.def(format_args!("getelementptr i16, ptr {}, i64 {offset}", panel.pointer));
        // One row of memory after the other.
        let (stride, count) = match along_steps {
            true => (&panel.lane_stride, LANES),
            false => (&panel.step_stride, STEPS),
        };
        let mut sources = vec![from.clone()];
        for _ in 1..count {
            from = self.text.def(format_args!("getelementptr i16, ptr {from}, i64 {stride}"));
            sources.push(from.clone());
        }
        // So many rows at once are more than the machine follows by itself.
        let ahead = if along_steps { STEPS } else { 2 * width };
        for source in &sources {
            let next = format_args!("getelementptr i16, ptr {source}, i64 {ahead}");
            let next = self.text.def(next);
            let hints = [("ptr", next.as_str()), ("i32", "0"), ("i32", "3"), ("i32", "1")];
            self.text.call_void("llvm.prefetch.p0", &hints);
        }
        let row_bytes = self.row_bytes(format);
        let (row, offset) = match format.role {
            Role::Rows => (lane, self.text.def(format_args!("mul i64 {step}, 2"))),
            Role::Vectors => {
                let row = self.text.def(format_args!("lshr i64 {step}, 1"));
                (row, self.text.def(format_args!("mul i64 {lane}, 4")))
            }
        };
        let target = self.packed_row(packed, &packed.pointer, &row);
        let target =
            self.text.def(format_args!("getelementptr inbounds i8, ptr {target}, i64 {offset}"));
        // Each square with the lane each of its rows or columns stands for.
        let mut squares: Vec<(Vec<String>, Vec<usize>)> = Vec::new();
        if along_steps {
            // A row is 16 pairs of one lane.
            let rows = sources
                .iter()
                .map(|at| self.text.def(format_args!("load <16 x i32>, ptr {at}, align 2")));
            squares.push((rows.collect(), (0..LANES).collect()));
        } else {
            // A row is one pair of 16 lanes.
            let pairs = sources.chunks_exact(2).map(|pair| [&pair[0], &pair[1]]);
            if wide {
                let in_order = format.role == Role::Vectors;
                let halves = pairs.map(|pair| self.interleaved_wide(pair, in_order));
                let (low, high) = halves.map(|[low, high]| (low, high)).unzip();
                // Halves of each part of 128 bits, unless they are put in order.
                let lane = |high: usize, n: usize| match in_order {
                    true => LANES * high + n,
                    false => 8 * (n / 4) + 4 * high + n % 4,
                };
                squares.push((low, (0..LANES).map(|n| lane(0, n)).collect()));
                squares.push((high, (0..LANES).map(|n| lane(1, n)).collect()));
            } else {
                let rows = pairs.map(|pair| self.interleaved(pair)).collect();
                squares.push((rows, (0..LANES).collect()));
            }
        }
        for (mut rows, lanes) in squares {
            if along_steps != (format.role == Role::Rows) {
                rows = self.transposed("i32", &rows);
            }
            for (n, row) in rows.iter().enumerate() {
                let bytes = match format.role {
                    Role::Rows => lanes[n] * row_bytes,
                    Role::Vectors => n * row_bytes + 4 * lanes[0],
                };
                let place = format_args!("getelementptr inbounds i8, ptr {target}, i64 {bytes}");
                let place = self.text.def(place);
                self.text.line(format_args!("store <16 x i32> {row}, ptr {place}, align 64{tag}"));
            }
        }
        self.text.close_loop(inner);
        self.text.close_loop(outer);
    }
}
