//! Whether a loop body changes nothing where a condition is false in every lane.
//!
//! The body is evaluated with the condition false over a small domain: a constant in every lane, the same as
//! some value known before, or unknown. It is harmless if every carried value comes back as itself and
//! nothing is written. `x + 0` counts as `x`, which forgets the sign of a zero, and a `dot` with a zero
//! operand as zero, which the language allows whatever the other operand holds.

use std::collections::BTreeMap;

use tilec_ir::{BinaryOp, CompareOp, Imm, Inst, InstData, Kernel, Op, ReduceOp, UnaryOp, Value};

/// What is known of a value while the condition is false.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Known {
    /// This in every lane.
    Constant(Imm),
    /// Lane for lane this value, which stands before the body or is a parameter of it.
    Same(Value),
    /// Nothing.
    Unknown,
}

/// Why the body must run even where the condition is false.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spoilt {
    /// It writes memory.
    Writes(Inst),
    /// This carried value (its place among the carries) may change.
    Carried(usize),
}

/// Whether the body of `inst`, a `for`, changes nothing where all of `condition` is false.
pub fn check(kernel: &Kernel, inst: Inst, condition: Value) -> Result<(), Spoilt> {
    let block = kernel.insts[inst].blocks[0];
    if let Some(writer) = writes(kernel, inst) {
        return Err(Spoilt::Writes(writer));
    }
    let mut known = BTreeMap::from([(condition, Known::Constant(Imm::Bool(false)))]);
    let data = &kernel.blocks[block];
    for &inner in &data.insts {
        let inst = &kernel.insts[inner];
        if matches!(inst.op, Op::Yield) {
            for (n, (&param, &value)) in data.params[1..].iter().zip(&inst.args).enumerate() {
                if look(kernel, &known, value) != Known::Same(param) {
                    return Err(Spoilt::Carried(n));
                }
            }
            continue;
        }
        for &result in &inst.results {
            if !known.contains_key(&result) {
                let fact = eval(kernel, inst, &known, result);
                known.insert(result, fact);
            }
        }
    }
    Ok(())
}

fn writes(kernel: &Kernel, inst: Inst) -> Option<Inst> {
    let data = &kernel.insts[inst];
    if data.op.writes() {
        return Some(inst);
    }
    let inner = data.blocks.iter().flat_map(|&block| &kernel.blocks[block].insts);
    inner.copied().find_map(|inst| writes(kernel, inst))
}

fn look(kernel: &Kernel, known: &BTreeMap<Value, Known>, value: Value) -> Known {
    known.get(&value).copied().unwrap_or_else(|| constant(kernel, value))
}

/// A value from before the loop: a constant in every lane, or itself.
fn constant(kernel: &Kernel, value: Value) -> Known {
    match kernel.def(value).map(|data| (&data.op, data.args.first())) {
        Some((Op::Const(imm), _)) => Known::Constant(*imm),
        Some((Op::Splat, Some(&inner))) => match constant(kernel, inner) {
            Known::Same(_) => Known::Same(value),
            known => known,
        },
        _ => Known::Same(value),
    }
}

fn eval(kernel: &Kernel, inst: &InstData, known: &BTreeMap<Value, Known>, result: Value) -> Known {
    let arg = |n: usize| look(kernel, known, inst.args[n]);
    // Equal operands make an equal value; one that is computed again is not looked for here.
    let fresh = Known::Same(result);
    match &inst.op {
        Op::Const(imm) => Known::Constant(*imm),
        Op::Splat => arg(0),
        Op::Unary(op) => unary(*op, arg(0)),
        Op::Binary(op) => binary(*op, arg(0), arg(1), kernel.ty(result).elem.is_int()),
        Op::Compare(op) => compare(*op, arg(0), arg(1)),
        Op::Select => match arg(0) {
            Known::Constant(Imm::Bool(true)) => arg(1),
            Known::Constant(Imm::Bool(false)) => arg(2),
            _ if arg(1) == arg(2) => arg(1),
            _ => Known::Unknown,
        },
        Op::Cast => match arg(0) {
            same @ Known::Same(value) if kernel.ty(value).elem == kernel.ty(result).elem => same,
            Known::Constant(imm) => cast(imm, kernel, result),
            _ => Known::Unknown,
        },
        Op::Reduce(op, _) => match (op, arg(0)) {
            (ReduceOp::Sum, zero) if is_number(zero, 0.0) => zero,
            (ReduceOp::Max, low) if is_number(low, f64::NEG_INFINITY) => low,
            (ReduceOp::Min, high) if is_number(high, f64::INFINITY) => high,
            (ReduceOp::Any, no @ Known::Constant(Imm::Bool(false))) => no,
            (ReduceOp::All, yes @ Known::Constant(Imm::Bool(true))) => yes,
            _ => Known::Unknown,
        },
        Op::Dot(..) if is_number(arg(0), 0.0) || is_number(arg(1), 0.0) => {
            Known::Constant(Imm::Float(0.0))
        }
        Op::Generic(_)
        | Op::Dim(_)
        | Op::Scalar(_)
        | Op::Program(_)
        | Op::Index(_)
        | Op::Dot(..)
        | Op::Load(_) => fresh,
        Op::For(_) | Op::If => Known::Unknown,
        Op::Axis(_) | Op::Store(_) | Op::AtomicAdd(_) | Op::Yield => Known::Unknown,
    }
}

fn is_number(known: Known, wanted: f64) -> bool {
    match known {
        Known::Constant(Imm::Float(x)) => x == wanted,
        Known::Constant(Imm::Int(x)) => x as f64 == wanted,
        Known::Constant(Imm::Bool(_)) | Known::Same(_) | Known::Unknown => false,
    }
}

fn unary(op: UnaryOp, x: Known) -> Known {
    match (op, x) {
        (UnaryOp::Not, Known::Constant(Imm::Bool(b))) => Known::Constant(Imm::Bool(!b)),
        (UnaryOp::Neg, Known::Constant(Imm::Float(x))) => Known::Constant(Imm::Float(-x)),
        (UnaryOp::Exp | UnaryOp::Exp2, x) if is_number(x, f64::NEG_INFINITY) => {
            Known::Constant(Imm::Float(0.0))
        }
        (UnaryOp::Exp | UnaryOp::Exp2, x) if is_number(x, 0.0) => Known::Constant(Imm::Float(1.0)),
        _ => Known::Unknown,
    }
}

fn binary(op: BinaryOp, a: Known, b: Known, int: bool) -> Known {
    let bool_of = |known: Known| match known {
        Known::Constant(Imm::Bool(b)) => Some(b),
        _ => None,
    };
    match op {
        BinaryOp::Add if is_number(b, 0.0) => a,
        BinaryOp::Add if is_number(a, 0.0) => b,
        BinaryOp::Sub if is_number(b, 0.0) => a,
        BinaryOp::Mul | BinaryOp::Div if is_number(b, 1.0) => a,
        BinaryOp::Mul if is_number(a, 1.0) => b,
        BinaryOp::Mul if int && is_number(a, 0.0) => a,
        BinaryOp::Mul if int && is_number(b, 0.0) => b,
        BinaryOp::Max if is_number(b, f64::NEG_INFINITY) => a,
        BinaryOp::Max if is_number(a, f64::NEG_INFINITY) => b,
        BinaryOp::Min if is_number(b, f64::INFINITY) => a,
        BinaryOp::Min if is_number(a, f64::INFINITY) => b,
        BinaryOp::Max | BinaryOp::Min if a == b => a,
        BinaryOp::And => match (bool_of(a), bool_of(b)) {
            (Some(false), _) | (_, Some(true)) => a,
            (_, Some(false)) | (Some(true), _) => b,
            (None, None) => Known::Unknown,
        },
        BinaryOp::Or => match (bool_of(a), bool_of(b)) {
            (Some(true), _) | (_, Some(false)) => a,
            (_, Some(true)) | (Some(false), _) => b,
            (None, None) => Known::Unknown,
        },
        BinaryOp::Add
        | BinaryOp::Sub
        | BinaryOp::Mul
        | BinaryOp::Div
        | BinaryOp::Rem
        | BinaryOp::Min
        | BinaryOp::Max => Known::Unknown,
    }
}

/// A value compared with itself is never greater, never less, and never anything else for sure: it
/// may be NaN.
fn compare(op: CompareOp, a: Known, b: Known) -> Known {
    let same = matches!((a, b), (Known::Same(x), Known::Same(y)) if x == y);
    match op {
        CompareOp::Lt | CompareOp::Gt if same => Known::Constant(Imm::Bool(false)),
        _ => Known::Unknown,
    }
}

fn cast(imm: Imm, kernel: &Kernel, result: Value) -> Known {
    let Some(dtype) = kernel.ty(result).elem.known() else { return Known::Unknown };
    match imm {
        Imm::Float(x) if dtype.is_float() => Known::Constant(Imm::Float(dtype.round(x))),
        Imm::Int(x) if dtype.is_int() => Known::Constant(Imm::Int(x)),
        Imm::Int(x) if dtype.is_float() => Known::Constant(Imm::Float(dtype.round(x as f64))),
        Imm::Bool(_) | Imm::Float(_) | Imm::Int(_) => Known::Unknown,
    }
}
