//! Kernels of PTX written by hand, as artifacts: for every device that runs PTX.

#![allow(dead_code, missing_docs)]

use tilec_host::{Arguments, Device, Launch, RuntimeError, Tensor, bind, launch};
use tilec_vocab::{
    Artifact, Contract, DType, HostExpr, HostOp, ParamKind, ParamSpec, Payload, PtxCode,
    Specialisation, TensorFacts,
};

pub const ADD: &str = include_str!("../ptx/add.ptx");
pub const RACE: &str = include_str!("../ptx/race.ptx");
pub const ORDER: &str = include_str!("../ptx/order.ptx");
pub const WINDOW: &str = include_str!("../ptx/window.ptx");
pub const SUM: &str = include_str!("../ptx/sum.ptx");

/// As [`ADD`], without the addition: to tell one code from the other.
pub fn product() -> String {
    ADD.replace("fma.rn.f32 %x, %y, %scale, %x", "mul.rn.f32 %x, %y, %scale")
}

fn tensor(name: &str, dtype: DType, dim: &str, mutable: bool) -> ParamSpec {
    let dims = vec![dim.to_owned()];
    ParamSpec { name: name.to_owned(), kind: ParamKind::Tensor { dtype, dims, mutable } }
}

fn artifact(
    text: &str,
    entry: &str,
    threads: u32,
    params: Vec<ParamSpec>,
    grid: HostExpr,
) -> Artifact {
    let mut dims: Vec<String> = Vec::new();
    for param in &params {
        if let ParamKind::Tensor { dims: of, .. } = &param.kind {
            dims.extend(of.iter().filter(|dim| !dims.contains(dim)).cloned().collect::<Vec<_>>());
        }
    }
    let code = PtxCode {
        text: text.to_owned(),
        entry: entry.to_owned(),
        target: "sm_80".to_owned(),
        threads,
        shared_bytes: 0,
        assumes: vec![TensorFacts::default(); params.len()],
        cubin: None,
    };
    let contract = Contract {
        kernel: entry.to_owned(),
        params,
        dims,
        consts: Vec::new(),
        requires: Vec::new(),
        grid: vec![grid],
    };
    let payload = Payload::Ptx(vec![code]);
    Artifact { contract, specialisation: Specialisation::default(), payload }
}

fn n() -> HostExpr {
    HostExpr::Name("n".to_owned())
}

/// `o = x + scale * y`.
pub fn add() -> Artifact {
    let f32s = |name, mutable| tensor(name, DType::F32, "n", mutable);
    let scale = ParamSpec { name: "scale".to_owned(), kind: ParamKind::Scalar(DType::F32) };
    let params = vec![f32s("x", false), f32s("y", false), f32s("o", true), scale];
    let grid = HostExpr::Binary(HostOp::Cdiv, Box::new(n()), Box::new(HostExpr::Int(128)));
    artifact(ADD, "add", 128, params, grid)
}

/// A rotation of 128 elements with a race in it.
pub fn race() -> Artifact {
    let i32s = |name, mutable| tensor(name, DType::I32, "n", mutable);
    artifact(RACE, "race", 128, vec![i32s("x", false), i32s("o", true)], HostExpr::Int(1))
}

/// Writes the order of its programs.
pub fn order() -> Artifact {
    let i32s = |name| tensor(name, DType::I32, "n", true);
    artifact(ORDER, "order", 1, vec![i32s("count"), i32s("o")], n())
}

/// A sum by atomic additions, whose rounding depends on the order of programs.
pub fn sum() -> Artifact {
    let params = vec![tensor("x", DType::F32, "n", false), tensor("o", DType::F32, "one", true)];
    artifact(SUM, "sum", 1, params, n())
}

/// `o[i] = x[i, 0] - x[i, 1]`.
pub fn window() -> Artifact {
    let dims = vec!["n".to_owned(), "two".to_owned()];
    let kind = ParamKind::Tensor { dtype: DType::F32, dims, mutable: false };
    let x = ParamSpec { name: "x".to_owned(), kind };
    artifact(WINDOW, "window", 1, vec![x, tensor("o", DType::F32, "n", true)], n())
}

/// The code of an artifact of PTX.
pub fn code(artifact: &mut Artifact) -> &mut PtxCode {
    match &mut artifact.payload {
        Payload::Ptx(variants) => &mut variants[0],
        Payload::TileIr(_) => panic!("these artifacts hold PTX"),
    }
}

/// `x`, `y` and `o` of `len` elements and what `o` has to become, every second element of memory with a gap of NaN.
pub struct Add {
    pub launch: Launch,
    pub o: Tensor,
    pub wanted: Vec<f64>,
}

pub fn add_of(len: i64, stride: i64) -> Add {
    let x: Vec<f64> = (0..len).map(|i| f64::from(i as i32) * 0.5).collect();
    let y: Vec<f64> = (0..len).map(|i| 100.0 - f64::from(i as i32)).collect();
    let strided = |values: Option<&[f64]>| {
        let memory = Tensor::poisoned(DType::F32, &[len * stride]).expect("memory");
        let tensor = memory.view(&[len], &[stride], 0).expect("a view");
        if let Some(values) = values {
            tensor.write(&tilec_host::Elements::Floats(values.to_vec())).expect("values");
        }
        tensor
    };
    let (tx, ty, o) = (strided(Some(&x)), strided(Some(&y)), strided(None));
    let mut args = Arguments::new();
    args.insert("x", &tx);
    args.insert("y", &ty);
    args.insert("o", &o);
    args.insert("scale", 2.0);
    let launch = bind(&add().contract, &args).expect("arguments that fit");
    let wanted = x.iter().zip(&y).map(|(x, y)| x + 2.0 * y).collect();
    Add { launch, o, wanted }
}

/// Binds tensors by name and runs.
pub fn run(
    device: &dyn Device,
    artifact: &Artifact,
    tensors: &[(&str, &Tensor)],
) -> Result<(), RuntimeError> {
    let mut args = Arguments::new();
    for (name, tensor) in tensors {
        args.insert(*name, *tensor);
    }
    let bound = bind(&artifact.contract, &args)?;
    launch(device.load(artifact)?.as_ref(), &bound)
}
