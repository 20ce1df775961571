//! Tokens of PTX. Opcodes with their suffixes, registers, labels and directives are all one kind of word.

use super::PtxError;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind<'a> {
    /// An identifier, opcode with suffixes, `%register`, `$label` or `.directive`.
    Word(&'a str),
    /// Starts with a digit: integer, `0f…`, `0d…` or decimal float.
    Number(&'a str),
    Text(&'a str),
    Punct(char),
}

#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    pub kind: Kind<'a>,
    pub line: u32,
    /// Byte range in the source.
    pub start: usize,
    pub end: usize,
}

pub fn lex(source: &str) -> Result<Vec<Token<'_>>, PtxError> {
    let bytes = source.as_bytes();
    let mut tokens = Vec::with_capacity(bytes.len() / 4);
    let (mut at, mut line) = (0, 1);
    while at < bytes.len() {
        let start = at;
        let kind = match bytes[at] {
            b'\n' => {
                line += 1;
                at += 1;
                continue;
            }
            c if c.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at += bytes[at..].iter().position(|&c| c == b'\n').unwrap_or(bytes.len() - at);
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                let rest = &source[at + 2..];
                let Some(length) = rest.find("*/") else {
                    return Err(PtxError::new(line, "this comment never ends"));
                };
                line += rest[..length].matches('\n').count() as u32;
                at += length + 4;
                continue;
            }
            b'"' => {
                let rest = &source[at + 1..];
                let Some(length) = rest.find(['"', '\n']).filter(|&i| rest[i..].starts_with('"'))
                else {
                    return Err(PtxError::new(line, "this string never ends"));
                };
                at += length + 2;
                Kind::Text(&rest[..length])
            }
            c if c.is_ascii_digit() => {
                at += run(&bytes[at..], |c| c.is_ascii_alphanumeric() || c == b'.');
                Kind::Number(&source[start..at])
            }
            c if is_word_start(c) => {
                at += word_length(&bytes[at..]);
                Kind::Word(&source[start..at])
            }
            c if c.is_ascii() => {
                at += 1;
                Kind::Punct(c as char)
            }
            _ => return Err(PtxError::new(line, "PTX is ASCII, and this character is not")),
        };
        tokens.push(Token { kind, line, start, end: at });
    }
    Ok(tokens)
}

fn run(bytes: &[u8], accept: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|&c| !accept(c)).unwrap_or(bytes.len())
}

fn is_word_start(c: u8) -> bool {
    c.is_ascii_alphabetic() || matches!(c, b'_' | b'$' | b'%' | b'.')
}

/// A word runs over letters, digits, `_ $ .` and the doubled colon of `.shared::cta`; a single colon ends a label.
fn word_length(bytes: &[u8]) -> usize {
    let mut n = 1;
    loop {
        n += run(&bytes[n..], |c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'$' | b'.'));
        if !bytes[n..].starts_with(b"::") {
            return n;
        }
        n += 2;
    }
}
