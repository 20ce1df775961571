//! The mutation score of a stored attention kernel, and its survivors:
//! `cargo run --release -p tilec-ptxsim --example mutate [every]`; `every` > 1 judges each n-th mutant only.

#[path = "../tests/support/attention.rs"]
mod attention;
#[path = "../tests/support/mutation.rs"]
mod mutation;

use std::collections::BTreeSet;
use std::time::Instant;

use tilec_ptxsim::mutate::{Score, mutants};

fn main() {
    let every = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(1);
    let text = mutation::KERNEL.text();
    let judge = mutation::Judge::new();
    let all = match mutants(&text) {
        Ok(all) => all,
        Err(e) => return eprintln!("{e}"),
    };
    let chosen = all.into_iter().step_by(every).collect();
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let start = Instant::now();
    let score = Score::of(&text, chosen, threads, |module| judge.verdict(module));
    println!("{score}in {:.0} s", start.elapsed().as_secs_f64());
    let explained = mutation::explained();
    let keys: BTreeSet<String> = score.survivors().map(|(m, _)| mutation::key(m)).collect();
    let known = keys.intersection(&explained).count();
    println!(
        "{known} survivors are listed with a reason in tests/attention/attn_f16_causal_d64.survivors; without one:"
    );
    keys.difference(&explained).for_each(|key| println!("  {key}"));
    if every == 1 {
        println!("listed, and caught:");
        explained.difference(&keys).for_each(|key| println!("  {key}"));
    }
}
