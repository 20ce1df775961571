//! Nesting is limited on the tokens, before any tree or parser stack grows with it.
//!
//! What deepens a tree: brackets, prefix operators in a row, closures whose body is a closure, `as` after
//! `as`, and `else if` after `else if`. Runs of infix operators do not: they make flat nodes.

use tilec_vocab::{Diagnostic, FileId, Span, codes};

use crate::lexer::Token;

/// The deepest nesting of brackets, prefixes, conversions, closures and branches together.
pub const MAX_NESTING: usize = 64;

/// What one bracket holds that deepens the tree without a bracket of its own.
#[derive(Default)]
struct Frame {
    open: Option<Token>,
    prefixes: usize,
    bars: usize,
    casts: usize,
    branches: usize,
}

impl Frame {
    fn depth(&self) -> usize {
        self.prefixes + self.bars.div_ceil(2) + self.casts + self.branches
    }
}

/// Complains about the first token that is nested too deeply.
pub fn check(file: FileId, tokens: &[(usize, Token, usize)]) -> Option<Diagnostic> {
    let mut frames = vec![Frame::default()];
    let mut previous: Option<&Token> = None;
    for (at, (start, token, end)) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1).map(|(_, token, _)| token);
        let frame = frames.last_mut()?;
        match token {
            Token::OpenParen | Token::OpenBracket | Token::OpenBrace => {
                frames.push(Frame { open: Some(token.clone()), ..Frame::default() });
            }
            Token::CloseParen | Token::CloseBracket | Token::CloseBrace => {
                // What stands open inside ends with it; a bracket that closes nothing is an error
                // the parser skips.
                let opener = match token {
                    Token::CloseParen => Token::OpenParen,
                    Token::CloseBracket => Token::OpenBracket,
                    _ => Token::OpenBrace,
                };
                if let Some(at) =
                    frames.iter().rposition(|frame| frame.open.as_ref() == Some(&opener))
                {
                    frames.truncate(at);
                }
                let ends_statement = *token == Token::CloseBrace && next != Some(&Token::Else);
                if ends_statement && let Some(frame) = frames.last_mut() {
                    *frame =
                        Frame { open: frame.open.clone(), bars: frame.bars, ..Frame::default() };
                }
            }
            // Between a closure's bars a comma ends nothing.
            Token::Comma if frame.bars % 2 == 1 => {}
            Token::Comma | Token::Semicolon => {
                *frame = Frame { open: frame.open.take(), ..Frame::default() };
            }
            Token::Minus if previous.is_some_and(Token::ends_operand) => {
                frame.prefixes = 0;
                frame.casts = 0;
            }
            Token::Minus | Token::Not => frame.prefixes += 1,
            Token::Bar => frame.bars += 1,
            Token::As => frame.casts += 1,
            Token::If if previous == Some(&Token::Else) => frame.branches += 1,
            Token::Plus | Token::Star | Token::Slash | Token::Percent | Token::And | Token::Or => {
                frame.casts = 0;
                frame.prefixes = 0;
            }
            _ => {
                // Only prefixes in a row nest: `a - b - c` has one operand between each.
                frame.prefixes = 0;
            }
        }
        let depth = frames.len() - 1 + frames.iter().map(Frame::depth).sum::<usize>();
        if depth > MAX_NESTING {
            let span = Span::new(file, *start, *end);
            let message = format!("nested more than {MAX_NESTING} deep");
            let complaint = Diagnostic::error(codes::E0501, span, message, "one too many");
            return Some(complaint.help("name parts with `let`, or move them into functions"));
        }
        previous = Some(token);
    }
    None
}
