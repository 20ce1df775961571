//! Texts made to hurt the front end: each ends in an error with a place, soon, in a small stack.
//!
//! The loader's own defences (links out of the folder, invalid UTF-8, sizes on disk) are tested where
//! it lives, in `runtime/cli`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use tilec_ir::verify_module;
use tilec_sema::{Loader, lower};
use tilec_vocab::render::{Style, render, to_json};
use tilec_vocab::{SourceFile, Sources};

/// What one text may take; a build with checks, on a machine with other work, gets more.
const TIME: Duration = Duration::from_secs(if cfg!(debug_assertions) { 4 } else { 1 });
const STACK_BYTES: usize = 512 << 10;
const HEAP_BYTES: isize = 256 << 20;

/// Counts what each thread has allocated, and the most it had at once. What one thread allocates
/// and another frees is counted wrongly; nothing here does.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    let held = HELD.get() + bytes;
    HELD.set(held);
    MOST.set(MOST.get().max(held));
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const HEAD: &str =
    "kernel k(x: &f32[N], y: &mut f32[N], z: i32)\ntune BN in [64]\ngrid n in N by BN {\n";

/// Imports that make up whatever is asked for: `wide` imports 400 files, `next1` the next of a chain.
struct Endless;

impl Loader for Endless {
    fn load(&self, name: &str) -> Result<Option<SourceFile>, String> {
        assert!(
            name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'),
            "`{name}` was asked for"
        );
        let text = if name == "wide" {
            (0..400).map(|n| format!("use leaf{n}::f{n};\n")).collect()
        } else if let Some(n) = name.strip_prefix("next").and_then(|n| n.parse::<u32>().ok()) {
            format!("use next{}::f;\nfn f(x) = x;\n", n + 1)
        } else if name == "big" {
            "fn f(x) = x; ".repeat(90_000)
        } else if name == "me" {
            "use me::f;\nfn f(x) = x;\n".to_string()
        } else {
            format!("fn f{}(x) = x;\n", name.trim_start_matches("leaf"))
        };
        Ok(Some(SourceFile { name: format!("{name}.tile"), text }))
    }
}

/// Lowers a text in a small stack and little time; the codes of its errors, in order.
fn codes(text: String) -> Vec<&'static str> {
    let work = move || {
        let start = Instant::now();
        let mut sources = Sources::default();
        let shown: String = text.chars().skip(text.chars().count() / 2).take(60).collect();
        let root = sources.add("hostile.tile", text);
        let (module, diagnostics) = lower(root, &mut sources, &Endless);
        for diagnostic in &diagnostics {
            for label in &diagnostic.labels {
                let file = sources.file(label.span.file);
                assert!(file.text.get(label.span.range()).is_some(), "{diagnostic:?}");
            }
        }
        if let Some(module) = &module
            && let Err(bug) = verify_module(module)
        {
            panic!("{shown}: {bug}");
        }
        let said: usize = diagnostics.iter().map(|d| to_json(d, &sources).len()).sum();
        let picture = render(&diagnostics, &sources, Style::Plain);
        assert!(said + picture.len() < 1 << 20, "{shown}: {} bytes of messages", picture.len());
        // Its layout, if it has one, takes no more stack than its tree.
        if sources.file(root).text.len() < 64 << 10 {
            let _ = tilec_syntax::format(&sources.file(root).text);
        }
        let took = start.elapsed();
        assert!(took < TIME, "{shown}: {took:?}");
        let most = MOST.get();
        assert!(most < HEAP_BYTES, "{shown}: {most} bytes");
        if std::env::var_os("TILEC_HOSTILE_TIMES").is_some() {
            println!("{took:>12.3?} {:>4} MiB {shown:?}", most >> 20);
        }
        let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error());
        errors.map(|diagnostic| diagnostic.code.name()).collect()
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    thread.spawn(work).expect("a thread").join().expect("no panic and no overflow")
}

fn body(text: &str) -> Vec<&'static str> {
    codes(format!("{HEAD}{text}\n}}\n"))
}

/// `text` with `{n}` replaced by 0, 1, 2, …
fn numbered(count: usize, text: &str) -> String {
    (0..count)
        .map(|n| text.replace("{n}", &n.to_string()).replace("{m}", &(n + 1).to_string()))
        .collect()
}

#[test]
fn deep_texts() {
    assert_eq!(body(&format!("y[n] = {}", "(".repeat(100_000))), ["E0501"]);
    assert_eq!(
        body(&format!("y[n] = {}x[n]{};", "(".repeat(10_000), ")".repeat(10_000))),
        ["E0501"]
    );
    assert_eq!(
        body(&format!("{} y[n] = 1.0; {}", "if z > 3 { ".repeat(10_000), "}".repeat(10_000))),
        ["E0501"]
    );
    assert_eq!(body(&format!("if z > 3 {{ }} {}", "else if z > 3 { }".repeat(10_000))), ["E0501"]);
    assert_eq!(
        body(&format!("{} y[n] = 1.0; {}", "for i in 0..z { ".repeat(10_000), "}".repeat(10_000))),
        ["E0501"]
    );
    assert_eq!(body(&format!("y[n] = {}1.0;", "-".repeat(100_000))), ["E0501"]);
    assert_eq!(body(&format!("let a = {}true;", "not ".repeat(100_000))), ["E0501"]);
    assert_eq!(body(&format!("let f = {}1.0;", "|a, b| ".repeat(10_000))), ["E0501"]);
    assert_eq!(body(&format!("y[n] = x[n]{};", " as f32".repeat(10_000))), ["E0501"]);
    assert_eq!(body(&format!("y[n] = {}n{};", "x[".repeat(10_000), "]".repeat(10_000))), ["E0501"]);
    assert_eq!(
        body(&format!("let t = {}1{};", "(".repeat(10_000), ",)".repeat(10_000))),
        ["E0501"]
    );
}

#[test]
fn as_deep_as_may_be() {
    let nested =
        |n: usize, open: &str, close: &str| format!("{}x[n]{}", open.repeat(n), close.repeat(n));
    let none: [&str; 0] = [];
    assert_eq!(body(&format!("y[n] = {};", nested(60, "(", ")"))), none);
    assert_eq!(body(&format!("y[n] = {};", nested(60, "exp(", ")"))), none);
    let ifs = format!("{} y[n] = x[n]; {}", "if z > 3 { ".repeat(28), "}".repeat(28));
    assert_eq!(body(&ifs), none);
    // The same depth again in each of thirty functions, each called by the next.
    let inner = nested(50, "exp(", ")").replace("x[n]", "f{n}(v)");
    let chain = numbered(30, &format!("fn f{{m}}(v) = {inner};\n"));
    let found = codes(format!("fn f0(v) = v;\n{chain}{HEAD}y[n] = f30(x[n]);\n}}\n"));
    assert_eq!(found, ["E0604"]);
}

#[test]
fn long_texts() {
    let none: [&str; 0] = [];
    assert_eq!(body(&format!("y[n] = x[n]{};", " + 1.0".repeat(30_000))), none);
    assert_eq!(body(&format!("y[n] = x[n]{};", " + x[n]".repeat(100_000))), ["E0603"]);
    assert_eq!(body(&format!("y[n] = 1{};", " + 1".repeat(100_000))), none);
    assert_eq!(codes(format!("const A = 1{};", " + 1".repeat(100_000))), ["E0603"]);
    assert_eq!(body(&format!("y[n] = max(x[n]{});", ", 1.0".repeat(100_000))), ["E0215"]);
    assert_eq!(body(&format!("let t = (1{}); y[n] = x[n];", ", 1".repeat(100_000))), none);
    let requires = format!(
        "kernel k(x: &f32[N], y: &mut f32[N])\nrequire N{} > 0\ngrid n in N by 64 {{ y[n] = x[n]; }}",
        " + 1".repeat(10_000)
    );
    assert_eq!(codes(requires), ["E0608"]);
    assert!(!body(&numbered(20_000, "let a{n} = x[n] + b{n};\n")).is_empty());
    assert_eq!(body(&(numbered(2_000, "let a{n} = x[n];\n") + "y[n] = a0 + a1999;")), none);
    assert_eq!(body(&(numbered(20_000, "let a{n} = x[n];\n") + "y[n] = a0 + a19999;")), ["E0603"]);
    assert!(
        !body(
            &(numbered(5_000, "var a{n} = 0.0;\n")
                + "for i in 0..z {\n"
                + &numbered(5_000, "a{n} = 1.0;\n")
                + "}")
        )
        .is_empty()
    );
    assert!(!body(&"if z > 3 { return; }\n".repeat(10_000)).is_empty());
    assert!(
        !body(&"if z > 3 { y[n] = 1.0; } else { if z > 4 { return; } }\n".repeat(10_000))
            .is_empty()
    );
}

#[test]
fn texts_that_grow() {
    let none: [&str; 0] = [];
    // Each function calls the one before twice: 2^40 copies.
    let doubling = numbered(40, "fn f{m}(v) = f{n}(v) + f{n}(v);\n");
    assert_eq!(codes(format!("fn f0(v) = v;\n{doubling}{HEAD}y[n] = f40(x[n]);\n}}\n")), ["E0604"]);
    let doubling = numbered(25, "fn f{m}(v) = f{n}(v) + f{n}(v);\n");
    assert_eq!(codes(format!("fn f0(v) = v;\n{doubling}{HEAD}y[n] = f25(x[n]);\n}}\n")), ["E0603"]);
    // Nothing is emitted, and yet it takes time.
    let silent = numbered(25, "fn f{m}(v) = (f{n}(v), f{n}(v));\n");
    assert_eq!(
        codes(format!("fn f0(v) = v;\n{silent}{HEAD}let t = f25(1); y[n] = 1.0;\n}}\n")),
        ["E0603"]
    );
    let constants = numbered(40, "const A{m} = A{n} + A{n};\n");
    assert_eq!(codes(format!("const A0 = 1;\n{constants}")), none);
    let many = numbered(30_000, "const B{n} = A20 + A20;\n");
    let constants = numbered(20, "const A{m} = A{n} + A{n};\n");
    assert_eq!(codes(format!("const A0 = 1;\n{constants}{many}")), none);
    assert_eq!(body("let f = |g, v| g(g, v); y[n] = f(f, x[n]);"), ["E0604"]);
    assert_eq!(
        body("let f = |g, v| (g(g, v), g(g, v)); let a = f(f, x[n]); y[n] = 1.0;"),
        ["E0604"]
    );
    let knobs = numbered(30, "fn f{n}(v) tune K{n} in [1, 2] = v * K{n};\n");
    let calls = numbered(30, " + f{n}(x[n])");
    assert_eq!(codes(format!("{knobs}{HEAD}y[n] = 0.0{calls};\n}}\n")), none);
}

#[test]
fn huge_tiles() {
    let tile = |n: &str| body(&format!("axis d in {n}; y[n] = x[n] + sum(d over d) as f32;"));
    assert_eq!(tile("2147483648"), ["E0414"]);
    assert_eq!(tile("9223372036854775807"), ["E0414"]);
    assert_eq!(tile("0"), ["E0414"]);
    assert_eq!(tile("-1"), ["E0414"]);
    assert_eq!(
        body("axis a in 32768; axis b in 65536; y[n] = sum(a * b over a, b) as f32;"),
        ["E0605"]
    );
    let axes = "axis a in 1048576; axis b in 1048576; axis c in 1048576; axis d in 1048576; ";
    let sum = "y[n] = sum(a * b * c * d over a, b, c, d) as f32;";
    assert_eq!(body(&format!("{axes}{sum}")), ["E0605"]);
    let many = numbered(100, "axis a{n} in 2; ") + "y[n] = 0.0" + &numbered(100, " + a{n}") + ";";
    assert!(!body(&many).is_empty());
    let rank = format!("kernel k(x: &f32[{}]) grid n in 3 {{ }}", "N, ".repeat(10_000));
    assert!(codes(rank).contains(&"E0608"));
    let params = format!("kernel k({}) grid n in 3 {{ }}", numbered(10_000, "a{n}: i32, "));
    assert!(codes(params).contains(&"E0608"));
    let choices = format!(
        "kernel k(y: &mut f32[N]) tune B in [{}] grid n in N by B {{ y[n] = 0.0; }}",
        numbered(50_000, "{m}, ")
    );
    assert!(codes(choices).contains(&"E0608"));
}

#[test]
fn circles() {
    assert_eq!(codes("fn f(x) = f(x);".into()), ["E0214"]);
    let ring = numbered(5_000, "fn f{n}(x) = f{m}(x);\n") + "fn f5000(x) = f0(x);";
    assert_eq!(codes(ring), ["E0214"]);
    let ring = numbered(5_000, "const A{n} = A{m};\n") + "const A5000 = A0;";
    assert!(codes(ring).iter().all(|code| ["E0214", "E0603"].contains(code)));
    assert!(codes("const A = A;".into()).contains(&"E0214"));
    assert!(codes("use me::f; fn g(x) = f(x);".into()).contains(&"E0206"));
    assert!(codes("use next1::f; fn g(x) = f(x);".into()).contains(&"E0208"));
    assert!(codes("use wide::g; fn h(x) = g(x);".into()).contains(&"E0208"));
    assert!(codes("use big::f; fn g(x) = f(x);".into()).contains(&"E0502"));
    let uses = numbered(20_000, "use leaf{n}::f{n};\n");
    assert!(codes(uses).contains(&"E0208"));
}

#[test]
fn imports_name_no_path() {
    for path in [
        "../secret",
        "../../secret",
        "/etc/passwd",
        "a/b",
        "..",
        "~",
        "C:\\secret",
        "\"secret\"",
        "a.b",
        "$HOME",
    ] {
        let found = codes(format!("use {path}::key;\nfn f(x) = x;\n"));
        assert!(
            !found.is_empty() && found.iter().all(|code| code.starts_with("E01")),
            "{path}: {found:?}"
        );
    }
}

#[test]
fn bytes_that_are_no_text() {
    let none: [&str; 0] = [];
    assert_eq!(codes(String::new()), none);
    assert_eq!(codes("\u{feff}fn f(x) = x;".into()).len(), 1);
    assert_eq!(codes("\0".repeat(1000)), ["E0101"]);
    assert_eq!(codes("fn f(x) = x\0;".into()), ["E0101"]);
    // What a lossy reading makes of invalid UTF-8.
    assert!(codes("fn f(x) = \u{fffd}x;".into()).contains(&"E0101"));
    assert_eq!(codes("\u{202e}fn f(x) = x;".into()), ["E0101"]);
    assert_eq!(codes(format!("const {} = 1;", "a".repeat(100_000))), ["E0104"]);
    assert_eq!(codes(format!("const A = {};", "9".repeat(100_000))), ["E0103"]);
    assert_eq!(codes(format!("const A = 1.{};", "9".repeat(100_000))), ["E0103"]);
    assert_eq!(codes("/* ".repeat(100_000)), ["E0102"]);
    assert_eq!(codes("// c\n".repeat(100_000)), none);
    assert_eq!(codes(" ".repeat(1 << 20)), none);
    assert_eq!(codes(" ".repeat((1 << 20) + 1)), ["E0502"]);
}

#[test]
fn a_mebibyte_of_junk() {
    let words = [
        "kernel", "fn", "(", ")", "{", "}", "[", "]", "x", "1", "|", ",", ";", "=", "if", "§",
        "\0", "over", "..", "use", "::",
    ];
    for seed in 0..6_u64 {
        let mut state = seed;
        let mut text = String::new();
        while text.len() < (1 << 20) - 8 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let some = &words[..words.len() - seed as usize * 3];
            text.push_str(some[(state >> 33) as usize % some.len()]);
            text.push(' ');
        }
        assert!(!codes(text).is_empty(), "seed {seed}");
    }
    for piece in [
        "fn f(x) { ",
        "kernel k(",
        "use a::",
        "let ",
        "| ",
        "x ( ",
        "} ",
        "= ",
        "§ ",
        "x = ; ",
        "fn f( = ; ",
        "const A = ; ",
    ] {
        assert!(!codes(piece.repeat((1 << 20) / piece.len())).is_empty(), "{piece}");
    }
    let unknown = (1 << 20) / 20;
    assert!(!codes(format!("fn f(x) {{ {} }}", numbered(unknown, "g{n}(y{n}); "))).is_empty());
}

/// Reads a text of tile IR, which who can write a cache can write too; whether it verifies.
fn reads(text: String) -> bool {
    let work = move || {
        let start = Instant::now();
        let sound = tilec_ir::parse(&text).is_ok_and(|module| verify_module(&module).is_ok());
        let took = start.elapsed();
        let shown: String = text.chars().skip(text.chars().count() / 2).take(60).collect();
        assert!(took < TIME, "{shown}: {took:?}");
        assert!(MOST.get() < HEAP_BYTES, "{shown}: {} bytes", MOST.get());
        sound
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    thread.spawn(work).expect("a thread").join().expect("no panic and no overflow")
}

#[test]
fn ir_texts() {
    let kernel =
        |body: &str| format!("kernel @k(z: i32)\n  grid n in 3\n{{\n{body}\n  yield\n}}\n");
    let head = "  %0: bool = const true\n  %1: i64 = const 1\n";
    assert!(reads(kernel(head)));
    assert!(reads(String::new()));
    let nested = |n: usize, open: &str, close: &str| {
        kernel(&format!("{head}{}{}", open.repeat(n), close.repeat(n)))
    };
    let arms = "yield } else { yield }\n";
    assert!(reads(nested(20, "if %0 {\n", arms)));
    assert!(!reads(nested(100_000, "if %0 {\n", arms)));
    assert!(!reads(nested(100_000, "if %0 {\n", "")));
    let require = |open: usize, close: usize| {
        format!(
            "kernel @k(z: i32)\n  require {}z{} > 0 \"z\"\n  grid n in 3\n{{\n  yield\n}}\n",
            "(".repeat(open),
            ")".repeat(close)
        )
    };
    assert!(!reads(require(100_000, 100_000)));
    assert!(!reads(require(100_000, 0)));
    let many = numbered(100_000, "  %a{n}: i64 = add %1, %1\n");
    assert!(!reads(kernel(&format!("{head}{many}"))));
    assert!(!reads(kernel(&format!("{head}  %2: i64 = add {}%1\n", "%1, ".repeat(200_000)))));
    assert!(!reads(kernel(&format!("{head}  %2: i64 = const {}\n", "9".repeat(100_000)))));
    assert!(!reads(kernel(&format!("{head}  axis d: 9223372036854775807 = %1 .. %1\n"))));
    assert!(!reads(format!("kernel @{}(", "k".repeat(1 << 20))));
    assert!(!reads("\0".repeat(1 << 20)));
    assert!(!reads("kernel @k".repeat(200_000)));
    assert!(!reads(" ".repeat((16 << 20) + 1)));
}
