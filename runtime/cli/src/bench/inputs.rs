//! Arguments for a shape: made-up tensors, numbers from the case.

use tilec_host::random::{Fill, filled, uniform};
use tilec_host::{Arguments, Elements, Number, RuntimeError, Tensor};
use tilec_ir::{Elem, Extent, Kernel, ParamType};
use tilec_vocab::DType;

use super::{Case, Data};
use crate::failure::Failure;

/// Elements that are drawn of a tensor; odd, so that no two rows of it are the same.
const DRAWN: i64 = (1 << 20) - 3;

/// Arguments for `kernel`. Without `fill` the tensors are zero and take no memory until they are touched: enough to
/// check the contract.
pub fn arguments(kernel: &Kernel, case: &Case, fill: bool) -> Result<Arguments, Failure> {
    let mut args = Arguments::new();
    for (seed, param) in kernel.params.values().enumerate() {
        let name = &param.name;
        match &param.ty {
            ParamType::Scalar(elem) => {
                args.insert(name, number(name, dtype(*elem, case), case)?);
            }
            ParamType::Tensor { elem, dims, mutable } => {
                let dtype = dtype(*elem, case);
                let shape = dims
                    .iter()
                    .map(|extent| self::extent(kernel, case, extent))
                    .collect::<Result<Vec<_>, _>>()?;
                let random = match (dtype.is_float(), case.data.get(name)) {
                    (true, _) => Fill::Normal { seed: seed as u64 },
                    (false, Some(Data::Arange | Data::Shuffled)) => Fill::Arange,
                    (false, Some(&Data::Constant(n))) => range(seed, n, n.saturating_add(1)),
                    (false, Some(&Data::Below(n))) => range(seed, 0, n),
                    (false, None) => range(seed, 0, 2),
                };
                let shuffled = case.data.get(name) == Some(&Data::Shuffled);
                let tensor = match (fill, mutable) {
                    (true, true) => Tensor::poisoned(dtype, &shape)?,
                    (true, false) if shuffled => self::shuffled(dtype, &shape)?,
                    (true, false) => made_up(random, dtype, &shape)?,
                    (false, _) => Tensor::zeros(dtype, &shape)?,
                };
                args.insert(name, tensor);
            }
        }
    }
    Ok(args)
}

fn range(seed: usize, low: i64, high: i64) -> Fill {
    Fill::Uniform { seed: seed as u64, low: low as f64, high: high as f64 }
}

/// A tensor of these; a large one repeats the first of them.
fn made_up(fill: Fill, dtype: DType, shape: &[i64]) -> Result<Tensor, RuntimeError> {
    let count = shape.iter().try_fold(1i64, |all, &extent| all.checked_mul(extent));
    if fill == Fill::Arange || count.is_some_and(|count| count <= DRAWN) {
        return filled(fill, dtype, shape);
    }
    let drawn = filled(fill, dtype, &[DRAWN])?;
    Tensor::from_bytes(dtype, shape, |bytes| {
        drawn.with_bytes(|drawn| {
            for part in bytes.chunks_mut(drawn.len()) {
                part.copy_from_slice(&drawn[..part.len()]);
            }
        })
    })?
}

/// 0, 1, 2, … in an order by chance, the same each time: Fisher and Yates'.
fn shuffled(dtype: DType, shape: &[i64]) -> Result<Tensor, RuntimeError> {
    let tensor = filled(Fill::Arange, dtype, shape)?;
    let Elements::Ints(mut numbers) = tensor.read()? else { return Ok(tensor) };
    for i in (1..numbers.len()).rev() {
        let other = (uniform(1, i as u64) * (i + 1) as f64) as usize;
        numbers.swap(i, other.min(i));
    }
    tensor.write(&Elements::Ints(numbers))?;
    Ok(tensor)
}

fn dtype(elem: Elem, case: &Case) -> DType {
    match elem {
        Elem::Known(dtype) => dtype,
        Elem::Generic(..) => case.dtype,
    }
}

fn extent(kernel: &Kernel, case: &Case, extent: &Extent) -> Result<i64, Failure> {
    let name = match extent {
        Extent::Const(n) => return Ok(*n),
        Extent::Generic(generic) => &kernel.generics[*generic].name,
        Extent::Dim(dim) => &kernel.dims[*dim].name,
    };
    case.shape.get(name).copied().ok_or_else(|| {
        let kernel = &kernel.name;
        Failure::Usage(format!("kernel `{kernel}`: how large is `{name}`? --shape {name}=…"))
    })
}

fn number(name: &str, dtype: DType, case: &Case) -> Result<Number, Failure> {
    let int = case.shape.get(name).copied();
    let float = case.floats.get(name).copied();
    match (dtype, int, float) {
        (DType::Bool, Some(n), _) => Ok(Number::Bool(n != 0)),
        (_, Some(n), _) => Ok(Number::Int(n)),
        (_, _, Some(x)) => Ok(Number::Float(x)),
        _ => match case.shape.get("D") {
            Some(&d) if name == "scale" && d > 0 => Ok(Number::Float(1.0 / (d as f64).sqrt())),
            _ => Err(Failure::Usage(format!("argument `{name}` has no value: --shape {name}=…"))),
        },
    }
}
