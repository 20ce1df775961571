//! `return`, branches and loops: what a variable is worth afterwards.

use super::run;

/// The instructions of a program's first kernel, without what it needs from outside.
fn lines(text: &str) -> Vec<String> {
    let run = run(text);
    assert!(run.module.is_some(), "{}", run.messages());
    run.ir().lines().map(|line| line.trim().to_string()).collect()
}

fn count(lines: &[String], word: &str) -> usize {
    lines.iter().filter(|line| line.contains(word)).count()
}

#[test]
fn what_follows_a_return_runs_only_where_nothing_returned() {
    let head =
        "kernel k(x: &f32[N], y: &mut f32[N], z: i32)\ntune BN in [64]\ngrid n in N by BN {\n";
    let early = lines(&format!("{head} if z == 0 {{ return; }} y[n] = x[n]; }}"));
    let at = |word: &str| early.iter().position(|line| line.contains(word));
    assert!(at("store") > at("else") && at("else") > at("if "), "{early:#?}");
    // Where an arm may go on, a variable says whether it does.
    let maybe = lines(&format!(
        "{head} var a = 1.0; if z > 3 {{ a = 2.0; if z > 4 {{ return; }} }} y[n] = x[n] * a; }}"
    ));
    assert_eq!(count(&maybe, "if "), 3, "{maybe:#?}");
    assert_eq!(count(&maybe, "store"), 1, "{maybe:#?}");
}

#[test]
fn a_loop_carries_what_it_assigns_and_nothing_else() {
    let text = "kernel k(x: &f32[M, N], y: &mut f32[M], z: i32)\ntune BM in [64]\ngrid m in M by BM {\n\
        var a = fill(0.0, f32[m]); var b = 0; var c = 1.0;\n\
        for n in 0..z by BM { a = a + sum(x[m, n] over n); if z > 2 { b = b + 1; } let c = 3.0; a = a + c; }\n\
        c = c + 1.0; y[m] = a * b * c; }";
    let lines = lines(text);
    let header = lines.iter().find(|line| line.contains("for ")).expect("a loop");
    assert!(header.contains('a') && header.contains('b'), "{header}");
    let carried =
        lines.iter().filter(|line| line.starts_with("yield")).map(|line| line.matches('%').count());
    assert_eq!(carried.max(), Some(2), "{lines:#?}");
}
