//! The threads that run a launch: the caller's own, and helpers that wait for work.
//!
//! Launches often follow one another closely, and waking a thread takes longer than many a launch does. So helpers look for
//! work for a while before they sleep; the caller starts at once, alone, and whoever comes late finds the work done.
//! A pool of rayon's, which waits for each of its threads, took 2 to 18 % longer for launches of 0.5 to 5 ms where others used
//! the cores too, and as long where nobody did (`docs/performance.md`).

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// So long a helper looks for work before it sleeps.
const PATIENCE: Duration = Duration::from_micros(200);

/// Looks between two glances at the clock; after each the helper lets other threads run.
const LOOKS: usize = 200;

/// What every thread of a team does once for a launch.
type Work = dyn Fn() + Sync;

/// What helpers and caller tell one another.
#[derive(Default)]
struct Shared {
    /// Counts the launches, and the end.
    turn: AtomicU64,
    board: Mutex<Board>,
    changed: Condvar,
    /// Helpers at work.
    busy: AtomicUsize,
}

#[derive(Default)]
struct Board {
    /// The launch under way, until the caller has seen it done.
    work: Option<&'static Work>,
    panicked: Option<Box<dyn Any + Send>>,
    ended: bool,
}

/// Threads that work together.
pub(crate) struct Team {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
    one_launch: Mutex<()>,
}

impl Team {
    /// So many threads, the caller's included.
    pub(crate) fn new(threads: usize) -> std::io::Result<Team> {
        let shared = Arc::new(Shared::default());
        let helper = |n| {
            let shared = Arc::clone(&shared);
            Builder::new().name(format!("tilec-cpu-{n}")).spawn(move || shared.help())
        };
        let helpers = (1..threads).map(helper).collect::<std::io::Result<_>>()?;
        Ok(Team { shared, helpers, one_launch: Mutex::new(()) })
    }

    /// Threads, the caller's included.
    pub(crate) fn size(&self) -> usize {
        1 + self.helpers.len()
    }

    /// Runs `work` on the caller's thread and on each helper that comes before it is done there. While the team is at work
    /// for another thread, this one does it alone.
    pub(crate) fn run(&self, work: &(dyn Fn() + Sync)) {
        let _one = match self.one_launch.try_lock() {
            Ok(one) => one,
            // A launch panicked; it is over.
            Err(TryLockError::Poisoned(one)) => one.into_inner(),
            Err(TryLockError::WouldBlock) => return work(),
        };
        if self.helpers.is_empty() {
            return work();
        }
        // SAFETY: helpers call it only between here and the end of `Launch`, which waits for them.
        let lasting = unsafe { std::mem::transmute::<&(dyn Fn() + Sync), &'static Work>(work) };
        self.shared.post(|board| board.work = Some(lasting));
        let launch = Launch(&self.shared);
        work();
        drop(launch);
        let panicked = self.shared.board().panicked.take();
        if let Some(panic) = panicked {
            resume_unwind(panic);
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.post(|board| board.ended = true);
        for helper in self.helpers.drain(..) {
            // A helper hands its panics to a launch and has none left.
            let _ = helper.join();
        }
    }
}

/// A launch under way; its end, also by a panic, waits for the helpers.
struct Launch<'a>(&'a Shared);

impl Drop for Launch<'_> {
    fn drop(&mut self) {
        self.0.board().work = None;
        while self.0.busy.load(Ordering::Acquire) > 0 {
            rest(|| self.0.busy.load(Ordering::Acquire) == 0);
        }
    }
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, Board> {
        // What it holds is whole whenever the lock is free.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn post(&self, change: impl FnOnce(&mut Board)) {
        let mut board = self.board();
        change(&mut board);
        self.turn.fetch_add(1, Ordering::Release);
        self.changed.notify_all();
    }

    fn help(&self) {
        let mut seen = 0;
        loop {
            seen = self.next_turn(seen);
            let board = self.board();
            if board.ended {
                return;
            }
            let Some(work) = board.work else { continue };
            self.busy.fetch_add(1, Ordering::Relaxed);
            drop(board);
            if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
                self.board().panicked = Some(panic);
            }
            self.busy.fetch_sub(1, Ordering::Release);
        }
    }

    /// Waits until the turn is another one.
    fn next_turn(&self, seen: u64) -> u64 {
        let there = || self.turn.load(Ordering::Acquire) != seen;
        let start = Instant::now();
        while !there() && start.elapsed() < PATIENCE {
            rest(there);
        }
        if !there() {
            let mut board = self.board();
            while !there() {
                board = self.changed.wait(board).unwrap_or_else(PoisonError::into_inner);
            }
        }
        self.turn.load(Ordering::Acquire)
    }
}

/// Looks a number of times, then lets other threads run.
fn rest(there: impl Fn() -> bool) {
    for _ in 0..LOOKS {
        if there() {
            return;
        }
        std::hint::spin_loop();
    }
    std::thread::yield_now();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_piece_of_many_launches_is_done_once() {
        for threads in [1, 2, 5] {
            let team = Team::new(threads).expect("threads");
            for launch in 0..300 {
                let (next, sum) = (AtomicUsize::new(0), AtomicUsize::new(0));
                team.run(&|| loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= launch {
                        break;
                    }
                    sum.fetch_add(n + 1, Ordering::Relaxed);
                });
                assert_eq!(sum.into_inner(), launch * (launch + 1) / 2, "{threads} threads");
            }
        }
    }

    #[test]
    fn threads_that_launch_at_once_all_get_their_work_done() {
        let team = Team::new(2).expect("threads");
        let done = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let next = AtomicUsize::new(0);
                        team.run(&|| {
                            while next.fetch_add(1, Ordering::Relaxed) < 10 {
                                done.fetch_add(1, Ordering::Relaxed);
                            }
                        });
                    }
                });
            }
        });
        assert_eq!(done.into_inner(), 4 * 100 * 10);
    }

    #[test]
    fn a_helper_that_slept_comes_again_and_its_panic_reaches_the_caller() {
        let team = Team::new(2).expect("threads");
        std::thread::sleep(2 * PATIENCE);
        let caller = std::thread::current().id();
        let helped = AtomicUsize::new(0);
        let run = || {
            team.run(&|| {
                if std::thread::current().id() != caller {
                    helped.store(1, Ordering::Release);
                    panic!("in a helper");
                }
                while helped.load(Ordering::Acquire) == 0 {
                    std::thread::yield_now();
                }
            });
        };
        for _ in 0..2 {
            helped.store(0, Ordering::Release);
            assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        }
    }
}
