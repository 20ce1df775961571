//! Real attention kernels, as LLVM 22 prints them, end to end: right in every model and schedule, and without a finding.

#[path = "support/attention.rs"]
mod attention;

use attention::Attention;
use tilec_ptxsim::*;

const F16_CAUSAL: Attention =
    Attention { brain: false, causal: true, heads: 2, seq: 155, d: 64, gap: 64, q_scale: 1.0 };

/// bf16 or f16, causal or not, head dimension.
const KERNELS: [(bool, bool, usize); 5] = [
    (false, false, 64),
    (false, true, 64),
    (true, true, 64),
    (true, false, 128),
    (false, true, 128),
];

fn run(problem: &Attention, config: &Config) -> Outcome {
    let module = Module::parse(&problem.text()).unwrap();
    simulate(&module, &problem.launch(), config).unwrap()
}

#[track_caller]
fn expect_right(problem: &Attention, config: &Config) {
    let outcome = run(problem, config);
    let reports: String = outcome.findings.iter().map(|f| f.to_string()).collect();
    assert!(outcome.is_clean(), "{problem:?} {config:?}\n{reports}");
    if let Err(e) = problem.check(|name| outcome.bytes_of(name), &problem.reference()) {
        panic!("{problem:?} {config:?}: {e}");
    }
}

#[test]
fn every_stored_kernel_at_sequence_lengths_of_every_kind() {
    for seq in [1, 15, 64, 65, 97, 155] {
        for (brain, causal, d) in KERNELS {
            let problem = Attention { brain, causal, heads: 2, seq, d, gap: 0, q_scale: 1.0 };
            expect_right(&problem, &Config::default());
        }
    }
}

#[test]
fn every_conforming_machine() {
    let problem = Attention { heads: 1, seq: 97, ..F16_CAUSAL };
    for numerics in Numerics::all() {
        expect_right(&problem, &Config { numerics, ..Config::default() });
    }
}

#[test]
fn twenty_schedules_and_both_deliveries_give_the_same_bits() {
    for (brain, causal, d) in KERNELS {
        let problem = Attention { brain, causal, d, seq: 97, ..F16_CAUSAL };
        let expected = run(&problem, &Config::default());
        for schedule in Schedule::variety(20) {
            for delivery in [Delivery::Late, Delivery::Early] {
                let outcome = run(&problem, &Config { schedule, delivery, ..Config::default() });
                assert!(outcome.is_clean(), "{problem:?} {schedule:?} {delivery:?}");
                for name in ["o", "lse"] {
                    let same = outcome.bytes_of(name) == expected.bytes_of(name);
                    assert!(same, "{name} of {problem:?} {schedule:?} {delivery:?}");
                }
            }
        }
    }
}

#[test]
fn threads_do_not_change_anything() {
    let one = run(&F16_CAUSAL, &Config::default());
    let four = run(&F16_CAUSAL, &Config { threads: 4, ..Config::default() });
    assert!(four.is_clean());
    assert_eq!(one.bytes_of("o"), four.bytes_of("o"));
    assert_eq!(one.stats, four.stats);
}

#[test]
fn swizzled_tiles_have_no_bank_conflicts_and_the_counters_say_so() {
    let outcome = run(&F16_CAUSAL, &Config { counters: Counters::Full, ..Config::default() });
    let (actual, ideal) = outcome.stats.total("shared");
    assert!(actual > 0 && actual == ideal, "{actual} of {ideal}");
    let inner = outcome.stats.loops.iter().max_by_key(|l| l.executed).unwrap();
    assert_eq!(inner.depth, 1);
    let count =
        |name: &str| inner.opcodes.iter().find(|o| o.0.starts_with(name)).map_or(0, |o| o.1);
    // Two heads; query blocks of 64 see 1, 2 and 3 key blocks; four warps; 64 mma for each block and warp.
    assert_eq!(count("mma.sync"), 2 * (1 + 2 + 3) * 4 * 64);
}

/// Deletes the `n`th statement that starts with `opcode`.
fn without(text: &str, opcode: &str, n: usize) -> String {
    let at = text.match_indices(&format!("\t{opcode}")).nth(n).unwrap().0;
    let end = at + text[at..].find(';').unwrap() + 1;
    format!("{}{}", &text[..at], &text[end..])
}

#[test]
fn every_removed_barrier_wait_commit_and_copy_is_found_by_a_check() {
    let text = F16_CAUSAL.text();
    for opcode in ["bar.sync", "cp.async.wait_group", "cp.async.commit_group", "cp.async.cg"] {
        for n in 0..text.matches(&format!("\t{opcode}")).count() {
            let module = Module::parse(&without(&text, opcode, n)).unwrap();
            let outcome = simulate(&module, &F16_CAUSAL.launch(), &Config::default()).unwrap();
            assert!(!outcome.is_clean(), "{opcode} number {n} removed and nothing found");
        }
    }
}
