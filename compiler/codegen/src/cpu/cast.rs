//! Conversions, and the rounding of 16-bit floats that are held as `f32`.

use tilec_vocab::DType;

use super::emit::{Emitter, Kind};
use super::eval::Val;
use super::math::literal;

impl Emitter<'_> {
    /// `x`, an `f32`, as the nearest number of `dtype`.
    pub fn rounded(&mut self, x: String, dtype: DType, v: bool) -> String {
        match dtype {
            DType::F16 => {
                let (ty, half) = (self.ty(Kind::Float, v), self.lanes_of("half", v));
                let narrow = self.text.def(format_args!("fptrunc {ty} {x} to {half}"));
                self.text.def(format_args!("fpext {half} {narrow} to {ty}"))
            }
            DType::BF16 => {
                let bits = self.lanes_of("i32", v);
                let top = self.bf16_bits(&x, v);
                let ty = self.ty(Kind::Float, v);
                self.text.def(format_args!("bitcast {bits} {top} to {ty}"))
            }
            DType::F32 | DType::I32 | DType::I64 | DType::Bool => x,
        }
    }

    /// The nearest bf16 in the upper half of each `i32`; ties to even.
    pub fn bf16_bits(&mut self, x: &str, v: bool) -> String {
        let (ty, bits, mask) =
            (self.ty(Kind::Float, v), self.lanes_of("i32", v), self.ty(Kind::Bool, v));
        let n = |n: &str| literal("i32", n, v);
        let text = &mut self.text;
        let raw = text.def(format_args!("bitcast {ty} {x} to {bits}"));
        let low = text.def(format_args!("lshr {bits} {raw}, {}", n("16")));
        let odd = text.def(format_args!("and {bits} {low}, {}", n("1")));
        let half = text.def(format_args!("add {bits} {odd}, {}", n("32767")));
        let up = text.def(format_args!("add {bits} {raw}, {half}"));
        let nan = text.def(format_args!("fcmp uno {ty} {x}, {x}"));
        let quiet = n("2143289344");
        let up = text.def(format_args!("select {mask} {nan}, {bits} {quiet}, {bits} {up}"));
        text.def(format_args!("and {bits} {up}, {}", n("-65536")))
    }

    pub fn cast(&mut self, from: DType, to: DType, x: &Val) -> String {
        let v = x.vector;
        let text = x.text.clone();
        let (source, target) = (Kind::of(from), Kind::of(to));
        let (a, b) = (self.ty(source, v), self.ty(target, v));
        match (source, target) {
            // Only a narrowing one changes anything.
            (Kind::Float, Kind::Float) if from == to || to == DType::F32 => text,
            (Kind::Float, Kind::Float) => self.rounded(text, to, v),
            (Kind::Float, Kind::Int) if to == DType::I32 => {
                let ints = self.lanes_of("i32", v);
                let name = self.conversion("fptosi.sat", "i32", "f32", v);
                let narrow = self.text.call(&ints, &name, &[(&a, &text)]);
                self.text.def(format_args!("sext {ints} {narrow} to {b}"))
            }
            (Kind::Float, Kind::Int) => {
                let name = self.conversion("fptosi.sat", "i64", "f32", v);
                self.text.call(&b, &name, &[(&a, &text)])
            }
            (Kind::Int, Kind::Int) if to == DType::I32 && from != DType::I32 => {
                let (low, high) = (literal("i64", i32::MIN, v), literal("i64", i32::MAX, v));
                let text = self.intrinsic("smax", Kind::Int, v, &[&text, &low]);
                self.intrinsic("smin", Kind::Int, v, &[&text, &high])
            }
            (Kind::Int, Kind::Float) => self.int_to_float(&text, to, v),
            (Kind::Bool, Kind::Float) => self.text.def(format_args!("uitofp {a} {text} to {b}")),
            (Kind::Bool, Kind::Int) => self.text.def(format_args!("zext {a} {text} to {b}")),
            (Kind::Int, Kind::Int) | (Kind::Bool, Kind::Bool) | (_, Kind::Bool) => text,
        }
    }

    fn conversion(&self, name: &str, to: &str, from: &str, v: bool) -> String {
        let lanes = if v { format!("v{}", self.host.lanes) } else { String::new() };
        format!("llvm.{name}.{lanes}{to}.{lanes}{from}")
    }

    /// The nearest float in one rounding. To bf16 the way over `f32` would round twice, so that step rounds to odd:
    /// it goes to the neighbour whose last bit is set, from which the second rounding cannot go wrong.
    fn int_to_float(&mut self, x: &str, to: DType, v: bool) -> String {
        let (ints, ty) = (self.ty(Kind::Int, v), self.ty(Kind::Float, v));
        let nearest = self.text.def(format_args!("sitofp {ints} {x} to {ty}"));
        match to {
            // An integer that f32 cannot hold is beyond every finite f16.
            DType::F16 => return self.rounded(nearest, to, v),
            DType::BF16 => {}
            _ => return nearest,
        }
        let (mask, bits) = (self.ty(Kind::Bool, v), self.lanes_of("i32", v));
        let n = |n: &str| literal("i32", n, v);
        // The nearest f32 to an i64 may be 2^63, which no i64 is: saturation tells it apart.
        let name = self.conversion("fptosi.sat", "i64", "f32", v);
        let back = self.text.call(&ints, &name, &[(&ty, &nearest)]);
        let text = &mut self.text;
        let exact = text.def(format_args!("icmp eq {ints} {back}, {x}"));
        let raw = text.def(format_args!("bitcast {ty} {nearest} to {bits}"));
        let last = text.def(format_args!("and {bits} {raw}, {}", n("1")));
        let odd = text.def(format_args!("icmp ne {bits} {last}, {}", n("0")));
        let keep = text.def(format_args!("or {mask} {exact}, {odd}"));
        let zero = if v { "zeroinitializer" } else { "0" };
        let over = text.def(format_args!("icmp sgt {ints} {back}, {x}"));
        let positive = text.def(format_args!("icmp sgt {ints} {x}, {zero}"));
        // Too large in size: positive and above, or negative and below.
        let same = text.def(format_args!("xor {mask} {over}, {positive}"));
        let (up, down) = (n("1"), n("-1"));
        let step = text.def(format_args!("select {mask} {same}, {bits} {up}, {bits} {down}"));
        let moved = text.def(format_args!("add {bits} {raw}, {step}"));
        let kept = text.def(format_args!("select {mask} {keep}, {bits} {raw}, {bits} {moved}"));
        let odd = text.def(format_args!("bitcast {bits} {kept} to {ty}"));
        self.rounded(odd, to, v)
    }
}
