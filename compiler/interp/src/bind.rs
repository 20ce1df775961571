//! From arguments to what a kernel runs on: tensors, numbers, dimensions and the grid.

use tilec_ir::{DimId, Elem, Entity, Extent, Kernel, ParamData, ParamType};
use tilec_vocab::DType;

use crate::data::{Argument, Data, TensorData};
use crate::error::{InterpError, bug};
use crate::memory::Memory;
use crate::mode::Mode;

/// The arguments of one launch, checked and rounded to their types.
pub(crate) struct Bound {
    /// For each parameter, if it is a tensor.
    pub memory: Vec<Option<Memory>>,
    /// For each parameter, if it is a number.
    pub scalars: Vec<Option<Data>>,
    /// Extent of each dimension.
    pub dims: Vec<i64>,
    /// Programs along each grid axis.
    pub grid: Vec<u64>,
}

/// A dimension's extent and the argument that set it.
type Dims = Vec<Option<(i64, String)>>;

/// Checks the arguments against the signature.
pub(crate) fn bind(kernel: &Kernel, args: Vec<Argument>, mode: Mode) -> Result<Bound, InterpError> {
    if args.len() != kernel.params.len() {
        return Err(InterpError::ArgumentCount { wanted: kernel.params.len(), got: args.len() });
    }
    let mut dims: Dims = vec![None; kernel.dims.len()];
    let (mut memory, mut scalars) = (Vec::new(), Vec::new());
    for (param, arg) in kernel.params.values().zip(args) {
        match &param.ty {
            ParamType::Tensor { elem, dims: extents, mutable } => {
                let dtype = known(*elem)?;
                let tensor = tensor(kernel, param, dtype, extents, arg, &mut dims)?;
                memory.push(Some(Memory::new(rounded(tensor, dtype, mode), dtype, *mutable)));
                scalars.push(None);
            }
            ParamType::Scalar(elem) => {
                let dtype = known(*elem)?;
                scalars.push(Some(number(param, dtype, arg, mode)?));
                memory.push(None);
            }
        }
    }
    let dims = (kernel.dims.values().zip(dims))
        .map(|(dim, bound)| match bound {
            Some((extent, _)) => Ok(extent),
            None => Err(InterpError::UnboundDim(dim.name.clone())),
        })
        .collect::<Result<Vec<i64>, _>>()?;
    let grid = launch(kernel, &dims, &scalars)?;
    Ok(Bound { memory, scalars, dims, grid })
}

fn known(elem: Elem) -> Result<DType, InterpError> {
    elem.known().map_or_else(|| bug("a generic element type"), Ok)
}

/// What an argument of `dtype` holds.
fn class(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "bool",
        DType::I32 | DType::I64 => "int",
        DType::F16 | DType::BF16 | DType::F32 => "float",
    }
}

fn tensor(
    kernel: &Kernel,
    param: &ParamData,
    dtype: DType,
    extents: &[Extent],
    arg: Argument,
    dims: &mut Dims,
) -> Result<TensorData, InterpError> {
    let argument = || param.name.clone();
    let tensor = match arg {
        Argument::Tensor(tensor) if tensor.data.class() == class(dtype) => tensor,
        other => {
            let wanted = format!("tensor of {}", class(dtype));
            let got = other.describe();
            return Err(InterpError::WrongKind { argument: argument(), wanted, got });
        }
    };
    if tensor.shape.len() != extents.len() {
        let (wanted, got) = (extents.len(), tensor.shape.len());
        return Err(InterpError::WrongRank { argument: argument(), wanted, got });
    }
    if !tensor.is_sound() {
        let elements = tensor.data.len();
        return Err(InterpError::Unsound { argument: argument(), shape: tensor.shape, elements });
    }
    if let (Data::Int(data), DType::I32) = (&tensor.data, dtype)
        && let Some(&value) = data.iter().find(|&&value| i32::try_from(value).is_err())
    {
        return Err(InterpError::OutOfRange { argument: argument(), value, dtype });
    }
    for (position, (extent, &got)) in extents.iter().zip(&tensor.shape).enumerate() {
        let (dim, wanted, set_by) = match *extent {
            Extent::Const(wanted) => (wanted.to_string(), wanted, None),
            Extent::Dim(dim) => {
                let name = kernel.dims[dim].name.clone();
                let (wanted, set_by) = dim_extent(dims, dim, got, param);
                (name, wanted, Some(set_by))
            }
            Extent::Generic(_) => return bug("a generic extent"),
        };
        if wanted != got {
            let argument = argument();
            return Err(InterpError::Extent { argument, position, dim, wanted, set_by, got });
        }
    }
    Ok(tensor)
}

/// The extent of a dimension and who set it; `got` by `param` if nobody has.
fn dim_extent(dims: &mut Dims, dim: DimId, got: i64, param: &ParamData) -> (i64, String) {
    dims[dim.index()].get_or_insert_with(|| (got, param.name.clone())).clone()
}

fn rounded(mut tensor: TensorData, dtype: DType, mode: Mode) -> TensorData {
    if let Data::Float(data) = &mut tensor.data {
        mode.storage(dtype).nearest_all(data);
        mode.rounding(dtype).nearest_all(data);
    }
    tensor
}

fn number(param: &ParamData, dtype: DType, arg: Argument, mode: Mode) -> Result<Data, InterpError> {
    let argument = || param.name.clone();
    match (arg, dtype) {
        (Argument::Float(value), DType::F16 | DType::BF16 | DType::F32) => {
            let value = mode.storage(dtype).nearest(value);
            Ok(Data::Float(vec![mode.rounding(dtype).nearest(value)]))
        }
        (Argument::Int(value), DType::I32) if i32::try_from(value).is_err() => {
            Err(InterpError::OutOfRange { argument: argument(), value, dtype })
        }
        (Argument::Int(value), DType::I32 | DType::I64) => Ok(Data::Int(vec![value])),
        (Argument::Bool(value), DType::Bool) => Ok(Data::Bool(vec![value])),
        (other, _) => {
            let (wanted, got) = (class(dtype).to_owned(), other.describe());
            Err(InterpError::WrongKind { argument: argument(), wanted, got })
        }
    }
}

/// Checks the requirements and sizes the grid.
fn launch(
    kernel: &Kernel,
    dims: &[i64],
    scalars: &[Option<Data>],
) -> Result<Vec<u64>, InterpError> {
    let names = |name: &str| -> Option<i128> {
        if let Some((dim, _)) = kernel.dims.iter().find(|(_, dim)| dim.name == name) {
            return Some(i128::from(dims[dim.index()]));
        }
        match &scalars[kernel.param(name)?.index()] {
            Some(Data::Int(value)) => value.first().map(|&value| i128::from(value)),
            Some(Data::Float(_) | Data::Bool(_)) | None => None,
        }
    };
    for require in &kernel.requires {
        if require.expr.eval(&names).is_none_or(|value| value == 0) {
            return Err(InterpError::Require(require.text.clone()));
        }
    }
    let programs = kernel.grid.iter().map(|axis| {
        let programs = axis.programs.eval(&names).and_then(|count| u64::try_from(count).ok());
        programs.ok_or_else(|| InterpError::Grid(axis.name.clone()))
    });
    programs.collect()
}
