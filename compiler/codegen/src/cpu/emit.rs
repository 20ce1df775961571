//! The function: its parameters, its tables of values, axes and buffers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use tilec_ir::{Axis, AxisSet, Elem, Entity, Extent, Kernel, Param, ParamType, Value};
use tilec_vocab::{DType, Span};

use super::host::Host;
use super::layout::{Format, Layouts};
use super::pack::Packed;
use super::text::Text;

/// Instructions before LLVM's passes; more would take minutes to compile.
const MOST_INSTRUCTIONS: usize = 200_000;

/// Bytes of a thread's scratch memory.
const MOST_SCRATCH: usize = 1 << 30;

/// The bytes from one row to the next of rows so long: at multiples of 1 KiB they would meet in few lines of the first cache.
pub(super) fn apart(row_bytes: usize) -> usize {
    if row_bytes >= 1024 && row_bytes.is_multiple_of(512) { row_bytes + 64 } else { row_bytes }
}

/// Host code before LLVM has seen it.
#[derive(Clone, Debug)]
pub struct HostCode {
    /// LLVM IR with one function, named as the kernel.
    pub text: String,
    /// Memory each thread needs, aligned to 64 bytes.
    pub scratch_bytes: usize,
}

/// What this target cannot do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// A sentence that names it.
    pub what: String,
    /// Where it is asked for.
    pub span: Span,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Unsupported {}

pub(super) type Result<T> = std::result::Result<T, Unsupported>;

/// Writes the code of a specialised, verified kernel.
///
/// # Errors
///
/// [`Unsupported`] for a kernel whose tiles or whose code is too large.
pub fn emit(kernel: &Kernel, host: &Host) -> Result<HostCode> {
    let mut emitter = Emitter::new(kernel, host);
    emitter.block(kernel.body)?;
    let attributes = format!(
        "\"target-cpu\"=\"{}\" \"target-features\"=\"{}\" \"prefer-vector-width\"=\"{}\"",
        host.cpu,
        host.features,
        host.vector_bits()
    );
    let scratch_bytes = emitter.scratch.max(64);
    Ok(HostCode { text: emitter.text.finish(&kernel.name, &attributes), scratch_bytes })
}

/// The class of a value in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `float`.
    Float,
    /// `i64`.
    Int,
    /// `i1`.
    Bool,
}

impl Kind {
    pub(super) fn of(dtype: DType) -> Kind {
        match dtype {
            DType::F16 | DType::BF16 | DType::F32 => Kind::Float,
            DType::I32 | DType::I64 => Kind::Int,
            DType::Bool => Kind::Bool,
        }
    }

    /// LLVM's type of one lane.
    pub(super) fn lane(self) -> &'static str {
        match self {
            Kind::Float => "float",
            Kind::Int => "i64",
            Kind::Bool => "i1",
        }
    }

    /// LLVM's type of one element of a buffer.
    pub(super) fn stored(self) -> &'static str {
        match self {
            Kind::Float => "float",
            Kind::Int => "i64",
            Kind::Bool => "i8",
        }
    }

    pub(super) fn bytes(self) -> usize {
        match self {
            Kind::Float => 4,
            Kind::Int => 8,
            Kind::Bool => 1,
        }
    }
}

/// What is known of an axis where it is declared.
#[derive(Clone, Debug)]
pub(super) struct Lanes {
    /// The index of lane 0.
    pub start: String,
    /// Number of present lanes.
    pub count: String,
}

/// A tile in scratch memory.
#[derive(Clone, Debug)]
pub(super) struct Buffer {
    pub pointer: String,
    pub kind: Kind,
    /// The axis with stride 1, padded to whole vectors.
    pub inner: Axis,
    /// In elements.
    pub strides: BTreeMap<Axis, usize>,
    /// The stride of one axis where only the run shows it.
    pub outer_stride: Option<(Axis, String)>,
    /// Where the loop's next turn will find the block after this one, its rows side by side.
    pub ahead: Option<String>,
    pub region: usize,
}

impl Buffer {
    /// The stride of an axis, in elements.
    pub fn stride(&self, axis: Axis) -> String {
        match &self.outer_stride {
            Some((outer, stride)) if *outer == axis => stride.clone(),
            _ => self.strides.get(&axis).copied().unwrap_or(0).to_string(),
        }
    }

    /// Of a vector of the inner axis, on every machine.
    pub fn alignment(&self) -> usize {
        // In a tensor, an element's.
        if self.outer_stride.is_some() { self.kind.bytes() } else { 4 * self.kind.bytes() }
    }
}

/// Where a value is.
#[derive(Clone, Debug)]
pub(super) enum Home {
    Scalar(String),
    Buffer(Buffer),
}

pub(super) struct Emitter<'k> {
    pub kernel: &'k Kernel,
    pub host: &'k Host,
    pub layouts: Layouts,
    pub text: Text,
    pub lanes: BTreeMap<Axis, Lanes>,
    pub homes: BTreeMap<Value, Home>,
    /// Operands of bf16 dots, as those want them.
    pub packed: BTreeMap<(Value, Format), Packed>,
    /// Values that a pass over another has made.
    pub swept: BTreeSet<Value>,
    /// The axis along which whole rows of a tensor are being read, one after the other.
    pub row_axis: Option<Axis>,
    /// The axis that the innermost loop walks in blocks.
    pub loop_axis: Option<Axis>,
    /// The axis that is done in strips just now, and how long those are.
    pub strip: Option<(Axis, usize)>,
    /// Where each parameter starts in `params`, in words.
    words: Vec<usize>,
    first_dim: usize,
    scratch: usize,
}

impl<'k> Emitter<'k> {
    fn new(kernel: &'k Kernel, host: &'k Host) -> Emitter<'k> {
        let mut words = Vec::new();
        let mut next = 0;
        for param in kernel.params.values() {
            words.push(next);
            next += match &param.ty {
                ParamType::Tensor { dims, .. } => 1 + dims.len(),
                ParamType::Scalar(_) => 1,
            };
        }
        Emitter {
            kernel,
            host,
            layouts: Layouts::new(kernel, host),
            text: Text::default(),
            lanes: BTreeMap::new(),
            homes: BTreeMap::new(),
            packed: BTreeMap::new(),
            swept: BTreeSet::new(),
            row_axis: None,
            loop_axis: None,
            strip: None,
            words,
            first_dim: next,
            scratch: 0,
        }
    }

    /// The n-th word of what the caller says of a parameter.
    pub fn param_word(&mut self, param: Param, n: usize) -> String {
        let at = self.words[param.index()] + n;
        self.word("params", at)
    }

    pub fn dim_word(&mut self, dim: tilec_ir::DimId) -> String {
        let at = self.first_dim + dim.index();
        self.word("params", at)
    }

    pub fn word(&mut self, table: &str, at: usize) -> String {
        let pointer = self.text.def(format_args!("getelementptr i64, ptr %{table}, i64 {at}"));
        self.text.def(format_args!("load i64, ptr {pointer}, !invariant.load !{{}}"))
    }

    /// The element type of a value.
    pub fn dtype(&self, value: Value) -> DType {
        match self.kernel.ty(value).elem {
            Elem::Known(dtype) => dtype,
            Elem::Generic(..) => DType::F32,
        }
    }

    pub fn kind(&self, value: Value) -> Kind {
        Kind::of(self.dtype(value))
    }

    pub fn axes(&self, value: Value) -> &'k AxisSet {
        &self.kernel.ty(value).axes
    }

    pub fn extent(&self, axis: Axis) -> usize {
        if let Some((_, width)) = self.strip.filter(|(strip, _)| *strip == axis) {
            return width;
        }
        match self.kernel.axes[axis].extent {
            Extent::Const(lanes) => usize::try_from(lanes).unwrap_or(1),
            Extent::Generic(_) | Extent::Dim(_) => 1,
        }
    }

    /// Lanes of an axis that are all present, or their number at run time.
    pub fn count(&self, axis: Axis) -> String {
        self.lanes.get(&axis).map_or_else(|| "0".to_string(), |lanes| lanes.count.clone())
    }

    pub fn unsupported<T>(&self, what: impl Into<String>, span: Span) -> Result<T> {
        Err(Unsupported { what: format!("kernel `{}`: {}", self.kernel.name, what.into()), span })
    }

    /// Room for a tile with this axis innermost.
    pub fn allocate(&mut self, kind: Kind, axes: &AxisSet, inner: Axis) -> Result<Buffer> {
        let width = self.host.lanes;
        let mut strides = BTreeMap::from([(inner, 1)]);
        let mut size = self.extent(inner).next_multiple_of(width);
        if axes.len() > 1 {
            size = apart(size * kind.bytes()) / kind.bytes();
        }
        for axis in axes.iter().rev().filter(|&axis| axis != inner) {
            strides.insert(axis, size);
            size = size.saturating_mul(self.extent(axis));
        }
        let (pointer, region) = self.room(axes, size.saturating_mul(kind.bytes()))?;
        Ok(Buffer { pointer, kind, inner, strides, outer_stride: None, ahead: None, region })
    }

    /// Scratch memory for a tile over these axes: its address, aligned to 64 bytes, and its region.
    pub fn room(&mut self, axes: &AxisSet, bytes: usize) -> Result<(String, usize)> {
        let total = self.scratch.saturating_add(bytes.next_multiple_of(64));
        if total > MOST_SCRATCH {
            let tiles = axes.iter().map(|a| self.kernel.axes[a].name.as_str());
            let tiles = tiles.collect::<Vec<_>>().join(", ");
            let what =
                format!("its tiles, one over [{tiles}], need more than 1 GiB for each thread");
            return self.unsupported(what, self.kernel.span);
        }
        let at = std::mem::replace(&mut self.scratch, total);
        let pointer =
            self.text.early(format_args!("getelementptr inbounds i8, ptr %scratch, i64 {at}"));
        Ok((pointer, self.text.region()))
    }

    /// Room for a value, in the order that suits its users.
    pub fn allocate_for(&mut self, value: Value) -> Result<Buffer> {
        let axes = self.axes(value);
        let inner = self.layouts.inner(value).or_else(|| axes.iter().next_back());
        match inner {
            Some(inner) => self.allocate(self.kind(value), axes, inner),
            None => self.unsupported("a scalar has no buffer", self.kernel.span),
        }
    }

    pub fn check_size(&self) -> Result<()> {
        if self.text.instructions() > MOST_INSTRUCTIONS {
            let what = format!("its code is longer than {MOST_INSTRUCTIONS} instructions");
            return self.unsupported(what, self.kernel.span);
        }
        Ok(())
    }
}
