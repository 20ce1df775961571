//! The blocks that a launch on the CPU takes where nobody chose any.

mod support;

use support::{Folder, Ran};

const PRODUCT: &str = "\
kernel product<T: float>(a: &T[M, K], b: &T[K, N], c: &mut T[M, N])
tune BM in [16, 32, 64], BN in [16, 4096], BK in [16, 64]
grid m in M by BM, n in N by BN {
    var acc = fill(0.0, f32[m, n]);
    for k in K by BK { acc = acc + dot(a[m, k], b[k, n] over k); }
    c[m, n] = acc as T;
}
";

fn chosen(dtype: &str, k: usize, n: usize, threads: usize) -> Option<String> {
    let folder = Folder::new();
    folder.write("product.tile", PRODUCT);
    let (a, b) = (format!("a=randn(4096,{k}):{dtype}"), format!("b=randn({k},{n}):{dtype}"));
    let threads = threads.to_string();
    let args = ["run", "product.tile", &a, &b, "--device", "cpu", "--threads", &threads, "-v"];
    let ran = Ran::new(&folder.command(&args).output().expect("tilec runs"));
    assert_eq!(ran.code, 0, "{ran:?}");
    let lines = ran.stderr.lines().find_map(|line| line.split_once("knobs "))?.1.to_owned();
    lines.split_once(',').map(|(knobs, _)| knobs.to_owned())
}

#[test]
fn kernels_that_copy_operands_take_the_largest_blocks_that_leave_programs_enough() {
    // 64 by 32 programs; 4096 lanes of n would be mostly empty. Rows of 512 f32 are far apart.
    for (dtype, threads) in [("bf16", 1), ("f32", 1), ("f32", 3)] {
        let knobs = chosen(dtype, 64, 512, threads);
        assert_eq!(knobs.as_deref(), Some("BK=16 BM=64 BN=16"), "{dtype}, {threads} threads");
    }
}

#[test]
fn operands_that_are_read_where_they_lie_ask_for_no_larger_blocks() {
    assert_eq!(chosen("f32", 64, 64, 1), None);
}
