//! Every kernel of the library as PTX in the simulator, held against its spec: a sample of the matrix of
//! `tests/src/matrix.rs`, and beside it what the compiler can leave out. `TILEC_SIM_TURNS=20` takes more of both; `make matrix`
//! goes through the whole matrix.

use tilec_ir::{Module, Tile};
use tilec_tests::gpu::{FLOATS, modules};
use tilec_tests::matrix::{
    Cell, GROUPS, HEADS, KNOBS, LENGTHS, ODD_HEADS, Setting, Tiles, cells, complaints, lines,
    run_all, switches, with_specs,
};
use tilec_tests::{lowered, no_complaints};
use tilec_vocab::DType;

/// Cells for each kernel.
const TURNS: usize = 3;

/// What the rotation goes through beside the matrix's knobs: a warp alone, more stages than there are blocks, and each choice
/// of the compiler left out.
fn settings() -> Vec<Setting> {
    let more = [(1, 2, Tiles::First), (2, 4, Tiles::First), (8, 3, Tiles::First)];
    let more = more.map(|(warps, stages, tiles)| Setting::Knobs { warps, stages, tiles });
    let off = switches().map(Setting::Without).chain([Setting::WithoutAll]);
    KNOBS.into_iter().chain(more).chain(off).collect()
}

#[test]
fn every_kernel_of_the_library_does_what_its_spec_says() {
    let modules = modules();
    let kernels = with_specs(modules.iter().map(|(_, module)| module));
    assert!(kernels.len() >= 28, "only {} kernels", kernels.len());
    let settings = settings();
    let heads = [&HEADS[..], &ODD_HEADS[..]].concat();
    let asked = std::env::var("TILEC_SIM_TURNS").ok().and_then(|turns| turns.parse().ok());
    let turns = asked.unwrap_or(TURNS);
    let mut sample = Vec::new();
    // Steps that have no factor in common with the number of rows of each table: every pair comes up over the library.
    for (number, &(kernel, spec)) in kernels.iter().enumerate() {
        for turn in 0..turns {
            let at = number * turns + turn;
            sample.push(Cell {
                kernel,
                spec,
                dtype: FLOATS[at % FLOATS.len()],
                precision: None,
                head: heads[(at * 5 + number) % heads.len()],
                lengths: LENGTHS[(at + at / LENGTHS.len()) % LENGTHS.len()],
                groups: GROUPS[(at + at / GROUPS.len()) % GROUPS.len()],
                setting: settings[(at * 3 + number) % settings.len()],
            });
        }
    }
    // And cells from all over the matrix, in steps that have no factor in common with its numbers of heads and settings.
    let matrix = cells(&kernels);
    let least = matrix.len() * TURNS / (kernels.len() * turns);
    let step = (least.max(1)..).find(|step| step % 2 != 0 && step % 3 != 0).unwrap_or(1);
    sample.extend(matrix.into_iter().step_by(step));
    let done = run_all(&sample, &|_, _| ());
    no_complaints(complaints(&sample, &done));
    let stages: std::collections::BTreeSet<u32> =
        lines(&sample, &done).into_values().flat_map(|line| line.stages).collect();
    assert!([1, 2, 3].iter().all(|stage| stages.contains(stage)), "stages {stages:?}");
}

/// Attention without its softmax, with products of this precision.
fn chained(precision: &str) -> String {
    format!(
        "
kernel chained<const D>(q: &f32[M, D], k: &f32[N, D], v: &f32[N, D], o: &mut f32[M, D])
tune BM in [64, 32], BN in [64, 32]
grid m in M by BM {{
    axis d in D;
    let qs = q[m, d];
    var acc = fill(0.0, f32[m, d]);
    for n in N by BN {{
        let s = dot(qs, k[n, d] over d, precision = {precision});
        acc = acc + dot(s * 0.125, v[n, d] over n, precision = {precision});
    }}
    o[m, d] = acc;
}}

spec chained {{
    axis m in M; axis n in N; axis d in D;
    let s = dot(q[m, d], k[n, d] over d);
    o[m, d] = dot(s * 0.125, v[n, d] over n);
}}
"
    )
}

/// A product of numbers that tf32 holds exactly, so that the bound of f32 applies.
const EXACT: &str = "
kernel exact<const D>(a: &f16[M, D], b: &f16[N, D], c: &mut f32[M, N])
tune BM in [64, 32], BN in [64, 32]
grid m in M by BM, n in N by BN {
    axis d in D;
    c[m, n] = dot(a[m, d] as f32, b[n, d] as f32 over d, precision = tf32);
}

spec exact {
    axis m in M; axis n in N; axis d in D;
    c[m, n] = dot(a[m, d] as f32, b[n, d] as f32 over d);
}
";

#[test]
fn products_of_f32_keep_the_precision_that_is_asked_for() {
    let texts = [chained("ieee"), chained("tf32x3"), EXACT.to_owned()];
    let modules: Vec<Module<Tile>> = texts.iter().map(|text| lowered(text)).collect();
    let mut cells = Vec::new();
    for (at, &head) in HEADS.iter().enumerate() {
        for (kernel, spec) in with_specs(&modules) {
            cells.push(Cell {
                kernel,
                spec,
                dtype: DType::F32,
                precision: None,
                head,
                lengths: LENGTHS[at % LENGTHS.len()],
                groups: GROUPS[0],
                setting: KNOBS[at % KNOBS.len()],
            });
        }
    }
    let done = run_all(&cells, &|_, _| ());
    no_complaints(complaints(&cells, &done));
}
