//! Bundles: what comes back of what was written, what is refused, and `tilec-run` on the simulator and on a driver without
//! a GPU.

#[path = "../../sim/tests/support/mod.rs"]
mod kernels;

use std::path::Path;
use std::process::Command;

use kernels::{add, code, sum};
use tilec_runtime::{Bundle, Choice, Fault, Session};
use tilec_vocab::{Artifact, Cubin, ParamKind, Payload, Record};

fn bundle(artifacts: Vec<Artifact>) -> Bundle {
    Bundle { tilec: "0.0.0".to_owned(), artifacts, records: Vec::new() }
}

#[test]
fn what_is_written_comes_back() {
    let written = bundle(vec![add(), sum()]);
    let bytes = written.encode().expect("bytes");
    assert_eq!(Bundle::decode(&bytes), Ok(written));
    assert_eq!(bytes, bundle(vec![add(), sum()]).encode().expect("bytes"), "the same again");
}

#[test]
fn damage_is_found() {
    let bytes = bundle(vec![add()]).encode().expect("bytes");
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(Bundle::decode(&damaged).is_err(), "byte {at}");
        assert!(Bundle::decode(&bytes[..at]).is_err(), "cut at {at}");
    }
    let newer = [b"tilec-pack 2 sha256=0\n", &bytes[..]].concat();
    assert_eq!(Bundle::decode(&newer), Err(Fault::Format("2".to_owned())));
    assert_eq!(Bundle::decode(b"\x7fELF\n"), Err(Fault::Other));
}

/// A change of an artifact.
type Change = fn(&mut Artifact);

#[test]
fn what_no_device_could_trust_is_refused() {
    let cases: [(Change, &str); 7] = [
        (|a| code(a).cubin = Some(Cubin(b"\x7fELF".to_vec())), "its cubin is not whole"),
        (|a| a.payload = Payload::TileIr(String::new()), "its code is tile IR"),
        (|a| a.payload = Payload::Ptx(Vec::new()), "it has no code"),
        (|a| code(a).assumes.clear(), "its code is for another number of parameters"),
        (|a| code(a).threads = 1025, "a CTA has 1 to 1024 threads"),
        (
            |a| {
                let mut other = code(a).clone();
                other.target = "sm_90".to_owned();
                let Payload::Ptx(variants) = &mut a.payload else { return };
                variants.push(other);
            },
            "its variants are for different targets",
        ),
        (
            |a| {
                if let ParamKind::Tensor { dims, .. } = &mut a.contract.params[0].kind {
                    dims[0] = "m".to_owned();
                }
            },
            "parameter `x` has a dimension `m` of no extent",
        ),
    ];
    for (change, wanted) in cases {
        let mut artifact = add();
        change(&mut artifact);
        let fault = bundle(vec![artifact]).encode().expect_err(wanted).to_string();
        assert!(fault.contains(&format!("kernel `add`: {wanted}")), "{fault}");
    }
}

/// `tilec-run` in a folder with a bundle and the fake driver.
fn run(args: &[&str], plan: &str) -> (i32, String) {
    let mut with_cubin = add();
    let cubin = tilec_fakecuda::cubin(&kernels::product());
    code(&mut with_cubin).cubin = Some(Cubin(cubin));
    let (two, cubin) = (bundle(vec![add(), sum()]), bundle(vec![with_cubin]));
    run_with(&[("two", two), ("cubin", cubin)], args, plan)
}

/// The same with one bundle, `it.tilepack`.
fn run_one(bundle: Bundle, args: &[&str]) -> (i32, String) {
    run_with(&[("it", bundle)], args, "")
}

fn run_with(bundles: &[(&str, Bundle)], args: &[&str], plan: &str) -> (i32, String) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bundle) in bundles {
        let bytes = bundle.encode().expect("bytes");
        std::fs::write(folder.path().join(name).with_extension("tilepack"), bytes).expect("a file");
    }
    tilec_fakecuda::install(folder.path()).expect("the library is built");
    let output = Command::new(env!("CARGO_BIN_EXE_tilec-run"))
        .current_dir(folder.path())
        .args(args)
        .env("LD_LIBRARY_PATH", folder.path())
        .env(tilec_fakecuda::PLAN, plan)
        .output()
        .expect("tilec-run starts");
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    (output.status.code().unwrap_or(-1), text.concat())
}

const ADD: &[&str] = &["two.tilepack", "-k", "add", "x=arange(300)", "y=ones(300)", "scale=2.0"];

#[test]
fn a_bundle_is_listed() {
    let (code, text) = run(&["two.tilepack"], "");
    assert_eq!(code, 0, "{text}");
    for wanted in ["packed by tilec 0.0.0", "add ", "    o: &mut f32[n]", "    scale: f32", "sum "]
    {
        assert!(text.contains(wanted), "{wanted} in\n{text}");
    }
}

#[test]
fn a_bundle_runs_on_every_device() {
    let (code, text) = run(&[ADD, &["--repeat", "5"]].concat(), "");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("sm_80  on cuda:0 (Fake A100 (PTX simulator))  median "), "{text}");
    assert!(text.contains("  o f32[300]  2.00000 3.00000 4.00000 5.00000 …"), "{text}");
    let (code, text) = run(&[ADD, &["--device", "sim", "-o", "o=o.npy"]].concat(), "devices 0");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("  o f32[300]  2.00000 3.00000 4.00000 5.00000 …"), "{text}");
}

#[test]
fn a_cubin_is_preferred_where_the_device_runs_it() {
    let args = [&["cubin.tilepack"], &ADD[1..]].concat();
    for (plan, source, values) in [
        ("", "from cubin\n", "2.00000 2.00000"),
        ("capability 89", "from cubin\n", "2.00000 2.00000"),
        (
            "capability 90",
            "from PTX: the cubin is for sm_80, and the device is an sm_90\n",
            "2.00000 3.00000",
        ),
        (
            "fail cuModuleLoadDataEx 1 209",
            "from PTX: the cubin was refused: cuModuleLoadDataEx failed: no kernel image",
            "2.00000 3.00000",
        ),
    ] {
        let (code, text) = run(&args, plan);
        assert_eq!(code, 0, "{text}");
        assert!(text.contains(source) && text.contains(values), "{plan}: {text}");
    }
    let (code, text) = run(ADD, "");
    assert!(code == 0 && text.contains("  from PTX\n"), "{text}");
}

const FAKE: &str = "cuda Fake A100 (PTX simulator) x108 sm_80 CUDA 12.4";

/// What tuning found for `add` at `n=512` on a device.
fn record(device: &str, knob: i64) -> Record {
    Record {
        schema: Record::SCHEMA.to_owned(),
        kernel: "add".to_owned(),
        bucket: "n=512".to_owned(),
        shape: [("n".to_owned(), 300)].into(),
        types: String::new(),
        consts: "D=8".to_owned(),
        knobs: [("BN".to_owned(), knob)].into(),
        time_ns: 1,
        default_ns: None,
        tried: 2,
        code: String::new(),
        device: device.to_owned(),
        compiler: "0.0.0".to_owned(),
        date: "yesterday".to_owned(),
    }
}

/// Two settings of `add`, of which the first leaves the addition out: to tell which was launched.
fn tuned(records: &[Record]) -> Bundle {
    let setting = |knob: i64| {
        let mut artifact = add();
        artifact.specialisation.ints = [("BN".to_owned(), knob), ("D".to_owned(), 8)].into();
        artifact
    };
    let (mut first, second) = (setting(64), setting(128));
    code(&mut first).text = kernels::product();
    Bundle { records: records.to_vec(), ..bundle(vec![first, second]) }
}

#[test]
fn a_launch_takes_the_setting_that_tuning_found_and_says_so() {
    let (other_driver, other_gpu) = (FAKE.replace("12.4", "13.0"), FAKE.replace("108", "56"));
    let order = "knobs by the bundle's order: it has no tuning record for n=512\n";
    let record_128 = record(FAKE, 128);
    let other_type = Record { types: "T=f16".to_owned(), ..record_128.clone() };
    for (records, size, values, why) in [
        (
            vec![record_128.clone()],
            300,
            "2.00000 3.00000",
            "knobs by the tuning record of yesterday for n=512\n",
        ),
        (vec![record_128.clone()], 600, "2.00000 2.00000", "it has no tuning record for n=1024\n"),
        (
            vec![record(FAKE, 64)],
            300,
            "2.00000 2.00000",
            "the tuning record of yesterday for n=512\n",
        ),
        // Another driver's is better than none, this driver's better than another's.
        (
            vec![record(&other_driver, 128)],
            300,
            "2.00000 3.00000",
            "for n=512, made on cuda Fake A100",
        ),
        (vec![record(&other_driver, 64), record_128], 300, "2.00000 3.00000", "for n=512\n"),
        (vec![record(&other_gpu, 128)], 300, "2.00000 2.00000", order),
        // There is no such setting; it is code for something else.
        (vec![record(FAKE, 256)], 300, "2.00000 2.00000", order),
        (vec![other_type], 300, "2.00000 2.00000", order),
        (vec![], 300, "2.00000 2.00000", order),
    ] {
        let (x, y) = (format!("x=arange({size})"), format!("y=ones({size})"));
        let (code, text) = run_one(tuned(&records), &["it.tilepack", &x, &y, "scale=2.0"]);
        assert_eq!(code, 0, "{text}");
        assert!(text.contains(why) && text.contains(values), "{why}, {values} in\n{text}");
    }
}

#[test]
fn a_session_says_whose_knobs_it_took() {
    let n = 300;
    let mut args = tilec_runtime::Arguments::new();
    let x = tilec_runtime::Tensor::from_f64s(tilec_runtime::DType::F32, &[n], &[1.0; 300]);
    let x = x.expect("a tensor");
    for name in ["x", "y"] {
        args.insert(name, &x);
    }
    args.insert("scale", 2.0);
    let open = |bundle: &Bundle| {
        Session::open(&bundle.encode().expect("bytes"), "sim").expect("a simulator")
    };
    let kind = open(&tuned(&[])).device().device().info().kind();
    for (records, value) in [(vec![record(&kind, 128)], 3.0), (Vec::new(), 2.0)] {
        let session = open(&tuned(&records));
        let ready = session.ready("add", &args).expect("a launch");
        ready.run().expect("runs");
        let (_, o, _) = ready.launch().tensors().find(|(_, _, written)| *written).expect("o");
        assert_eq!(o.to_f64s().expect("values"), [value; 300]);
        assert_eq!(matches!(ready.because(), Choice::Record { .. }), !records.is_empty());
    }
}

#[test]
fn what_is_wrong_is_said() {
    for (args, plan, wanted) in [
        (&["none.tilepack"][..], "", "error: none.tilepack: it cannot be read: "),
        (&["two.tilepack", "x=ones(3)"], "", "the bundle has several kernels: add, sum"),
        (&["two.tilepack", "-k", "mul", "x=ones(3)"], "", "has no kernel `mul`; it has add, sum"),
        (&["two.tilepack", "-k", "add", "x=ones(3)"], "", "argument `y` is missing"),
        (&["two.tilepack", "-k", "add", "x=ones(3):i32"], "", "elements of type i32"),
        (ADD, "devices 0", "the NVIDIA driver finds no GPU"),
        (ADD, "capability 75", "is an sm_75, and code is made for sm_80"),
        (ADD, "fail cuLaunchKernel 1 719", "cuLaunchKernel failed: unspecified launch failure"),
    ] {
        let (code, text) = run(args, plan);
        assert_eq!(code, 2, "{text}");
        assert!(text.contains(wanted), "{wanted} in\n{text}");
    }
}

#[test]
fn no_llvm_is_in_it() {
    let program = std::fs::read(Path::new(env!("CARGO_BIN_EXE_tilec-run"))).expect("the program");
    let has = |text: &[u8]| program.windows(text.len()).any(|window| window == text);
    // The C function that every use of LLVM begins with, and the library it would come from.
    assert!(!has(b"LLVMContextCreate") && !has(b"libLLVM"));
    // That this can be seen at all.
    assert!(has(b"cuLaunchKernel"));
}
