//! For which block numbers of a loop some lane meets a condition.
//!
//! Block `k` of `for n in lo..hi by S` has the indices `lo + k S` up to `min(lo + (k + 1) S, hi) - 1`. An
//! atom `a n + R >= 0` with `a > 0` is met by some lane of the block exactly when it is met by the block's last
//! index and the lanes at which R is greatest: a half-line of block numbers whose end point is a floor division.
//! `a < 0` mirrors it. A conjunction is met at most where each atom is met, and each positive combination of
//! two that loses a term (Fourier and Motzkin): an interval. A disjunction is a union of intervals.
//!
//! Blocks outside the union of `P` are dead, blocks outside the union of `not P` are full.

use std::collections::BTreeSet;

use tilec_ir::Axis;

use super::expr::Expr;
use super::linear::{Form, Term};
use super::logic::{Atom, Conjunction, Disjunction};

/// Derived atoms beyond this many are not made; the answer stays right, but may be less sharp.
const MAX_ATOMS: usize = 40;

/// The blocks of a loop.
#[derive(Clone, Debug)]
pub struct Blocks {
    /// The loop's axis.
    pub axis: Axis,
    /// First index.
    pub lo: Expr,
    /// One past the last index.
    pub hi: Expr,
    /// Lanes of a block.
    pub step: i64,
}

/// Block numbers from `from` up to but not including `to`; an absent end is the loop's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    /// First block, where it is not the loop's first.
    pub from: Option<Expr>,
    /// One past the last block, where it is not the loop's end.
    pub to: Option<Expr>,
}

impl Interval {
    /// Whether it is the whole loop.
    pub fn is_all(&self) -> bool {
        self.from.is_none() && self.to.is_none()
    }

    /// Blocks in both.
    pub fn and(self, other: Interval) -> Interval {
        Interval {
            from: both(self.from, other.from, Expr::max),
            to: both(self.to, other.to, Expr::min),
        }
    }
}

fn both(a: Option<Expr>, b: Option<Expr>, join: fn(Expr, Expr) -> Expr) -> Option<Expr> {
    match (a, b) {
        (Some(a), Some(b)) => Some(join(a, b)),
        (a, b) => a.or(b),
    }
}

impl Blocks {
    /// Number of blocks.
    pub fn count(&self) -> Expr {
        self.hi.clone().sub(self.lo.clone()).ceil(self.step).max(Expr::Int(0))
    }

    /// The block that holds an index at or after `lo`.
    fn block_of(&self, index: Expr) -> Expr {
        index.sub(self.lo.clone()).floor(self.step)
    }

    /// The number of leading blocks with every lane present.
    pub fn whole(&self) -> Expr {
        self.hi.clone().sub(self.lo.clone()).floor(self.step)
    }

    /// The first index of block `k`.
    pub fn first_index(&self, k: Expr) -> Expr {
        self.lo.clone().add(k.scale(self.step))
    }

    /// A superset of the blocks in which some lane meets the disjunction; exact as far as the atoms are.
    pub fn met(&self, condition: &Disjunction) -> Vec<Interval> {
        let mut found: Vec<Interval> = Vec::new();
        for conjunction in condition {
            let interval = self.met_by_all(conjunction);
            if interval.is_all() {
                return vec![Interval::default()];
            }
            if !found.contains(&interval) {
                found.push(interval);
            }
        }
        found
    }

    fn met_by_all(&self, conjunction: &Conjunction) -> Interval {
        let mut forms = BTreeSet::new();
        for atom in conjunction {
            if let Atom::AtLeastZero(form) = atom {
                forms.insert(form.clone());
            }
        }
        for _ in 0..2 {
            combine(&mut forms);
        }
        forms
            .iter()
            .filter_map(|form| self.met_by(form, Expr::Int(0)))
            .fold(Interval::default(), Interval::and)
    }

    /// Blocks in which some lane has `form + slack >= 0`; `None` where that is no half-line.
    fn met_by(&self, form: &Form, slack: Expr) -> Option<Interval> {
        let mut rest = Form::constant(form.constant);
        let mut along = Vec::new();
        for (term, &coefficient) in &form.terms {
            if Form::term(term.clone()).mentions(self.axis) {
                along.push((term, coefficient));
            } else {
                rest.terms.insert(term.clone(), coefficient);
            }
        }
        let rest = rest.greatest().add(slack);
        match along.as_slice() {
            [] => Some(self.everywhere_if_not_negative(rest)),
            [(Term::Index(_), a)] if *a > 0 => {
                let least = rest.scale(-1).ceil(*a);
                let last = self.hi.clone().sub(Expr::Int(1));
                let block = self.block_of(least.clone());
                Some(Interval {
                    from: Some(Expr::if_le(least, last, block, self.count())),
                    to: None,
                })
            }
            [(Term::Index(_), a)] => {
                let greatest = rest.floor(-*a);
                Some(Interval { from: None, to: Some(self.block_of(greatest).add(Expr::Int(1))) })
            }
            [(Term::Floor(x, divisor), a)] if *a > 0 => {
                let quotient = rest.scale(-1).ceil(*a);
                self.met_by(x, quotient.scale(-*divisor))
            }
            [(Term::Floor(x, divisor), a)] => {
                let quotient = rest.floor(-*a);
                let slack = quotient.scale(*divisor).add(Expr::Int(divisor - 1));
                self.met_by(&x.scale(-1)?, slack)
            }
            [(Term::Min(x, y), a)] if *a > 0 => {
                let sides = [x, y].map(|side| self.met_by(&side.scale(*a)?, rest.clone()));
                let [x, y] = sides;
                Some(x?.and(y?))
            }
            [(Term::Max(x, y), a)] if *a < 0 => {
                let sides = [x, y].map(|side| self.met_by(&side.scale(*a)?, rest.clone()));
                let [x, y] = sides;
                Some(x?.and(y?))
            }
            _ => None,
        }
    }

    fn everywhere_if_not_negative(&self, value: Expr) -> Interval {
        match Expr::if_le(Expr::Int(0), value, Expr::Int(0), self.count()) {
            Expr::Int(0) => Interval::default(),
            from => Interval { from: Some(from), to: None },
        }
    }
}

/// Adds positive combinations of two forms in which a term cancels.
fn combine(forms: &mut BTreeSet<Form>) {
    let all: Vec<Form> = forms.iter().cloned().collect();
    for (at, a) in all.iter().enumerate() {
        for b in &all[at + 1..] {
            for (term, &x) in &a.terms {
                let Some(&y) = b.terms.get(term) else { continue };
                if (x > 0) == (y > 0) || matches!(term, Term::Scalar(_)) {
                    continue;
                }
                let shared = gcd(x.unsigned_abs(), y.unsigned_abs()) as i64;
                let combined = a
                    .scale(y.abs() / shared)
                    .and_then(|a| a.plus(x.abs() / shared, b))
                    .and_then(|form| tighten(&form));
                if let Some(form) = combined
                    && forms.len() < MAX_ATOMS
                {
                    forms.insert(form);
                }
            }
        }
    }
}

/// Divides a form by what its coefficients share, rounding the constant down: the integers that
/// meet `form >= 0` stay the same.
fn tighten(form: &Form) -> Option<Form> {
    let shared = form.terms.values().fold(0, |g, c| gcd(g, c.unsigned_abs())) as i64;
    if shared <= 1 {
        return Some(form.clone());
    }
    let terms = form.terms.iter().map(|(t, c)| (t.clone(), c / shared)).collect();
    Some(Form { constant: form.constant.div_euclid(shared), terms })
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
