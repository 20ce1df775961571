//! The whole matrix of `tests/src/matrix.rs`: progress while it runs, a table at its end. Arguments are words that a cell's
//! name must contain: `cargo run --release -p tilec-tests --example matrix -- causal tf32 D=256`.

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tilec_tests::gpu::modules;
use tilec_tests::matrix::{cells, complaints, lines, run_all, with_specs};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let modules = modules();
    let kernels = with_specs(modules.iter().map(|(_, module)| module));
    let mut cells = cells(&kernels);
    cells.retain(|cell| {
        let name = cell.name();
        words.iter().all(|word| name.split(' ').any(|part| part == word))
    });
    let (start, counted) = (Instant::now(), AtomicUsize::new(0));
    let done = run_all(&cells, &|cell, done| {
        let number = counted.fetch_add(1, Ordering::Relaxed) + 1;
        let result = match (&done.outcome, done.reduced) {
            (Err(what), _) => format!("FAILED: {what}"),
            (Ok(()), true) => format!("ok with {}", done.knobs),
            (Ok(()), false) => "ok".to_owned(),
        };
        let seconds = start.elapsed().as_secs();
        println!("[{number}/{} {seconds} s] {}: {result}", cells.len(), cell.name());
    });

    println!("\n{:28} {:9} cells     ok  reduced  knobs  stages", "kernel", "numbers");
    for ((kernel, numbers), line) in lines(&cells, &done) {
        let stages: Vec<String> = line.stages.iter().map(u32::to_string).collect();
        println!(
            "{kernel:28} {numbers:9} {:5} {:6} {:8} {:6}  {}",
            line.cells,
            line.passed,
            line.reduced,
            line.knobs,
            stages.join(" ")
        );
    }
    let complaints = complaints(&cells, &done);
    for complaint in &complaints {
        println!("\n{complaint}");
    }
    let (all, minutes) = (cells.len(), start.elapsed().as_secs_f64() / 60.0);
    println!("\n{} of {all} cells ok, {minutes:.1} minutes", all - complaints.len());
    if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
