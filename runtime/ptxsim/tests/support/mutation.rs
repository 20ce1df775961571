//! Judges mutants of the stored attention kernels: by the checks, by the oracle, and by the bits of the original.

use std::collections::BTreeSet;

use super::attention::{Attention, Reference};
use tilec_ptxsim::mutate::{Mutant, Verdict};
use tilec_ptxsim::*;

/// A problem with all that does not change from mutant to mutant.
pub struct Judge {
    cases: Vec<Case>,
}

struct Case {
    problem: Attention,
    launch: Launch,
    reference: Reference,
    /// Output bytes of the original.
    original: [Option<Vec<u8>>; 2],
}

/// Sequence lengths that end in every quarter of the first and of a later block of 64 rows, in both halves of a 16-row fragment, one past a block and
/// on its edge; and scores so far apart that the running maximum matters.
const CASES: &[(usize, f32)] = &[
    (155, 1.0),
    (155, 16.0),
    (1, 16.0),
    (27, 1.0),
    (42, 1.0),
    (55, 1.0),
    (65, 1.0),
    (64, 1.0),
    (170, 1.0),
    (183, 1.0),
    (72, 16.0),
];

/// The kernel that is broken.
pub const KERNEL: Attention =
    Attention { brain: false, causal: true, heads: 2, seq: 155, d: 64, gap: 64, q_scale: 1.0 };

/// A mutant that loops runs no longer than this; the originals stay far below.
const STEP_LIMIT: u64 = 1 << 15;

fn outputs(outcome: &Outcome) -> [Option<Vec<u8>>; 2] {
    [outcome.bytes_of("o"), outcome.bytes_of("lse")]
}

impl Judge {
    /// Runs the original on every case.
    pub fn new() -> Judge {
        let module = Module::parse(&KERNEL.text()).unwrap_or_else(|e| panic!("{e}"));
        let case = |(seq, q_scale): &(usize, f32)| {
            let problem = Attention { seq: *seq, q_scale: *q_scale, ..KERNEL };
            let launch = problem.launch();
            let outcome = simulate(&module, &launch, &config(Delivery::Late))
                .unwrap_or_else(|e| panic!("{e}"));
            assert!(outcome.is_clean(), "the original has findings: {:?}", outcome.findings);
            let reference = problem.reference();
            assert_eq!(problem.check(|name| outcome.bytes_of(name), &reference).err(), None);
            Case { original: outputs(&outcome), problem, launch, reference }
        };
        Judge { cases: CASES.iter().map(case).collect() }
    }

    /// Runs every case under both deliveries until something is noticed.
    pub fn verdict(&self, module: &Module) -> Verdict {
        let mut same_bits = true;
        for delivery in [Delivery::Late, Delivery::Early] {
            for case in &self.cases {
                let outcome = match simulate(module, &case.launch, &config(delivery)) {
                    Ok(outcome) => outcome,
                    Err(_) => return Verdict::Invalid,
                };
                let error = |f: &&Finding| f.code.effect() != Effect::Warning;
                if let Some(finding) = outcome.findings.iter().find(error) {
                    return Verdict::Found(finding.code);
                }
                if let Err(e) = case.problem.check(|name| outcome.bytes_of(name), &case.reference) {
                    return Verdict::Wrong(e);
                }
                same_bits &= outputs(&outcome) == case.original;
            }
        }
        Verdict::Survived { same_bits }
    }
}

fn config(delivery: Delivery) -> Config {
    Config { delivery, step_limit: STEP_LIMIT, max_findings: 1, ..Config::default() }
}

/// The survivors that have a reason, as `kind line instruction`.
pub fn explained() -> BTreeSet<String> {
    let text = include_str!("../attention/attn_f16_causal_d64.survivors");
    text.lines().filter(|l| !l.is_empty() && !l.starts_with("//")).map(str::to_string).collect()
}

/// A mutant as the list of survivors writes it.
pub fn key(m: &Mutant) -> String {
    format!("{:?} {} {}", m.kind, m.line, if m.to.is_empty() { "deleted" } else { &m.to })
}
