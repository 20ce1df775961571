//! Element-wise arithmetic, the same text for one lane and for a vector.

use std::fmt::Display;

use tilec_ir::{BinaryOp, CompareOp, UnaryOp};
use tilec_vocab::DType;

use super::emit::{Emitter, Kind};
use super::eval::{Val, float};
use crate::polynomials::{LOG, TANH};

impl Emitter<'_> {
    fn suffix(&self, element: &str, vector: bool) -> String {
        if vector { format!("v{}{element}", self.host.lanes) } else { element.to_string() }
    }

    pub fn f(&self, value: f32, vector: bool) -> String {
        literal("float", float(value), vector)
    }

    /// An LLVM intrinsic on floats or integers of one type.
    pub fn intrinsic(&mut self, name: &str, kind: Kind, vector: bool, args: &[&str]) -> String {
        let ty = self.ty(kind, vector);
        let element = if kind == Kind::Float { "f32" } else { "i64" };
        let name = format!("llvm.{name}.{}", self.suffix(element, vector));
        let args: Vec<(&str, &str)> = args.iter().map(|&arg| (ty.as_str(), arg)).collect();
        self.text.call(&ty, &name, &args)
    }

    pub fn fop(&mut self, op: &str, vector: bool, a: &str, b: &str) -> String {
        let ty = self.ty(Kind::Float, vector);
        self.text.def(format_args!("{op} {ty} {a}, {b}"))
    }

    fn fma(&mut self, vector: bool, a: &str, b: &str, c: &str) -> String {
        self.intrinsic("fma", Kind::Float, vector, &[a, b, c])
    }

    pub fn unary(&mut self, op: UnaryOp, dtype: DType, x: &Val) -> Val {
        let (v, kind, x) = (x.vector, Kind::of(dtype), &x.text);
        let ty = self.ty(kind, v);
        let text = match (op, kind) {
            (UnaryOp::Neg, Kind::Float) => self.text.def(format_args!("fneg {ty} {x}")),
            (UnaryOp::Neg, _) => {
                let zero = literal("i64", "0", v);
                self.text.def(format_args!("sub {ty} {zero}, {x}"))
            }
            (UnaryOp::Not, _) => {
                let one = literal("i1", "true", v);
                self.text.def(format_args!("xor {ty} {x}, {one}"))
            }
            (UnaryOp::Abs, Kind::Float) => self.intrinsic("fabs", kind, v, &[x]),
            (UnaryOp::Abs, _) => {
                let element = self.suffix("i64", v);
                self.text.call(&ty, &format!("llvm.abs.{element}"), &[(&ty, x), ("i1", "false")])
            }
            (UnaryOp::Exp, _) => self.exp(x, v, Base::E),
            (UnaryOp::Exp2, _) => self.exp(x, v, Base::Two),
            (UnaryOp::Log, _) => self.log(x, v, Base::E),
            (UnaryOp::Log2, _) => self.log(x, v, Base::Two),
            (UnaryOp::Tanh, _) => self.tanh(x, v),
            (UnaryOp::Sqrt, _) => self.intrinsic("sqrt", kind, v, &[x]),
            (UnaryOp::Rsqrt, _) => {
                let root = self.intrinsic("sqrt", kind, v, &[x]);
                let one = self.f(1.0, v);
                self.fop("fdiv", v, &one, &root)
            }
        };
        Val { text: self.rounded(text, dtype, v), vector: v }
    }

    pub fn binary(&mut self, op: BinaryOp, dtype: DType, a: &str, b: &str, v: bool) -> String {
        let kind = Kind::of(dtype);
        let ty = self.ty(kind, v);
        let simple = match (op, kind) {
            (BinaryOp::Add, Kind::Float) => "fadd contract",
            (BinaryOp::Sub, Kind::Float) => "fsub contract",
            (BinaryOp::Mul, Kind::Float) => "fmul contract",
            (BinaryOp::Div, Kind::Float) => "fdiv",
            (BinaryOp::Add, _) => "add",
            (BinaryOp::Sub, _) => "sub",
            (BinaryOp::Mul, _) => "mul",
            (BinaryOp::And, _) => "and",
            (BinaryOp::Or, _) => "or",
            (BinaryOp::Min, Kind::Float) => return self.intrinsic("minimum", kind, v, &[a, b]),
            (BinaryOp::Max, Kind::Float) => return self.intrinsic("maximum", kind, v, &[a, b]),
            (BinaryOp::Min, _) => return self.intrinsic("smin", kind, v, &[a, b]),
            (BinaryOp::Max, _) => return self.intrinsic("smax", kind, v, &[a, b]),
            (BinaryOp::Div, _) => return self.floor_division(a, b, v).0,
            (BinaryOp::Rem, _) => return self.floor_division(a, b, v).1,
        };
        let text = self.text.def(format_args!("{simple} {ty} {a}, {b}"));
        self.rounded(text, dtype, v)
    }

    /// Quotient and remainder, rounded down; total.
    fn floor_division(&mut self, a: &str, b: &str, v: bool) -> (String, String) {
        let (ty, mask) = (self.ty(Kind::Int, v), self.ty(Kind::Bool, v));
        let (zero, one, minus) =
            (literal("i64", 0, v), literal("i64", 1, v), literal("i64", -1, v));
        let text = &mut self.text;
        let by_zero = text.def(format_args!("icmp eq {ty} {b}, {zero}"));
        let by_minus = text.def(format_args!("icmp eq {ty} {b}, {minus}"));
        let odd = text.def(format_args!("or {mask} {by_zero}, {by_minus}"));
        let divisor = text.def(format_args!("select {mask} {odd}, {ty} {one}, {ty} {b}"));
        let quotient = text.def(format_args!("sdiv {ty} {a}, {divisor}"));
        let rest = text.def(format_args!("srem {ty} {a}, {divisor}"));
        let some = text.def(format_args!("icmp ne {ty} {rest}, {zero}"));
        let signs = text.def(format_args!("xor {ty} {rest}, {divisor}"));
        let differ = text.def(format_args!("icmp slt {ty} {signs}, {zero}"));
        let down = text.def(format_args!("and {mask} {some}, {differ}"));
        let less = text.def(format_args!("sub {ty} {quotient}, {one}"));
        let quotient = text.def(format_args!("select {mask} {down}, {ty} {less}, {ty} {quotient}"));
        let more = text.def(format_args!("add {ty} {rest}, {divisor}"));
        let rest = text.def(format_args!("select {mask} {down}, {ty} {more}, {ty} {rest}"));
        let negated = text.def(format_args!("sub {ty} {zero}, {a}"));
        let quotient =
            text.def(format_args!("select {mask} {by_minus}, {ty} {negated}, {ty} {quotient}"));
        let quotient =
            text.def(format_args!("select {mask} {by_zero}, {ty} {zero}, {ty} {quotient}"));
        let rest = text.def(format_args!("select {mask} {by_zero}, {ty} {a}, {ty} {rest}"));
        (quotient, rest)
    }

    pub fn compare(&mut self, op: CompareOp, kind: Kind, a: &str, b: &str, v: bool) -> String {
        let ty = self.ty(kind, v);
        let name = match (op, kind) {
            (CompareOp::Eq, Kind::Float) => "fcmp oeq",
            (CompareOp::Ne, Kind::Float) => "fcmp une",
            (CompareOp::Lt, Kind::Float) => "fcmp olt",
            (CompareOp::Le, Kind::Float) => "fcmp ole",
            (CompareOp::Gt, Kind::Float) => "fcmp ogt",
            (CompareOp::Ge, Kind::Float) => "fcmp oge",
            (CompareOp::Eq, _) => "icmp eq",
            (CompareOp::Ne, _) => "icmp ne",
            (CompareOp::Lt, _) => "icmp slt",
            (CompareOp::Le, _) => "icmp sle",
            (CompareOp::Gt, _) => "icmp sgt",
            (CompareOp::Ge, _) => "icmp sge",
        };
        self.text.def(format_args!("{name} {ty} {a}, {b}"))
    }

    /// A number raised to a power: the reduced argument's polynomial times a power of two in two steps, so
    /// that overflow gives infinity and the smallest numbers round once. Within one unit in the last
    /// place (`tests/functions.rs` holds every function to its bound).
    fn exp(&mut self, x: &str, v: bool, base: Base) -> String {
        let (lowest, highest, per_octave) = match base {
            Base::E => (-104.0, 89.0, std::f32::consts::LOG2_E),
            Base::Two => (-150.0, 129.0, 1.0),
        };
        let ty = self.ty(Kind::Float, v);
        let mask = self.ty(Kind::Bool, v);
        let (low, high) = (self.f(lowest, v), self.f(highest, v));
        // Comparisons that are false for NaN, which so stays.
        let below = self.text.def(format_args!("fcmp olt {ty} {x}, {low}"));
        let x = self.text.def(format_args!("select {mask} {below}, {ty} {low}, {ty} {x}"));
        let above = self.text.def(format_args!("fcmp ogt {ty} {x}, {high}"));
        let x = self.text.def(format_args!("select {mask} {above}, {ty} {high}, {ty} {x}"));
        // Adding 1.5 * 2^23 leaves the nearest integer in the low bits.
        let (scale, magic) = (self.f(per_octave, v), self.f(12_582_912.0, v));
        let shifted = self.fma(v, &x, &scale, &magic);
        let octaves = self.fop("fsub", v, &shifted, &magic);
        let rest = match base {
            Base::E => {
                // ln 2 in two parts; the first has trailing zeros, so its product is exact.
                let (first, second) = (self.f(-0.693_359_4, v), self.f(2.121_944_4e-4, v));
                let rest = self.fma(v, &octaves, &first, &x);
                self.fma(v, &octaves, &second, &rest)
            }
            Base::Two => self.fop("fsub", v, &x, &octaves),
        };
        let terms = match base {
            Base::E => EXP,
            Base::Two => EXP2,
        };
        let value = self.polynomial(v, &rest, terms);
        if v && self.host.lanes == 16 {
            // AVX-512 scales by a power of two in one instruction, and rounds once.
            let args = [
                (ty.as_str(), value.as_str()),
                (ty.as_str(), octaves.as_str()),
                (ty.as_str(), "zeroinitializer"),
                ("i16", "-1"),
                ("i32", "4"),
            ];
            return self.text.call(&ty, "llvm.x86.avx512.mask.scalef.ps.512", &args);
        }
        let bits = self.lanes_of("i32", v);
        let shifted = self.text.def(format_args!("bitcast {ty} {shifted} to {bits}"));
        let zero = literal("i32", "1262485504", v);
        let n = self.text.def(format_args!("sub {bits} {shifted}, {zero}"));
        let one = literal("i32", "1", v);
        let half = self.text.def(format_args!("ashr {bits} {n}, {one}"));
        let other = self.text.def(format_args!("sub {bits} {n}, {half}"));
        let mut value = value;
        for part in [half, other] {
            let power = self.power_of_two(&part, v);
            value = self.fop("fmul", v, &value, &power);
        }
        value
    }

    fn power_of_two(&mut self, n: &str, v: bool) -> String {
        let (ty, bits) = (self.ty(Kind::Float, v), self.lanes_of("i32", v));
        let (bias, shift) = (literal("i32", "127", v), literal("i32", "23", v));
        let biased = self.text.def(format_args!("add {bits} {n}, {bias}"));
        let placed = self.text.def(format_args!("shl {bits} {biased}, {shift}"));
        self.text.def(format_args!("bitcast {bits} {placed} to {ty}"))
    }

    /// By Horner's rule, the highest power first.
    pub fn polynomial(&mut self, v: bool, x: &str, terms: &[f32]) -> String {
        let mut sum = self.f(terms[0], v);
        for &term in &terms[1..] {
            let term = self.f(term, v);
            sum = self.fma(v, &sum, x, &term);
        }
        sum
    }

    /// Mantissa to [sqrt(1/2), sqrt(2)), a polynomial for log(1 + m), and the exponent.
    fn log(&mut self, x: &str, v: bool, base: Base) -> String {
        let (ty, mask, bits) =
            (self.ty(Kind::Float, v), self.ty(Kind::Bool, v), self.lanes_of("i32", v));
        let number = |n: i64| literal("i32", n, v);
        // Subnormal numbers are scaled up by 2^25 first.
        let (least, up) = (self.f(f32::MIN_POSITIVE, v), self.f(33_554_432.0, v));
        let small = self.text.def(format_args!("fcmp olt {ty} {x}, {least}"));
        let scaled = self.fop("fmul", v, x, &up);
        let normal = self.text.def(format_args!("select {mask} {small}, {ty} {scaled}, {ty} {x}"));
        let lift = self.text.def(format_args!(
            "select {mask} {small}, {bits} {}, {bits} {}",
            number(-25),
            number(0)
        ));
        let raw = self.text.def(format_args!("bitcast {ty} {normal} to {bits}"));
        // 0x3f3504f3 is sqrt(1/2).
        let moved = self.text.def(format_args!("sub {bits} {raw}, {}", number(0x3f35_04f3)));
        let exponent = self.text.def(format_args!("ashr {bits} {moved}, {}", number(23)));
        let placed = self.text.def(format_args!("shl {bits} {exponent}, {}", number(23)));
        let mantissa = self.text.def(format_args!("sub {bits} {raw}, {placed}"));
        let mantissa = self.text.def(format_args!("bitcast {bits} {mantissa} to {ty}"));
        let exponent = self.text.def(format_args!("add {bits} {exponent}, {lift}"));
        let exponent = self.text.def(format_args!("sitofp {bits} {exponent} to {ty}"));
        let minus = self.f(-1.0, v);
        let m = self.fop("fadd", v, &mantissa, &minus);
        let square = self.fop("fmul", v, &m, &m);
        let tail = self.polynomial(v, &m, LOG);
        let tail = self.fop("fmul", v, &tail, &m);
        let tail = self.fop("fmul", v, &tail, &square);
        let minus_half = self.f(-0.5, v);
        let tail = self.fma(v, &square, &minus_half, &tail);
        let value = match base {
            Base::E => {
                let (first, second) = (self.f(0.693_359_4, v), self.f(-2.121_944_4e-4, v));
                let tail = self.fma(v, &exponent, &second, &tail);
                let sum = self.fop("fadd", v, &m, &tail);
                self.fma(v, &exponent, &first, &sum)
            }
            Base::Two => {
                // log2(e) in two parts.
                let (first, second) = (self.f(1.4375, v), self.f(5.195_041e-3, v));
                let low = self.fop("fmul", v, &m, &second);
                let low = self.fma(v, &tail, &second, &low);
                let low = self.fma(v, &tail, &first, &low);
                let sum = self.fma(v, &m, &first, &low);
                self.fop("fadd", v, &exponent, &sum)
            }
        };
        let (zero, inf) = (self.f(0.0, v), self.f(f32::INFINITY, v));
        let minus_inf = self.f(f32::NEG_INFINITY, v);
        let nan = literal("float", "0x7FF8000000000000", v);
        let is_zero = self.text.def(format_args!("fcmp oeq {ty} {x}, {zero}"));
        let value =
            self.text.def(format_args!("select {mask} {is_zero}, {ty} {minus_inf}, {ty} {value}"));
        let is_inf = self.text.def(format_args!("fcmp oeq {ty} {x}, {inf}"));
        let value = self.text.def(format_args!("select {mask} {is_inf}, {ty} {inf}, {ty} {value}"));
        let bad = self.text.def(format_args!("fcmp ult {ty} {x}, {zero}"));
        self.text.def(format_args!("select {mask} {bad}, {ty} {nan}, {ty} {value}"))
    }

    /// A polynomial near 0, `1 - 2 / (e^2|x| + 1)` with the sign of x elsewhere.
    fn tanh(&mut self, x: &str, v: bool) -> String {
        let (ty, mask) = (self.ty(Kind::Float, v), self.ty(Kind::Bool, v));
        let size = self.intrinsic("fabs", Kind::Float, v, &[x]);
        let twice = self.fop("fadd", v, &size, &size);
        let power = self.exp(&twice, v, Base::E);
        let (one, minus_two) = (self.f(1.0, v), self.f(-2.0, v));
        let under = self.fop("fadd", v, &power, &one);
        let part = self.fop("fdiv", v, &minus_two, &under);
        let far = self.fop("fadd", v, &one, &part);
        let far = self.intrinsic("copysign", Kind::Float, v, &[&far, x]);
        let square = self.fop("fmul", v, x, x);
        let tail = self.polynomial(v, &square, TANH);
        let tail = self.fop("fmul", v, &tail, &square);
        let near = self.fma(v, &tail, x, x);
        let limit = self.f(0.625, v);
        let is_near = self.text.def(format_args!("fcmp olt {ty} {size}, {limit}"));
        self.text.def(format_args!("select {mask} {is_near}, {ty} {near}, {ty} {far}"))
    }
}

/// A literal for each lane.
pub(super) fn literal(lane: &str, text: impl Display, vector: bool) -> String {
    if vector { format!("splat ({lane} {text})") } else { text.to_string() }
}

/// Of an exponential or logarithm.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    E,
    Two,
}

/// e^x for |x| <= ln(2) / 2, the highest power first; off by 0.03 units of the last place before rounding.
const EXP: &[f32] =
    &[1.381_454e-3, 8.368_745e-3, 4.166_839e-2, 1.666_652_1e-1, 4.999_999_4e-1, 1.0, 1.0];

/// 2^x for |x| <= 1/2.
const EXP2: &[f32] = &[
    1.535_336_6e-4,
    1.339_887_4e-3,
    9.618_437e-3,
    5.550_332_6e-2,
    2.402_264_8e-1,
    6.931_472e-1,
    1.0,
];
