//! Binds element types, constants and knobs, so that a kernel can be compiled and run.
//!
//! ```text
//! kernel @k<T: float, const D, knob BM in [64, 128]>(q: &T[M, D])  grid m in cdiv(M, BM)
//!   axis d: D = %0 .. %1            %2: i64 = generic BM
//! -> T=f16 D=64 BM=128
//! kernel @k(q: &f16[M, 64])  grid m in cdiv(M, 128)
//!   axis d: 64 = %0 .. %1           %2: i64 = const 128
//! ```
//!
//! First of all passes: the others and every consumer see kernels without generics. Literals of a
//! generic type are rounded to the type it became. What a binding can spoil (an axis without
//! lanes, a tile too large) is the caller's to hear of, in the kernel's own names; it is no bug.

use tilec_ir::{
    AxisSet, Elem, Extent, Generic, GenericKind, Imm, Kernel, Op, ParamType, Table, limits, verify,
};
use tilec_vocab::{Bug, DType, DTypeClass, Require, Span, Specialisation};

/// Why a kernel cannot be specialised so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecialiseError {
    /// Nothing says what a generic parameter is.
    #[error("kernel `{kernel}` takes {what} `{name}`, and nothing gives it")]
    Missing {
        /// The kernel.
        kernel: String,
        /// The parameter.
        name: String,
        /// `an element type`, `a constant` or `a knob`.
        what: &'static str,
    },
    /// A binding of something the kernel does not have.
    #[error("kernel `{kernel}` has no generic parameter `{name}`{}", listed(.known))]
    Unknown {
        /// The kernel.
        kernel: String,
        /// The name bound.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A number for an element type or the other way round.
    #[error("`{name}` of kernel `{kernel}` is {what}, not {got}")]
    Kind {
        /// The kernel.
        kernel: String,
        /// The parameter.
        name: String,
        /// `an element type`, `a constant` or `a knob`.
        what: &'static str,
        /// `a number` or `an element type`.
        got: &'static str,
    },
    /// An element type of the wrong class.
    #[error("`{name}` of kernel `{kernel}` is a `{class}`, and `{dtype}` is none")]
    Class {
        /// The kernel.
        kernel: String,
        /// The parameter.
        name: String,
        /// What it must be.
        class: DTypeClass,
        /// What it was bound to.
        dtype: DType,
    },
    /// A knob setting the kernel's author did not list.
    #[error("knob `{name}` of kernel `{kernel}` cannot be {value}: the choices are {choices:?}")]
    Choice {
        /// The kernel.
        kernel: String,
        /// The knob.
        name: String,
        /// What it was bound to.
        value: i64,
        /// What it can be.
        choices: Vec<i64>,
    },
    /// A dimension of a tensor would be negative.
    #[error("`{param}` of kernel `{kernel}` would have a dimension of {value}")]
    Dimension {
        /// The kernel.
        kernel: String,
        /// The tensor.
        param: String,
        /// Its dimension.
        value: i64,
        /// Where it is declared.
        span: Span,
    },
    /// An axis would have no lanes, or too many.
    #[error(
        "axis `{axis}` of kernel `{kernel}` would have {lanes} lanes (from 1 to {})",
        limits::TILE_ELEMENTS
    )]
    Lanes {
        /// The kernel.
        kernel: String,
        /// The axis.
        axis: String,
        /// Its extent.
        lanes: i64,
        /// Where it is declared.
        span: Span,
    },
    /// A tile would be too large.
    #[error(
        "a tile over [{axes}] in kernel `{kernel}` would have {elements} elements (at most {})",
        limits::TILE_ELEMENTS
    )]
    Tile {
        /// The kernel.
        kernel: String,
        /// Each axis with its extent: `m: 64, n: 128`.
        axes: String,
        /// The product.
        elements: i64,
        /// The instruction that makes it.
        span: Span,
    },
    /// The kernel does not verify, before or after.
    #[error(transparent)]
    Bug(#[from] Bug),
}

fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!(" (it has {})", names.join(", ")),
    }
}

/// The binding with knobs it does not mention at their defaults: the first choice of each.
pub fn with_default_knobs(kernel: &Kernel, given: &Specialisation) -> Specialisation {
    let mut all = given.clone();
    for generic in kernel.generics.values() {
        if let GenericKind::Knob(choices) = &generic.kind
            && let Some(&first) = choices.first()
        {
            all.ints.entry(generic.name.clone()).or_insert(first);
        }
    }
    all
}

/// Binds every generic parameter.
///
/// # Errors
///
/// A parameter without a binding, a binding without a parameter or of the wrong kind, and sizes
/// that the limits do not allow.
pub fn specialise(kernel: &Kernel, binding: &Specialisation) -> Result<Kernel, SpecialiseError> {
    verify(kernel)?;
    unknown(kernel, binding)?;
    let mut bound = Table::new();
    for generic in kernel.generics.values() {
        bound.push(bind(kernel, &generic.name, &generic.kind, binding)?);
    }
    let new = substitute(kernel, &bound, binding);
    sizes(&new)?;
    verify(&new)?;
    Ok(new)
}

/// What a generic parameter has become.
#[derive(Clone, Copy)]
enum Bound {
    DType(DType),
    Int(i64),
}

fn unknown(kernel: &Kernel, binding: &Specialisation) -> Result<(), SpecialiseError> {
    let known: Vec<String> = kernel.generics.values().map(|g| g.name.clone()).collect();
    match binding.dtypes.keys().chain(binding.ints.keys()).find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) => {
            Err(SpecialiseError::Unknown { kernel: kernel.name.clone(), name: name.clone(), known })
        }
    }
}

fn bind(
    kernel: &Kernel,
    name: &str,
    kind: &GenericKind,
    binding: &Specialisation,
) -> Result<Bound, SpecialiseError> {
    let (kernel, owned) = (kernel.name.clone(), name.to_owned());
    let (dtype, int) = (binding.dtypes.get(name), binding.ints.get(name));
    let what = match kind {
        GenericKind::DType(_) => "an element type",
        GenericKind::Const => "a constant",
        GenericKind::Knob(_) => "a knob",
    };
    match (kind, dtype, int) {
        (_, None, None) => Err(SpecialiseError::Missing { kernel, name: owned, what }),
        (GenericKind::DType(_), _, Some(_)) => {
            Err(SpecialiseError::Kind { kernel, name: owned, what, got: "a number" })
        }
        (GenericKind::Const | GenericKind::Knob(_), Some(_), _) => {
            Err(SpecialiseError::Kind { kernel, name: owned, what, got: "an element type" })
        }
        (GenericKind::DType(class), Some(&dtype), None) => match class.contains(dtype) {
            true => Ok(Bound::DType(dtype)),
            false => Err(SpecialiseError::Class { kernel, name: owned, class: *class, dtype }),
        },
        (GenericKind::Const, None, Some(&value)) => Ok(Bound::Int(value)),
        (GenericKind::Knob(choices), None, Some(&value)) => match choices.contains(&value) {
            true => Ok(Bound::Int(value)),
            false => Err(SpecialiseError::Choice {
                kernel,
                name: owned,
                value,
                choices: choices.clone(),
            }),
        },
    }
}

/// Nothing moves, so every number stays what it is and the tables are changed in place.
fn substitute(kernel: &Kernel, bound: &Table<Generic, Bound>, binding: &Specialisation) -> Kernel {
    let mut new = kernel.clone();
    new.generics = Table::new();
    let elem = |elem: &mut Elem| {
        if let Elem::Generic(generic, _) = *elem
            && let Bound::DType(dtype) = bound[generic]
        {
            *elem = Elem::Known(dtype);
        }
    };
    let extent = |extent: &mut Extent| {
        if let Extent::Generic(generic) = *extent
            && let Bound::Int(value) = bound[generic]
        {
            *extent = Extent::Const(value);
        }
    };
    for param in new.params.keys() {
        match &mut new.params[param].ty {
            ParamType::Scalar(of) => elem(of),
            ParamType::Tensor { elem: of, dims, .. } => {
                elem(of);
                dims.iter_mut().for_each(extent);
            }
        }
    }
    new.axes.keys().for_each(|axis| extent(&mut new.axes[axis].extent));
    new.values.keys().for_each(|value| elem(&mut new.values[value].ty.elem));
    for inst in new.insts.keys() {
        let result = new.insts[inst].results.first().map(|&v| new.ty(v).elem);
        let op = &mut new.insts[inst].op;
        match (&op, result) {
            (Op::Generic(generic), _) => {
                if let Bound::Int(value) = bound[*generic] {
                    *op = Op::Const(Imm::Int(value));
                }
            }
            (Op::Const(Imm::Float(value)), Some(Elem::Known(dtype))) => {
                *op = Op::Const(Imm::Float(dtype.round(*value)));
            }
            (Op::Const(Imm::Int(value)), Some(Elem::Known(DType::I32))) => {
                let least = i64::from(i32::MIN);
                *op = Op::Const(Imm::Int((*value).clamp(least, i64::from(i32::MAX))));
            }
            _ => {}
        }
    }
    let names = |name: &str| binding.ints.get(name).copied();
    for Require { expr, .. } in &mut new.requires {
        *expr = expr.bind(&names);
    }
    for axis in &mut new.grid {
        axis.programs = axis.programs.bind(&names);
    }
    new
}

/// Sizes that only the binding decides.
fn sizes(kernel: &Kernel) -> Result<(), SpecialiseError> {
    let name = || kernel.name.clone();
    for param in kernel.params.values() {
        let ParamType::Tensor { dims, .. } = &param.ty else { continue };
        for extent in dims {
            if let Extent::Const(value @ ..0) = *extent {
                let (param, span) = (param.name.clone(), param.span);
                return Err(SpecialiseError::Dimension { kernel: name(), param, value, span });
            }
        }
    }
    for inst in kernel.walk() {
        let data = &kernel.insts[inst];
        if let Op::Axis(axis) | Op::For(Some(axis)) = data.op {
            let axis = &kernel.axes[axis];
            if let Extent::Const(lanes) = axis.extent
                && !(1..=limits::TILE_ELEMENTS).contains(&lanes)
            {
                let (axis, span) = (axis.name.clone(), axis.span);
                return Err(SpecialiseError::Lanes { kernel: name(), axis, lanes, span });
            }
        }
        let writes = data.op.writes().then(|| written(kernel, &data.args[1..]));
        let types = data.results.iter().map(|&v| &kernel.ty(v).axes).chain(&writes);
        for axes in types {
            tile(kernel, axes, data.span)?;
        }
    }
    Ok(())
}

/// The lanes of a store are those of its indices.
fn written(kernel: &Kernel, indices: &[tilec_ir::Value]) -> AxisSet {
    indices.iter().fold(AxisSet::new(), |axes, &v| axes.union(&kernel.ty(v).axes))
}

fn tile(kernel: &Kernel, axes: &AxisSet, span: Span) -> Result<(), SpecialiseError> {
    let mut elements = 1_i64;
    let mut shown = Vec::new();
    for axis in axes.iter() {
        let axis = &kernel.axes[axis];
        if let Extent::Const(lanes) = axis.extent {
            elements = elements.saturating_mul(lanes);
            shown.push(format!("{}: {lanes}", axis.name));
        }
    }
    if elements <= limits::TILE_ELEMENTS {
        return Ok(());
    }
    let (kernel, axes) = (kernel.name.clone(), shown.join(", "));
    Err(SpecialiseError::Tile { kernel, axes, elements, span })
}
