//! The mutation score of the emitted causal attention kernel, and its survivors:
//! `cargo run -p tilec-tests --example mutants [every] [folder] [stages]`; `every` > 1 judges each n-th mutant only, the
//! PTX that the line numbers are of is written to the folder, and only the kernel with so many stages is taken.
//!
//! Fails if less than 98 % of the mutants not taken to be equivalent are caught, or if a deleted barrier, wait, commit or
//! copy is neither caught nor recorded to have had no effect.

mod battery;
mod evidence;
mod reasons;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use battery::{Battery, SETTINGS, Setting};
use evidence::Evidence;
use tilec_ptxsim::Changes;
use tilec_ptxsim::mutate::{Kind, Mutant, Score, mutants};

/// The heading of survivors without a reason.
const MISSED: &str = "without a reason";

/// Of the mutants that are not taken to be equivalent, in percent.
const TO_CATCH: f64 = 98.0;

/// Survivors by what is known of them.
type Groups = BTreeMap<(Evidence, &'static str), Vec<String>>;

fn main() -> ExitCode {
    let argument = |number| std::env::args().nth(number);
    let every = argument(1).and_then(|a| a.parse().ok()).unwrap_or(1);
    let stages: Option<u32> = argument(3).and_then(|a| a.parse().ok());
    let mut passed = true;
    for &setting in SETTINGS.iter().filter(|setting| stages.is_none_or(|n| n == setting.stages)) {
        let battery = Battery::new(setting);
        if let Some(folder) = argument(2) {
            write(&folder, setting, &battery.text);
        }
        passed &= judge(&battery, setting, every);
    }
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn write(folder: &str, setting: Setting, text: &str) {
    let file = format!("causal_m{}_stages{}.ptx", setting.bm, setting.stages);
    let file = std::path::Path::new(folder).join(file);
    std::fs::write(&file, text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
}

/// Judges each `every`-th mutant, prints the outcome and says whether it is good enough.
fn judge(battery: &Battery, setting: Setting, every: usize) -> bool {
    let (text, start) = (&battery.text, Instant::now());
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let chosen: Vec<Mutant> = mutants(text).expect("PTX").into_iter().step_by(every).collect();
    let is_sync = |mutant: &Mutant| mutant.kind == Kind::DeleteSync;
    let syncs = chosen.iter().filter(|mutant| is_sync(mutant)).count();
    let score = Score::of(text, chosen, threads, |module| battery.verdict(module));
    println!("{setting:?}: {} lines of PTX", text.lines().count());
    print!("{score}");
    let changes = battery.changes();
    let mut groups = Groups::new();
    let (mut idle, mut silent) = (0, 0);
    let survivors: Vec<(&Mutant, bool)> = score.survivors().collect();
    let known = all_evidence(battery, &changes, &survivors, threads);
    for (&(mutant, same), evidence) in survivors.iter().zip(known) {
        let why = reasons::reason(mutant, text, evidence).unwrap_or(MISSED);
        let to = if mutant.to.is_empty() { "deleted" } else { &mutant.to };
        let Mutant { kind, line, from, .. } = mutant;
        let bits = if same { "" } else { ", other bits" };
        let mut entry = format!("{kind:?} {line} {from} -> {to}{bits}");
        if is_sync(mutant) {
            let line = &changes.lines[line];
            entry +=
                &format!(", executed {} times, {} with an effect", line.executed, line.changed);
            match evidence {
                Evidence::SameStates => idle += 1,
                _ => silent += 1,
            }
        }
        groups.entry((evidence, why)).or_default().push(entry);
    }
    let (ran, caught) = score.caught();
    let enough = summary(ran, caught, &groups);
    println!(
        "of {syncs} deletions of a barrier, wait, commit or copy {} are caught, {idle} recorded to have no effect, {silent} missed",
        syncs - idle - silent
    );
    groups.iter().for_each(|((evidence, why), all)| {
        println!("{:>6}  {}: {why}", all.len(), evidence.name());
    });
    for ((evidence, why), mutants) in &groups {
        println!("{}: {why}", evidence.name());
        mutants.iter().for_each(|mutant| println!("    {mutant}"));
    }
    println!("in {:.0} s", start.elapsed().as_secs_f64());
    enough && silent == 0
}

/// What is known of each survivor, found by so many threads.
fn all_evidence(
    battery: &Battery,
    changes: &Changes,
    survivors: &[(&Mutant, bool)],
    threads: usize,
) -> Vec<Evidence> {
    let part = survivors.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let find = move |part: &[(&Mutant, bool)]| -> Vec<Evidence> {
            part.iter().map(|(mutant, _)| Evidence::of(battery, changes, mutant)).collect()
        };
        let parts: Vec<_> =
            survivors.chunks(part).map(|part| scope.spawn(move || find(part))).collect();
        parts.into_iter().flat_map(|part| part.join().expect("no panic")).collect()
    })
}

/// Whether it is the simulator that speaks for equivalence, on these problems.
fn is_recorded(evidence: Evidence) -> bool {
    match evidence {
        Evidence::SameStates | Evidence::SameElsewhere => true,
        Evidence::SameOutside | Evidence::PastTheRows => true,
        Evidence::NeverExecuted | Evidence::Masked => false,
    }
}

/// Prints the score, and whether it suffices.
fn summary(ran: usize, caught: usize, groups: &Groups) -> bool {
    let count = |counts: &dyn Fn(&(Evidence, &str)) -> bool| -> usize {
        groups.iter().filter(|(key, _)| counts(key)).map(|(_, mutants)| mutants.len()).sum()
    };
    let missed = count(&|key| key.1 == MISSED);
    let recorded = count(&|key| key.1 != MISSED && is_recorded(key.0));
    let percent = |of: usize| 100.0 * caught as f64 / of as f64;
    println!(
        "{recorded} are recorded to be equivalent, {} argued; of the other {}, {:.2} % are caught; if no argument held, {:.2} %",
        ran - caught - missed - recorded,
        caught + missed,
        percent(caught + missed),
        percent(ran - recorded)
    );
    percent(caught + missed) >= TO_CATCH
}
