//! Cycles among files that import and functions that call one another.

use std::collections::BTreeSet;

use tilec_vocab::Span;

/// Cycles of a graph, each as its nodes with the edge that leads on to the next; every node that
/// lies on some cycle is in one of them. Depth first with a stack of its own.
pub(crate) fn cycles(edges: &[Vec<(usize, Span)>]) -> Vec<Vec<(usize, Span)>> {
    let mut found = Vec::new();
    let mut done = vec![false; edges.len()];
    let mut told: BTreeSet<usize> = BTreeSet::new();
    for start in 0..edges.len() {
        if done[start] {
            continue;
        }
        // The path walked, and for each node on it the edge to look at next.
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        let mut on_path = vec![false; edges.len()];
        on_path[start] = true;
        while let Some(last) = path.last_mut() {
            let (node, at) = *last;
            let Some(&(to, _)) = edges[node].get(at) else {
                on_path[node] = false;
                done[node] = true;
                path.pop();
                continue;
            };
            last.1 += 1;
            if on_path[to] {
                let from = path.iter().position(|&(node, _)| node == to).unwrap_or(0);
                let cycle: Vec<(usize, Span)> = path[from..]
                    .iter()
                    .map(|&(node, next)| (node, edges[node][next - 1].1))
                    .collect();
                if cycle.iter().any(|(node, _)| told.insert(*node)) {
                    found.push(cycle);
                }
            } else if !done[to] {
                on_path[to] = true;
                path.push((to, 0));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cycle_once() {
        let span = Span::default();
        let edges =
            vec![vec![(1, span)], vec![(2, span), (0, span)], vec![(2, span)], vec![(0, span)]];
        let found: Vec<Vec<usize>> = cycles(&edges)
            .into_iter()
            .map(|cycle| cycle.into_iter().map(|(node, _)| node).collect())
            .collect();
        assert_eq!(found, [vec![2], vec![0, 1]]);
    }
}
