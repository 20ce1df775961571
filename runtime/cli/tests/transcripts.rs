//! Sessions with `tilec`: what was typed, and what came back.
//!
//! ```text
//! $ tilec check missing.tile        a command; `< FILE` at its end is its standard input
//! ;; text                           a comment
//! text                              what it wrote to stdout
//! ! text                            what it wrote to stderr
//! ? 2                               its exit code, if not 0
//! ```
//!
//! `$ cat FILE` shows a file. Times are shown as `[time]`. The commands of a session share a folder that
//! starts with the files of `transcripts/files`. After a change, `TILEC_BLESS=1` stores what came
//! back; read the difference.

mod support;

use std::fs;
use std::path::Path;

use support::Folder;

const COMMENT: &str = ";;";

#[test]
fn sessions() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut paths: Vec<_> =
        fs::read_dir(folder).expect("the sessions").flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "session"));
    paths.sort();
    assert!(paths.len() >= 6, "{paths:?}");
    let mut complaints = Vec::new();
    for path in paths {
        let stored = fs::read_to_string(&path).expect("a session");
        let now = replay(&stored);
        if std::env::var_os("TILEC_BLESS").is_some() {
            fs::write(&path, now).expect("a session");
        } else if now != stored {
            let line = stored.lines().zip(now.lines()).take_while(|(a, b)| a == b).count();
            let at = |text: &str| text.lines().nth(line).unwrap_or("<end>").to_owned();
            complaints.push(format!(
                "{}:{}\n  stored: {}\n  now:    {}\n--- now ---\n{now}",
                path.display(),
                line + 1,
                at(&stored),
                at(&now)
            ));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// The session with what its commands answer now; comments and blank lines stay.
fn replay(session: &str) -> String {
    let folder = Folder::new();
    let mut now = String::new();
    for line in session.lines() {
        let Some(command) = line.strip_prefix("$ ") else {
            if line.starts_with(COMMENT) {
                now += &format!("\n{line}\n");
            }
            continue;
        };
        // A blank line before each command, but not between it and its comment.
        if !now.lines().last().is_some_and(|line| line.starts_with(COMMENT)) {
            now += "\n";
        }
        now += &format!("$ {command}\n{}", answer(&folder, command));
    }
    now.trim_start().to_owned()
}

fn answer(folder: &Folder, command: &str) -> String {
    let words = words(command);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ran = match words.as_slice() {
        ["cat", file] => return fs::read_to_string(folder.path(file)).expect("a file to show"),
        ["tilec", args @ .., "<", file] => {
            let input = fs::read(folder.path(file)).expect("a file to read");
            folder.run_with_input(args, &input)
        }
        ["tilec", args @ ..] => folder.run(args),
        _ => panic!("no command of a session: {command}"),
    };
    let mut text = ran.stdout.clone();
    for line in ran.stderr.lines() {
        text += format!("! {line}").trim_end();
        text += "\n";
    }
    if ran.code != 0 {
        text += &format!("? {}\n", ran.code);
    }
    without_times(&text)
}

/// Splits at blanks outside single quotes.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in command.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().expect("a word").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// `1.23 ms` becomes `[time]`.
fn without_times(text: &str) -> String {
    let line = |line: &str| {
        let mut out: Vec<String> = Vec::new();
        for word in line.split(' ') {
            let unit = word.trim_end_matches([',', ')']);
            let number = out.last().is_some_and(|last| last.parse::<f64>().is_ok());
            if number && ["s", "ms", "µs"].contains(&unit) {
                out.pop();
                out.push(format!("[time]{}", &word[unit.len()..]));
            } else {
                out.push(word.to_owned());
            }
        }
        out.join(" ") + "\n"
    };
    text.lines().map(line).collect()
}
