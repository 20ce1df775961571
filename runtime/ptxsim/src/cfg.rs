//! Control flow of one function: where divergent paths meet again, and which loop an instruction belongs to.
//!
//! A divergent branch reconverges at its immediate post-dominator, which is where ptxas places the convergence barrier.
//! Early exits would destroy post-dominance (`if (row >= n) return;` has no common successor with the rest), so only
//! blocks from which the function's last `ret` or `exit` can be reached take part; lanes that leave early simply leave.

use crate::program::{LoopInfo, NOWHERE, Pc};

/// How control leaves an instruction.
pub enum Flow {
    Next,
    /// Target, and whether control can also fall through.
    Jump(Pc, bool),
    Many(Vec<Pc>, bool),
    /// Leaves the function; `true` if only for guarded lanes.
    Leave(bool),
    /// Leaves abnormally.
    Trap(bool),
}

/// The result of the analysis, indices relative to the function's first instruction.
pub struct Analysis {
    /// For each instruction that ends a block, where its paths meet.
    pub reconverge: Vec<Pc>,
    pub loop_of: Vec<Option<u32>>,
    pub loops: Vec<LoopInfo>,
}

/// Analyses a function whose instruction `i` leaves as `flows[i]`; targets are relative indices.
pub fn analyse(flows: &[Flow]) -> Analysis {
    let n = flows.len();
    let mut successors: Vec<Vec<usize>> = Vec::with_capacity(n);
    let mut main_exit = None;
    for (i, flow) in flows.iter().enumerate() {
        let mut out = vec![];
        let falls = match flow {
            Flow::Next => true,
            Flow::Jump(t, fall) => {
                out.push(*t as usize);
                *fall
            }
            Flow::Many(ts, fall) => {
                out.extend(ts.iter().map(|t| *t as usize));
                *fall
            }
            Flow::Leave(guarded) => {
                main_exit = Some(i);
                *guarded
            }
            Flow::Trap(guarded) => *guarded,
        };
        if falls && i + 1 < n {
            out.push(i + 1);
        }
        out.dedup();
        successors.push(out);
    }
    let reconverge = post_dominators(&successors, main_exit);
    let (loop_of, loops) = loops(&successors);
    Analysis { reconverge, loop_of, loops }
}

/// Immediate post-dominators on the subgraph that reaches the main exit (Cooper, Harvey and Kennedy, "A simple, fast
/// dominance algorithm", on the reversed graph). `NOWHERE` where there is none.
fn post_dominators(successors: &[Vec<usize>], main_exit: Option<usize>) -> Vec<Pc> {
    let n = successors.len();
    let mut answer = vec![NOWHERE; n];
    let Some(exit) = main_exit else {
        return answer;
    };
    let mut predecessors = vec![vec![]; n];
    for (i, out) in successors.iter().enumerate() {
        for &s in out {
            predecessors[s].push(i);
        }
    }
    // Post-order of the reversed graph from the exit, without recursion.
    let mut order = vec![];
    let mut state = vec![0usize; n];
    let mut seen = vec![false; n];
    seen[exit] = true;
    let mut stack = vec![exit];
    while let Some(&top) = stack.last() {
        if let Some(&p) = predecessors[top].get(state[top]) {
            state[top] += 1;
            if !seen[p] {
                seen[p] = true;
                stack.push(p);
            }
        } else {
            order.push(top);
            stack.pop();
        }
    }
    let mut number = vec![usize::MAX; n];
    for (i, &b) in order.iter().enumerate() {
        number[b] = i;
    }
    let mut idom = vec![usize::MAX; n];
    idom[exit] = exit;
    let mut changed = true;
    while changed {
        changed = false;
        for &b in order.iter().rev() {
            if b == exit {
                continue;
            }
            let mut new = usize::MAX;
            for &s in &successors[b] {
                if idom[s] == usize::MAX {
                    continue;
                }
                new = if new == usize::MAX { s } else { meet(s, new, &idom, &number) };
            }
            if new != idom[b] {
                idom[b] = new;
                changed = true;
            }
        }
    }
    for (b, slot) in answer.iter_mut().enumerate() {
        if b != exit && idom[b] != usize::MAX {
            *slot = idom[b] as Pc;
        }
    }
    answer
}

fn meet(mut a: usize, mut b: usize, idom: &[usize], number: &[usize]) -> usize {
    while a != b {
        while number[a] < number[b] {
            a = idom[a];
        }
        while number[b] < number[a] {
            b = idom[b];
        }
    }
    a
}

/// Natural loops by back edges to an earlier instruction: the body is what reaches the latch without the header.
fn loops(successors: &[Vec<usize>]) -> (Vec<Option<u32>>, Vec<LoopInfo>) {
    let n = successors.len();
    let mut predecessors = vec![vec![]; n];
    let mut bodies: std::collections::BTreeMap<usize, Vec<bool>> = Default::default();
    for (i, out) in successors.iter().enumerate() {
        for &s in out {
            predecessors[s].push(i);
        }
    }
    for (latch, out) in successors.iter().enumerate() {
        for &header in out.iter().filter(|&&h| h <= latch) {
            let body = bodies.entry(header).or_insert_with(|| vec![false; n]);
            body[header] = true;
            let mut work = vec![latch];
            while let Some(b) = work.pop() {
                if !body[b] {
                    body[b] = true;
                    work.extend(&predecessors[b]);
                }
            }
        }
    }
    let mut loop_of = vec![None; n];
    let mut smallest = vec![usize::MAX; n];
    let mut infos = vec![];
    for (index, (header, body)) in bodies.iter().enumerate() {
        let size = body.iter().filter(|b| **b).count();
        let depth = bodies.values().filter(|other| other[*header]).count() as u32;
        infos.push(LoopInfo { header: *header as Pc, depth });
        for (i, inside) in body.iter().enumerate() {
            if *inside && size < smallest[i] {
                smallest[i] = size;
                loop_of[i] = Some(index as u32);
            }
        }
    }
    (loop_of, infos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diamond_meets_at_its_join_even_when_one_arm_may_leave() {
        // 0: branch to 3, else 1; 1: guarded exit; 2: jump 4; 3: next; 4: ret
        let flows = [
            Flow::Jump(3, true),
            Flow::Leave(true),
            Flow::Jump(4, false),
            Flow::Next,
            Flow::Leave(false),
        ];
        assert_eq!(analyse(&flows).reconverge[0], 4);
    }

    #[test]
    fn an_arm_that_only_traps_does_not_move_the_meeting_point() {
        let flows = [Flow::Jump(2, true), Flow::Trap(false), Flow::Next, Flow::Leave(false)];
        let analysis = analyse(&flows);
        assert_eq!(analysis.reconverge[0], 2);
        assert_eq!(analysis.reconverge[1], NOWHERE);
    }

    #[test]
    fn nested_loops_give_the_innermost_header() {
        // 0 next; 1 next (outer header); 2 next (inner header); 3 jump 2 or on; 4 jump 1 or on; 5 ret
        let flows = [
            Flow::Next,
            Flow::Next,
            Flow::Next,
            Flow::Jump(2, true),
            Flow::Jump(1, true),
            Flow::Leave(false),
        ];
        let analysis = analyse(&flows);
        let header = |i: usize| analysis.loop_of[i].map(|l| analysis.loops[l as usize]);
        assert_eq!(header(0), None);
        assert_eq!(header(4), Some(LoopInfo { header: 1, depth: 1 }));
        assert_eq!(header(3), Some(LoopInfo { header: 2, depth: 2 }));
        assert_eq!(analysis.reconverge[3], 4);
    }
}
