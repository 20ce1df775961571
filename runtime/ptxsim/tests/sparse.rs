//! Tensors whose strides pass 2^31, 2^32 and 2^40 elements, without the memory: a kernel that computes offsets in 64 bits is
//! right, one that computes them in 32 bits is found.

use tilec_ptxsim::*;

/// `o[row * stride] = a[row * stride] + 1`, one CTA for each row, the offset computed by `offset`.
fn program(offset: &str) -> String {
    format!(
        ".version 8.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 a, .param .u64 o, .param .u64 stride)
{{
	.reg .b16 %h;
	.reg .b32 %row, %narrow, %product;
	.reg .f32 %f;
	.reg .b64 %a, %o, %wide, %stride, %offset;
	ld.param.u64 %a, [a];
	ld.param.u64 %o, [o];
	ld.param.u64 %stride, [stride];
	mov.u32 %row, %ctaid.x;
{offset}
	shl.b64 %offset, %offset, 1;
	add.u64 %a, %a, %offset;
	add.u64 %o, %o, %offset;
	ld.global.b16 %h, [%a];
	cvt.f32.f16 %f, %h;
	add.f32 %f, %f, 0f3F800000;
	cvt.rn.f16.f32 %h, %f;
	st.global.b16 [%o], %h;
	ret;
}}
"
    )
}

const IN_64_BITS: &str = "	cvt.u64.u32 %wide, %row;\n	mul.lo.u64 %offset, %wide, %stride;";
const IN_32_BITS_SIGNED: &str = "	cvt.u32.u64 %narrow, %stride;\n	mul.lo.s32 %product, %row, %narrow;\n	cvt.s64.s32 %offset, %product;";
const IN_32_BITS: &str = "	cvt.u32.u64 %narrow, %stride;\n	mul.lo.u32 %product, %row, %narrow;\n	cvt.u64.u32 %offset, %product;";

const FILL: Fill = Fill::Hash { seed: 11 };

fn launch(rows: u64, stride: u64) -> Launch {
    let bytes = 2 * ((rows - 1) * stride + 1);
    let buffer = |name: &str, direction, fill| Buffer {
        name: name.into(),
        elem: Elem::F16,
        direction,
        contents: Contents::Sparse { bytes, fill, patches: vec![] },
        view: Some(View { shape: vec![rows], strides: vec![stride], offset: 0 }),
    };
    Launch {
        entry: "k".into(),
        grid: [rows as u32, 1, 1],
        block: [1, 1, 1],
        dynamic_shared_bytes: 0,
        args: vec![Arg::buffer(0), Arg::buffer(1), Arg::u64(stride)],
        buffers: vec![buffer("a", Direction::In, FILL), buffer("o", Direction::Out, Fill::Poison)],
        shared_regions: vec![],
    }
}

fn run(offset: &str, rows: u64, stride: u64) -> Outcome {
    let module = Module::parse(&program(offset)).unwrap_or_else(|e| panic!("{e}"));
    simulate(
        &module,
        &launch(rows, stride),
        &Config { counters: Counters::Full, ..Config::default() },
    )
    .unwrap()
}

/// Rows and strides whose last offset lies just behind 2^31, 2^32 and 2^40 elements.
const SHAPES: [(u64, u64); 5] = [
    (3, (1 << 30) + 1),
    (3, (1 << 31) + 5),
    (2, (1 << 32) + 3),
    (5, (1 << 38) + 7),
    (2, (1 << 40) + 1),
];

#[test]
fn offsets_in_64_bits_reach_every_row() {
    for (rows, stride) in SHAPES {
        let outcome = run(IN_64_BITS, rows, stride);
        let reports: String = outcome.findings.iter().map(|f| f.to_string()).collect();
        assert!(outcome.is_clean(), "stride {stride}\n{reports}");
        let (a, o) = (&outcome.buffers[0], &outcome.buffers[1]);
        for row in 0..rows {
            let at = row * stride;
            let read = |b: &FinalBuffer| {
                let bytes = b.read(2 * at, 2).unwrap();
                half::f16::from_bits(u16::from_le_bytes([bytes[0], bytes[1]])).to_f32()
            };
            let input = half::f16::from_bits(FILL.element(Elem::F16, at) as u16).to_f32();
            assert_eq!(read(a), input);
            assert_eq!(
                read(o),
                half::f16::from_f32(input + 1.0).to_f32(),
                "row {row} of stride {stride}"
            );
        }
        assert_eq!(a.num_pages(), 0, "reading needs no pages");
        assert_eq!(o.num_pages() as u64, rows, "one page for each row written");
        assert_eq!(o.read(2 * ((rows - 1) * stride + 1), 1), None, "the end of the buffer");
    }
}

#[test]
fn offsets_in_32_bits_are_found() {
    for (rows, stride) in SHAPES {
        for wrong in [IN_32_BITS, IN_32_BITS_SIGNED] {
            // 2^31 + 2 still fits an unsigned offset.
            if wrong == IN_32_BITS && (rows - 1) * stride <= u32::MAX as u64 {
                continue;
            }
            let outcome = run(wrong, rows, stride);
            let codes: Vec<Code> = outcome.findings.iter().map(|f| f.code).collect();
            let expected = [Code::OutOfBounds, Code::Gap, Code::GlobalRace];
            assert!(codes.iter().any(|c| expected.contains(c)), "stride {stride}: {codes:?}");
        }
    }
}

#[test]
fn patches_lie_over_the_fill() {
    let mut launch = launch(2, 1 << 33);
    let bytes = 2 * ((1 << 33) + 1);
    let patches = vec![(2 << 33, vec![0x00, 0x3c]), (100, vec![1, 2, 3])];
    launch.buffers[0].contents = Contents::Sparse { bytes, fill: FILL, patches };
    let module = Module::parse(&program(IN_64_BITS)).unwrap();
    let outcome = simulate(&module, &launch, &Config::default()).unwrap();
    assert!(outcome.is_clean());
    assert_eq!(outcome.buffers[0].read(100, 3), Some(vec![1, 2, 3]));
    assert_eq!(outcome.buffers[1].read(2 << 33, 2), Some(vec![0x00, 0x40]), "1 + 1 in f16");
}

#[test]
fn a_sparse_output_that_misses_a_row_is_found() {
    let mut launch = launch(3, 1 << 32);
    launch.grid = [2, 1, 1];
    let module = Module::parse(&program(IN_64_BITS)).unwrap();
    let outcome = simulate(&module, &launch, &Config::default()).unwrap();
    let codes: Vec<Code> = outcome.findings.iter().map(|f| f.code).collect();
    assert_eq!(codes, [Code::UninitOut]);
    let span = outcome.findings[0].span.as_ref().unwrap();
    assert_eq!(span.start, 2 * (2 << 32));
}
