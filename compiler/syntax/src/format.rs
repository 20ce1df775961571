//! `tilec fmt`: one way to lay out a file, every comment kept.
//!
//! A hundred columns, four spaces. Lists are filled, clauses stand on lines of their own, at most one blank
//! line stays where one was. `axis` declarations that the author put on one line stay on one line. A
//! comment behind something on its line stays there; any other stands on a line of its own before the item or
//! statement it was in or before. Formatting twice is formatting once.

mod expr;
mod item;
mod stmt;

use tilec_vocab::{Diagnostic, FileId, Span};

use crate::ast::{Comment, File};
use crate::parse;

/// Columns of a line.
const WIDTH: usize = 100;
/// Columns of one level.
const INDENT: usize = 4;

/// The text in its one layout, or why it has none: a file with syntax errors is left alone.
pub fn format(text: &str) -> Result<String, Vec<Diagnostic>> {
    let (file, diagnostics) = parse(FileId(0), text);
    if diagnostics.iter().any(Diagnostic::is_error) {
        return Err(diagnostics);
    }
    let mut printer = Printer { text, comments: &file.comments, next: 0, out: String::new() };
    printer.file(&file);
    Ok(printer.out)
}

/// Writes a tree, and the comments as their places come by.
struct Printer<'t> {
    text: &'t str,
    comments: &'t [Comment],
    next: usize,
    out: String,
}

impl Printer<'_> {
    fn file(&mut self, file: &File) {
        let mut end = 0;
        for item in &file.items {
            let span = item::span(item);
            end = self.leading(span.start as usize, end, 0);
            self.gap(end, span.start as usize);
            self.item(item);
            end = self.trailing(span.end as usize);
            self.out.push('\n');
        }
        self.leading(self.text.len() + 1, end, 0);
        let length = self.out.trim_end().len();
        self.out.truncate(length);
        if !self.out.is_empty() {
            self.out.push('\n');
        }
    }

    /// A blank line where the source has one between two places, unless we are at the start.
    fn gap(&mut self, from: usize, to: usize) {
        let between = self.text.get(from..to).unwrap_or_default();
        let blank = between.bytes().filter(|&b| b == b'\n').count() > 1;
        if blank
            && !self.out.is_empty()
            && !self.out.ends_with("{\n")
            && !self.out.ends_with("\n\n")
        {
            self.out.push('\n');
        }
    }

    /// Comments before `to`, each on its line; gives the end of the last thing written.
    fn leading(&mut self, to: usize, mut end: usize, indent: usize) -> usize {
        while let Some(comment) = self.comments.get(self.next)
            && (comment.span.start as usize) < to
        {
            self.gap(end, comment.span.start as usize);
            self.indent(indent);
            self.out.push_str(&comment.text);
            self.out.push('\n');
            end = comment.span.end as usize;
            self.next += 1;
        }
        end
    }

    /// Comments behind `end` on its line; gives where the line's contents end.
    fn trailing(&mut self, mut end: usize) -> usize {
        while let Some(comment) = self.comments.get(self.next) {
            let start = comment.span.start as usize;
            let between = self.text.get(end..start).unwrap_or("\n");
            if start < end || between.contains('\n') || !between.trim().is_empty() {
                break;
            }
            self.out.push_str("  ");
            self.out.push_str(&comment.text);
            end = comment.span.end as usize;
            self.next += 1;
            if comment.text.starts_with("//") {
                break;
            }
        }
        end
    }

    /// Whether a comment that has not been written lies inside.
    fn has_comment(&self, span: Span) -> bool {
        self.comments[self.next.min(self.comments.len())..]
            .iter()
            .take_while(|c| c.span.start < span.end)
            .any(|c| span.start <= c.span.start && c.span.end <= span.end)
    }

    fn indent(&mut self, columns: usize) {
        self.out.extend(std::iter::repeat_n(' ', columns));
    }

    fn source(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or_default()
    }

    /// Whether two places are on one line of the source.
    fn same_line(&self, from: u32, to: u32) -> bool {
        !self.text.get(from as usize..to as usize).unwrap_or("\n").contains('\n')
    }
}

/// Parts separated by commas, as many on a line as fit, further lines at `indent`. `column` is where the
/// first line begins; what follows the list takes `after` more columns.
fn fill(parts: &[String], column: usize, indent: usize, after: usize) -> String {
    let mut out = String::new();
    let mut at = column;
    for (n, part) in parts.iter().enumerate() {
        let last = n + 1 == parts.len();
        let width = part.lines().next().unwrap_or_default().chars().count();
        let room = width + if last && !part.contains('\n') { after } else { 1 };
        if n > 0 {
            if at + 1 + room > WIDTH {
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', indent));
                at = indent;
            } else {
                out.push(' ');
                at += 1;
            }
        }
        out.push_str(part);
        at = match part.rsplit_once('\n') {
            Some((_, tail)) => tail.chars().count(),
            None => at + width,
        };
        if !last {
            out.push(',');
            at += 1;
        }
    }
    out
}
