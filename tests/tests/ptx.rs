//! The PTX of every kernel of the library, for sm_80 and usual arguments: facts in tables, whole text of a few.
//!
//! A change of the compiler changes them; read the difference, then accept it:
//! `INSTA_UPDATE=always cargo test -p tilec-tests --test ptx`

use std::fmt::Write as _;

use tilec_ptx::Options;
use tilec_tests::gpu::{FLOATS, binding, modules, ptx};
use tilec_vocab::{DType, PtxCode, Specialisation};

#[path = "ptx/facts.rs"]
mod facts;

use facts::Facts;

/// Head size of the tables.
const HEAD: i64 = 64;

/// Every kernel of the library at its default knobs.
fn library(dtype: DType) -> Vec<(String, Result<PtxCode, String>)> {
    let mut made = Vec::new();
    for (_, module) in modules() {
        for kernel in &module.kernels {
            let code = ptx(kernel, &binding(kernel, dtype, HEAD), &Options::default(), "sm_80");
            made.push((kernel.name.clone(), code));
        }
    }
    made
}

#[test]
fn facts_of_every_kernel_and_nothing_lives_in_local_memory() {
    let mut complaints = Vec::new();
    let made = std::thread::scope(|scope| {
        let made = FLOATS.map(|dtype| (dtype, scope.spawn(move || library(dtype))));
        made.map(|(dtype, made)| (dtype, made.join().expect("no panic")))
    });
    for (dtype, library) in made {
        let mut table = Facts::heads() + "\n";
        for (name, code) in library {
            match code.map(|code| Facts::of(&code)) {
                Ok(facts) => {
                    let _ = writeln!(table, "{name:24} {facts}");
                    if facts.uses_local_memory() {
                        complaints.push(format!("{name} {dtype}: uses local memory"));
                    }
                }
                Err(error) => complaints.push(format!("{name} {dtype}: {error}")),
            }
        }
        insta::assert_snapshot!(format!("facts_{dtype}"), table);
    }
    tilec_tests::no_complaints(complaints);
}

/// Kernels whose whole text is kept, with their knobs.
#[allow(clippy::type_complexity)]
const WHOLE: &[(&str, DType, &[(&str, i64)])] = &[
    ("vector_add", DType::F32, &[("BN", 256)]),
    ("row_softmax", DType::F16, &[("BM", 16), ("BN", 64)]),
    ("matmul", DType::F16, &[("BM", 64), ("BN", 64), ("BK", 32)]),
];

#[test]
fn whole_text_of_a_few() {
    let modules = modules();
    for (name, dtype, knobs) in WHOLE {
        let kernel = modules.iter().find_map(|(_, module)| module.kernel(name));
        let kernel = kernel.unwrap_or_else(|| panic!("no kernel `{name}`"));
        let knobs = knobs.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
        let binding = Specialisation { ints: knobs, ..binding(kernel, *dtype, HEAD) };
        let code = ptx(kernel, &binding, &Options::default(), "sm_80").expect("PTX");
        insta::assert_snapshot!(format!("{name}_{dtype}"), code.text);
    }
}
