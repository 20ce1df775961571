//! IR text, the writing half. `read` is the other: what this writes of a verified kernel reads
//! back as the same kernel. The grammar stands in `read.rs`.
//!
//! Printing never fails and never panics: the verifier prints kernels that are broken. What has
//! no text then shows with a `?`, which the reader refuses.

use std::collections::BTreeMap;
use std::fmt::{self, Formatter};

use tilec_vocab::Span;

use crate::kernel::{
    Axis, AxisData, Block, DimId, Generic, GenericData, GenericKind, Inst, InstData, Kernel,
    Module, Param, ParamData, ParamType, Tile,
};
use crate::limits;
use crate::names::Names;
use crate::ops::{Imm, Op, Precision};

/// A module as text.
pub fn print(module: &Module<Tile>) -> String {
    let kernels: Vec<String> =
        module.kernels.iter().chain(&module.specs).map(print_kernel).collect();
    kernels.join("\n")
}

/// A kernel or spec as text.
pub fn print_kernel(kernel: &Kernel) -> String {
    Text::new(kernel).to_string()
}

/// A kernel on its way to text, and what to write besides the kernel itself.
pub struct Text<'k> {
    kernel: &'k Kernel,
    names: Names<'k>,
    spans: bool,
    notes: BTreeMap<Inst, Vec<String>>,
}

const INDENT: &str = "  ";

impl<'k> Text<'k> {
    /// The kernel alone.
    pub fn new(kernel: &'k Kernel) -> Text<'k> {
        Text { kernel, names: Names::new(kernel), spans: false, notes: BTreeMap::new() }
    }

    /// With the source of each part: `loc(file: start..end)`.
    pub fn with_spans(self) -> Text<'k> {
        Text { spans: true, ..self }
    }

    /// With a comment under an instruction.
    pub fn note(mut self, inst: Inst, text: impl Into<String>) -> Text<'k> {
        self.notes.entry(inst).or_default().push(text.into());
        self
    }

    /// The names in use.
    pub fn names(&self) -> &Names<'k> {
        &self.names
    }

    fn span(&self, f: &mut Formatter<'_>, span: Span) -> fmt::Result {
        if self.spans {
            write!(f, " loc({}: {}..{})", span.file.0, span.start, span.end)?;
        }
        Ok(())
    }

    fn signature(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kernel = self.kernel;
        let keyword = if kernel.grid.is_empty() { "spec" } else { "kernel" };
        write!(f, "{keyword} @{}", kernel.name)?;
        self.span(f, kernel.span)?;
        if !kernel.generics.is_empty() {
            f.write_str("<")?;
            for (n, generic) in kernel.generics.values().enumerate() {
                f.write_str(if n == 0 { "" } else { ", " })?;
                write_generic(f, generic)?;
            }
            f.write_str(">")?;
        }
        f.write_str("(")?;
        for (n, param) in kernel.params.values().enumerate() {
            f.write_str(if n == 0 { "" } else { ", " })?;
            self.param(f, param)?;
        }
        f.write_str(")\n")?;
        for require in &kernel.requires {
            let expr = require.expr.to_string();
            write!(f, "{INDENT}require {expr}")?;
            if require.text != expr {
                write!(f, " \"{}\"", require.text.escape_default())?;
            }
            f.write_str("\n")?;
        }
        for (n, axis) in kernel.grid.iter().enumerate() {
            let lead = if n == 0 { "  grid " } else { ", " };
            write!(f, "{lead}{} in {}", axis.name, axis.programs)?;
        }
        f.write_str(if kernel.grid.is_empty() { "" } else { "\n" })
    }

    fn param(&self, f: &mut Formatter<'_>, param: &ParamData) -> fmt::Result {
        match &param.ty {
            ParamType::Scalar(elem) => write!(f, "{}: {}", param.name, self.names.elem(*elem))?,
            ParamType::Tensor { elem, dims, mutable } => {
                let dims: Vec<String> = dims.iter().map(|&d| self.names.extent(d)).collect();
                let (mutable, elem) = (if *mutable { "mut " } else { "" }, self.names.elem(*elem));
                write!(f, "{}: &{mutable}{elem}[{}]", param.name, dims.join(", "))?;
            }
        }
        self.span(f, param.span)
    }

    fn block(&self, f: &mut Formatter<'_>, block: Block, depth: usize) -> fmt::Result {
        let Some(data) = self.kernel.blocks.get(block) else { return write!(f, "{{ ?{block} }}") };
        if depth > limits::DEPTH {
            return f.write_str("{ ?too deep }");
        }
        f.write_str("{\n")?;
        for &inst in &data.insts {
            match self.kernel.insts.get(inst) {
                Some(data) => self.inst(f, data, depth + 1)?,
                None => writeln!(f, "{}?{inst}", INDENT.repeat(depth + 1))?,
            }
            for note in self.notes.get(&inst).into_iter().flatten() {
                for line in note.lines() {
                    writeln!(f, "{}// ^ {line}", INDENT.repeat(depth + 1))?;
                }
            }
        }
        write!(f, "{}}}", INDENT.repeat(depth))
    }

    fn inst(&self, f: &mut Formatter<'_>, inst: &InstData, depth: usize) -> fmt::Result {
        f.write_str(&INDENT.repeat(depth))?;
        for (n, &result) in inst.results.iter().enumerate() {
            f.write_str(if n == 0 { "" } else { ", " })?;
            match self.kernel.values.get(result) {
                Some(data) => {
                    write!(f, "{}: {}", self.names.value(result), self.names.ty(&data.ty))?;
                }
                None => write!(f, "{}", self.names.value(result))?,
            }
        }
        f.write_str(if inst.results.is_empty() { "" } else { " = " })?;
        self.op(f, inst, depth)?;
        self.span(f, inst.span)?;
        f.write_str("\n")
    }

    fn op(&self, f: &mut Formatter<'_>, inst: &InstData, depth: usize) -> fmt::Result {
        let names = &self.names;
        let args = || names.values(&inst.args);
        match &inst.op {
            Op::Const(imm) => write!(f, "const {}", Literal(*imm)),
            Op::Generic(generic) => write!(f, "generic {}", self.generic_name(*generic)),
            Op::Dim(dim) => write!(f, "dim {}", self.dim_name(*dim)),
            Op::Scalar(param) => write!(f, "scalar {}", self.param_name(*param)),
            Op::Program(axis) => write!(f, "program {}", self.grid_name(*axis)),
            Op::Axis(axis) => {
                f.write_str("axis ")?;
                self.axis(f, *axis)?;
                match inst.args.as_slice() {
                    [start, end] => {
                        write!(f, " = {} .. {}", names.value(*start), names.value(*end))?;
                    }
                    _ => write!(f, " = ?({})", args())?,
                }
                self.full(f, *axis)
            }
            Op::Index(axis) => write!(f, "index {}", names.axis(*axis)),
            Op::Splat => write!(f, "splat {}", args()),
            Op::Unary(op) => write!(f, "{} {}", op.name(), args()),
            Op::Binary(op) => write!(f, "{} {}", op.name(), args()),
            Op::Compare(op) => write!(f, "{} {}", op.name(), args()),
            Op::Select => write!(f, "select {}", args()),
            Op::Cast => write!(f, "cast {}", args()),
            Op::Reduce(op, over) => {
                write!(f, "{} {} over {}", op.name(), args(), names.axis_list(over))
            }
            Op::Dot(over, precision) => {
                write!(f, "dot {} over {}", args(), names.axis_list(over))?;
                match precision {
                    Precision::Ieee => Ok(()),
                    other => write!(f, " precision {}", other.name()),
                }
            }
            Op::Load(param) => write!(f, "load {}[{}]", self.param_name(*param), args()),
            Op::Store(param) => self.write_access(f, "store", *param, "=", inst),
            Op::AtomicAdd(param) => self.write_access(f, "atomic", *param, "+=", inst),
            Op::For(axis) => self.for_loop(f, *axis, inst, depth),
            Op::If => {
                write!(f, "if {} ", args())?;
                for (n, &block) in inst.blocks.iter().enumerate() {
                    f.write_str(if n == 0 { "" } else { " else " })?;
                    self.block(f, block, depth)?;
                }
                Ok(())
            }
            Op::Yield if inst.args.is_empty() => f.write_str("yield"),
            Op::Yield => write!(f, "yield {}", args()),
        }
    }

    fn write_access(
        &self,
        f: &mut Formatter<'_>,
        word: &str,
        param: Param,
        sign: &str,
        inst: &InstData,
    ) -> fmt::Result {
        let name = self.param_name(param);
        match inst.args.as_slice() {
            [value, indices @ ..] => {
                let (value, indices) = (self.names.value(*value), self.names.values(indices));
                write!(f, "{word} {name}[{indices}] {sign} {value}")
            }
            [] => write!(f, "{word} {name}[?]"),
        }
    }

    fn for_loop(
        &self,
        f: &mut Formatter<'_>,
        axis: Option<Axis>,
        inst: &InstData,
        depth: usize,
    ) -> fmt::Result {
        let names = &self.names;
        f.write_str("for ")?;
        if let Some(axis) = axis {
            self.axis(f, axis)?;
            f.write_str(", ")?;
        }
        let block = inst.blocks.first().copied();
        let params = block.and_then(|block| self.kernel.blocks.get(block));
        let params = params.map_or(&[][..], |block| &block.params);
        match (params, inst.args.as_slice()) {
            ([iv, carried @ ..], [lo, hi, initial @ ..]) if carried.len() == initial.len() => {
                write!(f, "{} = {} .. {}", names.value(*iv), names.value(*lo), names.value(*hi))?;
                if let Some(axis) = axis {
                    self.full(f, axis)?;
                }
                for (n, (&param, &first)) in carried.iter().zip(initial).enumerate() {
                    f.write_str(if n == 0 { " carry (" } else { ", " })?;
                    match self.kernel.values.get(param) {
                        Some(data) => {
                            write!(f, "{}: {}", names.value(param), names.ty(&data.ty))?;
                        }
                        None => write!(f, "{}", names.value(param))?,
                    }
                    write!(f, " = {}", names.value(first))?;
                }
                f.write_str(if carried.is_empty() { "" } else { ")" })?;
            }
            _ => write!(f, "?({}) = ({})", names.values(params), names.values(&inst.args))?,
        }
        for &block in &inst.blocks {
            f.write_str(" ")?;
            self.block(f, block, depth)?;
        }
        Ok(())
    }

    fn axis(&self, f: &mut Formatter<'_>, axis: Axis) -> fmt::Result {
        write!(f, "{}", self.names.axis(axis))?;
        let Some(AxisData { extent, span, .. }) = self.kernel.axes.get(axis) else { return Ok(()) };
        write!(f, ": {}", self.names.extent(*extent))?;
        self.span(f, *span)
    }

    fn full(&self, f: &mut Formatter<'_>, axis: Axis) -> fmt::Result {
        let full = self.kernel.axes.get(axis).is_some_and(|axis| axis.full);
        f.write_str(if full { " full" } else { "" })
    }

    fn generic_name(&self, generic: Generic) -> String {
        self.kernel.generics.get(generic).map_or_else(|| format!("?{generic}"), |g| g.name.clone())
    }

    fn dim_name(&self, dim: DimId) -> String {
        self.kernel.dims.get(dim).map_or_else(|| format!("?{dim}"), |dim| dim.name.clone())
    }

    fn param_name(&self, param: Param) -> String {
        self.kernel.params.get(param).map_or_else(|| format!("?{param}"), |p| p.name.clone())
    }

    /// The name, or the position where the name is not unique.
    fn grid_name(&self, position: u32) -> String {
        let Some(axis) = self.kernel.grid.get(position as usize) else {
            return format!("?{position}");
        };
        let same = self.kernel.grid.iter().filter(|other| other.name == axis.name).count();
        if same == 1 { axis.name.clone() } else { position.to_string() }
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.signature(f)?;
        self.block(f, self.kernel.body, 0)?;
        f.write_str("\n")
    }
}

fn write_generic(f: &mut Formatter<'_>, generic: &GenericData) -> fmt::Result {
    let name = &generic.name;
    match &generic.kind {
        GenericKind::DType(class) => write!(f, "{name}: {class}"),
        GenericKind::Const => write!(f, "const {name}"),
        GenericKind::Knob(choices) => {
            let choices: Vec<String> = choices.iter().map(i64::to_string).collect();
            write!(f, "knob {name} in [{}]", choices.join(", "))
        }
    }
}

/// A literal; floats as the shortest decimal that gives the same double.
struct Literal(Imm);

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Imm::Bool(value) => write!(f, "{value}"),
            Imm::Int(value) => write!(f, "{value}"),
            Imm::Float(value) if value.is_nan() => f.write_str("nan"),
            Imm::Float(value) => write!(f, "{value:?}"),
        }
    }
}
