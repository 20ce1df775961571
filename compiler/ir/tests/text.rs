//! IR text reads back as what was printed, and what cannot be read gets an error with its place.

use tilec_ir::{Builder, Copier, Elem, Imm, Kernel, Op, Text, Type, parse, print, print_kernel};
use tilec_vocab::Span;

/// Every op and every form of every part of a signature.
const EVERYTHING: &str = r#"kernel @everything<T: float, I: int, const D, knob BM in [64, 128]>(q: &T[B, M, D], p: &i32[B], o: &mut T[B, M, D], c: &mut i64[], scale: f32, w: I, u: i32)
  require (M % 2) == 0 "M % 2 == 0\n  and \"so on\""
  require not (u < -1)
  require (u >= 0) or (not u and (min(M, 3) != max(cdiv(B, 2), D)))
  grid b in B, m in cdiv(M, BM), b2 in ((B * 2) + (1 - B)) / 3
{
  %0: i64 = dim M
  %1: i64 = generic BM
  %b.2: i64 = program b
  %3: i64 = program m
  %4: i64 = mul %3, %1
  axis m: BM = %4 .. %0
  %5: i64 = const -9223372036854775808
  %6: i64 = generic D
  axis d: D = %5 .. %6 full
  axis d.1: 16 = %5 .. %6
  %i.7: i64[m] = index m
  %8: i64[d] = index d
  %9: T[m, d] = load q[%b.2, %i.7, %8]
  %10: i32 = load p[%b.2]
  %11: i64 = cast %10
  %12: f32 = scalar scale
  %13: I = scalar w
  %14: f32 = const -inf
  %15: f32 = const nan
  %16: f32 = const -0.0
  %17: f32 = const 0.10000000149011612
  %18: T = const 1e-5
  %19: f32 = const 1.0000000150474662e30
  %20: bool = const true
  %21: f32[m] = splat %14
  %22: f32[m] = exp2 %21
  %23: f32[m, d] = cast %9
  %24: f32[m] = max %23 over d
  %25: f32[m] = max %24, %22
  %26: bool[m, d] = lt %23, %25
  %27: f32[m, d] = select %26, %23, %12
  %28: f32 = sum %27 over m, d
  %29: f32[m] = dot %9, %9 over d
  %30: f32 = dot %27, %23 over m, d precision tf32x3
  %31: f32[m], %top.32: f32 = for n: 32, %iv.33 = %5 .. %0 full carry (%34: f32[m] = %21, %35: f32 = %12) {
    axis n.1: D = %iv.33 .. %0
    %36: i64[n] = index n
    %37: f32 = if %20 {
      yield %35
    } else {
      atomic c[] += %11
      yield %12
    }
    yield %34, %37
  }
  for %38 = %3 .. %4 {
    if %20 {
      yield
    } else {
      store o[%b.2, %i.7, %8] = %9
      yield
    }
    yield
  }
  yield
}

spec @everything(a: &f16[M, N, M], b: &mut bool[2, 0])
{
  %0: i64 = const 0
  %1: i64 = dim N
  axis n: N = %0 .. %1
  yield
}
"#;

#[test]
fn printing_undoes_reading() {
    let module = parse(EVERYTHING).unwrap();
    assert_eq!((module.kernels.len(), module.specs.len()), (1, 1));
    assert_eq!(print(&module), EVERYTHING);
}

#[test]
fn reading_numbers_as_copying_does() {
    // Equality of kernels would compare NaN with NaN; the debug form compares all and is stricter.
    for kernel in &parse(EVERYTHING).unwrap().kernels {
        assert_eq!(format!("{:?}", copy(kernel)), format!("{kernel:?}"));
    }
}

fn copy(kernel: &Kernel) -> Kernel {
    let mut new = Kernel::like(kernel);
    let mut to = Builder::new(&mut new);
    let mut copier = Copier::new();
    for &inst in &kernel.blocks[kernel.body].insts {
        copier.copy(kernel, inst, &mut to);
    }
    new
}

#[test]
fn text_does_not_depend_on_numbering() {
    let mut kernel = Kernel::new("k", Span::default());
    let mut to = Builder::new(&mut kernel);
    to.kernel.values.push(tilec_ir::ValueData {
        ty: Type::scalar(Elem::I64),
        def: tilec_ir::ValueDef::Param(to.block, 0),
        name: None,
    });
    to.int(7);
    to.yield_values(&[]);
    assert_eq!(print_kernel(&kernel), "spec @k()\n{\n  %0: i64 = const 7\n  yield\n}\n");
}

#[test]
fn spans_read_back() {
    let text = "kernel @k loc(1: 2..3)(a: &mut i64[N] loc(1: 4..5), s: i64)\n  grid n in N\n{\n  \
                %0: i64 = const 0 loc(0: 10..20)\n  \
                axis n: 4 loc(0: 7..8) = %0 .. %0 loc(2: 1..4294967295)\n  yield loc(0: 0..0)\n}\n";
    let module = parse(text).unwrap();
    let printed = Text::new(&module.kernels[0]).with_spans().to_string();
    let again = parse(&printed).unwrap();
    assert_eq!(again, module);
    assert_eq!(module.kernels[0].span.end, 3);
    let inst = module.kernels[0].blocks[module.kernels[0].body].insts[1];
    assert_eq!(module.kernels[0].insts[inst].span.end, u32::MAX);
}

#[test]
fn literals_read_back_to_the_bit() {
    let interesting = [0.0, -0.0, 1.0, 0.1, f64::MIN_POSITIVE, 5e-324, f64::MAX, 1e16, 123456.789];
    let specials = [f64::INFINITY, f64::NEG_INFINITY];
    for value in interesting.into_iter().chain(specials) {
        let text = format!("spec @k<T: float>() {{ %0: T = const {value:?} yield }}");
        let module = parse(&text).unwrap();
        let inst = module.specs[0].walk()[0];
        let Op::Const(Imm::Float(read)) = module.specs[0].insts[inst].op else { panic!() };
        assert_eq!(read.to_bits(), value.to_bits(), "{value:?}");
        assert_eq!(parse(&print(&module)).unwrap(), module);
    }
}

#[test]
fn a_literal_is_rounded_to_its_type() {
    let module = parse("spec @k() { %0: f16 = const 0.1 yield }").unwrap();
    assert!(print(&module).contains("const 0.0999755859375"));
}

#[test]
fn refusals_name_line_and_column() {
    for (text, message) in [
        ("", None),
        ("// only a comment", None),
        ("krnel", Some("1:1: expected `kernel`, found `krnel`")),
        ("spec @k() {\n  yield", Some("2:8: expected an op, found the end of the text")),
        ("spec @k() { é }", Some("1:13: this is not a word of IR text")),
        ("spec @k() { \"", Some("1:13: this is not a word of IR text")),
        ("kernel @k() { yield }", Some("1:1: a kernel has a grid")),
        ("spec @k() grid a in 1 { yield }", Some("1:1: a spec has no grid")),
        ("spec @k() { %0: i64 = add %1, %2 }", Some("1:27: `%1` is not defined above")),
        ("spec @k() { %0: i64[m] = index m }", Some("1:21: axis `m` is not declared above")),
        ("spec @k() { %0: x = const 1 }", Some("1:17: there is no element type `x`")),
        ("spec @k() { %0: i64 = frob }", Some("1:23: there is no op `frob`")),
        ("spec @k() { %0: i64 = dim N }", Some("1:27: there is no dimension `N`")),
        ("spec @k() { %0: i64 = load q[] }", Some("1:28: there is no tensor `q`")),
        ("spec @k(s: i64) { %0: i64 = load s[] }", Some("1:34: there is no tensor `s`")),
        ("spec @k() { %0: i64 = program m }", Some("1:31: the grid has no such axis")),
        ("spec @k() { %0: i64 = const 1 %0: i64 = const 1 }", Some("1:31: `%0` is defined twice")),
        (
            "spec @k() { %0: i64 = const 9223372036854775808 }",
            Some("1:29: this integer does not fit in 64 bits"),
        ),
        ("spec @k() { %0: f32 = const 1 precision }", Some("1:31: there is no op `precision`")),
        ("spec @k() require 1 \"\\q\" { yield }", Some("1:21: an escape that means nothing")),
        ("spec @k() require 1 \"\\u{d800}\" { yield }", Some("1:21: an escape that means nothing")),
    ] {
        let found = parse(text).err().map(|error| error.to_string());
        assert_eq!(found.as_deref(), message, "{text}");
    }
}

#[test]
fn limits_hold() {
    let blocks = |n: usize| {
        let open = "for %0 = %a .. %a {".replace("%0", "%I");
        let mut text = "spec @k() { %a: i64 = const 0 ".to_owned();
        for i in 0..n {
            text.push_str(&open.replace("%I", &format!("%i{i}")));
        }
        text.push_str(&"yield }".repeat(n + 1));
        text
    };
    assert!(parse(&blocks(63)).is_ok());
    assert!(parse(&blocks(64)).unwrap_err().message.contains("blocks nested more than 64 deep"));
    assert!(parse(&blocks(100_000)).unwrap_err().message.contains("nested more than 64"));

    let parens =
        |n: usize| format!("kernel @k() grid a in {}1{} {{ yield }}", "(".repeat(n), ")".repeat(n));
    assert!(parse(&parens(63)).is_ok());
    assert!(parse(&parens(100_000)).unwrap_err().message.contains("nested more than 64"));
    let nots = format!("spec @k() require {} 1 {{ yield }}", "not ".repeat(100_000));
    assert!(parse(&nots).unwrap_err().message.contains("nested more than 64"));

    let many = format!("spec @k() {{ {} yield }}", "yield ".repeat(100_001));
    assert!(parse(&many).unwrap_err().message.contains("more than 100000 instructions"));
    let long = format!("spec @{}() {{ yield }}", "k".repeat(300));
    assert!(parse(&long).unwrap_err().message.contains("more than 256 bytes"));
    let kernels = "spec @k() { yield } ".repeat(5000);
    assert!(parse(&kernels).unwrap_err().message.contains("more than 4096 kernels"));
    let huge = " ".repeat((16 << 20) + 1);
    assert!(parse(&huge).unwrap_err().message.contains("longer than"));
    let rank = format!("spec @k(a: &f32[{}]) {{ yield }}", "N, ".repeat(17));
    assert!(parse(&rank).unwrap_err().message.contains("more than 16 in one list"));
}
