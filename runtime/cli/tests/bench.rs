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

/// Every suite there is; the layers and models of one, which are large, by themselves.
#[test]
fn every_row_of_every_suite_has_a_status() {
    let folder = Folder::new();
    let suites = folder.run(&["bench", "--json"]).json();
    let suites = suites["suites"].as_array().expect("suites").clone();
    let names: Vec<&str> = suites.iter().filter_map(|suite| suite["name"].as_str()).collect();
    assert_eq!(names.iter().filter(|name| name.starts_with("seeds/")).count(), 5, "{names:?}");
    std::thread::scope(|scope| {
        for suite in &suites {
            let folder = &folder;
            scope.spawn(move || {
                let name = suite["name"].as_str().expect("a name");
                let ran = on_cpu(folder, &["bench", name, "--count", "--json", "-q"]);
                assert_eq!(ran.code, 0, "{ran:?}");
                let json = ran.json();
                assert_eq!(suite["rows"], rows(&json).len(), "{name}");
                if name.starts_with("seeds/") {
                    assert_eq!(json["reported_rows"], rows(&json).len(), "{name}");
                }
                rows(&json).iter().for_each(has_a_status);
            });
        }
    });
}

/// Nothing was launched.
fn has_a_status(row: &Value) {
    match row["status"].as_str() {
        Some("counted") => {
            assert!(row["bytes"].as_u64() > Some(0), "{row}");
            assert!(row["steps"].as_array().is_some_and(|steps| !steps.is_empty()), "{row}");
        }
        Some("unsupported" | "out-of-memory") => {
            assert!(row["reason"].as_str().is_some_and(|why| why.len() > 10), "{row}");
        }
        other => panic!("{other:?}: {row}"),
    }
}

/// Backward is five products where forward has two, whatever is computed again; a row's time is that of its steps.
#[test]
fn a_row_of_several_kernels_adds_up() {
    let folder = Folder::new();
    let args = ["bench", "seeds/cs336_triton", "--json", "--time", "20ms", "--rows"];
    let rows_wanted = "triton seq_len=128 d_model=16 f32 forward and backward";
    let json = on_cpu(&folder, &[&args[..], &[rows_wanted]].concat()).json();
    let row = &rows(&json)[0];
    assert_eq!(row["status"], "ok", "{row}");
    let steps = row["steps"].as_array().expect("steps");
    let names: Vec<&str> = steps.iter().filter_map(|step| step["kernel"].as_str()).collect();
    assert_eq!(names, ["causal", "delta", "causal_dkdv", "causal_dq"]);
    let pairs = 128 * 129 / 2;
    assert_eq!(row["flops_exact"], 4 * 16 * pairs * 7 / 2, "{row}");
    assert!(row["spec_cases"].as_u64() > Some(0), "{row}");
    let mean = |row: &Value| row["mean_ns"].as_f64().expect("a time");
    let launches = row["launches"].as_u64().expect("launches") as usize;
    // Means of as many launches add up; a step may have had more.
    let sum: f64 = steps.iter().map(mean).sum();
    assert!(launches >= 3 && mean(row) > 0.2 * sum && mean(row) < 5.0 * sum, "{row}");
}

#[test]
fn decode_reads_what_the_window_holds() {
    let folder = Folder::new();
    let args = ["bench", "seeds/a30_paged_decode", "--count", "--json", "--rows", "causal=1"];
    let json = on_cpu(&folder, &args).json();
    let row = &rows(&json)[0];
    // 4097 tokens, 8 heads of 128 in f16, keys and values; two products for each of 32 query heads.
    assert_eq!(row["bytes"], 4097 * 8 * 128 * 2 * 2, "{row}");
    assert_eq!(row["flops_exact"], 4 * 4097 * 32 * 128, "{row}");
}

#[test]
fn the_simulator_counts_rows() {
    let folder = Folder::new();
    let rows_wanted = "triton seq_len=128 d_model=16 f32 backward";
    let args = ["bench", "seeds/cs336_triton", "--device", "sim", "--rows", rows_wanted];
    let json = folder.run(&[&args[..], &["--json"]].concat()).json();
    let row = &rows(&json)[0];
    assert_eq!((&row["status"], &row["mean_ns"]), (&"counted".into(), &Value::Null), "{row}");
    assert_eq!((&json["gpu"], &json["device"]), (&"a100".into(), &"sim".into()));
    for step in row["steps"].as_array().expect("steps") {
        let counted = &step["simulated"];
        assert!(counted["warp_instructions"].as_u64() > Some(0), "{step}");
        assert!(counted["global_sectors"].as_u64() >= counted["global_ideal"].as_u64(), "{step}");
        assert!(step["expected"]["time_ns"].as_f64() > Some(0.0), "{step}");
    }
    let fraction = row["limits"]["fraction"].as_f64();
    assert!(fraction > Some(0.0) && fraction < Some(1.0), "{row}");
    let ran = folder.run(&args);
    assert!(ran.stdout.contains("warp instr") && ran.stdout.contains("model of a100"), "{ran:?}");
    assert!(ran.stdout.contains("% of "), "{ran:?}");
}

#[test]
fn a_gpu_has_times_by_its_own_clock() {
    let folder = Folder::new();
    let drivers = folder.path("driver");
    std::fs::create_dir_all(&drivers).expect("a folder");
    tilec_fakecuda::install(&drivers).expect("the library is built");
    assert_eq!(folder.run(&["new", "causal", "--from", "causal"]).code, 0);
    let shape = "B=1,H=1,G=1,M=64,N=64,D=16";
    let args = ["bench", "causal.tile", "--shape", shape, "--device", "cuda", "--time", "1ms"];
    let mut command = folder.command(&[&args[..], &["--json"]].concat());
    command.env("LD_LIBRARY_PATH", &drivers).env(tilec_fakecuda::LOG, folder.path("log"));
    let ran = Ran::new(&command.output().expect("tilec runs"));
    assert_eq!(ran.code, 0, "{ran:?}");
    let json = ran.json();
    let row = &rows(&json)[0];
    assert_eq!((&row["status"], &json["device"]), (&"ok".into(), &"cuda:0".into()), "{row}");
    let log = std::fs::read_to_string(folder.path("log")).expect("the driver's log");
    assert!(log.contains("cuEventElapsedTime"), "times are those of events: {log}");
    // The stand-in says that it is an A100, which would take longer for so many bytes than for so few operations.
    let limits = &row["limits"];
    assert_eq!(json["limits_of"], "NVIDIA A100 SXM 80 GB", "{json}");
    assert_eq!(limits["bound"], "memory", "{row}");
    let number = |value: &Value| value.as_f64().expect("a number");
    let bytes = number(&row["bytes"]);
    assert_eq!(number(&limits["limit_ns"]), bytes / 2039.0, "{row}");
    let fraction = bytes / 2039.0 / number(&row["mean_ns"]);
    // The same quotient by another way: but for the last bits.
    let off = number(&limits["fraction"]) / fraction - 1.0;
    assert!(off.abs() < 1e-12, "{row}");
}

/// A page that any parser of XML takes, that fetches nothing, and that has every row.
#[test]
fn a_page_stands_alone() {
    let folder = Folder::new();
    let rows_wanted = "seq_len=128 d_model=16";
    let page = folder.path("report.html");
    let page_text = page.to_str().expect("a path");
    let args = ["bench", "seeds/cs336_triton", "--time", "5ms", "--rows", rows_wanted, "--json"];
    let ran = on_cpu(&folder, &[&args[..], &["--html", page_text]].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    let html = std::fs::read_to_string(&page).expect("a page");
    assert_eq!(unclosed(&html), Vec::<String>::new());
    for far in ["http://", "https://", "url(", "<script", "<link", "@import"] {
        let known = ["http://www.w3.org/1999/xhtml", "http://www.w3.org/2000/svg"];
        let found = html
            .match_indices(far)
            .filter(|(at, _)| !known.iter().any(|name| html[*at..].starts_with(name)));
        assert_eq!(found.count(), 0, "{far}");
    }
    let json = ran.json();
    for row in rows(&json) {
        let name = row["row"].as_str().expect("a name");
        assert!(html.contains(&format!("<td class=\"name\">{name}</td>")), "{name}");
    }
    assert!(html.contains("<svg") && html.contains("prefers-color-scheme: dark"));
    assert!(html.contains("class=\"bar\"") && html.contains("6 rows: 6 ok"), "plots");
}

/// Elements that are not closed where they should be.
fn unclosed(html: &str) -> Vec<String> {
    let mut open: Vec<String> = Vec::new();
    let mut wrong = Vec::new();
    for tag in html.split('<').skip(1).filter(|tag| !tag.starts_with('!')) {
        let Some((inside, _)) = tag.split_once('>') else {
            wrong.push(tag.to_owned());
            continue;
        };
        let name: String =
            inside.trim_start_matches('/').chars().take_while(|c| c.is_alphanumeric()).collect();
        if inside.starts_with('/') {
            if open.pop().as_ref() != Some(&name) {
                wrong.push(inside.to_owned());
            }
        } else if !inside.ends_with('/') {
            open.push(name);
        }
    }
    wrong.extend(open);
    wrong
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
    assert_eq!(row["limits"], Value::Null, "of a CPU nothing is known: {row}");
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
