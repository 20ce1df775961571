//! Functions and division in `f32`, and integer division.
//!
//! | function | way | error, in units in the last place |
//! | --- | --- | --- |
//! | `exp2` | `ex2.approx.ftz` | 4; results below 2^-126 are 0 |
//! | `exp` | `exp2` of the rounded product, times what the rounding left | 5 |
//! | `log`, `log2` | mantissa to [sqrt(1/2), sqrt(2)), polynomial | 2 |
//! | `tanh` | polynomial near 0, else by `exp` | 4 |
//! | `sqrt` | `sqrt.rn` | 1/2 |
//! | `rsqrt` | `rsqrt.approx` | 3 |
//! | `/` | `rcp.approx` of the divisor moved to the middle of the range, one correction | 1; of less than 2^-102, 2 |

use super::emit::Emitter;
use super::value::float;
use crate::polynomials::{LOG, TANH};

impl Emitter<'_> {
    fn f(&mut self, op: &str, x: &str, y: &str) -> String {
        self.text.def(format_args!("{op} float {x}, {y}"))
    }

    fn mad(&mut self, x: &str, y: &str, z: &str) -> String {
        self.float_call("llvm.fma.f32", &[x, y, z])
    }

    fn choose(&mut self, condition: &str, x: &str, y: &str) -> String {
        self.text.def(format_args!("select i1 {condition}, float {x}, float {y}"))
    }

    fn polynomial(&mut self, x: &str, terms: &[f32]) -> String {
        let mut sum = float(terms[0]);
        for &term in &terms[1..] {
            sum = self.mad(&sum, x, &float(term));
        }
        sum
    }

    pub fn exp2(&mut self, x: &str) -> String {
        self.float_call("llvm.nvvm.ex2.approx.ftz.f", &[x])
    }

    /// `2^t * (1 + r ln 2)` with `t + r = x log2(e)`. The limits keep infinities out of `r`; NaN passes them.
    pub fn exp(&mut self, x: &str) -> String {
        // log2(e) in two parts.
        const HIGH: f32 = std::f32::consts::LOG2_E;
        const LOW: f32 = 1.925_963_3e-8;
        let x = self.float_call("llvm.maximum.f32", &[x, &float(-200.0)]);
        let x = self.float_call("llvm.minimum.f32", &[&x, &float(200.0)]);
        let t = self.f("fmul", &x, &float(HIGH));
        let minus_t = self.text.def(format_args!("fneg float {t}"));
        let r = self.mad(&x, &float(HIGH), &minus_t);
        let r = self.mad(&x, &float(LOW), &r);
        let factor = self.mad(&r, &float(std::f32::consts::LN_2), &float(1.0));
        let power = self.exp2(&t);
        self.f("fmul", &power, &factor)
    }

    /// As the CPU target: mantissa to [sqrt(1/2), sqrt(2)), a polynomial for log(1 + m), and the exponent.
    pub fn log(&mut self, x: &str, base_two: bool) -> String {
        let zero = float(0.0);
        // Subnormal numbers are scaled up by 2^25 first.
        let small = self.text.def(format_args!("fcmp olt float {x}, {}", float(f32::MIN_POSITIVE)));
        let scaled = self.f("fmul", x, &float(33_554_432.0));
        let normal = self.choose(&small, &scaled, x);
        let lift = self.text.def(format_args!("select i1 {small}, i32 -25, i32 0"));
        let raw = self.text.def(format_args!("bitcast float {normal} to i32"));
        // sqrt(1/2).
        let moved = self.text.def(format_args!("sub i32 {raw}, {}", 0x3f35_04f3));
        let exponent = self.text.def(format_args!("ashr i32 {moved}, 23"));
        let placed = self.text.def(format_args!("shl i32 {exponent}, 23"));
        let mantissa = self.text.def(format_args!("sub i32 {raw}, {placed}"));
        let mantissa = self.text.def(format_args!("bitcast i32 {mantissa} to float"));
        let exponent = self.text.def(format_args!("add i32 {exponent}, {lift}"));
        let exponent = self.text.def(format_args!("sitofp i32 {exponent} to float"));
        let m = self.f("fadd", &mantissa, &float(-1.0));
        let square = self.f("fmul", &m, &m);
        let tail = self.polynomial(&m, LOG);
        let tail = self.f("fmul", &tail, &m);
        let tail = self.f("fmul", &tail, &square);
        let tail = self.mad(&square, &float(-0.5), &tail);
        let value = if base_two {
            // log2(e) in two parts.
            let (first, second) = (float(1.4375), float(5.195_041e-3));
            let low = self.f("fmul", &m, &second);
            let low = self.mad(&tail, &second, &low);
            let low = self.mad(&tail, &first, &low);
            let sum = self.mad(&m, &first, &low);
            self.f("fadd", &exponent, &sum)
        } else {
            // ln 2 in two parts.
            let (first, second) = (float(0.693_359_4), float(-2.121_944_4e-4));
            let tail = self.mad(&exponent, &second, &tail);
            let sum = self.f("fadd", &m, &tail);
            self.mad(&exponent, &first, &sum)
        };
        let is_zero = self.text.def(format_args!("fcmp oeq float {x}, {zero}"));
        let value = self.choose(&is_zero, &float(f32::NEG_INFINITY), &value);
        let inf = float(f32::INFINITY);
        let is_inf = self.text.def(format_args!("fcmp oeq float {x}, {inf}"));
        let value = self.choose(&is_inf, &inf, &value);
        let bad = self.text.def(format_args!("fcmp ult float {x}, {zero}"));
        self.choose(&bad, "0x7FF8000000000000", &value)
    }

    /// A polynomial near 0, `1 - 2 / (e^2|x| + 1)` with the sign of x elsewhere.
    pub fn tanh(&mut self, x: &str) -> String {
        let size = self.float_call("llvm.fabs.f32", &[x]);
        let twice = self.f("fadd", &size, &size);
        let power = self.exp(&twice);
        let under = self.f("fadd", &power, &float(1.0));
        let part = self.float_call("llvm.nvvm.rcp.approx.ftz.f", &[&under]);
        let far = self.mad(&part, &float(-2.0), &float(1.0));
        let far = self.float_call("llvm.copysign.f32", &[&far, x]);
        let square = self.f("fmul", x, x);
        let tail = self.polynomial(&square, TANH);
        let tail = self.f("fmul", &tail, &square);
        let near = self.mad(&tail, x, x);
        let is_near = self.text.def(format_args!("fcmp olt float {size}, {}", float(0.625)));
        self.choose(&is_near, &near, &far)
    }

    /// Quotients, register by register; what depends on the divisor only is done once for each divisor.
    ///
    /// The divisor is scaled to the middle of the range, where `rcp.approx.ftz` loses nothing, and so is the quotient
    /// after it. The correction is NaN where the quotient is infinite, zero by an infinite divisor, or NaN: those stay.
    pub fn divide(&mut self, xs: &[String], ys: &[String]) -> Vec<String> {
        let mut known: Vec<(&String, [String; 3])> = Vec::new();
        let mut out = Vec::with_capacity(xs.len());
        for (x, y) in xs.iter().zip(ys) {
            let found =
                known.iter().find(|(divisor, _)| *divisor == y).map(|(_, parts)| parts.clone());
            let [divisor, inverse, scale] = match found {
                Some(parts) => parts,
                None => {
                    let parts = self.inverse(y);
                    known.push((y, parts.clone()));
                    parts
                }
            };
            let near = self.f("fmul", x, &inverse);
            let minus = self.text.def(format_args!("fneg float {divisor}"));
            let rest = self.mad(&minus, &near, x);
            let better = self.mad(&rest, &inverse, &near);
            let none = self.text.def(format_args!("fcmp uno float {better}, {better}"));
            let quotient = self.choose(&none, &near, &better);
            out.push(self.f("fmul", &quotient, &scale));
        }
        out
    }

    /// The divisor times a power of two, its inverse, and the power.
    fn inverse(&mut self, y: &str) -> [String; 3] {
        let (small, large) = (2f32.powi(-96), 2f32.powi(96));
        let size = self.float_call("llvm.fabs.f32", &[y]);
        let is_small = self.text.def(format_args!("fcmp olt float {size}, {}", float(small)));
        let is_large = self.text.def(format_args!("fcmp ogt float {size}, {}", float(large)));
        let scale = self.choose(&is_large, &float(small), &float(1.0));
        let scale = self.choose(&is_small, &float(large), &scale);
        let divisor = self.f("fmul", y, &scale);
        let inverse = self.float_call("llvm.nvvm.rcp.approx.ftz.f", &[&divisor]);
        [divisor, inverse, scale]
    }

    /// Quotient and rest of numbers from 0 to 2^31 - 1; by zero, where that can be, 0 and the dividend, as always.
    pub fn small_division(&mut self, a: &str, b: &str, by_zero: bool) -> (String, String) {
        let text = &mut self.text;
        let [x, y] = [a, b].map(|number| match number.parse::<i64>() {
            Ok(literal) => literal.to_string(),
            Err(_) => text.def(format_args!("trunc i64 {number} to i32")),
        });
        let zero = by_zero.then(|| text.def(format_args!("icmp eq i32 {y}, 0")));
        let divisor = match &zero {
            Some(zero) => text.def(format_args!("select i1 {zero}, i32 1, i32 {y}")),
            None => y,
        };
        let mut quotient = text.def(format_args!("udiv i32 {x}, {divisor}"));
        let whole = text.def(format_args!("mul i32 {quotient}, {divisor}"));
        let mut rest = text.def(format_args!("sub i32 {x}, {whole}"));
        if let Some(zero) = zero {
            quotient = text.def(format_args!("select i1 {zero}, i32 0, i32 {quotient}"));
            rest = text.def(format_args!("select i1 {zero}, i32 {x}, i32 {rest}"));
        }
        let [quotient, rest] =
            [quotient, rest].map(|number| text.def(format_args!("zext i32 {number} to i64")));
        (quotient, rest)
    }

    /// Quotient and remainder, rounded down; by zero 0 and the dividend.
    pub fn floor_division(&mut self, a: &str, b: &str) -> (String, String) {
        let text = &mut self.text;
        if let Ok(divisor) = b.parse::<i64>()
            && divisor > 0
            && divisor.count_ones() == 1
        {
            let quotient = text.def(format_args!("ashr i64 {a}, {}", divisor.trailing_zeros()));
            let rest = text.def(format_args!("and i64 {a}, {}", divisor - 1));
            return (quotient, rest);
        }
        let by_zero = text.def(format_args!("icmp eq i64 {b}, 0"));
        let by_minus = text.def(format_args!("icmp eq i64 {b}, -1"));
        let odd = text.def(format_args!("or i1 {by_zero}, {by_minus}"));
        let divisor = text.def(format_args!("select i1 {odd}, i64 1, i64 {b}"));
        let quotient = text.def(format_args!("sdiv i64 {a}, {divisor}"));
        let whole = text.def(format_args!("mul i64 {quotient}, {divisor}"));
        let rest = text.def(format_args!("sub i64 {a}, {whole}"));
        let some = text.def(format_args!("icmp ne i64 {rest}, 0"));
        let signs = text.def(format_args!("xor i64 {rest}, {divisor}"));
        let differ = text.def(format_args!("icmp slt i64 {signs}, 0"));
        let down = text.def(format_args!("and i1 {some}, {differ}"));
        let less = text.def(format_args!("sub i64 {quotient}, 1"));
        let quotient = text.def(format_args!("select i1 {down}, i64 {less}, i64 {quotient}"));
        let more = text.def(format_args!("add i64 {rest}, {divisor}"));
        let rest = text.def(format_args!("select i1 {down}, i64 {more}, i64 {rest}"));
        let negated = text.def(format_args!("sub i64 0, {a}"));
        let quotient =
            text.def(format_args!("select i1 {by_minus}, i64 {negated}, i64 {quotient}"));
        let quotient = text.def(format_args!("select i1 {by_zero}, i64 0, i64 {quotient}"));
        let rest = text.def(format_args!("select i1 {by_zero}, i64 {a}, i64 {rest}"));
        (quotient, rest)
    }
}
