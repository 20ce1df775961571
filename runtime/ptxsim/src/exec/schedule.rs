//! A worker: runs one CTA at a time, its warps in the order a schedule asks for.

use super::barrier;
use super::core::{Core, Device};
use super::step;
use super::warp::{Condition, Warp};
use crate::finding::Sink;
use crate::hash::{Stream, mix};
use crate::launch::Schedule;
use crate::regs::Regs;
use crate::stats::Tally;

pub struct Worker<'d> {
    core: Core<'d>,
    warps: Vec<Warp>,
    template: Regs,
}

impl<'d> Worker<'d> {
    pub fn new(device: &'d Device<'d>) -> Worker<'d> {
        let [x, y, z] = device.block;
        let threads = x * y * z;
        let kernel = device.kernel;
        let num_warps = threads.div_ceil(32);
        let warps = (0..num_warps).map(|w| {
            let present = if threads - w * 32 >= 32 { !0 } else { (1 << (threads - w * 32)) - 1 };
            Warp::new(kernel, w, present)
        });
        let mut template = Regs::new(kernel.num_r, kernel.num_d, kernel.num_p);
        for (r, value) in &kernel.const_r {
            template.set_r(*r, &[*value; 32], !0, !0);
        }
        for (d, value) in &kernel.const_d {
            template.set_d(*d, &[*value; 32], !0, !0);
        }
        Worker { core: Core::new(device, num_warps as usize), warps: warps.collect(), template }
    }

    /// Runs a CTA to its end, or until a finding stops the launch.
    pub fn run(&mut self, cta: u32) {
        let Worker { core, warps, template } = self;
        core.begin(cta);
        for warp in warps.iter_mut() {
            warp.reset(core.device.kernel, template);
        }
        let num_warps = warps.len() as u32;
        let places: Vec<_> = (0..num_warps).map(|w| core.place(w, num_warps)).collect();
        let schedule = core.device.config.schedule;
        let mut stream = Stream(match schedule {
            Schedule::Random(seed) => mix(seed) ^ mix(cta as u64),
            Schedule::RoundRobin | Schedule::Reverse | Schedule::FarAhead(_) => 0,
        });
        let mut last = num_warps - 1;
        loop {
            let ready = |w: u32| warps[w as usize].condition == Condition::Ready;
            let Some(next) = pick(schedule, &mut stream, last, num_warps, ready) else {
                if warps.iter().any(|w| w.condition != Condition::Done) {
                    barrier::stuck(core, warps);
                }
                for warp in warps.iter() {
                    let place = u64::from(cta) << 32 | u64::from(warp.index);
                    let history = mix(warp.history.0 ^ mix(place));
                    core.tally.digest = core.tally.digest.wrapping_add(history);
                }
                return;
            };
            let quantum = match schedule {
                Schedule::Random(_) => 1 + stream.next() % 64,
                Schedule::RoundRobin | Schedule::Reverse | Schedule::FarAhead(_) => u64::MAX,
            };
            step::run(core, &mut warps[next as usize], &places[next as usize], quantum);
            if core.sink.stopped() {
                return;
            }
            barrier::release(core, warps);
            last = next;
        }
    }

    /// Whether a finding has ended the launch.
    pub fn stopped(&self) -> bool {
        self.core.sink.stopped()
    }

    pub fn finish(self) -> (Sink, Tally) {
        (self.core.sink, self.core.tally)
    }
}

/// The next warp that can run.
fn pick(
    schedule: Schedule,
    stream: &mut Stream,
    last: u32,
    n: u32,
    ready: impl Fn(u32) -> bool,
) -> Option<u32> {
    match schedule {
        Schedule::RoundRobin => (1..=n).map(|i| (last + i) % n).find(|w| ready(*w)),
        Schedule::Reverse => (0..n).rev().find(|w| ready(*w)),
        Schedule::FarAhead(first) => {
            let first = first % n;
            std::iter::once(first).chain(0..n).find(|w| ready(*w))
        }
        Schedule::Random(_) => {
            let candidates: Vec<u32> = (0..n).filter(|w| ready(*w)).collect();
            let choice = stream.next() as usize % candidates.len().max(1);
            candidates.get(choice).copied()
        }
    }
}
