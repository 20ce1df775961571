//! Loads, stores and atomic adds: what happens where, and who sees it.

mod support;

use support::{bool_vector, floats, int_vector, ints, kernel, outcome, tensor, vector};
use tilec_interp::{Argument, Data, Limits, Mode, Order, TensorData, run_in_order};

const NAN: f64 = f64::NAN;

/// `o[l] = x[i[l]]`.
const GATHER: &str = "
spec @t(x: &f32[N], i: &i64[L], o: &mut f32[L]) {
  %zero: i64 = const 0
  %L: i64 = dim L
  axis l: L = %zero .. %L
  %l: i64[l] = index l
  %i: i64[l] = load i[%l]
  %x: f32[l] = load x[%i]
  store o[%l] = %x
  yield
}";

/// `o[i[l]] = x[l]`.
const SCATTER: &str = "
spec @t(x: &f32[L], i: &i64[L], o: &mut f32[N]) {
  %zero: i64 = const 0
  %L: i64 = dim L
  axis l: L = %zero .. %L
  %l: i64[l] = index l
  %i: i64[l] = load i[%l]
  %x: f32[l] = load x[%l]
  store o[%i] = %x
  yield
}";

/// Indices that a 32-bit or wrapping address would take for 1 or 2.
const FAR: [i64; 8] =
    [(1 << 32) + 1, (1 << 31) + 1, -((1 << 32) - 1), i64::MAX, i64::MIN, i64::MIN + 1, -1, 3];

#[test]
fn a_load_outside_its_dimension_gives_zero() {
    let run = |indices: &[i64]| {
        let out = vector(&vec![NAN; indices.len()]);
        let args = vec![vector(&[5.0, 6.0, 7.0]), int_vector(indices), out];
        floats(GATHER, args, Mode::Declared)
    };
    assert_eq!(run(&[2, 0, 1, 1]), [7.0, 5.0, 6.0, 6.0]);
    assert_eq!(run(&FAR), [0.0; 8]);
}

#[test]
fn a_store_outside_its_dimension_does_not_happen() {
    let args = vec![vector(&[1.0; 8]), int_vector(&FAR), vector(&[5.0, 6.0, 7.0])];
    let found = outcome(SCATTER, args, Mode::Declared);
    assert_eq!(found.outputs[0].tensor.data, Data::Float(vec![5.0, 6.0, 7.0]));
    assert_eq!(found.outputs[0].written, [false; 3]);
    let args = vec![vector(&[1.0, 2.0]), int_vector(&[2, 0]), vector(&[5.0, 6.0, 7.0])];
    let found = outcome(SCATTER, args, Mode::Declared);
    assert_eq!(found.outputs[0].tensor.data, Data::Float(vec![2.0, 6.0, 1.0]));
    assert_eq!(found.outputs[0].written, [true, false, true]);
}

/// An index inside the buffer but outside its own dimension must not reach the next row.
#[test]
fn each_index_is_held_to_its_own_dimension() {
    let text = "
    spec @t(x: &i64[M, N], i: &i64[L], j: &i64[L], o: &mut i64[L]) {
      %zero: i64 = const 0
      %L: i64 = dim L
      axis l: L = %zero .. %L
      %l: i64[l] = index l
      %i: i64[l] = load i[%l]
      %j: i64[l] = load j[%l]
      %x: i64[l] = load x[%i, %j]
      store o[%l] = %x
      yield
    }";
    let x = Argument::Tensor(TensorData::ints([2, 3], [1, 2, 3, 4, 5, 6]));
    let (i, j) = (int_vector(&[0, 1, 1, 0, -1, 2]), int_vector(&[2, 0, -1, 3, 5, -3]));
    let found = ints(text, vec![x, i, j, int_vector(&[9; 6])], Mode::Declared);
    assert_eq!(found, [3, 4, 0, 0, 0, 0]);
}

/// Lanes past the end of their axis: loads, stores and reductions leave them out.
#[test]
fn absent_lanes_touch_nothing() {
    let text = "
    spec @t(x: &f32[N], s: &mut f32[], c: &mut f32[N], lo: i64, hi: i64) {
      %lo: i64 = scalar lo
      %hi: i64 = scalar hi
      axis n: 4 = %lo .. %hi
      %n: i64[n] = index n
      %x: f32[n] = load x[%n]
      %one: f32 = const 1.0
      %y: f32[n] = add %x, %one
      %sum: f32 = sum %y over n
      store s[] = %sum
      store c[%n] = %y
      yield
    }";
    let run = |lo, hi| {
        let args = vec![
            vector(&[10.0, 20.0, 30.0, 40.0, 50.0, 60.0]),
            tensor(&[], [NAN]),
            vector(&[0.0; 6]),
            Argument::Int(lo),
            Argument::Int(hi),
        ];
        let found = outcome(text, args, Mode::Declared);
        let written = found.outputs[1].written.iter().filter(|&&w| w).count();
        match &found.outputs[0].tensor.data {
            Data::Float(sum) => (sum[0], written),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(run(0, 6), (104.0, 4));
    assert_eq!(run(1, 3), (52.0, 2));
    assert_eq!(run(4, 6), (112.0, 2));
    assert_eq!(run(3, 3), (0.0, 0));
    assert_eq!(run(3, -7), (0.0, 0));
    // Present lanes outside the tensor load zero, count in the sum, and are not stored.
    assert_eq!(run(-1, 1), (12.0, 1));
    assert_eq!(run(5, 9), (64.0, 1));
    // The ends of the range of indices.
    assert_eq!(run(i64::MAX - 2, i64::MAX), (2.0, 0));
    assert_eq!(run(i64::MIN, i64::MAX), (4.0, 0));
}

/// A value over fewer axes than the indices goes to each lane.
#[test]
fn a_store_spreads_its_value() {
    let text = "
    spec @t(x: &f32[N], o: &mut f32[M, N]) {
      %zero: i64 = const 0
      %M: i64 = dim M
      %N: i64 = dim N
      axis m: M = %zero .. %M
      axis n: N = %zero .. %N
      %m: i64[m] = index m
      %n: i64[n] = index n
      %x: f32[n] = load x[%n]
      store o[%m, %n] = %x
      yield
    }";
    let found = floats(text, vec![vector(&[1.0, 2.0]), tensor(&[3, 2], [0.0; 6])], Mode::Declared);
    assert_eq!(found, [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
}

/// Every arrangement of two axes over a tensor's dimensions, against plain loops.
#[test]
fn indices_of_any_shape() {
    type Indices = fn(i64, i64) -> [i64; 2];
    let forms: [(&str, Indices); 6] = [
        ("%m, %n", |m, n| [m, n]),
        ("%n, %m", |m, n| [n, m]),
        ("%mn, %n", |m, n| [m + n, n]),
        ("%n, %mn", |m, n| [n, m + n]),
        ("%mn, %mn", |m, n| [m + n, m + n]),
        ("%two, %mn", |m, n| [2, m + n]),
    ];
    for (indices, at) in forms {
        let text = format!(
            "
            spec @t(x: &i64[A, B], o: &mut i64[M, N]) {{
              %zero: i64 = const 0
              %two: i64 = const 2
              %M: i64 = dim M
              %N: i64 = dim N
              axis n: N = %zero .. %N
              axis m: M = %zero .. %M
              %m: i64[m] = index m
              %n: i64[n] = index n
              %mn: i64[m, n] = add %m, %n
              %both: i64[m, n] = sub %mn, %mn
              %x: i64[m, n] = load x[{indices}]
              %y: i64[m, n] = add %both, %x
              store o[%m, %n] = %y
              yield
            }}"
        );
        let (a, b, rows, columns) = (4, 5, 3, 6);
        let x: Vec<i64> = (100..100 + a * b).collect();
        let wanted: Vec<i64> = (0..rows * columns)
            .map(|lane| {
                let [i, j] = at(lane / columns, lane % columns);
                if i < a && j < b { x[(i * b + j) as usize] } else { 0 }
            })
            .collect();
        let args = vec![
            Argument::Tensor(TensorData::ints([a, b], x)),
            Argument::Tensor(TensorData::ints([rows, columns], vec![-1; 18])),
        ];
        assert_eq!(ints(&text, args, Mode::Declared), wanted, "{indices}");
    }
}

#[test]
fn tensors_of_every_class_and_rank() {
    let text = "
    spec @t(b: &bool[N], i: &i32[N], s: &f32[], ob: &mut bool[N], oi: &mut i32[N], os: &mut f32[]) {
      %zero: i64 = const 0
      %N: i64 = dim N
      axis n: N = %zero .. %N
      %n: i64[n] = index n
      %b: bool[n] = load b[%n]
      %i: i32[n] = load i[%n]
      %s: f32 = load s[]
      store ob[%n] = %b
      store oi[%n] = %i
      store os[] = %s
      yield
    }";
    let scalar = |x| tensor(&[], [x]);
    let args = vec![
        bool_vector(&[true, false]),
        int_vector(&[7, -7]),
        scalar(2.5),
        bool_vector(&[false; 2]),
        int_vector(&[0; 2]),
        scalar(0.0),
    ];
    let found = outcome(text, args, Mode::Declared);
    assert_eq!(found.output("ob").unwrap().tensor.data, Data::Bool(vec![true, false]));
    assert_eq!(found.output("oi").unwrap().tensor.data, Data::Int(vec![7, -7]));
    assert_eq!(found.output("os").unwrap().tensor.data, Data::Float(vec![2.5]));
    assert!(found.output("b").is_none());
}

/// Each program adds its row to one element.
const ADD: &str = "
kernel @t(x: &T[M], o: &mut T[N])
  grid m in M
{
  %m: i64 = program m
  %zero: i64 = const 0
  %x: T = load x[%m]
  atomic o[%zero] += %x
  yield
}";

#[test]
fn atomic_adds_of_all_programs_meet() {
    let x = int_vector(&[1, 2, 4, i64::from(i32::MAX)]);
    let args = vec![x.clone(), int_vector(&[10, 20])];
    let found = ints(&ADD.replace("T", "i64"), args, Mode::Declared);
    assert_eq!(found, [17 + i64::from(i32::MAX), 20]);
    // In memory an i32 wraps at 32 bits.
    let found = ints(&ADD.replace("T", "i32"), vec![x, int_vector(&[10, 20])], Mode::Declared);
    assert_eq!(found, [16 + i64::from(i32::MIN), 20]);
    // Each sum is rounded: 2048 + 1 is 2048 in f16.
    let args = || vec![vector(&[1.0, 1.0, 1.0, 1.0]), vector(&[2048.0])];
    let text = ADD.replace("T", "f16");
    assert_eq!(floats(&text, args(), Mode::Declared), [2048.0]);
    assert_eq!(floats(&text, args(), Mode::Exact), [2052.0]);
}

#[test]
fn atomic_adds_of_lanes_meet() {
    let text = "
    spec @t(i: &i64[L], o: &mut f32[N]) {
      %zero: i64 = const 0
      %L: i64 = dim L
      axis l: L = %zero .. %L
      %l: i64[l] = index l
      %i: i64[l] = load i[%l]
      %one: f32 = const 1.0
      atomic o[%i] += %one
      yield
    }";
    let args = vec![int_vector(&[0, 1, 1, 5, -1, 1]), vector(&[0.5; 3])];
    let found = outcome(text, args, Mode::Declared);
    assert_eq!(found.outputs[0].tensor.data, Data::Float(vec![1.5, 3.5, 0.5]));
    assert_eq!(found.outputs[0].written, [true, true, false]);
}

/// Each program writes its own element and then reads it and its neighbour's.
#[test]
fn a_program_sees_its_own_writes_only() {
    let text = "
    kernel @t(o: &mut i64[M], seen: &mut i64[M])
      grid m in M
    {
      %m: i64 = program m
      %one: i64 = const 1
      %hundred: i64 = const 100
      %new: i64 = add %m, %hundred
      store o[%m] = %new
      %before: i64 = sub %m, %one
      %after: i64 = add %m, %one
      atomic o[%m] += %one
      %a: i64 = load o[%before]
      %b: i64 = load o[%m]
      %c: i64 = load o[%after]
      %ten: i64 = const 1000
      %b1: i64 = mul %b, %ten
      %ab: i64 = add %a, %b1
      %c1: i64 = mul %c, %ten
      %c2: i64 = mul %c1, %ten
      %abc: i64 = add %ab, %c2
      store seen[%m] = %abc
      yield
    }";
    let kernel = kernel(text);
    for order in [Order::Forward, Order::Reverse, Order::Shuffled(1)] {
        let args = vec![int_vector(&[1, 2, 3]), int_vector(&[0; 3])];
        let found = run_in_order(&kernel, args, Mode::Declared, Limits::default(), order).unwrap();
        let seen = [2_101_000, 3_102_001, 103_002];
        assert_eq!(found.outputs[0].tensor.data, Data::Int(vec![101, 102, 103]), "{order:?}");
        assert_eq!(found.outputs[1].tensor.data, Data::Int(seen.to_vec()), "{order:?}");
    }
}

/// The only program of a grid, and a spec, see what they wrote in the order they wrote it.
#[test]
fn loads_and_stores_keep_their_order() {
    let text = "
    spec @t(o: &mut i64[N]) {
      %zero: i64 = const 0
      %one: i64 = const 1
      %x: i64 = load o[%zero]
      %y: i64 = add %x, %one
      store o[%zero] = %y
      %z: i64 = load o[%zero]
      store o[%one] = %z
      yield
    }";
    assert_eq!(ints(text, vec![int_vector(&[5, 0])], Mode::Declared), [6, 6]);
}

/// What is not written comes back as its type holds it.
#[test]
fn tensors_are_rounded_to_their_type() {
    let text = "spec @t(o: &mut bf16[N]) { yield }";
    let args = || vec![vector(&[1.0, 1.001, NAN])];
    let (declared, exact) =
        (floats(text, args(), Mode::Declared), floats(text, args(), Mode::Exact));
    assert!(support::same(&declared, &[1.0, 1.0, NAN]));
    assert!(support::same(&exact, &[1.0, 1.001, NAN]));
}
