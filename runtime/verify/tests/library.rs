//! Every kernel of the library, in every type, on the CPU and the interpreter: the first two
//! specialisations of each. `tilec verify kernels/` does more of the same.

use std::collections::BTreeMap;

use tilec_cpu::CpuDevice;
use tilec_driver::{Options, front};
use tilec_host::Device;
use tilec_sema::Loader;
use tilec_verify::{InterpDevice, Plan, verify};
use tilec_vocab::{SourceFile, Sources};

struct Library;

impl Loader for Library {
    fn load(&self, name: &str) -> Result<Option<SourceFile>, String> {
        let file = |file: &tilec_kernels::LibraryFile| SourceFile {
            name: file.path.to_owned(),
            text: file.text.to_owned(),
        };
        Ok(tilec_kernels::find(name).map(file))
    }
}

#[test]
fn every_kernel_of_the_library_does_what_its_spec_says() {
    let cpu = CpuDevice::new(None).expect("a processor");
    let devices: [&dyn Device; 2] = [&cpu, &InterpDevice];
    let plan = Plan {
        cases: 12,
        seed: 0,
        dtypes: Vec::new(),
        fixed: BTreeMap::new(),
        options: Options::default(),
        threads: None,
    };
    let mut kernels = 0;
    let mut complaints = Vec::new();
    for file in tilec_kernels::FILES {
        let mut sources = Sources::default();
        let root = sources.add(file.path, file.text);
        let (module, _) = front(root, &mut sources, &Library);
        let module = module.unwrap_or_else(|| panic!("{} has errors", file.path));
        for kernel in &module.kernels {
            let Some(spec) = module.spec(&kernel.name) else {
                complaints.push(format!("{}: `{}` has no spec", file.path, kernel.name));
                continue;
            };
            kernels += 1;
            for row in verify(kernel, spec, &devices, &plan, &|| {}).expect("cases") {
                if !row.passed() || row.cases != plan.cases {
                    complaints.push(format!("{}: {row:?}", file.path));
                }
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(kernels >= 17, "only {kernels} kernels");
}
