//! How much of what could go wrong the checks and the oracle notice, on a part of the mutants of the causal attention
//! kernel. The whole run is `cargo run --release -p tilec-ptxsim --example mutate`.

#[path = "support/attention.rs"]
mod attention;
#[path = "support/mutation.rs"]
mod mutation;

use tilec_ptxsim::mutate::{Kind, Score, Verdict, mutants};

#[test]
fn every_deleted_barrier_wait_commit_and_copy_is_found_by_a_check() {
    let (text, judge) = (mutation::KERNEL.text(), mutation::Judge::new());
    let deletions: Vec<_> =
        mutants(&text).unwrap().into_iter().filter(|m| m.kind == Kind::DeleteSync).collect();
    assert!(deletions.len() >= 25);
    let score = Score::of(&text, deletions, 2, |module| judge.verdict(module));
    for (mutant, verdict) in &score.results {
        assert!(
            matches!(verdict, Verdict::Found(_)),
            "ptx:{} `{}` deleted: {verdict:?}",
            mutant.line,
            mutant.from
        );
    }
}

#[test]
fn every_mutant_of_a_sample_is_caught_or_has_a_reason_not_to_be() {
    let (text, judge) = (mutation::KERNEL.text(), mutation::Judge::new());
    let all = mutants(&text).unwrap();
    assert!(all.len() > 2000, "{} mutants", all.len());
    let sample: Vec<_> = all.into_iter().skip(3).step_by(17).collect();
    let score = Score::of(&text, sample, 2, |module| judge.verdict(module));
    let explained = mutation::explained();
    let keys: Vec<String> = score.survivors().map(|(m, _)| mutation::key(m)).collect();
    let unexplained: Vec<&String> = keys.iter().filter(|k| !explained.contains(*k)).collect();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
    let (ran, caught) = score.caught();
    assert!(ran > 130 && caught * 100 >= ran * 90, "{score}");
}

/// The harness itself: what it makes of one instruction of each sort.
#[test]
fn mutants_of_single_instructions() {
    let made = |line: &str| -> Vec<String> {
        let text = format!(
            ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k()\n{{\n.reg .pred %p;\n.reg .b32 %a, %b, %c;\n.reg .b64 %s;\n{line};\nret;\n}}\n"
        );
        let all = mutants(&text).unwrap();
        all.iter()
            .for_each(|m| assert!(tilec_ptxsim::Module::parse(&m.apply(&text)).is_ok(), "{m:?}"));
        all.into_iter().map(|m| m.to).collect()
    };
    assert_eq!(
        made("add.s32 %a, %b, 7"),
        ["", "add.s32 %a, %b, 8", "add.s32 %a, %b, 6", "sub.s32 %a, %b, 7"]
    );
    assert_eq!(
        made("setp.lt.s32 %p, %a, %b"),
        ["", "setp.lt.s32 %p, %b, %a", "setp.le.s32 %p, %a, %b", "setp.ge.s32 %p, %a, %b"]
    );
    assert_eq!(made("@%p mov.b32 %a, %b"), ["", "@!%p mov.b32 %a, %b"]);
    assert_eq!(made("cp.async.wait_group 1"), ["", "cp.async.wait_group 2"]);
    assert_eq!(made("bar.sync 0"), [""]);
    assert_eq!(made("st.shared.b32 [%s+8], %a"), ["", "st.shared.b32 [%s+12], %a"]);
    assert_eq!(
        made("fma.rn.f32 %a, %b, %c, 0f3F800000"),
        ["", "fma.rn.f32 %a, %b, 0f3F800000, %c", "fma.rn.f32 %a, %b, %c, 0f3F000000"]
    );
    assert_eq!(
        made("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%a, %b}, [%s]"),
        [
            "",
            "ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%b, %a}, [%s]",
            "ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%a, %b}, [%s+16]",
            "ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%a, %b}, [%s]"
        ]
    );
}
