//! Replays on a GPU what the simulator ran: `cargo run -p tilec-ptxsim --example replay`. It compares
//!
//! - every opcode file of the suite, bit for bit with what it expects, or within the file's bound;
//! - the attention kernels: each output with the oracle, and with the envelope of all numerics models.
//!
//! Without a GPU it says so and exits with status 2.

#[path = "../../tests/support/attention.rs"]
#[allow(dead_code)]
mod attention;
mod cuda;
#[path = "../../tests/support/suite.rs"]
#[allow(dead_code)]
mod suite;

use std::process::ExitCode;

use attention::Attention;
use cuda::Cuda;
use suite::Suite;
use tilec_ptxsim::*;

fn main() -> ExitCode {
    let (cuda, name) = match Cuda::open() {
        Ok(opened) => opened,
        Err(e) => {
            println!("nothing was replayed, there is no GPU here: {e}");
            return ExitCode::from(2);
        }
    };
    println!("replaying on {name}");
    let mut failed = 0;
    let mut report = |what: String, result: Result<String, String>| match result {
        Ok(note) => println!("ok    {what} {note}"),
        Err(e) => {
            failed += 1;
            println!("FAIL  {what}: {e}");
        }
    };
    for path in opcode_files() {
        report(
            path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            replay_file(&cuda, &path),
        );
    }
    for (brain, causal, d) in [
        (false, false, 64),
        (false, true, 64),
        (true, true, 64),
        (true, false, 128),
        (false, true, 128),
    ] {
        for seq in [64, 155, 257] {
            let problem = Attention { brain, causal, heads: 2, seq, d, gap: 64, q_scale: 1.0 };
            report(format!("{problem:?}"), replay_attention(&cuda, &problem));
        }
    }
    println!("{failed} differ");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn opcode_files() -> Vec<std::path::PathBuf> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/ops");
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let mut out: Vec<_> = entries.map(|e| e.path()).collect();
    out.sort();
    out
}

fn named<'a>(launch: &'a Launch, bytes: &'a [Vec<u8>]) -> impl Fn(&str) -> Option<Vec<u8>> + 'a {
    |name| launch.buffers.iter().position(|b| b.name == name).and_then(|i| bytes.get(i).cloned())
}

fn replay_file(cuda: &Cuda, path: &std::path::Path) -> Result<String, String> {
    let file = Suite::read(path);
    // A launch that the simulator refuses or faults must not reach a GPU.
    if !file.run(&Config::default())?.is_clean() {
        return Err("the simulator has findings".into());
    }
    let bytes = cuda.run(&file.text, &file.launch)?;
    file.compare(named(&file.launch, &bytes))?;
    file.compare_near(named(&file.launch, &bytes))?;
    Ok(String::new())
}

fn replay_attention(cuda: &Cuda, problem: &Attention) -> Result<String, String> {
    let text = problem.text();
    let launch = problem.launch();
    let module = Module::parse(&text).map_err(|e| e.to_string())?;
    let mut models = vec![];
    for numerics in Numerics::all() {
        let outcome = simulate(&module, &launch, &Config { numerics, ..Config::default() })
            .map_err(|e| e.to_string())?;
        if !outcome.is_clean() {
            return Err("the simulator has findings".into());
        }
        models.push(outcome.bytes_of("lse").unwrap_or_default());
    }
    let bytes = cuda.run(&text, &launch)?;
    let gpu = named(&launch, &bytes);
    let worst = problem.check(&gpu, &problem.reference())?;
    // The log-sum-exp is the f32 output: where does the GPU lie among the models?
    let lse = gpu("lse").ok_or("no output `lse`")?;
    let value = |b: &[u8], i: usize| f32::from_le_bytes([b[i], b[i + 1], b[i + 2], b[i + 3]]);
    let outside = (0..lse.len()).step_by(4).filter(|i| {
        let of_models = || models.iter().map(|m| value(m, *i));
        let (low, high) = (
            of_models().fold(f32::INFINITY, f32::min),
            of_models().fold(f32::NEG_INFINITY, f32::max),
        );
        !(low..=high).contains(&value(&lse, *i))
    });
    let count = outside.count();
    if count > 0 {
        return Err(format!(
            "{count} of {} log-sum-exps lie outside the envelope of the models",
            lse.len() / 4
        ));
    }
    Ok(format!("o within {worst:.2e} of the oracle, log-sum-exp within the models"))
}
