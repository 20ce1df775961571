//! Arguments for a shape: made-up tensors, numbers from the case.

use tilec_host::random::{Fill, filled};
use tilec_host::{Arguments, Number, Tensor};
use tilec_ir::{Elem, Extent, Kernel, ParamType};
use tilec_vocab::DType;

use super::Case;
use crate::failure::Failure;

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
                let seed = seed as u64;
                let random = match dtype.is_float() {
                    true => Fill::Normal { seed },
                    false => Fill::Uniform { seed, low: 0.0, high: 2.0 },
                };
                let tensor = match (fill, mutable) {
                    (true, true) => Tensor::poisoned(dtype, &shape)?,
                    (true, false) => filled(random, dtype, &shape)?,
                    (false, _) => Tensor::zeros(dtype, &shape)?,
                };
                args.insert(name, tensor);
            }
        }
    }
    Ok(args)
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
