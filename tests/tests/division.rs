//! Positions divided by a dimension, tile by tile, on every host: quotients rounded down, and by zero 0 and all of the dividend.

use std::sync::Arc;

use tilec_cpu::CpuDevice;
use tilec_host::{Arguments, Device, Elements, Tensor};
use tilec_sim::SimDevice;
use tilec_tests::{lowered, run};
use tilec_verify::InterpDevice;
use tilec_vocab::DType;

/// `count` stands for its extent alone.
const PLACES: &str = "
kernel places(count: &f32[S], page: &mut i32[N], place: &mut i32[N], rest: &mut i32[N], first: i32)
grid n in N by 64 {
    let at = n + first;
    page[n] = (at / S) as i32;
    place[n] = (at % S) as i32;
    rest[n] = ((2 * n + first) % S) as i32;
}
";

const N: i64 = 150;

/// Quotient and rest as the language has them.
fn divided(a: i64, by: i64) -> (i64, i64) {
    if by == 0 { (0, a) } else { (a.div_euclid(by), a.rem_euclid(by)) }
}

#[test]
fn positions_are_divided_by_sizes_of_every_kind() {
    let module = lowered(PLACES);
    let compiler = Arc::new(tilec_ptx::Compiler::default());
    let sim = SimDevice::new(tilec_sim::Options::default(), Some(compiler));
    let cpu = CpuDevice::new(None).expect("threads");
    for size in [0, 1, 3, 16, 24, 64, 1000] {
        for first in [0, 5, -1, -200, i64::from(i32::MAX) - 2 * N] {
            let out = || Tensor::poisoned(DType::I32, &[N]).expect("memory");
            let (page, place, rest) = (out(), out(), out());
            let mut args = Arguments::new();
            let zeros = Elements::Floats(vec![0.0; size as usize]);
            args.insert("count", Tensor::new(DType::F32, &[size], &zeros).expect("memory"));
            args.insert("page", page.clone());
            args.insert("place", place.clone());
            args.insert("rest", rest.clone());
            args.insert("first", first);
            for device in [&cpu as &dyn Device, &InterpDevice, &sim] {
                run(&module.kernels[0], device, &args, &[]);
                let numbers = |tensor: &Tensor| tensor.to_f64s().expect("elements");
                let found = [numbers(&page), numbers(&place), numbers(&rest)];
                for n in 0..N {
                    let (quotient, left) = divided(n + first, size);
                    let wanted = [quotient, left, divided(2 * n + first, size).1];
                    let found = [0, 1, 2].map(|which| found[which][n as usize] as i64);
                    let name = device.info().name;
                    assert_eq!(found, wanted, "{n} + {first} by {size} on {name}");
                }
            }
        }
    }
}
