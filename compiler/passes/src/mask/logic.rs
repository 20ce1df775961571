//! Conditions as disjunctions of conjunctions of atoms.
//!
//! Only one question is put to the result: for which lanes may it hold? So where the expansion grows too large, a
//! conjunct is dropped, which answers "maybe" more often and never wrongly.
//!
//! An atom is `form >= 0` or something opaque. Equality is two atoms, inequality a choice of two. Integers
//! have no gaps: `a < b` is `b - a - 1 >= 0`, and the negation of `f >= 0` is `-f - 1 >= 0`.

use std::collections::BTreeMap;

use tilec_ir::{BinaryOp, CompareOp, Imm, Op, UnaryOp, Value};

use super::linear::{Form, Reader, Term};

/// Conjunctions beyond this many are not expanded.
const MAX_CONJUNCTIONS: usize = 64;

/// `form >= 0`, or a truth value that nothing is known of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Atom {
    /// Holds where the form is not negative.
    AtLeastZero(Form),
    /// Depends on data, or on arithmetic without a linear form.
    Opaque(Value),
}

/// All of these.
pub type Conjunction = Vec<Atom>;

/// Any of these; none is false, one empty conjunction is true.
pub type Disjunction = Vec<Conjunction>;

/// The condition `value`, or its negation, in disjunctive form.
pub fn disjunction(reader: &Reader<'_, '_>, value: Value, negated: bool) -> Disjunction {
    expand(reader, value, negated, 0).unwrap_or_else(|| vec![vec![Atom::Opaque(value)]])
}

fn expand(
    reader: &Reader<'_, '_>,
    value: Value,
    negated: bool,
    depth: usize,
) -> Option<Disjunction> {
    if depth > 64 {
        return None;
    }
    let opaque = || Some(vec![vec![Atom::Opaque(value)]]);
    let Some(data) = reader.scope.kernel.def(value) else { return opaque() };
    let part = |n: usize| expand(reader, data.args[n], negated, depth + 1);
    match &data.op {
        Op::Const(Imm::Bool(truth)) => Some(if *truth == negated { vec![] } else { vec![vec![]] }),
        Op::Splat => part(0),
        Op::Unary(UnaryOp::Not) => expand(reader, data.args[0], !negated, depth + 1),
        Op::Binary(BinaryOp::And) => combine(part(0)?, part(1)?, !negated),
        Op::Binary(BinaryOp::Or) => combine(part(0)?, part(1)?, negated),
        Op::Select => {
            // (c and a) or (not c and b)
            let yes = expand(reader, data.args[0], false, depth + 1)?;
            let no = expand(reader, data.args[0], true, depth + 1)?;
            let first = combine(yes, part(1)?, true)?;
            let second = combine(no, part(2)?, true)?;
            combine(first, second, false)
        }
        Op::Compare(op) => {
            let forms = reader.form(data.args[0]).zip(reader.form(data.args[1]));
            let op = if negated { op.negate() } else { *op };
            forms.and_then(|(a, b)| compare(op, &a, &b)).or_else(opaque)
        }
        _ => opaque(),
    }
}

/// The conjunction of two disjunctions, or with `and` false their disjunction.
fn combine(a: Disjunction, b: Disjunction, and: bool) -> Option<Disjunction> {
    let mut result = Disjunction::new();
    if and {
        for left in &a {
            for right in &b {
                result.extend(simplify(left.iter().chain(right)));
            }
        }
    } else {
        result.extend(a.iter().chain(&b).cloned());
    }
    result.sort_by_key(|conjunction| (conjunction.len(), conjunction.clone()));
    result.dedup();
    let mut kept = Disjunction::new();
    for conjunction in result {
        // `x or (x and y)` is `x`.
        let implied = kept.iter().any(|k: &Conjunction| k.iter().all(|a| conjunction.contains(a)));
        if !implied {
            kept.push(conjunction);
        }
    }
    match (kept.len() <= MAX_CONJUNCTIONS, and) {
        (true, _) => Some(kept),
        (false, true) => Some(if a.len() <= b.len() { a } else { b }),
        (false, false) => None,
    }
}

/// One atom for each left-hand side, the strictest; nothing where two contradict each other.
fn simplify<'a>(atoms: impl Iterator<Item = &'a Atom>) -> Option<Conjunction> {
    let mut strictest: BTreeMap<BTreeMap<Term, i64>, i64> = BTreeMap::new();
    let mut opaque = Conjunction::new();
    for atom in atoms {
        match atom {
            Atom::Opaque(_) => opaque.push(atom.clone()),
            Atom::AtLeastZero(form) => {
                let constant = strictest.entry(form.terms.clone()).or_insert(form.constant);
                *constant = form.constant.min(*constant);
            }
        }
    }
    for (terms, constant) in &strictest {
        let opposite: BTreeMap<Term, i64> = terms.iter().map(|(t, c)| (t.clone(), -c)).collect();
        if strictest.get(&opposite).is_some_and(|other| constant + other < 0) {
            return None;
        }
    }
    let forms = strictest.into_iter().map(|(terms, constant)| Form { constant, terms });
    let mut conjunction: Conjunction = forms.map(Atom::AtLeastZero).chain(opaque).collect();
    conjunction.sort();
    conjunction.dedup();
    Some(conjunction)
}

fn compare(op: CompareOp, a: &Form, b: &Form) -> Option<Disjunction> {
    let less_or_equal = |a: &Form, b: &Form, by: i64| -> Option<Atom> {
        Some(Atom::AtLeastZero(b.plus(-1, a)?.plus(1, &Form::constant(-by))?))
    };
    Some(match op {
        CompareOp::Le => vec![vec![less_or_equal(a, b, 0)?]],
        CompareOp::Lt => vec![vec![less_or_equal(a, b, 1)?]],
        CompareOp::Ge => vec![vec![less_or_equal(b, a, 0)?]],
        CompareOp::Gt => vec![vec![less_or_equal(b, a, 1)?]],
        CompareOp::Eq => vec![vec![less_or_equal(a, b, 0)?, less_or_equal(b, a, 0)?]],
        CompareOp::Ne => vec![vec![less_or_equal(a, b, 1)?], vec![less_or_equal(b, a, 1)?]],
    })
}
