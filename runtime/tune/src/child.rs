//! A candidate's process, held at arm's length: every answer has a time limit, and dropping it kills it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::protocol::{Kind, Order, Reason, Reply};

/// The longest line to take from a candidate.
const MAX_LINE: u64 = 4 << 20;

/// How much of its complaints to keep.
const MAX_STDERR: usize = 16 << 10;

/// A running candidate.
pub struct Candidate {
    process: Child,
    orders: Option<ChildStdin>,
    lines: Receiver<Vec<u8>>,
    /// The start of its complaints so far. Not joined: a process it left behind may hold the pipe for ever.
    complaints: Arc<Mutex<Vec<u8>>>,
}

impl Candidate {
    /// Starts its process.
    pub fn start(mut command: Command) -> Result<Candidate, Reason> {
        let failed = |error| Reason::new(Kind::Crash, format!("cannot be started: {error}"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().map_err(failed)?;
        let (send, lines) = channel();
        if let Some(stdout) = process.stdout.take() {
            std::thread::spawn(move || {
                let mut stdout = BufReader::new(stdout);
                loop {
                    let mut line = Vec::new();
                    let read = stdout.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
                    if !matches!(read, Ok(n) if n > 0) || send.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        let complaints = Arc::new(Mutex::new(Vec::new()));
        if let Some(stderr) = process.stderr.take() {
            let kept = Arc::clone(&complaints);
            std::thread::spawn(move || drain(stderr, &kept));
        }
        let orders = process.stdin.take();
        Ok(Candidate { process, orders, lines, complaints })
    }

    /// Gives an order and waits for the answer.
    pub fn ask(&mut self, order: Order, limit: Duration) -> Result<Reply, Reason> {
        let line = serde_json::to_string(&order).unwrap_or_default();
        if let Some(orders) = &mut self.orders {
            // A process that ended says so below.
            let _ = orders.write_all(format!("{line}\n").as_bytes()).and_then(|()| orders.flush());
        }
        self.answer(limit)
    }

    /// Waits for the next answer; without one the process does not live on.
    pub fn answer(&mut self, limit: Duration) -> Result<Reply, Reason> {
        let line = match self.lines.recv_timeout(limit) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                self.end();
                let text = format!("no answer within {:.1} s; it was killed", limit.as_secs_f64());
                return Err(Reason::new(Kind::Hang, text));
            }
            Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
        };
        match serde_json::from_slice(&line) {
            Ok(Reply::Refused(reason)) => Err(reason),
            Ok(reply) => Ok(reply),
            Err(_) => {
                self.end();
                let start: String = String::from_utf8_lossy(&line).chars().take(60).collect();
                Err(Reason::new(Kind::Nonsense, format!("it answered {start:?}")))
            }
        }
    }

    /// Why a process that closed its output ended.
    fn ended(&mut self) -> Reason {
        // One that closed its output and lives on is as good as gone.
        std::thread::sleep(Duration::from_millis(20));
        let status = self.process.try_wait().ok().flatten();
        self.end();
        let complaint = self.complaints.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let complaint = String::from_utf8_lossy(&complaint);
        let lines = || complaint.lines().map(str::trim).filter(|line| !line.is_empty());
        let last = lines().find(|line| line.starts_with("error")).or(lines().next_back());
        let how = status.map_or("it closed its output".to_owned(), how);
        let text = match last {
            Some(last) => format!("{how}: {}", last.chars().take(200).collect::<String>()),
            None => how,
        };
        Reason::new(Kind::Crash, text)
    }

    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        self.end();
    }
}

/// Reads to the end, so that the process never waits for a reader, and keeps the start.
fn drain(mut stderr: impl Read, kept: &Mutex<Vec<u8>>) {
    let mut part = [0; 4096];
    while let Ok(n) = stderr.read(&mut part) {
        if n == 0 {
            break;
        }
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MAX_STDERR.saturating_sub(kept.len());
        kept.extend_from_slice(&part[..n.min(room)]);
    }
}

fn how(status: ExitStatus) -> String {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        if let Some(signal) = status.signal() {
            return format!("ended by signal {signal}");
        }
    }
    match status.code() {
        Some(code) => format!("ended with exit code {code}"),
        None => "ended".to_owned(),
    }
}
