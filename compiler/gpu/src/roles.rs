//! Which operand of a dot feeds the rows of the `mma`, and which axes are its rows, columns and depth.
//!
//! Axes have no order, so the choice is free, and one thing decides it: where the result of a dot, changed element by
//! element, is an operand of the next, it can stay in registers if it is that one's first operand. So the second dot takes
//! it first, and the first dot has for rows the axes that the second keeps.
//!
//! ```text
//! s[m, n] = dot(q[m, d], k[n, d] over d)      rows m, because the next dot keeps m
//! p = exp(s - top)
//! o[m, d] = dot(p[m, n], v[n, d] over n)      first operand p
//! ```

use std::collections::BTreeMap;

use tilec_ir::{Axis, Entity, Inst, Op, Value};

use crate::study::Study;

/// The axes of a dot as those of a product of matrices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Roles {
    /// The operand that feeds the rows: 0 or 1.
    pub first: usize,
    /// Rows.
    pub m: Vec<Axis>,
    /// Columns.
    pub n: Vec<Axis>,
    /// Depth.
    pub k: Vec<Axis>,
}

/// The roles of every dot that is a product of matrices. Others (an operand with no axis of its own, an axis that both keep)
/// are sums of products.
pub(crate) fn roles(study: &Study<'_>) -> BTreeMap<Inst, Roles> {
    let mut found = BTreeMap::new();
    let dots: Vec<Inst> = study
        .kernel
        .walk()
        .into_iter()
        .filter(|&inst| matches!(study.data(inst).op, Op::Dot(..)))
        .collect();
    // Consumers before producers.
    for &inst in dots.iter().rev() {
        let [Some(own), Some(other)] = [0, 1].map(|operand| kept(study, inst, operand)) else {
            continue;
        };
        if own.is_empty() || other.is_empty() || own.iter().any(|axis| other.contains(axis)) {
            continue;
        }
        let Op::Dot(over, _) = &study.data(inst).op else { continue };
        let wanted = wanted_rows(study, inst, &found);
        let chained = |operand: usize| from_dot(study, study.data(inst).args[operand]);
        let first = match wanted {
            Some(rows) if rows == own => 0,
            Some(rows) if rows == other => 1,
            _ if !chained(0) && chained(1) => 1,
            _ => 0,
        };
        let (m, n) = if first == 0 { (own, other) } else { (other, own) };
        found.insert(inst, Roles { first, m, n, k: over.to_vec() });
    }
    found
}

/// The axes of an operand that are not summed.
fn kept(study: &Study<'_>, inst: Inst, operand: usize) -> Option<Vec<Axis>> {
    let data = study.data(inst);
    let Op::Dot(over, _) = &data.op else { return None };
    let axes = study.axes(*data.args.get(operand)?);
    Some(axes.into_iter().filter(|axis| !over.contains(axis)).collect())
}

/// Whether a value is the result of a dot, but for changes element by element.
fn from_dot(study: &Study<'_>, value: Value) -> bool {
    let Some(data) = study.def(value) else { return false };
    match &data.op {
        Op::Dot(..) => true,
        op if Study::element_wise(op) => data
            .args
            .iter()
            .any(|&arg| study.axes(arg) == study.axes(value) && from_dot(study, arg)),
        _ => false,
    }
}

/// The rows under which the result of a dot is the first operand of the next.
fn wanted_rows(study: &Study<'_>, inst: Inst, found: &BTreeMap<Inst, Roles>) -> Option<Vec<Axis>> {
    let result = *study.data(inst).results.first()?;
    let axes = study.axes(result);
    let mut open = vec![result];
    let mut seen = vec![false; study.kernel.values.len()];
    while let Some(value) = open.pop() {
        if std::mem::replace(&mut seen[value.index()], true) {
            continue;
        }
        for &user in study.users(value) {
            let data = study.data(user);
            if let (Op::Dot(over, _), Some(roles)) = (&data.op, found.get(&user)) {
                if data.args[roles.first] == value {
                    return Some(axes.into_iter().filter(|axis| !over.contains(axis)).collect());
                }
            } else if Study::element_wise(&data.op) {
                open.extend(data.results.iter().filter(|&&r| study.axes(r) == axes));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The roles of the dots of a kernel, in program order, by names of axes.
    fn found(text: &str) -> Vec<(usize, String, String)> {
        let module = tilec_ir::parse(text).unwrap();
        let kernel = &module.kernels[0];
        let names = |axes: &[Axis]| axes.iter().map(|&a| kernel.axes[a].name.clone()).collect();
        roles(&Study::new(kernel))
            .values()
            .map(|role| (role.first, names(&role.m), names(&role.n)))
            .collect()
    }

    fn kernel(second: &str) -> String {
        format!(
            "kernel @k(q: &f16[M, 16], k: &f16[N, 16], v: &f16[16, 16], o: &mut f32[16, 16])\n  grid p in 1\n{{\n  \
             %0: i64 = const 0\n  %16: i64 = const 16\n  axis m: 16 = %0 .. %16 full\n  axis n: 16 = %0 .. %16 full\n  \
             axis d: 16 = %0 .. %16 full\n  %m: i64[m] = index m\n  %n: i64[n] = index n\n  %d: i64[d] = index d\n  \
             %q: f16[m, d] = load q[%m, %d]\n  %k: f16[n, d] = load k[%n, %d]\n  %s: f32[m, n] = dot %q, %k over d\n  \
             %p: f16[m, n] = cast %s\n{second}  yield\n}}\n"
        )
    }

    #[test]
    fn a_chain_stays_in_registers() {
        let text = kernel(
            "  %v: f16[n, d] = load v[%n, %d]\n  %o: f32[m, d] = dot %v, %p over n\n  store o[%m, %d] = %o\n",
        );
        // The second dot takes %p first, and the first has its rows.
        assert_eq!(found(&text), [(0, "m".into(), "n".into()), (1, "m".into(), "d".into())]);
    }

    #[test]
    fn rows_are_what_the_next_dot_keeps() {
        let text = kernel(
            "  %v: f16[m, d] = load v[%m, %d]\n  %o: f32[n, d] = dot %p, %v over m\n  store o[%n, %d] = %o\n",
        );
        assert_eq!(found(&text), [(1, "n".into(), "m".into()), (0, "n".into(), "d".into())]);
    }
}
