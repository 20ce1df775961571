//! A launch reaches the executable it was bound for, alone with its memory.

use std::sync::Arc;

use tilec_host::{
    Arg, Argument, Arguments, Device, DeviceInfo, Elements, Executable, LaunchArgs, RuntimeError,
    Tensor, bind, launch,
};
use tilec_vocab::{
    Artifact, Contract, DType, HostExpr, ParamKind, ParamSpec, Payload, Specialisation,
};

/// A device whose only kernel adds `step` to every element of `x`, slowly.
struct Adder;

struct Add(Contract);

impl Device for Adder {
    fn info(&self) -> DeviceInfo {
        DeviceInfo { name: "adder".into(), model: "none".into(), units: 1, features: vec![] }
    }

    fn load(&self, artifact: &Artifact) -> Result<Arc<dyn Executable>, RuntimeError> {
        Ok(Arc::new(Add(artifact.contract.clone())))
    }
}

impl Executable for Add {
    fn contract(&self) -> &Contract {
        &self.0
    }

    unsafe fn execute(&self, args: &LaunchArgs) -> Result<(), RuntimeError> {
        let [Arg::Tensor(x), Arg::Scalar(step)] = args.args.as_slice() else {
            return Err(RuntimeError::Tensor("not the arguments of the contract".into()));
        };
        // SAFETY: the caller checked the arguments and keeps all others away from the memory.
        let mut values = unsafe { x.read() }?.into_f64s();
        for value in &mut values {
            std::thread::yield_now();
            *value += step.to_f64();
        }
        // SAFETY: as above.
        unsafe { x.write(&Elements::Floats(values)) };
        Ok(())
    }
}

fn artifact() -> Artifact {
    let dims = vec!["N".to_owned()];
    let x = ParamKind::Tensor { dtype: DType::F32, dims: dims.clone(), mutable: true };
    let contract = Contract {
        kernel: "add".into(),
        params: vec![
            ParamSpec { name: "x".into(), kind: x },
            ParamSpec { name: "step".into(), kind: ParamKind::Scalar(DType::F32) },
        ],
        dims,
        consts: vec![],
        requires: vec![],
        grid: vec![HostExpr::Name("N".into())],
    };
    let payload = Payload::TileIr(String::new());
    Artifact { contract, specialisation: Specialisation::default(), payload }
}

fn arguments(x: &Tensor, step: f64) -> Arguments {
    let mut args = Arguments::new();
    args.insert("x", x);
    args.insert("step", Argument::from(step));
    args
}

#[test]
fn launches_on_shared_memory_wait_for_each_other() -> Result<(), RuntimeError> {
    let executable = Adder.load(&artifact())?;
    let x = Tensor::zeros(DType::F32, &[50])?;
    let args = arguments(&x.flip(0)?, 1.0);
    let bound = bind(executable.contract(), &args)?;
    std::thread::scope(|scope| {
        let run = || (0..25).try_for_each(|_| launch(executable.as_ref(), &bound));
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Result<Vec<_>, _>>()
    })?;
    assert_eq!(x.to_f64s()?, [100.0; 50]);
    Ok(())
}

#[test]
fn a_grid_without_programs_runs_nothing() -> Result<(), RuntimeError> {
    let executable = Adder.load(&artifact())?;
    let x = Tensor::zeros(DType::F32, &[0])?;
    launch(executable.as_ref(), &bind(executable.contract(), &arguments(&x, 1.0))?)
}

#[test]
fn a_launch_bound_to_another_contract_is_our_bug() -> Result<(), RuntimeError> {
    let x = Tensor::zeros(DType::F32, &[4])?;
    let bound = bind(&artifact().contract, &arguments(&x, 1.0))?;
    let mut other = artifact();
    other.contract.grid.clear();
    let result = launch(Adder.load(&other)?.as_ref(), &bound);
    assert!(matches!(result, Err(RuntimeError::Bug(_))));
    assert_eq!(x.to_f64s()?, [0.0; 4]);
    Ok(())
}
