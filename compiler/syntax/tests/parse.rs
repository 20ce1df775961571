//! Parsing: the library's files, errors several at a time, and texts made to hurt.

use std::time::{Duration, Instant};

use tilec_syntax::{ast, parse};
use tilec_vocab::{Diagnostic, FileId};

fn errors(text: &str) -> Vec<Diagnostic> {
    parse(FileId(0), text).1
}

fn codes(text: &str) -> Vec<&'static str> {
    errors(text).iter().map(|error| error.code.name()).collect()
}

/// Runs in a small stack, and in little time.
fn hostile(text: String) -> Vec<&'static str> {
    let start = Instant::now();
    let thread = std::thread::Builder::new().stack_size(512 << 10);
    let handle = thread.spawn(move || codes(&text)).expect("a thread");
    let found = handle.join().expect("no panic and no overflow");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    found
}

#[test]
fn the_library_parses() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels");
    let mut seen = 0;
    for folder in ["attention", "smoke"] {
        for entry in std::fs::read_dir(root.join(folder)).expect("the library").flatten() {
            let text = std::fs::read_to_string(entry.path()).expect("text");
            let found = errors(&text);
            assert!(found.is_empty(), "{}: {found:?}", entry.path().display());
            seen += 1;
        }
    }
    assert!(seen > 10);
}

#[test]
fn several_errors_in_one_run() {
    let text = "fn a(x) { let y = ; y }\nconst = 3;\nfn b(x) { let y = x x; let z = 1 +; y }\nconst C = 3;";
    let (file, found) = parse(FileId(0), text);
    assert!(found.len() >= 3, "{found:?}");
    assert!(matches!(file.items.last(), Some(ast::Item::Const(c)) if c.name.name == "C"));
}

#[test]
fn slips_have_their_own_codes() {
    for (text, code) in [
        ("const A = 1 § 2;", "E0101"),
        ("const A = 1; /* never closed", "E0102"),
        ("const A = 99999999999999999999;", "E0103"),
        ("const A = 1e999;", "E0103"),
        ("fn f(x) { let a = x let b = a; b }", "E0105"),
        ("fn f(x) { let a = (x; a }", "E0106"),
        ("fn f(x) = 1 <= x < 3;", "E0107"),
        ("fn f(x, y) = x && y;", "E0108"),
        ("fn f(x, y) { if x = y { } 1 }", "E0108"),
        ("fn f(x) { while x { } }", "E0108"),
        ("fn f(x) { x + 1 = 2; x }", "E0109"),
        ("fn f(x) = g(a = x, 1);", "E0110"),
        ("fn f(x) grid m in M { x }", "E0111"),
        ("kernel k(x: &f32[N]) { return; }", "E0112"),
        ("kernel k(x: &f32[N]) grid m in M grid n in N { return; }", "E0113"),
    ] {
        assert!(codes(text).contains(&code), "{text}: {:?}", codes(text));
    }
}

#[test]
fn runs_of_operators_are_flat() {
    let (file, found) = parse(FileId(0), "const A = 1 + 2 - 3 + 4 * 5 * 6;");
    assert!(found.is_empty());
    let Some(ast::Item::Const(item)) = file.items.first() else { panic!("{file:?}") };
    let ast::ExprKind::Chain { rest, .. } = &item.value.kind else { panic!("{item:?}") };
    assert_eq!(rest.len(), 3);
}

#[test]
fn hostile_texts_end_in_an_error() {
    assert_eq!(hostile(format!("const A = {};", "(".repeat(100_000))), ["E0501"]);
    assert_eq!(hostile(format!("const A = {}1;", "-".repeat(100_000))), ["E0501"]);
    assert_eq!(hostile(format!("fn f(x) {{ {} }}", "if x { ".repeat(10_000))), ["E0501"]);
    let branches = format!("fn f(x) {{ if x {{ }} {} }}", "else if x { } ".repeat(10_000));
    assert_eq!(hostile(branches), ["E0501"]);
    assert_eq!(hostile(format!("const A = 1{};", " as f16".repeat(10_000))), ["E0501"]);
    assert_eq!(hostile(format!("const A = {}1;", "|a| ".repeat(10_000))), ["E0501"]);
    assert_eq!(hostile(format!("const A = {}1;", "|a, b| ".repeat(10_000))), ["E0501"]);
    assert_eq!(hostile(format!("const A = f({}1;", "|a, b| f(x, ".repeat(10_000))), ["E0501"]);
    assert_eq!(hostile(format!("const A = 1{};", " + 1".repeat(100_000))), [] as [&str; 0]);
    assert_eq!(hostile(format!("const A = 1{};", " - (1)".repeat(10_000))), [] as [&str; 0]);
    assert_eq!(hostile("x".repeat(2 << 20)), ["E0502"]);
    assert_eq!(hostile("\0".repeat(1000)), ["E0101"]);
    assert_eq!(hostile(String::new()), [] as [&str; 0]);
    assert_eq!(hostile("const A = 1;\r\nconst B = 2;\r\n".into()), [] as [&str; 0]);
    assert!(!hostile("}".repeat(100_000)).is_empty());
    assert!(!hostile("const ".repeat(100_000)).is_empty());
    assert_eq!(hostile(format!("const {} = 1;", "a".repeat(300))), ["E0104"]);
    assert!(!hostile("fn f(x) { ; ; ".repeat(20_000)).is_empty());
}

/// Brackets that do not match, in every order: the parser's trees stay as shallow as the limit says.
#[test]
fn brackets_that_do_not_match_nest_no_deeper() {
    let pieces = [
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "x",
        ";",
        ",",
        "if x {",
        "fn f(x) {",
        "|a, b| ",
        "- ",
        "f(",
        "let y = ",
    ];
    let mut state = 7_u64;
    for case in 0..40 {
        let mut text = String::from("fn f(x) { ");
        // Each case leans towards some pieces.
        let favoured: Vec<usize> =
            (0..4).map(|n| (case * 7 + n * (case + 3)) % pieces.len()).collect();
        for _ in 0..8_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let random = (state >> 33) as usize;
            let at = if random.is_multiple_of(3) {
                random / 3 % pieces.len()
            } else {
                favoured[random / 3 % 4]
            };
            text.push_str(pieces[at]);
        }
        assert!(!hostile(text).is_empty(), "case {case}");
    }
}
