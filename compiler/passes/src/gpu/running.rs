//! Running maxima in base 2.
//!
//! ```text
//! for … carry top {                             for … carry top' {                  top' = max(top * k, -huge)
//!   hi = max(top, y)                              hi' = max(top', y * k)
//!   base = select(hi == -inf, 0, hi)
//!   p = exp2(x * (s * k) - base * k)      ->      p = exp2(x * (s * k) - hi')
//!   c = select(hi > top,                          c = exp2(top' - hi')
//!              exp2(top * k - base * k), 1)
//!   yield hi                                      yield hi'
//! }                                             }
//! ```
//!
//! A row that has seen nothing has the least number there is in place of -inf. Two such differ by zero, and a score of -inf stays
//! -inf when it is taken away, so both choices go; nine instructions for each row become four.
//!
//! # Numerics
//!
//! A maximum has one rounding more, as a maximum only: weights and sums are taken against the same `hi'`, and `c` is exactly 1
//! where the maximum did not rise. Scores below -2.3e38 count as -inf. In rows with a score of +inf or NaN, which are lost
//! to `exp2(inf - inf)` already, `c` is no number.

use std::collections::{BTreeMap, BTreeSet};

use tilec_ir::facts::{falls_with, is_f32, literal};
use tilec_ir::{BinaryOp, Builder, CompareOp, Copier, Inst, Kernel, Op, UnaryOp, Value, ValueDef};
use tilec_vocab::{Bug, DType};

use super::scale::{scaled, times};
use crate::rewrite::{Rewrite, rewrite};

/// Stands for -inf.
const HUGE: f64 = -(f32::MAX as f64);

/// Runs the pass.
///
/// # Errors
///
/// None; the signature is that of all passes.
pub fn run(kernel: &Kernel) -> Result<Kernel, Bug> {
    let mut pass = Running {
        old: kernel,
        copier: Copier::new(),
        loops: BTreeMap::new(),
        parts: BTreeMap::new(),
        scaled: BTreeMap::new(),
    };
    for inst in kernel.walk() {
        for n in 0..kernel.insts[inst].results.len() {
            pass.find(inst, n);
        }
    }
    Ok(rewrite(kernel, &mut pass))
}

struct Running<'k> {
    old: &'k Kernel,
    copier: Copier,
    /// Loops, which of their carried values is a running maximum, and its factor.
    loops: BTreeMap<Inst, Vec<(usize, f64)>>,
    /// What becomes of instructions.
    parts: BTreeMap<Inst, Part>,
    /// Results of loops, in base 2.
    scaled: BTreeMap<Value, (f64, Value)>,
}

/// What an instruction of the pattern becomes.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// `hi`: the greater of the maximum so far and this value, times the factor.
    Maximum { so_far: Value, other: Value, factor: f64 },
    /// Another name of `hi'`.
    Base(Value),
    /// `top * k - base * k`: `top'` less `hi'`.
    Fall { so_far: Value, maximum: Value },
    /// `c`: the exponential.
    Rescale(Value),
    /// Nobody wants it any more.
    Gone,
}

impl<'k> Rewrite<'k> for Running<'k> {
    fn old(&self) -> &'k Kernel {
        self.old
    }

    fn copier(&mut self) -> &mut Copier {
        &mut self.copier
    }

    fn inst(&mut self, inst: Inst, to: &mut Builder<'_>) {
        let data = &self.old.insts[inst];
        to.span = data.span;
        if let Some(carried) = self.loops.get(&inst).cloned() {
            self.for_loop(inst, &carried, to);
            return;
        }
        let value = |value: Value| self.copier.value(value);
        let made = match self.parts.get(&inst) {
            None => {
                self.copy(inst, to);
                return;
            }
            Some(Part::Gone) => return,
            Some(&Part::Base(same) | &Part::Rescale(same)) => value(same),
            Some(&Part::Fall { so_far, maximum }) => {
                to.binary(BinaryOp::Sub, value(so_far), value(maximum))
            }
            Some(&Part::Maximum { so_far, other, factor }) => {
                let other = scaled(self.old, &self.copier, other, factor, to);
                to.binary(BinaryOp::Max, value(so_far), other)
            }
        };
        self.copier.map(data.results[0], made);
    }
}

impl Running<'_> {
    fn for_loop(&mut self, inst: Inst, carried: &[(usize, f64)], to: &mut Builder<'_>) {
        let data = &self.old.insts[inst];
        let mut initial = Vec::new();
        for &(n, factor) in carried {
            initial.push(self.start(data.args[n + 2], factor, to));
        }
        let new = self.copy(inst, to);
        for (&(n, factor), start) in carried.iter().zip(initial) {
            to.kernel.insts[new].args[n + 2] = start;
            let made = to.kernel.insts[new].results[n];
            self.scaled.insert(data.results[n], (factor, made));
            if self.only_carried_on(data.results[n], factor) {
                continue;
            }
            let (least, nothing) =
                (to.float(HUGE, DType::F32), to.float(f64::NEG_INFINITY, DType::F32));
            let back = to.float(1.0 / factor, DType::F32);
            let unseen = to.compare(CompareOp::Le, made, least);
            let plain = to.binary(BinaryOp::Mul, made, back);
            let plain = to.select(unseen, nothing, plain);
            self.copier.map(data.results[n], plain);
        }
    }

    /// Whether all that becomes of a maximum is that of another loop with the same factor.
    fn only_carried_on(&self, result: Value, factor: f64) -> bool {
        self.users(result).all(|user| {
            self.loops.get(&user).is_some_and(|carried| {
                let args =
                    self.old.insts[user].args.iter().enumerate().filter(|&(_, &arg)| arg == result);
                args.into_iter()
                    .all(|(at, _)| carried.iter().any(|&(n, k)| n + 2 == at && k == factor))
            })
        })
    }

    /// What a maximum starts as, times the factor and above -inf.
    fn start(&self, initial: Value, factor: f64, to: &mut Builder<'_>) -> Value {
        match self.scaled.get(&initial) {
            Some(&(same, made)) if same == factor => made,
            _ => {
                let plain = self.copier.value(initial);
                let axes = to.kernel.ty(plain).axes.clone();
                let least = to.float(HUGE, DType::F32);
                if literal(self.old, initial) == Some(f64::NEG_INFINITY) {
                    return to.splat(least, &axes);
                }
                let plain = times(plain, factor, to);
                to.binary(BinaryOp::Max, plain, least)
            }
        }
    }

    /// Marks the pattern around a carried value, if it is there and nobody else looks at its parts.
    fn find(&mut self, owner: Inst, n: usize) -> Option<()> {
        let old = self.old;
        let data = &old.insts[owner];
        let Op::For(_) = data.op else { return None };
        let block = &old.blocks[data.blocks[0]];
        let so_far = block.params[n + 1];
        let last = *block.insts.last()?;
        let hi = old.insts[last].args[n];
        let ValueDef::Result(max, 0) = old.values[hi].def else { return None };
        if old.insts[max].op != Op::Binary(BinaryOp::Max) || !is_f32(old, hi) {
            return None;
        }
        let args = &old.insts[max].args;
        let other = *args.iter().find(|&&arg| arg != so_far).filter(|_| args.contains(&so_far))?;
        let mut parts: BTreeMap<Inst, Part> = BTreeMap::new();
        let mut factor: Option<f64> = None;
        let mut bases = BTreeSet::new();
        for user in self.users(hi) {
            let inst = &old.insts[user];
            match inst.op {
                Op::Yield if user == last => {
                    let times = inst.args.iter().filter(|&&arg| arg == hi).count();
                    (times == 1).then_some(())?;
                }
                Op::Compare(CompareOp::Eq)
                    if literal(old, inst.args[1]) == Some(f64::NEG_INFINITY) =>
                {
                    parts.insert(user, Part::Gone);
                    for choice in self.users(inst.results[0]) {
                        bases.insert(self.guarded(choice, hi)?);
                        parts.insert(choice, Part::Gone);
                    }
                }
                Op::Select => {
                    bases.insert(self.guarded(user, hi)?);
                }
                Op::Compare(CompareOp::Gt) if inst.args[1] == so_far => {
                    parts.insert(user, Part::Gone);
                }
                _ => return None,
            }
        }
        // base * k, and the differences with it.
        let mut falls = BTreeSet::new();
        for &base in &bases {
            for product in self.users(base) {
                let k = self.literal_factor(product, base)?;
                (*factor.get_or_insert(k) == k).then_some(())?;
                parts.insert(product, Part::Base(hi));
                let product = old.insts[product].results[0];
                for difference in self.users(product) {
                    let inst = &old.insts[difference];
                    let fits = inst.op == Op::Binary(BinaryOp::Sub) && inst.args[1] == product;
                    fits.then_some(())?;
                    if self.is_scaled(inst.args[0], so_far, k) {
                        falls.insert(difference);
                    } else if !falls_with(old, inst.args[0], hi) {
                        return None;
                    }
                }
            }
        }
        let factor = factor?;
        parts.insert(max, Part::Maximum { so_far, other, factor });
        for user in self.users(so_far) {
            match old.insts[user].op {
                _ if parts.contains_key(&user) => {}
                Op::Binary(BinaryOp::Mul) if self.literal_factor(user, so_far)? == factor => {
                    let product = old.insts[user].results[0];
                    let known = self.users(product).all(|user| falls.contains(&user));
                    known.then_some(())?;
                    parts.insert(user, Part::Gone);
                }
                _ => return None,
            }
        }
        for &fall in &falls {
            parts.insert(fall, Part::Fall { so_far, maximum: hi });
            for exponential in self.users(old.insts[fall].results[0]) {
                (old.insts[exponential].op == Op::Unary(UnaryOp::Exp2)).then_some(())?;
                let result = old.insts[exponential].results[0];
                for choice in self.users(result) {
                    let args = &old.insts[choice].args;
                    let rises = old.insts[choice].op == Op::Select
                        && args[1] == result
                        && literal(old, args[2]) == Some(1.0)
                        && self.is_rise(args[0], hi, so_far);
                    rises.then_some(())?;
                    parts.insert(choice, Part::Rescale(result));
                }
            }
        }
        // A comparison that somebody else looks at, too.
        for (&inst, part) in &parts {
            let gone = matches!(part, Part::Gone);
            let known = |user: Inst| parts.contains_key(&user);
            (!gone || self.users(old.insts[inst].results[0]).all(known)).then_some(())?;
        }
        self.parts.extend(parts);
        self.loops.entry(owner).or_default().push((n, factor));
        Some(())
    }

    fn users(&self, value: Value) -> impl Iterator<Item = Inst> + use<'_> {
        let old = self.old;
        old.walk().into_iter().filter(move |&inst| old.insts[inst].args.contains(&value))
    }

    /// The result of `select(hi == -inf, 0, hi)`.
    fn guarded(&self, choice: Inst, hi: Value) -> Option<Value> {
        let inst = &self.old.insts[choice];
        let &[condition, zero, plain] = &inst.args[..] else { return None };
        let test = self.old.def(condition)?;
        let fits = inst.op == Op::Select
            && plain == hi
            && literal(self.old, zero) == Some(0.0)
            && test.op == Op::Compare(CompareOp::Eq)
            && test.args[0] == hi
            && literal(self.old, test.args[1]) == Some(f64::NEG_INFINITY);
        fits.then(|| inst.results[0])
    }

    /// The positive literal that a product multiplies a value by.
    fn literal_factor(&self, product: Inst, value: Value) -> Option<f64> {
        let inst = &self.old.insts[product];
        let other = *inst.args.iter().find(|&&arg| arg != value)?;
        let k = literal(self.old, other)?;
        (inst.op == Op::Binary(BinaryOp::Mul) && k > 0.0 && k < 2.0).then_some(k)
    }

    fn is_scaled(&self, value: Value, of: Value, by: f64) -> bool {
        let ValueDef::Result(inst, 0) = self.old.values[value].def else { return false };
        let args = &self.old.insts[inst].args;
        args.contains(&of) && self.literal_factor(inst, of) == Some(by)
    }

    /// Whether this is `hi > so_far`.
    fn is_rise(&self, condition: Value, hi: Value, so_far: Value) -> bool {
        self.old.def(condition).is_some_and(|test| {
            test.op == Op::Compare(CompareOp::Gt) && test.args[..] == [hi, so_far]
        })
    }
}
