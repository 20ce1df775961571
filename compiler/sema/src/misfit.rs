//! What is said about calls that do not fit.

use tilec_syntax::ast;
use tilec_vocab::{Diagnostic, Span, codes};

use crate::builtins;
use crate::call::Params;
use crate::import::Item;
use crate::lower::Lower;
use crate::report::{closest, count, listed};
use crate::scope::{Env, Thing};

impl<'a> Lower<'a> {
    #[cold]
    #[inline(never)]
    pub fn not_callable(&mut self, function: &ast::Ident, thing: &Thing<'a>, at: Option<Span>) {
        let text = self.thing_text(thing);
        let mut report = Diagnostic::error(
            codes::E0213,
            function.span,
            format!("`{}` is {text}, not a function", function.name),
            "called here",
        );
        if let Some(at) = at {
            report = report.with(at, format!("`{}` is declared here", function.name));
        }
        if let Thing::Tensor(_) = thing {
            report =
                report.help(format!("a tensor is indexed in brackets: `{}[…]`", function.name));
        }
        if builtins::find(&function.name).is_some() {
            report = report.help("it hides the builtin of that name; give it another name");
        }
        self.report(report);
    }

    #[cold]
    #[inline(never)]
    pub fn unknown_function(&mut self, env: Env, function: &ast::Ident) {
        let program = self.program;
        let named = program.find(env.file, &function.name);
        match named.map(|named| (named.item, named.span)) {
            Some((Item::Kernel(_), at)) => self.report(
                Diagnostic::error(
                    codes::E0213,
                    function.span,
                    format!("`{}` is a kernel; only the launcher starts kernels", function.name),
                    "called here",
                )
                .with(at, "declared here")
                .help("put what both need into a `fn`"),
            ),
            _ => self.unknown_name(env, &function.name, function.span),
        }
    }

    #[cold]
    #[inline(never)]
    pub fn over_in_call(&mut self, function: &ast::Ident, axis: &ast::Ident) {
        let name = &function.name;
        self.report(
            Diagnostic::error(
                codes::E0333,
                axis.span,
                format!("`{name}` is not a reduction: it takes no `over`"),
                "not here",
            )
            .help(format!("pass the axis as an argument: `{name}(…, {})`", axis.name)),
        );
    }

    #[cold]
    #[inline(never)]
    pub fn no_such_parameter(
        &mut self,
        function: &ast::Ident,
        params: Params<'a>,
        name: &ast::Ident,
    ) {
        let mut report = Diagnostic::error(
            codes::E0216,
            name.span,
            format!("`{}` has no parameter `{}`", function.name, name.name),
            "no such parameter",
        );
        let heard = self.sink.would_say(codes::E0216, name.span);
        report = match closest(&name.name, params.names().filter(|_| heard)) {
            Some(near) => report.replace("a similar parameter exists", name.span, near),
            None if params.len() == 0 => report.note("it has no parameters"),
            None => report.note(format!("it has {}", listed(params.names().take(20)))),
        };
        self.report(report);
    }

    #[cold]
    #[inline(never)]
    pub fn given_twice(&mut self, name: &str, arg: &ast::Arg, first: Span) {
        let at = arg.name.as_ref().map_or(arg.value.span, |name| name.span);
        self.report(
            Diagnostic::error(codes::E0217, at, format!("`{name}` is given twice"), "again here")
                .with(first, "first here"),
        );
    }

    #[cold]
    #[inline(never)]
    pub fn too_many_arguments(
        &mut self,
        function: &ast::Ident,
        params: Params<'a>,
        given: usize,
        span: Span,
    ) {
        let takes = if params.len() == 0 {
            "it takes none".to_string()
        } else {
            format!("it takes {}: {}", params.len(), listed(params.names().take(20)))
        };
        let mut report = Diagnostic::error(
            codes::E0215,
            span,
            format!("`{}` got {}, {takes}", function.name, count(given, "argument")),
            format!("{} too many", given - params.len()),
        );
        if let Some(declared) = params.span() {
            report = report.with(declared, "its parameters");
        }
        self.report(report);
    }

    #[cold]
    #[inline(never)]
    pub fn missing_arguments(
        &mut self,
        function: &ast::Ident,
        params: Params<'a>,
        missing: &[&str],
        span: Span,
    ) {
        let list = listed(missing.iter().take(20).copied());
        let mut report = Diagnostic::error(
            codes::E0215,
            span,
            format!("`{}` needs {list} too", function.name),
            format!("{} missing", count(missing.len(), "argument")),
        );
        if let Some(declared) = params.span() {
            report = report.with(declared, "its parameters");
        }
        self.report(report);
    }

    #[cold]
    #[inline(never)]
    pub fn spec_has_no_knobs(&mut self, function: &ast::Function, knob: &ast::Knob) {
        self.report(
            Diagnostic::error(
                codes::E0411,
                knob.span,
                format!(
                    "a spec has no knobs, but `{}` is tuned by `{}`",
                    function.name.name, knob.name.name
                ),
                "a knob",
            )
            .help("write the spec with whole axes: `axis n in N;`"),
        );
    }
}
