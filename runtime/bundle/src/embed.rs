//! For `build.rs`: a bundle inside the program, and Rust code with a type for the arguments of each of its kernels.
//!
//! ```no_run
//! // build.rs
//! fn main() -> Result<(), tilec_runtime::embed::EmbedError> {
//!     tilec_runtime::embed::pack("kernels/flash.tilepack")?; // one that `tilec build` wrote before
//!     tilec_runtime::embed::build("kernels/causal.tile", &["T=f16", "D=64,128", "--target", "sm_80,sm_90"])
//! }
//! ```
//!
//! The program then has `mod causal { tilec_runtime::embedded!("causal"); }`. A kernel `flash_forward` becomes a struct
//! `FlashForward` whose fields are its parameters. What varies between the settings of a kernel (element types, constants) is
//! checked when the launch is; names and kinds are checked by the compiler of the program.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use thiserror::Error;
use tilec_vocab::{Artifact, DType, ParamKind, ParamSpec};

use crate::bundle::target;
use crate::{Bundle, Fault};

/// The variable that says where `tilec` is, if not on PATH.
pub const TILEC: &str = "TILEC";

/// Why there is no code.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum EmbedError {
    #[error("{}: {fault}", path.display())]
    Bundle { path: PathBuf, fault: Fault },
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: std::io::Error },
    #[error("OUT_DIR is not set: this is for build scripts, which cargo runs")]
    NoFolder,
    #[error("{}: the path is not UTF-8, which Rust code has to be", .0.display())]
    Path(PathBuf),
    #[error(
        "`tilec` is not found: put it on PATH, or its path into {TILEC}; or embed a bundle that was built before"
    )]
    NoTilec,
    #[error("tilec build {}: {words}", file.display())]
    Tilec { file: PathBuf, words: String },
    #[error("kernel `{kernel}`: {what}")]
    Kernel { kernel: String, what: String },
}

/// The code that [`pack`] or [`build`] made for a bundle of this name, in place.
#[macro_export]
macro_rules! embedded {
    ($name:literal) => {
        include!(concat!(env!("OUT_DIR"), "/", $name, ".rs"));
    };
}

/// Makes `NAME.rs` in cargo's output folder for a bundle `NAME.tilepack`.
///
/// # Errors
///
/// It is no bundle, or a name in it is none of Rust's.
pub fn pack(file: impl AsRef<Path>) -> Result<(), EmbedError> {
    let file = file.as_ref();
    println!("cargo::rerun-if-changed={}", file.display());
    let file = std::path::absolute(file).map_err(io(file))?;
    write(&file, &out_dir()?)
}

/// Runs `tilec build FILE WORDS…`, and does for the bundle as [`pack`].
///
/// # Errors
///
/// There is no `tilec`, or it refuses; else as [`pack`].
pub fn build(file: impl AsRef<Path>, words: &[&str]) -> Result<(), EmbedError> {
    println!("cargo::rerun-if-changed={}", file.as_ref().display());
    println!("cargo::rerun-if-env-changed={TILEC}");
    let program = std::env::var_os(TILEC).unwrap_or_else(|| "tilec".into());
    build_into(&out_dir()?, program.as_ref(), file.as_ref(), words)
}

/// As [`build`], with another folder than cargo's and this `tilec`.
///
/// # Errors
///
/// As [`build`].
pub fn build_into(out: &Path, tilec: &Path, file: &Path, words: &[&str]) -> Result<(), EmbedError> {
    let name = Path::new(file.file_stem().unwrap_or_default()).with_extension("tilepack");
    let bundle = std::path::absolute(out.join(name)).map_err(io(out))?;
    let mut command = Command::new(tilec);
    command.arg("build").arg(file).args(words).arg("-o").arg(&bundle);
    let refused = |words| EmbedError::Tilec { file: file.to_owned(), words };
    let output = command.output().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => EmbedError::NoTilec,
        _ => refused(error.to_string()),
    })?;
    if !output.status.success() {
        return Err(refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    write(&bundle, out)
}

fn out_dir() -> Result<PathBuf, EmbedError> {
    std::env::var_os("OUT_DIR").map(PathBuf::from).ok_or(EmbedError::NoFolder)
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> EmbedError {
    let path = path.to_owned();
    move |error| EmbedError::Io { path, error }
}

fn write(file: &Path, out: &Path) -> Result<(), EmbedError> {
    let read = Bundle::read(file);
    let bundle = read.map_err(|fault| EmbedError::Bundle { path: file.to_owned(), fault })?;
    let name = Path::new(file.file_stem().unwrap_or_default()).with_extension("rs");
    let code = out.join(name);
    std::fs::write(&code, module(&bundle, file)?).map_err(io(&code))
}

/// The code of a module for a bundle that lies at an absolute path.
///
/// # Errors
///
/// A name is none of Rust's; two kernels would have one; settings of a kernel have different parameters.
pub fn module(bundle: &Bundle, file: &Path) -> Result<String, EmbedError> {
    let path = file.to_str().ok_or_else(|| EmbedError::Path(file.to_owned()))?;
    let mut text = format!(
        "// @generated by tilec-runtime {} from a bundle of tilec {}.\n\n{}",
        env!("CARGO_PKG_VERSION"),
        line(&bundle.tilec),
        HEAD.replace("BUNDLE_PATH", &format!("{path:?}"))
    );
    let mut taken = BTreeMap::from([("Kernels".to_owned(), "")]);
    for name in bundle.kernels() {
        let of_it = |artifact: &&Artifact| artifact.contract.kernel == name;
        let settings: Vec<&Artifact> = bundle.artifacts.iter().filter(of_it).collect();
        let wrong = |what: String| EmbedError::Kernel { kernel: line(name), what };
        identifier(name).map_err(wrong)?;
        let ty = camel(name);
        if let Some(other) = taken.insert(ty.clone(), name) {
            let of = if other.is_empty() { "the bundle".to_owned() } else { format!("`{other}`") };
            return Err(wrong(format!("its type would be `{ty}`, which is that of {of}")));
        }
        text += &kernel(name, &ty, &settings).map_err(wrong)?;
    }
    Ok(text)
}

/// What every module begins with.
const HEAD: &str = "\
/// The bundle.
pub static BUNDLE: &[u8] = include_bytes!(BUNDLE_PATH);

/// The bundle's kernels, on a device.
pub struct Kernels(::tilec_runtime::Session);

#[allow(dead_code)]
impl Kernels {
    /// Opens `cuda`, `cuda:N` or `sim`.
    ///
    /// # Errors
    ///
    /// There is no such device, or it runs nothing of the bundle.
    pub fn open(device: &str) -> ::core::result::Result<Kernels, ::tilec_runtime::OpenError> {
        ::tilec_runtime::Session::open(BUNDLE, device).map(Kernels)
    }

    /// The bundle on the device.
    pub fn session(&self) -> &::tilec_runtime::Session {
        &self.0
    }
}
";

/// What follows the fields of a kernel: `name` and `inserts` as code.
fn methods(ty: &str, name: &str, inserts: &str) -> String {
    format!(
        "
#[allow(dead_code)]
impl {ty} {{
    /// Checks the arguments and loads the first setting that suits them.
    ///
    /// # Errors
    ///
    /// None does, or the device cannot load it.
    pub fn ready(
        &self,
        kernels: &Kernels,
    ) -> ::core::result::Result<::tilec_runtime::Ready, ::tilec_runtime::RuntimeError> {{
        let mut arguments = ::tilec_runtime::Arguments::new();
{inserts}        kernels.0.ready({name:?}, &arguments)
    }}

    /// Checks, runs and waits.
    ///
    /// # Errors
    ///
    /// As of `ready`; faults of the kernel.
    pub fn launch(
        &self,
        kernels: &Kernels,
    ) -> ::core::result::Result<(), ::tilec_runtime::RuntimeError> {{
        self.ready(kernels)?.run()
    }}
}}
"
    )
}

fn kernel(name: &str, ty: &str, settings: &[&Artifact]) -> Result<String, String> {
    let Some(first) = settings.first() else { return Ok(String::new()) };
    let params = &first.contract.params;
    let names = |artifact: &Artifact| -> Vec<String> {
        artifact.contract.params.iter().map(|param| param.name.clone()).collect()
    };
    if settings.iter().any(|other| names(other) != names(first)) {
        return Err(
            "its settings have different parameters, so there is no one type for them".to_owned()
        );
    }
    let mut text = format!(
        "\n/// Arguments of `{name}`. Settings, of which a tuning record's is taken, else the first that suits:\n///\n"
    );
    let tell = |artifact: &&Artifact| {
        let target = target(artifact).unwrap_or_default();
        line(&format!("- {} for {target}", artifact.specialisation))
    };
    for setting in settings.iter().map(tell) {
        let _ = writeln!(text, "/// {setting}");
    }
    let any_tensor = params.iter().any(|param| matches!(param.kind, ParamKind::Tensor { .. }));
    let (declared, used) = if any_tensor { ("<'a>", "<'_>") } else { ("", "") };
    let _ =
        writeln!(text, "#[allow(dead_code)]\n#[derive(Clone, Copy)]\npub struct {ty}{declared} {{");
    let mut inserts = String::new();
    for (number, param) in params.iter().enumerate() {
        let field = identifier(&param.name)?;
        let kinds: Vec<&ParamSpec> = settings.iter().map(|s| &s.contract.params[number]).collect();
        let (of, value) = field_type(&kinds, &field)?;
        let _ = writeln!(text, "    /// {}\n    pub {field}: {of},", types(&kinds));
        let _ = writeln!(inserts, "        arguments.insert({:?}, {value});", param.name);
    }
    text += "}\n";
    Ok(text + &methods(&format!("{ty}{used}"), name, &inserts))
}

/// The type of a field, and the argument that is made of it.
fn field_type(kinds: &[&ParamSpec], field: &str) -> Result<(&'static str, String), String> {
    let scalars: BTreeSet<Option<DType>> = kinds
        .iter()
        .map(|param| match param.kind {
            ParamKind::Tensor { .. } => None,
            ParamKind::Scalar(dtype) => Some(dtype),
        })
        .collect();
    if scalars.contains(&None) {
        let all = scalars.len() == 1;
        let mixed =
            || format!("parameter `{field}` is a tensor in some settings and a number in others");
        return all
            .then(|| ("&'a ::tilec_runtime::Tensor", format!("self.{field}")))
            .ok_or_else(mixed);
    }
    let all = |holds: fn(DType) -> bool| scalars.iter().flatten().all(|dtype| holds(*dtype));
    // The narrowest of Rust's types that holds every one of them.
    Ok(if all(|dtype| dtype == DType::Bool) {
        ("bool", format!("self.{field}"))
    } else if all(|dtype| dtype == DType::I32) {
        ("i32", format!("i64::from(self.{field})"))
    } else if all(DType::is_int) {
        ("i64", format!("self.{field}"))
    } else if all(DType::is_float) {
        ("f32", format!("f64::from(self.{field})"))
    } else {
        ("::tilec_runtime::Number", format!("self.{field}"))
    })
}

/// The types of a parameter as its kernel declares them.
fn types(kinds: &[&ParamSpec]) -> String {
    let mut all: Vec<String> = Vec::new();
    let mut written = false;
    for param in kinds {
        let ty = match &param.kind {
            ParamKind::Tensor { dtype, dims, mutable } => {
                written |= mutable;
                format!("`{}{dtype}[{}]`", if *mutable { "&mut " } else { "&" }, dims.join(", "))
            }
            ParamKind::Scalar(dtype) => format!("`{dtype}`"),
        };
        if !all.contains(&ty) {
            all.push(ty);
        }
    }
    line(&(all.join(" or ") + if written { ": written" } else { "" }))
}

/// A name of a kernel's text as one of Rust's.
fn identifier(name: &str) -> Result<String, String> {
    /// Words of Rust that are no names, but raw ones.
    const WORDS: &str = " as async await break const continue dyn else enum extern false fn for if impl in let loop match mod \
        move mut pub ref return static struct trait true type unsafe use where while abstract become box do final gen macro \
        override priv try typeof unsized virtual yield ";
    /// Words that cannot be raw either.
    const NEVER: [&str; 4] = ["self", "Self", "super", "crate"];
    let mut chars = name.chars();
    let starts = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !starts || name == "_" || !chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(format!("{name:?} is no name of Rust"));
    }
    Ok(if NEVER.contains(&name) {
        format!("{name}_")
    } else if WORDS.contains(&format!(" {name} ")) {
        format!("r#{name}")
    } else {
        name.to_owned()
    })
}

/// `flash_forward` as the name of a type: `FlashForward`.
fn camel(name: &str) -> String {
    let word = |word: &str| {
        let mut chars = word.chars();
        let first = chars.next().map(|c| c.to_ascii_uppercase());
        first.into_iter().chain(chars).collect::<String>()
    };
    let joined: String = name.split('_').map(word).collect();
    // A digit cannot begin a name; nothing at all is none; `Self` is taken.
    let good = joined.starts_with(|c: char| c.is_ascii_alphabetic()) && joined != "Self";
    if good { joined } else { format!("Kernel{joined}") }
}

/// Text that stays on its line: what a bundle says must not end a comment.
fn line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c })
        .collect()
}
