//! Loads, stores and atomic adds of tensors. No access happens outside its dimensions or at an absent lane.

use tilec_ir::{Axis, AxisSet, BinaryOp, Elem, Extent, InstData, Op, Param, ParamType, Value};
use tilec_vocab::DType;

use super::emit::{Buffer, Emitter, Home, Kind, Result};
use super::eval::{Point, Val, overload};
use super::math::literal;

/// Rows and columns of a square that is turned in registers.
const SQUARE: usize = 16;

/// How many rows early memory is asked for.
const ROWS_AHEAD: usize = 4;

/// Where the lanes of one access are.
enum Place {
    /// One element, if `ok`.
    One { pointer: String, ok: String },
    /// Lane `n` is `n` strides on from `pointer`; lanes `lower..upper` exist.
    Row { pointer: String, stride: String, lower: String, upper: String },
    /// Anywhere; the lanes in `mask` exist.
    Each { pointers: String, mask: String },
}

/// How LLVM sees an element in memory.
pub(super) fn element(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "float",
        DType::F16 => "half",
        DType::BF16 => "i16",
        DType::I32 => "i32",
        DType::I64 => "i64",
        DType::Bool => "i8",
    }
}

impl Emitter<'_> {
    /// A load at a point.
    pub fn load(
        &mut self,
        data: &InstData,
        param: Param,
        axes: &AxisSet,
        point: &mut Point,
    ) -> Result<Val> {
        let dtype = self.element_type(param);
        let element = element(dtype);
        let vector = point.spans(axes);
        let raw = match self.place(param, &data.args, axes, point)? {
            Place::One { pointer, ok } => {
                let safe = self.text.def(format_args!("select i1 {ok}, ptr {pointer}, ptr @zero"));
                self.text.def(format_args!("load {element}, ptr {safe}"))
            }
            Place::Row { pointer, stride, lower, upper } => {
                let fast = self.whole_row(&stride, &lower, &upper);
                let ty = self.lanes_of(element, true);
                let mut branch = self.text.open_if(&fast);
                let size = dtype.size_bytes();
                self.fetch_ahead(param, &data.args, element, &pointer);
                let row = self.text.def(format_args!("load {ty}, ptr {pointer}, align {size}"));
                self.text.open_else(&mut branch);
                let (pointers, mask) = self.row_lanes(element, &pointer, &stride, &lower, &upper);
                let ptrs = self.lanes_of("ptr", true);
                let lanes = self.gather(element, &ptrs, &pointers, &mask);
                self.text.close_if_with(branch, &ty, &row, &lanes)
            }
            Place::Each { pointers, mask } => {
                let ptrs = self.lanes_of("ptr", true);
                self.gather(element, &ptrs, &pointers, &mask)
            }
        };
        Ok(Val { text: self.decoded(&raw, dtype, vector), vector })
    }

    /// Asks for the part of a later row that is under this one: the machine foresees what follows in a row by itself.
    fn fetch_ahead(&mut self, param: Param, indices: &[Value], element: &str, pointer: &str) {
        let Some(axis) = self.row_axis else { return };
        let spans = |&index: &Value| self.is_linear(index, axis);
        let Some(n) = indices.iter().position(spans) else { return };
        let stride = self.param_word(param, n + 1);
        let ahead = self.text.def(format_args!("mul i64 {stride}, {ROWS_AHEAD}"));
        let ahead =
            self.text.def(format_args!("getelementptr {element}, ptr {pointer}, i64 {ahead}"));
        let hints = [("ptr", ahead.as_str()), ("i32", "0"), ("i32", "3"), ("i32", "1")];
        self.text.call_void("llvm.prefetch.p0", &hints);
    }

    /// A store or atomic add of a whole tile.
    pub fn store(&mut self, data: &InstData, param: Param, atomic: bool) -> Result<()> {
        let (value, indices) = (data.args[0], &data.args[1..]);
        let axes = indices.iter().fold(AxisSet::new(), |set, &index| set.union(self.axes(index)));
        if atomic {
            return self.nest(axes.as_slice(), None, &mut |this, point| {
                this.atomic_lane(value, param, indices, &axes, point)
            });
        }
        let along = self.store_axis(value, indices, &axes);
        let turned = along.map_or(Ok(None), |along| self.turned(value, along))?;
        // Of this store alone: what stands after it may not come after it.
        let home = turned.map(|turned| self.homes.insert(value, Home::Buffer(turned)));
        let rest: Vec<Axis> = axes.iter().filter(|&axis| Some(axis) != along).collect();
        self.nest(&rest, along, &mut |this, point| {
            this.store_lanes(value, param, indices, &axes, point)
        })?;
        match home {
            Some(Some(home)) => _ = self.homes.insert(value, home),
            Some(None) => _ = self.homes.remove(&value),
            None => {}
        }
        Ok(())
    }

    /// A value that is about to be stored across its vectors, in a buffer that runs along the store's, turned in squares.
    fn turned(&mut self, value: Value, along: Axis) -> Result<Option<Buffer>> {
        let axes = self.axes(value);
        let across = self.layouts.inner(value);
        let Some(across) = across.filter(|&axis| axis != along && axes.contains(along)) else {
            return Ok(None);
        };
        let extents = [across, along].map(|axis| self.extent(axis));
        if self.host.lanes != SQUARE
            || self.kind(value) != Kind::Float
            || extents.iter().any(|extent| !extent.is_multiple_of(SQUARE))
        {
            return Ok(None);
        }
        let source = self.buffer(value, Some(across))?;
        let target = self.allocate(Kind::Float, axes, along)?;
        let outer: Vec<Axis> = axes.iter().filter(|&a| a != across && a != along).collect();
        let counts = [across, along].map(|axis| self.count(axis));
        self.nest(&outer, None, &mut |this, point| {
            let first = this.text.open_loop("0", &counts[0], &SQUARE.to_string());
            let second = this.text.open_loop("0", &counts[1], &SQUARE.to_string());
            let mut rows = Vec::new();
            for n in 0..SQUARE {
                let lane = this.text.def(format_args!("add nuw nsw i64 {}, {n}", second.at));
                let at = point.with(along, &lane).along(across, &first.at);
                rows.push(this.read(&source, axes, &at).text);
            }
            for (n, column) in this.transposed("float", &rows).into_iter().enumerate() {
                let lane = this.text.def(format_args!("add nuw nsw i64 {}, {n}", first.at));
                let at = point.with(across, &lane).along(along, &second.at);
                this.write(&target, axes, &at, &Val::lanes(column));
            }
            this.text.close_loop(second);
            this.text.close_loop(first);
            Ok(())
        })?;
        Ok(Some(target))
    }

    /// The axis along which memory most likely runs.
    fn store_axis(&self, value: Value, indices: &[Value], axes: &AxisSet) -> Option<Axis> {
        let last = indices.last()?;
        let linear = self.axes(*last).iter().rev().find(|&axis| self.is_linear(*last, axis));
        linear.or_else(|| self.layouts.inner(value)).or_else(|| axes.iter().next_back())
    }

    fn store_lanes(
        &mut self,
        value: Value,
        param: Param,
        indices: &[Value],
        axes: &AxisSet,
        point: &mut Point,
    ) -> Result<()> {
        let dtype = self.element_type(param);
        let element = element(dtype);
        let vector = point.spans(axes);
        let val = if vector { self.eval_lifted(value, point)? } else { self.eval(value, point)? };
        let bits = self.encoded(&val.text, dtype, vector);
        let (ty, size) = (self.lanes_of(element, vector), dtype.size_bytes());
        match self.place(param, indices, axes, point)? {
            Place::One { pointer, ok } => {
                let mut branch = self.text.open_if(&ok);
                self.text.line(format_args!("store {ty} {bits}, ptr {pointer}"));
                self.text.open_else(&mut branch);
                self.text.close_if(branch);
            }
            Place::Row { pointer, stride, lower, upper } => {
                let fast = self.whole_row(&stride, &lower, &upper);
                let mut branch = self.text.open_if(&fast);
                self.text.line(format_args!("store {ty} {bits}, ptr {pointer}, align {size}"));
                self.text.open_else(&mut branch);
                let (pointers, mask) = self.row_lanes(element, &pointer, &stride, &lower, &upper);
                self.scatter(element, size, &bits, &pointers, &mask);
                self.text.close_if(branch);
            }
            Place::Each { pointers, mask } => {
                self.scatter(element, size, &bits, &pointers, &mask);
            }
        }
        Ok(())
    }

    fn scatter(&mut self, element: &str, size: usize, bits: &str, pointers: &str, mask: &str) {
        let width = self.host.lanes;
        let (ty, ptrs, masks) =
            (self.lanes_of(element, true), self.lanes_of("ptr", true), self.lanes_of("i1", true));
        let name = overload(element);
        let name = format!("llvm.masked.scatter.v{width}{name}.v{width}p0");
        let ptrs = format!("{ptrs} align {size}");
        self.text.call_void(&name, &[(&ty, bits), (&ptrs, pointers), (&masks, mask)]);
    }

    fn atomic_lane(
        &mut self,
        value: Value,
        param: Param,
        indices: &[Value],
        axes: &AxisSet,
        point: &mut Point,
    ) -> Result<()> {
        let dtype = self.element_type(param);
        let val = self.eval(value, point)?;
        let Place::One { pointer, ok } = self.place(param, indices, axes, point)? else {
            return self.unsupported("an atomic add of a vector", self.kernel.span);
        };
        let mut branch = self.text.open_if(&ok);
        match dtype {
            DType::F32 => {
                let add = format!("atomicrmw fadd ptr {pointer}, float {} monotonic", val.text);
                self.text.def(add);
            }
            DType::I32 | DType::I64 => {
                let (ty, bits) = (element(dtype), self.encoded(&val.text, dtype, false));
                self.text.def(format_args!("atomicrmw add ptr {pointer}, {ty} {bits} monotonic"));
            }
            DType::F16 | DType::BF16 => self.exchange_sum(dtype, &pointer, &val.text),
            DType::Bool => return self.unsupported("an atomic add of bool", self.kernel.span),
        }
        self.text.open_else(&mut branch);
        self.text.close_if(branch);
        Ok(())
    }

    /// Adds to a 16-bit float until nobody was in between.
    fn exchange_sum(&mut self, dtype: DType, pointer: &str, x: &str) {
        let slot = self.text.slot("i16");
        let first =
            self.text.def(format_args!("load atomic i16, ptr {pointer} monotonic, align 2"));
        self.text.line(format_args!("store i16 {first}, ptr {slot}"));
        let (head, end) = (self.text.new_label(), self.text.new_label());
        self.text.line(format_args!("br label %{head}"));
        self.text.begin(head.clone());
        let old = self.text.def(format_args!("load i16, ptr {slot}"));
        let seen = match dtype {
            DType::F16 => self.text.def(format_args!("bitcast i16 {old} to half")),
            _ => old.clone(),
        };
        let seen = self.decoded(&seen, dtype, false);
        let sum = self.fop("fadd", false, &seen, x);
        let sum = self.rounded(sum, dtype, false);
        let mut bits = self.encoded(&sum, dtype, false);
        if dtype == DType::F16 {
            bits = self.text.def(format_args!("bitcast half {bits} to i16"));
        }
        let pair = self
            .text
            .def(format_args!("cmpxchg ptr {pointer}, i16 {old}, i16 {bits} monotonic monotonic"));
        let now = self.text.def(format_args!("extractvalue {{ i16, i1 }} {pair}, 0"));
        let done = self.text.def(format_args!("extractvalue {{ i16, i1 }} {pair}, 1"));
        self.text.line(format_args!("store i16 {now}, ptr {slot}"));
        self.text.line(format_args!("br i1 {done}, label %{end}, label %{head}"));
        self.text.begin(end);
    }

    fn element_type(&self, param: Param) -> DType {
        match &self.kernel.params[param].ty {
            ParamType::Tensor { elem: Elem::Known(dtype), .. }
            | ParamType::Scalar(Elem::Known(dtype)) => *dtype,
            _ => DType::F32,
        }
    }

    /// Whether a row is one run of memory, all of it there.
    fn whole_row(&mut self, stride: &str, lower: &str, upper: &str) -> String {
        let width = self.host.lanes;
        let unit = self.text.def(format_args!("icmp eq i64 {stride}, 1"));
        let from_start = self.text.def(format_args!("icmp sle i64 {lower}, 0"));
        let to_end = self.text.def(format_args!("icmp sge i64 {upper}, {width}"));
        let all = self.text.def(format_args!("and i1 {from_start}, {to_end}"));
        self.text.def(format_args!("and i1 {all}, {unit}"))
    }

    /// A pointer for each lane of a row, and which lanes exist.
    fn row_lanes(
        &mut self,
        element: &str,
        pointer: &str,
        stride: &str,
        lower: &str,
        upper: &str,
    ) -> (String, String) {
        let (lanes, iota) = (self.lanes_of("i64", true), self.iota());
        let stride = self.splat(stride, "i64");
        let steps = self.text.def(format_args!("mul {lanes} {iota}, {stride}"));
        let pointers =
            self.text.def(format_args!("getelementptr {element}, ptr {pointer}, {lanes} {steps}"));
        let (lower, upper) = (self.splat(lower, "i64"), self.splat(upper, "i64"));
        let after = self.text.def(format_args!("icmp sge {lanes} {iota}, {lower}"));
        let before = self.text.def(format_args!("icmp slt {lanes} {iota}, {upper}"));
        let masks = self.lanes_of("i1", true);
        (pointers, self.text.def(format_args!("and {masks} {after}, {before}")))
    }

    /// Finds the lanes of an access over `axes` at a point.
    fn place(
        &mut self,
        param: Param,
        indices: &[Value],
        axes: &AxisSet,
        point: &mut Point,
    ) -> Result<Place> {
        let element = element(self.element_type(param));
        let address = self.param_word(param, 0);
        let base = self.text.def(format_args!("inttoptr i64 {address} to ptr"));
        let (vector, first) = match point.vector.clone() {
            Some((axis, lane)) if axes.contains(axis) => (Some(axis), lane),
            _ => (None, String::new()),
        };
        let mut along: Vec<usize> = Vec::new();
        let (mut ok, mut offset) = ("true".to_string(), "0".to_string());
        for (n, &index) in indices.iter().enumerate() {
            if vector.is_some_and(|axis| self.axes(index).contains(axis)) {
                along.push(n);
                continue;
            }
            let at = self.eval(index, point)?.text;
            let (extent, stride) = (self.dimension(param, n), self.param_word(param, n + 1));
            let inside = self.text.def(format_args!("icmp ult i64 {at}, {extent}"));
            ok = self.text.def(format_args!("and i1 {ok}, {inside}"));
            let part = self.text.def(format_args!("mul i64 {at}, {stride}"));
            offset = self.text.def(format_args!("add i64 {offset}, {part}"));
        }
        let pointer =
            self.text.def(format_args!("getelementptr {element}, ptr {base}, i64 {offset}"));
        let Some(axis) = vector else { return Ok(Place::One { pointer, ok }) };
        let count = self.count(axis);
        let left = self.text.def(format_args!("sub i64 {count}, {first}"));
        if let [n] = along[..]
            && self.is_linear(indices[n], axis)
        {
            let at = self.eval(indices[n], &mut point.first())?.text;
            let (extent, stride) = (self.dimension(param, n), self.param_word(param, n + 1));
            let difference = |this: &mut Self, a: &str, b: &str| {
                this.text.call("i64", "llvm.ssub.sat.i64", &[("i64", a), ("i64", b)])
            };
            let lower = difference(self, "0", &at);
            let room = difference(self, &extent, &at);
            let upper = self.intrinsic("smin", Kind::Int, false, &[&room, &left]);
            let upper = self.text.def(format_args!("select i1 {ok}, i64 {upper}, i64 0"));
            let part = self.text.def(format_args!("mul i64 {at}, {stride}"));
            let pointer =
                self.text.def(format_args!("getelementptr {element}, ptr {pointer}, i64 {part}"));
            return Ok(Place::Row { pointer, stride, lower, upper });
        }
        let (lanes, masks) = (self.lanes_of("i64", true), self.lanes_of("i1", true));
        let present = self.lanes_below(&left);
        let ok = self.splat(&ok, "i1");
        let mut mask = self.text.def(format_args!("and {masks} {present}, {ok}"));
        let mut offsets = "zeroinitializer".to_string();
        for n in along {
            let at = self.eval(indices[n], point)?;
            let at = self.lift(&at, "i64");
            let (extent, stride) = (self.dimension(param, n), self.param_word(param, n + 1));
            let (extent, stride) = (self.splat(&extent, "i64"), self.splat(&stride, "i64"));
            let inside = self.text.def(format_args!("icmp ult {lanes} {at}, {extent}"));
            mask = self.text.def(format_args!("and {masks} {mask}, {inside}"));
            let part = self.text.def(format_args!("mul {lanes} {at}, {stride}"));
            offsets = self.text.def(format_args!("add {lanes} {offsets}, {part}"));
        }
        let pointers = self
            .text
            .def(format_args!("getelementptr {element}, ptr {pointer}, {lanes} {offsets}"));
        Ok(Place::Each { pointers, mask })
    }

    pub fn dimension(&mut self, param: Param, n: usize) -> String {
        let ParamType::Tensor { dims, .. } = &self.kernel.params[param].ty else {
            return "0".into();
        };
        match dims[n] {
            Extent::Const(extent) => extent.to_string(),
            Extent::Dim(dim) => self.dim_word(dim),
            Extent::Generic(_) => "0".into(),
        }
    }

    /// Whether an index goes up by one with each lane of an axis.
    pub fn is_linear(&self, index: Value, axis: Axis) -> bool {
        if !self.axes(index).contains(axis) {
            return false;
        }
        let Some(data) = self.kernel.def(index) else { return false };
        let spans = |n: usize| self.axes(data.args[n]).contains(axis);
        match data.op {
            Op::Index(mine) => mine == axis,
            Op::Splat => self.is_linear(data.args[0], axis),
            Op::Binary(BinaryOp::Add) => {
                self.is_linear(data.args[0], axis) && !spans(1)
                    || self.is_linear(data.args[1], axis) && !spans(0)
            }
            Op::Binary(BinaryOp::Sub) => self.is_linear(data.args[0], axis) && !spans(1),
            _ => false,
        }
    }

    fn decoded(&mut self, raw: &str, dtype: DType, v: bool) -> String {
        let (ty, kind) = (self.lanes_of(element(dtype), v), self.ty(Kind::of(dtype), v));
        match dtype {
            DType::F32 | DType::I64 => raw.to_string(),
            DType::F16 => self.text.def(format_args!("fpext {ty} {raw} to {kind}")),
            DType::BF16 => {
                let bits = self.lanes_of("i32", v);
                let wide = self.text.def(format_args!("zext {ty} {raw} to {bits}"));
                let placed =
                    self.text.def(format_args!("shl {bits} {wide}, {}", literal("i32", 16, v)));
                self.text.def(format_args!("bitcast {bits} {placed} to {kind}"))
            }
            DType::I32 => self.text.def(format_args!("sext {ty} {raw} to {kind}")),
            DType::Bool => {
                let zero = if v { "zeroinitializer" } else { "0" };
                self.text.def(format_args!("icmp ne {ty} {raw}, {zero}"))
            }
        }
    }

    /// A value that is already rounded to `dtype`, as memory holds it.
    fn encoded(&mut self, x: &str, dtype: DType, v: bool) -> String {
        let (ty, kind) = (self.lanes_of(element(dtype), v), self.ty(Kind::of(dtype), v));
        match dtype {
            DType::F32 | DType::I64 => x.to_string(),
            DType::F16 => self.text.def(format_args!("fptrunc {kind} {x} to {ty}")),
            DType::BF16 => {
                let bits = self.lanes_of("i32", v);
                let raw = self.text.def(format_args!("bitcast {kind} {x} to {bits}"));
                let top =
                    self.text.def(format_args!("lshr {bits} {raw}, {}", literal("i32", 16, v)));
                self.text.def(format_args!("trunc {bits} {top} to {ty}"))
            }
            DType::I32 => self.text.def(format_args!("trunc {kind} {x} to {ty}")),
            DType::Bool => self.text.def(format_args!("zext {kind} {x} to {ty}")),
        }
    }
}
