//! Tile IR in, GPU IR out: each file of `kernels/` as a snapshot, and what must hold of every one.

use std::fs;
use std::path::Path;

use tilec_gpu::gir::{Block, Op, Stmt};
use tilec_gpu::{Options, Program, to_gpu};
use tilec_vocab::TensorFacts;

/// Every file with its text.
fn files() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernels");
    let mut files: Vec<(String, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    assert!(files.len() >= 3);
    files
}

fn program(text: &str, change: impl FnOnce(&mut Options)) -> Program {
    let module = tilec_ir::parse(text).unwrap();
    let kernel = &module.kernels[0];
    tilec_ir::verify(kernel).unwrap();
    let mut options = Options::new(vec![TensorFacts::ALL; kernel.params.len()]);
    change(&mut options);
    to_gpu(kernel, &options).unwrap()
}

fn count(body: &[Stmt], what: &dyn Fn(&Op) -> bool) -> usize {
    let inner = |block: &Block| count(&block.body, what);
    body.iter()
        .map(|stmt| {
            usize::from(what(&stmt.op))
                + match &stmt.op {
                    Op::For(whole) => inner(&whole.body),
                    Op::If { then, otherwise, .. } => inner(then) + inner(otherwise),
                    _ => 0,
                }
        })
        .sum()
}

#[test]
fn programs_are_as_they_were() {
    for (name, text) in files() {
        insta::assert_snapshot!(name, program(&text, |_| {}).to_string());
    }
}

#[test]
fn the_same_text_each_time() {
    for (_, text) in files() {
        let first = program(&text, |_| {}).to_string();
        assert_eq!(first, program(&text, |_| {}).to_string());
    }
}

#[test]
fn rings_have_as_many_slots_as_stages() {
    let (_, text) = files().into_iter().find(|(name, _)| name == "attention").unwrap();
    for stages in 1..=4 {
        let program = program(&text, |options| options.stages = stages);
        let rings = program.buffers.values().filter(|data| data.slots == stages).count();
        assert!(rings >= 2, "{stages}: {rings}");
        let asynchronous = |op: &Op| matches!(op, Op::Copy { is_async: true, .. });
        assert!(count(&program.body, &asynchronous) > 2);
    }
}

#[test]
fn each_choice_can_be_switched_off() {
    let (_, text) = files().into_iter().find(|(name, _)| name == "attention").unwrap();
    let shuffled = |op: &Op| matches!(op, Op::Combine { .. });
    let late = count(&program(&text, |_| {}).body, &shuffled);
    let early = count(&program(&text, |options| options.late_sums = false).body, &shuffled);
    assert!(late > 0 && early == 0, "{late} {early}");
    let waits = |op: &Op| matches!(op, Op::Commit | Op::Wait(_));
    assert_eq!(count(&program(&text, |options| options.prefetch = false).body, &waits), 0);
    let gets = |op: &Op| matches!(op, Op::Get(_));
    let wide = count(&program(&text, |_| {}).body, &gets);
    assert!(wide > count(&program(&text, |options| options.wide_stores = false).body, &gets));
}

#[test]
fn nothing_is_known_of_a_strided_tensor() {
    let (_, text) = files().into_iter().find(|(name, _)| name == "attention").unwrap();
    let facts = |options: &mut Options| options.facts.fill(TensorFacts::default());
    let asynchronous = |op: &Op| matches!(op, Op::Copy { is_async: true, .. });
    assert_eq!(count(&program(&text, facts).body, &asynchronous), 0);
}
