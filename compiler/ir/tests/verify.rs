//! Each rule of the verifier refuses something.

use std::collections::BTreeSet;

use tilec_ir::verify::{Rule, violations};
use tilec_ir::{
    AxisData, BlockData, Builder, Elem, Entity, Extent, Imm, Kernel, Op, Type, Value, ValueDef,
    parse, verify, verify_module,
};
use tilec_vocab::{HostExpr, HostOp, Span};

#[test]
fn flash_attention_verifies() {
    let module = parse(include_str!("flash.tir")).unwrap();
    verify_module(&module).unwrap();
    assert_eq!(tilec_ir::print(&module), include_str!("flash.tir"));
}

/// A kernel of this body with parameters to break rules with.
fn with_body(body: &str) -> String {
    format!(
        "kernel @k<T: float, const D>(q: &T[M, D], r: &f32[M], i: &i32[M], o: &mut f32[M], \
         t: &mut T[M], f: &mut bool[M], s: f32, w: i32) grid m in M {{ \
         %0: i64 = const 0 %1: i64 = dim M %x: f32 = scalar s %c: bool = const true \
         axis m: 32 = %0 .. %1 axis d: D = %0 .. %1 %im: i64[m] = index m %id: i64[d] = index d \
         %q: T[m, d] = load q[%im, %id] %r: f32[m] = load r[%im] \
         {body} yield }}"
    )
}

const BODIES: &[(Rule, &str, &str)] = &[
    (Rule::Yields, "yield", "does not end its block"),
    (Rule::Yields, "yield %x", "does not end"),
    (Rule::Yields, "for %i = %0 .. %1 { %z: i64 = const 1 }", "does not end in `yield`"),
    (Rule::Yields, "for %i = %0 .. %1 { }", "an empty block"),
    (Rule::Extents, "axis e: 0 = %0 .. %1", "0 lanes"),
    (Rule::Extents, "axis e: -4 = %0 .. %1", "-4 lanes"),
    (Rule::Extents, "for e: 1048577, %i = %0 .. %1 { yield }", "1048577 lanes"),
    (Rule::RuntimeExtents, "axis e: M = %0 .. %1", "run-time dimension"),
    (Rule::TileSize, "axis e: 65536 = %0 .. %1 %e: i64[e, m] = splat %im", "2097152 elements"),
    (
        Rule::TileSize,
        "axis e: 65536 = %0 .. %1 %ie: i64[e] = index e %z: i64[e, m] = add %ie, %im",
        "2097152 elements",
    ),
    (Rule::Visible, "if %c { %y: i64 = const 1 yield } else { yield } axis e: 4 = %y .. %1", "%y"),
    (
        Rule::AxisScope,
        "for n: 8, %i = %0 .. %1 { yield } %n: i64[n] = index n",
        "axis n is not in scope",
    ),
    (
        Rule::AxisScope,
        "%z: f32[m] = if %c { axis e: 4 = %0 .. %1 %ie: i64[e] = index e yield %r } else { \
         %e: i64[e] = splat %0 yield %r }",
        "axis e is not in scope",
    ),
    (
        Rule::AxisScope,
        "for n: 8, %i = %0 .. %1 { yield } %z: f32 = max %r over n",
        "axis n is not in scope",
    ),
    (Rule::Generics, "axis e: T = %0 .. %1", "the extent of e"),
    (Rule::Literal, "%z: f32[m] = const 1.0", "f32[m]"),
    (Rule::Literal, "%z: bool = const 1", "Int(1) as bool"),
    (Rule::Literal, "%z: f32 = const true", "Bool(true) as f32"),
    (Rule::Literal, "%z: i32 = const 2147483648", "as i32"),
    (Rule::Sources, "%z: i32 = dim M", "got i32, wanted i64"),
    (Rule::Sources, "%z: f32 = program m", "got f32, wanted i64"),
    (Rule::Sources, "%z: i64[m] = index d", "got i64[m], wanted i64[d]"),
    (Rule::Sources, "%z: i64 = index d", "got i64, wanted i64[d]"),
    (Rule::Sources, "%z: i64 = generic D %y: f32 = generic D", "got f32, wanted i64"),
    (Rule::Sources, "%z: i64 = scalar w", "got i64, wanted i32"),
    (Rule::Bounds, "axis e: 4 = %im .. %1", "got i64[m], wanted i64"),
    (Rule::Bounds, "axis e: 4 = %0 .. %x", "got f32, wanted i64"),
    (Rule::Bounds, "for %i = %0 .. %im { yield }", "got i64[m], wanted i64"),
    (Rule::Splat, "%z: f32[d] = splat %r", "from f32[m] to f32[d]"),
    (Rule::Splat, "%z: i64[m] = splat %x", "from f32 to i64[m]"),
    (Rule::Elementwise, "%z: f32[m, d] = add %r, %x", "got f32[m, d], wanted f32[m]"),
    (Rule::Elementwise, "%z: f32[m] = add %r, %im", "f32[m] and i64[m]"),
    (Rule::Elementwise, "%z: f32[m] = rem %r, %r", "f32[m]"),
    (Rule::Elementwise, "%z: bool = add %c, %c", "bool and bool"),
    (Rule::Elementwise, "%z: f32 = and %x, %x", "f32 and f32"),
    (Rule::Elementwise, "%l: i32[m] = load i[%im] %z: i32[m] = add %l, %l", "i32[m] and i32[m]"),
    (Rule::Elementwise, "%z: i64[m] = exp %im", "i64[m]"),
    (Rule::Elementwise, "%z: bool = neg %c", "bool"),
    (Rule::Elementwise, "%z: f32 = not %x", "f32"),
    (Rule::Elementwise, "%z: bool = lt %c, %c", "bool and bool"),
    (Rule::Elementwise, "%z: f32[m] = lt %r, %r", "got f32[m], wanted bool[m]"),
    (Rule::Elementwise, "%z: f32[m] = select %r, %r, %r", "f32[m] and f32[m]"),
    (Rule::Elementwise, "%z: f32[m] = select %c, %r, %im", "bool and f32[m] and i64[m]"),
    (Rule::Elementwise, "%z: f32 = select %c, %r, %x", "got f32, wanted f32[m]"),
    (Rule::Cast, "%z: f32[m, d] = cast %r", "from f32[m] to f32[m, d]"),
    (Rule::Cast, "%z: bool[m] = cast %r", "from f32[m] to bool[m]"),
    (Rule::Reduce, "%z: f32 = sum %r over d", "of f32[m] over d"),
    (Rule::Reduce, "%z: T = sum %q over m, m", "over m, m"),
    (Rule::Reduce, "%z: f32[m] = sum %r over m", "got f32[m], wanted f32"),
    (Rule::Reduce, "%z: f32 = all %r over m", "of f32[m]"),
    (Rule::Reduce, "%b: bool[m] = ge %r, %x %z: bool = sum %b over m", "of bool[m]"),
    (Rule::Dot, "%z: f32 = dot %r, %q over m", "of f32[m] and T[m, d]"),
    (Rule::Dot, "%z: f32 = dot %im, %im over m", "of i64[m] and i64[m]"),
    (Rule::Dot, "%z: f32[m] = dot %r, %r over d", "over d"),
    (Rule::Dot, "%z: T[m] = dot %q, %q over d", "got T[m], wanted f32[m]"),
    (Rule::Access, "%z: T[m] = load q[%im]", "2 dimensions, got 1 indices"),
    (Rule::Access, "%z: f32[m] = load r[%r]", "got f32[m], wanted i64[m]"),
    (Rule::Load, "%z: f32 = load r[%im]", "got f32, wanted f32[m]"),
    (Rule::Load, "%z: i64[m] = load i[%im]", "got i64[m], wanted i32[m]"),
    (Rule::Store, "store r[%im] = %r", "f32[m] to &f32 at [m]"),
    (Rule::Store, "store o[%im] = %im", "i64[m] to &mut f32"),
    (Rule::Store, "store t[%im] = %q", "T[m, d] to &mut T at [m]"),
    (Rule::Store, "atomic f[%im] += %c", "bool to &mut bool"),
    (Rule::Loop, "%z: f32 = for %i = %0 .. %1 carry (%y: f32 = %r) { yield %y }", "f32[m]"),
    (Rule::Loop, "%z: f32 = for %i = %0 .. %1 carry (%y: i64 = %0) { yield %x }", "wanted f32"),
    (Rule::Loop, "%z: f32 = for %i = %0 .. %1 carry (%y: f32 = %x) { yield }", "got 0 values"),
    (Rule::Loop, "%z: f32 = for %i = %0 .. %1 carry (%y: f32 = %x) { yield %r }", "got f32[m]"),
    (Rule::Branch, "if %x { yield } else { yield }", "got f32, wanted bool"),
    (Rule::Branch, "%z: f32 = if %c { yield %x } else { yield }", "got 0 values, wanted 1"),
    (Rule::Branch, "%z: f32 = if %c { yield %x } else { yield %r }", "got f32[m], wanted f32"),
    (Rule::Shape, "%y: f32, %z: f32 = sum %r over m", "1 operands, 2 results"),
    (Rule::Shape, "exp %r", "1 operands, 0 results"),
    (Rule::Shape, "%z: f32 = store o[%im] = %r", "2 operands, 1 results"),
    (Rule::Shape, "%z: f32 = for %i = %0 .. %1 { yield %x }", "2 operands, 1 block parameters"),
];

const TEXTS: &[(Rule, &str, &str)] = &[
    (Rule::Distinct, "spec @k(a: f32, a: f32) { yield }", "two things called `a`"),
    (Rule::Distinct, "spec @k(N: i64, a: &f32[N]) { yield }", "two things called `N`"),
    (Rule::Distinct, "spec @k<knob A in [4, 4]>() { yield }", "[4, 4]"),
    (Rule::Distinct, "spec @k<knob A in []>() { yield }", "[]"),
    (Rule::Identifiers, "spec @k<f32: float>(a: f32) { yield }", "a generic called `f32`"),
    (Rule::HostNames, "kernel @k() grid a in N { yield }", "`N`"),
    (Rule::HostNames, "kernel @k(x: f32) grid a in x { yield }", "`x`"),
    (Rule::HostNames, "kernel @k<T: int>(x: T) require x + T grid a in 1 { yield }", "`T`"),
    (Rule::HostNames, "kernel @k() require and == 1 grid a in 1 { yield }", "`and`"),
    (Rule::Generics, "spec @k<T: float>(a: &f32[T]) { yield }", "the type of `a`"),
    (Rule::Extents, "spec @k(a: &f32[N, -1]) { yield }", "the type of `a`"),
    (
        Rule::RuntimeExtents,
        "spec @k(a: &f32[N]) { %0: i64 = const 0 for n: N, %1 = %0 .. %0 { yield } yield }",
        "the extent of n",
    ),
];

/// The rules broken, with what is said of them.
fn found(kernel: &Kernel) -> Vec<(Rule, String)> {
    violations(kernel).into_iter().map(|v| (v.rule, v.message)).collect()
}

fn assert_breaks(kernel: &Kernel, rule: Rule, part: &str, input: &str) {
    let found = found(kernel);
    let hit = found.iter().any(|(broken, message)| *broken == rule && message.contains(part));
    assert!(hit, "wanted {rule:?} with {part:?} for {input}\ngot {found:#?}");
    let bug = verify(kernel).unwrap_err();
    assert!(!bug.ir.is_empty() && bug.message.starts_with("rule "), "{bug:?}");
}

#[test]
fn bodies_that_break_rules() {
    verify(&parse(&with_body("")).unwrap().kernels[0]).unwrap();
    for (rule, body, part) in BODIES {
        let module = parse(&with_body(body)).unwrap_or_else(|e| panic!("{body}: {e}"));
        assert_breaks(&module.kernels[0], *rule, part, body);
    }
}

#[test]
fn signatures_that_break_rules() {
    for (rule, text, part) in TEXTS {
        let module = parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let kernel = module.kernels.first().or(module.specs.first()).unwrap();
        assert_breaks(kernel, *rule, part, text);
    }
}

/// What text cannot say: changes made to a sound kernel by hand.
type Break = fn(&mut Kernel);

const CHANGES: &[(Rule, &str, Break)] = &[
    (Rule::Numbers, "a number without a row", |k| {
        let inst = k.walk()[0];
        k.insts[inst].args.push(Value::new(1000));
    }),
    (Rule::Numbers, "the body", |k| k.body = Entity::new(1000)),
    (Rule::Numbers, "a number without a row", |k| {
        Builder::new(k).inst(Op::Program(1), [], [], [Type::scalar(Elem::I64)]);
    }),
    (Rule::Numbers, "the extent of `s`", |k| {
        let extent = Extent::Generic(Entity::new(7));
        k.axes.push(AxisData { name: "s".into(), extent, full: false, span: Span::default() });
    }),
    (Rule::Numbers, "a number without a row", |k| {
        Builder::new(k).inst(Op::Scalar(Entity::new(99)), [], [], [Type::scalar(Elem::I64)]);
    }),
    (Rule::Tree, "two places", |k| {
        let first = k.blocks[k.body].insts[0];
        k.blocks[k.body].insts.insert(1, first);
    }),
    (Rule::Tree, "belongs to two", |k| {
        let body = k.body;
        Builder::new(k).inst(Op::If, [], [body], []);
    }),
    (Rule::Definitions, "made elsewhere", |k| {
        let (inst, body) = (k.blocks[k.body].insts[0], k.body);
        let result = k.insts[inst].results[0];
        k.values[result].def = ValueDef::Param(body, 0);
    }),
    (Rule::Limits, "nested too deep", |k| {
        let condition = k.insts[k.blocks[k.body].insts[3]].results[0];
        let mut inner: Option<[tilec_ir::Block; 2]> = None;
        for _ in 0..64 {
            let mut to = Builder::new(k);
            let blocks = [to.new_block([]), to.new_block([])];
            to.block = blocks[0];
            if let Some([then, otherwise]) = inner {
                to.if_else(condition, then, otherwise, []);
            }
            to.yield_values(&[]);
            to.block = blocks[1];
            to.yield_values(&[]);
            inner = Some(blocks);
        }
        let [then, otherwise] = inner.unwrap();
        Builder::new(k).if_else(condition, then, otherwise, []);
    }),
    (Rule::Limits, "host expression", |k| {
        for _ in 0..64 {
            let axis = &mut k.grid[0];
            axis.programs = HostExpr::binary(HostOp::Add, axis.programs.clone(), HostExpr::Int(1));
        }
    }),
    (Rule::Limits, "axes of the grid", |k| {
        let axis = k.grid[0].clone();
        k.grid.resize(17, axis);
    }),
    (Rule::Limits, "instructions", |k| {
        let mut to = Builder::new(k);
        for _ in 0..100_001 {
            to.int(0);
        }
    }),
    (Rule::Identifiers, "the name `a b`", |k| k.grid[0].name = "a b".to_owned()),
    (Rule::Identifiers, "the name `\\u{202e}x`", |k| k.name = "\u{202e}x".to_owned()),
    (Rule::Identifiers, "the name `aaa", |k| k.name = "a".repeat(250)),
    (Rule::Dimensions, "comes too late", |k| {
        let dim = k.dims.push(tilec_ir::DimData { name: "X".to_owned() });
        let late = k.dims.push(tilec_ir::DimData { name: "Y".to_owned() });
        let param = k.param("o").unwrap();
        if let tilec_ir::ParamType::Tensor { dims, .. } = &mut k.params[param].ty {
            dims.extend([Extent::Dim(late), Extent::Dim(dim)]);
        }
    }),
    (Rule::Dimensions, "that no parameter has", |k| {
        k.dims.push(tilec_ir::DimData { name: "X".to_owned() });
    }),
    (Rule::DeclaredOnce, "declared before", |k| {
        let axis = k.axes.keys().next().unwrap();
        let bound = k.insts[k.blocks[k.body].insts[0]].results[0];
        Builder::new(k).inst(Op::Axis(axis), [bound, bound], [], []);
    }),
    (Rule::Literal, "Float(0.1) as f16", |k| {
        Builder::new(k).constant(Imm::Float(0.1), Elem::Known(tilec_vocab::DType::F16));
    }),
    (Rule::Reduce, "over", |k| {
        let r = *k.insts[k.blocks[k.body].insts[9]].results.first().unwrap();
        Builder::new(k).reduce(tilec_ir::ReduceOp::Sum, r, &[]);
    }),
    (Rule::Shape, "the body has parameters", |k| {
        let block = Builder::new(k).new_block([Type::scalar(Elem::I64)]);
        let param = k.blocks[block].params[0];
        k.blocks[k.body].params.push(param);
        k.values[param].def = ValueDef::Param(k.body, 0);
        k.blocks[block] = BlockData::default();
    }),
];

#[test]
fn changes_that_break_rules() {
    for (n, (rule, part, change)) in CHANGES.iter().enumerate() {
        let mut kernel = parse(&with_body("")).unwrap().kernels.remove(0);
        let end = kernel.blocks[kernel.body].insts.pop().unwrap();
        change(&mut kernel);
        if kernel.blocks.get(kernel.body).is_some() {
            let body = kernel.body;
            kernel.blocks[body].insts.push(end);
        }
        assert_breaks(&kernel, *rule, part, &format!("change {n}"));
    }
}

#[test]
fn modules_that_break_rules() {
    for (text, part) in [
        (
            "kernel @a() grid x in 1 { yield } kernel @a() grid x in 1 { yield }",
            "@a is there twice",
        ),
        ("spec @a() { yield } spec @a() { yield }", "@a has two specs"),
        ("kernel @a(x: f32) grid x in 1 { yield } spec @a() { yield }", "different parameters"),
    ] {
        let bug = verify_module(&parse(text).unwrap()).unwrap_err();
        assert!(bug.message.contains(part), "{bug}");
        assert!(bug.message.starts_with("rule Modules"), "{bug}");
    }
}

#[test]
fn every_rule_has_a_case() {
    let cases = (BODIES.iter().map(|case| case.0))
        .chain(TEXTS.iter().map(|case| case.0))
        .chain(CHANGES.iter().map(|case| case.0))
        .chain([Rule::Modules]);
    let covered: BTreeSet<Rule> = cases.collect();
    let missing: Vec<&Rule> = Rule::ALL.iter().filter(|rule| !covered.contains(rule)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_bug_shows_the_place() {
    let module = parse(&with_body("%z: f32[m] = add %r, %im")).unwrap();
    let bug = verify(&module.kernels[0]).unwrap_err();
    assert!(
        bug.ir.contains("= add %r.7, %im.4\n  // ^ operands of type f32[m] and i64[m]\n"),
        "{}",
        bug.ir
    );
    assert!(bug.to_string().starts_with("compiler bug in verify: rule Elementwise: "), "{bug}");
}
