//! Element-wise instructions: each register of the result from a register of each operand.

use tilec_gpu::gir::Val;
use tilec_ir::{BinaryOp, CompareOp, UnaryOp};
use tilec_vocab::DType;

use super::emit::{Emitter, Result};
use super::value::{Tile, Value, is_half, llvm_type, widen};

impl Emitter<'_> {
    /// The registers of an operand that stand beside those of the result; 16-bit floats as `f32` if `wide`.
    pub fn operand(&mut self, operand: Val, result: Val, wide: bool) -> Result<Vec<String>> {
        let elem = self.elem(operand);
        let own = match self.value(operand)? {
            Value::Uniform(name) => {
                let name = if wide { widen(&mut self.text, elem, &name) } else { name };
                let count = self
                    .program
                    .layout(result)
                    .map_or(1, |layout| layout.count(tilec_layout::Place::Register) as usize);
                return Ok(vec![name; count]);
            }
            Value::Tile(tile) => self.registers(&tile, elem, wide),
        };
        let map = self.beside(operand, result)?;
        Ok(map.iter().map(|register| own[*register as usize].clone()).collect())
    }

    /// All registers of a tile; 16-bit floats as `f32` if `wide`.
    pub fn registers(&mut self, tile: &Tile, elem: DType, wide: bool) -> Vec<String> {
        (0..tile.len())
            .map(|register| {
                let x = tile.register(&mut self.text, elem, register);
                if wide { widen(&mut self.text, elem, &x) } else { x }
            })
            .collect()
    }

    /// Gives a result registers that are `f32` where it is a 16-bit float.
    pub fn set_wide(&mut self, result: Val, registers: Vec<String>) {
        let elem = self.elem(result);
        if !is_half(elem) {
            return self.set_registers(result, registers);
        }
        let made = Tile::rounded(&mut self.text, elem, registers);
        let made = if self.program.layout(result).is_some() {
            Value::Tile(made)
        } else {
            Value::Uniform(made.words.into_iter().next().unwrap_or_default())
        };
        self.set(result, made);
    }

    pub fn unary(&mut self, result: Val, op: UnaryOp, x: Val) -> Result<()> {
        let float = self.elem(x).is_float();
        let xs = self.operand(x, result, true)?;
        let out = xs
            .iter()
            .map(|x| match (op, float) {
                (UnaryOp::Neg, true) => self.text.def(format_args!("fneg float {x}")),
                (UnaryOp::Neg, false) => self.text.def(format_args!("sub i64 0, {x}")),
                (UnaryOp::Not, _) => self.text.def(format_args!("xor i1 {x}, true")),
                (UnaryOp::Abs, true) => self.float_call("llvm.fabs.f32", &[x]),
                (UnaryOp::Abs, false) => {
                    self.text.call("i64", "llvm.abs.i64", &[("i64", x), ("i1", "false")])
                }
                (UnaryOp::Exp, _) => self.exp(x),
                (UnaryOp::Exp2, _) => self.exp2(x),
                (UnaryOp::Log, _) => self.log(x, false),
                (UnaryOp::Log2, _) => self.log(x, true),
                (UnaryOp::Tanh, _) => self.tanh(x),
                (UnaryOp::Sqrt, _) => self.float_call("llvm.sqrt.f32", &[x]),
                (UnaryOp::Rsqrt, _) => self.float_call("llvm.nvvm.rsqrt.approx.f", &[x]),
            })
            .collect();
        self.set_wide(result, out);
        Ok(())
    }

    pub fn binary(&mut self, result: Val, op: BinaryOp, a: Val, b: Val) -> Result<()> {
        let elem = self.elem(a);
        let xs = self.operand(a, result, true)?;
        let ys = self.operand(b, result, true)?;
        let short = self.short_binary(result, op, a, b);
        if matches!(op, BinaryOp::Div | BinaryOp::Rem)
            && self.ranges.is_natural(a)
            && self.ranges.is_natural(b)
        {
            let by_zero = self.ranges.of(b).is_none_or(|range| range.0 < 1);
            let made = xs.iter().zip(&ys).map(|(x, y)| {
                let (quotient, rest) = self.small_division(x, y, by_zero);
                if op == BinaryOp::Div { quotient } else { rest }
            });
            let made = made.collect();
            self.set_registers(result, made);
            return Ok(());
        }
        let out = if let Some(short) = short {
            vec![short]
        } else if op == BinaryOp::Div && elem.is_float() {
            self.divide(&xs, &ys)
        } else {
            xs.iter().zip(&ys).map(|(x, y)| self.combine(op, elem, x, y)).collect()
        };
        if op == BinaryOp::Add
            && let Some(counter) = self.counters.get(&a)
            && let Ok(by) = ys[0].parse::<i64>()
            && let Some(counter) = counter.plus(by)
        {
            self.counters.insert(result, counter);
        }
        self.set_wide(result, out);
        Ok(())
    }

    /// `x op y` for floats as `f32`, `i64` and `bool`.
    pub fn combine(&mut self, op: BinaryOp, elem: DType, x: &str, y: &str) -> String {
        let float = elem.is_float();
        let ty = if float { "float" } else { llvm_type(elem) };
        let simple = match (op, float) {
            (BinaryOp::Add, true) => "fadd contract",
            (BinaryOp::Sub, true) => "fsub contract",
            (BinaryOp::Mul, true) => "fmul contract",
            (BinaryOp::Div, true) => "fdiv",
            (BinaryOp::Rem, true) => "frem",
            (BinaryOp::Add, false) => "add",
            (BinaryOp::Sub, false) => "sub",
            (BinaryOp::Mul, false) => "mul",
            (BinaryOp::And, _) => "and",
            (BinaryOp::Or, _) => "or",
            (BinaryOp::Min, true) => return self.float_call("llvm.minimum.f32", &[x, y]),
            (BinaryOp::Max, true) => return self.float_call("llvm.maximum.f32", &[x, y]),
            (BinaryOp::Min, false) => {
                return self.text.call("i64", "llvm.smin.i64", &[("i64", x), ("i64", y)]);
            }
            (BinaryOp::Max, false) => {
                return self.text.call("i64", "llvm.smax.i64", &[("i64", x), ("i64", y)]);
            }
            (BinaryOp::Div, false) => return self.floor_division(x, y).0,
            (BinaryOp::Rem, false) => return self.floor_division(x, y).1,
        };
        self.text.def(format_args!("{simple} {ty} {x}, {y}"))
    }

    pub fn compare(&mut self, result: Val, op: CompareOp, a: Val, b: Val) -> Result<()> {
        let elem = self.elem(a);
        let ahead = self.counters.get(&a).filter(|_| op == CompareOp::Lt);
        if let Some((counter, ahead)) = ahead.and_then(|c| Some((c.clone(), c.ahead_of(b)?))) {
            let more = self.more(&counter, ahead);
            self.set(result, Value::Uniform(more));
            return Ok(());
        }
        let xs = self.operand(a, result, true)?;
        let ys = self.operand(b, result, true)?;
        let (name, ty) =
            if elem.is_float() { (ordered(op), "float") } else { (signed(op), llvm_type(elem)) };
        let out = xs
            .iter()
            .zip(&ys)
            .map(|(x, y)| self.text.def(format_args!("{name} {ty} {x}, {y}")))
            .collect();
        self.set_registers(result, out);
        Ok(())
    }

    pub fn select(&mut self, result: Val, condition: Val, a: Val, b: Val) -> Result<()> {
        let ty = llvm_type(self.elem(result));
        if let Some(short) = self.short_select(result, condition, a, b) {
            self.set(result, Value::Uniform(short));
            return Ok(());
        }
        let cs = self.operand(condition, result, false)?;
        let xs = self.operand(a, result, false)?;
        let ys = self.operand(b, result, false)?;
        let out = cs
            .iter()
            .zip(xs.iter().zip(&ys))
            .map(|(c, (x, y))| self.text.def(format_args!("select i1 {c}, {ty} {x}, {ty} {y}")))
            .collect();
        self.set_registers(result, out);
        Ok(())
    }

    pub fn fma(&mut self, result: Val, a: Val, b: Val, c: Val) -> Result<()> {
        let xs = self.operand(a, result, true)?;
        let ys = self.operand(b, result, true)?;
        let zs = self.operand(c, result, true)?;
        let out = xs
            .iter()
            .zip(ys.iter().zip(&zs))
            .map(|(x, (y, z))| self.float_call("llvm.fma.f32", &[x, y, z]))
            .collect();
        self.set_wide(result, out);
        Ok(())
    }

    /// Calls an intrinsic on `f32`.
    pub fn float_call(&mut self, name: &str, args: &[&str]) -> String {
        let args: Vec<(&str, &str)> = args.iter().map(|arg| ("float", *arg)).collect();
        self.text.call("float", name, &args)
    }
}

/// All but `ne` are false with a NaN.
fn ordered(op: CompareOp) -> &'static str {
    match op {
        CompareOp::Eq => "fcmp oeq",
        CompareOp::Ne => "fcmp une",
        CompareOp::Lt => "fcmp olt",
        CompareOp::Le => "fcmp ole",
        CompareOp::Gt => "fcmp ogt",
        CompareOp::Ge => "fcmp oge",
    }
}

/// Of integers, and equality of `bool`.
pub fn signed(op: CompareOp) -> &'static str {
    match op {
        CompareOp::Eq => "icmp eq",
        CompareOp::Ne => "icmp ne",
        CompareOp::Lt => "icmp slt",
        CompareOp::Le => "icmp sle",
        CompareOp::Gt => "icmp sgt",
        CompareOp::Ge => "icmp sge",
    }
}
