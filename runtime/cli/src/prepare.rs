//! From a kernel and its arguments to a launch: what the arguments determine, and what they lack.

use std::collections::BTreeMap;

use tilec_driver::{ArgumentFacts, contract, infer};
use tilec_host::{Argument, Arguments, Launch, bind};
use tilec_ir::{Elem, Kernel, ParamType};
use tilec_runtime::make_outputs;
use tilec_vocab::Specialisation;

use crate::args::Assignment;
use crate::failure::Failure;

/// A launch before there is code for it: wrong arguments need not wait for code generation.
pub struct Prepared {
    /// What the generic parameters are.
    pub binding: Specialisation,
    /// Names of the tensors that were made because nobody gave them.
    pub made: Vec<String>,
    /// The arguments, checked.
    pub launch: Launch,
}

/// The arguments, each for a parameter that `kernel` has.
pub fn read_arguments(kernel: &Kernel, given: &[Assignment]) -> Result<Arguments, Failure> {
    let mut args = Arguments::new();
    for assignment in given {
        let param = kernel.params.values().find(|param| param.name == assignment.name);
        let declared = match param.map(|param| &param.ty) {
            Some(ParamType::Tensor { elem: Elem::Known(dtype), .. }) => Some(*dtype),
            Some(_) => None,
            // Before any work for it: made-up tensors may be large.
            None => {
                let known = kernel.params.values().map(|param| format!("`{}`", param.name));
                let known = known.collect::<Vec<_>>().join(", ");
                let (kernel, name) = (&kernel.name, &assignment.name);
                let message =
                    format!("kernel `{kernel}` has no parameter `{name}`; it has {known}");
                return Err(Failure::Usage(message));
            }
        };
        let argument = assignment.resolve(declared).map_err(Failure::Usage)?;
        if args.insert(&assignment.name, argument).is_some() {
            let message = format!("argument `{}` is given twice", assignment.name);
            return Err(Failure::Usage(message));
        }
    }
    Ok(args)
}

/// Specialises `kernel` for `args`, adds the outputs that are missing, checks the contract.
pub fn prepare(
    kernel: &Kernel,
    args: &mut Arguments,
    knobs: &BTreeMap<String, i64>,
) -> Result<Prepared, Failure> {
    let binding = infer(kernel, &facts(kernel, args), knobs)
        .map_err(|error| Failure::Usage(format!("kernel `{}`: {error}", kernel.name)))?;
    let contract = contract(kernel, &binding)?;
    let made = make_outputs(&contract, args)?;
    let launch = bind(&contract, args)?;
    Ok(Prepared { binding, made, launch })
}

/// What inference needs to know of the tensors. Numbers adapt to what a kernel declares, so they
/// say nothing about it.
fn facts(kernel: &Kernel, args: &Arguments) -> Vec<ArgumentFacts> {
    let fact = |name: &str, argument: &Argument| match argument {
        Argument::Tensor(tensor) => Some(ArgumentFacts {
            name: name.to_owned(),
            dtype: tensor.dtype(),
            shape: tensor.shape().to_vec(),
        }),
        Argument::Number(_) => None,
    };
    let params = kernel.params.values();
    params.filter_map(|param| fact(&param.name, args.get(&param.name)?)).collect()
}
