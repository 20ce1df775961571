//! Measures the simulator on an attention kernel: `cargo run --release -p tilec-ptxsim --example speed [f16|bf16] [seq] [heads] [d]`.

#[path = "../tests/support/attention.rs"]
#[allow(dead_code)]
mod attention;

use std::time::Instant;

use tilec_ptxsim::*;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let number =
        |i: usize, default: usize| args.get(i).and_then(|a| a.parse().ok()).unwrap_or(default);
    let brain = args.get(1).is_some_and(|a| a == "bf16");
    let (seq, heads, d) = (number(2, 1024), number(3, 4), number(4, 64));
    let causal = (brain, d) == (true, 64) || (brain, d) == (false, 128);
    let problem = attention::Attention { brain, causal, heads, seq, d, gap: 0, q_scale: 1.0 };
    let module = match Module::parse(&problem.text()) {
        Ok(module) => module,
        Err(e) => return eprintln!("{e}"),
    };
    let launch = problem.launch();
    for (checks, counters, threads) in [
        (Checks::Structure, Counters::Steps, 1),
        (Checks::All, Counters::Steps, 1),
        (Checks::All, Counters::Full, 1),
        (Checks::All, Counters::Steps, 2),
    ] {
        let config = Config { checks, counters, threads, ..Config::default() };
        let mut best = f64::INFINITY;
        let mut steps = 0;
        for _ in 0..5 {
            let start = Instant::now();
            match simulate(&module, &launch, &config) {
                Ok(outcome) if outcome.is_clean() => steps = outcome.stats.warp_instructions,
                Ok(outcome) => return outcome.findings.iter().for_each(|f| eprint!("{f}")),
                Err(e) => return eprintln!("{e}"),
            }
            best = best.min(start.elapsed().as_secs_f64());
        }
        println!(
            "{problem:?}: {checks:?} checks, {counters:?} counters, {threads} thread(s): {steps} warp instructions in {best:.3} s, {:.1} M/s, {:.0} ns each",
            steps as f64 / best / 1e6,
            best * 1e9 / steps as f64
        );
    }
}
