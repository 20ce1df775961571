//! Exponentials that are rounded to bf16 anyway.
//!
//! Where an exponential goes into products and choices whose results are rounded to bf16, and besides that into sums at
//! most, 2^-17 of it is lost in the rounding, whose own error is 2^-9. There, with AVX-512, it is six instructions less:
//! the machine splits `x log2(e)` by itself, and takes infinities and numbers beyond every exponent as they come. Rounding
//! and sum see the same value. Everywhere else an exponential is exact to the last place (`math.rs`).

use tilec_ir::{BinaryOp, Op, ReduceOp, UnaryOp, Value};
use tilec_vocab::DType;

use super::emit::{Emitter, Kind};
use super::host::Bf16Dots;

/// 2^x for 0 <= x < 1, the highest power first; off by 2^-18.4 of itself at most, and exact at 0.
const EXP2: &[f32] = &[1.342_668_4e-2, 5.224_247_3e-2, 0.241_280_2, 0.693_044_84, 1.0];

/// How far uses are followed.
const MOST_USES: usize = 16;

impl Emitter<'_> {
    /// Whether an exponential may be coarse.
    pub fn is_coarse(&self, value: Value) -> bool {
        // Machines with either unit have the instructions, too.
        self.host.lanes == 16
            && self.host.bf16 != Bf16Dots::Widened
            && self.dtype(value) == DType::F32
            && self.is_rounded_away(value)
    }

    fn is_rounded_away(&self, value: Value) -> bool {
        let (mut work, mut rounded) = (vec![value], false);
        let mut seen = 0;
        while let Some(value) = work.pop() {
            for &user in self.layouts.users(value) {
                seen += 1;
                let data = &self.kernel.insts[user];
                match &data.op {
                    Op::Cast if self.dtype(data.results[0]) == DType::BF16 => rounded = true,
                    // It stays as exact, relative to itself.
                    Op::Binary(BinaryOp::Mul) => work.push(data.results[0]),
                    Op::Select if data.args[0] != value => work.push(data.results[0]),
                    Op::Reduce(ReduceOp::Sum, _) => {}
                    _ => return false,
                }
                if seen > MOST_USES {
                    return false;
                }
            }
        }
        rounded
    }

    /// A vector of coarse exponentials.
    pub fn coarse_exp(&mut self, op: UnaryOp, x: &str) -> String {
        let ty = self.ty(Kind::Float, true);
        let octaves = match op {
            UnaryOp::Exp2 => x.to_owned(),
            _ => {
                let per_octave = self.f(std::f32::consts::LOG2_E, true);
                self.fop("fmul", true, x, &per_octave)
            }
        };
        let (all, current) = (("i16", "-1"), ("i32", "4"));
        // What is over the next lower integer, 0 of an infinity.
        let down = ("i32", "1");
        let args = [(ty.as_str(), octaves.as_str()), down, (&ty, "zeroinitializer"), all, current];
        let rest = self.text.call(&ty, "llvm.x86.avx512.mask.reduce.ps.512", &args);
        let power = self.polynomial(true, &rest, EXP2);
        // Times two to that integer, rounded once.
        let args = [
            (ty.as_str(), power.as_str()),
            (&ty, &octaves),
            (&ty, "zeroinitializer"),
            all,
            current,
        ];
        self.text.call(&ty, "llvm.x86.avx512.mask.scalef.ps.512", &args)
    }
}
