//! `NAME=VALUE` arguments: numbers, tensors from files, made-up tensors.
//!
//! ```text
//! scale=0.125  causal=true  window=128  top=-inf
//! q=q.npy  k=in.safetensors:k  v=in.npz:v
//! q=randn(1,8,1024,64):f16@7  mask=ones(4,4):bool  len=uniform(8,1..100):i32@3  n=arange(16)
//! ```
//!
//! Without `:dtype` a made-up tensor has the type its parameter declares, or f32 where that is
//! generic. Without `@seed` the seed follows from the parameter's name, so that `q` and `k` differ and
//! every run is the same.

use std::path::PathBuf;
use std::str::FromStr;

use tilec_host::files;
use tilec_host::random::{Fill, filled};
use tilec_host::{Argument, Number};
use tilec_vocab::DType;

/// `NAME=VALUE`.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The parameter.
    pub name: String,
    /// What it gets.
    pub value: Value,
    /// The value as it was written.
    pub text: String,
}

/// The right side of an argument.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number or truth value.
    Number(Number),
    /// A tensor in a file.
    File(FilePlace),
    /// A tensor to make up.
    Made(Made),
}

/// A file and, for archives, the name of a tensor in it.
#[derive(Clone, Debug, PartialEq)]
pub struct FilePlace {
    /// The file.
    pub path: PathBuf,
    /// The tensor's name in it.
    pub entry: Option<String>,
}

/// A tensor to make up.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    kind: Kind,
    shape: Vec<i64>,
    dtype: Option<DType>,
    seed: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Zeros,
    Ones,
    Arange,
    Normal,
    Uniform { low: f64, high: f64 },
}

/// `NAME=FILE`: where an output goes.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputFile {
    /// The parameter.
    pub name: String,
    /// The file.
    pub place: FilePlace,
}

/// `NAME=INT`: a knob or compile-time constant.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The knob.
    pub name: String,
    /// Its value.
    pub value: i64,
}

const GENERATORS: &str = "zeros, ones, arange, randn, uniform";

impl Assignment {
    /// The argument itself. `declared` is the element type of the parameter, if it has a fixed one.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, a tensor that cannot be made; in words.
    pub fn resolve(&self, declared: Option<DType>) -> Result<Argument, String> {
        match &self.value {
            Value::Number(number) => Ok((*number).into()),
            Value::File(place) => files::read(&place.path, place.entry.as_deref())
                .map(Argument::from)
                .map_err(|error| format!("argument `{}`: {error}", self.name)),
            Value::Made(made) => {
                let dtype = made.dtype.or(declared).unwrap_or(DType::F32);
                let seed = made.seed.unwrap_or_else(|| seed_of(&self.name));
                let fill = match made.kind {
                    Kind::Zeros => Fill::Zeros,
                    Kind::Ones => Fill::Ones,
                    Kind::Arange => Fill::Arange,
                    Kind::Normal => Fill::Normal { seed },
                    Kind::Uniform { low, high } => Fill::Uniform { seed, low, high },
                };
                filled(fill, dtype, &made.shape)
                    .map(Argument::from)
                    .map_err(|error| format!("argument `{}`: {error}", self.name))
            }
        }
    }
}

/// The seed of a parameter that was given none: FNV-1a of its name.
fn seed_of(name: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    name.bytes().fold(0xCBF2_9CE4_8422_2325, step)
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Assignment, String> {
        let (name, value) = name_and_value(text, "VALUE")?;
        Ok(Assignment { name, value: value.parse()?, text: value.to_owned() })
    }
}

impl FromStr for OutputFile {
    type Err = String;

    fn from_str(text: &str) -> Result<OutputFile, String> {
        let (name, value) = name_and_value(text, "FILE")?;
        let place = file_place(value);
        let format = files::Format::of(&place.path).map_err(|error| error.to_string())?;
        if place.entry.is_some() && format == files::Format::Npy {
            return Err("an .npy file holds one tensor without a name".to_owned());
        }
        Ok(OutputFile { name, place })
    }
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Setting, String> {
        let (name, value) = name_and_value(text, "INT")?;
        let value = value.parse().map_err(|_| format!("`{value}` is not a whole number"))?;
        Ok(Setting { name, value })
    }
}

impl FromStr for Value {
    type Err = String;

    fn from_str(text: &str) -> Result<Value, String> {
        if let Some(number) = number(text) {
            return Ok(Value::Number(number));
        }
        if let Some((name, rest)) = text.split_once('(')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            return Ok(Value::Made(made(name, rest, text)?));
        }
        let place = file_place(text);
        if files::Format::of(&place.path).is_err() {
            return Err(format!(
                "`{text}` is no number, no file ending in .npy, .npz or .safetensors, \
                 and no made-up tensor such as randn(2,64):f16@7"
            ));
        }
        Ok(Value::File(place))
    }
}

/// Reads an element type for `--dtype`.
///
/// # Errors
///
/// There is none of this name.
pub fn parse_dtype(text: &str) -> Result<DType, String> {
    DType::from_name(text)
        .ok_or_else(|| format!("known are {}", DType::ALL.map(DType::name).join(", ")))
}

fn name_and_value<'a>(text: &'a str, what: &str) -> Result<(String, &'a str), String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(format!("`{text}` lacks `=`; write NAME={what}"));
    };
    let (name, value) = (name.trim(), value.trim());
    let is_start = |c: char| c.is_ascii_alphabetic() || c == '_';
    let is_name =
        name.starts_with(is_start) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err(format!("`{name}` is not the name of a parameter"));
    }
    if value.is_empty() {
        return Err(format!("`{name}=` has nothing after the `=`"));
    }
    Ok((name.to_owned(), value))
}

fn number(text: &str) -> Option<Number> {
    match text {
        "true" => return Some(Number::Bool(true)),
        "false" => return Some(Number::Bool(false)),
        "inf" | "+inf" => return Some(Number::Float(f64::INFINITY)),
        "-inf" => return Some(Number::Float(f64::NEG_INFINITY)),
        "nan" => return Some(Number::Float(f64::NAN)),
        _ => {}
    }
    // Words such as `infinity`, which Rust would also read, are more likely the name of a file.
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) {
        return None;
    }
    let int = text.parse().ok().map(Number::Int);
    int.or_else(|| text.parse().ok().filter(|x: &f64| x.is_finite()).map(Number::Float))
}

/// `in.npz:k`: the part after the last colon is a name if what stands before it ends as an archive.
fn file_place(text: &str) -> FilePlace {
    if let Some((path, entry)) = text.rsplit_once(':')
        && files::Format::of(path.as_ref()).is_ok()
    {
        return FilePlace { path: path.into(), entry: Some(entry.to_owned()) };
    }
    FilePlace { path: text.into(), entry: None }
}

/// `name(` has been read; `rest` is `1,8,64):f16@7`.
fn made(name: &str, rest: &str, whole: &str) -> Result<Made, String> {
    let Some((inside, after)) = rest.split_once(')') else {
        return Err(format!("`{whole}` lacks `)`"));
    };
    let mut parts: Vec<&str> = inside.split(',').map(str::trim).collect();
    if parts == [""] {
        parts.clear();
    }
    let range = match parts.last().copied().and_then(|part| part.split_once("..")) {
        Some((low, high)) => {
            parts.pop();
            let bound = |text: &str| {
                let value: Option<f64> = text.trim().parse().ok().filter(|x: &f64| x.is_finite());
                value.ok_or_else(|| format!("`{text}` in `{whole}` is not a number"))
            };
            Some((bound(low)?, bound(high)?))
        }
        None => None,
    };
    let kind = match (name, range) {
        ("uniform", Some((low, high))) if low < high => Kind::Uniform { low, high },
        ("uniform", Some((low, high))) => {
            return Err(format!("the range {low}..{high} in `{whole}` is empty"));
        }
        ("uniform", None) => Kind::Uniform { low: 0.0, high: 1.0 },
        ("zeros", None) => Kind::Zeros,
        ("ones", None) => Kind::Ones,
        ("arange", None) => Kind::Arange,
        ("randn", None) => Kind::Normal,
        ("zeros" | "ones" | "arange" | "randn", Some(_)) => {
            return Err(format!("`{name}` takes extents only, no range; use uniform"));
        }
        _ => return Err(format!("`{name}` makes no tensor; known are {GENERATORS}")),
    };
    let extent = |part: &&str| {
        let value: Option<i64> = part.parse().ok().filter(|&extent| extent >= 0);
        value.ok_or_else(|| format!("`{part}` in `{whole}` is not an extent"))
    };
    let shape = parts.iter().map(extent).collect::<Result<_, _>>()?;
    let (dtype, seed) = suffixes(after, whole)?;
    Ok(Made { kind, shape, dtype, seed })
}

/// `:f16@7`, either part may be missing.
fn suffixes(text: &str, whole: &str) -> Result<(Option<DType>, Option<u64>), String> {
    let (dtype, seed) = match text.split_once('@') {
        Some((dtype, seed)) => (dtype, Some(seed)),
        None => (text, None),
    };
    let seed = seed
        .map(|seed| {
            seed.parse().map_err(|_| {
                format!("the seed `{seed}` in `{whole}` is not a number from 0 to 2^64 - 1")
            })
        })
        .transpose()?;
    let dtype = match dtype.strip_prefix(':') {
        None if dtype.is_empty() => None,
        None => return Err(format!("`{dtype}` after `)` in `{whole}`; write :dtype or @seed")),
        Some(name) => Some(DType::from_name(name).ok_or_else(|| {
            let known = DType::ALL.map(DType::name).join(", ");
            format!("`{name}` in `{whole}` is not an element type; known are {known}")
        })?),
    };
    Ok((dtype, seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<Value, String> {
        text.parse()
    }

    #[test]
    fn numbers() {
        let number = |text| match value(text) {
            Ok(Value::Number(number)) => number,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(number("7"), Number::Int(7));
        assert_eq!(number("-3"), Number::Int(-3));
        assert_eq!(number("0.125"), Number::Float(0.125));
        assert_eq!(number("1e-5"), Number::Float(1e-5));
        assert_eq!(number("-inf"), Number::Float(f64::NEG_INFINITY));
        assert_eq!(number("true"), Number::Bool(true));
        assert_eq!(number("9223372036854775808"), Number::Float(9223372036854775808.0));
    }

    #[test]
    fn files_and_their_entries() {
        let file = |text| match value(text) {
            Ok(Value::File(place)) => place,
            other => panic!("{text}: {other:?}"),
        };
        let place = |path: &str, entry: Option<&str>| FilePlace {
            path: path.into(),
            entry: entry.map(str::to_owned),
        };
        assert_eq!(file("q.npy"), place("q.npy", None));
        assert_eq!(
            file("a/in.safetensors:layer.0.k"),
            place("a/in.safetensors", Some("layer.0.k"))
        );
        assert_eq!(file("c:d/x.npz"), place("c:d/x.npz", None));
        assert_eq!(file("c:d/x.npz:k"), place("c:d/x.npz", Some("k")));
    }

    #[test]
    fn made_up_tensors() {
        let made = |kind, shape: &[i64], dtype, seed| {
            Ok(Value::Made(Made { kind, shape: shape.to_vec(), dtype, seed }))
        };
        let f16 = Some(DType::F16);
        assert_eq!(value("randn(1,8, 64):f16@7"), made(Kind::Normal, &[1, 8, 64], f16, Some(7)));
        assert_eq!(value("zeros()"), made(Kind::Zeros, &[], None, None));
        assert_eq!(value("arange(3)@2"), made(Kind::Arange, &[3], None, Some(2)));
        let kind = Kind::Uniform { low: -1.0, high: 100.0 };
        assert_eq!(value("uniform(8, -1..100):i32"), made(kind, &[8], Some(DType::I32), None));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let complaint = |text: &str| text.parse::<Assignment>().unwrap_err();
        assert_eq!(complaint("q"), "`q` lacks `=`; write NAME=VALUE");
        assert_eq!(complaint("1q=3"), "`1q` is not the name of a parameter");
        assert_eq!(complaint("q="), "`q=` has nothing after the `=`");
        assert_eq!(complaint("q=randn(1,8"), "`randn(1,8` lacks `)`");
        assert_eq!(complaint("q=randn(1,x)"), "`x` in `randn(1,x)` is not an extent");
        assert_eq!(complaint("q=randn(-1)"), "`-1` in `randn(-1)` is not an extent");
        assert_eq!(
            complaint("q=random(1)"),
            "`random` makes no tensor; known are zeros, ones, arange, randn, uniform"
        );
        assert_eq!(
            complaint("q=randn(1):f8"),
            "`f8` in `randn(1):f8` is not an element type; known are bool, i32, i64, f16, bf16, f32"
        );
        assert_eq!(
            complaint("q=randn(1)@x"),
            "the seed `x` in `randn(1)@x` is not a number from 0 to 2^64 - 1"
        );
        assert_eq!(
            complaint("q=randn(1)f16"),
            "`f16` after `)` in `randn(1)f16`; write :dtype or @seed"
        );
        assert_eq!(complaint("q=uniform(4,5..5)"), "the range 5..5 in `uniform(4,5..5)` is empty");
        assert_eq!(complaint("q=ones(4,5..6)"), "`ones` takes extents only, no range; use uniform");
        assert!(complaint("q=data.txt").starts_with("`data.txt` is no number, no file"));
        assert_eq!(
            "o=x.txt".parse::<OutputFile>().unwrap_err(),
            "x.txt: the name must end in .npy, .npz or .safetensors"
        );
        assert_eq!("BM=x".parse::<Setting>().unwrap_err(), "`x` is not a whole number");
    }

    #[test]
    fn parameters_without_a_seed_differ_and_stay() {
        let values = |text: &str| {
            let assignment: Assignment = text.parse().expect("an assignment");
            match assignment.resolve(Some(DType::BF16)).expect("an argument") {
                Argument::Tensor(tensor) => {
                    assert_eq!(tensor.dtype(), DType::BF16);
                    tensor.to_f64s().expect("values")
                }
                Argument::Number(number) => panic!("{number} is no tensor"),
            }
        };
        assert_ne!(values("q=randn(9)"), values("k=randn(9)"));
        assert_eq!(values("q=randn(9)"), values("q=randn(9)"));
        assert_eq!(values("q=randn(9)@1"), values("k=randn(9)@1"));
    }
}
