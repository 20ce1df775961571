//! A sample of the mutants of the causal kernel as it is emitted: every deleted barrier, wait, commit and copy, and others
//! that change with the text of the kernel. The whole run is `cargo run -p tilec-tests --example mutants`.

#[path = "../examples/mutants/battery.rs"]
mod battery;
#[path = "../examples/mutants/evidence.rs"]
mod evidence;
#[path = "../examples/mutants/reasons.rs"]
mod reasons;

use battery::{Battery, Cases, NOTHING, SETTINGS};
use evidence::Evidence;
use tilec_ptxsim::Module;
use tilec_ptxsim::mutate::{Kind, Mutant, Score, Verdict, mutants};

/// Other mutants than deletions of synchronisation: one in so many.
const EVERY: usize = 60;

/// A number that another text of the kernel changes.
fn turn(text: &str) -> usize {
    text.bytes().fold(0, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(byte.into()))
}

#[test]
fn mutants_of_the_emitted_kernel_are_caught_or_equivalent() {
    let battery = Battery::new(SETTINGS[0]);
    let text = &battery.text;
    let original = Module::parse(text).expect("PTX");
    assert_eq!(battery.verdict(&original), Verdict::Survived { same_bits: true });
    assert!(battery.same_states(text, Cases::All, NOTHING));

    let all = mutants(text).expect("PTX");
    let (sync, others): (Vec<Mutant>, Vec<Mutant>) =
        all.into_iter().partition(|mutant| mutant.kind == Kind::DeleteSync);
    let others = others.into_iter().skip(turn(text) % EVERY).step_by(EVERY);
    let sample: Vec<Mutant> = sync.iter().cloned().chain(others).collect();
    assert!(sync.len() >= 25 && sample.len() >= 90, "{} and {}", sync.len(), sample.len());

    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let score = Score::of(text, sample, threads, |module| battery.verdict(module));
    let changes = battery.changes();
    let (mut unexplained, mut idle, mut silent) = (Vec::new(), 0, 0);
    for (mutant, _) in score.survivors() {
        let evidence = Evidence::of(&battery, &changes, mutant);
        let explained = match mutant.kind {
            Kind::DeleteSync => evidence == Evidence::SameStates,
            _ => reasons::reason(mutant, text, evidence).is_some(),
        };
        idle += usize::from(mutant.kind == Kind::DeleteSync);
        silent += usize::from(mutant.kind == Kind::DeleteSync && !explained);
        if !explained {
            let Mutant { kind, line, from, to, .. } = mutant;
            unexplained.push(format!("{kind:?} {line} {from} -> {to}: {}", evidence.name()));
        }
    }
    assert_eq!(silent, 0, "{unexplained:#?}");
    assert!(idle * 4 <= sync.len(), "{idle} of {} synchronise nothing", sync.len());
    let (ran, caught) = score.caught();
    assert!(ran >= 90 && caught * 4 >= ran * 3, "{score}");
    assert!(caught * 100 >= (caught + unexplained.len()) * 98, "{unexplained:#?}");
}
