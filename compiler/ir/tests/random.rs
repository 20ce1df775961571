//! Properties over kernels drawn at random.
//!
//! `TILEC_FUZZ_CASES` sets how many mutated texts the reader is given; 20,000 unless said.

use tilec_ir::random::{Coverage, Rng, case};
use tilec_ir::{
    BinaryOp, Builder, CompareOp, Copier, Kernel, Module, ReduceOp, Tile, UnaryOp, parse, print,
    print_kernel, verify, verify_module,
};
use tilec_vocab::DType;

const KERNELS: u64 = 500;

#[test]
fn random_kernels_verify() {
    for seed in 0..KERNELS {
        let case = case(seed);
        if let Err(bug) = verify(&case.kernel) {
            panic!("seed {seed}: {bug}\n{}", bug.ir);
        }
        assert!(case.kernel.is_specialised() && !case.outputs.is_empty(), "seed {seed}");
    }
}

#[test]
fn text_reads_back_as_printed() {
    for seed in 0..KERNELS {
        let kernel = case(seed).kernel;
        let text = print_kernel(&kernel);
        let read = parse(&text).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}"));
        assert_eq!(print(&read), text, "seed {seed}");
        // Numbered alike; compared in debug form, since a NaN does not equal itself.
        assert_eq!(format!("{:?}", read.kernels[0]), format!("{:?}", copy(&kernel)), "seed {seed}");
    }
}

fn copy(kernel: &Kernel) -> Kernel {
    let mut new = Kernel::like(kernel);
    let mut to = Builder::new(&mut new);
    let mut copier = Copier::new();
    for &inst in &kernel.blocks[kernel.body].insts {
        copier.copy(kernel, inst, &mut to);
    }
    new
}

#[test]
fn a_seed_draws_the_same_kernel_twice() {
    for seed in 0..20 {
        assert_eq!(print_kernel(&case(seed).kernel), print_kernel(&case(seed).kernel));
    }
    assert_ne!(print_kernel(&case(1).kernel), print_kernel(&case(2).kernel).replace("_2", "_1"));
}

#[test]
fn every_op_occurs_with_every_type_it_takes() {
    let mut coverage = Coverage::default();
    let mut exact = 0;
    let mut outputs = 0;
    for seed in 0..KERNELS {
        let case = case(seed);
        coverage.add(&case.kernel);
        outputs += case.outputs.len();
        exact += case.outputs.iter().filter(|output| output.tolerance == 0.0).count();
    }
    println!("{coverage}\n{outputs} outputs, {exact} of them exact");
    let floats = [DType::F16, DType::BF16, DType::F32];
    let numbers = [DType::I64, DType::F16, DType::BF16, DType::F32];
    let mut missing = Vec::new();
    let mut wants = |op: &str, dtypes: &[DType]| {
        for &dtype in dtypes {
            if coverage.of(op, dtype) == 0 {
                missing.push(format!("{op} {dtype}"));
            }
        }
    };
    for op in
        ["const", "scalar", "splat", "select", "cast", "load", "store", "for", "for axis", "if"]
    {
        wants(op, &DType::ALL);
    }
    wants("atomic", &[DType::I32, DType::I64, DType::F32]);
    wants("dot", &floats);
    for &op in UnaryOp::ALL {
        match op {
            UnaryOp::Not => wants(op.name(), &[DType::Bool]),
            UnaryOp::Neg | UnaryOp::Abs => wants(op.name(), &numbers),
            _ => wants(op.name(), &floats),
        }
    }
    for &op in BinaryOp::ALL {
        match op {
            BinaryOp::And | BinaryOp::Or => wants(op.name(), &[DType::Bool]),
            BinaryOp::Rem => wants(op.name(), &[DType::I64]),
            _ => wants(op.name(), &numbers),
        }
    }
    for &op in CompareOp::ALL {
        wants(op.name(), &numbers);
    }
    wants("eq", &[DType::Bool]);
    for op in [ReduceOp::Sum, ReduceOp::Max, ReduceOp::Min] {
        wants(&format!("{} over", op.name()), &numbers);
    }
    wants("all over", &[DType::Bool]);
    wants("any over", &[DType::Bool]);
    assert!(missing.is_empty(), "{missing:?}");
    assert!(exact > 0 && exact < outputs);
}

/// Whatever the text, the reader answers, and what it accepts can be verified and printed.
#[test]
fn mutated_text_never_panics() {
    let cases = std::env::var("TILEC_FUZZ_CASES").ok().and_then(|n| n.parse().ok());
    let cases: u64 = cases.unwrap_or(20_000);
    let seeds: Vec<String> = (0..40)
        .map(|seed| print_kernel(&case(seed).kernel))
        .chain([include_str!("flash.tir").to_owned()])
        .collect();
    let (mut read, mut verified) = (0, 0);
    for n in 0..cases {
        let mut rng = Rng::new(n);
        let text = mutate(&seeds, &mut rng);
        let Ok(module) = parse(&text) else { continue };
        read += 1;
        verified += u64::from(check(&module));
    }
    println!("{cases} texts, {read} read, {verified} verified");
    assert!(read > 0 && read < cases && verified < read);
}

fn check(module: &Module<Tile>) -> bool {
    let text = print(module);
    let fine = verify_module(module).is_ok();
    if fine {
        // What verifies can be printed and read back.
        assert_eq!(print(&parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"))), text);
    }
    fine
}

fn mutate(seeds: &[String], rng: &mut Rng) -> String {
    let mut text = seeds[rng.below(seeds.len())].clone().into_bytes();
    let changes = if rng.percent(50) { 1 } else { 1 + rng.below(4) };
    for _ in 0..changes {
        let at = rng.below(text.len() + 1);
        let end = (at + rng.below(12)).min(text.len());
        match rng.below(10) {
            0 => drop(text.drain(at..end)),
            1 => text.insert(at, (rng.next() % 256) as u8),
            2 => {
                let bytes = b"%@{}()[]<>:,=&*/+-.\"\\0123456789nmd \n";
                text.insert(at, rng.pick(bytes));
            }
            3 => {
                let words = [
                    "for",
                    "if",
                    "else",
                    "yield",
                    "axis",
                    "%0",
                    "%1: i64 =",
                    "over",
                    "inf",
                    "nan",
                    "-9223372036854775808",
                    "99999999999999999999999999999999999999999",
                    "1e999",
                    "loc(0: 1..2)",
                    "carry (",
                    "\"\\u{110000}\"",
                    "dim N",
                    "f16",
                    "kernel @k()",
                ];
                let word = rng.pick(&words).bytes();
                text.splice(at..at, word);
            }
            4 => {
                let piece: Vec<u8> = text[at..end].to_vec();
                let to = rng.below(text.len());
                text.splice(to..to, piece);
            }
            5 => {
                // Two lines change places.
                let mut lines: Vec<Vec<u8>> =
                    text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
                let (a, b) = (rng.below(lines.len()), rng.below(lines.len()));
                lines.swap(a, b);
                text = lines.join(&b'\n');
            }
            _ => {
                // One digit becomes another: the wrong value, axis or extent.
                let digits: Vec<usize> =
                    (0..text.len()).filter(|&i| text[i].is_ascii_digit()).collect();
                if let Some(&i) = digits.get(rng.below(digits.len())) {
                    text[i] = b'0' + rng.below(10) as u8;
                }
            }
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}
