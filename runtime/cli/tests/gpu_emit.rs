//! `tilec emit` for GPUs: the same text from any folder, what is too large for a target, and NVIDIA's programs where they are
//! not.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{Folder, Ran};

/// Causal attention, in the folder of a test.
fn with_causal() -> Folder {
    let folder = Folder::new();
    let kernels = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels/attention");
    fs::create_dir(folder.path("inner")).expect("a folder");
    for place in ["causal.tile", "inner/causal.tile"] {
        fs::copy(kernels.join("causal.tile"), folder.path(place)).expect("a copy");
    }
    folder
}

const PTX: &[&str] = &["emit", "causal.tile", "--to", "ptx", "T=f16", "D=64"];

#[test]
fn ptx_is_the_same_from_every_folder() {
    let folder = with_causal();
    let here = folder.run(PTX);
    assert_eq!(here.code, 0, "{}", here.stderr);
    let there = folder.command(PTX).current_dir(folder.path("inner")).output().expect("tilec runs");
    assert!(here.stdout.contains("mma.sync"), "{}", here.stdout);
    assert!(here.stdout == String::from_utf8_lossy(&there.stdout), "the folder shows in the PTX");
}

#[test]
fn too_much_shared_memory_names_the_knobs_and_what_fits() {
    let folder = with_causal();
    let args = ["emit", "causal.tile", "--to", "ptx", "T=f32", "D=128", "--knob", "BM=128"];
    let more = ["--knob", "BN=128", "--knob", "stages=2", "--target", "sm_86"];
    let ran = folder.run(&[&args[..], &more].concat());
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("bytes of shared memory, a CTA of sm_86 has 101376: set "),
        "{}",
        ran.stderr
    );
    // What it says to set does fit.
    let (_, advice) = ran.stderr.split_once(": set ").expect("an advice");
    let first = advice.trim().split(" or ").next().expect("a knob");
    let changes: Vec<(&str, &str)> = first
        .split(" and ")
        .map(|change| {
            let (name, value) = change.split_once(" to ").expect("a knob and its value");
            (name, value.trim_start_matches("at most "))
        })
        .collect();
    let setting = |name: &str, usual: &str| {
        let changed = changes.iter().find(|(changed, _)| *changed == name);
        format!("{name}={}", changed.map_or(usual, |(_, value)| value))
    };
    let [bm, bn, stages] = [setting("BM", "128"), setting("BN", "128"), setting("stages", "2")];
    let args = ["emit", "causal.tile", "--to", "ptx", "T=f32", "D=128", "--target", "sm_86"];
    let more = ["--knob", &bm, "--knob", &bn, "--knob", &stages];
    let ran = folder.run(&[&args[..], &more].concat());
    assert_eq!(ran.code, 0, "{bm} {bn} {stages}: {}", ran.stderr);
}

#[test]
fn machine_code_needs_ptxas_and_says_how_to_get_it() {
    if Path::new("/usr/local/cuda/bin/ptxas").exists() {
        eprintln!("skipped: CUDA is where it is always looked for");
        return;
    }
    let folder = with_causal();
    // Far from the folder of the build, beside which `make tools` puts them.
    let far = folder.path("tilec");
    fs::copy(env!("CARGO_BIN_EXE_tilec"), &far).expect("a copy");
    let mut command = Command::new(far);
    command.current_dir(folder.path("inner")).args([
        "emit",
        "causal.tile",
        "--to",
        "sass",
        "T=f16",
        "D=64",
    ]);
    for name in ["PATH", "CUDA_HOME", "CUDA_PATH", "VIRTUAL_ENV"] {
        command.env_remove(name);
    }
    let ran = Ran::new(&command.output().expect("tilec runs"));
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("`ptxas` is not found") && ran.stderr.contains("make tools"),
        "{}",
        ran.stderr
    );
}
