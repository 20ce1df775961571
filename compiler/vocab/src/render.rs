//! Diagnostics as a picture of the source for people, and as one JSON object a line for tools.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Patch, Renderer, Snippet};
use serde_json::{Value, json};

use crate::{Diagnostic, Label, Severity, Sources, Span, Suggestion};

/// Lines longer than this, in bytes, are named but not shown.
const MAX_LINE_BYTES: usize = 2000;
/// Columns that pictures are fitted to.
const COLUMNS: usize = 120;

/// How pictures look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// ASCII without colour: for files and tests.
    Plain,
    /// Box drawing without colour.
    Unicode,
    /// Box drawing and ANSI colours.
    Colour,
}

/// All diagnostics as text, a blank line after each.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Unicode => Renderer::plain().decor_style(DecorStyle::Unicode),
        Style::Colour => Renderer::styled().decor_style(DecorStyle::Unicode),
    };
    let renderer = renderer.term_width(COLUMNS);
    diagnostics.iter().map(|diagnostic| picture(diagnostic, sources, &renderer) + "\n\n").collect()
}

fn picture(diagnostic: &Diagnostic, sources: &Sources, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let message = clean(&diagnostic.message);
    let mut main = Group::with_title(level.primary_title(message).id(diagnostic.code.name()));
    // Labels by file: the primary one's first.
    let mut files = Vec::new();
    for label in &diagnostic.labels {
        if !files.contains(&label.span.file) {
            files.push(label.span.file);
        }
    }
    for file in files {
        let labels: Vec<&Label> =
            diagnostic.labels.iter().filter(|label| label.span.file == file).collect();
        let source = sources.file(file);
        if labels.iter().any(|label| in_long_line(sources, label.span)) {
            let (line, column) = sources.line_column(labels[0].span);
            let origin = Origin::path(source.name.as_str()).line(line).char_column(column);
            main = main.element(origin);
            let told: Vec<String> = labels.iter().map(|label| clean(&label.text)).collect();
            main = main.element(Level::NOTE.message(told.join("; ")));
            continue;
        }
        let annotations = labels.into_iter().map(|label| {
            let kind =
                if label.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            kind.span(label.span.range()).label(clean(&label.text))
        });
        let snippet = Snippet::source(source.text.as_str()).path(source.name.as_str());
        main = main.element(snippet.annotations(annotations));
    }
    for note in &diagnostic.notes {
        main = main.element(Level::NOTE.message(clean(note)));
    }
    let mut report = vec![main];
    report.extend(diagnostic.suggestions.iter().map(|s| suggestion(s, sources)));
    renderer.render(&report)
}

fn suggestion<'s>(suggestion: &Suggestion, sources: &'s Sources) -> Group<'s> {
    let title = Level::HELP.secondary_title(clean(&suggestion.message));
    let shown = suggestion.edits.first().filter(|edit| !in_long_line(sources, edit.span));
    let Some(first) = shown else {
        return Group::with_title(title);
    };
    let source = sources.file(first.span.file);
    let same_file = suggestion.edits.iter().filter(|edit| edit.span.file == first.span.file);
    let patches = same_file.map(|edit| Patch::new(edit.span.range(), edit.text.clone()));
    let snippet = Snippet::source(source.text.as_str()).path(source.name.as_str());
    title.element(snippet.patches(patches))
}

/// Whether a span touches a line too long to show.
fn in_long_line(sources: &Sources, span: Span) -> bool {
    let text = &sources.file(span.file).text;
    let (start, end) = (span.start as usize, span.end as usize);
    let from = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let to = text[end..].find('\n').map_or(text.len(), |at| end + at);
    text[from..to].split('\n').any(|line| line.len() > MAX_LINE_BYTES)
}

/// Text that came from a source or an argument, without anything a terminal would obey.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// One diagnostic as a JSON object on one line; `schema` says which shape.
pub fn to_json(diagnostic: &Diagnostic, sources: &Sources) -> String {
    let level = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let place = |span: Span| -> Value {
        let (line, column) = sources.line_column(span);
        let file = &sources.file(span.file).name;
        json!({ "file": file, "start": span.start, "end": span.end, "line": line, "column": column })
    };
    let labels = diagnostic
        .labels
        .iter()
        .map(|l| json!({ "span": place(l.span), "text": l.text, "primary": l.primary }));
    let suggestions = diagnostic.suggestions.iter().map(|s| {
        let edits = s.edits.iter().map(|e| json!({ "span": place(e.span), "text": e.text }));
        json!({ "message": s.message, "edits": edits.collect::<Vec<_>>() })
    });
    json!({
        "schema": "tilec.diagnostic/1",
        "code": diagnostic.code.name(),
        "level": level,
        "message": diagnostic.message,
        "span": place(diagnostic.span()),
        "labels": labels.collect::<Vec<_>>(),
        "notes": diagnostic.notes,
        "suggestions": suggestions.collect::<Vec<_>>(),
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;

    fn sample(text: &str, at: std::ops::Range<usize>) -> (Diagnostic, Sources) {
        let mut sources = Sources::default();
        let file = sources.add("a.tile", text);
        let span = Span::new(file, at.start, at.end);
        let diagnostic = Diagnostic::error(codes::E0101, span, "unexpected `§`", "here")
            .note("a fact")
            .replace("write a star", span, "*");
        (diagnostic, sources)
    }

    #[test]
    fn a_picture_has_code_place_note_and_repair() {
        let (diagnostic, sources) = sample("const A = 1 ^ 2;\n", 12..13);
        let text = render(&[diagnostic], &sources, Style::Plain);
        for part in [
            "error[E0101]: unexpected",
            "--> a.tile:1:13",
            "^ here",
            "note: a fact",
            "help: write a star",
            "+ const A = 1 * 2;",
        ] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
    }

    #[test]
    fn long_lines_and_control_characters_are_not_shown() {
        let long = format!("const A = {}1;", "1 + ".repeat(100_000));
        let (diagnostic, sources) = sample(&long, 12..13);
        assert!(render(&[diagnostic], &sources, Style::Plain).len() < 1000);
        assert_eq!(clean("a\u{1b}[31m"), "a\u{fffd}[31m");
    }

    #[test]
    fn json_is_one_line() {
        let (diagnostic, sources) = sample("const A =\n 1 ^ 2;\n", 13..14);
        let text = to_json(&diagnostic, &sources);
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        assert_eq!((value["span"]["line"].as_i64(), text.lines().count()), (Some(2), 1));
    }
}
