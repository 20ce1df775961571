//! The simulator as a device, on PTX written by hand.

mod support;

use support::{Add, add, add_of, code, order, race, run, sum, window};
use tilec_host::{Device, RuntimeError, Tensor, launch};
use tilec_ptxsim::{Config, Counters};
use tilec_sim::{Options, SimDevice};
use tilec_vocab::{DType, Payload};

fn device() -> SimDevice {
    SimDevice::new(Options::default(), None)
}

fn strict(schedules: usize) -> SimDevice {
    SimDevice::new(Options { schedules, ..Options::default() }, None)
}

fn message(result: Result<(), RuntimeError>) -> String {
    result.expect_err("a fault").to_string()
}

fn tensor(dtype: DType, values: &[f64]) -> Tensor {
    let len = values.len() as i64;
    match dtype {
        DType::F32 => Tensor::from_f64s(dtype, &[len], values),
        _ => {
            let ints = values.iter().map(|&value| value as i64).collect();
            Tensor::new(dtype, &[len], &tilec_host::Elements::Ints(ints))
        }
    }
    .expect("a tensor")
}

#[test]
fn strided_and_whole_tensors_come_out_right() {
    for (len, stride) in [(1, 1), (128, 1), (300, 1), (300, 3), (77, 2)] {
        for device in [device(), strict(6)] {
            let Add { launch: bound, o, wanted } = add_of(len, stride);
            launch(device.load(&add()).expect("loads").as_ref(), &bound).expect("runs");
            assert_eq!(o.to_f64s().expect("values"), wanted, "{len} elements {stride} apart");
        }
    }
}

#[test]
fn a_race_names_both_accesses_and_the_lines_of_the_source() {
    let x = tensor(DType::I32, &[1.0; 128]);
    let o = tensor(DType::I32, &[7.0; 128]);
    let text = message(run(&device(), &race(), &[("x", &x), ("o", &o)]));
    for wanted in [
        "device sim: kernel `race`: the simulator found faults",
        "error[SIM-RACE]",
        "`ld.shared.b32 %v, [%s]`",
        "at race.tile:8:3",
        "`st.shared.b32 [%s], %v`",
        "at race.tile:7:3",
    ] {
        assert!(text.contains(wanted), "{wanted} is not in\n{text}");
    }
    assert_eq!(o.to_f64s().expect("values"), [7.0; 128], "a faulty launch writes nothing");
}

#[test]
fn an_access_between_the_elements_is_found() {
    let mut wrong = add();
    code(&mut wrong).text = support::ADD.replacen("shl.b64 %s, %s, 2", "shl.b64 %s, %s, 1", 1);
    let Add { launch: bound, .. } = add_of(64, 2);
    let text = message(launch(device().load(&wrong).expect("loads").as_ref(), &bound));
    assert!(text.contains("error[SIM-GAP]"), "{text}");
    assert!(text.contains("`x`"), "{text}");
}

#[test]
fn a_result_that_depends_on_the_order_of_programs_is_refused() {
    let count = tensor(DType::I32, &[0.0; 8]);
    let o = tensor(DType::I32, &[0.0; 8]);
    run(&device(), &order(), &[("count", &count), ("o", &o)]).expect("one order is no fault");
    let text = message(run(&strict(4), &order(), &[("count", &count), ("o", &o)]));
    assert!(text.contains("`o` comes out differently"), "{text}");
}

#[test]
fn sums_by_atomic_additions_may_round_differently() {
    let x = tensor(DType::F32, &[1e8, 1.0, -1e8, 3.0, 0.25, 1e7, -1e7]);
    let o = tensor(DType::F32, &[10.0]);
    run(&strict(6), &sum(), &[("x", &x), ("o", &o)]).expect("runs");
    // In order, and each sum rounded: 10 + 1e8 is 100000008 + 1 = 100000008, …
    let in_order = [1e8f32, 1.0, -1e8, 3.0, 0.25, 1e7, -1e7].iter().fold(10.0f32, |a, b| a + b);
    assert_eq!(o.to_f64s().expect("values"), [f64::from(in_order)]);
}

#[test]
fn inputs_may_overlap_themselves_and_run_backwards() {
    let memory = tensor(DType::F32, &[1.0, 2.0, 4.0, 8.0, 16.0]);
    let o = tensor(DType::F32, &[0.0; 4]);
    for (shape, strides, offset, wanted) in [
        // A window that slides by less than it is wide.
        ([4, 2], [1, 1], 0, [-1.0, -2.0, -4.0, -8.0]),
        ([4, 2], [-1, 1], 3, [-8.0, -4.0, -2.0, -1.0]),
        ([4, 2], [0, -2], 4, [12.0; 4]),
    ] {
        let x = memory.view(&shape, &strides, offset).expect("a view");
        run(&strict(3), &window(), &[("x", &x), ("o", &o)]).expect("runs");
        assert_eq!(o.to_f64s().expect("values"), wanted, "{strides:?}");
    }
}

#[test]
fn counters_are_those_of_the_launch() {
    let config = Config { counters: Counters::Full, ..Config::default() };
    let device = SimDevice::new(Options { config, ..Options::default() }, None);
    assert!(device.stats().is_none());
    let Add { launch: bound, .. } = add_of(256, 1);
    launch(device.load(&add()).expect("loads").as_ref(), &bound).expect("runs");
    let stats = device.stats().expect("counted");
    // 8 warps, each of which reads twice and writes once 128 bytes: 4 sectors each time.
    assert_eq!(stats.total("global"), (96, 96));
}

#[test]
fn what_is_missing_is_said() {
    let mut tiles = add();
    tiles.payload = Payload::TileIr("kernel add {}".to_owned());
    let Add { launch: bound, .. } = add_of(4, 1);
    let text = message(launch(device().load(&tiles).expect("loads").as_ref(), &bound));
    assert!(text.contains("holds tile IR, and there is no compiler here"), "{text}");
    let mut unknown = add();
    code(&mut unknown).text = support::ADD.replace("fma.rn.f32 %x, %y", "fma.rn.f33 %x, %y");
    let text = message(launch(device().load(&unknown).expect("loads").as_ref(), &bound));
    assert!(text.contains("its PTX cannot be simulated: ptx line"), "{text}");
}
