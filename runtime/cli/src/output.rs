//! Results: tables for people, JSON for programs. Talk: what happens meanwhile, on stderr.

use std::io::Write;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, Table};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::failure::{Failure, Outcome};

/// How errors are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ErrorFormat {
    /// For people: the source with the places marked.
    #[default]
    Human,
    /// For programs: one JSON object a line.
    Json,
}

/// What is said on stderr, and how.
#[derive(Clone, Copy, Debug)]
pub struct Talk {
    /// Errors only.
    pub quiet: bool,
    /// Also what helps to find out why.
    pub verbose: bool,
    /// How errors are written.
    pub format: ErrorFormat,
}

impl Talk {
    /// Says what was done.
    pub fn say(&self, text: impl AsRef<str>) {
        if !self.quiet {
            anstream::eprintln!("{}", printable(text.as_ref()));
        }
    }

    /// Says a detail, with `-v`.
    pub fn detail(&self, text: impl AsRef<str>) {
        if self.verbose && !self.quiet {
            let dim = Style::new().dimmed();
            anstream::eprintln!("{dim}{}{dim:#}", printable(text.as_ref()));
        }
    }

    /// Says why it ends here.
    pub fn fail(&self, failure: &Failure) {
        match self.format {
            ErrorFormat::Json => anstream::eprintln!("{}", failure.to_json()),
            ErrorFormat::Human => {
                let red = Style::new().fg_color(Some(AnsiColor::Red.into())).bold();
                let text = printable(&failure.to_string());
                anstream::eprintln!("{red}error{red:#}: {text}");
            }
        }
    }
}

/// Writes text as a result.
pub fn print(text: &str) -> Outcome {
    let mut stdout = anstream::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(cannot_write)
}

/// Writes one JSON object as a result. Every object has a `schema` field: name and version.
pub fn print_json(value: &impl Serialize) -> Outcome {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::Bug(format!("a result cannot be written as JSON: {error}")))?;
    print(&format!("{text}\n"))
}

/// Writes a table: columns with a head, numbers to the right where `right` says so.
pub fn print_table(head: &[&str], right: &[usize], rows: Vec<Vec<String>>) -> Outcome {
    print(&table(head, right, rows))
}

/// A table as text, without trailing blanks.
pub fn table(head: &[&str], right: &[usize], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(head.to_vec());
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right.contains(&i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// A progress bar on stderr; hidden where talk is not wanted.
pub fn bar(length: usize, template: &str, talk: Talk) -> ProgressBar {
    if talk.quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length as u64);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Text from files and arguments without what could steer a terminal.
pub fn printable(text: &str) -> String {
    let safe = |c: char| if c.is_control() && c != '\n' && c != '\t' { '\u{FFFD}' } else { c };
    text.chars().map(safe).collect()
}

/// A time with three digits: `1.23 ms`.
pub fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let (value, unit) = match seconds {
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s => (s * 1e6, "µs"),
    };
    let digits = match value {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.digits$} {unit}")
}

/// `3 errors`, `1 error`.
pub fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn cannot_write(error: std::io::Error) -> Failure {
    Failure::Usage(format!("the result cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits() {
        let of = |ns| time(Duration::from_nanos(ns));
        assert_eq!(
            [of(1_234), of(12_345), of(123_456), of(999_960), of(2_500_000_000)],
            ["1.23 µs", "12.3 µs", "123 µs", "1000 µs", "2.50 s"]
        );
    }

    #[test]
    fn terminals_are_not_steered() {
        assert_eq!(printable("a\x1b[31mb\r\n"), "a\u{FFFD}[31mb\u{FFFD}\n");
    }

    #[test]
    fn tables_have_no_trailing_blanks() {
        let rows = vec![vec!["q".into(), "12".into()], vec!["scale".into(), "3".into()]];
        assert_eq!(table(&["name", "n"], &[1], rows), "name    n\nq      12\nscale   3\n");
    }
}
