//! `tilec tune` and `tilec cache`, from the command line to the record and back.

mod support;

use std::fs;
use std::process::Command;

use support::{Folder, Ran};

/// Right only where BM is neither 64 nor 16: with 64 it is off, with 16 it never ends.
const FAULTY: &str = "\
kernel faulty(x: &f32[M], y: &mut f32[M])
tune BM in [32, 64, 16, 128]
grid m in M by BM {
    var t = 0.0;
    for i in 0..select(BM == 16, 1000000000000, 1) { t = t * 0.5 + 1.0; }
    y[m] = x[m] + select(BM == 64, 1.0, 0.0) + t;
}
spec faulty { axis m in M; y[m] = x[m] + 1.0; }
";

/// Off only beyond what a spec is checked at, and only with BM = 64.
const FAULTY_AT_SIZE: &str = "\
kernel large(x: &f32[M], y: &mut f32[M])
tune BM in [32, 64]
grid m in M by BM { y[m] = x[m] + select(BM == 64 and M > 5000, 1.0, 0.0); }
spec large { axis m in M; y[m] = x[m]; }
";

const NO_SPEC: &str = "\
kernel plain(x: &f32[M], y: &mut f32[M])
tune BM in [32, 64]
grid m in M by BM { y[m] = x[m] + select(BM == 64, 1.0, 0.0); }
";

fn on_cpu(folder: &Folder, args: &[&str]) -> Ran {
    let mut command: Command = folder.command(args);
    command.env("TILEC_DEVICE", "cpu");
    Ran::new(&command.output().expect("tilec runs"))
}

fn status(json: &serde_json::Value, n: usize) -> &str {
    json["candidates"][n]["status"].as_str().unwrap_or_default()
}

#[test]
fn wrong_and_hanging_candidates_never_win_and_the_rest_is_remembered() {
    let folder = Folder::new();
    folder.write("faulty.tile", FAULTY);
    let tune = ["tune", "faulty.tile", "x=randn(3000)", "--budget", "3s", "--limit", "3s"];
    let ran = on_cpu(&folder, &[&tune[..], &["--json"]].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    let json = ran.json();
    assert_eq!((&json["schema"], &json["from"]), (&"tilec.tune/1".into(), &"tuned".into()));
    assert_eq!([0, 1, 2, 3].map(|n| status(&json, n)), ["ok", "wrong", "hang", "ok"], "{json}");
    assert!(json["candidates"][0]["spec_cases"].as_u64() > Some(0), "{json}");
    assert_eq!(json["bucket"], "M=4096");
    let best = json["knobs"]["BM"].as_i64().expect("a knob");
    assert!([32, 128].contains(&best), "{json}");
    for field in ["kernel", "bucket", "types", "knobs", "time_ns", "code", "device", "date"] {
        assert!(!json["record"][field].is_null(), "{field}: {json}");
    }

    // From now on it is known: no candidate runs, and a run takes it.
    let again = on_cpu(&folder, &[&tune[..], &["--json"]].concat()).json();
    assert_eq!((&again["from"], &again["knobs"]), (&"record".into(), &json["knobs"]));
    assert_eq!(again["candidates"].as_array().map(Vec::len), Some(0));
    let run =
        |args: &[&str]| on_cpu(&folder, &[&["run", "faulty.tile", "-v", "--json"], args].concat());
    let ran = run(&["x=randn(2500)"]);
    let record = format!("knobs BM={best} from the tuning record of 20");
    assert!(ran.stderr.contains(&record), "{ran:?}");
    assert_eq!(ran.json()["specialisation"]["BM"], best.to_string());
    // Another bucket, or a knob that is given: no record.
    let ran = run(&["x=randn(100)"]);
    assert!(ran.stderr.contains("no tuning record for M=128"), "{ran:?}");
    let ran = run(&["x=randn(2500)", "--knob", "BM=64"]);
    assert!(!ran.stderr.contains("tuning record"), "{ran:?}");
    assert_eq!(ran.json()["specialisation"]["BM"], "64");
}

#[test]
fn what_a_spec_cannot_see_the_default_does() {
    let folder = Folder::new();
    folder.write("large.tile", FAULTY_AT_SIZE);
    folder.write("plain.tile", NO_SPEC);
    for (file, size) in [("large.tile", "x=randn(9000)"), ("plain.tile", "x=randn(90)")] {
        let ran = on_cpu(&folder, &["tune", file, size, "--budget", "3s", "--json"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let json = ran.json();
        assert_eq!([status(&json, 0), status(&json, 1)], ["ok", "wrong"], "{json}");
        let why = json["candidates"][1]["reason"].as_str().unwrap_or_default();
        assert!(why.contains("`y` differs from the default's at ["), "{why}");
    }
}

#[test]
fn all_candidates_wrong_is_a_failure_and_nothing_is_stored() {
    let folder = Folder::new();
    folder.write("bad.tile", FAULTY.replace("x[m] + 1.0;", "x[m] + 2.0;"));
    let tune = ["tune", "bad.tile", "x=randn(30)", "--budget", "1s", "--limit", "3s"];
    let ran = on_cpu(&folder, &[&tune[..], &["--knob", "BM=32"]].concat());
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stdout.contains("is off its spec by"), "{ran:?}");
    assert!(ran.stderr.contains("no candidate is right"), "{ran:?}");
    assert_eq!(folder.run(&["cache", "ls", "--json"]).json()["entries"], serde_json::json!([]));
}

#[test]
fn an_optimum_that_changed_is_reported() {
    let folder = Folder::new();
    folder.write("large.tile", FAULTY_AT_SIZE);
    let tune = ["tune", "large.tile", "x=randn(9000)", "--budget", "1s"];
    assert_eq!(on_cpu(&folder, &tune).code, 0);
    // As if 64 had won before.
    let path = folder.run(&["cache", "path"]).stdout;
    let cache = tilec_cache::Cache::open(path.trim()).expect("the cache");
    let plant = || {
        let listed = cache.list().expect("a list");
        let record = |key: &tilec_cache::Key| key.kind == tilec_cache::Kind::Record;
        let found = listed.into_iter().filter_map(|entry| entry.content.ok());
        let (key, payload) = found.into_iter().find(|(key, _)| record(key)).expect("a record");
        let mut json: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
        json["knobs"]["BM"] = 64.into();
        cache.put(&key, json.to_string().as_bytes()).expect("stored");
    };
    plant();
    let ran = on_cpu(&folder, &[&tune[..], &["--again"]].concat());
    assert!(ran.stdout.contains("the optimum changed: it was BM=64 on 20"), "{ran:?}");
    plant();
    let json = on_cpu(&folder, &[&tune[..], &["--again", "--json"]].concat()).json();
    assert_eq!((&json["knobs"]["BM"], &json["replaced"]["BM"]), (&32.into(), &64.into()), "{json}");
    let json = on_cpu(&folder, &[&tune[..], &["--again", "--json"]].concat()).json();
    assert_eq!(json["replaced"], serde_json::Value::Null, "{json}");
}

#[test]
fn pinned_times_nothing() {
    let folder = Folder::new();
    folder.write("faulty.tile", FAULTY);
    let json = on_cpu(&folder, &["tune", "faulty.tile", "x=randn(9)", "--pinned", "--json"]).json();
    assert_eq!((&json["from"], &json["knobs"]["BM"]), (&"default".into(), &32.into()));
    assert_eq!(json["candidates"], serde_json::json!([]));
}

#[test]
fn devices_that_are_not_here_are_named_with_what_is_missing() {
    let folder = Folder::new();
    folder.write("faulty.tile", FAULTY);
    let ran = folder.run(&["tune", "faulty.tile", "x=randn(9)", "--device", "cuda"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{ran:?}");
    assert!(ran.stderr.contains("device cuda"), "{ran:?}");
    let ran = folder.run(&["tune", "faulty.tile", "x=randn(9)", "--knob", "BM=33"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("it is one of 32, 64, 16, 128"), "{ran:?}");
}

#[test]
fn a_damaged_record_is_a_warning_and_costs_only_speed() {
    let folder = Folder::new();
    folder.write("plain.tile", NO_SPEC.replace("select(BM == 64, 1.0, 0.0)", "0.0"));
    let tune = ["tune", "plain.tile", "x=randn(90)", "--budget", "300ms"];
    assert_eq!(on_cpu(&folder, &tune).code, 0);
    let listed = folder.run(&["cache", "ls", "--json"]).json();
    assert_eq!(listed["entries"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed["entries"][0]["record"]["kernel"], "plain");
    let folder_path = folder.run(&["cache", "path"]).stdout;
    let path = std::path::Path::new(folder_path.trim());
    let path = path.join(listed["entries"][0]["file"].as_str().expect("a name"));
    assert_eq!(folder.run(&["cache", "verify"]).code, 0);

    let text = fs::read_to_string(&path).expect("an entry");
    fs::write(&path, text.replace("\"BM\": ", "\"BM\": 1")).expect("written");
    let ran = on_cpu(&folder, &["run", "plain.tile", "x=randn(90)", "-v"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("warning:") && ran.stderr.contains("checksum"), "{ran:?}");
    assert!(ran.stdout.contains("BM=32"), "{ran:?}");
    let ran = folder.run(&["cache", "verify"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stdout.contains("checksum"), "{ran:?}");
    let ran = folder.run(&["cache", "clear", "--only", "record", "--json"]);
    assert_eq!(ran.json()["removed"], 1, "{ran:?}");
    assert!(!path.exists());
}

/// The model ranks what fits, names what does not, and a run takes its first.
#[test]
fn on_the_simulator_the_model_chooses_and_a_run_takes_its_choice() {
    let folder = Folder::new();
    let causal = concat!(env!("CARGO_MANIFEST_DIR"), "/../../kernels/attention/causal.tile");
    // The first choice of knobs asks for more shared memory than sm_80 has.
    let tensors = ["q", "k", "v"].map(|name| format!("{name}=randn(1,1,64,256):f32@1"));
    let [q, k, v] = tensors.each_ref().map(String::as_str);
    let call = [causal, "-k", "causal", q, k, v, "scale=0.1", "--device", "sim", "--json"];
    let tuned = folder.run(&[&["tune"], &call[..]].concat());
    assert_eq!(tuned.code, 0, "{tuned:?}");
    let json = tuned.json();
    assert_eq!(json["from"], "model");
    let rows = json["candidates"].as_array().cloned().unwrap_or_default();
    let times: Vec<f64> = rows.iter().filter_map(|row| row["time_ns"].as_f64()).collect();
    assert!(!times.is_empty() && times.is_sorted(), "{times:?}");
    let unfit: Vec<&serde_json::Value> =
        rows.iter().filter(|row| row["status"] == "unfit").collect();
    let lacks = |row: &&serde_json::Value| {
        row["reason"].as_str().is_some_and(|why| why.contains("bytes of shared memory"))
    };
    assert!(unfit.iter().any(lacks), "{json}");
    assert_eq!(folder.run(&["cache", "ls", "--json"]).json()["entries"], serde_json::json!([]));

    let ran = folder.run(&[&["run", "-v"], &call[..]].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("by the model of a100"), "{ran:?}");
    for (name, value) in json["knobs"].as_object().expect("knobs") {
        assert_eq!(ran.json()["specialisation"][name], value.to_string(), "{name}");
    }
}
