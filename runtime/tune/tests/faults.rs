//! Candidates that do everything wrong, played by shell scripts: each is a row with its reason, none wins, none
//! takes the tuner down or makes it wait.

#![cfg(unix)]

use std::process::Command;
use std::time::{Duration, Instant};

use tilec_tune::{Kind, Knobs, Limits, Outcome, Setup, Tuned, tune};

const OK: &str = r#"echo '{"reply":"checked","code":"c","cases":3}'"#;

/// Right, and takes so many nanoseconds.
fn fair(ns: u64) -> String {
    format!(
        r#"{OK}; while read -r line; do n=$(echo "$line" | tr -dc 0-9); times={ns}
        i=1; while [ $i -lt "$n" ]; do times="$times,{ns}"; i=$((i+1)); done
        echo "{{\"reply\":\"times\",\"ns\":[$times]}}"; done"#
    )
}

fn run(scripts: &[String], limits: Limits) -> Tuned {
    let candidates: Vec<Knobs> =
        (0..scripts.len()).map(|n| Knobs::from([("N".to_owned(), n as i64)])).collect();
    let command = |knobs: &Knobs| {
        let mut command = Command::new("sh");
        command.args(["-c", &scripts[knobs["N"] as usize]]);
        command
    };
    let setup = Setup { candidates: &candidates, preferred: None, command: &command, limits };
    tune(&setup, &|_| ())
}

fn limits() -> Limits {
    Limits { budget: Duration::from_secs(1), answer: Duration::from_secs(1), jobs: 2, alive: 100 }
}

fn kind(tuned: &Tuned, n: usize) -> Kind {
    match &tuned.rows[n].outcome {
        Outcome::Out(reason) => reason.kind,
        Outcome::Timed(timing) => panic!("{n} was timed: {timing:?}"),
    }
}

#[test]
fn the_fastest_right_candidate_wins_whatever_the_others_do() {
    let reply = |text: &str| format!("{OK}; read -r line; echo '{text}'; read -r line");
    let faults: Vec<(String, Kind)> = vec![
        (
            r#"echo '{"reply":"refused","kind":"compile","text":"too large"}'"#.to_owned(),
            Kind::Compile,
        ),
        (r#"echo '{"reply":"refused","kind":"wrong","text":"off"}'"#.to_owned(), Kind::Wrong),
        (r#"echo '{"reply":"refused","kind":"launch","text":"no"}'"#.to_owned(), Kind::Launch),
        ("kill -SEGV $$".to_owned(), Kind::Crash),
        ("echo lost >&2; exit 3".to_owned(), Kind::Crash),
        ("exec sleep 60".to_owned(), Kind::Hang),
        (format!("{OK}; exec sleep 60"), Kind::Hang),
        (format!("{OK}; read -r line; kill -ABRT $$"), Kind::Crash),
        ("echo hello".to_owned(), Kind::Nonsense),
        (reply(r#"{"reply":"times","ns":[NaN,NaN,NaN]}"#), Kind::Nonsense),
        (reply(r#"{"reply":"times","ns":[0,0,0]}"#), Kind::Nonsense),
        (reply(r#"{"reply":"times","ns":[-1,5,5]}"#), Kind::Nonsense),
        (reply(r#"{"reply":"times","ns":[]}"#), Kind::Nonsense),
        (reply(r#"{"reply":"checked","code":"c","cases":3}"#), Kind::Nonsense),
        ("yes | tr -d '\\n'".to_owned(), Kind::Nonsense),
        ("exec >&-; sleep 60".to_owned(), Kind::Crash),
    ];
    let mut scripts = vec![fair(3_000_000)];
    scripts.extend(faults.iter().map(|(script, _)| script.clone()));
    scripts.push(fair(2_000_000));
    let start = Instant::now();
    let tuned = run(&scripts, Limits { budget: Duration::from_secs(6), ..limits() });
    assert!(start.elapsed() < Duration::from_secs(9), "{:?}", start.elapsed());
    for (n, (script, expected)) in faults.iter().enumerate() {
        assert_eq!(kind(&tuned, n + 1), *expected, "{script}: {:?}", tuned.rows[n + 1]);
    }
    assert_eq!(tuned.winner, Some(scripts.len() - 1), "{:?}", tuned.rows);
    let Outcome::Out(reason) = &tuned.rows[5].outcome else { panic!("{:?}", tuned.rows[5]) };
    assert_eq!(reason.text, "ended with exit code 3: lost");
}

#[test]
fn a_hang_is_killed_soon_after_its_limit() {
    // A process that ignores what can be ignored.
    let script = "trap '' TERM INT HUP; while :; do :; done".to_owned();
    let start = Instant::now();
    let tuned = run(&[script], limits());
    assert_eq!(kind(&tuned, 0), Kind::Hang);
    assert!(start.elapsed() < limits().answer + Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn all_fail_and_every_reason_is_kept() {
    let tuned = run(&["exit 1".to_owned(), "exit 2".to_owned()], limits());
    assert_eq!(tuned.winner, None);
    assert_eq!([kind(&tuned, 0), kind(&tuned, 1)], [Kind::Crash, Kind::Crash]);
    let missing = |_: &Knobs| Command::new("/nonexistent/tilec");
    let candidates = [Knobs::new()];
    let tuned = tune(
        &Setup { candidates: &candidates, preferred: None, command: &missing, limits: limits() },
        &|_| (),
    );
    assert_eq!(kind(&tuned, 0), Kind::Crash);
}

#[test]
fn equals_are_settled_for_the_default_and_slow_ones_are_dropped_early() {
    let scripts = [fair(1_000_000), fair(995_000), fair(9_000_000)];
    let tuned = run(&scripts, Limits { budget: Duration::from_secs(5), ..limits() });
    assert_eq!(tuned.winner, Some(0), "{:?}", tuned.rows);
    let samples = |n: usize| match &tuned.rows[n].outcome {
        Outcome::Timed(timing) => timing.samples,
        Outcome::Out(reason) => panic!("{reason}"),
    };
    assert!(samples(0) > samples(2) && samples(2) >= 1, "{} {}", samples(0), samples(2));
}

#[test]
fn a_budget_that_is_used_up_still_has_the_default() {
    let slow = format!("sleep 0.3; {}", fair(1_000_000));
    let scripts = vec![slow; 6];
    let budget = Duration::from_millis(100);
    let tuned = run(&scripts, Limits { budget, answer: Duration::from_secs(5), ..limits() });
    assert_eq!(tuned.winner, Some(0), "{:?}", tuned.rows);
    assert!((1..6).all(|n| kind(&tuned, n) == Kind::Skipped));
    let tuned = run(&scripts[..2], Limits { alive: 1, ..limits() });
    assert_eq!((tuned.winner, kind(&tuned, 1)), (Some(0), Kind::Skipped));
}
