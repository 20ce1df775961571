//! Programs of GPU IR by hand, and runs of them in the simulator.

use tilec_codegen::nvptx;
use tilec_gpu::gir::*;
use tilec_gpu::gir::{Block, Op};
use tilec_ir::*;
use tilec_layout::{Buffer, Layout};
use tilec_ptxsim as sim;
use tilec_vocab::{DType, FileId, HostExpr, Span, TensorFacts};

pub struct Build {
    pub program: Program,
    open: Vec<Vec<Stmt>>,
}

pub fn span() -> Span {
    Span::new(FileId(0), 0, 0)
}

impl Build {
    pub fn new(warps: u32) -> Build {
        let mut signature = Kernel::new("k", span());
        signature.grid = vec![GridAxis { name: "p".into(), programs: HostExpr::Int(1) }];
        let program = Program {
            signature,
            facts: Vec::new(),
            warps,
            values: Table::new(),
            buffers: Table::new(),
            shared_bytes: 0,
            body: Vec::new(),
        };
        Build { program, open: vec![Vec::new()] }
    }

    pub fn axis(&mut self, name: &str, extent: u32) -> Axis {
        let extent = Extent::Const(i64::from(extent));
        self.program.signature.axes.push(AxisData {
            name: name.into(),
            extent,
            full: false,
            span: span(),
        })
    }

    pub fn dim(&mut self, name: &str) -> DimId {
        self.program.signature.dims.push(DimData { name: name.into() })
    }

    /// A tensor; `rows` says that rows are of 16 bytes.
    pub fn tensor(
        &mut self,
        name: &str,
        dtype: DType,
        dims: &[Extent],
        mutable: bool,
        rows: bool,
    ) -> Param {
        let ty = ParamType::Tensor { elem: Elem::Known(dtype), dims: dims.to_vec(), mutable };
        self.program.facts.push(TensorFacts { rows_of_16_bytes: rows, packed_rows: false });
        self.program.signature.params.push(ParamData { name: name.into(), ty, span: span() })
    }

    pub fn number(&mut self, name: &str, dtype: DType) -> Param {
        let ty = ParamType::Scalar(Elem::Known(dtype));
        self.program.facts.push(TensorFacts::default());
        self.program.signature.params.push(ParamData { name: name.into(), ty, span: span() })
    }

    pub fn buffer(&mut self, name: &str, buffer: Buffer<Axis>, slots: u32) -> Buf {
        let offset = self.program.shared_bytes.next_multiple_of(128);
        self.program.shared_bytes = offset + buffer.bytes() * slots;
        self.program.buffers.push(BufData { name: name.into(), buffer, slots, offset })
    }

    pub fn value(&mut self, elem: DType, layout: Option<&Layout<Axis>>) -> Val {
        self.program.values.push(ValData { elem, layout: layout.cloned(), name: None, below: None })
    }

    pub fn push(&mut self, results: Vec<Val>, op: Op) {
        let stmt = Stmt { results, op, span: span() };
        self.open.last_mut().expect("a body").push(stmt);
    }

    /// A statement without results.
    pub fn run(&mut self, op: Op) {
        self.push(Vec::new(), op);
    }

    /// A uniform value.
    pub fn uniform(&mut self, elem: DType, op: Op) -> Val {
        let value = self.value(elem, None);
        self.push(vec![value], op);
        value
    }

    /// A tile.
    pub fn tile(&mut self, elem: DType, layout: &Layout<Axis>, op: Op) -> Val {
        let value = self.value(elem, Some(layout));
        self.push(vec![value], op);
        value
    }

    pub fn int(&mut self, value: i64) -> Val {
        self.uniform(DType::I64, Op::Const(Imm::Int(value)))
    }

    pub fn float(&mut self, value: f64) -> Val {
        self.uniform(DType::F32, Op::Const(Imm::Float(value)))
    }

    /// Begins a nested body.
    pub fn begin(&mut self) {
        self.open.push(Vec::new());
    }

    /// Ends it.
    pub fn end(&mut self, yields: Vec<Val>) -> Block {
        Block { body: self.open.pop().expect("a body"), yields }
    }

    /// `for iv in lo..hi step` over carried values: `body` gets `iv` and their names.
    pub fn looped(
        &mut self,
        (lo, hi, step): (Val, Val, i64),
        initial: &[Val],
        body: impl FnOnce(&mut Build, Val, &[Val]) -> Vec<Val>,
    ) -> Vec<Val> {
        let fresh = |build: &mut Build| -> Vec<Val> {
            initial
                .iter()
                .map(|value| {
                    let data = build.program.values[*value].clone();
                    build.program.values.push(data)
                })
                .collect()
        };
        let (params, results) = (fresh(self), fresh(self));
        let iv = self.value(DType::I64, None);
        self.begin();
        let yields = body(self, iv, &params);
        let body = self.end(yields);
        let looped = For { lo, hi, step, iv, initial: initial.to_vec(), params, body };
        self.push(results.clone(), Op::For(Box::new(looped)));
        results
    }

    pub fn finish(mut self) -> Program {
        self.program.body = self.open.pop().expect("a body");
        self.program
    }
}

/// An access whose index along each dimension is one axis, plus a uniform value.
pub fn access(param: Param, axes: &[Option<Axis>], vector: u32) -> Access {
    let dims = axes
        .iter()
        .map(|axis| Index {
            uniform: None,
            lanes: axis.map(|axis| (axis, 1)).into_iter().collect(),
            tile: None,
            check: false,
        })
        .collect();
    Access { param, dims, present: Vec::new(), all_inside: None, vector }
}

pub fn fixed(extent: u32) -> Extent {
    Extent::Const(i64::from(extent))
}

/// An argument of a launch.
pub enum Given {
    Tensor(sim::Buffer, Vec<u64>),
    F32(f32),
    I64(i64),
}

/// Bytes, and how they are named.
pub fn input(name: &str, dtype: DType, values: &[f64], strides: &[u64]) -> Given {
    Given::Tensor(sim::Buffer::input(name, elem(dtype), bytes(dtype, values)), strides.to_vec())
}

pub fn output(name: &str, dtype: DType, elements: u64, strides: &[u64]) -> Given {
    Given::Tensor(sim::Buffer::output(name, elem(dtype), elements), strides.to_vec())
}

/// Memory that is read and written.
pub fn both(name: &str, dtype: DType, values: &[f64], strides: &[u64]) -> Given {
    let buffer = sim::Buffer::input(name, elem(dtype), bytes(dtype, values));
    Given::Tensor(sim::Buffer { direction: sim::Direction::InOut, ..buffer }, strides.to_vec())
}

fn elem(dtype: DType) -> sim::Elem {
    match dtype {
        DType::Bool => sim::Elem::U8,
        DType::I32 => sim::Elem::U32,
        DType::I64 => sim::Elem::U64,
        DType::F16 => sim::Elem::F16,
        DType::BF16 => sim::Elem::Bf16,
        DType::F32 => sim::Elem::F32,
    }
}

pub fn bytes(dtype: DType, values: &[f64]) -> Vec<u8> {
    let one = |value: f64| -> Vec<u8> {
        match dtype {
            DType::Bool => vec![u8::from(value != 0.0)],
            DType::I32 => (value as i32).to_le_bytes().to_vec(),
            DType::I64 => (value as i64).to_le_bytes().to_vec(),
            DType::F16 => half::f16::from_f64(value).to_le_bytes().to_vec(),
            DType::BF16 => half::bf16::from_f64(value).to_le_bytes().to_vec(),
            DType::F32 => (value as f32).to_le_bytes().to_vec(),
        }
    };
    values.iter().flat_map(|value| one(*value)).collect()
}

pub fn numbers(dtype: DType, bytes: &[u8]) -> Vec<f64> {
    bytes
        .chunks(dtype.size_bytes())
        .map(|b| match dtype {
            DType::Bool => f64::from(b[0]),
            DType::I32 => f64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]])),
            DType::I64 => {
                i64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f64
            }
            DType::F16 => half::f16::from_le_bytes([b[0], b[1]]).to_f64(),
            DType::BF16 => half::bf16::from_le_bytes([b[0], b[1]]).to_f64(),
            DType::F32 => f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
        })
        .collect()
}

/// PTX for sm_80.
pub fn ptx(program: &Program) -> String {
    let target = nvptx::Target::named("sm_80").expect("a target");
    match nvptx::compile(program, target) {
        Ok(compiled) => compiled.code.text,
        Err(error) => {
            let text = nvptx::llvm_ir(program, target).unwrap_or_default();
            panic!("{error}\n{text}")
        }
    }
}

/// Compiles and runs one CTA; gives the named buffer.
pub fn run(
    program: &Program,
    given: Vec<Given>,
    dims: &[u64],
    name: &str,
    dtype: DType,
) -> Vec<f64> {
    run_all(program, given, dims, name, dtype).pop().expect("a run")
}

/// As [`run`], on machines that differ in all that PTX leaves open: schedules, approximations, orders of sums.
pub fn run_all(
    program: &Program,
    given: Vec<Given>,
    dims: &[u64],
    name: &str,
    dtype: DType,
) -> Vec<Vec<f64>> {
    let text = ptx(program);
    let module = match sim::Module::parse(&text) {
        Ok(module) => module,
        Err(error) => panic!("{error}\n{text}"),
    };
    let (mut args, mut buffers) = (Vec::new(), Vec::new());
    for one in given {
        match one {
            Given::Tensor(buffer, strides) => {
                args.push(sim::Arg::buffer(buffers.len()));
                args.extend(strides.into_iter().map(sim::Arg::u64));
                buffers.push(buffer);
            }
            Given::F32(value) => args.push(sim::Arg::f32(value)),
            Given::I64(value) => args.push(sim::Arg::u64(value as u64)),
        }
    }
    args.extend(dims.iter().map(|dim| sim::Arg::u64(*dim)));
    args.push(sim::Arg::u32(1));
    let launch = sim::Launch {
        entry: "k".into(),
        grid: [1; 3],
        block: [program.warps * 32, 1, 1],
        dynamic_shared_bytes: program.shared_bytes,
        args,
        buffers,
        shared_regions: Vec::new(),
    };
    let mut found = Vec::new();
    // Each approximation and each order once.
    let numerics = sim::Numerics::all().into_iter().step_by(5);
    for (schedule, numerics) in sim::Schedule::variety(4).into_iter().zip(numerics) {
        let config = sim::Config { schedule, numerics, ..sim::Config::default() };
        let outcome = match sim::simulate(&module, &launch, &config) {
            Ok(outcome) => outcome,
            Err(error) => panic!("{error}\n{text}"),
        };
        if !outcome.is_clean() {
            let findings: Vec<String> = outcome.findings.iter().map(|f| f.to_string()).collect();
            panic!("{}\n{text}", findings.join("\n"));
        }
        found.push(numbers(dtype, &outcome.bytes_of(name).expect("the buffer")));
    }
    found
}

/// Multiples of 1/8 in [-1, 1].
pub fn small_numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ((state >> 33) % 17) as f64 / 8.0 - 1.0
        })
        .collect()
}
