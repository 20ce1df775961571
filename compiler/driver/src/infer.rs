//! Finding a kernel's generic parameters from the arguments it is called with.
//!
//! `T` is the element type of the tensors declared over it, `D` the extent of the dimensions it
//! names; knobs take their first choice unless set. Two arguments that disagree are both named.

use std::collections::BTreeMap;
use std::fmt;

use tilec_ir::{Elem, Extent, GenericKind, Kernel, ParamType};
use tilec_vocab::{DType, Specialisation};

/// What is known of one argument before a kernel is compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgumentFacts {
    /// The parameter it is for.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Extents; empty for numbers.
    pub shape: Vec<i64>,
}

/// Why no specialisation follows from the arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InferError {
    /// Two arguments ask for different values of one parameter.
    Disagree {
        /// The generic parameter.
        generic: String,
        /// First argument and what it asks for.
        first: (String, String),
        /// Second argument and what it asks for.
        second: (String, String),
    },
    /// An element type outside the parameter's family.
    WrongClass {
        /// The generic parameter.
        generic: String,
        /// The family it takes.
        class: &'static str,
        /// The argument.
        argument: String,
        /// Its element type.
        dtype: DType,
    },
    /// A tensor with another number of dimensions than declared.
    WrongRank {
        /// The argument.
        argument: String,
        /// Dimensions declared.
        declared: usize,
        /// Dimensions given.
        given: usize,
    },
    /// Nothing given says what the parameter is.
    Unknown {
        /// The generic parameter.
        generic: String,
        /// Whether it is an element type.
        dtype: bool,
    },
    /// A setting for something the kernel does not have.
    NoSuchKnob {
        /// The name given.
        name: String,
        /// Names it has.
        known: Vec<String>,
    },
}

impl fmt::Display for InferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InferError::Disagree { generic, first, second } => write!(
                f,
                "`{generic}` would have to be {} for argument `{}` and {} for argument `{}`",
                first.1, first.0, second.1, second.0
            ),
            InferError::WrongClass { generic, class, argument, dtype } => write!(
                f,
                "argument `{argument}` is {dtype}, but `{generic}` must be a {class} type"
            ),
            InferError::WrongRank { argument, declared, given } => write!(
                f,
                "argument `{argument}` has {given} dimensions, the kernel declares {declared}"
            ),
            InferError::Unknown { generic, dtype: true } => {
                write!(f, "no argument says which element type `{generic}` is")
            }
            InferError::Unknown { generic, dtype: false } => {
                write!(
                    f,
                    "no argument says what the constant `{generic}` is; set it: `{generic}=…`"
                )
            }
            InferError::NoSuchKnob { name, known } if known.is_empty() => {
                write!(f, "the kernel has no knob or constant, so not `{name}` either")
            }
            InferError::NoSuchKnob { name, known } => {
                write!(
                    f,
                    "the kernel has no knob or constant `{name}`; it has {}",
                    known.join(", ")
                )
            }
        }
    }
}

impl std::error::Error for InferError {}

/// The specialisation of `kernel` that `arguments` ask for; `settings` name knobs and constants.
pub fn infer(
    kernel: &Kernel,
    arguments: &[ArgumentFacts],
    settings: &BTreeMap<String, i64>,
) -> Result<Specialisation, InferError> {
    let mut found = Found::default();
    for (_, param) in kernel.params.iter() {
        let Some(given) = arguments.iter().find(|argument| argument.name == param.name) else {
            continue;
        };
        match &param.ty {
            ParamType::Scalar(elem) => found.elem(kernel, *elem, given)?,
            ParamType::Tensor { elem, dims, .. } => {
                found.elem(kernel, *elem, given)?;
                found.extents(kernel, dims, given)?;
            }
        }
    }
    found.settings(kernel, settings)?;
    found.finish(kernel)
}

/// What has been found, and which argument said so.
#[derive(Default)]
struct Found {
    dtypes: BTreeMap<String, (DType, String)>,
    ints: BTreeMap<String, (i64, String)>,
}

impl Found {
    fn elem(
        &mut self,
        kernel: &Kernel,
        elem: Elem,
        given: &ArgumentFacts,
    ) -> Result<(), InferError> {
        let Elem::Generic(generic, class) = elem else { return Ok(()) };
        let name = &kernel.generics[generic].name;
        if !class.contains(given.dtype) {
            return Err(InferError::WrongClass {
                generic: name.clone(),
                class: class.name(),
                argument: given.name.clone(),
                dtype: given.dtype,
            });
        }
        agree(&mut self.dtypes, name, given.dtype, &given.name)
    }

    fn extents(
        &mut self,
        kernel: &Kernel,
        dims: &[Extent],
        given: &ArgumentFacts,
    ) -> Result<(), InferError> {
        if dims.len() != given.shape.len() {
            return Err(InferError::WrongRank {
                argument: given.name.clone(),
                declared: dims.len(),
                given: given.shape.len(),
            });
        }
        for (dim, &extent) in dims.iter().zip(&given.shape) {
            if let Extent::Generic(generic) = dim {
                agree(&mut self.ints, &kernel.generics[*generic].name, extent, &given.name)?;
            }
        }
        Ok(())
    }

    fn settings(
        &mut self,
        kernel: &Kernel,
        settings: &BTreeMap<String, i64>,
    ) -> Result<(), InferError> {
        for (name, &value) in settings {
            let known = kernel
                .generics
                .values()
                .any(|g| g.name == *name && !matches!(g.kind, GenericKind::DType(_)));
            if !known {
                let known = kernel.generics.values();
                let known = known.filter(|g| !matches!(g.kind, GenericKind::DType(_)));
                let known = known.map(|g| g.name.clone()).collect();
                return Err(InferError::NoSuchKnob { name: name.clone(), known });
            }
            agree(&mut self.ints, name, value, "the setting")?;
        }
        Ok(())
    }

    fn finish(self, kernel: &Kernel) -> Result<Specialisation, InferError> {
        let mut result = Specialisation::default();
        for generic in kernel.generics.values() {
            let name = generic.name.clone();
            match &generic.kind {
                GenericKind::DType(_) => {
                    let Some(&(dtype, _)) = self.dtypes.get(&name) else {
                        return Err(InferError::Unknown { generic: name, dtype: true });
                    };
                    result.dtypes.insert(name, dtype);
                }
                GenericKind::Const | GenericKind::Knob(_) => {
                    let default = match &generic.kind {
                        GenericKind::Knob(choices) => choices.first().copied(),
                        GenericKind::Const | GenericKind::DType(_) => None,
                    };
                    let Some(value) = self.ints.get(&name).map(|&(v, _)| v).or(default) else {
                        return Err(InferError::Unknown { generic: name, dtype: false });
                    };
                    result.ints.insert(name, value);
                }
            }
        }
        Ok(result)
    }
}

fn agree<V: Copy + PartialEq + fmt::Display>(
    found: &mut BTreeMap<String, (V, String)>,
    generic: &str,
    value: V,
    argument: &str,
) -> Result<(), InferError> {
    match found.get(generic) {
        Some((before, by)) if *before != value => Err(InferError::Disagree {
            generic: generic.to_string(),
            first: (by.clone(), before.to_string()),
            second: (argument.to_string(), value.to_string()),
        }),
        Some(_) => Ok(()),
        None => {
            found.insert(generic.to_string(), (value, argument.to_string()));
            Ok(())
        }
    }
}
