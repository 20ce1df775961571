//! `tilec inspect --gpu`: the static sheet of a kernel for a GPU that is not here.

mod support;

use serde_json::Value;
use support::Folder;

fn library(path: &str) -> String {
    format!("{}/../../kernels/{path}", env!("CARGO_MANIFEST_DIR"))
}

fn sheet(file: &str, gpu: &str, shape: &str, more: &[&str]) -> Value {
    let path = library(file);
    let args = ["inspect", &path, "--gpu", gpu, "--shape", shape, "--json"];
    let ran = Folder::new().run(&[&args[..], more].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.json()["kernels"][0].clone()
}

const SHAPE: &str = "B=1,H=16,G=16,M=2048,N=2048,D=128";

#[test]
fn every_gpu_has_a_sheet_and_a_faster_one_a_shorter_time() {
    let times = ["a30", "a100", "h100", "h200"].map(|gpu| {
        let sheet = sheet("attention/causal.tile", gpu, SHAPE, &[])["gpu"].clone();
        assert_eq!(sheet["gpu"], gpu);
        for field in
            ["registers", "shared_bytes", "ctas_per_sm", "waves", "occupancy", "bytes_asked"]
        {
            assert!(sheet[field].as_f64().is_some_and(|n| n > 0.0), "{gpu} {field}: {sheet}");
        }
        let cited = sheet["constants"].as_array().cloned().unwrap_or_default();
        assert!(!cited.is_empty());
        assert!(cited.iter().all(|row| row["source"].as_str().is_some_and(|s| !s.is_empty())));
        sheet["time_ns"].as_f64().expect("a time")
    });
    assert!(times[0] > times[1] && times[1] > times[2] && times[2] >= times[3], "{times:?}");
}

/// The model follows the loops of GPU IR, `inspect` counts those of tile IR: both from the same masks, by different ways.
#[test]
fn the_model_runs_as_many_blocks_as_the_mask_pass_counts() {
    let knobs = ["--knob", "BM=64", "--knob", "BN=64"];
    let shapes = [
        ("attention/causal.tile", "B=2,H=3,G=3,M=1000,N=1000,D=64"),
        ("attention/full.tile", "B=1,H=2,G=2,M=640,N=333,D=64"),
        ("attention/window_left.tile", "B=1,H=2,G=2,M=1500,N=1500,D=64,window=200"),
    ];
    for (file, shape) in shapes {
        let report = sheet(file, "a100", shape, &knobs);
        let modelled = report["gpu"]["flops_executed"].as_f64().expect("a count");
        let counted = report["flops_executed"].as_f64().expect("a count");
        assert_eq!(modelled, counted, "{file}");
        assert_eq!(report["gpu"]["guessed"], false, "{file}");
    }
}

#[test]
fn longer_sequences_take_longer_and_bind_elsewhere() {
    let at = |m: u32| {
        let shape = format!("B=1,H=16,G=16,M={m},N={m},D=128");
        sheet("attention/causal.tile", "a100", &shape, &[])["gpu"].clone()
    };
    let (short, long) = (at(16), at(8192));
    assert!(long["time_ns"].as_f64() > short["time_ns"].as_f64().map(|ns| 50.0 * ns));
    assert_ne!(short["bound"], long["bound"]);
    let add = sheet("smoke/vector_add.tile", "a100", "N=100000000", &[])["gpu"].clone();
    assert_eq!(add["bound"], "memory", "{add}");
}

#[test]
fn names_and_limits_are_told() {
    let path = library("attention/causal.tile");
    let folder = Folder::new();
    let ran = folder.run(&["inspect", &path, "--gpu", "a1000"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("known are a30, a100, h100, h200"), "{ran:?}");
    let args =
        ["--gpu", "a100", "--dtype", "f32", "--shape", "D=256,M=512,N=512", "--knob", "stages=8"];
    let ran = folder.run(&[&["inspect", &path][..], &args].concat());
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.stderr.contains("bytes of shared memory, a CTA of sm_80 has 166912"), "{ran:?}");
}
