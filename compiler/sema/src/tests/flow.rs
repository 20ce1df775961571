use super::run;
#[test]
fn show() {
    println!("{}", run("kernel k(x: &f32[N], y: &mut f32[N], z: i32)\ntune BN in [64]\ngrid n in N by BN {\n  if z == 0 { return; }\n  var a = 1.0;\n  if z > 3 { a = 2.0; if z > 4 { return; } }\n  y[n] = x[n] * a;\n}").ir());
    println!("{}", run("kernel k(x: &f32[M,N], y: &mut f32[M], z: i32)\ntune BN in [64]\ngrid m in M by BN {\n  var a = fill(0.0, f32[m]); var b = 0; for n in 0..z by BN { a = a + sum(x[m,n] over n); if z > 2 { b = b + 1; } let a = 3.0; } y[m] = a * b; }").ir());
}
