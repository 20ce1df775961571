//! The same request gives the same PTX, byte for byte: again and again, from any folder, from several threads at once, in any
//! order. One test, since a process has one current folder.

use std::sync::Mutex;

use tilec_ir::Kernel;
use tilec_ptx::Options;
use tilec_tests::gpu::{binding, modules, ptx};
use tilec_tests::no_complaints;
use tilec_vocab::DType;

/// How often one kernel is compiled.
const TIMES: usize = 100;
/// Threads that compile at once.
const THREADS: usize = 4;

fn text(kernel: &Kernel) -> String {
    let code = ptx(kernel, &binding(kernel, DType::F16, 64), &Options::default(), "sm_80");
    code.map_or_else(|error| error, |code| code.text)
}

#[test]
fn ptx_depends_on_the_request_alone() {
    let modules = modules();
    let kernels: Vec<&Kernel> = modules.iter().flat_map(|(_, module)| &module.kernels).collect();
    let first: Vec<String> = kernels.iter().map(|kernel| text(kernel)).collect();
    let complaints = Mutex::new(Vec::new());
    let again = |number: usize, how: &str| {
        if text(kernels[number]) != first[number] {
            let complaint = format!("{} comes out differently {how}", kernels[number].name);
            complaints.lock().expect("no thread panics").push(complaint);
        }
    };

    let folder = tempfile::tempdir().expect("a folder");
    std::env::set_current_dir(folder.path()).expect("a folder that can be entered");
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let again = &again;
            let count = kernels.len();
            // Each thread starts elsewhere, so that unlike kernels meet; every kernel comes up in two of them.
            scope.spawn(move || {
                for step in 0..count.div_ceil(2) {
                    again((step * 2 + thread) % count, "beside others, from another folder");
                }
            });
        }
    });
    let causal = kernels.iter().position(|kernel| kernel.name == "causal");
    let causal = causal.expect("causal attention is in the library");
    (0..TIMES).for_each(|_| again(causal, "after many others"));
    no_complaints(complaints.into_inner().expect("no thread panics"));
}
