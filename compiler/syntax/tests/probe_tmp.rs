use tilec_syntax::{format, parse};
use tilec_vocab::FileId;
fn run(name: &str, text: String) {
    let start = std::time::Instant::now();
    let n = parse(FileId(0), &text).1.len();
    let first = parse(FileId(0), &text).1.first().map(|d| (d.code.name(), d.message.clone()));
    eprintln!("{name}: {n} {first:?} {:?}", start.elapsed() / 2);
    let start = std::time::Instant::now();
    let ok = format(&text).is_ok();
    eprintln!("   fmt {ok} {:?}", start.elapsed());
}
#[test]
fn probe() {
    let which = std::env::var("PROBE").unwrap_or_default();
    let cases: Vec<(&str, String)> = vec![
        ("bars", format!("const A = {}1;", "|a,b| ".repeat(20_000))),
        ("mismatch", format!("fn f(x) {{ {} {} }}", "if x { ) ; ".repeat(20_000), "}".repeat(20_000))),
        ("dropped", format!("fn f(x) {{ {} {} }}", "if x { + } ; ".repeat(20_000), "}".repeat(20_000))),
        ("dropped2", format!("fn f(x) {{ {} {} }}", "if x { { + ; ] } ; ".repeat(20_000), "}".repeat(20_000))),
        ("chaincmp", format!("const A = 1{};", " < 2".repeat(100_000))),
        ("clauses", "fn f(x) tune BM in [1, 2] require x > 1 = x;".into()),
        ("oneline", format!("fn f(x) {{ {} x }} // c", "g(x); ".repeat(60_000))),
        ("emptyblocks", format!("fn f(x) {{ {}\n{} x }}", "if x { } ".repeat(50_000), "//\n".repeat(50_000))),
        ("nots", format!("const A = {}1;", "not -".repeat(20_000))),
        ("else", format!("fn f(x) {{ if x {{ }} {} }}", "else if x { + ; } ".repeat(10_000))),
        ("kw", "if ".repeat(100_000)),
        ("fnbrace", "fn f(x) { if ( ".repeat(20_000)),
        ("bad", "§ ".repeat(100_000)),
        ("quest", "? ".repeat(100_000)),
    ];
    for (name, text) in cases {
        if which.is_empty() || name == which {
            run(name, text);
        }
    }
}
