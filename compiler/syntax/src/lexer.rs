//! Tokens.
//!
//! The lexer is total: whatever the text, it ends with a list of tokens, comments on the side, and
//! diagnostics. What is no token becomes [`Token::Bad`], so that parsing goes on behind it.

use logos::Logos;
use tilec_vocab::{Diagnostic, FileId, Span, codes};

use crate::MAX_ERRORS;
use crate::ast::Comment;

/// The longest identifier, in bytes.
const MAX_IDENT_BYTES: usize = 256;
/// The longest literal, in bytes.
const MAX_LITERAL_BYTES: usize = 64;

/// A token. Names and numbers carry what they stand for.
#[derive(Logos, Clone, Debug, PartialEq)]
#[logos(skip r"[ \t\r\n\f]+")]
#[allow(missing_docs)]
pub enum Token {
    #[token("use")]
    Use,
    #[token("const")]
    Const,
    #[token("fn")]
    Fn,
    #[token("kernel")]
    Kernel,
    #[token("spec")]
    Spec,
    #[token("require")]
    Require,
    #[token("tune")]
    Tune,
    #[token("in")]
    In,
    #[token("grid")]
    Grid,
    #[token("by")]
    By,
    #[token("let")]
    Let,
    #[token("var")]
    Var,
    #[token("for")]
    For,
    #[token("if")]
    If,
    #[token("else")]
    Else,
    #[token("axis")]
    Axis,
    #[token("return")]
    Return,
    #[token("over")]
    Over,
    #[token("as")]
    As,
    #[token("or")]
    Or,
    #[token("and")]
    And,
    #[token("not")]
    Not,
    #[token("true")]
    True,
    #[token("false")]
    False,
    #[token("inf")]
    Inf,
    #[token("mut")]
    Mut,
    #[token("(")]
    OpenParen,
    #[token(")")]
    CloseParen,
    #[token("[")]
    OpenBracket,
    #[token("]")]
    CloseBracket,
    #[token("{")]
    OpenBrace,
    #[token("}")]
    CloseBrace,
    #[token(",")]
    Comma,
    #[token(";")]
    Semicolon,
    #[token(":")]
    Colon,
    #[token("::")]
    Path,
    #[token("..")]
    DotDot,
    #[token("=")]
    Assign,
    #[token("+=")]
    AddAssign,
    #[token("==")]
    Eq,
    #[token("!=")]
    Ne,
    #[token("<")]
    Lt,
    #[token("<=")]
    Le,
    #[token(">")]
    Gt,
    #[token(">=")]
    Ge,
    #[token("+")]
    Plus,
    #[token("-")]
    Minus,
    #[token("*")]
    Star,
    #[token("/")]
    Slash,
    #[token("%")]
    Percent,
    #[token("&")]
    Ampersand,
    #[token("|")]
    Bar,
    #[regex(r"[A-Za-z_][A-Za-z0-9_]*", |lex| lex.slice().to_string())]
    Ident(String),
    #[regex(r"[0-9][0-9_]*", |lex| integer(lex.slice()))]
    Int(i64),
    #[regex(r"[0-9][0-9_]*\.[0-9][0-9_]*([eE][+-]?[0-9]+)?", |lex| float(lex.slice()))]
    #[regex(r"[0-9][0-9_]*[eE][+-]?[0-9]+", |lex| float(lex.slice()))]
    Float(f64),
    #[regex(r"//[^\n]*", allow_greedy = true)]
    LineComment,
    #[token("/*", block_comment)]
    BlockComment,
    /// Operators of other languages, understood well enough to say what to write instead.
    #[token("&&")]
    #[token("||")]
    #[token("!")]
    #[token("@")]
    #[token("?")]
    #[token("**")]
    #[token("->")]
    #[token("=>")]
    #[token("-=")]
    #[token("*=")]
    #[token("/=")]
    #[token("//=")]
    #[token(".")]
    Foreign,
    /// What no token starts with, or a literal that stands for nothing. Reported already.
    Bad,
}

fn integer(text: &str) -> Option<i64> {
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    digits.parse::<i128>().ok().and_then(|n| i64::try_from(n).ok())
}

fn float(text: &str) -> Option<f64> {
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    digits.parse::<f64>().ok().filter(|x| x.is_finite())
}

impl Token {
    /// Whether what follows a token is an infix operator.
    pub fn ends_operand(&self) -> bool {
        matches!(
            self,
            Token::Ident(_)
                | Token::Int(_)
                | Token::Float(_)
                | Token::True
                | Token::False
                | Token::Inf
                | Token::CloseParen
                | Token::CloseBracket
                | Token::Bad
        )
    }
}

/// Comments do not nest; one that is not closed runs to the end of the file.
fn block_comment(lex: &mut logos::Lexer<'_, Token>) -> bool {
    match lex.remainder().find("*/") {
        Some(at) => {
            lex.bump(at + 2);
            true
        }
        None => {
            lex.bump(lex.remainder().len());
            false
        }
    }
}

/// What a text consists of.
pub struct Lexed {
    /// Tokens with their byte ranges.
    pub tokens: Vec<(usize, Token, usize)>,
    /// Comments.
    pub comments: Vec<Comment>,
    /// What is wrong.
    pub diagnostics: Vec<Diagnostic>,
}

/// Splits a text.
pub fn lex(file: FileId, text: &str) -> Lexed {
    let mut lexed = Lexed { tokens: Vec::new(), comments: Vec::new(), diagnostics: Vec::new() };
    for (token, range) in Token::lexer(text).spanned() {
        let span = Span::new(file, range.start, range.end);
        let slice = &text[range.clone()];
        match token {
            Ok(Token::LineComment | Token::BlockComment) => {
                let text = slice.trim_end().to_string();
                let span = Span::new(file, range.start, range.start + text.len());
                lexed.comments.push(Comment { text, span });
            }
            Ok(token) => {
                let (token, complaint) = checked(token, slice, span, lexed.tokens.last());
                lexed
                    .diagnostics
                    .extend(complaint.filter(|_| lexed.diagnostics.len() < MAX_ERRORS));
                lexed.tokens.push((range.start, token, range.end));
            }
            Err(()) => lexed.bad(slice, span),
        }
    }
    lexed
}

/// Refuses what is too long and says what foreign operators are called here.
fn checked(
    token: Token,
    slice: &str,
    span: Span,
    before: Option<&(usize, Token, usize)>,
) -> (Token, Option<Diagnostic>) {
    match token {
        Token::Ident(_) if slice.len() > MAX_IDENT_BYTES => {
            let message = format!("a name of {} bytes", slice.len());
            let label = format!("at most {MAX_IDENT_BYTES}");
            (Token::Bad, Some(Diagnostic::error(codes::E0104, span, message, label)))
        }
        Token::Int(_) | Token::Float(_) if slice.len() > MAX_LITERAL_BYTES => {
            (Token::Bad, Some(too_long(slice, span)))
        }
        Token::Foreign => {
            let (message, instead) = match slice {
                "||" if !before.is_some_and(|(_, token, _)| token.ends_operand()) => (
                    "a closure has parameters".to_string(),
                    Err("a value that depends on nothing is a `let`"),
                ),
                _ => foreign(slice),
            };
            let mut complaint =
                Diagnostic::error(codes::E0108, span, message, "not an operator here");
            complaint = match instead {
                Ok(text) => complaint.replace(format!("write `{}`", text.trim()), span, text),
                Err(advice) => complaint.help(advice),
            };
            (Token::Bad, Some(complaint))
        }
        token => (token, None),
    }
}

fn too_long(slice: &str, span: Span) -> Diagnostic {
    let message = format!("a number of {} characters", slice.len());
    Diagnostic::error(codes::E0103, span, message, format!("at most {MAX_LITERAL_BYTES}"))
}

/// What an operator of other languages is called here: a replacement, or advice.
fn foreign(slice: &str) -> (String, Result<&'static str, &'static str>) {
    let message = format!("the language has no `{slice}`");
    let instead = match slice {
        "&&" => Ok("and"),
        "||" => Ok("or"),
        "!" => Ok("not "),
        "@" => Err("a product over an axis is `dot(a, b over d)`"),
        "?" => Err("a choice is `select(condition, a, b)`"),
        "**" => Err("a square is `x * x`"),
        "->" => Err("a function's type follows from its last expression"),
        "=>" => Err("a closure is `|x| x + 1.0`"),
        "." => Err("a number has digits on both sides of the point; nothing has members"),
        _ => Err("only `+=` on a tensor exists, and it is atomic; else write `x = x - y;`"),
    };
    (message, instead)
}

/// A character that starts no token; some stand for what another spelling says.
fn stray_character(slice: &str, span: Span) -> Diagnostic {
    let shown: String = slice
        .chars()
        .take(24)
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect();
    let message = format!("unexpected character `{shown}`");
    let complaint = Diagnostic::error(codes::E0101, span, message, "no token starts like this");
    let instead = match slice {
        "×" | "·" => "*",
        "÷" => "/",
        "−" | "–" => "-",
        "≤" => "<=",
        "≥" => ">=",
        "≠" => "!=",
        "∞" => "inf",
        "^" => {
            return complaint
                .note("there is no power and no operator on bits; a square is `x * x`");
        }
        "\"" | "'" | "“" | "”" | "‘" | "’" => {
            return complaint.note("the language has no text in quotes");
        }
        _ => return complaint,
    };
    complaint.replace(format!("write `{instead}`"), span, instead)
}

impl Lexed {
    fn bad(&mut self, slice: &str, span: Span) {
        let complaint = if slice.starts_with("/*") {
            let start = Span { end: span.start + 2, ..span };
            Diagnostic::error(codes::E0102, start, "a comment is not closed", "opened here")
                .replace("close it", span.after(), " */")
        } else if slice.len() > MAX_LITERAL_BYTES {
            too_long(slice, span)
        } else if slice.starts_with(|c: char| c.is_ascii_digit()) {
            let float = slice.contains(['.', 'e', 'E']);
            let (message, label) = match float {
                true => ("this number is out of range", "infinite in binary64"),
                false => ("this integer is out of range", "does not fit in 64 bits"),
            };
            let complaint = Diagnostic::error(codes::E0103, span, message, label);
            if float { complaint.help("if infinity is meant, write `inf`") } else { complaint }
        } else {
            stray_character(slice, span)
        };
        let repeated = self.diagnostics.last().is_some_and(|last| {
            // A run of garbage is one complaint.
            last.code == codes::E0101 && last.span().end == span.start
        });
        if repeated && complaint.code == codes::E0101 {
            if let Some(label) = self.diagnostics.last_mut().and_then(|d| d.labels.first_mut()) {
                label.span.end = span.end;
            }
        } else if self.diagnostics.len() < MAX_ERRORS {
            self.diagnostics.push(complaint);
        }
        self.tokens.push((span.start as usize, Token::Bad, span.end as usize));
    }
}
