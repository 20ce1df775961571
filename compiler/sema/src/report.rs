//! Collecting what is to be said: each mistake once, however often the code it stands in is
//! inlined, and not more than anyone reads.

use std::collections::BTreeSet;

use tilec_vocab::{Code, Diagnostic, Span};

/// After this many errors the rest is left unsaid.
const MAX_ERRORS: usize = 64;

/// The messages of one run.
#[derive(Default)]
pub(crate) struct Sink {
    diagnostics: Vec<Diagnostic>,
    said: BTreeSet<(Code, Span)>,
    errors: usize,
}

impl Sink {
    /// Adds a message, unless this place has had one of this code.
    pub fn add(&mut self, diagnostic: Diagnostic) {
        if diagnostic.is_error() {
            self.errors += 1;
            if self.errors > MAX_ERRORS {
                return;
            }
        }
        if self.said.insert((diagnostic.code, diagnostic.span())) {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Whether anything said so far stops the compilation.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Everything, errors and warnings in order of file and place.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(Diagnostic::span);
        self.diagnostics
    }
}

/// The known name nearest to a misspelt one, if any is near enough to be meant.
pub(crate) fn closest<'n>(
    name: &str,
    known: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    // Where names are very long, or very many, nobody misspelt one of them by a letter.
    if name.len() > 64 {
        return None;
    }
    let allowed = (name.chars().count() / 3).max(1);
    known
        .into_iter()
        .take(2000)
        .filter(|other| other.len() <= 64 && *other != name)
        .map(|other| (distance(name, other), other))
        .filter(|&(distance, other)| {
            distance <= allowed && distance < other.chars().count()
                || name.eq_ignore_ascii_case(other)
        })
        .min_by_key(|&(distance, other)| (distance, other))
        .map(|(_, other)| other)
}

/// Edit distance with transpositions of neighbours (Damerau, "optimal string alignment").
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// `a`, `b` and `c`, each in backquotes.
pub(crate) fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// `1 argument`, `2 arguments`.
pub(crate) fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let known = ["scale", "score", "mask", "BM", "q"];
        assert_eq!(closest("sclae", known), Some("scale"));
        assert_eq!(closest("scor", known), Some("score"));
        assert_eq!(closest("bm", known), Some("BM"));
        assert_eq!(closest("window", known), None);
        assert_eq!(closest("k", known), None);
    }
}
