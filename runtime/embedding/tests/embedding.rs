//! The program with a kernel inside: on the simulator, on a driver without a GPU, and as the docs show it.

use std::process::Command;

/// The program on a device, with the fake driver in reach.
fn run(device: &str, plan: &str) -> (bool, String, usize) {
    let folder = tempfile::tempdir().expect("a folder");
    tilec_fakecuda::install(folder.path()).expect("the library is built");
    let log = folder.path().join("log");
    let output = Command::new(env!("CARGO_BIN_EXE_tilec-embedding"))
        .arg(device)
        .env("LD_LIBRARY_PATH", folder.path())
        .env(tilec_fakecuda::PLAN, plan)
        .env(tilec_fakecuda::LOG, &log)
        .output()
        .expect("the program starts");
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    let log = std::fs::read_to_string(log).unwrap_or_default();
    let loads = log.lines().filter(|line| *line == "cuModuleLoadDataEx").count();
    (output.status.success(), text.concat(), loads)
}

#[test]
fn the_kernel_runs_where_the_program_does() {
    // The first row is -3, -2, … 3 over and over.
    let squares: i32 = (0..64).map(|i| (i % 7 - 3) * (i % 7 - 3)).sum();
    let first = -3.0 * 2.0 / f64::sqrt(f64::from(squares) / 64.0);
    for device in ["sim", "cuda"] {
        let (ended, text, loads) = run(device, "");
        assert!(ended, "{device}: {text}");
        let shown =
            text.split(['[', ',']).nth(1).and_then(|value| value.trim().parse::<f64>().ok());
        // A half is known to 2^-11 of itself.
        let error = (shown.expect("a number") - first).abs();
        assert!(error <= first.abs() / 1024.0, "{device}: {text}, wanted {first}");
        assert!(text.contains("rstd = [1.0000, 0.5000, 0.2500]"), "{device}: {text}");
        let wanted = if device == "sim" { 0 } else { 2 };
        assert_eq!(loads, wanted, "a kernel is loaded once for all its launches");
    }
}

#[test]
fn the_kernel_is_in_the_program_and_llvm_is_not() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_tilec-embedding")).expect("the program");
    let has = |text: &[u8]| program.windows(text.len()).any(|window| window == text);
    assert!(has(b"tilec-pack 1 sha256=") && has(b".visible .entry rms_norm"));
    assert!(!has(b"LLVMContextCreate") && !has(b"libLLVM"));
}

#[test]
fn what_is_wrong_is_said() {
    for (device, plan, wanted) in [
        ("cuda", "devices 0", "the NVIDIA driver finds no GPU"),
        ("cuda", "capability 75", "code is made for sm_80"),
        ("cpu", "", "there is no such device; known are cuda, cuda:N, sim"),
    ] {
        let (ended, text, _) = run(device, plan);
        assert!(!ended && text.contains(wanted), "{wanted} in\n{text}");
    }
}

#[test]
fn the_code_of_the_docs_is_that_of_the_program() {
    let docs = include_str!("../../../docs/embedding.md");
    let sources = [include_str!("../build.rs"), include_str!("../src/main.rs")].concat();
    let blocks: Vec<&str> =
        docs.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 3, "{} blocks", blocks.len());
    for block in blocks {
        assert!(sources.contains(block.trim()), "not in the program:\n{block}");
    }
}
