//! Words of IR text.

use logos::Logos;

/// A word. `n.1` is one word where it follows a name, and so is `%top.3`.
#[derive(Logos, Clone, Copy, Debug, PartialEq)]
#[logos(skip r"[ \t\r\n]+")]
#[logos(skip(r"//[^\n]*", allow_greedy = true))]
pub enum Word<'s> {
    /// A value: what follows `%`.
    #[regex(r"%[A-Za-z0-9_]+(\.[0-9]+)?", |lex| &lex.slice()[1..])]
    Value(&'s str),
    /// The name of a kernel: what follows `@`.
    #[regex(r"@[A-Za-z_][A-Za-z0-9_]*", |lex| &lex.slice()[1..])]
    Symbol(&'s str),
    /// Any other name, keywords and ops among them.
    #[regex(r"[A-Za-z_][A-Za-z0-9_]*(\.[0-9]+)?")]
    Name(&'s str),
    /// A literal without sign.
    #[regex(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")]
    Number(&'s str),
    /// Quoted text with its escapes, without the quotes.
    #[regex(r#""([^"\\\n]|\\[^\n])*""#, |lex| &lex.slice()[1..lex.slice().len() - 1])]
    Text(&'s str),
    /// Punctuation; the longest that fits.
    #[regex(r"[{}()\[\]<>:,=&%*/+-]|\.\.|[+=!<>]=")]
    Mark(&'s str),
    /// The end of the text.
    End,
}

impl Word<'_> {
    /// For `expected …, found …`.
    pub fn describe(self) -> String {
        let shorten = |text: &str| text.chars().take(40).collect::<String>();
        match self {
            Word::Value(text) => format!("`%{}`", shorten(text)),
            Word::Symbol(text) => format!("`@{}`", shorten(text)),
            Word::Name(text) | Word::Number(text) | Word::Mark(text) => {
                format!("`{}`", shorten(text))
            }
            Word::Text(_) => "quoted text".to_owned(),
            Word::End => "the end of the text".to_owned(),
        }
    }
}
