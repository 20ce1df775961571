//! IR text, the reading half, for tests, for `.tir` files, and for artifacts that come out of a
//! cache. It trusts nothing: sizes, counts and nesting are limited (`limits.rs`), and whatever the
//! text, the answer is a module or an error with line and column.
//!
//! It resolves names and builds tables; that the result means anything is the verifier's to say.
//!
//! ```text
//! module  = { kernel }
//! kernel  = ("kernel" | "spec") "@" name [ "<" generic, … ">" ] "(" param, … ")"
//!           { "require" expr [ "\"as written\"" ] } [ "grid" name "in" expr, … ] block
//! generic = name ":" ("float" | "int") | "const" name | "knob" name "in" "[" int, … "]"
//! param   = name ":" ( elem | "&" [ "mut" ] elem "[" extent, … "]" )
//! extent  = int | name                        a generic, else a run-time dimension
//! type    = elem [ "[" axis, … "]" ]
//! block   = "{" { inst } "}"
//! inst    = [ value ":" type, … "=" ] op
//! op      = "const" literal | "generic" name | "dim" name | "scalar" name | "program" name
//!         | "axis" axis ":" extent "=" value ".." value [ "full" ]
//!         | "index" axis | "splat" value | "cast" value | "select" value "," value "," value
//!         | unary value | binary value "," value | compare value "," value
//!         | reduce value "over" axis, …
//!         | "dot" value "," value "over" axis, … [ "precision" name ]
//!         | "load" name "[" value, … "]"
//!         | "store" name "[" value, … "]" "=" value | "atomic" name "[" value, … "]" "+=" value
//!         | "for" [ axis ":" extent "," ] value "=" value ".." value [ "full" ]
//!           [ "carry" "(" value ":" type "=" value, … ")" ] block
//!         | "if" value block "else" block
//!         | "yield" [ value, … ]
//! expr    = term [ operator term ]
//! term    = int | name | "not" term | ("min" | "max" | "cdiv") "(" expr "," expr ")" | "(" expr ")"
//! ```
//!
//! A `loc(file: start..end)` may follow an instruction, an extent of an axis, a parameter and a
//! kernel's name. `//` begins a comment. A value is `%3`, `%top` or `%top.3`; the letters become
//! its name, the whole word is what other instructions refer to.

mod body;
mod expr;
mod lex;
mod signature;

use std::collections::BTreeMap;
use std::fmt;

use logos::Logos;
use tilec_vocab::{FileId, Span};

use crate::kernel::{Axis, Kernel, Module, Tile, Value};
use crate::limits;
use lex::Word;

/// Why a text is no module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// One-based.
    pub line: usize,
    /// One-based, in characters.
    pub column: usize,
    /// One sentence without a final stop.
    pub message: String,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for ReadError {}

/// Reads a module.
///
/// # Errors
///
/// The first place where the text departs from the grammar, names something that is not there, or
/// exceeds a limit.
pub fn parse(text: &str) -> Result<Module<Tile>, ReadError> {
    let mut reader = Reader::new(text)?;
    let mut module = Module::new(Vec::new(), Vec::new());
    while reader.word != Word::End {
        if module.kernels.len() + module.specs.len() == limits::KERNELS {
            return reader.error(format!("more than {} kernels", limits::KERNELS));
        }
        let kernel = reader.kernel()?;
        match kernel.grid.is_empty() {
            true => module.specs.push(kernel),
            false => module.kernels.push(kernel),
        }
    }
    Ok(module)
}

type Read<T> = Result<T, ReadError>;

struct Reader<'s> {
    text: &'s str,
    lexer: logos::Lexer<'s, Word<'s>>,
    /// The next word and where it stands.
    word: Word<'s>,
    at: usize,
    /// Values and axes of the kernel being read, by the word that names them.
    values: BTreeMap<&'s str, Value>,
    axes: BTreeMap<&'s str, Axis>,
}

impl<'s> Reader<'s> {
    fn new(text: &'s str) -> Read<Reader<'s>> {
        if text.len() > limits::TEXT_BYTES {
            let message = format!("the text is longer than {} bytes", limits::TEXT_BYTES);
            return Err(ReadError { line: 1, column: 1, message });
        }
        let mut reader = Reader {
            text,
            lexer: Word::lexer(text),
            word: Word::End,
            at: 0,
            values: BTreeMap::new(),
            axes: BTreeMap::new(),
        };
        reader.advance()?;
        Ok(reader)
    }

    /// Takes the next word.
    fn advance(&mut self) -> Read<Word<'s>> {
        let taken = self.word;
        let next = self.lexer.next();
        self.at = self.lexer.span().start;
        self.word = match next {
            Some(Ok(word)) => word,
            Some(Err(())) => return self.error("this is not a word of IR text"),
            None => Word::End,
        };
        let limit = match self.word {
            Word::Text(_) => limits::REQUIRE_BYTES,
            _ => limits::WORD_BYTES,
        };
        if self.lexer.slice().len() > limit && self.word != Word::End {
            return self.error(format!("a word of more than {limit} bytes"));
        }
        Ok(taken)
    }

    fn error<T>(&self, message: impl Into<String>) -> Read<T> {
        self.error_at(self.at, message)
    }

    fn error_at<T>(&self, at: usize, message: impl Into<String>) -> Read<T> {
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Err(ReadError {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: message.into(),
        })
    }

    fn expected<T>(&self, what: &str) -> Read<T> {
        self.error(format!("expected {what}, found {}", self.word.describe()))
    }

    fn is_mark(&self, mark: &str) -> bool {
        self.word == Word::Mark(mark)
    }

    /// Takes the mark if it comes next.
    fn eat(&mut self, mark: &str) -> Read<bool> {
        let found = self.is_mark(mark);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect(&mut self, mark: &str) -> Read<()> {
        if self.eat(mark)? { Ok(()) } else { self.expected(&format!("`{mark}`")) }
    }

    /// Takes the keyword if it comes next.
    fn eat_word(&mut self, keyword: &str) -> Read<bool> {
        let found = self.word == Word::Name(keyword);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect_word(&mut self, keyword: &str) -> Read<()> {
        if self.eat_word(keyword)? { Ok(()) } else { self.expected(&format!("`{keyword}`")) }
    }

    /// A name without a number behind it.
    fn name(&mut self, what: &str) -> Read<&'s str> {
        match self.word {
            Word::Name(name) if !name.contains('.') => {
                self.advance()?;
                Ok(name)
            }
            _ => self.expected(what),
        }
    }

    fn int(&mut self, what: &str) -> Read<i64> {
        let at = self.at;
        let negative = self.eat("-")?;
        let Word::Number(digits) = self.word else { return self.expected(what) };
        let Ok(value) = digits.parse::<i128>() else { return self.expected(what) };
        self.advance()?;
        let value = if negative { -value } else { value };
        match i64::try_from(value) {
            Ok(value) => Ok(value),
            Err(_) => self.error_at(at, "this integer does not fit in 64 bits"),
        }
    }

    /// Items with commas between, up to `close`; a comma may follow the last.
    fn list<T>(
        &mut self,
        close: &str,
        limit: usize,
        mut item: impl FnMut(&mut Self) -> Read<T>,
    ) -> Read<Vec<T>> {
        let mut items = Vec::new();
        while !self.is_mark(close) {
            if items.len() == limit {
                return self.error(format!("more than {limit} in one list"));
            }
            items.push(item(self)?);
            if !self.eat(",")? {
                break;
            }
        }
        self.expect(close)?;
        Ok(items)
    }

    /// At least one item, with commas between.
    fn items<T>(
        &mut self,
        limit: usize,
        mut item: impl FnMut(&mut Self) -> Read<T>,
    ) -> Read<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.eat(",")? {
            if items.len() == limit {
                return self.error(format!("more than {limit} in one list"));
            }
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// `loc(file: start..end)`, if it stands here.
    fn span(&mut self) -> Read<Option<Span>> {
        if !self.eat_word("loc")? {
            return Ok(None);
        }
        self.expect("(")?;
        let file = self.offset()?;
        self.expect(":")?;
        let start = self.offset()?;
        self.expect("..")?;
        let end = self.offset()?;
        self.expect(")")?;
        Ok(Some(Span { file: FileId(file), start, end }))
    }

    fn offset(&mut self) -> Read<u32> {
        let at = self.at;
        match u32::try_from(self.int("an offset")?) {
            Ok(offset) => Ok(offset),
            Err(_) => self.error_at(at, "this offset does not fit in 32 bits"),
        }
    }

    fn kernel(&mut self) -> Read<Kernel> {
        let at = self.at;
        self.values.clear();
        self.axes.clear();
        let is_spec = self.eat_word("spec")?;
        if !is_spec {
            self.expect_word("kernel")?;
        }
        let mut kernel = self.signature()?;
        match (is_spec, kernel.grid.is_empty()) {
            (true, false) => return self.error_at(at, "a spec has no grid"),
            (false, true) => return self.error_at(at, "a kernel has a grid"),
            _ => {}
        }
        self.body(&mut kernel)?;
        Ok(kernel)
    }
}
