//! The launch contract of a kernel under a specialisation.

use tilec_ir::{Elem, Extent, GenericKind, Kernel, ParamType};
use tilec_vocab::{Bug, Contract, DType, ParamKind, ParamSpec, Require, Specialisation};

/// What `kernel`, still generic, expects of its caller once bound by `binding`.
///
/// Made from the generic kernel so that the launcher can speak of `D`, not of 64.
pub fn contract(kernel: &Kernel, binding: &Specialisation) -> Result<Contract, Bug> {
    let value = |name: &str| binding.ints.get(name).copied();
    let missing = |what: &str| Bug::new("contract", format!("`{what}` is not bound"));
    let dtype = |elem: Elem| -> Result<DType, Bug> {
        match elem {
            Elem::Known(dtype) => Ok(dtype),
            Elem::Generic(generic, _) => {
                let name = &kernel.generics[generic].name;
                binding.dtypes.get(name).copied().ok_or_else(|| missing(name))
            }
        }
    };
    let extent_name = |extent: &Extent| match extent {
        Extent::Const(n) => n.to_string(),
        Extent::Generic(generic) => kernel.generics[*generic].name.clone(),
        Extent::Dim(dim) => kernel.dims[*dim].name.clone(),
    };

    let mut params = Vec::new();
    let mut consts: Vec<(String, i64)> = Vec::new();
    for param in kernel.params.values() {
        let kind = match &param.ty {
            ParamType::Scalar(elem) => ParamKind::Scalar(dtype(*elem)?),
            ParamType::Tensor { elem, dims, mutable } => {
                for extent in dims {
                    if let Extent::Const(n) = extent {
                        consts.push((n.to_string(), *n));
                    }
                }
                ParamKind::Tensor {
                    dtype: dtype(*elem)?,
                    dims: dims.iter().map(extent_name).collect(),
                    mutable: *mutable,
                }
            }
        };
        params.push(ParamSpec { name: param.name.clone(), kind });
    }
    for generic in kernel.generics.values() {
        if generic.kind == GenericKind::Const {
            let value = value(&generic.name).ok_or_else(|| missing(&generic.name))?;
            consts.push((generic.name.clone(), value));
        }
    }
    consts.sort();
    consts.dedup();

    Ok(Contract {
        kernel: kernel.name.clone(),
        params,
        dims: kernel.dims.values().map(|dim| dim.name.clone()).collect(),
        consts,
        requires: kernel
            .requires
            .iter()
            .map(|r| Require { expr: r.expr.bind(&value), text: r.text.clone() })
            .collect(),
        grid: kernel.grid.iter().map(|axis| axis.programs.bind(&value)).collect(),
    })
}
