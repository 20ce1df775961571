//! Sources that try to get out of their folder, or out of bounds.

mod support;

use std::time::{Duration, Instant};

use support::Folder;

/// `use` reaches library files and those beside the root, and nothing else.
#[cfg(unix)]
#[test]
fn imports_stay_in_their_folder() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new();
    let outside = Folder::new();
    outside.write("secret.tile", "fn password() = 42;");
    symlink(outside.path("secret.tile"), folder.path("link.tile")).expect("a link");
    symlink(outside.path(""), folder.path("sub")).expect("a link");
    symlink(folder.path("inside.tile"), folder.path("alias.tile")).expect("a link");
    folder.write("inside.tile", "fn password() = 42;");
    let body = "kernel k(x: &f32[N], y: &mut f32[N]) tune BN in [64]
        grid n in N by BN { y[n] = x[n] * password(); }";
    let check = |import: &str| {
        folder.write("root.tile", format!("use {import};\n{body}"));
        folder.run(&["check", "root.tile"])
    };
    for import in
        ["link::password", "../secret::password", "sub/secret::password", "sub::secret::password"]
    {
        let ran = check(import);
        assert_eq!(ran.code, 1, "{import}: {ran:?}");
        assert!(!ran.stderr.contains("42"), "{import}: {ran:?}");
    }
    assert!(check("link::password").stderr.contains("a link that leaves the folder"));
    for import in ["inside::password", "alias::password"] {
        let ran = check(import);
        assert_eq!(ran.code, 0, "{import}: {ran:?}");
    }
    // A file named on the command line is the user's own choice, wherever it lies.
    assert_eq!(folder.run(&["check", "sub/secret.tile"]).code, 0);
}

#[test]
fn circles_of_imports_end() {
    let folder = Folder::new();
    folder.write("a.tile", "use b::g;\nfn f() = g();");
    folder.write("b.tile", "use a::f;\nfn g() = f();");
    let ran = folder.run(&["check", "a.tile"]);
    assert!(ran.code == 1 && ran.stderr.contains("error[E"), "{ran:?}");
}

/// Each within seconds, with an error that has a place or at least names the file.
#[test]
fn text_that_is_no_program_gets_an_error() {
    let folder = Folder::new();
    let table: [(&str, Vec<u8>); 8] = [
        ("parentheses", format!("fn f() = {}", "(".repeat(100_000)).into()),
        ("minus signs", format!("fn f() = {}1;", "-".repeat(100_000)).into()),
        ("blocks", format!("kernel k() grid b in 1 {{ {}", "if true { ".repeat(10_000)).into()),
        ("NUL", b"kernel \0".to_vec()),
        ("not UTF-8", b"kernel \xff\xfe".to_vec()),
        ("too long", vec![b' '; (1 << 20) + 1]),
        ("half a comment", b"/* /* /*".to_vec()),
        ("huge number", b"const A = 99999999999999999999999999;".to_vec()),
    ];
    for (name, text) in table {
        folder.write("bad.tile", text);
        let start = Instant::now();
        let ran = folder.run(&["check", "bad.tile"]);
        assert_eq!(ran.code, 1, "{name}: {}", ran.stderr);
        assert!(ran.stderr.contains("bad.tile"), "{name}: {}", ran.stderr);
        assert!(start.elapsed() < Duration::from_secs(5), "{name}: {:?}", start.elapsed());
    }
    let ran = folder.run_with_input(&["check", "-"], b"");
    assert_eq!(ran.code, 0, "an empty file holds nothing wrong: {ran:?}");
}

/// Files of tensors that lie about what they hold.
#[test]
fn broken_tensor_files_get_an_error_that_names_the_argument() {
    let folder = Folder::new();
    let header = |text: &str| {
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.extend(text.as_bytes());
        bytes
    };
    let huge = r#"{"x":{"dtype":"F32","shape":[9223372036854775807,4],"data_offsets":[0,16]}}"#;
    let table: [(&str, Vec<u8>); 7] = [
        ("x.npy", Vec::new()),
        ("x.npy", b"\x93NUMPY\x01\x00\xff\xff{".to_vec()),
        ("x.npy", b"not an array".to_vec()),
        ("x.npz", b"PK\x03\x04 no archive".to_vec()),
        ("x.safetensors", u64::MAX.to_le_bytes().to_vec()),
        ("x.safetensors", header(huge)),
        ("x.safetensors", header("{}")),
    ];
    for (name, bytes) in table {
        folder.write(name, &bytes);
        let argument = format!("x={name}");
        let ran = folder.run(&["run", "add.tile", &argument, "y=randn(4)"]);
        assert_eq!(ran.code, 2, "{name}: {ran:?}");
        assert!(ran.stderr.starts_with("error: argument `x`: "), "{name}: {ran:?}");
    }
}
