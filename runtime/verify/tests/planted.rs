//! Faults planted in kernels that are right: each must be found, with its place, on a shape that shows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tilec_cpu::CpuDevice;
use tilec_driver::{Options, front};
use tilec_host::{Device, DeviceInfo, Executable, RuntimeError};
use tilec_ir::{Module, Tile};
use tilec_sema::Loader;
use tilec_verify::{CaseError, Failure, InterpDevice, Plan, Row, What, verify};
use tilec_vocab::{Artifact, DType, SourceFile, Sources};

/// Nothing can be imported: each text stands alone.
struct Alone;

impl Loader for Alone {
    fn load(&self, _: &str) -> Result<Option<SourceFile>, String> {
        Ok(None)
    }
}

fn module(text: String) -> Module<Tile> {
    let mut sources = Sources::default();
    let root = sources.add("test.tile", text);
    let (module, diagnostics) = front(root, &mut sources, &Alone);
    let shown =
        tilec_vocab::render::render(&diagnostics, &sources, tilec_vocab::render::Style::Plain);
    module.unwrap_or_else(|| panic!("{shown}"))
}

/// A variant of the library with the functions it is made of, its first `right` replaced by `wrong`.
fn planted(variant: &str, right: &str, wrong: &str) -> Module<Tile> {
    let text = |name| tilec_kernels::find(name).map_or("", |file| file.text);
    let own = text(variant).lines().filter(|line| !line.starts_with("use "));
    let whole = format!("{}\n{}", own.collect::<Vec<_>>().join("\n"), text("flash"));
    assert!(whole.contains(right), "{variant} holds no `{right}`");
    module(whole.replacen(right, wrong, 1))
}

fn rows(module: &Module<Tile>, cases: usize, dtypes: &[DType]) -> Vec<Row> {
    rows_on(&InterpDevice, module, cases, dtypes)
}

fn rows_on(device: &dyn Device, module: &Module<Tile>, cases: usize, dtypes: &[DType]) -> Vec<Row> {
    let kernel = module.kernels.last().expect("a kernel");
    let spec = module.spec(&kernel.name).expect("a spec");
    let plan = Plan {
        cases,
        seed: 0,
        dtypes: dtypes.to_vec(),
        fixed: BTreeMap::new(),
        options: Options::default(),
        threads: None,
    };
    verify(kernel, spec, &[device], &plan, &|| {}).expect("something to verify")
}

/// The failure found in f32.
fn failure(module: &Module<Tile>) -> Failure {
    let row = rows(module, 36, &[DType::F32]).pop().expect("a row");
    row.failure.unwrap_or_else(|| panic!("{} passed", row.kernel))
}

/// Each fault in a variant; `what` says how it looks.
#[test]
fn every_planted_fault_is_found_with_its_place() {
    let table = [
        ("window edge", "window_left", "m - n <= window", "m - n < window"),
        ("other window edge", "window_two_sided", "m - n <= left", "m - n <= left + 1"),
        ("diagonal", "causal", "n <= m", "n < m"),
        ("sum not rescaled", "full", "den = den * c + sum", "den = den + sum"),
        ("accumulator not rescaled", "full", "acc = acc * c + dot", "acc = acc + dot"),
        ("maximum not carried", "full", "top = hi;", ""),
        ("no row maximum", "softcap", "hi == -inf, 0.0, hi", "hi == -inf, 0.0, 90.0"),
        ("scale forgotten", "full", "over d) * scale", "over d)"),
        ("heads mixed up", "causal", "h / (H / G)", "h % G"),
        ("last block left out", "full", "for n in N by BN", "for n in 0..N - N % BN by BN"),
        ("first key left out", "full", "for n in N by BN", "for n in 1..N by BN"),
        ("empty rows", "window_left", "select(hi > top, exp(top - base), 1.0)", "exp(top - hi)"),
        ("no division", "full", "acc / den", "acc"),
        ("log of the wrong base", "full", "log(den)", "log2(den)"),
        ("output left out", "full", "    lse[b, h, m] = top + log(den);", ""),
    ];
    let mut missed = Vec::new();
    for (name, variant, right, wrong) in table {
        let found = failure(&planted(variant, right, wrong));
        let What::Wrong(judged) = &found.what else {
            missed.push(format!("{name}: {found:?}"));
            continue;
        };
        let comparison = &judged.comparison;
        let rank = if judged.output == "o" { 4 } else { 3 };
        if comparison.pass || comparison.position.as_ref().is_none_or(|at| at.len() != rank) {
            missed.push(format!("{name}: {comparison:?}"));
        }
        let dims = &found.case.extents.dims;
        if dims["B"] != 1 || dims.values().product::<i64>() > 130 {
            missed.push(format!("{name}: not shrunk: {}", found.case));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// Compiled code goes wrong in the same way, in every type.
#[test]
fn planted_faults_are_found_on_the_cpu() {
    let cpu = CpuDevice::new(Some(1)).expect("a processor");
    let table = [
        ("window_left", "m - n <= window", "m - n < window"),
        ("full", "acc = acc * c + dot", "acc = acc + dot"),
    ];
    for (variant, right, wrong) in table {
        for row in rows_on(&cpu, &planted(variant, right, wrong), 12, &[]) {
            let failure = row.failure.unwrap_or_else(|| panic!("{variant} {} passed", row.dtypes));
            let What::Wrong(judged) = &failure.what else { panic!("{failure:?}") };
            assert_eq!(judged.output, "o", "{failure:?}");
            assert_eq!(judged.comparison.position.as_ref().map(Vec::len), Some(4), "{failure:?}");
        }
    }
}

/// The smallest shape of a window one key too short is one query and one key.
#[test]
fn a_failure_is_shrunk_and_says_where() {
    let module = planted("causal", "n <= m", "n < m");
    let found = failure(&module);
    let dims: Vec<i64> = found.case.extents.dims.values().copied().collect();
    assert_eq!(dims, [1, 1, 1, 1, 1], "{}", found.case);
    let What::Wrong(judged) = found.what else { panic!("{:?}", found.what) };
    assert_eq!((judged.output.as_str(), judged.comparison.failures > 0), ("o", true));
    assert_eq!(judged.comparison.position.map(|at| at[..3].to_vec()), Some(vec![0, 0, 0]));
}

/// NaN is no number, whatever the bound.
#[test]
fn nan_never_passes() {
    let found =
        failure(&planted("window_left", "select(hi > top, exp(top - base), 1.0)", "exp(top - hi)"));
    let What::Wrong(judged) = found.what else { panic!("{:?}", found.what) };
    assert!(judged.comparison.nan_count > 0, "{:?}", judged.comparison);
    assert_eq!(judged.comparison.max_abs_error, f64::INFINITY);
}

/// Too little precision passes no more than a wrong formula: weights rounded to bf16 in f32.
#[test]
fn lost_precision_is_found() {
    let found = failure(&planted("full", "dot(p as T,", "dot((p as bf16) as T,"));
    let What::Wrong(judged) = found.what else { panic!("{:?}", found.what) };
    let comparison = judged.comparison;
    assert!(comparison.max_abs_error < 0.1 && comparison.max_abs_error > comparison.bound);
}

#[test]
fn kernels_that_are_right_pass_in_every_type() {
    for variant in ["causal", "window_left", "gqa"] {
        for row in rows(&planted(variant, "B", "B"), 12, &[]) {
            assert!(row.passed(), "{} {}: {:?}", row.kernel, row.dtypes, row.failure);
            assert_eq!(row.cases, 12);
        }
    }
}

/// What is added to was there before; what is not written stays.
#[test]
fn contents_from_before_count() {
    let text = "
        kernel add(x: &f32[N], ids: &i32[N], y: &mut f32[4]) tune BN in [16]
        grid n in N by BN { y[ids[n]] += x[n]; }
        spec add { axis k in 4; axis n in N;
            y[k] = y[k] + sum(select(ids[n] == k, x[n], 0.0) over n); }";
    let found = rows(&module(text.to_owned()), 12, &[]);
    assert!(found[0].passed(), "{:?}", found[0].failure);

    let text = "
        kernel half(x: &f32[N], y: &mut f32[N]) tune BN in [16]
        grid n in N by BN { y[2 * n] = x[2 * n]; }
        spec half { axis n in N; y[2 * n] = x[2 * n]; }";
    let found = rows(&module(text.to_owned()), 12, &[]);
    assert!(found[0].passed(), "{:?}", found[0].failure);
}

#[test]
fn the_same_seed_draws_the_same_cases() {
    let module = planted("window_left", "m - n <= window", "m - n < window");
    assert_eq!(failure(&module).case, failure(&module).case);
}

/// A device with room for so many values of a constant or a knob.
struct Narrow(&'static str, i64);

impl Device for Narrow {
    fn info(&self) -> DeviceInfo {
        InterpDevice.info()
    }

    fn load(&self, artifact: &Artifact) -> Result<Arc<dyn Executable>, RuntimeError> {
        if artifact.specialisation.ints[self.0] > self.1 {
            let (device, message) = ("narrow".to_owned(), "too wide".to_owned());
            return Err(RuntimeError::NoRoom { device, message });
        }
        InterpDevice.load(artifact)
    }
}

#[test]
fn a_case_that_a_device_has_no_room_for_runs_with_smaller_knobs() {
    let right = planted("full", "", "");
    for row in rows_on(&Narrow("BN", 32), &right, 6, &[DType::F32]) {
        assert!(row.passed(), "{:?}", row.failure);
        for (case, _) in &row.closest {
            assert_eq!((case.extents.ints["BM"], case.extents.ints["BN"]), (64, 32));
        }
    }
    for row in rows_on(&Narrow("BN", 8), &right, 6, &[DType::F32]) {
        let what = row.failure.map(|failure| failure.what);
        let refused = |what: &What| {
            matches!(what, What::Error(CaseError::Runtime(RuntimeError::NoRoom { .. })))
        };
        assert!(what.as_ref().is_some_and(refused), "{what:?}");
    }
}

#[test]
fn cases_that_no_knob_makes_fit_are_counted_beside_the_others() {
    let right = planted("full", "", "");
    for row in rows_on(&Narrow("D", 64), &right, 48, &[DType::F32]) {
        assert!(row.passed(), "{:?}", row.failure);
        assert!(row.cases > 0 && row.unfit > 0, "{} cases, no room for {}", row.cases, row.unfit);
        assert!(row.closest.iter().all(|(case, _)| case.extents.ints["D"] <= 64));
    }
}
