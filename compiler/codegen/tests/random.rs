//! Kernels drawn at random, compiled for this machine and held against the interpreter.
//!
//! Tensors lie in memory with gaps between their elements and guards around them; whatever is not an element
//! must be as before. `TILEC_CPU_KERNELS` sets how many are drawn; 500 unless said. A failure names the seed.

use std::env;

use tilec_codegen::cpu::{Bf16Dots, Host, JitKernel, emit};
use tilec_interp::{Argument, Data, Limits, Mode, Outcome, TensorData, run};
use tilec_ir::random::{Case, Rng, case};
use tilec_ir::{Entity, Imm, Kernel, Param, ParamType, print_kernel};
use tilec_vocab::DType;

/// Bytes before and after a tensor, and what they and all gaps hold.
const GUARD: usize = 256;
const FILLER: u8 = 0xa5;

/// A tensor in memory.
struct Tensor {
    dtype: DType,
    strides: Vec<i64>,
    bytes: Vec<u8>,
    /// Where each element starts, row-major.
    places: Vec<usize>,
}

impl Tensor {
    fn new(dtype: DType, shape: &[i64], values: &[f64], rng: &mut Rng) -> Tensor {
        let size = dtype.size_bytes();
        // Any order of dimensions, any gaps.
        let mut order: Vec<usize> = (0..shape.len()).collect();
        if rng.percent(30) {
            order.reverse();
        }
        let mut strides = vec![0; shape.len()];
        let mut next = if rng.percent(30) { rng.between(2, 3) } else { 1 };
        for &d in order.iter().rev() {
            strides[d] = next;
            next *= shape[d].max(1);
            next += if rng.percent(30) { rng.between(1, 5) } else { 0 };
        }
        let count = shape.iter().product::<i64>();
        let places = (0..count).map(|n| {
            let mut rest = n;
            let mut at = 0;
            for d in (0..shape.len()).rev() {
                at += rest % shape[d] * strides[d];
                rest /= shape[d];
            }
            GUARD + at as usize * size
        });
        let places: Vec<usize> = places.collect();
        let mut bytes = vec![FILLER; 2 * GUARD + next as usize * size];
        for (&place, &value) in places.iter().zip(values) {
            bytes[place..place + size].copy_from_slice(&to_bytes(dtype, value)[..size]);
        }
        Tensor { dtype, strides, bytes, places }
    }

    fn values(&self) -> Vec<f64> {
        let value = |&place: &usize| from_bytes(self.dtype, &self.bytes[place..]);
        self.places.iter().map(value).collect()
    }

    /// The first byte outside the elements that changed.
    fn stray(&self) -> Option<usize> {
        let mut mine = vec![false; self.bytes.len()];
        for &place in &self.places {
            mine[place..place + self.dtype.size_bytes()].fill(true);
        }
        (0..mine.len()).find(|&n| !mine[n] && self.bytes[n] != FILLER)
    }
}

fn to_bytes(dtype: DType, value: f64) -> [u8; 8] {
    let mut bytes = [0; 8];
    match dtype {
        DType::Bool => bytes[0] = u8::from(value != 0.0),
        DType::I32 => bytes[..4].copy_from_slice(&(value as i32).to_ne_bytes()),
        DType::I64 => bytes = (value as i64).to_ne_bytes(),
        DType::F16 => bytes[..2].copy_from_slice(&half::f16::from_f64(value).to_ne_bytes()),
        DType::BF16 => bytes[..2].copy_from_slice(&half::bf16::from_f64(value).to_ne_bytes()),
        DType::F32 => bytes[..4].copy_from_slice(&(value as f32).to_ne_bytes()),
    }
    bytes
}

fn from_bytes(dtype: DType, bytes: &[u8]) -> f64 {
    let two = || u16::from_ne_bytes([bytes[0], bytes[1]]);
    let four = || [bytes[0], bytes[1], bytes[2], bytes[3]];
    match dtype {
        DType::Bool => f64::from(bytes[0]),
        DType::I32 => f64::from(i32::from_ne_bytes(four())),
        DType::I64 => i64::from_ne_bytes(bytes[..8].try_into().expect("eight bytes")) as f64,
        DType::F16 => half::f16::from_bits(two()).to_f64(),
        DType::BF16 => half::bf16::from_bits(two()).to_f64(),
        DType::F32 => f64::from(f32::from_ne_bytes(four())),
    }
}

fn dtype(case: &Case, param: Param) -> DType {
    match &case.kernel.params[param].ty {
        ParamType::Tensor { elem, .. } | ParamType::Scalar(elem) => {
            elem.known().expect("specialised")
        }
    }
}

fn scalar(case: &Case, param: Param) -> Imm {
    case.scalars.iter().find(|(of, _)| *of == param).expect("a value for each number").1
}

fn interpret(seed: u64, case: &Case) -> Outcome {
    let args = case.kernel.params.iter().map(|(param, data)| match data.ty {
        ParamType::Tensor { .. } => {
            let values = case.elements(param, seed);
            let data = match dtype(case, param) {
                DType::Bool => Data::Bool(values.into_iter().map(|x| x != 0.0).collect()),
                DType::I32 | DType::I64 => {
                    Data::Int(values.into_iter().map(|x| x as i64).collect())
                }
                DType::F16 | DType::BF16 | DType::F32 => Data::Float(values),
            };
            Argument::Tensor(TensorData { shape: case.shape(param), data })
        }
        ParamType::Scalar(_) => match scalar(case, param) {
            Imm::Bool(value) => Argument::Bool(value),
            Imm::Int(value) => Argument::Int(value),
            Imm::Float(value) => Argument::Float(value),
        },
    });
    run(&case.kernel, args.collect(), Mode::Declared, Limits::default())
        .unwrap_or_else(|error| panic!("seed {seed}: {error}"))
}

/// Runs `kernel`, which means what the case's means, and gives its tensors.
fn execute(seed: u64, case: &Case, kernel: &Kernel, host: &Host) -> Vec<Option<Tensor>> {
    let code = emit(kernel, host).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let compiled = JitKernel::new(&code, &kernel.name, host)
        .unwrap_or_else(|error| panic!("seed {seed}: {error}\n{}", code.text));
    let mut rng = Rng::new(seed ^ 0x5eed);
    let mut params = Vec::new();
    let mut tensors: Vec<Option<Tensor>> = Vec::new();
    for (param, data) in case.kernel.params.iter() {
        match data.ty {
            ParamType::Tensor { .. } => {
                let values = case.elements(param, seed);
                let mut tensor =
                    Tensor::new(dtype(case, param), &case.shape(param), &values, &mut rng);
                params.push(tensor.bytes[GUARD..].as_mut_ptr() as i64);
                params.extend(&tensor.strides);
                tensors.push(Some(tensor));
            }
            ParamType::Scalar(_) => {
                params.push(match scalar(case, param) {
                    Imm::Bool(value) => i64::from(value),
                    Imm::Int(value) => value,
                    Imm::Float(value) => i64::from((value as f32).to_bits()),
                });
                tensors.push(None);
            }
        }
    }
    for (dim, _) in kernel.dims.iter() {
        params.push(case.dims.iter().find(|(of, _)| *of == dim).expect("each dimension").1);
    }
    let names = |name: &str| {
        let dim = kernel.dims.iter().find(|(_, data)| data.name == name);
        if let Some((dim, _)) = dim {
            return case.dims.iter().find(|(of, _)| *of == dim).map(|(_, n)| i128::from(*n));
        }
        match scalar(case, kernel.param(name)?) {
            Imm::Int(value) => Some(i128::from(value)),
            Imm::Bool(_) | Imm::Float(_) => None,
        }
    };
    let grid: Vec<i64> =
        kernel.grid.iter().map(|axis| axis.programs.eval(&names).expect("a grid") as i64).collect();
    let mut scratch = vec![0xff_u8; compiled.scratch_bytes() + 64];
    let offset = scratch.as_ptr().align_offset(64);
    for number in 0..grid.iter().product::<i64>() {
        let mut program = vec![0; grid.len()];
        let mut rest = number;
        for (position, &count) in program.iter_mut().zip(&grid).rev() {
            *position = rest % count;
            rest /= count;
        }
        // SAFETY: the tensors live in `tensors`, the scratch is aligned and large enough.
        unsafe { compiled.run(&params, &program, scratch[offset..].as_mut_ptr()) };
    }
    tensors
}

fn check(seed: u64, case: &Case, outcome: &Outcome, tensors: &[Option<Tensor>], kernel: &Kernel) {
    for (tensor, (_, data)) in tensors.iter().zip(case.kernel.params.iter()) {
        if let Some(at) = tensor.as_ref().and_then(Tensor::stray) {
            panic!("seed {seed}: byte {at} of `{}` changed\n{}", data.name, print_kernel(kernel));
        }
    }
    for output in &case.outputs {
        let name = &case.kernel.params[output.param].name;
        let wanted = outcome.output(name).expect("an output").tensor.data.clone();
        let wanted: Vec<f64> = match wanted {
            Data::Float(values) => values,
            Data::Int(values) => values.into_iter().map(|x| x as f64).collect(),
            Data::Bool(values) => values.into_iter().map(|x| f64::from(u8::from(x))).collect(),
        };
        let got = tensors[output.param.index()].as_ref().expect("a tensor").values();
        for (n, (got, wanted)) in got.iter().zip(&wanted).enumerate() {
            let same = got == wanted || (got.is_nan() && wanted.is_nan());
            assert!(
                same || (got - wanted).abs() <= output.tolerance,
                "seed {seed}: `{name}`[{n}] is {got}, wanted {wanted} within {}\n{}",
                output.tolerance,
                print_kernel(kernel)
            );
        }
    }
}

fn differential(seeds: impl Iterator<Item = u64>, hosts: &[Host]) {
    for seed in seeds {
        let case = case(seed);
        let outcome = interpret(seed, &case);
        let host = &hosts[seed as usize % hosts.len()];
        let optimised = tilec_passes::optimise(&case.kernel, &tilec_passes::Options::default());
        let optimised = optimised.unwrap_or_else(|bug| panic!("seed {seed}: {bug}"));
        for kernel in [&case.kernel, &optimised] {
            let tensors = execute(seed, &case, kernel, host);
            check(seed, &case, &outcome, &tensors, kernel);
        }
    }
}

/// This machine with its own vectors, with narrower ones, which it also has, and with its lesser units for bf16 dots.
fn hosts() -> Vec<Host> {
    let this = Host::this();
    let widths = [16, 8, 4].into_iter().filter(|&lanes| lanes <= this.lanes);
    let narrow = widths.map(|lanes| this.with(lanes, Bf16Dots::Widened));
    let pairs = (this.bf16 == Bf16Dots::Tiles).then(|| this.with(this.lanes, Bf16Dots::Pairs));
    let own = (this.bf16 != Bf16Dots::Widened).then(|| this.clone());
    narrow.chain(pairs).chain(own).collect()
}

#[test]
fn compiled_kernels_do_what_the_interpreter_does() {
    let count =
        env::var("TILEC_CPU_KERNELS").ok().and_then(|text| text.parse().ok()).unwrap_or(500);
    let first = env::var("TILEC_CPU_FIRST").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let hosts = hosts();
    std::thread::scope(|scope| {
        for part in 0..2 {
            let hosts = &hosts;
            scope.spawn(move || {
                differential((first..first + count).filter(|n| n % 2 == part), hosts)
            });
        }
    });
}
