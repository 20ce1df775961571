//! Dots of bf16 operands by each unit, AMX tiles, `vdpbf16ps` and widening, at every number of present lanes of each axis,
//! against the interpreter. What lies around a tensor's elements, and all scratch memory, is NaN: whoever looks at a lane
//! that is not there shows it.

use tilec_codegen::cpu::{Bf16Dots, Host, JitKernel, emit};
use tilec_interp::{Argument, Data, Limits, Mode, TensorData, run};
use tilec_ir::random::Rng;
use tilec_ir::{Kernel, parse};

/// Elements between a row's last and the next row's first.
const GAP: usize = 5;

/// Blocks of 32 by 48, sums of 64, over what there is of M by N by K.
fn in_blocks(a: &str, b: &str, operands: &str) -> String {
    format!(
        "kernel @f(a: &bf16[{a}], b: &bf16[{b}], c: &mut f32[M, N])
  grid m in cdiv(M, 32), n in cdiv(N, 48)
{{
  %pm: i64 = program m
  %pn: i64 = program n
  %M: i64 = dim M
  %N: i64 = dim N
  %K: i64 = dim K
  %bm: i64 = const 32
  %bn: i64 = const 48
  %m0: i64 = mul %pm, %bm
  %n0: i64 = mul %pn, %bn
  axis m: 32 = %m0 .. %M
  axis n: 48 = %n0 .. %N
  %m: i64[m] = index m
  %n: i64[n] = index n
  %zero: f32 = const 0.0
  %first: f32[m, n] = splat %zero
  %from: i64 = const 0
  %sum: f32[m, n] = for k: 64, %k0 = %from .. %K carry (%acc: f32[m, n] = %first) {{
    %k: i64[k] = index k
    {operands}
    %dot: f32[m, n] = dot %x, %y over k
    %next: f32[m, n] = add %acc, %dot
    yield %next
  }}
  store c[%m, %n] = %sum
  yield
}}
"
    )
}

/// Whole axes of odd lengths, in one block.
fn whole(m: usize, n: usize, k: usize) -> String {
    format!(
        "kernel @f(a: &bf16[M, K], b: &bf16[K, N], c: &mut f32[M, N])
  grid p in 1
{{
  %zero: i64 = const 0
  %cm: i64 = const {m}
  %cn: i64 = const {n}
  %ck: i64 = const {k}
  axis m: {m} = %zero .. %cm full
  axis n: {n} = %zero .. %cn full
  axis k: {k} = %zero .. %ck full
  %m: i64[m] = index m
  %n: i64[n] = index n
  %k: i64[k] = index k
  %x: bf16[m, k] = load a[%m, %k]
  %y: bf16[n, k] = load b[%k, %n]
  %dot: f32[m, n] = dot %x, %y over k
  store c[%m, %n] = %dot
  yield
}}
"
    )
}

const PLAIN: &str = "%x: bf16[m, k] = load a[%m, %k]
    %y: bf16[n, k] = load b[%k, %n]";

const TURNED: &str = "%x: bf16[m, k] = load a[%k, %m]
    %y: bf16[n, k] = load b[%n, %k]";

const COMPUTED: &str = "%x0: bf16[m, k] = load a[%m, %k]
    %x1: f32[m, k] = cast %x0
    %x2: f32[m, k] = exp %x1
    %x: bf16[m, k] = cast %x2
    %total: f32[m] = sum %x2 over k
    %y0: bf16[n, k] = load b[%k, %n]
    %y1: f32[n, k] = cast %y0
    %y2: f32[n, k] = exp %y1
    %y: bf16[n, k] = cast %y2";

fn hosts() -> Vec<Host> {
    let this = Host::this();
    let units = [Bf16Dots::Tiles, Bf16Dots::Pairs, Bf16Dots::Widened];
    let from = units.iter().position(|&unit| unit == this.bf16).unwrap_or(0);
    units[from..].iter().map(|&unit| this.with(this.lanes, unit)).collect()
}

struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

impl Matrix {
    fn new(rows: usize, columns: usize, rng: &mut Rng) -> Matrix {
        let value = |_| half::bf16::from_f32(rng.between(-256, 256) as f32 / 128.0).to_f32();
        Matrix { rows, columns, values: (0..rows * columns).map(value).collect() }
    }

    fn turned(&self) -> Matrix {
        let at = |n: usize| self.values[n % self.rows * self.columns + n / self.rows];
        let values = (0..self.rows * self.columns).map(at).collect();
        Matrix { rows: self.columns, columns: self.rows, values }
    }

    /// In memory, with NaN after each row and around.
    fn laid(&self) -> Vec<u16> {
        let stride = self.columns + GAP;
        let mut memory = vec![half::bf16::NAN.to_bits(); GAP + self.rows * stride + 4096];
        for (n, &value) in self.values.iter().enumerate() {
            let place = GAP + n / self.columns * stride + n % self.columns;
            memory[place] = half::bf16::from_f32(value).to_bits();
        }
        memory
    }

    fn argument(&self) -> Argument {
        Argument::Tensor(TensorData {
            shape: vec![self.rows as i64, self.columns as i64],
            data: Data::Float(self.values.iter().map(|&x| f64::from(x)).collect()),
        })
    }
}

/// Runs compiled code on these and gives c, which is m by n; `extents` are the dimensions in the order in which the parameters
/// name them.
fn execute(
    compiled: &JitKernel,
    grid: [usize; 2],
    [a, b]: [&Matrix; 2],
    [m, n]: [usize; 2],
    extents: &[usize],
) -> Vec<f32> {
    let (a_memory, b_memory) = (a.laid(), b.laid());
    let mut c = vec![f32::NAN; m * n];
    let mut params: Vec<i64> = Vec::new();
    for (memory, matrix) in [(&a_memory, a), (&b_memory, b)] {
        params.extend([memory[GAP..].as_ptr() as i64, (matrix.columns + GAP) as i64, 1]);
    }
    params.extend([c.as_mut_ptr() as i64, n as i64, 1]);
    params.extend(extents.iter().map(|&extent| extent as i64));
    let mut scratch = vec![0xff_u8; compiled.scratch_bytes() + 64];
    let offset = scratch.as_ptr().align_offset(64);
    for p in 0..grid[0] {
        for q in 0..grid[1] {
            // SAFETY: the matrices are as large as their strides and dimensions say; the scratch is aligned and large enough.
            unsafe { compiled.run(&params, &[p as i64, q as i64], scratch[offset..].as_mut_ptr()) };
        }
    }
    c
}

fn interpreted(kernel: &Kernel, a: &Matrix, b: &Matrix, [m, n, _]: [usize; 3]) -> Vec<f64> {
    let c = TensorData { shape: vec![m as i64, n as i64], data: Data::Float(vec![0.0; m * n]) };
    let args = vec![a.argument(), b.argument(), Argument::Tensor(c)];
    let outcome = run(kernel, args, Mode::Declared, Limits::default());
    let outcome = outcome.unwrap_or_else(|error| panic!("{error}"));
    match outcome.output("c").map(|output| output.tensor.data.clone()) {
        Some(Data::Float(values)) => values,
        other => panic!("c is {other:?}"),
    }
}

/// Holds a kernel against the interpreter at these dimensions, for each unit.
fn check(text: &str, turned: bool, blocks: Option<[usize; 2]>, largest: f64, dims: &[[usize; 3]]) {
    let module = parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let kernel = &module.kernels[0];
    let compiled: Vec<(Host, JitKernel)> = hosts()
        .into_iter()
        .map(|host| {
            let code = emit(kernel, &host).unwrap_or_else(|error| panic!("{error}"));
            let used = [("tdpbf16ps", Bf16Dots::Tiles), ("dpbf16ps.512", Bf16Dots::Pairs)];
            for (name, unit) in used {
                assert_eq!(
                    code.text.contains(name),
                    host.bf16 == unit,
                    "{name} on {:?}",
                    host.bf16
                );
            }
            let compiled = JitKernel::new(&code, "f", &host);
            (host, compiled.unwrap_or_else(|error| panic!("{error}\n{}", code.text)))
        })
        .collect();
    let mut rng = Rng::new(11);
    for &[m, n, k] in dims {
        let (mut a, mut b) = (Matrix::new(m, k, &mut rng), Matrix::new(k, n, &mut rng));
        if turned {
            (a, b) = (a.turned(), b.turned());
        }
        let wanted = interpreted(kernel, &a, &b, [m, n, k]);
        let grid = blocks.map_or([1, 1], |[bm, bn]| [m.div_ceil(bm), n.div_ceil(bn)]);
        // One rounding to f32 for each of k sums, of numbers no greater than k products.
        let bound = (k * k) as f64 * largest * f64::from(f32::EPSILON);
        for (host, compiled) in &compiled {
            let got = execute(compiled, grid, [&a, &b], [m, n], &[a.rows, a.columns, n]);
            for (at, (&got, wanted)) in got.iter().zip(&wanted).enumerate() {
                let off = (f64::from(got) - wanted).abs();
                assert!(
                    off <= bound,
                    "{:?}, {m} x {n} x {k}: element {at} is {got}, wanted {wanted} within {bound:e}\n{text}",
                    host.bf16
                );
            }
        }
    }
}

/// Two dots of which the second takes what the first made, over blocks of 64 rows: a loop body that is done in strips, with a
/// sum and a packed operand made in one pass.
const CHAIN: &str = "kernel @f(a: &bf16[M, 32], b: &bf16[N, 32], c: &mut f32[M, 32])
  grid m in cdiv(M, 64)
{
  %pm: i64 = program m
  %M: i64 = dim M
  %N: i64 = dim N
  %bm: i64 = const 64
  %m0: i64 = mul %pm, %bm
  %from: i64 = const 0
  %cd: i64 = const 32
  axis m: 64 = %m0 .. %M
  axis d: 32 = %from .. %cd full
  %m: i64[m] = index m
  %d: i64[d] = index d
  %zero: f32 = const 0.0
  %scale: f32 = const 0.015625
  %den0: f32[m] = splat %zero
  %acc0: f32[d, m] = splat %zero
  %q: bf16[d, m] = load a[%m, %d]
  %den: f32[m], %acc: f32[d, m] = for n: 32, %n0 = %from .. %N carry (%den1: f32[m] = %den0, %acc1: f32[d, m] = %acc0) {
    %n: i64[n] = index n
    %k: bf16[d, n] = load b[%n, %d]
    %s: f32[m, n] = dot %q, %k over d
    %t: f32[m, n] = mul %s, %scale
    %e: f32[m, n] = exp %t
    %sum: f32[m] = sum %e over n
    %den2: f32[m] = add %den1, %sum
    %p: bf16[m, n] = cast %e
    %v: bf16[d, n] = load b[%n, %d]
    %pv: f32[d, m] = dot %p, %v over n
    %acc2: f32[d, m] = add %acc1, %pv
    yield %den2, %acc2
  }
  %o: f32[d, m] = div %acc, %den
  store c[%m, %d] = %o
  yield
}
";

#[test]
fn chains_in_strips() {
    let module = parse(CHAIN).unwrap_or_else(|error| panic!("{error}"));
    let kernel = &module.kernels[0];
    let this = Host::this();
    let narrow = [8, 4].into_iter().filter(|&lanes| lanes < this.lanes);
    let narrow = narrow.map(|lanes| this.with(lanes, Bf16Dots::Widened));
    let compile = |host: Host| {
        let code = emit(kernel, &host).unwrap_or_else(|error| panic!("{error}"));
        let compiled = JitKernel::new(&code, "f", &host).unwrap_or_else(|error| panic!("{error}"));
        (host, compiled)
    };
    let compiled: Vec<(Host, JitKernel)> = hosts().into_iter().chain(narrow).map(compile).collect();
    let mut rng = Rng::new(5);
    for (m, n) in (1..=65).map(|m| (m, 1 + m * 13 % 70)).chain([(128, 64), (64, 1)]) {
        let (a, b) = (Matrix::new(m, 32, &mut rng), Matrix::new(n, 32, &mut rng));
        let wanted = interpreted(kernel, &a, &b, [m, 32, n]);
        for (host, compiled) in &compiled {
            let got = execute(compiled, [m.div_ceil(64), 1], [&a, &b], [m, 32], &[m, n]);
            for (at, (&got, wanted)) in got.iter().zip(&wanted).enumerate() {
                // A weight next to the middle of two bf16 may be rounded to either: 2^-8 of a mean of numbers up to 2.
                let off = (f64::from(got) - wanted).abs();
                let what = (host.lanes, host.bf16);
                assert!(
                    off <= 2.0 / 256.0,
                    "{what:?}, {m} x {n}: element {at} is {got}, wanted {wanted}"
                );
            }
        }
    }
}

/// Every number of lanes of each axis in turn, up to one more than a block.
fn every_residue() -> Vec<[usize; 3]> {
    let mut dims = vec![[64, 96, 128], [33, 49, 65], [1, 1, 1]];
    dims.extend((1..=33).map(|m| [m, 48, 64]));
    dims.extend((1..=49).map(|n| [32, n, 64]));
    dims.extend((1..=66).map(|k| [32, 48, k]));
    dims.extend((1..=40).map(|n| [1 + n * 7 % 40, n, 1 + n * 29 % 90]));
    dims
}

#[test]
fn loads_as_they_lie() {
    let text = in_blocks("M, K", "K, N", PLAIN);
    check(&text, false, Some([32, 48]), 4.0, &every_residue());
}

#[test]
fn loads_that_are_turned() {
    let text = in_blocks("K, M", "N, K", TURNED);
    check(&text, true, Some([32, 48]), 4.0, &every_residue());
}

#[test]
fn computed_operands() {
    // exp of at most 2 on both sides.
    let text = in_blocks("M, K", "K, N", COMPUTED);
    check(&text, false, Some([32, 48]), 4_f64.exp(), &every_residue());
}

#[test]
fn whole_axes_of_any_length() {
    for n in [1, 2, 7, 15, 16, 17, 31, 32, 33, 40, 64, 65] {
        let dims = [1 + n * 5 % 37, n, 1 + n * 11 % 71];
        let [m, n, k] = dims;
        check(&whole(m, n, k), false, None, 4.0, &[dims]);
    }
}
