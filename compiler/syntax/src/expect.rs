//! Words for a token that does not fit: what was expected, and the usual slip behind it.

use tilec_vocab::{Code, Diagnostic, FileId, Span, codes};

use crate::lexer::Token;

/// Lists longer than this say nothing.
const MAX_LISTED: usize = 5;

/// The complaint about token `index`, where one of `expected` could have stood.
pub fn unexpected(
    file: FileId,
    tokens: &[(usize, Token, usize)],
    index: usize,
    expected: &[String],
) -> Diagnostic {
    let expected: Vec<&str> = expected
        .iter()
        .map(|name| name.trim_matches('"'))
        .filter(|name| *name != "what was reported")
        .collect();
    let can_be = |name: &str| expected.contains(&name);
    let before = index.checked_sub(1).and_then(|n| tokens.get(n));
    let span_of = |token: &(usize, Token, usize)| Span::new(file, token.0, token.2);
    let end = before.map_or(0, |token| token.2);

    let Some(found) = tokens.get(index) else {
        let span = Span::new(file, end.saturating_sub(1), end);
        let message = "the file ends in the middle of something";
        let opened = innermost_open(tokens);
        let mut complaint = Diagnostic::error(codes::E0106, span, message, listed(&expected));
        if let Some(open) = opened {
            complaint = complaint.with(span_of(&tokens[open]), "opened here and never closed");
        }
        return complaint;
    };

    let span = span_of(found);
    let shown = text(&found.1);
    let error = |code: Code, message: String, label: &str| {
        Diagnostic::error(code, span, message, label.to_string())
    };
    for token in before.into_iter().chain([found]) {
        if let Token::Ident(name) = &token.1
            && is_foreign_keyword(name)
        {
            let message = format!("the language has no `{name}`");
            return Diagnostic::error(codes::E0108, span_of(token), message, "not a word of it")
                .help(foreign_keyword(name));
        }
    }
    if can_be(";") && starts_statement(&found.1) {
        let at = Span::new(file, end, end);
        return Diagnostic::error(codes::E0105, at, "a statement ends with `;`", "one is missing here")
            .replace("add it", at, ";");
    }
    match &found.1 {
        Token::Assign if !can_be("a name") => {
            return error(codes::E0108, "`=` assigns; equality is `==`".into(), "a value is wanted here")
                .replace("compare", span, "==");
        }
        Token::Bar if before.is_some_and(|(_, token, _)| *token == Token::Bar) => {
            return error(codes::E0106, "a closure has parameters".into(), "none here");
        }
        _ => {}
    }
    let keyword = !matches!(found.1, Token::Ident(_)) && is_word(&shown);
    let message = match (keyword && can_be("a name"), before) {
        (true, _) => format!("`{shown}` is a word of the language and cannot be a name"),
        (false, Some(token)) => format!("unexpected `{shown}` after `{}`", text(&token.1)),
        (false, None) => format!("unexpected `{shown}`"),
    };
    error(codes::E0106, message, &listed(&expected))
}

fn listed(expected: &[&str]) -> String {
    let operand = ["a name", "an integer", "a number", "("];
    let operators = ["+", "*", "and", "<="];
    let mut names: Vec<String> = Vec::new();
    let takes_operand = operand.iter().all(|name| expected.contains(name));
    let takes_operator = operators.iter().all(|name| expected.contains(name));
    if takes_operand {
        names.push("an expression".into());
    }
    if takes_operator {
        names.push("an operator".into());
    }
    for name in expected {
        let part_of_expression = takes_operand
            && ["a name", "an integer", "a number", "(", "inf", "true", "false", "not", "-", "|"]
                .contains(name);
        let part_of_operator = takes_operator
            && ["+", "-", "*", "/", "%", "and", "or", "as", "==", "!=", "<", "<=", ">", ">="]
                .contains(name);
        if !part_of_expression && !part_of_operator {
            names.push(if name.contains(' ') { name.to_string() } else { format!("`{name}`") });
        }
    }
    match names.len() {
        0 => "nothing can stand here".into(),
        1 => format!("expected {}", names[0]),
        n if n <= MAX_LISTED => {
            let last = names.pop().unwrap_or_default();
            format!("expected {} or {last}", names.join(", "))
        }
        _ if takes_operand => "expected an expression or a statement".into(),
        _ => format!("expected one of {}, …", names[..MAX_LISTED].join(", ")),
    }
}

/// The last bracket that nothing closes.
fn innermost_open(tokens: &[(usize, Token, usize)]) -> Option<usize> {
    let mut open = Vec::new();
    for (at, (_, token, _)) in tokens.iter().enumerate() {
        match token {
            Token::OpenParen | Token::OpenBracket | Token::OpenBrace => open.push(at),
            Token::CloseParen | Token::CloseBracket | Token::CloseBrace => {
                open.pop();
            }
            _ => {}
        }
    }
    open.pop()
}

fn starts_statement(token: &Token) -> bool {
    matches!(
        token,
        Token::Let
            | Token::Var
            | Token::For
            | Token::If
            | Token::Axis
            | Token::Return
            | Token::Ident(_)
            | Token::CloseBrace
    )
}

fn is_foreign_keyword(name: &str) -> bool {
    matches!(name, "while" | "loop" | "def" | "lambda" | "struct" | "match" | "break" | "continue" | "elif")
}

fn foreign_keyword(name: &str) -> &'static str {
    match name {
        "while" | "loop" => "loops run over ranges: `for n in N by BN { … }`",
        "def" => "functions are `fn name(a, b) { … }`",
        "lambda" => "closures are `|x| x + 1.0`",
        "elif" => "write `else if`",
        "match" => "write `if` and `else if`, or `select(c, a, b)`",
        "break" | "continue" => "every iteration of a loop runs to its end; give the range its end instead",
        _ => "tuples `(a, b)` hold several values",
    }
}

fn is_word(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A token as written, near enough.
fn text(token: &Token) -> String {
    let fixed = match token {
        Token::Ident(name) => return name.clone(),
        Token::Int(n) => return n.to_string(),
        Token::Float(x) => return x.to_string(),
        Token::Use => "use",
        Token::Const => "const",
        Token::Fn => "fn",
        Token::Kernel => "kernel",
        Token::Spec => "spec",
        Token::Require => "require",
        Token::Tune => "tune",
        Token::In => "in",
        Token::Grid => "grid",
        Token::By => "by",
        Token::Let => "let",
        Token::Var => "var",
        Token::For => "for",
        Token::If => "if",
        Token::Else => "else",
        Token::Axis => "axis",
        Token::Return => "return",
        Token::Over => "over",
        Token::As => "as",
        Token::Or => "or",
        Token::And => "and",
        Token::Not => "not",
        Token::True => "true",
        Token::False => "false",
        Token::Inf => "inf",
        Token::Mut => "mut",
        Token::OpenParen => "(",
        Token::CloseParen => ")",
        Token::OpenBracket => "[",
        Token::CloseBracket => "]",
        Token::OpenBrace => "{",
        Token::CloseBrace => "}",
        Token::Comma => ",",
        Token::Semicolon => ";",
        Token::Colon => ":",
        Token::Path => "::",
        Token::DotDot => "..",
        Token::Assign => "=",
        Token::AddAssign => "+=",
        Token::Eq => "==",
        Token::Ne => "!=",
        Token::Lt => "<",
        Token::Le => "<=",
        Token::Gt => ">",
        Token::Ge => ">=",
        Token::Plus => "+",
        Token::Minus => "-",
        Token::Star => "*",
        Token::Slash => "/",
        Token::Percent => "%",
        Token::Ampersand => "&",
        Token::Bar => "|",
        Token::LineComment | Token::BlockComment => "a comment",
        Token::Foreign | Token::Bad => "…",
    };
    fixed.to_string()
}
