//! Code is made once: the second run of `tilec run` takes it from the cache.

mod support;

use std::fs;
use std::path::PathBuf;

use support::{Folder, Ran};

const CAUSAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../kernels/attention/causal.tile");

fn run(folder: &Folder, device: &str, shape: &str) -> Ran {
    let tensor = |name: &str| format!("{name}=randn({shape}):f16@1");
    let [q, k, v] = ["q", "k", "v"].map(tensor);
    folder.run(&[
        "run",
        CAUSAL,
        "-k",
        "causal",
        &q,
        &k,
        &v,
        "scale=0.25",
        "--device",
        device,
        "--json",
        "-v",
    ])
}

fn is_kept(ran: &Ran) -> bool {
    assert_eq!(ran.code, 0, "{ran:?}");
    let said = |what: &str| {
        ["machine code", "PTX"]
            .iter()
            .any(|code| ran.stderr.contains(&format!("{code} of `causal` {what}")))
    };
    let kept = said("from the cache: artifact-");
    assert_ne!(kept, said("made, and kept as artifact-"), "{ran:?}");
    kept
}

/// Files of machine code, or of PTX, and no choices of knobs.
fn code_files(folder: &Folder) -> Vec<PathBuf> {
    let listed = folder.run(&["cache", "ls", "--json"]).json();
    let root = PathBuf::from(listed["path"].as_str().expect("a path"));
    let entries = listed["entries"].as_array().cloned().unwrap_or_default();
    let is_code = |entry: &&serde_json::Value| {
        ["machine code", "PTX"].iter().any(|code| entry["key"]["code"] == **code)
    };
    let file = |entry: &serde_json::Value| root.join(entry["file"].as_str().expect("a file"));
    entries.iter().filter(is_code).map(file).collect()
}

#[test]
fn the_second_run_takes_code_from_the_cache_and_computes_the_same() {
    for device in ["cpu", "sim"] {
        let folder = Folder::new();
        let first = run(&folder, device, "1,1,32,32");
        assert!(!is_kept(&first), "{device}: {first:?}");
        let second = run(&folder, device, "1,1,32,32");
        assert!(is_kept(&second), "{device}: {second:?}");
        assert_eq!(first.json()["outputs"], second.json()["outputs"], "{device}");
        // Another head is other code.
        assert!(!is_kept(&run(&folder, device, "1,1,32,16")), "{device}");
        assert_eq!(code_files(&folder).len(), 2, "{device}");
    }
}

#[test]
fn damaged_or_foreign_code_is_not_run() {
    let folder = Folder::new();
    let first = run(&folder, "cpu", "1,1,32,16");
    let files = code_files(&folder);
    let [file] = files.as_slice() else { panic!("one entry: {files:?}") };
    let good = fs::read(file).expect("an entry");
    for at in [good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(file, &bad).expect("written");
        let ran = run(&folder, "cpu", "1,1,32,16");
        assert!(!is_kept(&ran), "{ran:?}");
        assert!(ran.stderr.contains("warning:") && ran.stderr.contains("checksum"), "{ran:?}");
        assert_eq!(first.json()["outputs"], ran.json()["outputs"]);
        assert!(is_kept(&run(&folder, "cpu", "1,1,32,16")));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(file, fs::Permissions::from_mode(0o666)).expect("set");
        let ran = run(&folder, "cpu", "1,1,32,16");
        assert!(!is_kept(&ran), "{ran:?}");
        assert!(ran.stderr.contains("others can write it"), "{ran:?}");
    }
}
