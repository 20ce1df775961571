//! `tilec` on devices that run PTX: the simulator, and CUDA on a driver without a GPU.

mod support;

use std::path::Path;
use std::process::Command;

use support::{Folder, Ran};
use tilec_host::{Arguments, Device, DeviceInfo, Tensor, launch};
use tilec_runtime::{Bundle, Choice, embed};
use tilec_sim::{Options, SimDevice};
use tilec_vocab::{DType, Payload};

const ADD: &[&str] =
    &["run", "add.tile", "x=arange(3000):f32", "y=ones(3000)", "--knob", "BN=256", "--json"];

/// `tilec` where the fake driver is found, and fails as `plan` says.
fn with_driver(folder: &Folder, args: &[&str], plan: &str) -> Ran {
    let mut command: Command = folder.command(args);
    let drivers = folder.path("driver");
    std::fs::create_dir_all(&drivers).expect("a folder");
    tilec_fakecuda::install(&drivers).expect("the library is built");
    command.env("LD_LIBRARY_PATH", drivers).env(tilec_fakecuda::PLAN, plan);
    Ran::new(&command.output().expect("tilec runs"))
}

fn on(device: &'static str) -> Vec<&'static str> {
    [ADD, &["--device", device]].concat()
}

/// Whether there is a driver on this machine, which the tests without one cannot hide.
fn has_driver() -> bool {
    tilec_cuda::count().is_ok()
}

#[test]
fn devices_of_the_driver_are_listed() {
    let folder = Folder::new();
    let json = with_driver(&folder, &["devices", "--json"], "capability 90").json();
    let cuda = json["devices"].as_array().expect("rows").iter().find(|row| row["name"] == "cuda:0");
    let cuda = cuda.expect("a row");
    assert_eq!((&cuda["available"], &cuda["units"]), (&true.into(), &108.into()));
    assert_eq!(cuda["features"], serde_json::json!(["sm_90", "CUDA 12.4"]));
    let json = with_driver(&folder, &["devices", "--json"], "devices 0").json();
    let cuda = json["devices"].as_array().expect("rows").iter().find(|row| row["name"] == "cuda:0");
    let cuda = cuda.expect("a row");
    assert_eq!((&cuda["available"], &cuda["units"]), (&false.into(), &0.into()));
    assert_eq!(cuda["about"], "the NVIDIA driver finds no GPU");
}

#[test]
fn without_a_driver_that_is_said() {
    if has_driver() {
        return;
    }
    let ran = Folder::new().run(&on("cuda"));
    assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{ran:?}");
    let wanted = "device cuda:0 is not available: no NVIDIA driver: libcuda.so.1 was not found; use --device cpu";
    assert!(ran.stderr.contains(wanted), "{ran:?}");
}

#[test]
fn doctor_adds_vectors_on_the_device() {
    let folder = Folder::new();
    let status = |plan| {
        let ran = with_driver(&folder, &["doctor", "--json"], plan);
        let json: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
        let checks = json["checks"].as_array().expect("checks").clone();
        let cuda = checks.into_iter().find(|check| check["name"] == "cuda:0").expect("a check");
        (ran.code, cuda["status"].clone(), cuda["detail"].as_str().unwrap_or_default().to_owned())
    };
    let (code, state, detail) = status("");
    assert_eq!((code, state), (0, "ok".into()), "{detail}");
    assert_eq!(detail, "Fake A100 (PTX simulator), 108 units, sm_80 CUDA 12.4");
    let (code, state, detail) = status("wrong cuLaunchKernel 1");
    assert_eq!((code, state), (5, "failed".into()), "{detail}");
    assert!(detail.contains("of vector_add is wrong"), "{detail}");
    let (code, state, detail) = status("fail cuStreamSynchronize 3 719");
    assert_eq!((code, state), (5, "failed".into()), "{detail}");
    assert!(detail.contains("unspecified launch failure"), "{detail}");
}

#[test]
fn all_devices_give_the_same() {
    let folder = Folder::new();
    let interp = folder.run(&on("interp")).json();
    let sim = folder.run(&on("sim")).json();
    let cuda = with_driver(&folder, &on("cuda"), "").json();
    assert_eq!(interp["outputs"][0]["max"], 3000.0);
    for other in [&sim, &cuda] {
        assert_eq!(interp["outputs"], other["outputs"]);
    }
    assert_eq!((&sim["device"], &cuda["device"]), (&"sim".into(), &"cuda:0".into()));
    assert!(sim.get("counts").is_none(), "nobody asked");
}

#[test]
fn a_failing_driver_is_named() {
    let folder = Folder::new();
    let ran = with_driver(&folder, &on("cuda"), "fail cuMemAlloc_v2 2 2; memory 24100");
    assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{ran:?}");
    let wanted = "argument `y` needs 12000 bytes of device memory; 12100 of 24100 are free";
    assert!(ran.stderr.contains(wanted), "{ran:?}");
    let ran = with_driver(&folder, &on("cuda"), "fail cuLaunchKernel 1 701");
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.stderr.contains("cuLaunchKernel failed: too many resources"), "{ran:?}");
    assert!(ran.stderr.contains("kernel `vector_add`: 12 CTAs of "), "{ran:?}");
}

#[test]
fn the_simulator_counts() {
    let folder = Folder::new();
    let counted = [on("sim"), vec!["--stats"]].concat();
    let counts = folder.run(&counted).json()["counts"].clone();
    let number = |name: &str| counts["global"][name].as_u64().expect("a count");
    let (actual, ideal) = (number("actual"), number("ideal"));
    // Two reads and a write of 3000 elements of 4 bytes: 375 sectors each, and a few for requests that end inside one.
    assert!((1125..1150).contains(&ideal) && (ideal..1250).contains(&actual), "{counts}");
    let loops = counts["loops"].as_array().expect("loops");
    let mixed: u64 = loops.iter().filter_map(|mix| mix["warp_instructions"].as_u64()).sum();
    let all = counts["warp_instructions"].as_u64().expect("a count");
    // A warp in which the guard holds for no lane takes a step and executes nothing.
    assert!(mixed <= all && mixed > all * 9 / 10, "{counts}");
    let text: Vec<&str> = counted.iter().copied().filter(|word| *word != "--json").collect();
    let ran = folder.run(&text);
    let line = format!("global sectors: {actual} (ideal {ideal})");
    assert!(ran.stdout.contains(&line), "{ran:?}");
    let ran = folder.run(&[on("interp"), vec!["--stats"]].concat());
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.stderr.contains("--stats counts what the simulator does; use --device sim"),
        "{ran:?}"
    );
}

#[test]
fn a_file_of_several_kernels_is_packed_whole() {
    let folder = Folder::new();
    folder.write(
        "two.tile",
        "kernel double<T: float>(x: &T[M], y: &mut T[M])\ntune BM in [64, 32]\n\
         grid m in M by BM { y[m] = x[m] + x[m]; }\n\
         kernel negate(x: &f32[M], y: &mut f32[M])\ngrid m in M by 64 { y[m] = 0.0 - x[m]; }\n",
    );
    let build = |words: &[&str]| {
        folder.run(&[&["build", "two.tile", "-o", "two.tilepack", "--json"], words].concat())
    };
    let ran = build(&["T=f16,f32", "BM=64"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let json = ran.json();
    let rows = json["rows"].as_array().expect("rows");
    let of = |row: &serde_json::Value| (row["kernel"].clone(), row["specialisation"].clone());
    let wanted = [("double", "T=f16 BM=64"), ("double", "T=f32 BM=64"), ("negate", "")];
    let wanted = wanted.map(|(kernel, settings)| (kernel.into(), settings.into()));
    assert_eq!(rows.iter().map(of).collect::<Vec<_>>(), wanted);
    let bundle = Bundle::read(&folder.path("two.tilepack")).expect("a bundle");
    assert_eq!(bundle.kernels(), ["double", "negate"]);
    assert_eq!(build(&["-k", "negate"]).json()["rows"].as_array().map(Vec::len), Some(1));
    let ran = build(&["T=f16", "BX=64"]);
    assert!(ran.code == 2 && ran.stderr.contains("no generic parameter `BX`"), "{ran:?}");
}

/// What was tuned on a GPU is built, and a launch there takes it.
#[test]
fn a_bundle_has_what_tuning_found() {
    let folder = Folder::new();
    let tune = ["tune", "add.tile", "x=arange(300):f32", "y=ones(300)", "--device", "cuda"];
    let tune = [&tune[..], &["--budget", "2s", "--limit", "60s", "--json"]].concat();
    let tuned = with_driver(&folder, &tune, "");
    assert_eq!(tuned.code, 0, "{tuned:?}");
    let record = tuned.json()["record"].clone();
    let build = |words: &[&str]| {
        let file = ["build", "add.tile", "-o", "add.tilepack", "--json"];
        folder.run(&[&file[..], words].concat()).json()["rows"].as_array().expect("rows").clone()
    };
    // Of sm_80, where it was tuned, one setting more; of other targets, types, and where a knob is given, none.
    let rows = build(&["T=f32,f16", "--target", "sm_80,sm_90"]);
    let tuned_for = |row: &serde_json::Value| row["tuned_for"].as_array().map_or(0, Vec::len);
    let found: Vec<_> = rows.iter().filter(|row| tuned_for(row) > 0).collect();
    assert_eq!((rows.len(), found.len()), (5, 1), "{rows:?}");
    assert_eq!(found[0]["target"], "sm_80");
    let is_set = |(name, value): (&String, &serde_json::Value)| {
        let specialisation = found[0]["specialisation"].as_str().unwrap_or_default();
        specialisation.split(' ').any(|word| word == format!("{name}={value}"))
    };
    assert!(record["knobs"].as_object().expect("knobs").iter().all(is_set), "{record} {found:?}");
    assert_eq!(
        found[0]["tuned_for"][0],
        format!("N=512 on {}", record["device"].as_str().expect("a name"))
    );

    let bundle = Bundle::read(&folder.path("add.tilepack")).expect("a bundle");
    let gpu = DeviceInfo {
        name: "cuda:0".to_owned(),
        model: "Fake A100 (PTX simulator)".to_owned(),
        units: 108,
        features: vec!["sm_80".to_owned(), "CUDA 12.4".to_owned()],
    };
    let because = |n: i64| {
        let x = Tensor::from_f64s(DType::F32, &[n], &vec![1.5; n as usize]).expect("a tensor");
        let mut args = Arguments::new();
        args.insert("x", &x);
        args.insert("y", &x);
        bundle.choose(None, &args, "sm_80", &gpu).expect("a setting").because
    };
    assert!(matches!(because(400), Choice::Record { other: None, .. }), "{:?}", because(400));
    assert!(matches!(because(600), Choice::Order { .. }), "{:?}", because(600));
    let rows = build(&["T=f32", "BN=256"]);
    assert_eq!((rows.len(), tuned_for(&rows[0])), (1, 0), "{rows:?}");
    assert!(Bundle::read(&folder.path("add.tilepack")).expect("a bundle").records.is_empty());
}

#[test]
fn what_is_built_runs_without_a_compiler() {
    let folder = Folder::new();
    let build = |words: &[&str]| folder.run(&[&["build", "add.tile"], words].concat());
    let words = ["T=f32,f16", "BN=256,1024", "--target", "sm_80,sm_90", "-o", "add.tilepack"];
    let report = build(&[&words[..], &["--json"]].concat()).json();
    assert_eq!(report["rows"].as_array().expect("rows").len(), 8);
    assert!(report["rows"].as_array().expect("rows").iter().all(|row| row["left_out"].is_null()));
    let bundle = Bundle::read(&folder.path("add.tilepack")).expect("a bundle");
    assert_eq!((bundle.kernels(), bundle.targets()), (vec!["vector_add"], vec!["sm_80", "sm_90"]));
    let x = Tensor::from_f64s(DType::F16, &[300], &[1.5; 300]).expect("a tensor");
    let mut args = Arguments::new();
    args.insert("x", &x);
    args.insert("y", x.flip(0).expect("a view"));
    let device = SimDevice::new(Options::default(), None);
    let fitting = bundle.fitting(None, &args, "sm_80", &device.info()).expect("two of f16");
    assert_eq!(fitting.len(), 2);
    for chosen in fitting {
        assert_eq!(chosen.artifact.specialisation.dtypes["T"], DType::F16);
        let kernel = device.load(chosen.artifact).expect("loads");
        launch(kernel.as_ref(), &chosen.launch).expect("runs");
        let (_, z, _) = chosen.launch.tensors().find(|(_, _, written)| *written).expect("z");
        assert_eq!(z.to_f64s().expect("values"), [3.0; 300]);
    }
    let error =
        bundle.choose(None, &args, "sm_75", &device.info()).map(drop).expect_err("no such target");
    let wanted = "the bundle has no `vector_add` for sm_75; it is for sm_80, sm_90";
    assert_eq!(error.to_string(), wanted);
    let before = folder.list();
    for (words, wanted) in [
        (&["T=f32", "-o", "no/add.tilepack"][..], "no/add.tilepack: "),
        (&["T=f32", "--target", "sm_70", "-o", "x.tilepack"], "there is no target `sm_70`"),
        (&["T=i32", "-o", "x.tilepack"], "`T` takes a float type, not `i32`"),
        (&["T=f32", "T=f16", "-o", "x.tilepack"], "`T` is given twice"),
    ] {
        let ran = build(words);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr.contains(wanted), "{ran:?}");
        assert_eq!(folder.list(), before);
    }
}

/// A `ptxas` of one's own, which says what the real one does and writes so many bytes of zeros behind a header.
#[cfg(unix)]
fn ptxas(folder: &Folder, script: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let bin = folder.path("bin");
    std::fs::create_dir_all(&bin).expect("a folder");
    std::fs::write(bin.join("ptxas"), format!("#!/bin/sh\n{script}\n")).expect("a script");
    std::fs::set_permissions(bin.join("ptxas"), PermissionsExt::from_mode(0o755)).expect("a mode");
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{}:{path}", bin.display())
}

#[cfg(unix)]
#[test]
fn cubins_are_packed_where_ptxas_is_found() {
    let folder = Folder::new();
    let build = |path: &str, more: &[&str]| {
        let words = ["build", "add.tile", "T=f32", "-o", "add.tilepack", "--json"];
        let mut command = folder.command(&[&words[..], more].concat());
        Ran::new(&command.env("PATH", path).output().expect("tilec runs"))
    };
    let cubins = || {
        let bundle = Bundle::read(&folder.path("add.tilepack")).expect("a bundle");
        let Payload::Ptx(variants) = &bundle.artifacts[0].payload else { panic!("no PTX") };
        variants.iter().flat_map(|code| &code.cubin).map(|cubin| cubin.0.len()).collect::<Vec<_>>()
    };
    // Called as `ptxas -v -arch=sm_80 kernel.ptx -o kernel.cubin`.
    let good = "printf '\\177ELF\\002\\001' > \"$5\"; head -c 94 /dev/zero >> \"$5\"; \
                echo 'ptxas info    : Used 16 registers' >&2";
    let path = ptxas(&folder, good);
    let json = build(&path, &[]).json();
    let all = cubins();
    assert!(!all.is_empty() && all.iter().all(|&bytes| bytes == 100), "{all:?}");
    assert_eq!(json["rows"][0]["cubin_bytes"], 100 * all.len());
    assert!(json["no_cubins"].is_null(), "{json}");
    build(&path, &["--cubin", "never"]).json();
    assert!(cubins().is_empty());
    let path = ptxas(&folder, "echo 'Unsupported .version 9.9' >&2; exit 255");
    let json = build(&path, &[]).json();
    assert_eq!(json["no_cubins"], "ptxas: Unsupported .version 9.9");
    assert!(cubins().is_empty());
    let ran = build(&path, &["--cubin", "always"]);
    assert!(ran.code != 0 && ran.stderr.contains("ptxas: Unsupported .version 9.9"), "{ran:?}");
}

#[test]
fn a_kernel_is_embedded_at_the_build_of_a_program() {
    let folder = Folder::new();
    let (tilec, file) = (Path::new(env!("CARGO_BIN_EXE_tilec")), folder.path("add.tile"));
    embed::build_into(&folder.path(""), tilec, &file, &["T=f16,f32"]).expect("code");
    let code = std::fs::read_to_string(folder.path("add.rs")).expect("a file");
    for wanted in
        ["pub struct VectorAdd<'a> {", "/// `&f16[N]` or `&f32[N]`\n    pub x: ", "T=f16 BN="]
    {
        assert!(code.contains(wanted), "{wanted} in\n{code}");
    }
    let error = embed::build_into(&folder.path(""), tilec, &file, &["T=i32"]);
    let error = error.expect_err("no such type").to_string();
    assert!(error.contains("`T` takes a float type, not `i32`"), "{error}");
}

/// On a GPU a record has `warps` and `stages` too, and holds for every GPU of that kind.
#[test]
fn tuning_on_a_gpu_sets_the_knobs_that_every_gpu_kernel_has() {
    let folder = Folder::new();
    let call = ["add.tile", "x=arange(3000):f32", "y=ones(3000)", "--device", "cuda", "--json"];
    let tuned = with_driver(&folder, &[&["tune", "--budget", "5s"], &call[..]].concat(), "");
    assert_eq!(tuned.code, 0, "{tuned:?}");
    let json = tuned.json();
    assert_eq!(json["from"], "tuned");
    let rows = json["candidates"].as_array().cloned().unwrap_or_default();
    assert_eq!(rows.len(), 12, "{json}");
    let ran = with_driver(&folder, &[&["run", "-v"], &call[..]].concat(), "");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("from the tuning record of 20"), "{ran:?}");
    for name in ["BN", "warps", "stages"] {
        let set = json["knobs"][name].as_i64().expect(name);
        assert_eq!(ran.json()["specialisation"][name], set.to_string(), "{name}");
    }
    // Nobody asked there, so the model chooses; what `--pinned` says is what a run takes.
    let call = ["add.tile", "x=ones(9)", "y=ones(9)", "--device", "cuda", "--json"];
    let ran = with_driver(&folder, &[&["run", "-v"], &call[..]].concat(), "");
    assert!(ran.stderr.contains("by the model of a100"), "{ran:?}");
    let pinned = with_driver(&folder, &[&["tune", "--pinned"], &call[..]].concat(), "").json();
    assert_eq!(pinned["from"], "model", "{pinned}");
    for (name, value) in pinned["knobs"].as_object().expect("knobs") {
        assert_eq!(ran.json()["specialisation"][name], value.to_string(), "{name}");
    }
}

/// Whatever a GPU does to a candidate is a row with a reason; none wins, and nothing is remembered.
#[test]
fn candidates_that_a_gpu_fails_are_rows_with_reasons() {
    let call = ["tune", "add.tile", "x=arange(300):f32", "y=ones(300)", "--device", "cuda"];
    let call = [&call[..], &["--knob", "BN=256", "--budget", "2s", "--limit", "3s"]].concat();
    let launch_failure = "unspecified launch failure";
    for (plan, status, why) in [
        ("fail cuLaunchKernel * 719", "launch", launch_failure),
        // Of the context nothing works any more.
        ("fail cuStreamSynchronize 2 719", "launch", launch_failure),
        ("fail cuModuleLoadDataEx * 209", "launch", "no kernel image"),
        ("wrong cuLaunchKernel *", "wrong", "is off its spec"),
        ("hang cuStreamSynchronize *", "hang", "no answer within 3"),
        ("clock zero", "nonsense", ""),
        ("clock nan", "launch", ""),
    ] {
        let folder = Folder::new();
        let ran = with_driver(&folder, &call, plan);
        assert_eq!(ran.code, 3, "{plan}: {ran:?}");
        let rows: Vec<&str> = ran.stdout.lines().filter(|line| line.contains("BN=256 ")).collect();
        assert!(!rows.is_empty(), "{plan}: {ran:?}");
        let is_one = |row: &&str| row.contains(&format!("  {status} ")) && row.contains(why);
        assert!(rows.iter().any(is_one), "{plan}: {ran:?}");
        assert!(rows.iter().all(|row| !row.contains("  ok")), "{plan}: {ran:?}");
        let records = folder.run(&["cache", "ls", "--json"]).stdout;
        assert!(!records.contains("tilec.tuning"), "{plan}: {records}");
    }
}
