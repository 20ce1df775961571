//! Random masks against brute force over every lane: no full block with a false lane, no dead
//! block with a true one; and how many truly dead and full blocks are found. `TILEC_MASKS` sets how many masks
//! of each family are drawn; 2,500 unless said.

use tilec_interp::{Argument, Data, Limits, Mode, TensorData, run};
use tilec_ir::{
    AxisData, BinaryOp, Builder, CompareOp, DimData, Elem, Extent, GridAxis, Imm, Inst, Kernel, Op,
    ParamData, ParamType, ReduceOp, UnaryOp, Value, verify,
};
use tilec_passes::mask::classify::Interval;
use tilec_passes::mask::count::{Class, Shape, count};
use tilec_passes::mask::expr::Expr;
use tilec_passes::mask::plan::{Plan, plan};
use tilec_passes::mask::scope::Scope;
use tilec_passes::mask::split;
use tilec_vocab::{DType, HostExpr, HostOp, Span};

const BM: i64 = 8;
const BN: i64 = 4;

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn range(&mut self, lo: i64, hi: i64) -> i64 {
        lo + (self.next() % (hi - lo + 1) as u64) as i64
    }
}

/// What a random mask is made of; the classes are promised to be exact for the first two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    /// One affine `<`, `<=`, `>` or `>=`, any coefficients.
    Single,
    /// `and`, `or`, `not` of comparisons of positions a constant or a number apart.
    Differences,
    /// `and`, `or`, `not` of affine comparisons with any coefficients.
    Affine,
    /// Quotients and remainders by constants as well.
    Divided,
}

const FAMILIES: [Family; 4] =
    [Family::Single, Family::Differences, Family::Affine, Family::Divided];

struct Sample {
    kernel: Kernel,
    inst: Inst,
    condition: Value,
    m: Value,
    n: Value,
}

struct Operands {
    m: Value,
    n: Value,
    scalars: Vec<Value>,
}

fn axis(name: &str, extent: i64) -> AxisData {
    AxisData {
        name: name.into(),
        extent: Extent::Const(extent),
        full: false,
        span: Span::default(),
    }
}

/// A kernel that counts the lanes a random mask lets through, block by block.
fn sample(family: Family, random: &mut Random) -> Sample {
    let mut kernel = Kernel::new("masked", Span::default());
    let dims: Vec<_> =
        ["M", "N"].map(|name| kernel.dims.push(DimData { name: name.into() })).to_vec();
    let tensor = |name: &str, elem, dims: Vec<Extent>, mutable| ParamData {
        name: name.into(),
        ty: ParamType::Tensor { elem, dims, mutable },
        span: Span::default(),
    };
    let out = kernel.params.push(tensor("o", Elem::F32, vec![Extent::Dim(dims[0])], true));
    kernel.params.push(tensor("x", Elem::F32, vec![Extent::Dim(dims[1])], false));
    let numbers: Vec<_> = ["a", "b"]
        .map(|name| {
            let ty = ParamType::Scalar(Elem::Known(DType::I32));
            kernel.params.push(ParamData { name: name.into(), ty, span: Span::default() })
        })
        .to_vec();
    let cdiv = HostExpr::binary(HostOp::Cdiv, HostExpr::Name("M".into()), HostExpr::Int(BM));
    kernel.grid.push(GridAxis { name: "m".into(), programs: cdiv });

    let mut b = Builder::new(&mut kernel);
    let rows = b.dim(dims[0]);
    let columns = b.dim(dims[1]);
    let program = b.program(0);
    let bm = b.int(BM);
    let start = b.binary(BinaryOp::Mul, program, bm);
    let m_axis = b.axis(axis("m", BM), start, rows);
    let m = b.index(m_axis);
    let mut scalars: Vec<Value> = numbers
        .iter()
        .map(|&p| {
            let narrow = b.scalar(p);
            b.cast(narrow, Elem::I64)
        })
        .collect();
    scalars.push(b.binary(BinaryOp::Sub, columns, rows));
    let lo = match random.range(0, 3) {
        0 => b.int(random.range(0, 9)),
        1 => b.binary(BinaryOp::Max, scalars[0], rows),
        _ => b.int(0),
    };
    let zero = b.float(0.0, DType::F32);
    let m_axes = [m_axis].into_iter().collect();
    let initial = b.splat(zero, &m_axes);
    let n_axis = b.kernel.axes.push(axis("n", BN));
    let carried = b.kernel.ty(initial).clone();
    let body = b.new_block([tilec_ir::Type::scalar(Elem::I64), carried]);
    let outer = std::mem::replace(&mut b.block, body);
    let n = b.index(n_axis);
    let operands = Operands { m, n, scalars };
    let depth = if family == Family::Single { 0 } else { random.range(0, 3) };
    let condition = mask(&mut b, &operands, family, depth, random);
    let span = [m_axis, n_axis].into_iter().collect();
    let condition = b.splat(condition, &span);
    let one = b.float(1.0, DType::F32);
    let chosen = b.select(condition, one, zero);
    let row = b.reduce(ReduceOp::Sum, chosen, &[n_axis]);
    let so_far = b.kernel.blocks[body].params[1];
    let sum = b.binary(BinaryOp::Add, so_far, row);
    b.yield_values(&[sum]);
    b.block = outer;
    let result = b.for_loop(Some(n_axis), lo, columns, &[initial], body)[0];
    b.store(out, result, &[m]);
    b.yield_values(&[]);
    let inst = kernel
        .walk()
        .into_iter()
        .find(|&inst| matches!(kernel.insts[inst].op, Op::For(_)))
        .expect("the loop was just made");
    Sample { kernel, inst, condition, m, n }
}

fn mask(
    b: &mut Builder<'_>,
    o: &Operands,
    family: Family,
    depth: i64,
    random: &mut Random,
) -> Value {
    if depth == 0 {
        return comparison(b, o, family, random);
    }
    let left = mask(b, o, family, random.range(0, depth - 1), random);
    if random.range(0, 5) == 0 {
        return b.unary(UnaryOp::Not, left);
    }
    let right = mask(b, o, family, random.range(0, depth - 1), random);
    let op = if random.range(0, 1) == 0 { BinaryOp::And } else { BinaryOp::Or };
    b.binary(op, left, right)
}

fn comparison(b: &mut Builder<'_>, o: &Operands, family: Family, random: &mut Random) -> Value {
    let order = [CompareOp::Le, CompareOp::Lt, CompareOp::Ge, CompareOp::Gt];
    let any = [CompareOp::Eq, CompareOp::Ne];
    let op = if family != Family::Single && random.range(0, 7) == 0 {
        any[random.range(0, 1) as usize]
    } else {
        order[random.range(0, 3) as usize]
    };
    if family == Family::Differences {
        let (x, y) = match random.range(0, 2) {
            0 => (o.n, o.m),
            1 => (o.n, b.int(random.range(0, 20))),
            _ => (o.m, b.int(random.range(0, 20))),
        };
        let shift = offset(b, o, random);
        let y = b.binary(BinaryOp::Add, y, shift);
        return b.compare(op, x, y);
    }
    let x = side(b, o, family, random);
    let y = side(b, o, family, random);
    b.compare(op, x, y)
}

fn offset(b: &mut Builder<'_>, o: &Operands, random: &mut Random) -> Value {
    match random.range(0, 2) {
        0 => b.int(random.range(-10, 10)),
        _ => o.scalars[random.range(0, o.scalars.len() as i64 - 1) as usize],
    }
}

fn side(b: &mut Builder<'_>, o: &Operands, family: Family, random: &mut Random) -> Value {
    let mut sum = offset(b, o, random);
    for term in [o.m, o.n] {
        let coefficient = random.range(-3, 3);
        if coefficient != 0 {
            let factor = b.int(coefficient);
            let product = b.binary(BinaryOp::Mul, term, factor);
            sum = b.binary(BinaryOp::Add, sum, product);
        }
    }
    if family == Family::Divided && random.range(0, 1) == 0 {
        let divisor = b.int(random.range(2, 9));
        let op = if random.range(0, 2) == 0 { BinaryOp::Rem } else { BinaryOp::Div };
        sum = b.binary(op, sum, divisor);
    }
    sum
}

struct World {
    dims: [i64; 2],
    numbers: [i64; 2],
    program: i64,
}

/// Integer and truth values at one lane.
fn eval(s: &Sample, w: &World, lane: (i64, i64), value: Value) -> i64 {
    if value == s.m {
        return lane.0;
    }
    if value == s.n {
        return lane.1;
    }
    let data = s.kernel.def(value).expect("no block parameter is read by a mask");
    let arg = |n: usize| eval(s, w, lane, data.args[n]);
    match &data.op {
        Op::Const(Imm::Int(n)) => *n,
        Op::Dim(dim) => w.dims[usize::from(s.kernel.dims[*dim].name == "N")],
        Op::Scalar(param) => w.numbers[usize::from(s.kernel.params[*param].name == "b")],
        Op::Program(_) => w.program,
        Op::Splat | Op::Cast => arg(0),
        Op::Unary(UnaryOp::Not) => 1 - arg(0),
        Op::Compare(op) => {
            let (a, b) = (arg(0), arg(1));
            i64::from(match op {
                CompareOp::Eq => a == b,
                CompareOp::Ne => a != b,
                CompareOp::Lt => a < b,
                CompareOp::Le => a <= b,
                CompareOp::Gt => a > b,
                CompareOp::Ge => a >= b,
            })
        }
        Op::Binary(op) => {
            let (a, b) = (arg(0), arg(1));
            match op {
                BinaryOp::Add => a + b,
                BinaryOp::Sub => a - b,
                BinaryOp::Mul => a * b,
                BinaryOp::Div => a.div_euclid(b),
                BinaryOp::Rem => a.rem_euclid(b),
                BinaryOp::Min => a.min(b),
                BinaryOp::Max => a.max(b),
                BinaryOp::And => a & b,
                BinaryOp::Or => a | b,
            }
        }
        other => unreachable!("masks here hold no {other:?}"),
    }
}

fn inside(intervals: &[Interval], block: i64, leaf: &dyn Fn(&Expr) -> i128) -> bool {
    intervals.iter().any(|interval| {
        let from = interval.from.as_ref().map_or(i128::MIN, |e| e.eval(leaf));
        let to = interval.to.as_ref().map_or(i128::MAX, |e| e.eval(leaf));
        from <= i128::from(block) && i128::from(block) < to
    })
}

#[derive(Default)]
struct Score {
    masks: usize,
    dead: usize,
    /// By the end points alone, and with the test of blocks they leave open.
    dead_bounded: usize,
    dead_found: usize,
    full: usize,
    full_bounded: usize,
    full_found: usize,
}

fn judge(s: &Sample, scope: &Scope<'_>, plan: &Plan, w: &World, score: &mut Score) {
    let leaf = |expr: &Expr| -> i128 {
        i128::from(match expr {
            Expr::Value(value) => eval(s, w, (0, 0), *value),
            Expr::First(_) => w.program * BM,
            Expr::Last(_) => (w.program * BM + BM).min(w.dims[0]) - 1,
            other => unreachable!("no leaf {other:?} in these masks"),
        })
    };
    let lo = plan.blocks.lo.eval(&leaf) as i64;
    let rows = w.program * BM..(w.program * BM + BM).min(w.dims[0]);
    let mut shape = Shape::default();
    for (name, value) in ["M", "N", "a", "b"].into_iter().zip(w.dims.into_iter().chain(w.numbers)) {
        shape.names.insert(name.to_owned(), value);
    }
    let programs = (w.dims[0] + BM - 1) / BM;
    let counts = count(scope, plan, &shape, &[programs]).expect("every number is known");
    let row = &counts.rows[(w.program as usize).min(counts.rows.len() - 1)];
    let count = (w.dims[1] - lo + BN - 1).div_euclid(BN).max(0);
    assert_eq!(plan.blocks.count().eval(&leaf), i128::from(count));
    for block in 0..count {
        let columns = lo + block * BN..(lo + block * BN + BN).min(w.dims[1]);
        let whole = columns.end - columns.start == BN;
        let lanes = rows.clone().flat_map(|m| columns.clone().map(move |n| (m, n)));
        let truths: Vec<bool> = lanes.map(|lane| eval(s, w, lane, s.condition) != 0).collect();
        let dead = truths.iter().all(|&t| !t);
        let full = truths.iter().all(|&t| t) && whole;
        let by_interval = (!inside(&plan.live, block, &leaf), !inside(&plan.mixed, block, &leaf));
        let class = row.get(block as usize).copied();
        let said_dead = class == Some(Class::Dead);
        let said_full = class == Some(Class::Full);
        assert!(said_dead || !by_interval.0, "a dead block that is run");
        score.dead_bounded += usize::from(dead && by_interval.0);
        score.full_bounded += usize::from(full && by_interval.1);
        let case = || {
            let text = tilec_ir::print_kernel(&s.kernel);
            format!(
                "block {block} of M, N = {:?}, a, b = {:?}, program {}\n{text}",
                w.dims, w.numbers, w.program
            )
        };
        assert!(dead || !said_dead, "a dead block with a true lane: {}", case());
        assert!(full || !said_full || said_dead, "a full block with a false lane: {}", case());
        score.dead += usize::from(dead);
        score.dead_found += usize::from(dead && said_dead);
        score.full += usize::from(full);
        score.full_found += usize::from(full && said_full);
    }
}

fn masks(family: Family, count: usize) -> Score {
    let mut score = Score::default();
    for seed in 0..count as u64 {
        let mut random = Random(seed * 7919 + family as u64);
        let s = sample(family, &mut random);
        if seed < 50 {
            verify(&s.kernel).unwrap_or_else(|bug| panic!("{bug}\n{}", bug.ir));
            let split = split::run(&s.kernel).unwrap_or_else(|bug| panic!("{bug}"));
            verify(&split).unwrap_or_else(|bug| panic!("{bug}\n{}", bug.ir));
        }
        let scope = Scope::new(&s.kernel);
        let plan = plan(&scope, s.inst).expect("a loop over blocks has a plan");
        assert!(plan.guards.is_empty(), "32-bit numbers need no guard");
        for _ in 0..3 {
            let dims = [random.range(1, 33), random.range(0, 41)];
            let numbers = [random.range(-12, 40), random.range(-40, 40)];
            for program in 0..(dims[0] + BM - 1) / BM {
                judge(&s, &scope, &plan, &World { dims, numbers, program }, &mut score);
            }
        }
        score.masks += 1;
    }
    score
}

#[test]
fn classes_agree_with_brute_force() {
    let count = std::env::var("TILEC_MASKS").ok().and_then(|n| n.parse().ok()).unwrap_or(2500);
    println!("               dead blocks, found by              full blocks, found by");
    println!("family       masks   bounds    tests    there are   bounds    tests    there are");
    for family in FAMILIES {
        let s = masks(family, count);
        println!(
            "{:<12} {:>5} {:>8} {:>8} {:>8} {:>12} {:>8} {:>8}",
            format!("{family:?}"),
            s.masks,
            s.dead_bounded,
            s.dead_found,
            s.dead,
            s.full_bounded,
            s.full_found,
            s.full
        );
        assert!(s.dead > 0 && s.full > 0, "{family:?} has blocks of every class");
        // Bounds are exact for the first two; what they leave open a test of the block decides.
        assert_eq!((s.dead_found, s.full_found), (s.dead, s.full), "{family:?} is exact");
        if matches!(family, Family::Single | Family::Differences) {
            assert_eq!((s.dead_bounded, s.full_bounded), (s.dead, s.full), "{family:?} by bounds");
        }
    }
}

/// The kernels count the lanes a mask lets through; split, they count the same.
#[test]
fn splitting_changes_no_result() {
    let count = std::env::var("TILEC_MASKS").ok().and_then(|n| n.parse().ok()).unwrap_or(2500);
    for family in FAMILIES {
        for seed in 0..count as u64 / 5 {
            let mut random = Random(seed * 7919 + family as u64);
            let s = sample(family, &mut random);
            let split = split::run(&s.kernel).unwrap_or_else(|bug| panic!("{bug}"));
            let (rows, columns) = (random.range(1, 33), random.range(0, 41));
            let args = || {
                let floats = |n: i64| {
                    let data = Data::Float(vec![0.0; n as usize]);
                    Argument::Tensor(TensorData { shape: vec![n], data })
                };
                let numbers = [seed as i64 % 53 - 12, seed as i64 % 81 - 40].map(Argument::Int);
                [floats(rows), floats(columns)].into_iter().chain(numbers).collect()
            };
            let [before, after] = [&s.kernel, &split].map(|kernel| {
                run(kernel, args(), Mode::Exact, Limits::default())
                    .unwrap_or_else(|e| panic!("{family:?} {seed}: {e}"))
            });
            let text = || tilec_ir::print_kernel(&split);
            assert_eq!(before.outputs, after.outputs, "{family:?} {seed}\n{}", text());
        }
    }
}
