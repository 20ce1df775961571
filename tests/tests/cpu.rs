//! The CPU target as a device: the same bits however many threads there are.

use std::collections::BTreeMap;

use tilec_cpu::CpuDevice;
use tilec_host::{Arguments, Tensor};
use tilec_ir::ParamType;
use tilec_tests::{library, lowered, run};
use tilec_vocab::DType;

/// Outputs of a library kernel in f32 on so many threads: 2 heads of each kind, 150 queries, 170 keys.
fn outputs(name: &str, threads: usize) -> Vec<Vec<u64>> {
    let module = lowered(library(name));
    let kernel = &module.kernels[0];
    let device = CpuDevice::new(Some(threads)).expect("threads");
    let extents = BTreeMap::from([("B", 1), ("H", 2), ("G", 2), ("M", 150), ("N", 170), ("D", 48)]);
    let mut args = Arguments::default();
    let mut written = Vec::new();
    for (n, (_, param)) in kernel.params.iter().enumerate() {
        let ParamType::Tensor { dims, mutable, .. } = &param.ty else {
            match param.name.as_str() {
                "scale" => args.insert(&param.name, 0.2),
                _ => args.insert(&param.name, 40_i64),
            };
            continue;
        };
        let names = dims.iter().map(|dim| match dim {
            tilec_ir::Extent::Dim(dim) => kernel.dims[*dim].name.as_str(),
            tilec_ir::Extent::Generic(generic) => kernel.generics[*generic].name.as_str(),
            tilec_ir::Extent::Const(_) => "B",
        });
        let shape: Vec<i64> = names.map(|name| extents[name]).collect();
        let fill = tilec_host::random::Fill::Normal { seed: n as u64 };
        let tensor = match mutable {
            true => Tensor::poisoned(DType::F32, &shape),
            false => tilec_host::random::filled(fill, DType::F32, &shape),
        };
        let tensor = tensor.expect("memory");
        if *mutable {
            written.push(tensor.clone());
        }
        args.insert(&param.name, tensor);
    }
    run(kernel, &device, &args, &[]);
    let bits = |tensor: &Tensor| {
        tensor.to_f64s().expect("elements").into_iter().map(f64::to_bits).collect()
    };
    written.iter().map(bits).collect()
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    for name in ["causal", "alibi_window", "full"] {
        let one = outputs(name, 1);
        assert!(one.iter().flatten().all(|bits| !f64::from_bits(*bits).is_nan()), "{name}");
        for threads in [2, 3, 7] {
            assert_eq!(outputs(name, threads), one, "{name} on {threads} threads");
        }
    }
}
