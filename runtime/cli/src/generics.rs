//! Generic parameters by name, from the command line.

use std::collections::BTreeMap;

use tilec_ir::{GenericKind, Kernel};
use tilec_vocab::{DType, Specialisation};

use crate::failure::Failure;

/// What the given words say of each generic parameter; knobs may be left out.
pub fn binding(
    kernel: &Kernel,
    mut given: BTreeMap<String, String>,
) -> Result<Specialisation, Failure> {
    let mut binding = Specialisation::default();
    for generic in kernel.generics.values() {
        let name = &generic.name;
        match (&generic.kind, given.remove(name)) {
            (GenericKind::DType(class), Some(value)) => {
                let dtype = DType::from_name(&value).filter(|&dtype| class.contains(dtype));
                let dtype = dtype.ok_or_else(|| {
                    Failure::Usage(format!("`{name}` takes a {class} type, not `{value}`"))
                })?;
                binding.dtypes.insert(name.clone(), dtype);
            }
            (GenericKind::Const | GenericKind::Knob(_), Some(value)) => {
                let value = value.parse().map_err(|_| {
                    Failure::Usage(format!("`{name}` takes a whole number, not `{value}`"))
                })?;
                binding.ints.insert(name.clone(), value);
            }
            (GenericKind::Knob(choices), None) if !choices.is_empty() => {
                binding.ints.insert(name.clone(), choices[0]);
            }
            (GenericKind::DType(_) | GenericKind::Const | GenericKind::Knob(_), None) => {
                let message = format!("kernel `{}` needs a value: {name}=…", kernel.name);
                return Err(Failure::Usage(message));
            }
        }
    }
    match given.into_keys().next() {
        None => Ok(binding),
        Some(name) => {
            let known: Vec<&str> = kernel.generics.values().map(|g| g.name.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Err(Failure::Usage(format!(
                "kernel `{}` has no generic parameter `{name}`; it has {known}",
                kernel.name
            )))
        }
    }
}
