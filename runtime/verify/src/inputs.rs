//! Random arguments for one case, as the oracle sees them and as a device does.
//!
//! Both sides get the same numbers: drawn, rounded to the declared type, then laid out for the device with
//! odd strides. Tensors the kernel only writes start as NaN, so that a lane it forgets shows; those it adds to
//! start as numbers.

use std::collections::{BTreeMap, BTreeSet};

use tilec_host::{Arguments, Elements, Number, RuntimeError, Tensor};
use tilec_interp::{Argument, Data, TensorData};
use tilec_ir::{Elem, Extent, Kernel, Op, Param, ParamType};
use tilec_vocab::{Bug, DType, HostExpr};

use crate::extents::Extents;
use crate::random::Random;

/// The largest tensor to draw; only extents that were asked for lead there.
const MAX_ELEMENTS: i64 = 1 << 26;
/// Tries to draw numbers that meet a kernel's `require` clauses.
const TRIES: usize = 200;

/// Arguments of one case, by parameter.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// In the order of the parameters.
    pub params: Vec<Input>,
    /// Seed of the memory layouts.
    layout: u64,
}

/// One argument.
#[derive(Clone, Debug)]
pub struct Input {
    /// The parameter.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// The value.
    pub value: Argument,
}

/// Draws arguments for `kernel`, still generic, bound to `extents` and `dtypes`.
pub fn draw(
    kernel: &Kernel,
    extents: &Extents,
    dtypes: &BTreeMap<String, DType>,
    seed: u64,
) -> Option<Inputs> {
    let mut random = Random::new(seed);
    let largest = extents.dims.values().copied().max().unwrap_or(1).max(1);
    // Small integers collide often, as document ids must; large ones reach every position.
    let top = if random.range(0, 1) == 0 { 3 } else { largest };
    let mut params = Vec::new();
    let read = read_params(kernel);
    for (id, param) in kernel.params.iter() {
        let (elem, dims, mutable) = match &param.ty {
            ParamType::Scalar(elem) => (*elem, None, false),
            ParamType::Tensor { elem, dims, mutable } => (*elem, Some(dims), *mutable),
        };
        let dtype = match elem {
            Elem::Known(dtype) => dtype,
            Elem::Generic(generic, _) => *dtypes.get(&kernel.generics[generic].name)?,
        };
        let value = match dims {
            None => number(dtype, largest, &mut random),
            Some(dims) => {
                let shape: Vec<i64> = dims
                    .iter()
                    .map(|dim| extent(kernel, extents, dim))
                    .collect::<Option<Vec<_>>>()?;
                let elements = shape.iter().try_fold(1i64, |n, &extent| n.checked_mul(extent))?;
                if !(0..=MAX_ELEMENTS).contains(&elements) {
                    return None;
                }
                tensor(dtype, shape, mutable && !read.contains(&id), top, &mut random)
            }
        };
        params.push(Input { name: param.name.clone(), dtype, value });
    }
    let mut inputs = Inputs { params, layout: random.next() };
    for _ in 0..TRIES {
        if inputs.satisfy(kernel, extents) {
            return Some(inputs);
        }
        for input in &mut inputs.params {
            if matches!(input.value, Argument::Int(_)) {
                input.value = number(input.dtype, largest, &mut random);
            }
        }
    }
    None
}

/// Parameters whose contents before the launch matter.
fn read_params(kernel: &Kernel) -> BTreeSet<Param> {
    let read = |op: &Op| match op {
        Op::Load(param) | Op::AtomicAdd(param) => Some(*param),
        _ => None,
    };
    kernel.walk().into_iter().filter_map(|inst| read(&kernel.insts[inst].op)).collect()
}

fn extent(kernel: &Kernel, extents: &Extents, dim: &Extent) -> Option<i64> {
    match dim {
        Extent::Const(n) => Some(*n),
        Extent::Generic(generic) => extents.ints.get(&kernel.generics[*generic].name).copied(),
        Extent::Dim(dim) => extents.dims.get(&kernel.dims[*dim].name).copied(),
    }
}

fn number(dtype: DType, largest: i64, random: &mut Random) -> Argument {
    match dtype {
        DType::Bool => Argument::Bool(random.range(0, 1) == 1),
        DType::I32 | DType::I64 => Argument::Int(random.range(-2, largest + 3)),
        DType::F16 | DType::BF16 | DType::F32 => {
            Argument::Float(dtype.round(0.05 + 0.95 * random.unit()))
        }
    }
}

fn tensor(dtype: DType, shape: Vec<i64>, poison: bool, top: i64, random: &mut Random) -> Argument {
    let count = shape.iter().product::<i64>().max(0) as usize;
    let data = match dtype {
        DType::Bool => Data::Bool((0..count).map(|_| random.range(0, 1) == 1).collect()),
        DType::I32 | DType::I64 => Data::Int((0..count).map(|_| random.range(0, top)).collect()),
        DType::F16 | DType::BF16 | DType::F32 if poison => Data::Float(vec![f64::NAN; count]),
        DType::F16 | DType::BF16 | DType::F32 => {
            Data::Float((0..count).map(|_| dtype.round(normal(random))).collect())
        }
    };
    Argument::Tensor(TensorData { shape, data })
}

/// A normal number with standard deviation 1 (Box and Muller).
fn normal(random: &mut Random) -> f64 {
    let radius = (-2.0 * (1.0 - random.unit()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.unit()).cos()
}

impl Inputs {
    fn satisfy(&self, kernel: &Kernel, extents: &Extents) -> bool {
        let value = |name: &str| -> Option<i128> {
            let known = extents.dims.get(name).or_else(|| extents.ints.get(name)).copied();
            let number = || {
                self.params.iter().find(|p| p.name == name).and_then(|p| match p.value {
                    Argument::Int(n) => Some(n),
                    Argument::Tensor(_) | Argument::Float(_) | Argument::Bool(_) => None,
                })
            };
            known.or_else(number).map(i128::from)
        };
        let holds = |expr: &HostExpr| expr.eval(&value).is_some_and(|truth| truth != 0);
        kernel.requires.iter().all(|require| holds(&require.expr))
    }

    /// For the interpreter, in the order of the parameters.
    pub fn for_oracle(&self) -> Vec<Argument> {
        self.params.iter().map(|input| input.value.clone()).collect()
    }

    /// For a device: fresh memory, odd strides, outputs poisoned.
    pub fn for_device(&self) -> Result<Arguments, RuntimeError> {
        let mut random = Random::new(self.layout);
        let mut args = Arguments::new();
        for input in &self.params {
            let name = input.name.clone();
            match &input.value {
                Argument::Float(x) => args.insert(name, Number::Float(*x)),
                Argument::Int(n) => args.insert(name, Number::Int(*n)),
                Argument::Bool(b) => args.insert(name, Number::Bool(*b)),
                Argument::Tensor(data) => {
                    let tensor = strided(input.dtype, &data.shape, &mut random)?;
                    tensor.write(&elements(&data.data))?;
                    args.insert(name, tensor)
                }
            };
        }
        Ok(args)
    }
}

/// A tensor in one of several layouts: dense, with gaps behind rows, or with dimensions in another
/// order in memory. Poisoned throughout.
fn strided(dtype: DType, shape: &[i64], random: &mut Random) -> Result<Tensor, RuntimeError> {
    let rank = shape.len();
    let mut order: Vec<usize> = (0..rank).collect();
    if random.range(0, 2) == 0 {
        for at in (1..rank).rev() {
            order.swap(at, random.range(0, at as i64) as usize);
        }
    }
    let gap = if random.range(0, 1) == 0 { 0 } else { random.range(1, 5) };
    let mut padded: Vec<i64> = order.iter().map(|&dim| shape[dim]).collect();
    if let Some(last) = padded.last_mut() {
        *last += gap;
    }
    let memory = Tensor::poisoned(dtype, &padded)?;
    let memory = match rank {
        0 => memory,
        _ => memory.slice(rank - 1, 0, shape[order[rank - 1]])?,
    };
    let mut back = vec![0; rank];
    for (at, &dim) in order.iter().enumerate() {
        back[dim] = at;
    }
    memory.permute(&back)
}

fn elements(data: &Data) -> Elements {
    match data {
        Data::Float(x) => Elements::Floats(x.clone()),
        Data::Int(x) => Elements::Ints(x.clone()),
        Data::Bool(x) => Elements::Bools(x.clone()),
    }
}

/// A tensor a device wrote, as the comparison wants it.
pub fn result(args: &Arguments, name: &str) -> Result<TensorData, RuntimeError> {
    let Some(tilec_host::Argument::Tensor(tensor)) = args.get(name) else {
        return Err(Bug::new("verify", format!("`{name}` is no tensor argument")).into());
    };
    let data = match tensor.read()? {
        Elements::Floats(x) => Data::Float(x),
        Elements::Ints(x) => Data::Int(x),
        Elements::Bools(x) => Data::Bool(x),
    };
    Ok(TensorData { shape: tensor.shape().to_vec(), data })
}
