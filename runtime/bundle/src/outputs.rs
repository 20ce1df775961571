//! Outputs that nobody gave: full of NaN, in the shape that the other arguments give them.

use std::collections::BTreeMap;

use tilec_host::{Argument, Arguments, RuntimeError, Tensor};
use tilec_vocab::{Contract, ParamKind};

/// Makes the tensors that are written and were not given; answers their names.
///
/// # Errors
///
/// An extent that no argument says; no memory.
pub fn make_outputs(
    contract: &Contract,
    args: &mut Arguments,
) -> Result<Vec<String>, RuntimeError> {
    let mut extents: BTreeMap<&str, i64> =
        contract.consts.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    for param in &contract.params {
        let (ParamKind::Tensor { dims, .. }, Some(Argument::Tensor(tensor))) =
            (&param.kind, args.get(&param.name))
        else {
            continue;
        };
        for (dim, extent) in dims.iter().zip(tensor.shape()) {
            extents.entry(dim).or_insert(*extent);
        }
    }
    let mut made = Vec::new();
    for param in &contract.params {
        let ParamKind::Tensor { dtype, dims, mutable: true } = &param.kind else { continue };
        let name = &param.name;
        if args.get(name).is_some() {
            continue;
        }
        let extent = |dim: &String| {
            extents.get(dim.as_str()).copied().ok_or_else(|| {
                let ty = format!("{dtype}[{}]", dims.join(", "));
                RuntimeError::Tensor(format!(
                    "kernel `{}`: no argument says how large `{dim}` is, so output `{name}`, a \
                     tensor {ty}, cannot be made; give it: {name}=zeros(…)",
                    contract.kernel
                ))
            })
        };
        let shape = dims.iter().map(extent).collect::<Result<Vec<_>, _>>()?;
        args.insert(name, Tensor::poisoned(*dtype, &shape)?);
        made.push(name.clone());
    }
    Ok(made)
}
