//! What is said of a set of times.

use std::time::Duration;

use serde::Serialize;

/// Times of one row, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stats {
    /// How many launches.
    pub launches: usize,
    /// Mean.
    pub mean_ns: f64,
    /// Standard deviation of the sample; 0 of one launch.
    pub deviation_ns: f64,
    /// A tenth are at most this.
    pub p10_ns: f64,
    /// The middle.
    pub median_ns: f64,
    /// Nine tenths are at most this.
    pub p90_ns: f64,
}

impl Stats {
    /// Of at least one time.
    pub fn of(times: &[Duration]) -> Option<Stats> {
        let mut ns: Vec<f64> = times.iter().map(|time| time.as_nanos() as f64).collect();
        ns.sort_by(f64::total_cmp);
        let count = ns.len() as f64;
        let mean = ns.iter().sum::<f64>() / count;
        let squares = ns.iter().map(|time| (time - mean).powi(2)).sum::<f64>();
        let deviation = if ns.len() > 1 { (squares / (count - 1.0)).sqrt() } else { 0.0 };
        // Nearest rank: a time that was measured, never one between two.
        let rank = |share: f64| {
            let rank = (share * count).ceil() as usize;
            ns.get(rank.saturating_sub(1)).copied()
        };
        Some(Stats {
            launches: ns.len(),
            mean_ns: mean,
            deviation_ns: deviation,
            p10_ns: rank(0.1)?,
            median_ns: rank(0.5)?,
            p90_ns: rank(0.9)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_one_to_ten() {
        let times: Vec<Duration> = (1..=10).rev().map(Duration::from_nanos).collect();
        let stats = Stats::of(&times).expect("times");
        assert_eq!((stats.mean_ns, stats.median_ns, stats.launches), (5.5, 5.0, 10));
        assert_eq!((stats.p10_ns, stats.p90_ns), (1.0, 9.0));
        // Variance of 1 to 10 with n - 1 below: 82.5 / 9.
        assert!((stats.deviation_ns - (82.5f64 / 9.0).sqrt()).abs() < 1e-12);
        assert_eq!(Stats::of(&times[..1]).map(|stats| stats.deviation_ns), Some(0.0));
        assert_eq!(Stats::of(&[]), None);
    }
}
