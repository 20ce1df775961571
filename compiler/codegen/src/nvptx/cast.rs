//! Conversions between element types.

use tilec_gpu::gir::Val;
use tilec_vocab::DType;

use super::emit::{Emitter, Result};
use super::value::is_half;

impl Emitter<'_> {
    pub fn cast(&mut self, result: Val, x: Val) -> Result<()> {
        let (from, to) = (self.elem(x), self.elem(result));
        if from == to && self.program.layout(x) == self.program.layout(result) {
            let same = self.value(x)?;
            self.set(result, same);
            return Ok(());
        }
        if from.is_float() && to.is_float() {
            let wide = self.operand(x, result, true)?;
            self.set_wide(result, wide);
            return Ok(());
        }
        if from.is_float() {
            let xs = self.operand(x, result, true)?;
            let out = xs.iter().map(|x| self.float_to_int(x, to)).collect();
            self.set_registers(result, out);
            return Ok(());
        }
        let xs = self.operand(x, result, false)?;
        let out = xs.iter().map(|x| self.int_to(x, from, to)).collect();
        if is_half(to) {
            self.set_wide(result, out)
        } else {
            self.set_registers(result, out)
        }
        Ok(())
    }

    /// Toward zero, saturating; NaN gives 0.
    fn float_to_int(&mut self, x: &str, to: DType) -> String {
        match to {
            DType::I32 => self.text.call("i32", "llvm.fptosi.sat.i32.f32", &[("float", x)]),
            DType::Bool => self.text.def(format_args!("fcmp une float {x}, 0.0")),
            _ => self.text.call("i64", "llvm.fptosi.sat.i64.f32", &[("float", x)]),
        }
    }

    /// An integer or `bool` as another type; to 16-bit floats as an `f32` that rounds to the right one.
    fn int_to(&mut self, x: &str, from: DType, to: DType) -> String {
        let text = &mut self.text;
        match (from, to) {
            (DType::Bool, DType::I32) => text.def(format_args!("zext i1 {x} to i32")),
            (DType::Bool, DType::I64) => text.def(format_args!("zext i1 {x} to i64")),
            (DType::Bool, DType::F16 | DType::BF16 | DType::F32) => {
                text.def(format_args!("uitofp i1 {x} to float"))
            }
            (DType::I32, DType::I64) => text.def(format_args!("sext i32 {x} to i64")),
            (DType::I64, DType::I32) => {
                let low = i64::from(i32::MIN).to_string();
                let high = i64::from(i32::MAX).to_string();
                let x = text.call("i64", "llvm.smax.i64", &[("i64", x), ("i64", &low)]);
                let x = text.call("i64", "llvm.smin.i64", &[("i64", &x), ("i64", &high)]);
                text.def(format_args!("trunc i64 {x} to i32"))
            }
            (DType::I32, DType::BF16) => {
                let wide = text.def(format_args!("sext i32 {x} to i64"));
                self.rounded_to_bf16(&wide)
            }
            (DType::I64, DType::BF16) => self.rounded_to_bf16(x),
            // An integer that f32 cannot hold is beyond every finite f16.
            (DType::I32, DType::F16 | DType::F32) => {
                text.def(format_args!("sitofp i32 {x} to float"))
            }
            (DType::I64, DType::F16 | DType::F32) => {
                text.def(format_args!("sitofp i64 {x} to float"))
            }
            _ => x.to_string(),
        }
    }

    /// An `f32` that rounds to the bf16 nearest to the integer: where the first rounding loses something, it goes to
    /// the neighbour whose last bit is set, from which the second cannot go wrong.
    fn rounded_to_bf16(&mut self, x: &str) -> String {
        let text = &mut self.text;
        let nearest = text.def(format_args!("sitofp i64 {x} to float"));
        let back = text.call("i64", "llvm.fptosi.sat.i64.f32", &[("float", &nearest)]);
        let exact = text.def(format_args!("icmp eq i64 {back}, {x}"));
        let raw = text.def(format_args!("bitcast float {nearest} to i32"));
        let last = text.def(format_args!("and i32 {raw}, 1"));
        let odd = text.def(format_args!("icmp ne i32 {last}, 0"));
        let keep = text.def(format_args!("or i1 {exact}, {odd}"));
        let over = text.def(format_args!("icmp sgt i64 {back}, {x}"));
        let positive = text.def(format_args!("icmp sgt i64 {x}, 0"));
        // Too large in size: positive and above, or negative and below.
        let same = text.def(format_args!("xor i1 {over}, {positive}"));
        let step = text.def(format_args!("select i1 {same}, i32 1, i32 -1"));
        let moved = text.def(format_args!("add i32 {raw}, {step}"));
        let kept = text.def(format_args!("select i1 {keep}, i32 {raw}, i32 {moved}"));
        text.def(format_args!("bitcast i32 {kept} to float"))
    }
}
