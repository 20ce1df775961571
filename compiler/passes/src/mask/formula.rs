//! Integer and truth values of a kernel as straight-line code over what they are made of, to be evaluated many times.

use std::collections::BTreeMap;

use tilec_ir::{Axis, BinaryOp, CompareOp, Elem, Imm, Op, UnaryOp, Value, ValueDef};

use super::expr::name;
use super::scope::Scope;

/// What a formula is made of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Input {
    /// The index an axis has at the lane looked at.
    Index(Axis),
    /// This program's position along a grid axis.
    Program(usize),
    /// A dimension or number argument, by name.
    Name(String),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Input(usize),
    Const(i64),
    Neg(usize),
    Abs(usize),
    Not(usize),
    Compare(CompareOp, usize, usize),
    Binary(BinaryOp, usize, usize),
    Select(usize, usize, usize),
}

/// One value as code.
#[derive(Clone, Debug, Default)]
pub struct Formula {
    /// What it needs, in the order [`Formula::eval`] takes it.
    pub inputs: Vec<Input>,
    steps: Vec<Step>,
}

impl Formula {
    /// The code of a value, or the name of what it would need to load or to carry through a loop.
    pub fn of(scope: &Scope<'_>, value: Value) -> Result<Formula, String> {
        Formula::all(scope, &[value])
    }

    /// The code of the conjunction of truth values; of none, true.
    pub fn all(scope: &Scope<'_>, values: &[Value]) -> Result<Formula, String> {
        let mut writer = Writer { scope, formula: Formula::default(), done: BTreeMap::new() };
        let mut both = None;
        for &value in values {
            let next = writer.write(value)?;
            both = Some(match both {
                None => next,
                Some(so_far) => writer.push(Step::Binary(BinaryOp::And, so_far, next)),
            });
        }
        if both.is_none() {
            writer.push(Step::Const(1));
        }
        Ok(writer.formula)
    }

    /// The value; truth is 1. `registers` is room that is used again.
    pub fn eval(&self, inputs: &[i64], registers: &mut Vec<i64>) -> i64 {
        registers.clear();
        for step in &self.steps {
            let at = |n: usize| registers[n];
            let value = match *step {
                Step::Input(n) => inputs[n],
                Step::Const(value) => value,
                Step::Neg(x) => at(x).wrapping_neg(),
                Step::Abs(x) => at(x).wrapping_abs(),
                Step::Not(x) => 1 - at(x),
                Step::Compare(op, a, b) => i64::from(op.of_integers(at(a), at(b))),
                Step::Binary(op, a, b) => op.of_integers(at(a), at(b)),
                Step::Select(c, a, b) => at(if at(c) != 0 { a } else { b }),
            };
            registers.push(value);
        }
        registers.last().copied().unwrap_or(1)
    }
}

struct Writer<'s, 'k> {
    scope: &'s Scope<'k>,
    formula: Formula,
    done: BTreeMap<Value, usize>,
}

impl Writer<'_, '_> {
    fn push(&mut self, step: Step) -> usize {
        self.formula.steps.push(step);
        self.formula.steps.len() - 1
    }

    fn input(&mut self, input: Input) -> usize {
        let known = self.formula.inputs.iter().position(|other| *other == input);
        let at = known.unwrap_or_else(|| {
            self.formula.inputs.push(input);
            self.formula.inputs.len() - 1
        });
        self.push(Step::Input(at))
    }

    fn write(&mut self, value: Value) -> Result<usize, String> {
        if let Some(&at) = self.done.get(&value) {
            return Ok(at);
        }
        let kernel = self.scope.kernel;
        let unknown = || name(kernel, value);
        let ValueDef::Result(inst, _) = kernel.values[value].def else { return Err(unknown()) };
        let data = &kernel.insts[inst];
        let at = match &data.op {
            Op::Const(Imm::Int(n)) => self.push(Step::Const(*n)),
            Op::Const(Imm::Bool(b)) => self.push(Step::Const(i64::from(*b))),
            Op::Dim(dim) => self.input(Input::Name(kernel.dims[*dim].name.clone())),
            Op::Scalar(param) if !kernel.ty(value).elem.is_float() => {
                self.input(Input::Name(kernel.params[*param].name.clone()))
            }
            Op::Program(n) => self.input(Input::Program(*n as usize)),
            Op::Index(axis) => self.input(Input::Index(*axis)),
            Op::Splat => self.write(data.args[0])?,
            // Only 64 bits to 64 bits, or from truth.
            Op::Cast
                if !kernel.ty(data.args[0]).elem.is_float()
                    && kernel.ty(value).elem == Elem::I64 =>
            {
                self.write(data.args[0])?
            }
            Op::Unary(op @ (UnaryOp::Neg | UnaryOp::Abs | UnaryOp::Not)) => {
                let x = self.write(data.args[0])?;
                self.push(match op {
                    UnaryOp::Neg => Step::Neg(x),
                    UnaryOp::Abs => Step::Abs(x),
                    _ => Step::Not(x),
                })
            }
            Op::Compare(op) if !kernel.ty(data.args[0]).elem.is_float() => {
                let (a, b) = (self.write(data.args[0])?, self.write(data.args[1])?);
                self.push(Step::Compare(*op, a, b))
            }
            Op::Select => {
                let c = self.write(data.args[0])?;
                let (a, b) = (self.write(data.args[1])?, self.write(data.args[2])?);
                self.push(Step::Select(c, a, b))
            }
            Op::Binary(op) if !kernel.ty(value).elem.is_float() => {
                let (a, b) = (self.write(data.args[0])?, self.write(data.args[1])?);
                self.push(Step::Binary(*op, a, b))
            }
            _ => return Err(unknown()),
        };
        self.done.insert(value, at);
        Ok(at)
    }
}
