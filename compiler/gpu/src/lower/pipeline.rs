//! When a loop's copies are issued and when they are waited for.
//!
//! Each operand that a loop reads from memory passes through a ring of `slots` slots. The copy for iteration `i + ahead` is issued
//! at a *sync*, a place in iteration `i` where the threads meet anyway because some operand must have landed. What it
//! overwrites has been read by then: `ahead = slots - 1` at a sync before the use (the slot was read an iteration ago), or
//! `ahead = slots` at one after it (the slot was read just now). The place that is furthest ahead is taken.
//!
//! With one slot for each of K and V this is the schedule of FlashAttention-2, one barrier for each operand:
//!
//! ```text
//! issue K[0]
//! for i:  wait K[i];  issue V[i];  s = q k;  wait V[i];  issue K[i+1];  p = softmax s;  o += p v
//! ```
//!
//! Every issue ends a group, also where there is nothing left to copy, so how many groups may be on their way at a wait is a
//! constant: those issued after the one waited for.

/// When an operand is read, in positions within the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uses {
    pub first: usize,
    pub last: usize,
}

/// How an operand's copies are scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Issue {
    /// The sync at which the copy is issued: a position within the body.
    pub at: usize,
    /// How many iterations ahead it is.
    pub ahead: usize,
    /// It is for this very iteration, and so stands before the wait.
    pub before_wait: bool,
}

/// The schedule of a loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// For each operand.
    pub issues: Vec<Issue>,
    /// Positions of waits, rising, and how many groups may be on their way past each.
    pub waits: Vec<(usize, u32)>,
}

/// Schedules operands with these uses, through rings of `slots` slots; `len` is the length of the body.
pub(crate) fn schedule(uses: &[Uses], slots: usize, len: usize) -> Schedule {
    let mut syncs: Vec<usize> = uses.iter().map(|uses| uses.first).collect();
    syncs.sort_unstable();
    syncs.dedup();
    let issues: Vec<Issue> = uses.iter().map(|uses| best(uses, &syncs, slots, len)).collect();
    let waits = syncs
        .iter()
        .map(|&at| {
            let due = (0..uses.len()).filter(|&n| uses[n].first == at);
            let allowed = due.map(|n| groups_after(&issues, n, at)).min().unwrap_or(0);
            (at, allowed)
        })
        .collect();
    Schedule { issues, waits }
}

fn best(uses: &Uses, syncs: &[usize], slots: usize, len: usize) -> Issue {
    let lead = |issue: &Issue| {
        issue.ahead * len + uses.first - issue.at.min(issue.ahead * len + uses.first)
    };
    let places = syncs.iter().filter_map(|&at| {
        let ahead = match () {
            () if at > uses.last => slots,
            () if at <= uses.first => slots - 1,
            () => return None,
        };
        Some(Issue { at, ahead, before_wait: at == uses.first && ahead == 0 })
    });
    let fallback = Issue { at: uses.first, ahead: slots - 1, before_wait: slots == 1 };
    places.max_by_key(|issue| (lead(issue), std::cmp::Reverse(issue.at))).unwrap_or(fallback)
}

/// Groups issued after the one that operand `n` waits for at position `at`, in the steady state.
fn groups_after(issues: &[Issue], n: usize, at: usize) -> u32 {
    // Time: iteration, position, before the wait (0) or after it (2), number of the operand.
    let time = |iteration: usize, k: usize| {
        let issue = &issues[k];
        (iteration, issue.at, if issue.before_wait { 0 } else { 2 }, k)
    };
    let now = issues.iter().map(|issue| issue.ahead).max().unwrap_or(0) + 1;
    let mine = time(now - issues[n].ahead, n);
    let wait = (now, at, 1, 0);
    let mut count = 0;
    for k in 0..issues.len() {
        for iteration in 0..=now {
            let other = time(iteration, k);
            count += u32::from(other > mine && other < wait);
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a schedule: every operand has landed when it is read, and no slot is overwritten before it was read.
    fn run(uses: &[Uses], slots: usize, len: usize) {
        let schedule = schedule(uses, slots, len);
        let trips = 9usize;
        let mut groups: Vec<Option<(usize, usize)>> = Vec::new();
        let mut landed = 0;
        let furthest = schedule.issues.iter().map(|issue| issue.ahead).max().unwrap_or(0);
        let mut last_read: Vec<Vec<Option<usize>>> = vec![vec![None; slots]; uses.len()];
        let mut issued: Vec<usize> = vec![0; uses.len()];
        for t in -(furthest as isize)..trips as isize {
            for at in 0..len {
                let issue = |before: bool,
                             groups: &mut Vec<_>,
                             issued: &mut Vec<usize>,
                             last_read: &[Vec<Option<usize>>]| {
                    for (n, issue) in schedule.issues.iter().enumerate() {
                        if issue.at != at || issue.before_wait != before {
                            continue;
                        }
                        let target = t + issue.ahead as isize;
                        if target < 0 || target >= trips as isize {
                            groups.push(None);
                            continue;
                        }
                        let target = target as usize;
                        assert_eq!(issued[n], target, "in order, none left out");
                        issued[n] += 1;
                        if target >= slots {
                            assert_eq!(last_read[n][target % slots], Some(target - slots));
                        }
                        groups.push(Some((n, target)));
                    }
                };
                issue(true, &mut groups, &mut issued, &last_read);
                let wait = schedule.waits.iter().find(|(p, _)| *p == at);
                if let (true, Some((_, allowed))) = (t >= 0, wait) {
                    landed = groups.len().saturating_sub(*allowed as usize);
                }
                issue(false, &mut groups, &mut issued, &last_read);
                if t < 0 {
                    continue;
                }
                for (n, uses) in uses.iter().enumerate() {
                    if at == uses.first {
                        let mine = groups.iter().position(|g| *g == Some((n, t as usize)));
                        assert!(mine.is_some_and(|g| g < landed), "operand {n} of {t} has landed");
                    }
                    if at == uses.last {
                        last_read[n][t as usize % slots] = Some(t as usize);
                    }
                }
            }
        }
    }

    #[test]
    fn every_schedule_keeps_its_promises() {
        let positions = [1, 3, 4, 7];
        for slots in 1..=4 {
            for a in positions {
                for a2 in positions.into_iter().filter(|p| *p >= a) {
                    run(&[Uses { first: a, last: a2 }], slots, 9);
                    for b in positions {
                        for b2 in positions.into_iter().filter(|p| *p >= b) {
                            let two = [Uses { first: a, last: a2 }, Uses { first: b, last: b2 }];
                            run(&two, slots, 9);
                            run(&[two[0], two[1], Uses { first: 4, last: 6 }], slots, 9);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn one_slot_each_is_the_schedule_of_flash_attention_2() {
        let (k, v) = (Uses { first: 2, last: 2 }, Uses { first: 6, last: 6 });
        let found = schedule(&[k, v], 1, 8);
        let k = Issue { at: 6, ahead: 1, before_wait: false };
        let v = Issue { at: 2, ahead: 0, before_wait: false };
        assert_eq!(found.issues, [k, v]);
        assert_eq!(found.waits, [(2, 0), (6, 0)]);
    }
}
