//! The text: the same every time, readable, with the lines of the source; and what is refused.

use tilec_codegen::nvptx::{
    Error, LineColumn, TARGETS, Target, compile, compile_with_lines, llvm_ir,
};
use tilec_gpu::gir::Op;
use tilec_gpu::gir::*;
use tilec_ir::*;
use tilec_layout::{Buffer, blocked};
use tilec_vocab::{DType, FileId, Span};

use crate::attention::attention;
use crate::build::*;

/// `y = x * c`, two elements of each thread.
fn scaled() -> Program {
    let mut b = Build::new(1);
    let axis = b.axis("i", 64);
    let x = b.tensor("x", DType::F16, &[fixed(64)], false, true);
    let c = b.number("c", DType::F32);
    let y = b.tensor("y", DType::F16, &[fixed(64)], true, true);
    let layout = blocked(&[(axis, 64)], 2, 1);
    let c = b.uniform(DType::F32, Op::Scalar(c));
    let loaded = b.tile(DType::F16, &layout, Op::Load(access(x, &[Some(axis)], 8)));
    let wide = b.tile(DType::F32, &layout, Op::Cast(loaded));
    let made = b.tile(DType::F32, &layout, Op::Binary(BinaryOp::Mul, wide, c));
    let made = b.tile(DType::F16, &layout, Op::Cast(made));
    b.run(Op::Store(access(y, &[Some(axis)], 8), made));
    b.finish()
}

#[test]
fn a_small_kernel_as_a_whole() {
    insta::assert_snapshot!("scaled", ptx(&scaled()));
}

#[test]
fn the_same_text_every_time() {
    let program = attention(DType::BF16, 64, 32, 64);
    let first = ptx(&program);
    for _ in 0..5 {
        assert_eq!(ptx(&program), first);
    }
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let program = program.clone();
            std::thread::spawn(move || ptx(&program))
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().expect("a text"), first);
    }
}

#[test]
fn every_target_has_its_row() {
    for target in TARGETS {
        let code = compile(&scaled(), target).expect("PTX").code;
        assert!(code.text.contains(&format!(".target {}", target.name)), "{}", code.text);
        assert_eq!(code.threads, 32);
        assert_eq!(code.target, target.name);
    }
}

#[test]
fn lines_of_the_source() {
    let mut program = scaled();
    for (at, stmt) in program.body.iter_mut().enumerate() {
        stmt.span = Span::new(FileId(at as u32 % 2), at, at + 1);
    }
    let target = Target::named("sm_80").expect("a target");
    let locate = |span: Span| {
        let file = if span.file.0 == 0 { "a.tile" } else { "lib.tile" };
        Some(LineColumn { file: file.into(), line: span.start + 10, column: 3 })
    };
    let text = compile_with_lines(&program, target, &locate).expect("PTX").code.text;
    assert!(text.contains("\"a.tile\"") && text.contains("\"lib.tile\""), "{text}");
    // Load, the product, and the store.
    for line in [11, 13, 15] {
        assert!(
            text.lines()
                .any(|l| l.trim_start().starts_with(".loc") && l.contains(&format!(" {line} 3"))),
            "{line}\n{text}"
        );
    }
}

fn refusal(program: &Program) -> String {
    match compile(program, Target::named("sm_80").expect("a target")) {
        Ok(compiled) => panic!("{}", compiled.code.text),
        Err(Error::Unsupported(error)) => error.to_string(),
        Err(Error::Llvm(words)) => panic!("{words}"),
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let mut many = scaled();
    many.warps = 64;
    assert_eq!(refusal(&many), "64 warps: a CTA of sm_80 has 1 to 32");

    let mut large = scaled();
    large.shared_bytes = 200_000;
    assert_eq!(refusal(&large), "200000 bytes of shared memory: a CTA of sm_80 has 166912");

    let mut b = Build::new(1);
    let axis = b.axis("i", 32);
    let y = b.tensor("y", DType::BF16, &[fixed(32)], true, true);
    let layout = blocked(&[(axis, 32)], 2, 1);
    let one = b.uniform(DType::BF16, Op::Const(Imm::Float(1.0)));
    let ones = b.tile(DType::BF16, &layout, Op::Convert(one, Conversion::Free));
    b.run(Op::AtomicAdd(access(y, &[Some(axis)], 1), ones));
    let program = b.finish();
    assert_eq!(refusal(&program), "sm_80 has no atomic addition of bf16");
    let hopper = Target::named("sm_90").expect("a target");
    assert!(
        compile(&program, hopper).expect("PTX").code.text.contains("red.global.add.noftz.bf16")
    );
}

#[test]
fn what_is_only_wanted_after_a_loop_is_computed_there() {
    let text =
        llvm_ir(&attention(DType::F16, 64, 32, 64), Target::named("sm_80").expect("a target"))
            .expect("LLVM IR");
    assert_eq!(text.matches("mov.u32 $0, %tid.x").count(), 1);
    let (at_end, last_loop) = (
        text.find("mov.u32 $0, %tid.x"),
        text.rfind("= call { float, float, float, float } @llvm.nvvm.mma"),
    );
    assert!(at_end > last_loop);
}

#[test]
fn a_buffer_too_small_is_refused() {
    let mut b = Build::new(4);
    let (i, j) = (b.axis("i", 64), b.axis("j", 32));
    let layouts = [blocked(&[(i, 64), (j, 32)], 4, 4), blocked(&[(j, 32), (i, 64)], 4, 4)];
    let exchange = tilec_layout::exchange(&layouts[0], &layouts[1], 4).expect("an exchange");
    let through = b.buffer("small", Buffer::new(&[(i, 8), (j, 32)], 4).expect("a buffer"), 1);
    let one = b.float(1.0);
    let ones = b.tile(DType::F32, &layouts[0], Op::Convert(one, Conversion::Free));
    let plan = tilec_layout::Plan::Shared(exchange);
    let how = Conversion::Plan(plan, Some(through));
    b.tile(DType::F32, &layouts[1], Op::Convert(ones, how));
    assert_eq!(refusal(&b.finish()), "@0 is too small for an exchange");
}

/// Names of a source may be anything that PTX uses itself.
#[test]
fn names_that_ptx_has_another_use_for() {
    let mut b = Build::new(1);
    let axis = b.axis("i", 32);
    let x = b.tensor("k", DType::F32, &[fixed(32)], false, true);
    let scalar = b.number("k_stride_0", DType::F32);
    let y = b.tensor("WARP_SZ", DType::F32, &[fixed(32)], true, true);
    let layout = blocked(&[(axis, 32)], 4, 1);
    let loaded = b.tile(DType::F32, &layout, Op::Load(access(x, &[Some(axis)], 1)));
    let scalar = b.uniform(DType::F32, Op::Scalar(scalar));
    let made = b.tile(DType::F32, &layout, Op::Binary(BinaryOp::Add, loaded, scalar));
    b.run(Op::Store(access(y, &[Some(axis)], 1), made));
    let xs = small_numbers(32, 1);
    let given = vec![
        input("k", DType::F32, &xs, &[1]),
        Given::F32(0.5),
        output("WARP_SZ", DType::F32, 32, &[1]),
    ];
    let found = run(&b.finish(), given, &[], "WARP_SZ", DType::F32);
    assert!(found.iter().zip(&xs).all(|(y, x)| *y == x + 0.5));
}
