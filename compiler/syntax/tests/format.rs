//! Formatting: the library is in its layout, comments stay, twice is once.

use tilec_syntax::{format, parse};
use tilec_vocab::FileId;

fn formatted(text: &str) -> String {
    format(text).unwrap_or_else(|errors| panic!("{errors:?}"))
}

#[test]
fn the_library_is_formatted() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels");
    for folder in ["attention", "smoke"] {
        for entry in std::fs::read_dir(root.join(folder)).expect("the library").flatten() {
            let text = std::fs::read_to_string(entry.path()).expect("text");
            assert_eq!(formatted(&text), text, "{}", entry.path().display());
        }
    }
}

#[test]
fn comments_stay() {
    let text = "\
// a file

use flash::attend; // trailing
/* before */
kernel k(
    x: &f32[N], // input
    // output
    y: &mut f32[N],
)
grid n in N by 64 { // opens
    // first
    let a = x[n]   // inside the statement
        + 1.0;
    if a > 0 { // then
        y[n] = a; /* after */ // both
    } else if b { y[n] = 0.0; } else {
        // nothing to do
    }
    // last
}
// end
";
    let once = formatted(text);
    assert_eq!(formatted(&once), once);
    for (n, comment) in text.match_indices("//").enumerate() {
        let _ = (n, comment);
    }
    let count = |text: &str| parse(FileId(0), text).0.comments.len();
    assert_eq!(count(&once), count(text), "{once}");
}

#[test]
fn long_things_break() {
    let text = "fn f(aaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, cccccccccccccccccccccccccccc) { let x = attend(aaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, cccccccccccccccccccccccccccc, mask = |m, n| n <= m); aaaaaaaaaaaaaaaaaaaaaaaa + bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb + cccccccccccccccccccccccccccc + aaaaaaaaaaaaaaaaaaaaaaaa }";
    let once = formatted(text);
    assert!(once.lines().all(|line| line.chars().count() <= 100), "{once}");
    assert_eq!(formatted(&once), once);
}

#[test]
fn a_broken_file_is_left_alone() {
    assert!(format("fn f(x) { let }").is_err());
}

/// What stands in a text is what stands in its layout, and laying that out again changes nothing.
fn keeps(text: &str) -> String {
    let once = formatted(text);
    assert_eq!(formatted(&once), once);
    let words = |text: &str| -> String {
        text.chars().filter(|c| !c.is_whitespace() && *c != ',').collect()
    };
    assert_eq!(words(&once), words(text), "{once}");
    once
}

#[test]
fn short_functions_keep_their_clauses() {
    let once = keeps("fn f(x) require N > 3 tune BN in [64] = x * 2.0;\nfn g(x) = x;\n");
    assert_eq!(once, "fn f(x)\nrequire N > 3\ntune BN in [64]\n= x * 2.0;\nfn g(x) = x;\n");
}

#[test]
fn odd_things_read_back() {
    keeps("fn f(c, x, n) = max(c = x over n);\n");
    keeps("fn f(c, x, n) = dot(c, x over n, precision = tf32);\n");
    keeps("fn f(x) {\n    let (a,) = x;\n    var b = 1;\n    (b,) = x;\n    a + b\n}\n");
}

#[test]
fn comments_stay_beside_their_clauses() {
    let text = "kernel k(x: &f32[N], y: &mut f32[N]) // what it takes\n// why\nrequire N > 0 // always\ntune BN in [64] /* one */\n// over\ngrid n in N by BN // last\n{\n    y[n] = x[n];\n}\n";
    let once = keeps(text);
    for line in [
        "// why\nrequire N > 0  // always\n",
        "tune BN in [64]  /* one */\n",
        "// over\ngrid n in N by BN  // last\n{\n",
    ] {
        assert!(once.contains(line), "{once}");
    }
    keeps("fn f(x /* a ) here */, y) // b\nrequire N > 3 /* d */ = x; // e\n");
    // A comment inside a clause moves before it.
    let once = formatted("fn f(x) require N > /* c */ 3 = x;\n");
    assert_eq!(once, "fn f(x)\n/* c */\nrequire N > 3\n= x;\n");
    assert_eq!(formatted(&once), once);
    keeps("fn f(/* nothing */) = 1;\nfn g( // nothing\n) { 1 }\n");
}

#[test]
fn a_file_as_large_as_may_be_is_formatted_in_little_time() {
    let full = |piece: &str| piece.repeat((1 << 20) / piece.len() - 4);
    let texts = [
        full("fn f(x) = x; // f\n"),
        full("/* a */\n"),
        full("fn f(x, /* x */ y) // f\nrequire N > 0 // r\n= x; /* b */ // c\n"),
        format!(
            "fn f(x, n) {{\n{}}}\n",
            full("    let a = exp(x[n] * 2.0) + max(a, 1.0); // and so on\n")
        ),
        format!("fn f(x) {{ {} }}\n", full("if x > 3 { return; } else if x > 4 { } ")),
        format!("fn f(x) {{ {} }}\n", full("axis d in D; ")),
        format!("fn f(x) = x{};\n", full(" + 1")),
        format!("fn f(x) = max(x{});\n", full(", 1.0")),
        format!("fn f(x) = max(x{});\n", full(", // one\n1.0")),
        format!("fn f(x{}) = x;\n", full(", // one\ny")),
        format!("fn f(x) tune K in [1{}] = x;\n", full(", /* two */ 2")),
    ];
    for text in texts {
        let start = std::time::Instant::now();
        let once = formatted(&text);
        let took = start.elapsed();
        assert!(took < std::time::Duration::from_secs(4), "{}…: {took:?}", &text[..40]);
        if once.len() <= tilec_syntax::MAX_SOURCE_BYTES {
            assert!(formatted(&once) == once, "{}…", &text[..40]);
        }
    }
}
