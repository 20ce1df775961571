//! What the launcher lets through and what it says of the rest.

use proptest::prelude::*;
use tilec_host::{Arg, Arguments, Elements, RuntimeError, Scalar, Tensor, bind};
use tilec_vocab::{Contract, DType, HostExpr, HostOp, ParamKind, ParamSpec, Require};

fn tensor(name: &str, dtype: DType, dims: &[&str], mutable: bool) -> ParamSpec {
    let dims = dims.iter().map(|dim| dim.to_string()).collect();
    ParamSpec { name: name.into(), kind: ParamKind::Tensor { dtype, dims, mutable } }
}

fn scalar(name: &str, dtype: DType) -> ParamSpec {
    ParamSpec { name: name.into(), kind: ParamKind::Scalar(dtype) }
}

fn name(name: &str) -> HostExpr {
    HostExpr::Name(name.into())
}

/// `kernel flash(q: &f16[H, M, D], k: &f16[G, N, D], o: &mut f16[H, M, D], window: i32, scale: f32)
/// require H % G == 0  grid h in H, m in M by 64`, for `D = 16`.
fn flash() -> Contract {
    let rest = HostExpr::binary(HostOp::Rem, name("H"), name("G"));
    Contract {
        kernel: "flash".into(),
        params: vec![
            tensor("q", DType::F16, &["H", "M", "D"], false),
            tensor("k", DType::F16, &["G", "N", "D"], false),
            tensor("o", DType::F16, &["H", "M", "D"], true),
            scalar("window", DType::I32),
            scalar("scale", DType::F32),
        ],
        dims: ["H", "M", "G", "N"].map(String::from).to_vec(),
        consts: vec![("D".into(), 16)],
        requires: vec![Require {
            expr: HostExpr::binary(HostOp::Eq, rest, HostExpr::Int(0)),
            text: "H % G == 0".into(),
        }],
        grid: vec![name("H"), HostExpr::binary(HostOp::Cdiv, name("M"), HostExpr::Int(64))],
    }
}

fn zeros(shape: &[i64]) -> Tensor {
    Tensor::zeros(DType::F16, shape).unwrap()
}

fn arguments() -> Arguments {
    let mut args = Arguments::new();
    args.insert("q", zeros(&[4, 100, 16]));
    args.insert("k", zeros(&[2, 33, 16]));
    args.insert("o", zeros(&[4, 100, 16]));
    args.insert("window", 7);
    args.insert("scale", 0.25);
    args
}

/// The message for the good arguments with one of them replaced.
fn message(name: &str, argument: impl Into<tilec_host::Argument>) -> String {
    let mut args = arguments();
    args.insert(name, argument);
    bind(&flash(), &args).unwrap_err().to_string()
}

#[test]
fn good_arguments_arrive_by_position() {
    let launch = bind(&flash(), &arguments()).unwrap();
    let args = launch.args();
    assert_eq!(args.dims, [4, 100, 2, 33]);
    assert_eq!(args.grid, [4, 2]);
    let Arg::Tensor(q) = &args.args[0] else { panic!("q is a tensor") };
    assert_eq!((q.shape.as_slice(), q.strides.as_slice()), (&[4, 100, 16][..], &[1600, 16, 1][..]));
    assert_eq!(q.address.addr() % tilec_host::HOST_ALIGNMENT, 0);
    let Arg::Scalar(window) = args.args[3] else { panic!("window is a number") };
    assert_eq!(window, Scalar::I32(7));
    let Arg::Scalar(scale) = args.args[4] else { panic!("scale is a number") };
    assert_eq!(scale, Scalar::F32(0.25));
}

#[test]
fn no_rows_are_no_programs() {
    let mut args = arguments();
    args.insert("q", zeros(&[4, 0, 16]));
    args.insert("o", zeros(&[4, 0, 16]));
    assert_eq!(bind(&flash(), &args).unwrap().args().grid, [4, 0]);
}

#[test]
fn each_message_names_kernel_argument_and_limit() {
    let f32s = Tensor::zeros(DType::F32, &[4, 100, 16]).unwrap();
    let cases = [
        (
            message("k2", 1),
            "kernel `flash` has no parameter `k2`; it has `q`, `k`, `o`, `window`, `scale`",
        ),
        (
            message("q", 1),
            "kernel `flash`: argument `q` must be a tensor f16[H, M, D], got the number 1",
        ),
        (
            message("scale", zeros(&[1])),
            "kernel `flash`: argument `scale` must be a number of type f32, got a tensor f16[1]",
        ),
        (
            message("window", 1.5),
            "kernel `flash`: argument `window` must be a number of type i32, got the number 1.5",
        ),
        (
            message("window", 1 << 31),
            "kernel `flash`: argument `window` must be a number of type i32, got the number 2147483648",
        ),
        (
            message("q", f32s),
            "kernel `flash`: argument `q` has elements of type f32, the kernel was compiled for f16",
        ),
        (
            message("q", zeros(&[100, 16])),
            "kernel `flash`: argument `q` has 2 dimensions, shape [100, 16]; the kernel takes 3 dimensions, [H, M, D]",
        ),
        (
            message("o", zeros(&[4, 99, 16])),
            "kernel `flash`: `M` is 100 by dimension 1 of argument `q` and 99 by dimension 1 of argument `o`",
        ),
        (
            message("k", zeros(&[2, 33, 8])),
            "kernel `flash`: dimension 2 of argument `k` is 8, but the kernel was compiled for `D` = 16",
        ),
        (
            message("k", zeros(&[3, 33, 16])),
            "kernel `flash` requires `H % G == 0`, which does not hold for H = 4, G = 3",
        ),
        (
            message("k", zeros(&[0, 33, 16])),
            "kernel `flash`: `require H % G == 0` cannot be computed for H = 4, G = 0",
        ),
    ];
    for (got, expected) in cases {
        assert_eq!(got, expected);
    }
    let mut args = Arguments::new();
    args.insert("q", zeros(&[4, 100, 16]));
    let missing = bind(&flash(), &args).unwrap_err().to_string();
    assert_eq!(missing, "kernel `flash`: argument `k` is missing; it is a tensor f16[G, N, D]");
}

#[test]
fn a_grid_too_large_is_refused() {
    let one = zeros(&[1, 1, 16]);
    let view = |h: i64, m: i64| one.view(&[h, m, 16], &[0, 0, 1], 0).unwrap();
    let mut contract = flash();
    contract.params[2] = tensor("o", DType::F16, &["H", "M", "D"], false);
    let message = |h, m| {
        let mut args = arguments();
        args.insert("q", view(h, m));
        args.insert("o", view(h, m));
        bind(&contract, &args).unwrap_err().to_string()
    };
    assert_eq!(
        message(1 << 20, 1 << 20),
        "kernel `flash`: the grid `H, cdiv(M, 64)` has 17179869184 programs for H = 1048576, \
         M = 1048576, allowed are 0 to 2147483647"
    );
    assert!(message(1 << 62, 1 << 62).contains("allowed are 0 to 2147483647"));
}

#[test]
fn a_written_tensor_has_its_memory_to_itself() {
    let buffer = zeros(&[4, 100, 32]);
    let (left, right) = (buffer.slice(2, 0, 16).unwrap(), buffer.slice(2, 16, 32).unwrap());

    // Interleaved, but no element is shared.
    let mut args = arguments();
    args.insert("q", &left);
    args.insert("o", &right);
    assert!(bind(&flash(), &args).is_ok());

    args.insert("o", buffer.slice(2, 15, 31).unwrap());
    assert_eq!(
        bind(&flash(), &args).unwrap_err().to_string(),
        "kernel `flash` writes argument `o`, which shares memory with argument `q`"
    );

    let row = zeros(&[4, 1, 16]);
    assert_eq!(
        message("o", row.expand(1, 100).unwrap()),
        "kernel `flash` writes argument `o`, but two of its elements share one address \
         (shape [4, 100, 16], strides [16, 0, 1])"
    );
}

#[test]
fn views_read_and_write_what_they_show() -> Result<(), RuntimeError> {
    let all: Vec<f64> = (0..24).map(f64::from).collect();
    let tensor = Tensor::from_f64s(DType::F32, &[2, 3, 4], &all)?;
    let turned = tensor.permute(&[2, 0, 1])?.slice(0, 1, 3)?.flip(2)?;
    assert_eq!(turned.shape(), [2, 2, 3]);
    let expected = [9.0, 5.0, 1.0, 21.0, 17.0, 13.0, 10.0, 6.0, 2.0, 22.0, 18.0, 14.0];
    assert_eq!(turned.to_f64s()?, expected);
    assert_eq!(turned.to_contiguous()?.to_f64s()?, expected);
    turned.write(&Elements::Floats(vec![-1.0; 12]))?;
    assert_eq!(tensor.to_f64s()?.iter().filter(|&&x| x == -1.0).count(), 12);
    assert_eq!(tensor.slice(2, 0, 1)?.to_f64s()?, [0.0, 4.0, 8.0, 12.0, 16.0, 20.0]);
    assert!(tensor.slice(2, 3, 5).is_err());
    assert!(tensor.permute(&[0, 0, 1]).is_err());
    assert!(tensor.expand(0, 3).is_err());
    assert!(tensor.write(&Elements::Ints(vec![0; 24])).is_err());
    assert!(tensor.write(&Elements::Floats(vec![0.0; 23])).is_err());
    Ok(())
}

/// A view of a buffer of 64 bytes, as elements of `dtype`.
fn small_view() -> impl Strategy<Value = (Vec<i64>, Vec<i64>, i64)> {
    (prop::collection::vec((0i64..4, -5i64..6), 2..=2), 0i64..16).prop_map(|(dims, offset)| {
        let (shape, strides) = dims.into_iter().unzip();
        (shape, strides, offset)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The definition of aliasing: an element set through one view is seen through the other.
    #[test]
    fn aliasing_is_writing_one_and_seeing_it_in_the_other(a in small_view(), b in small_view()) {
        let contract = Contract {
            kernel: "copy".into(),
            params: vec![
                tensor("a", DType::I32, &["X", "Y"], true),
                tensor("b", DType::I32, &["Z", "W"], false),
            ],
            dims: ["X", "Y", "Z", "W"].map(String::from).to_vec(),
            consts: vec![],
            requires: vec![],
            grid: vec![],
        };
        let buffer = Tensor::zeros(DType::I32, &[16]).unwrap();
        let view = |v: &(Vec<i64>, Vec<i64>, i64)| buffer.view(&v.0, &v.1, v.2);
        let (Ok(a), Ok(b)) = (view(&a), view(&b)) else { return Ok(()) };
        if tilec_host::overlaps_itself(a.shape(), a.strides()) {
            return Ok(());
        }
        let mut args = Arguments::new();
        args.insert("a", &a);
        args.insert("b", &b);
        let refused = matches!(bind(&contract, &args), Err(RuntimeError::Alias { .. }));

        a.write(&Elements::Ints(vec![1; a.len()])).unwrap();
        let seen = b.to_f64s().unwrap().contains(&1.0);
        // More lanes than elements in range: there the ranges decide, and may refuse too much.
        let (lowest, highest) = tilec_host::reach(b.shape(), b.strides(), 0).unwrap_or((0, 0));
        let crowded = b.len() as i128 > (highest - lowest + 1) * 4;
        prop_assert!(refused == seen || (refused && crowded));
    }
}
