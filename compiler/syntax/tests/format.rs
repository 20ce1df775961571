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
