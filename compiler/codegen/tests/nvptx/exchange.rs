//! Conversions between layouts, reductions, atomics, buffers, loops over rings.

use tilec_gpu::gir::Op;
use tilec_gpu::gir::*;
use tilec_ir::*;
use tilec_layout::Dot as Role;
use tilec_layout::{
    Buffer, Layout, Mma, Place, Plan, Reduction, Swizzle, blocked, convert, exchange,
};
use tilec_vocab::DType;

use crate::build::*;

const M: u32 = 64;
const N: u32 = 32;

/// Layouts of a tile of 64 by 32 over 4 warps, of many kinds.
fn layouts(i: Axis, j: Axis) -> Vec<Layout<Axis>> {
    let name = |role| match role {
        Role::M => i,
        Role::N | Role::K => j,
    };
    let mma = Mma::M16N8K16Half;
    let rows = |layout: Layout<Axis>| layout.over_warps(i, 4);
    let a =
        Layout::<Axis>::new(mma.a().rename(name).expect("names").all_parts()).expect("a layout");
    vec![
        blocked(&[(i, M), (j, N)], 2, 4),
        blocked(&[(j, N), (i, M)], 2, 4),
        rows(a.covering(j, N)),
        rows(mma.c().rename(name).expect("names").covering(j, N)),
        // Columns over warps.
        mma.c().rename(name).expect("names").covering(i, M).over_warps(j, 4),
        // Rows over two warps, twice.
        mma.c()
            .rename(name)
            .expect("names")
            .covering(j, N)
            .covering(i, 32)
            .over_warps(i, 2)
            .copied_over_warps(2),
    ]
}

struct Tile {
    b: Build,
    i: Axis,
    j: Axis,
    all: Vec<Layout<Axis>>,
}

fn tile_of(n: u32) -> Tile {
    let mut b = Build::new(4);
    let (i, j) = (b.axis("i", M), b.axis("j", n));
    let all = layouts(i, j);
    Tile { b, i, j, all }
}

/// `y = x` by way of a conversion.
fn converted(dtype: DType, from: usize, to: usize, by_shared: bool, swizzle: bool) {
    let Tile { mut b, i, j, all } = tile_of(N);
    let (from, to) = (&all[from], &all[to]);
    let bytes = dtype.size_bytes() as u32;
    let x = b.tensor("x", dtype, &[fixed(M), fixed(N)], false, true);
    let y = b.tensor("y", dtype, &[fixed(M), fixed(N)], true, true);
    let mut plan = convert(from, to, bytes).expect("a plan");
    if by_shared {
        plan = Plan::Shared(exchange(from, to, bytes).expect("an exchange"));
    }
    let through = match &plan {
        Plan::Shared(exchange) => {
            let buffer =
                if swizzle { exchange.buffer.clone() } else { exchange.buffer.unswizzled() };
            Some(b.buffer("through", buffer, 1))
        }
        _ => None,
    };
    let loaded = b.tile(dtype, from, Op::Load(access(x, &[Some(i), Some(j)], 1)));
    let made = b.tile(dtype, to, Op::Convert(loaded, Conversion::Plan(plan, through)));
    b.run(Op::Store(access(y, &[Some(i), Some(j)], 1), made));
    let xs = match dtype {
        DType::Bool => {
            small_numbers((M * N) as usize, 5).iter().map(|x| f64::from(*x > 0.0)).collect()
        }
        _ => small_numbers((M * N) as usize, 5),
    };
    let xs: Vec<f64> = xs.iter().map(|x| if dtype.is_int() { x * 8.0 } else { *x }).collect();
    let given = vec![
        input("x", dtype, &xs, &[u64::from(N), 1]),
        output("y", dtype, u64::from(M * N), &[u64::from(N), 1]),
    ];
    assert_eq!(run(&b.finish(), given, &[], "y", dtype), xs);
}

#[test]
fn conversions_keep_every_element() {
    for from in 0..6 {
        for to in 0..6 {
            for dtype in [DType::F16, DType::F32] {
                converted(dtype, from, to, false, true);
                if from != to {
                    converted(dtype, from, to, true, true);
                }
            }
        }
    }
    for dtype in [DType::Bool, DType::I64, DType::BF16, DType::I32] {
        converted(dtype, 3, 2, false, true);
        converted(dtype, 0, 1, true, true);
    }
}

/// `y[i] = reduce of x[i, j]` in a layout, and what it must be.
fn reduced(dtype: DType, op: ReduceOp, layout: usize, split: bool) {
    let Tile { mut b, i, j, all } = tile_of(N);
    let layout = &all[layout];
    let step = layout.reduce(j);
    let row = step.result.clone();
    let x = b.tensor("x", dtype, &[fixed(M), fixed(N)], false, true);
    let y = b.tensor("y", dtype, &[fixed(M)], true, true);
    let through = step.shares.crosses_warps().then(|| {
        let w = b.axis("w", 4);
        let elem_bytes = if dtype == DType::I64 { 8 } else { 4 };
        let buffer = Buffer::new(&[(w, 4), (i, M)], elem_bytes).expect("a buffer");
        b.buffer("through", buffer, 1)
    });
    let loaded = b.tile(dtype, layout, Op::Load(access(x, &[Some(i), Some(j)], 1)));
    let shares = step.shares.clone();
    let steps = vec![step];
    let op_of = |partial| Op::Reduce { op, value: loaded, steps: steps.clone(), partial, through };
    let mut made = b.tile(dtype, &row, op_of(split));
    if split {
        made = b.tile(dtype, &row, Op::Combine { op, value: made, shares, through });
    }
    b.run(Op::Store(access(y, &[Some(i)], 1), made));
    let xs: Vec<f64> = small_numbers((M * N) as usize, 7)
        .into_iter()
        .map(|x| match dtype {
            DType::Bool => f64::from(x > -1.0),
            DType::I64 => x * 8.0,
            _ => x,
        })
        .collect();
    let given =
        vec![input("x", dtype, &xs, &[u64::from(N), 1]), output("y", dtype, u64::from(M), &[1])];
    let found = run(&b.finish(), given, &[], "y", dtype);
    for (row, found) in xs.chunks(N as usize).zip(found) {
        let wanted = match op {
            ReduceOp::Sum => row.iter().sum(),
            ReduceOp::Max => row.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            ReduceOp::Min => row.iter().copied().fold(f64::INFINITY, f64::min),
            ReduceOp::All => row.iter().copied().fold(1.0, f64::min),
            ReduceOp::Any => row.iter().copied().fold(0.0, f64::max),
        };
        assert_eq!(found, wanted, "{} of {row:?}", op.name());
    }
}

#[test]
fn reductions_over_registers_lanes_and_warps() {
    for layout in 0..6 {
        for op in [ReduceOp::Sum, ReduceOp::Max, ReduceOp::Min] {
            reduced(DType::F32, op, layout, false);
            reduced(DType::F32, op, layout, true);
        }
        reduced(DType::F16, ReduceOp::Sum, layout, false);
        reduced(DType::I64, ReduceOp::Max, layout, false);
        reduced(DType::I64, ReduceOp::Sum, layout, false);
        reduced(DType::Bool, ReduceOp::All, layout, false);
        reduced(DType::Bool, ReduceOp::Any, layout, false);
        reduced(DType::I64, ReduceOp::Sum, layout, true);
    }
}

#[test]
fn all_of_a_tile_becomes_one_number() {
    for layout in 0..6 {
        let Tile { mut b, i, j, all } = tile_of(N);
        let steps: Vec<Reduction<Axis>> = {
            let first = all[layout].reduce(j);
            let second = first.result.reduce(i);
            vec![first, second]
        };
        let end = steps[1].result.clone();
        let x = b.tensor("x", DType::F32, &[fixed(M), fixed(N)], false, true);
        let y = b.tensor("y", DType::F32, &[fixed(1)], true, true);
        let w = b.axis("w", 4);
        let through = Some(b.buffer("through", Buffer::new(&[(w, 4)], 4).expect("a buffer"), 1));
        let loaded = b.tile(DType::F32, &all[layout], Op::Load(access(x, &[Some(i), Some(j)], 1)));
        let sum = Op::Reduce { op: ReduceOp::Sum, value: loaded, steps, partial: false, through };
        let sum = b.tile(DType::F32, &end, sum);
        let sum = b.uniform(DType::F32, Op::Convert(sum, Conversion::Free));
        // Lanes hold copies: memory gets the sum once.
        b.run(Op::AtomicAdd(access(y, &[None], 1), sum));
        let xs = small_numbers((M * N) as usize, 7);
        let given = vec![
            input("x", DType::F32, &xs, &[u64::from(N), 1]),
            both("y", DType::F32, &[0.5], &[1]),
        ];
        let found = run(&b.finish(), given, &[], "y", DType::F32);
        assert_eq!(found, [xs.iter().sum::<f64>() + 0.5]);
    }
}

#[test]
fn copies_are_added_once() {
    for dtype in [DType::F32, DType::F16, DType::I64] {
        for layout in 0..6 {
            let Tile { mut b, i, j, all } = tile_of(N);
            let x = b.tensor("x", dtype, &[fixed(M), fixed(N)], false, true);
            let y = b.tensor("y", dtype, &[fixed(M), fixed(N)], true, true);
            let at = access(x, &[Some(i), Some(j)], 1);
            let loaded = b.tile(dtype, &all[layout], Op::Load(at.clone()));
            b.run(Op::AtomicAdd(Access { param: y, ..at }, loaded));
            let xs: Vec<f64> = small_numbers((M * N) as usize, 7).iter().map(|x| x * 8.0).collect();
            let strides = [u64::from(N), 1];
            let given = vec![input("x", dtype, &xs, &strides), both("y", dtype, &xs, &strides)];
            let found = run(&b.finish(), given, &[], "y", dtype);
            assert!(found.iter().zip(&xs).all(|(y, x)| *y == 2.0 * x));
        }
    }
}

/// A ring of two slots: each iteration puts a block and adds what lies in the slot before.
#[test]
fn rings_of_slots() {
    for swizzle in [Swizzle::NONE, Swizzle { bits: 2, base_log2: 4, row_shift: 0 }] {
        let Tile { mut b, i, j, all } = tile_of(N);
        let rows = b.dim("R");
        let x = b.tensor("x", DType::F16, &[Extent::Dim(rows), fixed(N)], false, true);
        let y = b.tensor("y", DType::F16, &[fixed(M), fixed(N)], true, true);
        let buffer = Buffer::new(&[(i, M), (j, N)], 2).expect("a buffer").swizzled(swizzle);
        let ring = b.buffer("ring", buffer.expect("a swizzle"), 2);
        b.run(Op::Clear(Slot { buf: ring, slot: None }));
        let one = b.int(1);
        b.run(Op::Clear(Slot { buf: ring, slot: Some(one) }));
        b.run(Op::Barrier);
        let (zero, end, step, two) =
            (b.int(0), b.uniform(DType::I64, Op::Dim(rows)), b.int(64), b.int(2));
        let start = b.uniform(DType::F16, Op::Const(Imm::Float(0.0)));
        let start = b.tile(DType::F16, &all[2], Op::Convert(start, Conversion::Free));
        let sums = b.looped((zero, end, 64), &[start], |b, at, carried| {
            let number = b.uniform(DType::I64, Op::Binary(BinaryOp::Div, at, step));
            let slot = b.uniform(DType::I64, Op::Binary(BinaryOp::Rem, number, two));
            let other = b.uniform(DType::I64, Op::Binary(BinaryOp::Sub, one, slot));
            let mut from = access(x, &[Some(i), Some(j)], 8);
            from.dims[0].uniform = Some(at);
            let block = b.tile(DType::F16, &all[0], Op::Load(from));
            b.run(Op::Put(block, Slot { buf: ring, slot: Some(slot) }));
            b.run(Op::Barrier);
            // By `ldmatrix`: an operand's layout.
            let now = b.tile(DType::F16, &all[2], Op::Get(Slot { buf: ring, slot: Some(slot) }));
            let before =
                b.tile(DType::F16, &all[2], Op::Get(Slot { buf: ring, slot: Some(other) }));
            b.run(Op::Barrier);
            let sum = b.tile(DType::F16, &all[2], Op::Binary(BinaryOp::Add, now, before));
            vec![b.tile(DType::F16, &all[2], Op::Binary(BinaryOp::Add, carried[0], sum))]
        });
        b.run(Op::Store(access(y, &[Some(i), Some(j)], 2), sums[0]));
        let xs = small_numbers((3 * M * N) as usize, 11);
        let given = vec![
            input("x", DType::F16, &xs, &[u64::from(N), 1]),
            output("y", DType::F16, u64::from(M * N), &[u64::from(N), 1]),
        ];
        let found = run(&b.finish(), given, &[u64::from(3 * M)], "y", DType::F16);
        let block = (M * N) as usize;
        for at in 0..block {
            let wanted = 2.0 * xs[at] + 2.0 * xs[block + at] + xs[2 * block + at];
            assert_eq!(found[at], wanted);
        }
    }
}

/// `y[i, j] = x[table[i], j]`, with entries of the table outside.
#[test]
fn gathered_rows() {
    let Tile { mut b, i, j, all } = tile_of(N);
    let rows = b.dim("R");
    let table = b.tensor("table", DType::I32, &[fixed(M)], false, true);
    let x = b.tensor("x", DType::F16, &[Extent::Dim(rows), fixed(N)], false, true);
    let y = b.tensor("y", DType::F16, &[fixed(M), fixed(N)], true, true);
    let layout = &all[0];
    let row = layout.without(j);
    let entries = b.tile(DType::I32, &row, Op::Load(access(table, &[Some(i)], 1)));
    let entries = b.tile(DType::I64, &row, Op::Cast(entries));
    let mut from = access(x, &[None, Some(j)], 8);
    from.dims[0].tile = Some(entries);
    from.dims[0].check = true;
    let loaded = b.tile(DType::F16, layout, Op::Load(from));
    b.run(Op::Store(access(y, &[Some(i), Some(j)], 8), loaded));
    let count = 40;
    let entries: Vec<f64> = (0..M).map(|m| f64::from((m * 7) % 50) - 3.0).collect();
    let xs = small_numbers((count * N) as usize, 13);
    let given = vec![
        input("table", DType::I32, &entries, &[1]),
        input("x", DType::F16, &xs, &[u64::from(N), 1]),
        output("y", DType::F16, u64::from(M * N), &[u64::from(N), 1]),
    ];
    let found = run(&b.finish(), given, &[u64::from(count)], "y", DType::F16);
    for (m, entry) in entries.iter().enumerate() {
        for n in 0..N as usize {
            let inside = (0.0..f64::from(count)).contains(entry);
            let wanted = if inside { xs[*entry as usize * N as usize + n] } else { 0.0 };
            assert_eq!(found[m * N as usize + n], wanted);
        }
    }
}

/// `y[i, j] = i + 3 j < c`, and the sums themselves.
#[test]
fn sums_of_lanes() {
    for layout in 0..6 {
        let Tile { mut b, i, j, all } = tile_of(N);
        let layout = &all[layout];
        let c = b.number("c", DType::I64);
        let y = b.tensor("y", DType::I64, &[fixed(M), fixed(N)], true, false);
        let c = b.uniform(DType::I64, Op::Scalar(c));
        let lanes = vec![(i, 1), (j, 3)];
        let less = b.tile(DType::Bool, layout, Op::CompareLanes(CompareOp::Lt, lanes.clone(), c));
        let sum = b.tile(DType::I64, layout, Op::Lanes(lanes));
        let none = b.int(-1);
        let made = b.tile(DType::I64, layout, Op::Select(less, sum, none));
        b.run(Op::Store(access(y, &[Some(i), Some(j)], 1), made));
        let program = b.finish();
        for c in [0, 50, 1 << 40, i64::MIN, i64::MAX] {
            let given =
                vec![Given::I64(c), output("y", DType::I64, u64::from(M * N), &[u64::from(N), 1])];
            let found = run(&program, given, &[], "y", DType::I64);
            for m in 0..M {
                for n in 0..N {
                    let sum = i64::from(m + 3 * n);
                    let wanted = if sum < c { sum } else { -1 };
                    assert_eq!(found[(m * N + n) as usize], wanted as f64);
                }
            }
        }
        assert_eq!(layout.count(Place::Lane), 32);
    }
}
