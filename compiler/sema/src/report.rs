//! Collecting what is to be said: each mistake once, however often the code it stands in is
//! inlined, and not more than anyone reads.

use std::collections::BTreeSet;

use tilec_vocab::{Code, DType, Diagnostic, Span, codes};

/// After this many errors the rest is left unsaid, and after as many warnings.
const MAX_ERRORS: usize = 64;

/// The messages of one run.
#[derive(Default)]
pub(crate) struct Sink {
    diagnostics: Vec<Diagnostic>,
    said: BTreeSet<(Code, Span)>,
    errors: usize,
    said_errors: usize,
    if_sound: Vec<Diagnostic>,
}

impl Sink {
    /// Adds a message, unless this place has had one of this code.
    pub fn add(&mut self, diagnostic: Diagnostic) {
        let is_error = diagnostic.is_error();
        self.errors += usize::from(is_error);
        if is_error && self.said_errors >= MAX_ERRORS {
            return;
        }
        if self.said.insert((diagnostic.code, diagnostic.span())) {
            self.said_errors += usize::from(is_error);
            self.diagnostics.push(diagnostic);
        }
    }

    /// Adds what is only said where nothing else is wrong: that something is lacking or not used,
    /// where an error may have kept it from being seen.
    pub fn add_if_sound(&mut self, diagnostic: Diagnostic) {
        self.if_sound.push(diagnostic);
    }

    /// Whether a message of this code at this place would be heard. Advice that takes long to find
    /// is not looked for where it would not.
    pub fn would_say(&self, code: Code, span: Span) -> bool {
        self.said_errors < MAX_ERRORS && !self.said.contains(&(code, span))
    }

    /// Whether anything said so far stops the compilation.
    pub fn has_errors(&self) -> bool {
        self.errors > 0 || self.if_sound.iter().any(Diagnostic::is_error)
    }

    /// Everything, errors and warnings in order of file and place.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        if self.errors == 0 {
            self.diagnostics.append(&mut self.if_sound);
        }
        self.diagnostics.sort_by_key(Diagnostic::span);
        let mut warnings = 0;
        self.diagnostics.retain(|diagnostic| {
            warnings += usize::from(!diagnostic.is_error());
            diagnostic.is_error() || warnings <= MAX_ERRORS
        });
        self.diagnostics
    }
}

/// A name that stands for nothing, and one like it.
pub(crate) fn unknown_name(name: &str, span: Span, near: Option<&str>) -> Diagnostic {
    let message = format!("unknown name `{name}`");
    let report = Diagnostic::error(codes::E0201, span, message, "not known here");
    let type_name = foreign_type(name).or(DType::from_name(name).map(DType::name));
    match (type_name, near) {
        (Some(ty), _) => report.help(format!("a conversion to this type is written `x as {ty}`")),
        (None, Some(near)) => report.replace("a similar name exists", span, near),
        (None, None) => report,
    }
}

/// What a type of other languages is called here.
pub(crate) fn foreign_type(name: &str) -> Option<&'static str> {
    let here = match name {
        "half" | "float16" | "fp16" => "f16",
        "bfloat16" | "bfloat" => "bf16",
        "float" | "float32" | "fp32" => "f32",
        "int" | "int32" => "i32",
        "long" | "int64" => "i64",
        "boolean" => "bool",
        _ => return None,
    };
    Some(here)
}

/// The known name nearest to a misspelt one, if any is near enough to be meant.
pub(crate) fn closest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
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
    count_of(n, noun, &format!("{noun}s"))
}

/// `1 index`, `2 indices`.
pub(crate) fn count_of(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
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
