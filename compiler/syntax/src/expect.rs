//! Words for a token that does not fit: what was expected, and the usual slip behind it.

use tilec_vocab::{Code, Diagnostic, FileId, Span, codes};

use crate::lexer::Token;
use crate::slips::{foreign_word, slip};

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
    let first = statement_start(tokens, index);
    for token in before.into_iter().chain([found]).chain(tokens.get(first)) {
        if let Token::Ident(name) = &token.1
            && let Some(here) = foreign_word(name)
        {
            let message = format!("the language has no `{name}`");
            return Diagnostic::error(codes::E0108, span_of(token), message, "not a word of it")
                .help(here);
        }
    }
    if let Some(number) = before.filter(|(_, token, end)| is_number(token) && *end == found.0)
        && let Token::Ident(_) = found.1
    {
        let whole = span_of(number).to(span);
        return Diagnostic::error(
            codes::E0106,
            whole,
            "this is no number",
            "a number ends in a digit",
        )
        .help("numbers are decimal and have no suffix: `16`, `1e-5`, `0.5`");
    }
    let token = |n: usize| index.checked_sub(n).and_then(|n| tokens.get(n)).map(|token| &token.1);
    let start = tokens.get(first).map(|token| &token.1);
    if let Some((message, help)) = slip(&found.1, token(1), token(2), start) {
        return error(codes::E0106, message.into(), &listed(&expected)).help(help);
    }
    if can_be(";") && found.1 == Token::If && is_choice_behind(&tokens[index..]) {
        return error(
            codes::E0106,
            "`if` is a statement and has no value".into(),
            "not behind a value",
        )
        .help("a choice between values is `select(c, a, b)`");
    }
    if can_be(";") && starts_statement(&found.1) {
        let at = Span::new(file, end, end);
        return Diagnostic::error(
            codes::E0105,
            at,
            "a statement ends with `;`",
            "one is missing here",
        )
        .replace("add it", at, ";");
    }
    match &found.1 {
        Token::Assign if !can_be("a name") => {
            return error(
                codes::E0108,
                "`=` assigns; equality is `==`".into(),
                "a value is wanted here",
            )
            .replace("compare", span, "==");
        }
        Token::Bar if before.is_some_and(|(_, token, _)| *token == Token::Bar) => {
            return error(codes::E0106, "a closure has parameters".into(), "none here");
        }
        _ => {}
    }
    let mut earlier = tokens[..index].iter().rev().map(|(_, token, _)| token);
    let in_import = earlier.clone().take(2).any(|token| *token == Token::Use);
    if in_import && matches!(found.1, Token::DotDot | Token::Slash)
        || earlier.next() == Some(&Token::Use)
    {
        let message = match &found.1 {
            Token::DotDot | Token::Slash => "an import cannot name a path".to_string(),
            _ => format!("unexpected `{shown}` after `use`"),
        };
        return error(codes::E0106, message, &listed(&expected)).help(
            "name a file of the kernel library, or one beside this file: `use flash::attend;`",
        );
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

/// Where the statement, clause or item begins that a token stands in.
fn statement_start(tokens: &[(usize, Token, usize)], index: usize) -> usize {
    let starts = |at: &usize| {
        let (token, before) = (&tokens[*at].1, at.checked_sub(1).map(|n| &tokens[n].1));
        matches!(token, Token::Require | Token::Tune | Token::Grid | Token::Kernel | Token::Fn)
            || matches!(
                before,
                None | Some(Token::Semicolon | Token::OpenBrace | Token::CloseBrace)
            )
    };
    let nearest = index.saturating_sub(MAX_LOOK_BACK)..(index + 1).min(tokens.len());
    nearest.rev().find(starts).unwrap_or(index)
}

/// Tokens looked through for the start of a statement.
const MAX_LOOK_BACK: usize = 200;

/// Whether `if c else b` follows, as behind a value in Python.
fn is_choice_behind(tokens: &[(usize, Token, usize)]) -> bool {
    let end =
        |token: &Token| matches!(token, Token::Semicolon | Token::OpenBrace | Token::CloseBrace);
    let ahead = tokens.iter().take(MAX_LOOK_BACK).map(|(_, token, _)| token);
    ahead.take_while(|token| !end(token)).any(|token| *token == Token::Else)
}

fn is_number(token: &Token) -> bool {
    matches!(token, Token::Int(_) | Token::Float(_))
}

fn is_word(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A token as written, near enough.
fn text(token: &Token) -> String {
    let fixed = match token {
        Token::Ident(name) => return name.clone(),
        Token::Int(n) => return n.to_string(),
        Token::Float(x) => return format!("{x:?}"),
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
