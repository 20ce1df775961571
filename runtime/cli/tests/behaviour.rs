//! What holds for every verb: exit codes, JSON twins, colours, closed pipes, files left alone.

mod support;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use support::{Folder, Ran};

const VERBS: [&str; 15] = [
    "new",
    "check",
    "fmt",
    "emit",
    "run",
    "verify",
    "tune",
    "bench",
    "cache",
    "explain",
    "devices",
    "doctor",
    "completions",
    "man",
    "help",
];

const ADD: [&str; 4] = ["run", "add.tile", "x=randn(5)", "y=randn(5)"];

/// Minutes of work for the interpreter.
const LONG: [&str; 4] = ["run", "matmul.tile", "a=zeros(2500,2500)", "b=zeros(2500,2500)"];

fn with_matmul() -> Folder {
    let folder = Folder::new();
    let ran = folder.run(&["new", "matmul", "--from", "matmul"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    folder
}

#[test]
fn every_verb_has_help_with_examples() {
    let folder = Folder::new();
    for verb in VERBS {
        if verb == "help" {
            continue;
        }
        let ran = folder.run(&[verb, "--help"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.stdout.contains("Examples:\n  tilec"), "{}", ran.stdout);
        assert!(ran.stdout.lines().all(|line| line.chars().count() <= 100), "{}", ran.stdout);
        let page = folder.run(&["man", verb]);
        assert!(page.code == 0 && page.stdout.contains(".TH"), "{page:?}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let ran = folder.run(&["completions", shell]);
        assert!(ran.code == 0 && VERBS.iter().all(|verb| ran.stdout.contains(verb)), "{ran:?}");
    }
}

#[test]
fn every_table_has_a_json_twin() {
    let folder = Folder::new();
    let table: [(&[&str], &str, &str); 13] = [
        (&["tune", "add.tile", "x=randn(5)", "y=randn(5)", "--json"], "tilec.tune/1", "candidates"),
        (&["bench", "--json"], "tilec.suites/1", "suites"),
        (&["bench", "add.tile", "--shape", "N=5", "--json"], "tilec.bench/2", "rows"),
        (&["cache", "ls", "--json"], "tilec.cache.ls/1", "entries"),
        (&["cache", "verify", "--json"], "tilec.cache.verify/1", "bad"),
        (&["cache", "path", "--json"], "tilec.cache.path/1", "path"),
        (&["check", "add.tile", "--json"], "tilec.check/1", "files"),
        (&["run", "add.tile", "x=randn(5)", "y=randn(5)", "--json"], "tilec.run/1", "times_ns"),
        (&["verify", "add.tile", "--quick", "--json"], "tilec.verify/1", "rows"),
        (&["explain", "--json"], "tilec.codes/1", "codes"),
        (&["explain", "E0301", "--json"], "tilec.explain/1", "page"),
        (&["devices", "--json"], "tilec.devices/1", "devices"),
        (&["doctor", "--json"], "tilec.doctor/1", "checks"),
    ];
    for (args, schema, field) in table {
        let ran = folder.run(args);
        assert_eq!(ran.code, 0, "{ran:?}");
        let json = ran.json();
        assert_eq!(json["schema"], schema);
        assert!(!json[field].is_null(), "{json}");
    }
}

#[test]
fn a_verification_that_fails_has_its_place_in_json() {
    let ran = Folder::new().run(&["verify", "wrong.tile", "--dtype", "f32", "--json"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    let json = ran.json();
    assert_eq!(json["passed"], false);
    let row = &json["rows"][0];
    assert_eq!((&row["kernel"], &row["outputs"][0]["output"]), (&"window".into(), &"o".into()));
    assert_eq!(row["outputs"][0]["position"].as_array().map(Vec::len), Some(4));
    assert!(
        row["outputs"][0]["case"].as_str().is_some_and(|case| case.contains("window=")),
        "{row}"
    );
}

#[test]
fn repeated_runs_report_each_time() {
    let folder = Folder::new();
    let args = [&ADD[..], &["--repeat", "4", "--warmup", "2", "--json"]].concat();
    let json = folder.run(&args).json();
    let times = json["times_ns"].as_array().expect("times");
    assert_eq!(times.len(), 4);
    assert!(times.iter().all(|time| time.as_u64().is_some_and(|ns| ns > 0)), "{json}");
    assert_eq!(json["outputs"][0]["nans"], 0);
}

/// What an output held before counts in each round: adding to it twice is not what was asked.
#[test]
fn repeated_runs_start_from_the_same_contents() {
    let folder = Folder::new();
    folder.write(
        "count.tile",
        "kernel count(x: &f32[N], y: &mut f32[2]) tune BN in [16]\n\
         grid n in N by BN { y[n % 2] += x[n]; }\n",
    );
    let args = ["run", "count.tile", "x=ones(4)", "y=ones(2)", "--repeat", "5", "--json"];
    let json = folder.run(&args).json();
    assert_eq!(json["outputs"][0]["max"], 3.0, "{json}");
}

#[test]
fn errors_are_json_too() {
    let folder = Folder::new();
    let table: [(&[&str], i32, &str); 5] = [
        (&["check", "broken.tile"], 1, "source"),
        (&["run", "missing.tile"], 2, "usage"),
        (&["frobnicate"], 2, "usage"),
        (&["verify", "wrong.tile", "--quick"], 3, "verification"),
        (&["run", "add.tile", "--device", "cuda:7"], 4, "target"),
    ];
    for (args, code, kind) in table {
        let ran = folder.run(&[args, &["--error-format", "json"]].concat());
        assert_eq!(ran.code, code, "{ran:?}");
        let lines: Vec<serde_json::Value> = ran
            .stderr
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {ran:?}")))
            .collect();
        let last = lines.last().expect("a line");
        assert_eq!((&last["kind"], &last["exit"]), (&kind.into(), &code.into()));
    }
}

#[test]
fn out_of_time_ends_with_6_and_leaves_files_alone() {
    let folder = with_matmul();
    folder.write("c.npy", "what was there");
    let before = folder.list();
    let ran = folder.run(&[&LONG[..], &["-o", "c=c.npy", "--timeout", "1"]].concat());
    assert_eq!((ran.code, ran.stdout.as_str()), (6, ""), "{ran:?}");
    assert!(ran.stderr.contains("out of time after 1 s, in stage: run"), "{ran:?}");
    assert_eq!(fs::read_to_string(folder.path("c.npy")).ok().as_deref(), Some("what was there"));
    assert_eq!(folder.list(), before);

    let ran = folder.run(&["verify", "wrong.tile", "--cases", "100000", "--timeout", "0.3"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (6, ""), "{ran:?}");
}

/// LLVM aborts the process where it cannot go on; that is a bug of ours and says so.
#[cfg(unix)]
#[test]
fn a_crash_ends_with_5_and_says_what_to_do() {
    let folder = with_matmul();
    for signal in [libc::SIGABRT, libc::SIGSEGV] {
        let mut command = folder.command(&[&LONG[..], &["-v"]].concat());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("tilec");
        std::thread::sleep(Duration::from_millis(300));
        let process = i32::try_from(child.id()).expect("a process id");
        // SAFETY: the process is our child and has not been waited for.
        unsafe { libc::kill(process, signal) };
        let ran = Ran::new(&child.wait_with_output().expect("tilec ends"));
        assert_eq!((ran.code, ran.stdout.as_str()), (5, ""), "{ran:?}");
        assert!(ran.stderr.contains("compiler bug") && ran.stderr.contains("report it"), "{ran:?}");
    }
}

#[test]
fn a_run_that_fails_writes_nothing() {
    let folder = Folder::new();
    let before = folder.list();
    for bad in [
        &["y=randn(6)"][..],
        &["y=randn(5)", "--device", "cuda:99"],
        &["y=randn(5)", "-o", "z=no/z.npy"],
    ] {
        let ran = folder.run(&[&["run", "add.tile", "x=randn(5)", "-o", "z=z.npz"], bad].concat());
        assert!([2, 4].contains(&ran.code), "{ran:?}");
        assert_eq!(folder.list(), before, "{ran:?}");
    }
}

#[test]
fn outputs_come_back_as_they_went() {
    let folder = Folder::new();
    for file in ["z.npy", "z.npz:sum", "z.safetensors:sum"] {
        let output = format!("z={file}");
        let ran = folder.run(&[&ADD[..], &["-o", &output]].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        let ran = folder.run(&[&ADD[..], &["--expect", &output, "--tolerance", "0"]].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
    }
}

/// Machine code and interpreter agree, and the fault of the planted kernel shows on both.
#[test]
fn the_cpu_gives_what_the_interpreter_gives() {
    let folder = Folder::new();
    assert_eq!(folder.run(&["new", "causal"]).code, 0);
    let run = |device: &str, rest: &[&str]| {
        let args = ["run", "causal.tile", "q=randn(1,4,70,32)", "k=randn(1,2,70,32)"];
        let more = ["v=randn(1,2,70,32)", "scale=0.2", "--device", device];
        folder.run(&[&args, &more, rest].concat())
    };
    let ran = run("interp", &["-o", "o=o.npy", "-o", "lse=lse.npy"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = run("cpu", &["--expect", "o=o.npy", "--expect", "lse=lse.npy", "--threads", "1"]);
    assert_eq!(ran.code, 0, "{ran:?}");

    let args =
        ["verify", "wrong.tile", "--device", "cpu", "--device", "interp", "--quick", "--json"];
    let ran = folder.run(&args);
    assert_eq!(ran.code, 3, "{ran:?}");
    let json = ran.json();
    let rows = json["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 6, "three types on two devices");
    for row in rows {
        assert_eq!(
            (&row["passed"], &row["outputs"][0]["output"]),
            (&false.into(), &"o".into()),
            "{row}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_ends_it_quietly() {
    use std::os::unix::process::ExitStatusExt;
    const SIGPIPE: i32 = 13;
    let folder = Folder::new();
    for args in [&["fmt", "-"][..], &["emit", "-"], &["check", "-", "--json"]] {
        let mut command = folder.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("tilec starts");
        // It cannot write before it has its input.
        drop(child.stdout.take());
        let input = fs::read(folder.path("add.tile")).expect("a file");
        child.stdin.take().expect("a pipe").write_all(&input).expect("tilec reads");
        let output = child.wait_with_output().expect("tilec ends");
        assert_eq!(output.status.signal(), Some(SIGPIPE), "{args:?}: {output:?}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panic"), "{output:?}");
    }
}

#[test]
fn colours_come_when_asked_for() {
    let folder = Folder::new();
    let stderr = |args: &[&str], name: &str, value: &str| {
        let output = folder.command(args).env(name, value).output().expect("tilec runs");
        Ran::new(&output).stderr
    };
    let check = ["check", "broken.tile"];
    let always = ["check", "broken.tile", "--color", "always"];
    assert!(!stderr(&check, "UNUSED", "").contains('\x1b'), "no terminal, no colours");
    assert!(stderr(&always, "UNUSED", "").contains('\x1b'));
    assert!(stderr(&check, "CLICOLOR_FORCE", "1").contains('\x1b'));
    assert!(!stderr(&check, "NO_COLOR", "1").contains('\x1b'));
}

#[test]
fn quiet_leaves_results_and_errors() {
    let folder = Folder::new();
    let ran = folder.run(&["-q", "check", "add.tile"]);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""));
    let ran = folder.run(&["-q", "check", "broken.tile"]);
    assert!(ran.code == 1 && ran.stderr.contains("E0201"), "{ran:?}");
}

/// What `make demo` runs, with this build.
#[cfg(unix)]
#[test]
fn the_demo_ends_with_its_table() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels/demo/run");
    let run = || Command::new("sh").arg(&script).arg(env!("CARGO_BIN_EXE_tilec")).output();
    let ran = Ran::new(&run().expect("the demo runs"));
    assert_eq!(ran.code, 0, "{ran:?}");
    let rows: Vec<&str> = ran.stdout.lines().rev().take(8).collect();
    assert!(rows.iter().all(|row| row.ends_with("  ok")), "{rows:?}");
}
