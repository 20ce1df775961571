//! `tilec emit`: what the compiler makes of a file, at a stage.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tilec_driver::{CompileError, InferError, infer};
use tilec_ir::{GenericKind, Kernel, Module};
use tilec_vocab::{DType, Specialisation};

use crate::failure::{Failure, Outcome};
use crate::output::{self, Talk};
use crate::settings::Settings;
use crate::source::{front, kernel};

/// Print what the compiler makes of a file
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without settings the IR is printed as the front end leaves it, generic. With a value for each
generic parameter the kernel is specialised and optimised; knobs take their first choice.

Examples:
  tilec emit causal.tile --to tir
  tilec emit causal.tile --to tir T=f16 D=64
  tilec emit causal.tile --to tir T=f16 D=64 --knob BM=128 --off hoist")]
pub struct Args {
    /// The file; - is the standard input
    file: PathBuf,

    /// Generic parameters of the kernel: element types and constants
    #[arg(value_name = "NAME=VALUE")]
    generics: Vec<String>,

    /// The stage to leave at
    #[arg(long, value_name = "STAGE", default_value = "tir")]
    to: Stage,

    /// The kernel, where the file has several
    #[arg(short, long, value_name = "NAME")]
    kernel: Option<String>,

    #[command(flatten)]
    settings: Settings,
}

/// Stages by their file extensions.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Stage {
    /// Tile IR.
    Tir,
}

impl Args {
    /// Prints the stage.
    pub fn run(self, talk: Talk) -> Outcome {
        let front = front(&self.file, talk)?;
        let module = front.module(&self.file)?;
        let options = self.settings.options()?;
        let knobs = self.settings.knobs()?;
        let text = match self.to {
            Stage::Tir if self.generics.is_empty() && knobs.is_empty() => match &self.kernel {
                None => tilec_ir::print(module),
                Some(name) => tilec_ir::print_kernel(kernel(module, Some(name))?),
            },
            Stage::Tir => {
                let kernel = kernel(module, self.kernel.as_deref())?;
                let binding = self.binding(kernel, knobs)?;
                let kernel = tilec_driver::optimise(kernel, &binding, &options).map_err(compile)?;
                tilec_ir::print(&Module::new(vec![kernel], Vec::new()))
            }
        };
        output::print(&text)
    }

    fn binding(
        &self,
        kernel: &Kernel,
        mut ints: BTreeMap<String, i64>,
    ) -> Result<Specialisation, Failure> {
        let mut dtypes = BTreeMap::new();
        for text in &self.generics {
            let Some((name, value)) = text.split_once('=') else {
                return Err(Failure::Usage(format!("`{text}` lacks `=`; write NAME=VALUE")));
            };
            let Some(generic) = kernel.generics.values().find(|generic| generic.name == name) else {
                return Err(usage(kernel, InferError::NoSuchKnob {
                    name: name.to_owned(),
                    known: kernel.generics.values().map(|g| g.name.clone()).collect(),
                }));
            };
            match &generic.kind {
                GenericKind::DType(class) => {
                    let dtype = DType::from_name(value).filter(|dtype| class.contains(*dtype));
                    let dtype = dtype.ok_or_else(|| {
                        Failure::Usage(format!("`{value}` is not a {class} type for `{name}`"))
                    })?;
                    dtypes.insert(name.to_owned(), dtype);
                }
                GenericKind::Const | GenericKind::Knob(_) => {
                    let value = value.parse().map_err(|_| {
                        Failure::Usage(format!("`{value}` is not a whole number for `{name}`"))
                    })?;
                    ints.insert(name.to_owned(), value);
                }
            }
        }
        // With no arguments to look at, this fills in the knobs and finds what is missing.
        let dtype_named = |error| match error {
            InferError::Unknown { generic, dtype: true } if dtypes.contains_key(&generic) => None,
            other => Some(other),
        };
        let without_dtypes = without_dtypes(kernel);
        let mut binding = infer(&without_dtypes, &[], &ints)
            .map_err(|error| usage(kernel, error))?;
        for generic in kernel.generics.values() {
            let GenericKind::DType(_) = generic.kind else { continue };
            match dtypes.get(&generic.name) {
                Some(dtype) => {
                    binding.dtypes.insert(generic.name.clone(), *dtype);
                }
                None => {
                    let generic = generic.name.clone();
                    let error = dtype_named(InferError::Unknown { generic, dtype: true });
                    return Err(error.map_or_else(
                        || Failure::Bug("an element type was lost".to_owned()),
                        |error| usage(kernel, error),
                    ));
                }
            }
        }
        Ok(binding)
    }
}
