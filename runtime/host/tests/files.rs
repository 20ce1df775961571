//! Files: what NumPy wrote is read, what we write is read back, and bad files are told, not trusted.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use tilec_host::files::{check_writable, read, write};
use tilec_host::random::{Fill, filled};
use tilec_host::{Elements, Tensor};
use tilec_vocab::DType;

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The message for reading a file with these bytes, without the path.
    fn complaint(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let error = read(&self.file(name, bytes), None).unwrap_err();
        error.problem.to_string()
    }
}

fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
}

#[test]
fn every_type_comes_back_as_it_went() {
    let folder = Folder::new();
    for dtype in DType::ALL {
        let fill = Fill::Uniform { seed: 5, low: -100.0, high: 100.0 };
        let tensor = filled(fill, dtype, &[3, 1, 5]).unwrap().permute(&[2, 0, 1]).unwrap();
        for name in ["x.npy", "x.npz", "x.safetensors"] {
            let path = folder.path(name);
            let written = write(&path, &[("x", &tensor)]);
            if dtype == DType::BF16 && name != "x.safetensors" {
                let message = written.unwrap_err().problem.to_string();
                assert_eq!(message, "NumPy's formats have no bf16; use .safetensors");
                continue;
            }
            written.unwrap();
            let back = read(&path, None).unwrap();
            assert_eq!((back.dtype(), back.shape()), (dtype, tensor.shape()));
            assert_eq!(back.read().unwrap(), tensor.read().unwrap(), "{dtype} in {name}");
        }
    }
}

#[test]
fn archives_hold_tensors_by_name() {
    let folder = Folder::new();
    let (a, b) = (filled(Fill::Arange, DType::F32, &[4]), filled(Fill::Ones, DType::I64, &[0, 2]));
    let (a, b) = (a.unwrap(), b.unwrap());
    for name in ["x.npz", "x.safetensors"] {
        let path = folder.path(name);
        write(&path, &[("a", &a), ("b", &b)]).unwrap();
        assert_eq!(read(&path, Some("a")).unwrap().to_f64s().unwrap(), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(read(&path, Some("b")).unwrap().shape(), [0, 2]);
        let none = read(&path, None).unwrap_err().problem.to_string();
        assert_eq!(none, "holds 2 tensors; name one of them: a, b");
        let wrong = read(&path, Some("c")).unwrap_err().problem.to_string();
        assert_eq!(wrong, "holds no tensor `c`; it holds a, b");
    }
    let many = write(&folder.path("x.npy"), &[("a", &a), ("b", &b)]).unwrap_err();
    assert_eq!(
        many.problem.to_string(),
        "an .npy file holds one tensor, not 2; use .npz or .safetensors"
    );
}

/// Bytes as `numpy.save` wrote them, version 2.3 of NumPy.
#[test]
fn numpy_s_own_files_are_read() {
    let folder = Folder::new();
    let rows = npy(
        "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 3), }                                                          \n",
        &[0x00, 0x00, 0x00, 0x3c, 0x00, 0x40, 0x00, 0x42, 0x00, 0x44, 0x00, 0x45],
    );
    let read_rows = read(&folder.file("rows.npy", rows), None).unwrap();
    assert_eq!((read_rows.dtype(), read_rows.shape()), (DType::F16, &[2, 3][..]));
    assert_eq!(read_rows.to_f64s().unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);

    let columns = npy(
        "{'descr': '<i4', 'fortran_order': True, 'shape': (2, 2), }\n",
        &[1, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0],
    );
    let columns = read(&folder.file("columns.npy", columns), None).unwrap();
    assert_eq!(columns.read().unwrap(), Elements::Ints(vec![1, 2, 3, 4]));

    let number = npy("{'descr': '|b1', 'fortran_order': False, 'shape': (), }\n", &[7]);
    let number = read(&folder.file("number.npy", number), None).unwrap();
    assert_eq!(number.shape(), [0i64; 0]);
    assert_eq!(number.with_bytes(<[u8]>::to_vec).unwrap(), [1]);
}

#[test]
fn bad_numpy_files_are_told() {
    let folder = Folder::new();
    let of = |header: &str| folder.complaint("x.npy", npy(header, &[0; 16]));
    let shaped = |descr: &str, shape: &str| {
        of(&format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n"))
    };
    assert_eq!(folder.complaint("x.npy", ""), "not a sound .npy file: it is too short");
    assert_eq!(
        folder.complaint("x.npy", "PK\x03\x04 and so on"),
        "not a sound .npy file: it does not start with \\x93NUMPY"
    );
    let cut = &npy("{'descr': '<f4', 'fortran_order'", &[])[..20];
    assert_eq!(folder.complaint("x.npy", cut), "not a sound .npy file: it ends inside its header");
    assert_eq!(
        shaped("<f8", "2,"),
        "elements of type '<f8' are not supported; \
         convert them to bool, int32, int64, float16 or float32 with astype"
    );
    assert_eq!(shaped("|V2", "2,"), "NumPy's formats have no bf16; use .safetensors");
    assert_eq!(
        shaped("<f4", "1000,"),
        "not a sound .npy file: shape [1000] of f32 needs more bytes"
    );
    assert!(shaped("<f4", "4294967296, 4294967296, 4294967296").contains("needs more bytes"));
    assert!(shaped("<f4", "99999999999999999999").contains("is not a number"));
    assert!(shaped("<f4", "-4").contains("is not a number"));
    assert!(shaped("<f4", &"1, ".repeat(100)).contains("100 dimensions"));
    assert!(of("[1, 2]\n").contains("its header is not a dictionary"));
    assert!(of("{'descr': '<f4'}").contains("lacks"));
    assert!(of("{'descr': [('a', '<f4')], }").contains("a record"));
    assert!(of(&format!("{{{}", "(".repeat(60_000))).contains("not a dictionary"));
    let huge = [b"\x93NUMPY\x02\x00".as_slice(), &u32::MAX.to_le_bytes()].concat();
    assert!(folder.complaint("x.npy", huge).contains("its header of 4294967295 bytes is over"));
}

#[test]
fn bad_archives_are_told() {
    let folder = Folder::new();
    assert!(folder.complaint("x.npz", "not a zip").starts_with("not a sound .npz file"));
    let of = |header: &str, size: usize| {
        let length = (header.len() as u64).to_le_bytes();
        folder.complaint("x.safetensors", [&length, header.as_bytes(), &vec![0; size]].concat())
    };
    assert!(folder.complaint("x.safetensors", "abc").contains("it is too short"));
    assert!(folder.complaint("x.safetensors", [0xff; 12]).contains("longer than it may be"));
    assert!(of("{", 0).starts_with("not a sound .safetensors file"));
    assert!(of(&"[".repeat(100_000), 0).starts_with("not a sound .safetensors file"));
    let one = r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    assert!(of(one, 4).contains("its size is not what its header says"));
    let wide = r#"{"x":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}"#;
    assert!(of(wide, 8).starts_with("elements of type F64 are not supported"));
    let outside = r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}"#;
    assert!(of(outside, 8).starts_with("not a sound .safetensors file"));
    let overflow = r#"{"x":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#;
    assert!(of(overflow, 0).starts_with("not a sound .safetensors file"));
}

#[test]
fn a_file_is_written_whole_or_not_at_all() {
    let folder = Folder::new();
    let tensor = filled(Fill::Arange, DType::F32, &[8]).unwrap();
    let path = folder.file("x.npy", "what stood there");

    // Two tensors do not fit an .npy file: the old one stays.
    assert!(write(&path, &[("a", &tensor), ("b", &tensor)]).is_err());
    assert_eq!(fs::read(&path).unwrap(), b"what stood there");
    write(&path, &[("a", &tensor)]).unwrap();
    assert_eq!(read(&path, None).unwrap().len(), 8);
    assert_eq!(fs::read_dir(folder.0.path()).unwrap().count(), 1, "nothing is left beside it");

    let nowhere = folder.path("no/such/folder/x.npy");
    assert!(write(&nowhere, &[("a", &tensor)]).is_err());
    assert!(check_writable(&nowhere).is_err());
    assert!(check_writable(&folder.path("new.npy")).is_ok());
    assert!(check_writable(&folder.path("new.txt")).is_err());
    fs::create_dir(folder.path("folder.npy")).unwrap();
    assert_eq!(
        check_writable(&folder.path("folder.npy")).unwrap_err().problem.to_string(),
        "not a regular file, so it cannot be replaced"
    );
}

#[cfg(unix)]
#[test]
fn a_link_keeps_pointing_and_permissions_stay() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let tensor = filled(Fill::Ones, DType::F32, &[1]).unwrap();
    let target = folder.file("target.npy", "old");
    fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
    let link = folder.path("link.npy");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    write(&link, &[("x", &tensor)]).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(read(&target, None).unwrap().len(), 1);
    assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn half_the_bytes_of_a_tensor_are_not_a_tensor() {
    let folder = Folder::new();
    let tensor: Tensor = filled(Fill::Ones, DType::F32, &[100]).unwrap();
    for name in ["x.npy", "x.npz", "x.safetensors"] {
        let path = folder.path(name);
        write(&path, &[("x", &tensor)]).unwrap();
        let bytes = fs::read(&path).unwrap();
        for cut in 0..bytes.len() {
            fs::write(&path, &bytes[..cut]).unwrap();
            assert!(read(&path, None).is_err(), "{name} cut to {cut} bytes");
        }
    }
}
