//! One launch of a kernel, with everything about it taken from its arguments.

use std::collections::BTreeMap;

use tilec_driver::{ArgumentFacts, Options, compile, infer};
use tilec_host::{Argument, Arguments, Device, bind, launch};
use tilec_ir::Kernel;

/// Compiles `kernel` for these arguments and runs it; `settings` holds knobs and constants that no
/// argument determines.
///
/// # Panics
///
/// If anything refuses.
pub fn run(kernel: &Kernel, device: &dyn Device, args: &Arguments, settings: &[(&str, i64)]) {
    let tensors = args.iter().filter_map(|(name, argument)| match argument {
        Argument::Tensor(tensor) => Some((name.to_string(), tensor)),
        Argument::Number(_) => None,
    });
    let facts: Vec<ArgumentFacts> = tensors
        .map(|(name, t)| ArgumentFacts { name, dtype: t.dtype(), shape: t.shape().to_vec() })
        .collect();
    let settings: BTreeMap<String, i64> =
        settings.iter().map(|(name, n)| (name.to_string(), *n)).collect();
    let binding = infer(kernel, &facts, &settings).expect("a binding");
    let artifact = compile(kernel, &binding, &Options::default()).expect("an artifact");
    let executable = device.load(&artifact).expect("code");
    launch(executable.as_ref(), &bind(&artifact.contract, args).expect("a launch")).expect("a run");
}
