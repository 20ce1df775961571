//! Element-wise values, computed where they are used: one lane, or one vector of lanes of one axis.

use std::collections::BTreeMap;

use tilec_ir::{Axis, Imm, InstData, Op, UnaryOp, Value};

use super::emit::{Buffer, Emitter, Home, Kind, Result};
use super::text::Text;

/// Which lanes of a tile are being computed.
#[derive(Clone, Default)]
pub(super) struct Point {
    /// A lane of each axis but the vector's.
    pub at: BTreeMap<Axis, String>,
    /// An axis, and the first lane of a vector of its lanes.
    pub vector: Option<(Axis, String)>,
    memo: BTreeMap<Value, Val>,
}

/// A computed value.
#[derive(Clone, Debug)]
pub(super) struct Val {
    pub text: String,
    /// One lane for all, or one for each lane of the vector.
    pub vector: bool,
}

impl Val {
    pub fn uniform(text: impl Into<String>) -> Val {
        Val { text: text.into(), vector: false }
    }

    pub fn lanes(text: impl Into<String>) -> Val {
        Val { text: text.into(), vector: true }
    }
}

impl Point {
    /// With one more axis at a lane.
    pub fn with(&self, axis: Axis, lane: &str) -> Point {
        let mut at = self.at.clone();
        at.insert(axis, lane.to_string());
        Point { at, vector: self.vector.clone(), memo: BTreeMap::new() }
    }

    /// With a vector of lanes of an axis.
    pub fn along(&self, axis: Axis, base: &str) -> Point {
        let vector = Some((axis, base.to_string()));
        Point { at: self.at.clone(), vector, memo: BTreeMap::new() }
    }

    /// The first lane of the vector only.
    pub fn first(&self) -> Point {
        let mut at = self.at.clone();
        if let Some((axis, base)) = &self.vector {
            at.insert(*axis, base.clone());
        }
        Point { at, vector: None, memo: BTreeMap::new() }
    }

    /// Whether a value of these axes differs along the vector.
    pub fn spans(&self, axes: &tilec_ir::AxisSet) -> bool {
        self.vector.as_ref().is_some_and(|(axis, _)| axes.contains(*axis))
    }
}

impl Emitter<'_> {
    /// LLVM's type of a value.
    pub fn ty(&self, kind: Kind, vector: bool) -> String {
        self.lanes_of(kind.lane(), vector)
    }

    /// `lane`, or a vector of it.
    pub fn lanes_of(&self, lane: &str, vector: bool) -> String {
        if vector { format!("<{} x {lane}>", self.host.lanes) } else { lane.to_string() }
    }

    /// A uniform value in each lane of a vector.
    pub fn lift(&mut self, value: &Val, lane: &str) -> String {
        if value.vector {
            return value.text.clone();
        }
        self.splat(&value.text, lane)
    }

    pub fn splat(&mut self, text: &str, lane: &str) -> String {
        if !text.starts_with('%') {
            return format!("splat ({lane} {text})");
        }
        let ty = self.lanes_of(lane, true);
        let one = self.text.def(format_args!("insertelement {ty} poison, {lane} {text}, i64 0"));
        let width = self.host.lanes;
        self.text.def(format_args!(
            "shufflevector {ty} {one}, {ty} poison, <{width} x i32> zeroinitializer"
        ))
    }

    /// `0, 1, 2, …`.
    pub fn iota(&self) -> String {
        let lanes: Vec<String> = (0..self.host.lanes).map(|n| format!("i64 {n}")).collect();
        format!("<{}>", lanes.join(", "))
    }

    /// Lanes of the vector below `count`.
    pub fn lanes_below(&mut self, count: &str) -> String {
        let ty = self.lanes_of("i64", true);
        let (iota, count) = (self.iota(), self.splat(count, "i64"));
        self.text.def(format_args!("icmp slt {ty} {iota}, {count}"))
    }

    /// The value at a point.
    pub fn eval(&mut self, value: Value, point: &mut Point) -> Result<Val> {
        if let Some(val) = point.memo.get(&value) {
            return Ok(val.clone());
        }
        let val = match self.homes.get(&value).cloned() {
            Some(Home::Scalar(text)) => Val::uniform(text),
            Some(Home::Buffer(buffer)) => self.read(&buffer, self.axes(value), point),
            None => self.compute(value, point)?,
        };
        point.memo.insert(value, val.clone());
        Ok(val)
    }

    /// As [`Emitter::eval`], spread over the vector where the point has one.
    pub fn eval_lifted(&mut self, value: Value, point: &mut Point) -> Result<Val> {
        let val = self.eval(value, point)?;
        if point.vector.is_none() || val.vector {
            return Ok(val);
        }
        let lane = self.kind(value).lane();
        Ok(Val::lanes(self.lift(&val, lane)))
    }

    fn compute(&mut self, value: Value, point: &mut Point) -> Result<Val> {
        self.check_size()?;
        let kernel = self.kernel;
        let Some(data) = kernel.def(value) else {
            return self.unsupported("a block parameter without a home", kernel.span);
        };
        let dtype = self.dtype(value);
        match &data.op {
            Op::Const(imm) => Ok(Val::uniform(constant(*imm))),
            Op::Dim(dim) => Ok(Val::uniform(self.dim_word(*dim))),
            Op::Program(n) => Ok(Val::uniform(self.word("program", *n as usize))),
            Op::Scalar(param) => {
                let word = self.param_word(*param, 0);
                Ok(Val::uniform(match Kind::of(dtype) {
                    Kind::Int => word,
                    Kind::Bool => self.text.def(format_args!("trunc i64 {word} to i1")),
                    Kind::Float => {
                        let bits = self.text.def(format_args!("trunc i64 {word} to i32"));
                        self.text.def(format_args!("bitcast i32 {bits} to float"))
                    }
                }))
            }
            Op::Index(axis) => Ok(self.index(*axis, point)),
            Op::Splat => self.eval(data.args[0], point),
            Op::Unary(op) => {
                let x = self.eval(data.args[0], point)?;
                if x.vector && matches!(op, UnaryOp::Exp | UnaryOp::Exp2) && self.is_coarse(value) {
                    return Ok(Val::lanes(self.coarse_exp(*op, &x.text)));
                }
                Ok(self.unary(*op, dtype, &x))
            }
            Op::Binary(op) => {
                let (a, b, vector) = self.pair(data, point)?;
                let text = self.binary(*op, dtype, &a, &b, vector);
                Ok(Val { text, vector })
            }
            Op::Compare(op) => {
                let (a, b, vector) = self.pair(data, point)?;
                let kind = self.kind(data.args[0]);
                Ok(Val { text: self.compare(*op, kind, &a, &b, vector), vector })
            }
            Op::Select => {
                let condition = self.eval(data.args[0], point)?;
                let kind = Kind::of(dtype);
                let (a, b) = (self.eval(data.args[1], point)?, self.eval(data.args[2], point)?);
                let vector = condition.vector || a.vector || b.vector;
                let (a, b) = (self.shaped(&a, kind, vector), self.shaped(&b, kind, vector));
                let ty = self.ty(kind, vector);
                let mask = self.ty(Kind::Bool, condition.vector);
                let text = self
                    .text
                    .def(format_args!("select {mask} {}, {ty} {a}, {ty} {b}", condition.text));
                Ok(Val { text, vector })
            }
            Op::Cast => {
                let x = self.eval(data.args[0], point)?;
                let from = self.dtype(data.args[0]);
                Ok(Val { text: self.cast(from, dtype, &x), vector: x.vector })
            }
            Op::Load(param) => self.load(data, *param, self.axes(value), point),
            op => {
                let what = format!("{op:?} has no value of its own");
                self.unsupported(what, data.span)
            }
        }
    }

    fn shaped(&mut self, value: &Val, kind: Kind, vector: bool) -> String {
        if vector { self.lift(value, kind.lane()) } else { value.text.clone() }
    }

    fn pair(&mut self, data: &InstData, point: &mut Point) -> Result<(String, String, bool)> {
        let (a, b) = (self.eval(data.args[0], point)?, self.eval(data.args[1], point)?);
        let vector = a.vector || b.vector;
        let kinds = (self.kind(data.args[0]), self.kind(data.args[1]));
        Ok((self.shaped(&a, kinds.0, vector), self.shaped(&b, kinds.1, vector), vector))
    }

    fn index(&mut self, axis: Axis, point: &Point) -> Val {
        let start = self.lanes.get(&axis).map_or_else(|| "0".into(), |lanes| lanes.start.clone());
        if let Some((vector, base)) = &point.vector
            && *vector == axis
        {
            let first = self.text.def(format_args!("add i64 {start}, {base}"));
            let (first, iota) = (self.splat(&first, "i64"), self.iota());
            let ty = self.lanes_of("i64", true);
            return Val::lanes(self.text.def(format_args!("add {ty} {first}, {iota}")));
        }
        let lane = point.at.get(&axis).cloned().unwrap_or_else(|| "0".into());
        Val::uniform(self.text.def(format_args!("add i64 {start}, {lane}")))
    }

    /// The address of the first element of a buffer at a point.
    pub fn address(&mut self, buffer: &Buffer, axes: &tilec_ir::AxisSet, point: &Point) -> String {
        let offset = self.offset(buffer, axes, point);
        self.place_in(buffer, &buffer.pointer, &offset)
    }

    /// Elements from the first one of a buffer to the one at a point.
    pub fn offset(&mut self, buffer: &Buffer, axes: &tilec_ir::AxisSet, point: &Point) -> String {
        let mut offset: Option<String> = None;
        for axis in axes.iter() {
            let lane = match &point.vector {
                Some((vector, base)) if *vector == axis => base.clone(),
                _ => match point.at.get(&axis) {
                    Some(lane) => lane.clone(),
                    None => continue,
                },
            };
            let stride = buffer.stride(axis);
            let part = match stride.as_str() {
                "1" => lane,
                _ => self.text.def(format_args!("mul nuw nsw i64 {lane}, {stride}")),
            };
            offset = Some(match offset {
                None => part,
                Some(sum) => self.text.def(format_args!("add nuw nsw i64 {sum}, {part}")),
            });
        }
        offset.unwrap_or_else(|| "0".into())
    }

    fn place_in(&mut self, buffer: &Buffer, from: &str, offset: &str) -> String {
        let element = buffer.kind.stored();
        self.text.def(format_args!("getelementptr inbounds {element}, ptr {from}, i64 {offset}"))
    }

    /// One float of a buffer, or a vector along its inner axis, so many elements from a place in it.
    pub fn read_from(&mut self, buffer: &Buffer, from: &str, offset: &str, vector: bool) -> String {
        let address = self.place_in(buffer, from, offset);
        let (ty, tag) = (self.lanes_of("float", vector), Text::tag(buffer.region));
        let align = if vector { buffer.alignment() } else { 4 };
        self.text.def(format_args!("load {ty}, ptr {address}, align {align}{tag}"))
    }

    /// Reads a buffer at a point.
    pub fn read(&mut self, buffer: &Buffer, axes: &tilec_ir::AxisSet, point: &Point) -> Val {
        let vector = point.spans(axes);
        let address = self.address(buffer, axes, point);
        let tag = Text::tag(buffer.region);
        let ty = self.lanes_of(buffer.kind.stored(), vector);
        let raw = match (vector, &point.vector) {
            (true, Some((axis, base))) if *axis != buffer.inner => {
                // Lanes past the extent have no room here.
                let left = self.extent(*axis);
                let left = self.text.def(format_args!("sub i64 {left}, {base}"));
                let mask = self.lanes_below(&left);
                let (pointers, lanes) = (self.lanes_of("ptr", true), self.lanes_of("i64", true));
                let (iota, stride) = (self.iota(), self.splat(&buffer.stride(*axis), "i64"));
                let steps = self.text.def(format_args!("mul {lanes} {iota}, {stride}"));
                let pointer = self.text.def(format_args!(
                    "getelementptr {}, ptr {address}, {lanes} {steps}",
                    buffer.kind.stored()
                ));
                self.gather(buffer.kind.stored(), &pointers, &pointer, &mask)
            }
            (true, ..) => self
                .text
                .def(format_args!("load {ty}, ptr {address}, align {}{tag}", buffer.alignment())),
            (false, ..) => self.text.def(format_args!("load {ty}, ptr {address}{tag}")),
        };
        let text = match buffer.kind {
            Kind::Bool => {
                self.text.def(format_args!("trunc {ty} {raw} to {}", self.ty(Kind::Bool, vector)))
            }
            Kind::Float | Kind::Int => raw,
        };
        Val { text, vector }
    }

    /// Elements from wherever the mask allows; zero elsewhere.
    pub fn gather(&mut self, element: &str, pointers: &str, pointer: &str, mask: &str) -> String {
        let (width, ty) = (self.host.lanes, self.lanes_of(element, true));
        let suffix = overload(element);
        let masks = self.lanes_of("i1", true);
        self.text.call(
            &ty,
            &format!("llvm.masked.gather.v{width}{suffix}.v{width}p0"),
            &[
                (&format!("{pointers} align {}", bytes_of(element)), pointer),
                (&masks, mask),
                (&ty, "zeroinitializer"),
            ],
        )
    }

    /// Writes a buffer at a point, all lanes of the vector.
    pub fn write(&mut self, buffer: &Buffer, axes: &tilec_ir::AxisSet, point: &Point, val: &Val) {
        let vector = point.spans(axes);
        let address = self.address(buffer, axes, point);
        let text = if vector { self.lift(val, buffer.kind.lane()) } else { val.text.clone() };
        let ty = self.lanes_of(buffer.kind.stored(), vector);
        let text = match buffer.kind {
            Kind::Bool => {
                let bools = self.ty(Kind::Bool, vector);
                self.text.def(format_args!("zext {bools} {text} to {ty}"))
            }
            Kind::Float | Kind::Int => text,
        };
        let align = if vector { format!(", align {}", buffer.alignment()) } else { String::new() };
        let tag = Text::tag(buffer.region);
        self.text.line(format_args!("store {ty} {text}, ptr {address}{align}{tag}"));
    }
}

/// A type as it stands in the names of LLVM's functions.
pub(super) fn overload(element: &str) -> &str {
    match element {
        "float" => "f32",
        "half" => "f16",
        other => other,
    }
}

fn bytes_of(element: &str) -> usize {
    match element {
        "i8" => 1,
        "i16" | "half" => 2,
        "i64" => 8,
        _ => 4,
    }
}

/// A literal as LLVM writes it.
pub(super) fn constant(imm: Imm) -> String {
    match imm {
        Imm::Bool(value) => value.to_string(),
        Imm::Int(value) => value.to_string(),
        Imm::Float(value) => float(value as f32),
    }
}

/// An `f32` as LLVM writes it: the bits of the equal `f64`.
pub(super) fn float(value: f32) -> String {
    format!("0x{:016X}", f64::from(value).to_bits())
}
