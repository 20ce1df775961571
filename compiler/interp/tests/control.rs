//! Loops, branches, axes and the grid.

mod support;

use support::{floats, int_vector, ints, kernel, outcome, vector};
use tilec_interp::{Argument, Data, InterpError, Limits, Mode, run};

/// Counts the iterations of a loop and keeps the last index, the sum of lanes, and an `i32`.
fn counting(header: &str, count: &str) -> String {
    format!(
        "spec @t(o: &mut i64[3], lo: i64, hi: i64) {{
            %lo: i64 = scalar lo
            %hi: i64 = scalar hi
            %zero: i64 = const 0
            %one: i64 = const 1
            %two: i64 = const 2
            %n: i64, %last: i64, %lanes: i64 = for {header} carry (%c: i64 = %zero, %l: i64 = %zero, %s: i64 = %zero) {{
                {count}
                %next: i64 = add %c, %one
                %sum: i64 = add %s, %k
                yield %next, %iv, %sum
            }}
            store o[%zero] = %n
            store o[%one] = %last
            store o[%two] = %lanes
            yield
        }}"
    )
}

fn count(text: &str, lo: i64, hi: i64) -> Vec<i64> {
    let args = vec![int_vector(&[-1; 3]), Argument::Int(lo), Argument::Int(hi)];
    ints(text, args, Mode::Declared)
}

#[test]
fn plain_loops() {
    let text = counting("%iv = %lo .. %hi", "%k: i64 = const 1");
    assert_eq!(count(&text, 0, 5), [5, 4, 5]);
    assert_eq!(count(&text, -2, 1), [3, 0, 3]);
    assert_eq!(count(&text, 3, 3), [0, 0, 0]);
    assert_eq!(count(&text, 4, -4), [0, 0, 0]);
    assert_eq!(count(&text, i64::MAX - 2, i64::MAX), [2, i64::MAX - 1, 2]);
}

#[test]
fn loops_over_blocks() {
    let lanes = "
        %i: i64[n] = index n
        %d: i64[n] = sub %i, %i
        %ones: i64[n] = add %d, %one
        %k: i64 = sum %ones over n";
    let text = counting("n: 4, %iv = %lo .. %hi", lanes);
    assert_eq!(count(&text, 0, 8), [2, 4, 8]);
    assert_eq!(count(&text, 0, 9), [3, 8, 9]);
    assert_eq!(count(&text, 3, 5), [1, 3, 2]);
    assert_eq!(count(&text, 0, 0), [0, 0, 0]);
    // The block after the last would start beyond the range of indices.
    assert_eq!(count(&text, i64::MAX - 5, i64::MAX), [2, i64::MAX - 1, 5]);
}

#[test]
fn nested_loops_and_branches() {
    let text = "
    spec @t(o: &mut i64[N]) {
      %zero: i64 = const 0
      %one: i64 = const 1
      %N: i64 = dim N
      for %i = %zero .. %N {
        %sum: i64 = for %j = %zero .. %i carry (%s: i64 = %zero) {
          %two: i64 = const 2
          %bit: i64 = rem %j, %two
          %odd: bool = eq %bit, %one
          %step: i64 = if %odd {
            yield %j
          } else {
            %big: bool = gt %j, %two
            if %big {
              %minus: i64 = const -1
              store o[%zero] = %minus
              yield
            } else {
              yield
            }
            yield %zero
          }
          %next: i64 = add %s, %step
          yield %next
        }
        store o[%i] = %sum
        yield
      }
      yield
    }";
    // Sums of the odd numbers below i; o[0] is marked once j passes 2.
    assert_eq!(ints(text, vec![int_vector(&[9; 4])], Mode::Declared), [0, 0, 1, 1]);
    let six = ints(text, vec![int_vector(&[9; 6])], Mode::Declared);
    assert_eq!(six, [-1, 0, 1, 1, 4, 4]);
}

/// A loop's results are its initial values if it does not run, and tiles are carried as well.
#[test]
fn carried_tiles() {
    let text = "
    spec @t(x: &f32[M, N], o: &mut f32[M], count: i64) {
      %zero: i64 = const 0
      %M: i64 = dim M
      axis m: M = %zero .. %M
      %m: i64[m] = index m
      %f: f32 = const 0.5
      %init: f32[m] = splat %f
      %count: i64 = scalar count
      %a: f32[m], %b: f32[m] = for %j = %zero .. %count carry (%a0: f32[m] = %init, %b0: f32[m] = %init) {
        %x: f32[m] = load x[%m, %j]
        %sum: f32[m] = add %a0, %x
        yield %b0, %sum
      }
      %d: f32[m] = sub %a, %b
      store o[%m] = %d
      yield
    }";
    let x = support::tensor(&[2, 3], [1.0, 2.0, 4.0, 10.0, 20.0, 40.0]);
    let run = |count| {
        let args = vec![x.clone(), vector(&[9.0; 2]), Argument::Int(count)];
        floats(text, args, Mode::Declared)
    };
    // (a, b) swaps and adds: (.5, .5) -> (.5, 1.5) -> (1.5, 2.5) -> (2.5, 5.5)
    assert_eq!(run(0), [0.0, 0.0]);
    assert_eq!(run(1), [-1.0, -10.0]);
    assert_eq!(run(2), [-1.0, -10.0]);
    assert_eq!(run(3), [-3.0, -30.0]);
}

#[test]
fn the_grid() {
    let text = "
    kernel @t(o: &mut i64[A, B, C], n: i64)
      grid a in A, b in cdiv(B, 2), c in C * n
    {
      %a: i64 = program a
      %b: i64 = program b
      %c: i64 = program c
      %ten: i64 = const 10
      %ab: i64 = mul %a, %ten
      %ab1: i64 = add %ab, %b
      %abc: i64 = mul %ab1, %ten
      %v: i64 = add %abc, %c
      store o[%a, %b, %c] = %v
      yield
    }";
    let run = |shape: [i64; 3], n| {
        let count = shape.iter().product::<i64>() as usize;
        let o = tilec_interp::TensorData::ints(shape, vec![-1; count]);
        ints(text, vec![Argument::Tensor(o), Argument::Int(n)], Mode::Declared)
    };
    assert_eq!(run([2, 3, 2], 1), [0, 1, 10, 11, -1, -1, 100, 101, 110, 111, -1, -1]);
    assert_eq!(run([1, 1, 1], 3), [0]);
    assert_eq!(run([2, 1, 1], 0), [-1, -1]);
    assert_eq!(run([0, 1, 1], 1), [0; 0]);
    let negative =
        vec![Argument::Tensor(tilec_interp::TensorData::ints([1, 1, 1], [0])), Argument::Int(-1)];
    let error = support::failure(text, negative, Limits::default());
    assert_eq!(error, InterpError::Grid("c".into()));
}

/// An axis called full that is not: the fault of a pass, and found.
#[test]
fn full_is_checked() {
    let text = "
    spec @t(o: &mut f32[N]) {
      %zero: i64 = const 0
      %N: i64 = dim N
      axis n: 4 = %zero .. %N full
      %n: i64[n] = index n
      %one: f32 = const 1.0
      store o[%n] = %one
      yield
    }";
    assert_eq!(floats(text, vec![vector(&[0.0; 4])], Mode::Declared), [1.0; 4]);
    assert_eq!(floats(text, vec![vector(&[0.0; 5])], Mode::Declared)[..4], [1.0; 4]);
    let error = support::failure(text, vec![vector(&[0.0; 3])], Limits::default());
    assert!(matches!(error, InterpError::Bug(_)), "{error:?}");
    let text = text.replace("axis n: 4 = %zero .. %N full", "for n: 4, %i = %zero .. %N full {");
    let text = text.replace("= %one\n", "= %one\n yield }\n");
    assert_eq!(floats(&text, vec![vector(&[0.0; 8])], Mode::Declared), [1.0; 8]);
    let error = support::failure(&text, vec![vector(&[0.0; 6])], Limits::default());
    assert!(matches!(error, InterpError::Bug(_)), "{error:?}");
}

/// Requirements, dimensions used twice, fixed extents: seen from the kernel.
#[test]
fn signatures() {
    let text = "
    kernel @t(x: &f32[N, 3], y: &i32[N], o: &mut f32[N], k: i32)
      require (N % k) == 0 \"N % k == 0\"
      grid n in N
    {
      %n: i64 = program n
      %two: i64 = const 2
      %x: f32 = load x[%n, %two]
      store o[%n] = %x
      yield
    }";
    let kernel = kernel(text);
    let x = || support::tensor(&[2, 3], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let run = |args| run(&kernel, args, Mode::Declared, Limits::default());
    let good = vec![x(), int_vector(&[1, 2]), vector(&[0.0; 2]), Argument::Int(2)];
    let found = run(good.clone()).unwrap();
    assert_eq!(found.outputs[0].tensor.data, Data::Float(vec![2.0, 5.0]));
    let change = |at: usize, arg: Argument| {
        let mut args = good.clone();
        args[at] = arg;
        run(args).unwrap_err().to_string()
    };
    let wanted = [
        (0, vector(&[1.0; 6]), "argument `x`: got 1 dimensions, wanted 2"),
        (0, support::tensor(&[2, 4], [0.0; 8]), "argument `x`: dimension 1 (`3`) is 4, wanted 3"),
        (1, int_vector(&[1, 2, 3]), "argument `y`: dimension 0 (`N`) is 3, wanted 2 as in `x`"),
        (0, support::tensor(&[2, 3], [0.0; 5]), "argument `x`: shape [2, 3] with 5 elements"),
        (1, vector(&[1.0; 2]), "argument `y`: got tensor of float, wanted tensor of int"),
        (2, Argument::Float(1.0), "argument `o`: got float, wanted tensor of float"),
        (3, Argument::Float(1.0), "argument `k`: got float, wanted int"),
        (3, vector(&[1.0]), "argument `k`: got tensor of float, wanted int"),
        (3, Argument::Int(1 << 31), "argument `k`: 2147483648 does not fit i32"),
        (1, int_vector(&[0, -(1 << 40)]), "argument `y`: -1099511627776 does not fit i32"),
        (3, Argument::Int(3), "requirement `N % k == 0` does not hold"),
        (3, Argument::Int(0), "requirement `N % k == 0` does not hold"),
    ];
    for (at, arg, message) in wanted {
        assert_eq!(change(at, arg), message);
    }
    assert_eq!(run(good[..3].to_vec()).unwrap_err().to_string(), "got 3 arguments, wanted 4");
}

#[test]
fn generic_and_broken_kernels_are_refused() {
    let generic = kernel("kernel @t<const D>(o: &mut f32[D]) grid d in D { yield }");
    let error = run(&generic, vec![vector(&[0.0])], Mode::Declared, Limits::default());
    let text = "kernel `t` is not specialised: `D` is not bound";
    assert_eq!(error.unwrap_err().to_string(), text);

    let mut broken = kernel("kernel @t(o: &mut f32[N]) grid n in N { yield }");
    let body = broken.body;
    broken.blocks[body].insts.clear();
    let error = run(&broken, vec![vector(&[0.0])], Mode::Declared, Limits::default());
    assert!(matches!(error, Err(InterpError::Bug(_))));

    let plain = kernel("kernel @t(o: &mut f32[N]) grid n in N { yield }");
    let low = Mode::Low(tilec_vocab::DType::I32);
    let error = run(&plain, vec![vector(&[0.0])], low, Limits::default());
    assert_eq!(error.unwrap_err(), InterpError::NotAFloat(tilec_vocab::DType::I32));
}

#[test]
fn work_and_memory_are_limited() {
    let limits = |steps, elements| Limits { steps, elements };
    let endless = "
    spec @t(o: &mut f32[N]) {
      %zero: i64 = const 0
      %end: i64 = const 9223372036854775807
      for %i = %zero .. %end { yield }
      yield
    }";
    let error = support::failure(endless, vec![vector(&[])], limits(1000, 1000));
    assert_eq!(error, InterpError::StepLimit(1000));

    let programs = "kernel @t(o: &mut f32[N], n: i64) grid a in n, b in n, c in n { yield }";
    for n in [1 << 20, i64::MAX] {
        let args = vec![vector(&[]), Argument::Int(n)];
        let error = support::failure(programs, args, limits(1000, 1000));
        assert_eq!(error, InterpError::StepLimit(1000));
    }

    // A product of three whole axes: nothing that large is ever made.
    let wide = "
    spec @t(x: &bool[A, B, C], o: &mut f32[]) {
      %zero: i64 = const 0
      %A: i64 = dim A
      %C: i64 = dim C
      axis a: A = %zero .. %A
      axis c: C = %zero .. %C
      %a: i64[a] = index a
      %c: i64[c] = index c
      %x: i64[a, c] = add %a, %c
      yield
    }";
    let args = || {
        let x = tilec_interp::TensorData::bools([1 << 30, 0, 1 << 30], []);
        vec![Argument::Tensor(x), support::tensor(&[], [0.0])]
    };
    let error = support::failure(wide, args(), limits(u64::MAX, 1 << 20));
    assert_eq!(error, InterpError::MemoryLimit(1 << 20));
    let error = support::failure(wide, args(), limits(1 << 20, u64::MAX));
    assert_eq!(error, InterpError::StepLimit(1 << 20));
}

/// Memory of values that are no longer needed counts as free, in loops and out.
#[test]
fn dead_values_are_dropped() {
    let mut text = String::from(
        "spec @t(x: &f32[N], o: &mut f32[N]) {
           %zero: i64 = const 0
           %N: i64 = dim N
           axis n: N = %zero .. %N
           %n: i64[n] = index n
           %x0: f32[n] = load x[%n]
        ",
    );
    for i in 0..50 {
        text += &format!("%x{}: f32[n] = add %x{i}, %x{i}\n", i + 1);
    }
    text += "%y: f32[n] = for %i = %zero .. %N carry (%c: f32[n] = %x50) {
               %unused: f32[n] = add %c, %c
               %minus: f32[n] = neg %c
               yield %minus
             }
             store o[%n] = %y
             yield }";
    let args = vec![vector(&[1.0; 100]), vector(&[0.0; 100])];
    let limits = Limits { steps: 1 << 20, elements: 600 };
    let found = run(&kernel(&text), args, Mode::Declared, limits).unwrap();
    assert_eq!(found.outputs[0].tensor.data, Data::Float(vec![2f64.powi(50); 100]));
}

/// Axes without lanes beside axes with far too many: nothing is computed, nothing overflows.
#[test]
fn no_lanes_beside_very_many() {
    let text = "
    spec @t(x: &f32[A, B, C, Z], o: &mut f32[A, B, C, Z]) {
      %zero: i64 = const 0
      %A: i64 = dim A
      %B: i64 = dim B
      %C: i64 = dim C
      %Z: i64 = dim Z
      axis a: A = %zero .. %A
      axis b: B = %zero .. %B
      axis c: C = %zero .. %C
      axis z: Z = %zero .. %Z
      %a0: i64[z] = index z
      %nothing: i64[a, b, c, z] = splat %a0
      %f: f32[a, b, c, z] = cast %nothing
      %sum: f32[z] = sum %f over a, b, c
      %sum2: f32[a, b, c, z] = add %f, %sum
      %dot: f32[z] = dot %f, %sum2 over a, c, b
      %x: f32[a, b, c, z] = load x[%nothing, %nothing, %nothing, %nothing]
      %y: f32[a, b, c, z] = mul %x, %dot
      store o[%nothing, %nothing, %nothing, %a0] = %y
      yield
    }";
    let huge = i64::MAX;
    let x = || {
        let tensor = tilec_interp::TensorData::floats([huge, huge, huge, 0], []);
        Argument::Tensor(tensor)
    };
    for mode in [Mode::Exact, Mode::Declared] {
        assert!(floats(text, vec![x(), x()], mode).is_empty());
    }
}

/// The deepest nesting there may be, on a small stack.
#[test]
fn deep_nesting() {
    let mut text = String::from(
        "spec @t(o: &mut f32[N]) { %f: f32 = const 1.0 %zero: i64 = const 0 %one: i64 = const 1 %yes: bool = const true\n",
    );
    let depth = tilec_ir::limits::DEPTH - 2;
    for level in 0..depth {
        text += &match level % 2 {
            0 => "if %yes {\n".to_owned(),
            _ => format!("for %i{level} = %zero .. %one {{\n"),
        };
    }
    text += "store o[%zero] = %f\n";
    for level in (0..depth).rev() {
        text += match level % 2 {
            0 => "yield } else { yield }\n",
            _ => "yield }\n",
        };
    }
    text += "yield }";
    let run = move || floats(&text, vec![vector(&[0.0])], Mode::Declared);
    let thread = std::thread::Builder::new().stack_size(512 << 10).spawn(run);
    assert_eq!(thread.unwrap().join().unwrap(), [1.0]);
}

#[test]
fn nothing_to_do() {
    let text = "spec @t(o: &mut f32[N]) { yield }";
    let found = outcome(text, vec![vector(&[])], Mode::Exact);
    assert_eq!((found.outputs.len(), found.outputs[0].written.len()), (1, 0));
}
