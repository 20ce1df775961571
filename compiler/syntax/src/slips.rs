//! What people who know other languages write here, and what it is called in this one: one table.

use crate::lexer::Token;

/// A slip: what is wrong, and what to write instead.
pub type Slip = (&'static str, &'static str);

/// The slip behind an unexpected token, told by the tokens before it: the last one, the one before
/// that, and the first of the statement.
pub fn slip(
    found: &Token,
    last: Option<&Token>,
    earlier: Option<&Token>,
    first: Option<&Token>,
) -> Option<Slip> {
    let found_slip: Slip = match (earlier, last, found) {
        (_, Some(Token::Assign | Token::OpenParen | Token::Comma), Token::If) => {
            ("`if` is a statement and has no value", "a choice between values is `select(c, a, b)`")
        }
        (_, Some(Token::Let), Token::Mut) => (
            "the language has no `let mut`",
            "a name that can be assigned again is declared with `var`",
        ),
        (_, Some(Token::Plus), Token::Plus) | (_, Some(Token::Minus), Token::Minus) => {
            ("the language has no `++` and no `--`", "write `x = x + 1;`")
        }
        (_, Some(Token::OpenParen | Token::Comma), Token::Axis) => (
            "`axis` is a word of the language",
            "a reduction names its axes behind `over`: `sum(x over n)`",
        ),
        (_, Some(Token::OpenBracket | Token::Comma), Token::Colon) => (
            "an index cannot be left open",
            "index by an axis over the whole extent: `axis d in D;`, then `x[n, d]`",
        ),
        (Some(Token::Let | Token::Var), Some(Token::Ident(_)), Token::Colon) => (
            "a name has the type of its value",
            "write no type; to convert the value, `let a = x as f32;`",
        ),
        (Some(Token::Const), Some(Token::Ident(_)), Token::Colon) => {
            ("a constant is an integer", "write no type: `const WINDOW = 128;`")
        }
        (Some(Token::As), Some(Token::Ident(_)), Token::OpenBracket) => (
            "`as` converts the elements and leaves the axes",
            "write only the element type: `x as f32`",
        ),
        (_, Some(Token::DotDot), Token::Assign) => {
            ("a range leaves out its end", "`0..=3` is written `0..4`")
        }
        (_, Some(Token::Return), _) => (
            "`return` leaves the program and takes no value",
            "a function ends with its value, without `;`",
        ),
        (_, Some(Token::Ident(_)), Token::Assign)
            if matches!(first, Some(Token::Axis | Token::Tune)) =>
        {
            ("what an axis or a knob ranges over stands behind `in`", "write `in` for `=`")
        }
        (Some(Token::Use), Some(Token::Ident(_)), Token::Semicolon) => (
            "an import names what it takes",
            "write `use flash::attend;` or `use flash::{attend, merge};`",
        ),
        (_, Some(Token::Path), Token::Star) => {
            ("an import names what it takes", "write `use flash::{attend, merge};`")
        }
        (_, Some(Token::Ident(_)), Token::Gt | Token::Comma)
            if matches!(earlier, Some(Token::Lt))
                && matches!(first, Some(Token::Kernel | Token::Fn)) =>
        {
            (
                "a generic says what it is",
                "write `<T: float>` for a type, `<const D>` for an integer",
            )
        }
        (
            Some(Token::Ampersand | Token::Mut),
            Some(Token::Ident(_)),
            Token::Comma | Token::CloseParen,
        ) => (
            "the type of a tensor names its dimensions",
            "write `x: &f32[M, N]`; a number is passed without `&`, `x: f32`",
        ),
        (_, Some(Token::Colon), Token::Mut | Token::Star | Token::OpenBracket) => {
            ("this is no type", "a tensor is `&f32[M, N]` or `&mut f32[M, N]`, a number `f32`")
        }
        (_, Some(Token::Ampersand | Token::Mut), Token::OpenBracket) => {
            ("the type of a tensor begins with that of its elements", "write `&f32[M, N]`")
        }
        (_, Some(Token::Ident(_) | Token::Int(_)), Token::DotDot)
            if matches!(first, Some(Token::Grid)) =>
        {
            (
                "a grid runs over whole extents",
                "write `n in N by BN`; leave programs that have nothing to do with `return`",
            )
        }
        (
            _,
            Some(Token::Ident(_)),
            Token::Plus | Token::Minus | Token::Star | Token::Slash | Token::Percent,
        ) if matches!(earlier, Some(Token::OpenBracket | Token::Comma))
            && matches!(first, Some(Token::Kernel | Token::Fn)) =>
        {
            (
                "a dimension is a name or an integer",
                "name it, and say how it depends on others with `require`",
            )
        }
        (_, Some(Token::Semicolon | Token::OpenBrace | Token::CloseBrace), Token::Fn) => (
            "a function stands outside all others",
            "a closure can stand here: `let f = |x| x + 1.0;`",
        ),
        (_, None | Some(Token::CloseBrace | Token::Semicolon), Token::Let | Token::Var) => (
            "a statement stands in a function, kernel or spec",
            "a constant of a file is `const A = 3;`",
        ),
        (_, _, Token::Ampersand) => {
            ("there are no operators on bits", "conditions are joined by `and`")
        }
        (_, Some(Token::Lt), Token::Lt) | (_, Some(Token::Gt), Token::Gt) => {
            ("there are no shifts", "multiply or divide: `n * 8`, `n / 8`")
        }
        _ => return None,
    };
    Some(found_slip)
}

/// What a word of other languages is called here.
pub fn foreign_word(word: &str) -> Option<&'static str> {
    Some(match word {
        "while" | "loop" => "loops run over ranges: `for n in N by BN { … }`",
        "def" | "func" | "function" => "functions are `fn name(a, b) { … }`",
        "lambda" => "closures are `|x| x + 1.0`",
        "elif" => "write `else if`",
        "match" | "switch" => "write `if` and `else if`, or `select(c, a, b)`",
        "break" | "continue" => {
            "every iteration of a loop runs to its end; give the range its end instead"
        }
        "import" | "include" | "from" => "write `use flash::attend;`",
        "assert" => "what arguments must meet is a clause: `require M > 0`",
        "struct" | "class" | "enum" => "tuples `(a, b)` hold several values",
        _ => return None,
    })
}
