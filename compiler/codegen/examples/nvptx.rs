//! PTX of the hand-written attention loop, and where the time goes:
//! `cargo run --release -p tilec-codegen --example nvptx [f16|bf16] [rows] [block] [head] > loop.ptx`.

#[path = "../tests/nvptx/attention.rs"]
#[allow(dead_code)]
mod attention;
#[path = "../tests/nvptx/build.rs"]
#[allow(dead_code)]
mod build;

use tilec_codegen::nvptx::{Target, compile, llvm_ir};
use tilec_vocab::DType;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let number =
        |i: usize, default: u32| args.get(i).and_then(|a| a.parse().ok()).unwrap_or(default);
    let dtype = if args.get(1).is_some_and(|a| a == "bf16") { DType::BF16 } else { DType::F16 };
    let program = attention::attention(dtype, number(2, 128), number(3, 64), number(4, 128));
    for (_, data) in program.buffers.iter() {
        eprintln!("{} {:?}", data.name, data.buffer.swizzle());
    }
    let Some(target) = Target::named("sm_80") else { return };
    if args.get(5).is_some_and(|a| a == "ll") {
        return print!("{}", llvm_ir(&program, target).unwrap_or_default());
    }
    for _ in 0..3 {
        match compile(&program, target) {
            Ok(compiled) => {
                eprintln!("{:?}", compiled.times);
                if args.get(5).is_none() {
                    print!("{}", compiled.code.text);
                    break;
                }
            }
            Err(error) => return eprintln!("{error}"),
        }
    }
}
