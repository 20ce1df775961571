//! `tilec bench`: a status for every row, exact operations, and times that make sense.

mod support;

use serde_json::Value;
use support::{Folder, Ran};

fn on_cpu(folder: &Folder, args: &[&str]) -> Ran {
    let mut command = folder.command(args);
    command.env("TILEC_DEVICE", "cpu");
    Ran::new(&command.output().expect("tilec runs"))
}

fn rows(json: &Value) -> &[Value] {
    json["rows"].as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn every_row_of_the_reports_has_a_status() {
    let folder = Folder::new();
    let suites = [
        ("seeds/a30_paged_decode", 2),
        ("seeds/fa2_sm80", 30),
        ("seeds/fp32_variants", 56),
        ("seeds/cs336_triton", 207),
        ("seeds/cs336_transformer", 178),
    ];
    for (suite, count) in suites {
        let ran = on_cpu(&folder, &["bench", suite, "--count", "--json", "-q"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let json = ran.json();
        assert_eq!(rows(&json).len(), count, "{suite}");
        for row in rows(&json) {
            match row["status"].as_str() {
                Some("counted") => assert!(row["tensor_bytes"].as_u64() > Some(0), "{row}"),
                Some("unsupported" | "out-of-memory") => {
                    assert!(row["reason"].as_str().is_some_and(|why| why.len() > 10), "{row}");
                }
                other => panic!("{other:?}: {row}"),
            }
        }
    }
}

/// The report's 98 TFLOP/s of 1024 x 4096 causal rows is 172: pairs are those that count.
#[test]
fn operations_are_those_of_pairs_that_count() {
    let folder = Folder::new();
    let rows_wanted = "causal=True bs=4 seqlen_q=1024 seqlen_kv=4096 kv_heads=32";
    let args = ["bench", "seeds/fa2_sm80", "--count", "--json", "--rows", rows_wanted];
    let json = on_cpu(&folder, &args).json();
    let row = &rows(&json)[0];
    let pairs: u64 = (0..1024).map(|m| m + 1 + 4096 - 1024).sum();
    let flops = 4 * 32 * 4 * 128 * pairs;
    assert_eq!(row["flops_exact"], flops, "{row}");
    let reported = row["reported_ms"].as_f64().expect("a figure");
    assert_eq!((flops as f64 / reported / 1e9).round(), 172.0);
}

#[test]
fn a_small_row_is_checked_and_timed() {
    let folder = Folder::new();
    assert_eq!(folder.run(&["new", "causal", "--from", "causal"]).code, 0);
    let small = "B=1,H=2,G=1,M=100,N=100,D=32";
    let huge = "B=1,H=2,G=1,M=17179869184,N=17179869184,D=32";
    let long = "B=16,H=32,G=32,M=4096,N=4096,D=32";
    let args = ["bench", "causal.tile", "--dtype", "f32", "--time", "20ms", "--limit", "300ms"];
    let shapes = ["--shape", small, "--shape", huge, "--shape", long, "--shape", "B=1,H=3,G=2"];
    let ran = on_cpu(&folder, &[&args[..], &shapes, &["--json"]].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    let json = ran.json();
    let status: Vec<&Value> = rows(&json).iter().map(|row| &row["status"]).collect();
    assert_eq!(status, ["ok", "out-of-memory", "skipped", "failed"], "{json}");
    let row = &rows(&json)[0];
    assert_eq!(row["flops_exact"], 4 * 2 * 32 * (100 * 101 / 2), "{row}");
    assert!(row["spec_cases"].as_u64() > Some(0) && row["launches"].as_u64() >= Some(3), "{row}");
    let time = |name: &str| row[name].as_f64().expect("a time");
    assert!(0.0 < time("p10_ns") && time("p10_ns") <= time("median_ns"), "{row}");
    assert!(time("median_ns") <= time("p90_ns"), "{row}");
    assert!(rows(&json)[2]["reason"].as_str().is_some_and(|why| why.contains("--limit")));
    assert!(rows(&json)[3]["reason"].as_str().is_some_and(|why| why.contains("--shape")));
}

#[test]
fn a_wrong_kernel_is_not_timed() {
    let folder = Folder::new();
    let args = ["bench", "wrong.tile", "--dtype", "f32", "--json", "--shape"];
    let shape = "B=1,H=1,G=1,M=64,N=64,D=16,window=8";
    let ran = on_cpu(&folder, &[&args[..], &[shape]].concat());
    assert_eq!(ran.code, 3, "{ran:?}");
    let json = ran.json();
    let row = &rows(&json)[0];
    assert_eq!((&row["status"], &row["mean_ns"]), (&"wrong".into(), &Value::Null), "{row}");
}

#[test]
fn what_is_missing_is_said() {
    let folder = Folder::new();
    let table: [(&[&str], i32, &str); 5] = [
        (&["bench", "seeds/fa2_sm80", "--device", "cuda"], 4, "device cuda:0 is not available"),
        (&["bench", "seeds/fa3"], 2, "there are seeds/a30_paged_decode, seeds/fa2_sm80"),
        (&["bench", "add.tile"], 2, "needs a shape: --shape N=…"),
        (&["bench", "seeds/fa2_sm80", "--rows", "nothing"], 2, "no row"),
        (&["bench", "add.tile", "--shape", "N=1,N=2"], 2, "`N` is given twice"),
    ];
    for (args, code, text) in table {
        let ran = folder.run(args);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.stderr.contains(text), "{ran:?}");
    }
    let ran = folder.run(&["bench"]);
    assert!(ran.code == 0 && ran.stdout.contains("seeds/cs336_triton"), "{ran:?}");
}
