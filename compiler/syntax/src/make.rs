//! Makes nodes for the grammar, and complains about what is grammatical but means nothing.

use std::cell::RefCell;

use lalrpop_util::{ErrorRecovery, ParseError};
use tilec_vocab::{Diagnostic, FileId, Span, codes};

use crate::MAX_ERRORS;
use crate::ast::{
    Arg, BinaryOp, Block, CompareOp, Expr, ExprKind, Function, Generic, GridAxis, Ident, Item,
    Kernel, Knob, Param, Pattern, Stmt, StmtKind,
};
use crate::expect::unexpected;
use crate::lexer::Token;

/// A clause between a signature and a body.
pub enum Clause {
    /// `require …`
    Require(Vec<Expr>),
    /// `tune …`
    Tune(Vec<Knob>),
    /// `grid …`
    Grid(Vec<GridAxis>, Span),
}

/// What stands after `over`.
pub enum Over {
    /// An axis.
    Axis(Ident),
    /// A named argument.
    Arg(Arg),
}

/// The maker of one file's nodes.
pub struct Make<'t> {
    file: FileId,
    tokens: &'t [(usize, Token, usize)],
    diagnostics: RefCell<Vec<Diagnostic>>,
}

impl<'t> Make<'t> {
    /// A maker for a file of these tokens.
    pub fn new(file: FileId, tokens: &'t [(usize, Token, usize)]) -> Make<'t> {
        Make { file, tokens, diagnostics: RefCell::default() }
    }

    /// What was complained about.
    pub fn finish(self) -> Vec<Diagnostic> {
        self.diagnostics.into_inner()
    }

    fn complain(&self, diagnostic: Diagnostic) {
        if !self.has_had_enough() {
            self.diagnostics.borrow_mut().push(diagnostic);
        }
    }

    /// Whether so much is wrong that parsing should end.
    pub fn has_had_enough(&self) -> bool {
        self.diagnostics.borrow().len() >= MAX_ERRORS
    }

    /// The bytes `l..r`.
    pub fn span(&self, l: usize, r: usize) -> Span {
        Span::new(self.file, l, r.max(l))
    }

    /// A node of these bytes.
    pub fn expr(&self, kind: ExprKind, l: usize, r: usize) -> Expr {
        Expr { kind, span: self.span(l, r) }
    }

    /// A name as an expression.
    pub fn name(&self, name: Ident) -> Expr {
        Expr { kind: ExprKind::Name(name.name), span: name.span }
    }

    /// A block of nothing but a value.
    pub fn value_block(&self, value: Expr) -> Block {
        Block { stmts: Vec::new(), span: value.span, value: Some(Box::new(value)) }
    }

    /// `else if` as a block of one statement.
    pub fn else_if(&self, kind: StmtKind, span: Span) -> Block {
        Block { stmts: vec![Stmt { kind, span }], value: None, span }
    }

    /// A closure.
    pub fn closure(
        &self,
        params: Vec<Ident>,
        body: Block,
        braces: bool,
        l: usize,
        r: usize,
    ) -> Expr {
        self.expr(ExprKind::Closure { params, body: Box::new(body), braces }, l, r)
    }

    /// `first op next`, one flat node for a run of operators of one level.
    pub fn chain(&self, first: Expr, op: BinaryOp, next: Expr) -> Expr {
        let span = first.span.to(next.span);
        match first.kind {
            ExprKind::Chain { first, mut rest }
                if rest.first().is_some_and(|(other, _)| level(*other) == level(op)) =>
            {
                rest.push((op, next));
                Expr { kind: ExprKind::Chain { first, rest }, span }
            }
            _ => Expr {
                kind: ExprKind::Chain { first: Box::new(first), rest: vec![(op, next)] },
                span,
            },
        }
    }

    /// `a op b`; a comparison of a comparison is an error.
    pub fn compare(&self, left: Expr, (op, at): (CompareOp, Span), right: Expr) -> Expr {
        let span = left.span.to(right.span);
        if let ExprKind::Compare { .. } = left.kind {
            let message = "comparisons do not chain";
            let complaint = Diagnostic::error(codes::E0107, at, message, "a second comparison")
                .with(left.span, "this is a truth value")
                .note("`a <= b < c` is written `a <= b and b < c`");
            self.complain(complaint);
            return Expr { kind: ExprKind::Error, span };
        }
        let (left, right) = (Box::new(left), Box::new(right));
        Expr { kind: ExprKind::Compare { op, left, right }, span }
    }

    /// A call; named arguments come last.
    pub fn call(
        &self,
        function: Ident,
        args: Vec<Arg>,
        after: Vec<Over>,
        l: usize,
        r: usize,
    ) -> Expr {
        let mut args = args;
        let mut over = Vec::new();
        let stated = after.first().map(|first| match first {
            Over::Axis(axis) => axis.span,
            Over::Arg(arg) => arg.name.as_ref().map_or(arg.value.span, |name| name.span),
        });
        for item in after {
            match item {
                Over::Axis(axis) => over.push(axis),
                Over::Arg(arg) => args.push(arg),
            }
        }
        if let (Some(first), true) = (stated, over.is_empty()) {
            let complaint =
                Diagnostic::error(codes::E0106, first, "no axis behind `over`", "expected a name");
            self.complain(complaint.help("name the axis first: `sum(x over n)`"));
            return self.expr(ExprKind::Error, l, r);
        }
        let mut named = false;
        for arg in &args {
            if named && arg.name.is_none() {
                let message = "an argument by position after one by name";
                let complaint =
                    Diagnostic::error(codes::E0110, arg.value.span, message, "has no name");
                self.complain(complaint.help("give arguments by position first, or name this one"));
            }
            named |= arg.name.is_some();
        }
        self.expr(ExprKind::Call { function, args, over }, l, r)
    }

    /// `target = value;` or `target += value;`
    pub fn assign(&self, target: Expr, value: Expr, add: bool) -> StmtKind {
        let ident = |name: &str, span| Ident { name: name.to_string(), span };
        match target.kind {
            ExprKind::Index { base, indices } => {
                return StmtKind::Store { tensor: base, indices, value, add, place: target.span };
            }
            ExprKind::Name(name) if !add => {
                let pattern = Pattern::Name(ident(&name, target.span));
                return StmtKind::Assign { pattern, value };
            }
            ExprKind::Tuple(items) if !add => {
                let names: Option<Vec<Ident>> = items
                    .iter()
                    .map(|item| match &item.kind {
                        ExprKind::Name(name) => Some(ident(name, item.span)),
                        _ => None,
                    })
                    .collect();
                if let Some(names) = names {
                    return StmtKind::Assign { pattern: Pattern::Tuple(names, target.span), value };
                }
            }
            ExprKind::Error => return StmtKind::Error(Vec::new()),
            ExprKind::Name(name) => {
                let message = "`+=` adds to a tensor in memory, and is atomic";
                let complaint =
                    Diagnostic::error(codes::E0109, target.span, message, "not a tensor element");
                self.complain(complaint.help(format!("write `{name} = {name} + …;`")));
                return StmtKind::Error(Vec::new());
            }
            _ => {}
        }
        let message = "only a variable or an element of a tensor can be assigned to";
        let complaint = Diagnostic::error(codes::E0109, target.span, message, "a computed value");
        self.complain(complaint.help("did you mean `==`?"));
        StmtKind::Error(Vec::new())
    }

    /// A function with its clauses.
    #[allow(clippy::too_many_arguments)]
    pub fn function(
        &self,
        name: Ident,
        generics: Vec<Generic>,
        params: Vec<Param>,
        clauses: Vec<Clause>,
        body: Block,
        short: bool,
        span: Span,
    ) -> Item {
        let (requires, knobs, grid) = self.clauses(clauses);
        let mut body = body;
        if let Some((_, at)) = grid {
            let message = "a function has no grid";
            let complaint = Diagnostic::error(codes::E0111, at, message, "belongs to a kernel");
            self.complain(complaint.with(name.span, "this is a `fn`"));
            // Its body names axes that only the grid has.
            body.stmts.clear();
            body.value = Some(Box::new(Expr { kind: ExprKind::Error, span: body.span }));
        }
        Item::Function(Function { name, generics, params, requires, knobs, body, short, span })
    }

    /// A kernel with its clauses.
    pub fn kernel(
        &self,
        name: Ident,
        generics: Vec<Generic>,
        params: Vec<Param>,
        clauses: Vec<Clause>,
        body: Block,
        span: Span,
    ) -> Item {
        let (requires, knobs, grid) = self.clauses(clauses);
        let grid = match grid {
            Some((grid, _)) => grid,
            None => {
                let message = format!("kernel `{}` has no grid", name.name);
                let complaint =
                    Diagnostic::error(codes::E0112, name.span, message, "how many programs?");
                self.complain(complaint.help("say which programs there are: `grid m in M by BM`"));
                Vec::new()
            }
        };
        Item::Kernel(Kernel { name, generics, params, requires, knobs, grid, body, span })
    }

    #[allow(clippy::type_complexity)]
    fn clauses(
        &self,
        clauses: Vec<Clause>,
    ) -> (Vec<Expr>, Vec<Knob>, Option<(Vec<GridAxis>, Span)>) {
        let (mut requires, mut knobs, mut grid) = (Vec::new(), Vec::new(), None);
        for clause in clauses {
            match clause {
                Clause::Require(conditions) => requires.extend(conditions),
                Clause::Tune(more) => knobs.extend(more),
                Clause::Grid(axes, span) => match &mut grid {
                    None => grid = Some((axes, span)),
                    Some((known, first)) => {
                        known.extend(axes);
                        let message = "a kernel has one grid";
                        let complaint =
                            Diagnostic::error(codes::E0113, span, message, "a second one");
                        self.complain(
                            complaint
                                .with(*first, "the first")
                                .help("list all axes in one clause, the slowest first"),
                        );
                    }
                },
            }
        }
        (requires, knobs, grid)
    }

    /// What stood where an item was expected and is none.
    pub fn skipped_item(&self, error: ErrorRecovery<usize, Token, ()>, span: Span) -> Item {
        self.failed(error.error);
        let tokens = self.within(span);
        let mut names = Vec::new();
        for (at, (_, token, _)) in tokens.iter().enumerate() {
            let rest = &tokens[at + 1..];
            match token {
                Token::Fn | Token::Const | Token::Kernel => names.extend(self.ident(rest.first())),
                Token::Path => {
                    let list = rest.iter().take_while(|(_, token, _)| *token != Token::Semicolon);
                    names.extend(list.filter_map(|token| self.ident(Some(token))));
                }
                _ => {}
            }
        }
        Item::Error { span, names }
    }

    /// What stood where a statement was expected and is none.
    pub fn skipped_stmt(&self, error: ErrorRecovery<usize, Token, ()>, span: Span) -> StmtKind {
        self.failed(error.error);
        let mut names = Vec::new();
        let mut declares = false;
        for token in self.within(span) {
            match &token.1 {
                Token::Let | Token::Var | Token::Axis => declares = true,
                Token::Assign | Token::In | Token::Semicolon => declares = false,
                Token::Ident(_) if declares => names.extend(self.ident(Some(token))),
                _ => {}
            }
        }
        StmtKind::Error(names)
    }

    fn within(&self, span: Span) -> &'t [(usize, Token, usize)] {
        let place = |at: u32| self.tokens.partition_point(|(start, _, _)| *start < at as usize);
        &self.tokens[place(span.start)..place(span.end)]
    }

    fn ident(&self, token: Option<&(usize, Token, usize)>) -> Option<Ident> {
        match token? {
            (l, Token::Ident(name), r) => {
                Some(Ident { name: name.clone(), span: self.span(*l, *r) })
            }
            _ => None,
        }
    }

    /// A syntax error.
    pub fn failed(&self, error: ParseError<usize, Token, ()>) {
        let (at, expected) = match error {
            ParseError::UnrecognizedToken { token, expected } => (token.0, expected),
            ParseError::UnrecognizedEof { location, expected } => (location, expected),
            ParseError::ExtraToken { token } => (token.0, Vec::new()),
            ParseError::InvalidToken { location } => (location, Vec::new()),
            ParseError::User { error: () } => return,
        };
        let index = self.tokens.partition_point(|(start, _, _)| *start < at);
        // What the lexer refused has been reported.
        let near = index.saturating_sub(1)..(index + 1).min(self.tokens.len());
        if self.tokens[near].iter().any(|(_, token, _)| *token == Token::Bad) {
            return;
        }
        self.complain(unexpected(self.file, self.tokens, index, &expected));
    }
}

fn level(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Or => 0,
        BinaryOp::And => 1,
        BinaryOp::Add | BinaryOp::Sub => 2,
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Rem => 3,
    }
}
