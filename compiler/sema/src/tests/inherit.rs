//! `require` and `tune` of functions reach the kernels that call them, under the names these use.

use tilec_ir::{GenericKind, Kernel};

use super::library::library;
use super::{run, run_with};

fn kernel(text: &str) -> Kernel {
    let run = run(text);
    let module = run.module.as_ref().unwrap_or_else(|| panic!("{}", run.messages()));
    module.kernels[0].clone()
}

fn requires(kernel: &Kernel) -> Vec<String> {
    kernel.requires.iter().map(|require| require.text.clone()).collect()
}

fn knobs(kernel: &Kernel) -> Vec<(String, Vec<i64>)> {
    let knob = |generic: &tilec_ir::GenericData| match &generic.kind {
        GenericKind::Knob(choices) => Some((generic.name.clone(), choices.clone())),
        GenericKind::Const | GenericKind::DType(_) => None,
    };
    kernel.generics.values().filter_map(knob).collect()
}

const INNER: &str = "\
fn inner(t: &f32[R, C], m, size)
require R % 2 == 0, size > 3
tune BM in [32, 64] {
    t[m, 0]
}

fn outer(t: &f32[P, Q], m, size)
tune BK in [8] {
    inner(t, m, size * 2) + inner(t, m, size * 2) + BK as f32
}
";

#[test]
fn through_several_calls_and_in_the_kernels_own_names() {
    let kernel = kernel(&format!(
        "{INNER}\nkernel k(x: &f32[M, N], y: &mut f32[M], z: i32)\nrequire N > 1\n\
         grid m in M by BM {{\n    y[m] = outer(x, m, z);\n}}\n"
    ));
    assert_eq!(requires(&kernel), ["N > 1", "(M % 2) == 0", "(z * 2) > 3"]);
    assert_eq!(knobs(&kernel), [("BK".to_string(), vec![8]), ("BM".to_string(), vec![32, 64])]);
}

#[test]
fn the_kernels_own_clause_wins() {
    let kernel = kernel(&format!(
        "{INNER}\nkernel k(x: &f32[M, N], y: &mut f32[M], z: i32)\ntune BM in [16]\n\
         grid m in M by BM {{\n    y[m] = outer(x, m, z);\n}}\n"
    ));
    assert_eq!(knobs(&kernel), [("BM".to_string(), vec![16]), ("BK".to_string(), vec![8])]);
}

#[test]
fn a_short_function_has_clauses_too() {
    let kernel = kernel(
        "fn f(t: &f32[K], n) require K > 4 tune BN in [16] = t[n] * 2.0;\n\
         kernel k(x: &f32[N], y: &mut f32[N]) grid n in N by BN { y[n] = f(x, n); }\n",
    );
    assert_eq!(requires(&kernel), ["N > 4"]);
    assert_eq!(knobs(&kernel), [("BN".to_string(), vec![16])]);
}

#[test]
fn what_is_not_called_gives_nothing() {
    let kernel = kernel(&format!(
        "{INNER}\nkernel k(x: &f32[N], y: &mut f32[N])\ntune BN in [64]\ngrid n in N by BN {{ y[n] = x[n]; }}\n"
    ));
    assert!(requires(&kernel).is_empty());
    assert_eq!(knobs(&kernel).len(), 1);
}

#[test]
fn an_attention_variant_has_what_flash_asks_for() {
    let library = library();
    let run = run_with(&library.0["alibi"], &library);
    let module = run.module.as_ref().unwrap_or_else(|| panic!("{}", run.messages()));
    let kernel = &module.kernels[0];
    assert_eq!(requires(kernel), ["(H % G) == 0"]);
    let names: Vec<String> = knobs(kernel).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["BM", "BN"]);
}
