//! What the author of a `.tile` file is told: a code, where, both sides of the disagreement, and
//! the repair where one is known.

use crate::{Code, Span};

/// How bad it is. Only errors stop a compilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The program has no meaning.
    Error,
    /// The program has a meaning that is probably not the one intended.
    Warning,
}

/// A place and what is to be seen there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is there, in the language's own terms: `f32[m, n]`.
    pub text: String,
    /// Whether this is the place the message is about; the others are context.
    pub primary: bool,
}

/// One replacement of a suggested repair. An empty span inserts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What to replace.
    pub span: Span,
    /// With what.
    pub text: String,
}

/// A repair: what it does, and the edits that do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// An imperative sentence: `convert the right side`.
    pub message: String,
    /// Edits of one file; may be empty when only words help.
    pub edits: Vec<Edit>,
}

/// One message to the author of a source file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The stable code; `tilec explain` has its page.
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// One sentence without a final stop.
    pub message: String,
    /// At least one label, the primary one first.
    pub labels: Vec<Label>,
    /// Facts that help, one sentence each.
    pub notes: Vec<String>,
    /// Repairs.
    pub suggestions: Vec<Suggestion>,
}

impl Diagnostic {
    /// An error at `span`; `label` says what stands there.
    pub fn error(
        code: Code,
        span: Span,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            labels: vec![Label { span, text: label.into(), primary: true }],
            notes: Vec::new(),
            suggestions: Vec::new(),
        }
    }

    /// A warning at `span`.
    pub fn warning(
        code: Code,
        span: Span,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, span, message, label) }
    }

    /// Adds the other side of the disagreement.
    pub fn with(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.labels.push(Label { span, text: text.into(), primary: false });
        self
    }

    /// Adds a fact.
    pub fn note(mut self, text: impl Into<String>) -> Diagnostic {
        self.notes.push(text.into());
        self
    }

    /// Adds advice in words.
    pub fn help(mut self, message: impl Into<String>) -> Diagnostic {
        self.suggestions.push(Suggestion { message: message.into(), edits: Vec::new() });
        self
    }

    /// Adds a repair that replaces the text at `span`.
    pub fn replace(
        mut self,
        message: impl Into<String>,
        span: Span,
        text: impl Into<String>,
    ) -> Diagnostic {
        let edits = vec![Edit { span, text: text.into() }];
        self.suggestions.push(Suggestion { message: message.into(), edits });
        self
    }

    /// Where the message is about.
    pub fn span(&self) -> Span {
        self.labels.first().map(|label| label.span).unwrap_or_default()
    }

    /// Whether this stops the compilation.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
