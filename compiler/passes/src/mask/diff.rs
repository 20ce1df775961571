//! Whether two kernels let the same pairs of a row and a column through, for every size up to a bound.
//!
//! A mask is taken from a kernel's loop over blocks: the conditions whose failure changes nothing, and the loop's own
//! range. It is then a function of a row, a column and the kernel's numbers, and is compared by trying them all,
//! small sizes first, so that the first difference is a small one.

use std::collections::BTreeMap;

use tilec_ir::{Axis, Kernel};

use super::formula::{Formula, Input};
use super::plan::{Plan, plan};
use super::scope::Scope;

/// Numbers below zero that are tried for arguments that are no dimensions.
const NEGATIVE: i64 = -2;

/// Which columns a row sees.
#[derive(Clone, Debug)]
pub struct Mask {
    /// Whether a pair in range is let through.
    holds: Formula,
    /// Rows there are; one where the mask has no row axis.
    rows: Option<(Axis, Formula)>,
    column: Axis,
    /// First column of the loop, and one past its last.
    from: Formula,
    until: Formula,
    /// Numbers it is made of, and whether each is a dimension.
    numbers: BTreeMap<String, bool>,
}

/// What comparing two masks gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No difference.
    Equal {
        /// Combinations of numbers tried.
        sizes: u64,
        /// Pairs of a row and a column looked at.
        pairs: u64,
    },
    /// The first difference.
    Differ {
        /// The numbers.
        numbers: BTreeMap<String, i64>,
        /// The pair.
        row: i64,
        /// The pair.
        column: i64,
        /// What the first mask says; the second says the opposite.
        first: bool,
    },
}

impl Mask {
    /// The mask of a specialised kernel's loop over blocks.
    ///
    /// # Errors
    ///
    /// A sentence on why it has none that could be compared.
    pub fn of(kernel: &Kernel) -> Result<Mask, String> {
        let scope = Scope::new(kernel);
        let plans: Vec<Plan> = kernel.walk().into_iter().filter_map(|i| plan(&scope, i)).collect();
        let [plan] = plans.as_slice() else {
            return Err(format!(
                "kernel `{}` has {} loops over blocks; a mask is compared where there is one",
                kernel.name,
                plans.len()
            ));
        };
        let masks = plan.conditions.iter().filter(|condition| condition.harmless.is_ok());
        let masks: Vec<_> = masks.map(|condition| condition.value).collect();
        let data =
            |what: String| format!("the mask of kernel `{}` depends on `{what}`", kernel.name);
        let holds = Formula::all(&scope, &masks).map_err(data)?;
        let column = plan.blocks.axis;
        let inst = &kernel.insts[plan.inst];
        let from = Formula::of(&scope, inst.args[0]).map_err(data)?;
        let until = Formula::of(&scope, inst.args[1]).map_err(data)?;
        let mut axes = masks.iter().flat_map(|&mask| kernel.ty(mask).axes.iter());
        let row = axes.find(|&axis| axis != column);
        if let Some(other) = axes.find(|&axis| axis != column && Some(axis) != row) {
            let name = &kernel.axes[other].name;
            return Err(format!("the mask of kernel `{}` has a third axis, `{name}`", kernel.name));
        }
        let rows = match row {
            Some(axis) => Some((axis, Formula::of(&scope, scope.end(axis)).map_err(data)?)),
            None => None,
        };
        let mut mask = Mask { holds, rows, column, from, until, numbers: BTreeMap::new() };
        let formulas = [&mask.holds, &mask.from, &mask.until];
        let inputs = formulas.into_iter().chain(mask.rows.as_ref().map(|(_, end)| end));
        for input in inputs.flat_map(|formula| &formula.inputs) {
            match input {
                Input::Name(name) => {
                    let is_dim = kernel.dims.values().any(|dim| dim.name == *name);
                    mask.numbers.insert(name.clone(), is_dim);
                }
                Input::Program(at) => {
                    let axis = kernel.grid.get(*at).map_or("?", |axis| axis.name.as_str());
                    return Err(format!(
                        "the mask of kernel `{}` differs between programs along `{axis}`",
                        kernel.name
                    ));
                }
                Input::Index(_) => {}
            }
        }
        Ok(mask)
    }

    /// The mask's numbers, and whether each is a dimension.
    pub fn numbers(&self) -> &BTreeMap<String, bool> {
        &self.numbers
    }

    fn number(&self, formula: &Formula, numbers: &BTreeMap<String, i64>) -> i64 {
        formula.eval(&self.inputs(formula, numbers), &mut Vec::new())
    }

    fn inputs(&self, formula: &Formula, numbers: &BTreeMap<String, i64>) -> Vec<i64> {
        let value = |input: &Input| match input {
            Input::Name(name) => numbers.get(name).copied().unwrap_or(0),
            Input::Index(_) | Input::Program(_) => 0,
        };
        formula.inputs.iter().map(value).collect()
    }

    /// The mask under fixed numbers.
    fn at<'m>(&'m self, numbers: &BTreeMap<String, i64>) -> At<'m> {
        At {
            mask: self,
            inputs: self.inputs(&self.holds, numbers),
            rows: self.rows.as_ref().map_or(1, |(_, end)| self.number(end, numbers)),
            from: self.number(&self.from, numbers),
            until: self.number(&self.until, numbers),
            registers: Vec::new(),
        }
    }
}

struct At<'m> {
    mask: &'m Mask,
    inputs: Vec<i64>,
    rows: i64,
    from: i64,
    until: i64,
    registers: Vec<i64>,
}

impl At<'_> {
    fn sees(&mut self, row: i64, column: i64) -> bool {
        if row >= self.rows || column < self.from || column >= self.until {
            return false;
        }
        for (input, value) in self.mask.holds.inputs.iter().zip(&mut self.inputs) {
            if let Input::Index(axis) = input {
                *value = if *axis == self.mask.column { column } else { row };
            }
        }
        self.mask.holds.eval(&self.inputs, &mut self.registers) != 0
    }
}

/// Compares two masks for every size up to `bound`; numbers in `fixed` keep their value.
pub fn compare(a: &Mask, b: &Mask, fixed: &BTreeMap<String, i64>, bound: i64) -> Verdict {
    let mut kinds = a.numbers.clone();
    kinds.extend(b.numbers.clone());
    let free: Vec<(&String, i64)> = kinds
        .iter()
        .filter(|(name, _)| !fixed.contains_key(*name))
        .map(|(name, &is_dim)| (name, if is_dim { 1 } else { NEGATIVE }))
        .collect();
    let (mut sizes, mut pairs) = (0, 0);
    for largest in 1..=bound.max(1) {
        let mut values: Vec<i64> = free.iter().map(|(_, least)| *least).collect();
        loop {
            // Each combination once, when its largest number comes up.
            if values.iter().copied().max().unwrap_or(1).max(1) == largest {
                let mut numbers = fixed.clone();
                numbers
                    .extend(free.iter().zip(&values).map(|((name, _), v)| ((*name).clone(), *v)));
                sizes += 1;
                if let Some(found) = first_difference(a, b, &numbers, &mut pairs) {
                    return found;
                }
            }
            if !next(&mut values, &free, largest) {
                break;
            }
        }
        if free.is_empty() {
            break;
        }
    }
    Verdict::Equal { sizes, pairs }
}

/// The next combination with no number above `largest`.
fn next(values: &mut [i64], free: &[(&String, i64)], largest: i64) -> bool {
    for (value, (_, least)) in values.iter_mut().zip(free).rev() {
        if *value < largest {
            *value += 1;
            return true;
        }
        *value = *least;
    }
    false
}

fn first_difference(
    a: &Mask,
    b: &Mask,
    numbers: &BTreeMap<String, i64>,
    pairs: &mut u64,
) -> Option<Verdict> {
    let (mut first, mut second) = (a.at(numbers), b.at(numbers));
    let rows = first.rows.max(second.rows).max(0);
    let columns = first.from.min(second.from)..first.until.max(second.until);
    for row in 0..rows {
        for column in columns.clone() {
            *pairs += 1;
            let (x, y) = (first.sees(row, column), second.sees(row, column));
            if x != y {
                return Some(Verdict::Differ { numbers: numbers.clone(), row, column, first: x });
            }
        }
    }
    None
}
