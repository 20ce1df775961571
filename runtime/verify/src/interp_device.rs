//! The interpreter of tile IR as a device: slow, exact about the meaning of every op, and there on
//! every machine.

use std::sync::Arc;

use tilec_host::{
    Arg, Device, DeviceInfo, Elements, Executable, LaunchArgs, RuntimeError, Scalar, View,
};
use tilec_interp::{Argument, Data, InterpError, Limits, Mode, TensorData};
use tilec_ir::Kernel;
use tilec_vocab::{Artifact, Contract};

/// Runs kernels in declared precision, one program after another.
pub struct InterpDevice;

struct Interpreted {
    contract: Contract,
    kernel: Kernel,
}

impl Device for InterpDevice {
    fn info(&self) -> DeviceInfo {
        DeviceInfo {
            name: "interp".to_owned(),
            model: "interpreter of tile IR, in declared precision".to_owned(),
            units: 1,
            features: Vec::new(),
        }
    }

    fn load(&self, artifact: &Artifact) -> Result<Arc<dyn Executable>, RuntimeError> {
        let kernel = tilec_ir::loaded(artifact, "interp")?;
        Ok(Arc::new(Interpreted { contract: artifact.contract.clone(), kernel }))
    }
}

impl Executable for Interpreted {
    fn contract(&self) -> &Contract {
        &self.contract
    }

    unsafe fn execute(&self, args: &LaunchArgs) -> Result<(), RuntimeError> {
        let given = args
            .args
            .iter()
            .map(|arg| {
                Ok(match arg {
                    // SAFETY: the caller keeps the memory alive and its writers away.
                    Arg::Tensor(view) => Argument::Tensor(to_data(view, unsafe { view.read() }?)),
                    Arg::Scalar(scalar) => to_number(*scalar),
                })
            })
            .collect::<Result<_, RuntimeError>>()?;
        let outcome = tilec_interp::run(&self.kernel, given, Mode::Declared, Limits::default())
            .map_err(|error| self.error(error))?;

        for (param, arg) in self.contract.params.iter().zip(&args.args) {
            let (Arg::Tensor(view), Some(output)) = (arg, outcome.output(&param.name)) else {
                continue;
            };
            // SAFETY: the caller keeps all others away from what the kernel writes; the outcome
            // has the view's kind and number of elements, those not written as they were.
            unsafe { view.write(&from_data(output.tensor.data.clone())) };
        }
        Ok(())
    }
}

impl Interpreted {
    fn error(&self, error: InterpError) -> RuntimeError {
        match error {
            InterpError::Bug(bug) => RuntimeError::Bug(bug),
            other => {
                let message = format!("kernel `{}`: {other}", self.contract.kernel);
                RuntimeError::Device { device: "interp".to_owned(), message }
            }
        }
    }
}

fn to_data(view: &View, elements: Elements) -> TensorData {
    let data = match elements {
        Elements::Floats(values) => Data::Float(values),
        Elements::Ints(values) => Data::Int(values),
        Elements::Bools(values) => Data::Bool(values),
    };
    TensorData { shape: view.shape.clone(), data }
}

fn from_data(data: Data) -> Elements {
    match data {
        Data::Float(values) => Elements::Floats(values),
        Data::Int(values) => Elements::Ints(values),
        Data::Bool(values) => Elements::Bools(values),
    }
}

fn to_number(scalar: Scalar) -> Argument {
    match scalar {
        Scalar::Bool(value) => Argument::Bool(value),
        Scalar::I32(value) => Argument::Int(i64::from(value)),
        Scalar::I64(value) => Argument::Int(value),
        Scalar::F16(_) | Scalar::BF16(_) | Scalar::F32(_) => Argument::Float(scalar.to_f64()),
    }
}
