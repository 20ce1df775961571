//! Fragment layouts of `mma` and `ldmatrix` against the formulas of the PTX manual, on random matrices.
//!
//! The formulas are written here as the manual writes them (PTX ISA 9.7.14.5.7, 9.7.14.5.8, 9.7.14.5.15), apart from the
//! simulator's own. Entries are small integers, so every order of summation gives the same bits. Golden vectors with
//! literal registers are in `tests/suite/ops/mma*.ptx` and `ldmatrix.ptx`.

use tilec_ptxsim::*;

/// Register fragment position to matrix position: `(lane, i) -> (row, column)`, `i` counting elements.
type Place = fn(usize, usize) -> (usize, usize);

struct Shape {
    opcode: &'static str,
    elem: &'static str,
    k: usize,
    /// Elements per lane of A and B.
    num_a: usize,
    num_b: usize,
    a: Place,
    b: Place,
}

fn group(lane: usize) -> usize {
    lane >> 2
}

fn thread(lane: usize) -> usize {
    lane % 4
}

/// m16n8k16, 16-bit A: rows groupID for i in 0, 1, 4, 5, else groupID + 8; columns 8 further for i >= 4.
fn a_k16(lane: usize, i: usize) -> (usize, usize) {
    let row = if matches!(i, 0 | 1 | 4 | 5) { group(lane) } else { group(lane) + 8 };
    (row, thread(lane) * 2 + (i & 1) + if i >= 4 { 8 } else { 0 })
}

fn b_k16(lane: usize, i: usize) -> (usize, usize) {
    (thread(lane) * 2 + (i & 1) + if i >= 2 { 8 } else { 0 }, group(lane))
}

fn a_k8(lane: usize, i: usize) -> (usize, usize) {
    (if i < 2 { group(lane) } else { group(lane) + 8 }, thread(lane) * 2 + (i & 1))
}

fn b_k8(lane: usize, i: usize) -> (usize, usize) {
    (thread(lane) * 2 + i, group(lane))
}

fn a_tf32_k8(lane: usize, i: usize) -> (usize, usize) {
    let row = if i == 0 || i == 2 { group(lane) } else { group(lane) + 8 };
    (row, if i < 2 { thread(lane) } else { thread(lane) + 4 })
}

fn b_tf32_k8(lane: usize, i: usize) -> (usize, usize) {
    (if i == 0 { thread(lane) } else { thread(lane) + 4 }, group(lane))
}

fn a_tf32_k4(lane: usize, i: usize) -> (usize, usize) {
    (if i == 0 { group(lane) } else { group(lane) + 8 }, thread(lane))
}

fn b_tf32_k4(lane: usize, _: usize) -> (usize, usize) {
    (thread(lane), group(lane))
}

fn c_place(lane: usize, i: usize) -> (usize, usize) {
    (if i < 2 { group(lane) } else { group(lane) + 8 }, thread(lane) * 2 + (i & 1))
}

const SHAPES: [Shape; 6] = [
    Shape { opcode: "m16n8k16", elem: "f16", k: 16, num_a: 8, num_b: 4, a: a_k16, b: b_k16 },
    Shape { opcode: "m16n8k16", elem: "bf16", k: 16, num_a: 8, num_b: 4, a: a_k16, b: b_k16 },
    Shape { opcode: "m16n8k8", elem: "f16", k: 8, num_a: 4, num_b: 2, a: a_k8, b: b_k8 },
    Shape { opcode: "m16n8k8", elem: "bf16", k: 8, num_a: 4, num_b: 2, a: a_k8, b: b_k8 },
    Shape { opcode: "m16n8k8", elem: "tf32", k: 8, num_a: 4, num_b: 2, a: a_tf32_k8, b: b_tf32_k8 },
    Shape { opcode: "m16n8k4", elem: "tf32", k: 4, num_a: 2, num_b: 1, a: a_tf32_k4, b: b_tf32_k4 },
];

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 33
    }

    /// From -range to range.
    fn integer(&mut self, range: i32) -> i32 {
        (self.next() % (2 * range as u64 + 1)) as i32 - range
    }
}

/// Loads registers `%a0..` of every named fragment from its buffer, runs `body`, and stores `%d0..`.
fn program(loads: &[(&str, usize)], stores: usize, extra: &str, body: &str) -> String {
    let params: Vec<String> =
        loads.iter().map(|l| l.0).chain(["d"]).map(|n| format!(".param .u64 {n}")).collect();
    let mut text = format!(
        ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k({})\n{{\n\t.reg .b32 %t, %d<4>;\n\t.reg .b64 %p, %s;\n{extra}\tmov.u32 %t, %tid.x;\n",
        params.join(", ")
    );
    for (name, count) in loads {
        text += &format!(
            "\t.reg .b32 %{name}<{count}>;\n\tld.param.u64 %p, [{name}];\n\tmad.wide.u32 %p, %t, {}, %p;\n",
            4 * count
        );
        for i in 0..*count {
            text += &format!("\tld.global.b32 %{name}{i}, [%p+{}];\n", 4 * i);
        }
    }
    text += body;
    text += &format!("\tld.param.u64 %p, [d];\n\tmad.wide.u32 %p, %t, {}, %p;\n", 4 * stores);
    for i in 0..stores {
        text += &format!("\tst.global.b32 [%p+{}], %d{i};\n", 4 * i);
    }
    text + "\tret;\n}\n"
}

fn bytes(words: impl IntoIterator<Item = u32>) -> Vec<u8> {
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}

/// Runs one warp over the inputs; the words of `d`.
fn run(text: &str, inputs: Vec<(&str, Vec<u8>)>, stores: usize, config: &Config) -> Vec<u32> {
    let module = Module::parse(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let mut buffers: Vec<Buffer> =
        inputs.into_iter().map(|(n, b)| Buffer::input(n, Elem::U32, b)).collect();
    buffers.push(Buffer::output("d", Elem::U32, 32 * stores as u64));
    let launch = Launch {
        entry: "k".into(),
        grid: [1; 3],
        block: [32, 1, 1],
        dynamic_shared_bytes: 0,
        args: (0..buffers.len()).map(Arg::buffer).collect(),
        buffers,
        shared_regions: vec![],
    };
    let outcome = simulate(&module, &launch, config).unwrap();
    assert!(outcome.is_clean(), "{:?}", outcome.findings);
    let out = outcome.bytes_of("d").unwrap();
    out.chunks_exact(4).map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect()
}

fn encode(elem: &str, v: i32) -> u32 {
    match elem {
        "f16" => half::f16::from_f32(v as f32).to_bits() as u32,
        "bf16" => half::bf16::from_f32(v as f32).to_bits() as u32,
        // The thirteen low bits of a tf32 operand must not count.
        _ => (v as f32).to_bits() | 0x0aaa,
    }
}

/// One lane's registers after another: `matrix[place(lane, i)]`, packed low element first.
fn fragment(shape: &Shape, count: usize, at: impl Fn(usize, usize) -> i32) -> Vec<u8> {
    let per_word = if shape.elem == "tf32" { 1 } else { 2 };
    let word = |lane: usize, w: usize| {
        (0..per_word)
            .fold(0, |word, e| word | encode(shape.elem, at(lane, w * per_word + e)) << (16 * e))
    };
    bytes(
        (0..32)
            .flat_map(|lane| (0..count / per_word).map(move |w| (lane, w)))
            .map(|(lane, w)| word(lane, w)),
    )
}

fn names(prefix: &str, count: usize) -> String {
    let all: Vec<String> = (0..count).map(|i| format!("%{prefix}{i}")).collect();
    format!("{{{}}}", all.join(", "))
}

#[test]
fn mma_multiplies_matrices_laid_out_as_the_manual_says() {
    let mut random = Random(1);
    for shape in &SHAPES {
        let per_word = if shape.elem == "tf32" { 1 } else { 2 };
        let (words_a, words_b) = (shape.num_a / per_word, shape.num_b / per_word);
        let elem = shape.elem;
        let body = format!(
            "\tmma.sync.aligned.{}.row.col.f32.{elem}.{elem}.f32 {}, {}, {}, {};\n",
            shape.opcode,
            names("d", 4),
            names("a", words_a),
            names("b", words_b),
            names("c", 4)
        );
        let text = program(&[("a", words_a), ("b", words_b), ("c", 4)], 4, "", &body);
        for round in 0..12 {
            let a: Vec<Vec<i32>> =
                (0..16).map(|_| (0..shape.k).map(|_| random.integer(16)).collect()).collect();
            let b: Vec<Vec<i32>> =
                (0..shape.k).map(|_| (0..8).map(|_| random.integer(16)).collect()).collect();
            let c: Vec<Vec<i32>> =
                (0..16).map(|_| (0..8).map(|_| random.integer(1000)).collect()).collect();
            let inputs = vec![
                (
                    "a",
                    fragment(shape, shape.num_a, |l, i| {
                        let (r, k) = (shape.a)(l, i);
                        a[r][k]
                    }),
                ),
                (
                    "b",
                    fragment(shape, shape.num_b, |l, i| {
                        let (k, n) = (shape.b)(l, i);
                        b[k][n]
                    }),
                ),
                (
                    "c",
                    bytes((0..128).map(|w| {
                        let (r, n) = c_place(w / 4, w % 4);
                        (c[r][n] as f32).to_bits()
                    })),
                ),
            ];
            let numerics = Numerics::all()[round % 4];
            let lanes = if round % 3 == 0 { Lanes::Portable } else { Lanes::Fastest };
            let got = run(&text, inputs, 4, &Config { numerics, lanes, ..Config::default() });
            for (w, bits) in got.iter().enumerate() {
                let (r, n) = c_place(w / 4, w % 4);
                let wanted = c[r][n] + (0..shape.k).map(|k| a[r][k] * b[k][n]).sum::<i32>();
                assert_eq!(
                    f32::from_bits(*bits),
                    wanted as f32,
                    "{} {elem} row {r} column {n} {numerics:?}",
                    shape.opcode
                );
            }
        }
    }
}

/// Lane l receives row l / 4, elements 2 (l mod 4) and the next; transposed, column l / 4, rows 2 (l mod 4) and the next.
#[test]
fn ldmatrix_hands_out_rows_from_the_addresses_of_eight_lanes_each() {
    let mut random = Random(7);
    for count in [1usize, 2, 4] {
        for trans in ["", ".trans"] {
            let body = format!(
                "\tmov.b64 %s, box;\n\tmad.wide.u32 %s, %t, 16, %s;\n\tst.shared.v4.b32 [%s], {};\n\tbar.sync 0;\n\tmov.b64 %s, box;\n\tmad.wide.u32 %s, %r0, 16, %s;\n\tldmatrix.sync.aligned.m8n8.x{count}{trans}.shared.b16 {}, [%s];\n",
                names("x", 4),
                names("d", count)
            );
            let text =
                program(&[("x", 4), ("r", 1)], count, "\t.shared .align 16 .b8 box[512];\n", &body);
            for _ in 0..8 {
                let data: Vec<u16> = (0..256).map(|_| random.next() as u16).collect();
                // Any row of the box, the same one for several lanes too.
                let rows: Vec<u32> = (0..32).map(|_| random.next() as u32 % 32).collect();
                let words = data.chunks_exact(2).map(|p| p[0] as u32 | (p[1] as u32) << 16);
                let inputs = vec![("x", bytes(words)), ("r", bytes(rows.iter().copied()))];
                let got = run(&text, inputs, count, &Config::default());
                let element =
                    |m: usize, r: usize, c: usize| data[rows[8 * m + r] as usize * 8 + c] as u32;
                for lane in 0..32 {
                    for m in 0..count {
                        let (g, t) = (lane / 4, 2 * (lane % 4));
                        let wanted = if trans.is_empty() {
                            element(m, g, t) | element(m, g, t + 1) << 16
                        } else {
                            element(m, t, g) | element(m, t + 1, g) << 16
                        };
                        assert_eq!(
                            got[lane * count + m],
                            wanted,
                            "x{count}{trans} lane {lane} matrix {m}"
                        );
                    }
                }
            }
        }
    }
}

/// Sums differ between models where they may, and each keeps its promise: the products of one row are 2^24, 1, 1, …
#[test]
fn the_sum_models_differ_where_the_manual_leaves_the_order_open() {
    let shape = &SHAPES[0];
    let body = format!(
        "\tmma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {}, {}, {}, {};\n",
        names("d", 4),
        names("a", 4),
        names("b", 2),
        names("c", 4)
    );
    let text = program(&[("a", 4), ("b", 2), ("c", 4)], 4, "", &body);
    let sum = |model: SumModel| {
        let inputs = vec![
            ("a", fragment(shape, 8, |l, i| if (shape.a)(l, i).1 == 0 { 4096 } else { 1 })),
            ("b", fragment(shape, 4, |l, i| if (shape.b)(l, i).0 == 0 { 4096 } else { 1 })),
            ("c", bytes([0; 128])),
        ];
        let numerics = Numerics { sum: model, ..Numerics::REFERENCE };
        let got = run(&text, inputs, 4, &Config { numerics, ..Config::default() });
        assert!(got.iter().all(|w| *w == got[0]));
        f32::from_bits(got[0])
    };
    let big = 16777216.0;
    // One at a time, 2^24 + 1 rounds back to even each time; all at once, fifteen ones are kept, rounded to even.
    assert_eq!(sum(SumModel::Sequential), big);
    assert_eq!(sum(SumModel::Exact), big + 16.0);
    // Aligned to 2^24, a one is the last bit kept before the sum is cut to 24 bits: 3 of the first four give 2, then 4 each.
    assert_eq!(sum(SumModel::Truncate { group: 4 }), big + 2.0 + 4.0 + 4.0 + 4.0);
    assert_eq!(sum(SumModel::Truncate { group: 8 }), big + 6.0 + 8.0);
}
