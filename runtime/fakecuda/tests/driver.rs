//! `runtime/cuda` on the fake driver: arguments, limits, and a failure of each call.

#[path = "../../sim/tests/support/mod.rs"]
mod kernels;
mod support;

use std::time::Duration;

use kernels::{Add, add, add_of, code};
use support::{under, under_within};
use tilec_cuda::{CudaDevice, Graph};
use tilec_host::{Device, RuntimeError, launch};
use tilec_vocab::Cubin;

/// For a process that ends by itself.
const LIMIT: Duration = Duration::from_secs(60);

const TARGETS: &[&str] = &["sm_80", "sm_90"];

fn open() -> Result<CudaDevice, RuntimeError> {
    CudaDevice::open(0, TARGETS, None)
}

fn device() -> CudaDevice {
    open().expect("a device")
}

/// Opens the device and adds vectors there.
fn run() -> Result<(), RuntimeError> {
    let device = open()?;
    let Add { launch: bound, o, wanted } = add_of(300, 1);
    launch(device.load(&add())?.as_ref(), &bound)?;
    assert_eq!(o.to_f64s().expect("values"), wanted);
    Ok(())
}

#[test]
fn tensors_go_there_and_come_back() {
    let ended = under("tensors_go_there_and_come_back", "", || {
        for (len, stride) in [(1, 1), (300, 1), (300, 3)] {
            let Add { launch: bound, o, wanted } = add_of(len, stride);
            let kernel = device().load(&add()).expect("loads");
            for _ in 0..2 {
                launch(kernel.as_ref(), &bound).expect("runs");
                assert_eq!(o.to_f64s().expect("values"), wanted, "{len} elements {stride} apart");
            }
        }
    });
    let Some(ended) = ended.map(|ended| ended.well()) else { return };
    let count = |name| ended.calls(name);
    assert_eq!(count("cuLaunchKernel"), 6);
    assert_eq!(count("cuModuleLoadDataEx"), 3, "code is made once for each kernel");
    for (made, freed) in [
        ("cuMemAlloc_v2", "cuMemFree_v2"),
        ("cuModuleLoadDataEx", "cuModuleUnload"),
        ("cuStreamCreate", "cuStreamDestroy_v2"),
        ("cuDevicePrimaryCtxRetain", "cuDevicePrimaryCtxRelease_v2"),
    ] {
        assert_eq!(count(made), count(freed), "{made}");
    }
    assert!(!ended.log.iter().any(|line| line.starts_with("left: ")), "{:?}", ended.log);
}

#[test]
fn the_gaps_of_an_output_are_not_written() {
    under("the_gaps_of_an_output_are_not_written", "", || {
        let Add { launch: bound, o, .. } = add_of(20, 2);
        let whole = o.view(&[40], &[1], 0).expect("a view");
        launch(device().load(&add()).expect("loads").as_ref(), &bound).expect("runs");
        let values = whole.to_f64s().expect("values");
        assert!(values.iter().skip(1).step_by(2).all(|value| value.is_nan()));
        assert!(values.iter().step_by(2).all(|value| !value.is_nan()));
    })
    .map(|ended| ended.well());
}

#[test]
fn facts_are_those_of_the_driver() {
    under("facts_are_those_of_the_driver", "devices 2; shared 101376; capability 89", || {
        let device = device();
        let facts = device.facts();
        assert_eq!(facts.capability, (8, 9));
        assert_eq!((facts.shared_bytes, facts.shared_bytes_optin), (48 << 10, 99 << 10));
        assert_eq!((facts.multiprocessors, facts.driver), (108, (12, 4)));
        assert_eq!(device.target(), "sm_80", "the newest that runs on an sm_89");
        let info = device.info();
        assert_eq!((info.name.as_str(), info.units), ("cuda:0", 108));
        assert_eq!(info.features, ["sm_89", "CUDA 12.4"]);
        assert_eq!(tilec_cuda::count(), Ok(2));
        let other = CudaDevice::open(1, TARGETS, None).expect("the second");
        assert_eq!(other.info().name, "cuda:1");
        let error = CudaDevice::open(2, TARGETS, None).map(drop).expect_err("no third");
        assert_eq!(error.to_string(), "device cuda:2: there are 2 GPUs, cuda:0 to cuda:1");
    })
    .map(|ended| ended.well());
}

#[test]
fn a_prepared_launch_is_two_calls() {
    let ended = under("a_prepared_launch_is_two_calls", "", || {
        let Add { launch: bound, o, wanted } = add_of(300, 1);
        let kernel = device().load_copying(&add());
        // SAFETY: the tensors are this test's alone.
        let mut resident = unsafe { kernel.stay(bound.args()) }.expect("a launch");
        for _ in 0..100 {
            // SAFETY: as above; the wait follows.
            unsafe { resident.launch().launch() }.expect("queued");
        }
        resident.launch().wait().expect("runs");
        // SAFETY: as above.
        unsafe { resident.bring_back() }.expect("comes back");
        assert_eq!(o.to_f64s().expect("values"), wanted);
    });
    let Some(ended) = ended.map(|ended| ended.well()) else { return };
    let first = ended.log.iter().position(|call| call == "cuLaunchKernel").expect("a launch");
    let last = ended.log.iter().rposition(|call| call == "cuLaunchKernel").expect("a launch");
    let expected = ["cuLaunchKernel", "cuCtxSetCurrent"].repeat(99);
    assert_eq!(ended.log[first..last], expected);
}

#[test]
fn a_graph_queues_its_launches_at_one_call() {
    let ended = under("a_graph_queues_its_launches_at_one_call", "", || {
        let Add { launch: bound, o, wanted } = add_of(300, 1);
        let device = device();
        let kernel = device.load_copying(&add());
        let mut twice = add();
        code(&mut twice).text = kernels::product();
        let other = device.load_copying(&twice);
        // SAFETY: the tensors are this test's alone.
        let mut resident = unsafe { kernel.stay(bound.args()) }.expect("a launch");
        // SAFETY: as above.
        let other = unsafe { other.stay(bound.args()) }.expect("a launch");
        let first = resident.launch();
        // SAFETY: the copies live until the end of this block.
        let graph = unsafe { Graph::capture(first, &[other.launch(), first]) }.expect("a graph");
        for _ in 0..10 {
            // SAFETY: as above; the wait follows.
            unsafe { graph.launch() }.expect("queued");
        }
        first.wait().expect("runs");
        drop(graph);
        // SAFETY: the tensors are this test's alone.
        unsafe { resident.bring_back() }.expect("comes back");
        assert_eq!(o.to_f64s().expect("values"), wanted);
    });
    let Some(ended) = ended.map(|ended| ended.well()) else { return };
    assert_eq!((ended.calls("cuLaunchKernel"), ended.calls("cuGraphLaunch")), (3, 10));
    let first = ended.log.iter().position(|call| call == "cuGraphLaunch").expect("a launch");
    let last = ended.log.iter().rposition(|call| call == "cuGraphLaunch").expect("a launch");
    assert_eq!(ended.log[first..last], ["cuGraphLaunch", "cuCtxSetCurrent"].repeat(9));
    assert!(!ended.log.iter().any(|line| line.starts_with("left: ")), "{:?}", ended.log);
}

#[test]
fn a_failure_of_each_call_of_a_graph_is_an_error_and_leaves_nothing() {
    const NAME: &str = "a_failure_of_each_call_of_a_graph_is_an_error_and_leaves_nothing";
    for (name, number) in [
        ("cuStreamBeginCapture_v2", 1),
        ("cuLaunchKernel", 2),
        ("cuStreamEndCapture", 1),
        ("cuGraphInstantiateWithFlags", 1),
        ("cuGraphLaunch", 1),
    ] {
        let ended = under(NAME, &format!("fail {name} {number} 1"), || {
            let Add { launch: bound, .. } = add_of(4, 1);
            let kernel = device().load_copying(&add());
            // SAFETY: the tensors are this test's alone, and live until the end.
            let all = || unsafe {
                let resident = kernel.stay(bound.args())?;
                let first = resident.launch();
                Graph::capture(first, &[first])?.launch()?;
                first.wait()
            };
            let error = all().expect_err("a failure").to_string();
            assert!(error.contains(&format!("{name} failed: invalid argument")), "{error}");
            all().expect("runs");
        });
        let Some(ended) = ended.map(|ended| ended.well()) else { continue };
        assert!(
            !ended.log.iter().any(|line| line.starts_with("left: ")),
            "{name}: {:?}",
            ended.log
        );
    }
}

#[test]
fn tensors_of_the_device_stay_there() {
    let ended = under("tensors_of_the_device_stay_there", "", || {
        let device = device();
        let kernel = device.load_resident(&add());
        let memory = device.zeros(4 * 64).expect("memory");
        let values: Vec<u8> = (0..64u16).flat_map(|i| f32::from(i).to_le_bytes()).collect();
        device.upload(&memory, &values).expect("goes there");
        let tensor = |offset| {
            let memory = memory.clone();
            tilec_host::Tensor::in_memory(memory, tilec_vocab::DType::F32, &[16], &[1], offset)
        };
        let mut args = tilec_host::Arguments::new();
        for (name, offset) in [("x", 0), ("y", 16), ("o", 32)] {
            args.insert(name, tensor(offset).expect("a tensor"));
        }
        args.insert("scale", 1.0);
        let bound = tilec_host::bind(&add().contract, &args).expect("arguments that fit");
        launch(&kernel, &bound).expect("runs");
        let mut bytes = vec![0; 256];
        device.download(&memory, &mut bytes).expect("comes back");
        let value = |at: usize| f32::from_le_bytes(bytes[4 * at..][..4].try_into().expect("four"));
        for at in 0..64 {
            let wanted = if (32..48).contains(&at) { 2 * at - 48 } else { at };
            assert_eq!(value(at), wanted as f32, "{at}");
        }
        // The host cannot be handed what lies on the device, nor the other way round.
        let error = launch(device.load(&add()).expect("loads").as_ref(), &bound);
        let error = error.expect_err("another place").to_string();
        assert!(error.contains("lies on cuda:0, the kernel runs on host"), "{error}");
    });
    let Some(ended) = ended.map(|ended| ended.well()) else { return };
    assert_eq!(ended.calls("cuMemAlloc_v2"), 1);
    assert_eq!(ended.calls("cuMemcpyHtoDAsync_v2"), 1);
}

#[test]
fn limits_are_checked_before_the_launch() {
    under("limits_are_checked_before_the_launch", "shared 65536; memory 100000", || {
        let device = device();
        let fails = |artifact: &tilec_vocab::Artifact, len: i64| {
            let Add { launch: bound, .. } = add_of(len, 1);
            let result = launch(device.load(artifact).expect("loads").as_ref(), &bound);
            result.expect_err("a limit").to_string()
        };
        let mut wide = add();
        code(&mut wide).threads = 256;
        assert_eq!(
            fails(&wide, 4),
            "device cuda:0: kernel `add`: it needs 256 threads of a CTA with 32 registers each; the device has 128"
        );
        let mut hungry = add();
        code(&mut hungry).shared_bytes = 70_000;
        assert_eq!(
            fails(&hungry, 4),
            "device cuda:0: kernel `add`: it needs 70000 bytes of shared memory of a CTA; the device has 65536"
        );
        assert_eq!(
            fails(&add(), 10_000),
            "device cuda:0: kernel `add`: argument `o` needs 40000 bytes of device memory; 20000 of 100000 are free"
        );
        let mut newer = add();
        code(&mut newer).target = "sm_90a".to_owned();
        let error = fails(&newer, 4);
        assert!(error.contains("its code is for sm_90a, and the device is an sm_80"), "{error}");
        // What opts in to more shared memory than every CTA has is launched.
        let mut large = add();
        code(&mut large).shared_bytes = 60_000;
        let Add { launch: bound, o, wanted } = add_of(100, 1);
        launch(device.load(&large).expect("loads").as_ref(), &bound).expect("runs");
        assert_eq!(o.to_f64s().expect("values"), wanted);
    })
    .map(|ended| ended.well());
}

#[test]
fn refused_ptx_comes_with_the_log_of_its_compiler() {
    under("refused_ptx_comes_with_the_log_of_its_compiler", "", || {
        let mut broken = add();
        code(&mut broken).text = kernels::ADD.replace("fma.rn.f32", "fmma.rn.f32");
        let Add { launch: bound, .. } = add_of(4, 1);
        let error = launch(device().load(&broken).expect("loads").as_ref(), &bound);
        let error = error.expect_err("no PTX").to_string();
        assert!(error.contains("kernel `add`: its PTX was refused: cuModuleLoadDataEx"), "{error}");
        let line = 1 + kernels::ADD.lines().take_while(|line| !line.contains("fma")).count();
        let log = format!("218)\nfake ptxas: ptx line {line}: unknown opcode `fmma.rn.f32`");
        assert!(error.contains(&log), "{error}");
        let mut nameless = add();
        code(&mut nameless).entry = "sub".to_owned();
        let error = launch(device().load(&nameless).expect("loads").as_ref(), &bound);
        let error = error.expect_err("no entry").to_string();
        assert!(error.contains("cuModuleGetFunction failed: named symbol not found"), "{error}");
    })
    .map(|ended| ended.well());
}

#[test]
fn a_cubin_that_the_driver_refuses_is_made_up_for_by_the_ptx() {
    let ended = under("a_cubin_that_the_driver_refuses_is_made_up_for_by_the_ptx", "", || {
        let Add { launch: bound, o, wanted } = add_of(4, 1);
        let twice: Vec<f64> = (0..4).map(|i| 2.0 * (100.0 - f64::from(i))).collect();
        let foreign = tilec_fakecuda::cubin("");
        let refused =
            "the cubin was refused: cuModuleLoadDataEx failed: no kernel image is available";
        for (cubin, source, wanted) in [
            (tilec_fakecuda::cubin(&kernels::product()), "cubin", &twice),
            (foreign, refused, &wanted),
        ] {
            let mut artifact = add();
            code(&mut artifact).cubin = Some(Cubin(cubin));
            let kernel = device().load_copying(&artifact);
            launch(&kernel, &bound).expect("runs");
            assert_eq!(&o.to_f64s().expect("values"), wanted);
            let built = kernel.built();
            let told = built[0].source.to_string();
            assert!(built.len() == 1 && told.contains(source), "{told}");
        }
    });
    let Some(ended) = ended.map(|ended| ended.well()) else { return };
    assert_eq!(ended.calls("cuModuleLoadDataEx"), 3);
    assert_eq!(ended.calls("cuModuleUnload"), 2);
}

#[test]
fn a_fault_of_the_kernel_ends_the_device() {
    let ended = under("a_fault_of_the_kernel_ends_the_device", "", || {
        let device = device();
        let mut wild = add();
        code(&mut wild).text = kernels::ADD.replacen("shl.b64 %s, %s, 2", "shl.b64 %s, %s, 30", 1);
        let Add { launch: bound, o, .. } = add_of(4, 1);
        let error = launch(device.load(&wild).expect("loads").as_ref(), &bound);
        let first = error.expect_err("a fault").to_string();
        assert!(
            first.contains(
                "kernel `add`: cuStreamSynchronize failed: an illegal memory access was encountered \
                 (CUDA_ERROR_ILLEGAL_ADDRESS, 700); the device takes no more work from this process"
            ),
            "{first}"
        );
        assert!(o.to_f64s().expect("values").iter().all(|value| value.is_nan()));
        let again = launch(device.load(&add()).expect("loads").as_ref(), &bound);
        let again = again.expect_err("nothing runs any more").to_string();
        assert!(again.contains("CUDA_ERROR_ILLEGAL_ADDRESS, 700"), "{again}");
    });
    let Some(ended) = ended.map(|ended| ended.well()) else { return };
    assert!(ended.output.contains("fakecuda: error[SIM-OOB]"), "{}", ended.output);
}

#[test]
fn times_are_the_device_s() {
    const NAME: &str = "times_are_the_device_s";
    let times = || {
        let Add { launch: bound, .. } = add_of(300, 1);
        let kernel = device().load_copying(&add());
        // SAFETY: the tensors are this test's alone.
        unsafe { kernel.stay(bound.args()) }.expect("a launch").times(2, 5)
    };
    let plans = ["", "clock zero", "clock nan"];
    let ended = plans.map(|plan| {
        under(NAME, plan, || match plan {
            "" => {
                let times = times().expect("times");
                assert_eq!(times.len(), 5);
                assert!(times.iter().all(|time| time.as_nanos() > 0 && *time == times[0]));
            }
            "clock zero" => assert!(times().expect("times").iter().all(|time| time.is_zero())),
            _ => {
                let error = times().expect_err("no time").to_string();
                assert!(
                    error.ends_with("the driver measured a time that is not a number"),
                    "{error}"
                );
            }
        })
    });
    ended.into_iter().flatten().for_each(|ended| drop(ended.well()));
}

/// Every call that a launch makes, first and later, but for the ones that free, whose failure is of no consequence.
const CALLS: &[&str] = &[
    "cuInit",
    "cuDeviceGetCount",
    "cuDeviceGet",
    "cuDeviceGetName",
    "cuDeviceGetAttribute",
    "cuDeviceTotalMem_v2",
    "cuDriverGetVersion",
    "cuDevicePrimaryCtxRetain",
    "cuCtxSetCurrent",
    "cuStreamCreate",
    "cuMemAlloc_v2",
    "cuMemcpyHtoDAsync_v2",
    "cuStreamSynchronize",
    "cuModuleLoadDataEx",
    "cuModuleGetFunction",
    "cuFuncGetAttribute",
    "cuLaunchKernel",
    "cuMemcpyDtoHAsync_v2",
];

#[test]
fn a_failure_of_each_call_is_an_error_that_names_it() {
    const NAME: &str = "a_failure_of_each_call_is_an_error_that_names_it";
    for name in CALLS {
        let plan = format!("fail {name} 1 1");
        let ended = under(NAME, &plan, || {
            let error = run().expect_err("a failure").to_string();
            let wanted = format!("{name} failed: invalid argument (CUDA_ERROR_INVALID_VALUE, 1)");
            assert!(error.contains(&wanted), "{error}");
            assert!(error.starts_with("device cuda:0: "), "{error}");
            // Once it works again, so does all else.
            run().expect("runs");
        });
        let Some(ended) = ended.map(|ended| ended.well()) else { continue };
        assert!(ended.calls(name) > 1, "{name} was not called again");
        assert!(
            !ended.log.iter().any(|line| line.starts_with("left: ")),
            "{name}: {:?}",
            ended.log
        );
    }
}

#[test]
fn calls_that_free_may_fail() {
    for name in ["cuMemFree_v2", "cuModuleUnload", "cuStreamDestroy_v2"] {
        let ended = under("calls_that_free_may_fail", &format!("fail {name} * 1"), || {
            run().expect("runs");
        });
        ended.map(|ended| ended.well());
    }
}

#[test]
fn a_code_that_nobody_knows_is_told_by_its_number() {
    under("a_code_that_nobody_knows_is_told_by_its_number", "fail cuLaunchKernel 1 4711", || {
        let error = run().expect_err("a failure").to_string();
        assert!(
            error.contains("cuLaunchKernel failed: unknown to this driver (CUresult 4711, 4711)"),
            "{error}"
        );
        assert!(error.contains("3 CTAs of 128 threads with 0 bytes of shared memory"), "{error}");
    })
    .map(|ended| ended.well());
}

#[test]
fn what_is_missing_is_said_in_one_sentence() {
    const NAME: &str = "what_is_missing_is_said_in_one_sentence";
    for (plan, wanted) in [
        ("devices 0", "the NVIDIA driver finds no GPU"),
        (
            "fail cuInit * 34",
            "the CUDA toolkit's stub of libcuda was found before the driver's; take its",
        ),
        ("fail cuInit * 999", "cuInit failed: unknown error (CUDA_ERROR_UNKNOWN, 999)"),
        (
            "capability 75",
            "Fake A100 (PTX simulator) is an sm_75, and code is made for sm_80, sm_90",
        ),
    ] {
        let ended = under(NAME, plan, || {
            let error = open().map(drop).expect_err("something is missing").to_string();
            assert!(error.starts_with("device cuda:0: ") && error.contains(wanted), "{error}");
        });
        ended.map(|ended| ended.well());
    }
    // A library of that name that is no driver of ours: without symbols, or not there at all.
    let empty = tempfile::tempdir().expect("a folder");
    let nothing = "no driver";
    if support::inside(nothing) {
        let error = open().map(drop).expect_err("no driver").to_string();
        assert_eq!(error, "device cuda:0: no NVIDIA driver: libcuda.so.1 was not found");
    } else if std::env::var_os("TILEC_FAKECUDA_INSIDE").is_none() && tilec_cuda::count().is_err() {
        support::start(LIMIT, NAME, nothing, empty.path()).well();
    }
}

#[test]
fn a_driver_that_hangs_can_be_killed() {
    let plan = "hang cuStreamSynchronize 1";
    let limit = Duration::from_secs(3);
    let ended = under_within(limit, "a_driver_that_hangs_can_be_killed", plan, || {
        let _ = run();
        unreachable!("the call before did not return");
    });
    let Some(ended) = ended else { return };
    assert_eq!(ended.success, None, "{}", ended.output);
    assert_eq!(ended.log.last().map(String::as_str), Some("cuStreamSynchronize"));
}

#[test]
fn a_wrong_result_is_one() {
    under("a_wrong_result_is_one", "wrong cuLaunchKernel 1", || {
        let Add { launch: bound, o, wanted } = add_of(8, 1);
        launch(device().load(&add()).expect("loads").as_ref(), &bound).expect("runs");
        assert_ne!(o.to_f64s().expect("values"), wanted);
    })
    .map(|ended| ended.well());
}
