//! t
use tilec_layout::*;
#[test]
fn times() {
    let t = std::time::Instant::now();
    for w in [4, 8] {
        for h in [64, 80, 128, 256] {
            blocked(&[('b', 4), ('x', 2), ('m', 128), ('d', h)], 2, w);
        }
    }
    println!("blocked x8 {:?}", t.elapsed());
    let half = Mma::M16N8K16Half;
    let o = half.c().covering(Dot::N, 128).covering(Dot::M, 32).over_warps(Dot::M, 4);
    let r = blocked(&[(Dot::M, 128), (Dot::N, 128)], 2, 4);
    let t = std::time::Instant::now();
    println!("{}", exchange(&o, &r, 2).unwrap().cost);
    println!("exchange {:?}", t.elapsed());
    let t = std::time::Instant::now();
    println!("{}", Shuffles::between(&o, &r, 2).unwrap().cost());
    println!("shuffles {:?}", t.elapsed());
    let k = half.b().covering(Dot::K, 128).covering(Dot::N, 128);
    let l = Ldmatrix::of(&k, Dot::K, 2).unwrap();
    let w = chunked(&[(Dot::N, 128), (Dot::K, 128)], 2, 4);
    let b = Buffer::new(&[(Dot::N, 128), (Dot::K, 128)], 2).unwrap();
    let t = std::time::Instant::now();
    let (b, c) = b.best_swizzle(&[
        Access { layout: &l.addresses, lanes: Lanes::FirstCopies },
        Access { layout: &w, lanes: Lanes::All },
    ]);
    println!("choose {:?} {:?}", t.elapsed(), c);
    let t = std::time::Instant::now();
    println!("{}", b.bases(&l.addresses).bases.len());
    println!("bases {:?}", t.elapsed());
}
