//! What the simulator has recorded about a mutant that nothing notices.

use tilec_ptxsim::Changes;
use tilec_ptxsim::mutate::Mutant;

use crate::battery::{Battery, Cases, NOTHING, Parts};

/// From the strongest to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// Every case goes through the same states, each register, store, copy, closed group and completed wait of them: what
    /// was broken has no effect where it is executed.
    SameStates,
    /// It does another thing than the original, and no other instruction does.
    SameElsewhere,
    /// It decides a branch, and what is done outside of the two ways that the branch leads is the same.
    SameOutside,
    /// The states differ only where a block of queries reaches past the last row, whose results are not stored.
    PastTheRows,
    /// No case executes the instruction.
    NeverExecuted,
    /// It has an effect, on nothing that is judged.
    Masked,
}

impl Evidence {
    /// For the heading of a list.
    pub fn name(self) -> &'static str {
        match self {
            Evidence::SameStates => "recorded, the same states in every case",
            Evidence::SameElsewhere => "recorded, the same states but for its own register",
            Evidence::SameOutside => "recorded, the same states outside of the ways of one branch",
            Evidence::PastTheRows => "recorded, the same states but for query rows past the end",
            Evidence::NeverExecuted => "never executed",
            Evidence::Masked => "by argument",
        }
    }

    /// What is known of a survivor; `changes` are the original's.
    pub fn of(battery: &Battery, changes: &Changes, mutant: &Mutant) -> Evidence {
        if changes.lines.get(&mutant.line).is_none_or(|line| line.executed == 0) {
            return Evidence::NeverExecuted;
        }
        let text = mutant.apply(&battery.text);
        let same = |cases, except| battery.same_states(&text, cases, except);
        if same(Cases::All, NOTHING) {
            Evidence::SameStates
        } else if same(Cases::All, [(mutant.line, mutant.line), (0, 0)]) {
            Evidence::SameElsewhere
        } else if ways(&battery.text, mutant).into_iter().any(|ways| same(Cases::All, ways)) {
            Evidence::SameOutside
        } else if same(Cases::WholeBlocks, NOTHING) {
            Evidence::PastTheRows
        } else {
            Evidence::Masked
        }
    }
}

/// The two ways of the branch that a mutant breaks, or that the comparison it breaks decides: what the branch leads past,
/// if it leads forward; or what follows it, up to where that ends, with what follows its target or that of a branch on the
/// way.
fn ways(text: &str, mutant: &Mutant) -> Vec<Parts> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let Some(branch) = branch_of(&lines, mutant) else { return Vec::new() };
    let Some(target) = label_of(&lines, branch) else { return Vec::new() };
    let ends = |line: &str| line.starts_with("bra") || line.ends_with(':');
    let end = |from: usize| (from + 1..lines.len()).find(|&line| ends(lines[line]));
    let last = |from: usize| end(from).unwrap_or(from) as u32;
    let first = mutant.line;
    let past = (target > branch).then_some([(first, target as u32), (0, 0)]);
    let with = |label: usize| [(first, last(branch)), (label as u32 + 1, last(label))];
    let inner = (branch + 1..last(branch) as usize).filter_map(|line| label_of(&lines, line));
    past.into_iter().chain([with(target)]).chain(inner.map(with)).collect()
}

/// Where a branch leads, lines counted from 0.
fn label_of(lines: &[&str], branch: usize) -> Option<usize> {
    let label = lines[branch].split_whitespace().last()?.strip_suffix(';')?;
    lines.iter().position(|line| line.strip_suffix(':') == Some(label))
}

/// The line, counted from 0, of the branch that a mutant is about.
fn branch_of(lines: &[&str], mutant: &Mutant) -> Option<usize> {
    let at = mutant.line as usize - 1;
    let is_branch =
        |line: &str| line.split_whitespace().any(|word| matches!(word, "bra" | "bra.uni"));
    if is_branch(lines[at]) {
        return Some(at);
    }
    let mut words = mutant.from.split_whitespace();
    let predicate = words.next().filter(|opcode| opcode.starts_with("setp")).and(words.next())?;
    let guard = format!("@{} ", predicate.trim_end_matches(','));
    (at + 1..lines.len()).find(|&line| is_branch(lines[line]) && lines[line].starts_with(&guard))
}
