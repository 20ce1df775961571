//! Checks all candidates, times those that are right in interleaved rounds, and picks.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::child::Candidate;
use crate::protocol::{Kind, Order, Reason, Reply};
use crate::space::Knobs;

/// Rounds at most, and so samples of one candidate. The last ones are between those that are close.
const MAX_ROUNDS: usize = 60;

/// How long one sample should take: long enough that the clock and waking the threads do not matter.
const SAMPLE: Duration = Duration::from_millis(6);

/// After this many rounds, candidates whose least sample is more than this factor above the best time are dropped. Wide
/// at first: on a machine that does other work too, a few samples are easily twice too long.
const CUTS: [(usize, f64); 4] = [(2, 3.0), (5, 1.5), (12, 1.15), (25, 1.05)];

/// Candidates closer than this are the same: the preferred one is taken, else the earlier one, so that repeated runs agree.
const SAME: f64 = 1.02;

/// The first rounds may go over the budget by this much: one sample says little.
const FIRST_ROUNDS: (usize, f64) = (3, 1.25);

/// The share of the budget after which no further candidate is compiled.
const CHECKING_SHARE: f64 = 0.7;

/// Limits on the work.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For everything together; the default is tried even if it takes longer.
    pub budget: Duration,
    /// For any one answer of a candidate. One that takes longer hangs.
    pub answer: Duration,
    /// Candidates that are compiled at one time.
    pub jobs: usize,
    /// Candidates that may be in memory at one time.
    pub alive: usize,
}

/// What to tune.
pub struct Setup<'a> {
    /// The default first.
    pub candidates: &'a [Knobs],
    /// What won before: it wins again unless another is clearly faster.
    pub preferred: Option<&'a Knobs>,
    /// The process that plays a candidate: it checks itself, then takes orders; see [`crate::worker`].
    pub command: &'a (dyn Fn(&Knobs) -> Command + Sync),
    /// Limits.
    pub limits: Limits,
}

/// What is told on the way.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// One candidate more was checked.
    Checked,
    /// A share of the budget for timing is used up.
    Timing(f64),
}

/// What came out.
#[derive(Debug)]
pub struct Tuned {
    /// One for each candidate, in order.
    pub rows: Vec<Row>,
    /// The fastest; none if every candidate failed.
    pub winner: Option<usize>,
}

/// One candidate.
#[derive(Debug)]
pub struct Row {
    /// Its knobs.
    pub knobs: Knobs,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a candidate.
#[derive(Debug)]
pub enum Outcome {
    /// It is right and was timed.
    Timed(Timing),
    /// It is out, and why.
    Out(Reason),
}

/// Times of one candidate.
#[derive(Clone, Debug)]
pub struct Timing {
    /// What counts: the first quartile of its samples. What others on the machine take only ever adds, so the lower samples say
    /// more than the upper; the least says nothing that would come again.
    pub time_ns: u64,
    /// Median of its samples.
    pub median_ns: u64,
    /// Least sample.
    pub least_ns: u64,
    /// How many samples; fewer than others have: it was dropped for being slow.
    pub samples: usize,
    /// SHA-256 of its code.
    pub code: String,
    /// Cases in which it agreed with the spec.
    pub cases: usize,
}

/// Tunes. Whatever candidates do, it returns.
pub fn tune(setup: &Setup<'_>, progress: &(dyn Fn(Step) + Sync)) -> Tuned {
    let start = Instant::now();
    let mut runners = check(setup, start, progress);
    rounds(&mut runners, setup, start, progress);
    let rows: Vec<Row> = setup
        .candidates
        .iter()
        .zip(runners)
        .map(|(knobs, runner)| Row { knobs: knobs.clone(), outcome: outcome(runner) })
        .collect();
    Tuned { winner: winner(&rows, setup.preferred), rows }
}

/// A candidate that is right, alive and waits for orders.
struct Runner {
    candidate: Option<Candidate>,
    code: String,
    cases: usize,
    /// Least time of a launch in each sample.
    samples: Vec<u64>,
}

/// Starts every candidate and hears whether it is right: the default first and alone, since the others are held
/// against its results.
fn check(
    setup: &Setup<'_>,
    start: Instant,
    progress: &(dyn Fn(Step) + Sync),
) -> Vec<Result<Runner, Reason>> {
    let count = setup.candidates.len();
    let runners: Vec<Mutex<Option<Result<Runner, Reason>>>> =
        (0..count).map(|_| Mutex::new(None)).collect();
    let until = setup.limits.budget.mul_f64(CHECKING_SHARE);
    let check_one = |n: usize| {
        let runner = if n >= setup.limits.alive {
            let alive = setup.limits.alive;
            let text = format!("no memory for more than {alive} candidates at one time");
            Err(Reason::new(Kind::Skipped, text))
        } else if n > 0 && start.elapsed() > until {
            Err(Reason::new(Kind::Skipped, "the budget was used up before"))
        } else {
            checked(setup, n)
        };
        *runners[n].lock().unwrap_or_else(PoisonError::into_inner) = Some(runner);
        progress(Step::Checked);
    };
    if count > 0 {
        check_one(0);
    }
    let next = AtomicUsize::new(1);
    std::thread::scope(|scope| {
        for _ in 0..setup.limits.jobs.clamp(1, count.max(1)) {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        break;
                    }
                    check_one(n);
                }
            });
        }
    });
    let skipped = || Err(Reason::new(Kind::Skipped, "it was not tried"));
    runners
        .into_iter()
        .map(|runner| runner.into_inner().unwrap_or_else(PoisonError::into_inner))
        .map(|runner| runner.unwrap_or_else(skipped))
        .collect()
}

fn checked(setup: &Setup<'_>, n: usize) -> Result<Runner, Reason> {
    let mut candidate = Candidate::start((setup.command)(&setup.candidates[n]))?;
    match candidate.answer(setup.limits.answer)? {
        Reply::Checked { code, cases } => {
            Ok(Runner { candidate: Some(candidate), code, cases, samples: Vec::new() })
        }
        other => Err(Reason::new(Kind::Nonsense, format!("it answered {other:?} unasked"))),
    }
}

/// Times candidates in turn, each round from another one on, so that a machine that warms up or is disturbed for a
/// while disturbs all alike.
fn rounds(
    runners: &mut [Result<Runner, Reason>],
    setup: &Setup<'_>,
    start: Instant,
    progress: &(dyn Fn(Step) + Sync),
) {
    let timing_from = start.elapsed();
    let span = setup.limits.budget.saturating_sub(timing_from).as_secs_f64().max(1e-3);
    for round in 0..MAX_ROUNDS {
        let (first, more) = FIRST_ROUNDS;
        let until = setup.limits.budget.mul_f64(if round < first { more } else { 1.0 });
        if round > 0 && start.elapsed() > until {
            break;
        }
        for step in 0..runners.len() {
            let n = (step + round) % runners.len();
            // The first round gives everyone a time.
            if round > 0 && start.elapsed() > until {
                break;
            }
            let Ok(runner) = &mut runners[n] else { continue };
            if let Err(reason) = sample(runner, &setup.limits) {
                runners[n] = Err(reason);
            }
            let used = start.elapsed().saturating_sub(timing_from).as_secs_f64() / span;
            progress(Step::Timing(used.min(1.0)));
        }
        if let Some((_, factor)) = CUTS.iter().find(|(after, _)| *after == round + 1) {
            cut(runners, *factor);
        }
        if runners.iter().flatten().filter(|runner| runner.candidate.is_some()).count() == 0 {
            break;
        }
    }
}

/// One sample of a candidate that is still in the race.
fn sample(runner: &mut Runner, limits: &Limits) -> Result<(), Reason> {
    let Some(candidate) = &mut runner.candidate else { return Ok(()) };
    let known = runner.samples.iter().min().copied();
    let launches = match known {
        None => 3,
        Some(ns) => (SAMPLE.as_nanos() as u64 / ns.max(1)).clamp(1, 1000) as u32,
    };
    match candidate.ask(Order::Time { launches }, limits.answer)? {
        Reply::Times { ns } if ns.len() == launches as usize && ns.iter().all(|&t| t > 0) => {
            // The best launch counts: one that the machine took a core away from says nothing of the candidate.
            runner.samples.extend(ns.iter().min());
            Ok(())
        }
        Reply::Times { ns } if ns.contains(&0) => {
            Err(Reason::new(Kind::Nonsense, "it reports a time of zero"))
        }
        other => Err(Reason::new(Kind::Nonsense, format!("it answered {other:?}"))),
    }
}

/// Ends the processes of candidates that are too slow to win.
fn cut(runners: &mut [Result<Runner, Reason>], factor: f64) {
    let best = runners.iter().flatten().filter_map(|runner| quartile(&runner.samples)).min();
    let Some(best) = best else { return };
    for runner in runners.iter_mut().flatten() {
        let least = runner.samples.iter().min().copied().unwrap_or(u64::MAX);
        if least as f64 > best as f64 * factor {
            runner.candidate = None;
        }
    }
}

fn outcome(runner: Result<Runner, Reason>) -> Outcome {
    let runner = match runner {
        Ok(runner) => runner,
        Err(reason) => return Outcome::Out(reason),
    };
    // The warm-up is no measurement where there is another.
    let samples = if runner.samples.len() > 1 { &runner.samples[1..] } else { &runner.samples };
    match (quartile(samples), median(samples), samples.iter().min()) {
        (Some(time_ns), Some(median_ns), Some(&least_ns)) => Outcome::Timed(Timing {
            time_ns,
            median_ns,
            least_ns,
            samples: samples.len(),
            code: runner.code,
            cases: runner.cases,
        }),
        _ => Outcome::Out(Reason::new(Kind::Skipped, "the budget was used up before")),
    }
}

/// The least time; of those within [`SAME`] the preferred one, else the first.
fn winner(rows: &[Row], preferred: Option<&Knobs>) -> Option<usize> {
    let time = |row: &Row| match &row.outcome {
        Outcome::Timed(timing) => Some(timing.time_ns),
        Outcome::Out(_) => None,
    };
    let best = rows.iter().filter_map(time).min()?;
    let is_good = |row: &Row| time(row).is_some_and(|ns| ns as f64 <= best as f64 * SAME);
    let again = rows.iter().position(|row| preferred == Some(&row.knobs) && is_good(row));
    again.or_else(|| rows.iter().position(is_good))
}

/// The one that a quarter of them are below.
fn quartile(times: &[u64]) -> Option<u64> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().saturating_sub(1) / 4).copied()
}

/// The middle one; of an even number the earlier of the two.
fn median(times: &[u64]) -> Option<u64> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(bm: i64, time_ns: u64) -> Row {
        let timing = Timing {
            time_ns,
            median_ns: time_ns,
            least_ns: time_ns,
            samples: 9,
            code: String::new(),
            cases: 6,
        };
        Row { knobs: [("BM".to_owned(), bm)].into(), outcome: Outcome::Timed(timing) }
    }

    #[test]
    fn of_equals_the_winner_of_before_wins_and_then_the_first() {
        let rows = [row(16, 1100), row(32, 1015), row(64, 1000), row(128, 1019)];
        assert_eq!(winner(&rows, None), Some(1));
        let before = |bm: i64| winner(&rows, Some(&[("BM".to_owned(), bm)].into()));
        assert_eq!([before(128), before(64), before(16)], [Some(3), Some(2), Some(1)]);
        assert_eq!(winner(&[], None), None);
    }

    #[test]
    fn a_busy_machine_moves_the_median_before_the_quartile() {
        let mut samples = vec![100; 10];
        samples.extend([250; 12]);
        assert_eq!((quartile(&samples), median(&samples)), (Some(100), Some(250)));
        assert_eq!((quartile(&[]), quartile(&[7])), (None, Some(7)));
    }
}
