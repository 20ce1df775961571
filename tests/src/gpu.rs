//! Kernels of the library as PTX, and the simulator that runs it.

use tilec_driver::{Options, compile};
use tilec_host::gpu::PtxCompiler;
use tilec_ir::{GenericKind, Kernel, Module, Tile};
use tilec_kernels::LibraryFile;
use tilec_vocab::{DType, PtxCode, Sources, Specialisation};

use crate::Library;

/// The element types that kernels are generic over.
pub const FLOATS: [DType; 3] = [DType::F16, DType::BF16, DType::F32];

/// Every file of the library with its kernels, in the order of the table.
///
/// # Panics
///
/// If one has errors.
pub fn modules() -> Vec<(&'static LibraryFile, Module<Tile>)> {
    let module = |file: &'static LibraryFile| {
        let mut sources = Sources::default();
        let root = sources.add(file.path, file.text);
        let (module, _) = tilec_driver::front(root, &mut sources, &Library);
        (file, module.unwrap_or_else(|| panic!("{} has errors", file.path)))
    };
    tilec_kernels::FILES.iter().map(module).collect()
}

/// A kernel's first choice of each knob, one element type for all, this head size, and a usual value of every other
/// constant.
pub fn binding(kernel: &Kernel, dtype: DType, head: i64) -> Specialisation {
    let mut binding = Specialisation::default();
    for generic in kernel.generics.values() {
        let name = generic.name.clone();
        match &generic.kind {
            GenericKind::DType(_) => {
                binding.dtypes.insert(name, dtype);
            }
            GenericKind::Knob(choices) => binding.ints.extend(choices.first().map(|&n| (name, n))),
            GenericKind::Const => {
                // Half a head, heads to a key head, rows of a page, columns of a normalised row.
                let usual = [("D", head), ("E", head / 2), ("R", 4), ("S", 16), ("N", 256)];
                let value = usual.iter().find(|(known, _)| *known == name);
                binding.ints.extend(value.map(|&(_, n)| (name, n)));
            }
        }
    }
    binding
}

/// PTX of a kernel for usual arguments.
///
/// # Errors
///
/// The compiler's, in its words.
pub fn ptx(
    kernel: &Kernel,
    binding: &Specialisation,
    options: &tilec_ptx::Options,
    target: &str,
) -> Result<PtxCode, String> {
    let passes = Options { pipeline: options.pipeline.clone() };
    let artifact = compile(kernel, binding, &passes).map_err(|error| error.to_string())?;
    let facts = tilec_ptx::usual_facts(kernel);
    let compiler = tilec_ptx::Compiler(options.clone());
    compiler.compile(&artifact, &facts, target).map_err(|error| error.to_string())
}
