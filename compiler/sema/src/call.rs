//! Calls: everything is inlined where it is called.
//!
//! A function's body is lowered again at each call, in an environment of its own: the items of its
//! file, its parameters, and the names that their types bind. Dimensions and element types in a
//! parameter's type stand for those of the argument.

use tilec_ir::Extent;
use tilec_syntax::ast::{self, Expr, Function};
use tilec_vocab::{DTypeClass, Diagnostic, Span, codes};

use crate::lower::{Arg, Frame, Lower, MAX_CALLS};
use crate::names::FunctionId;
use crate::scope::{Callable, Closure, Env, Thing};

impl<'a> Lower<'a> {
    /// `f(a, b, c = d)`
    #[inline(never)]
    pub fn call(
        &mut self,
        env: Env,
        function: &'a ast::Ident,
        args: &'a [ast::Arg],
        over: &'a [ast::Ident],
        span: Span,
    ) -> Thing<'a> {
        let callable = match self.lookup(env, &function.name, function.span) {
            Some((Thing::Callable(callable), _)) => callable,
            Some((Thing::Poison, _)) => return Thing::Poison,
            Some((thing, at)) => {
                self.not_callable(function, &thing, at);
                return Thing::Poison;
            }
            None => {
                self.unknown_function(env, function);
                return Thing::Poison;
            }
        };
        if let Callable::Builtin(builtin) = callable {
            return self.call_builtin(builtin, env, args, over, span);
        }
        if let Some(axis) = over.first() {
            self.over_in_call(function, axis);
            return Thing::Poison;
        }
        let params: Params<'a> = match &callable {
            Callable::Function(_, function) => Params::Typed(&function.params),
            Callable::Closure(closure) => Params::Names(closure.params),
            Callable::Builtin(_) => return Thing::Poison,
        };
        if let Callable::Function(id, _) = callable
            && self.facts.is_recursive(id)
        {
            return Thing::Poison;
        }
        let Some(given) = self.arguments(env, function, params, args, span) else {
            return Thing::Poison;
        };
        if !self.push_frame(function, &callable, span) {
            return Thing::Poison;
        }
        let outer = (self.frame, self.span);
        self.frame = self.frame_count;
        self.frame_count += 1;
        let result = match callable {
            Callable::Function(id, function) => self.inline_function(id, function, given),
            Callable::Closure(closure) => self.inline_closure(closure, given),
            Callable::Builtin(_) => Thing::Poison,
        };
        (self.frame, self.span) = outer;
        self.frames.pop();
        result
    }

    fn push_frame(&mut self, name: &ast::Ident, callable: &Callable<'a>, span: Span) -> bool {
        if self.frames.len() >= MAX_CALLS {
            self.calls_too_deep(span);
            return false;
        }
        let callee = match callable {
            Callable::Function(_, function) => format!("`{}`", function.name.name),
            Callable::Closure(_) | Callable::Builtin(_) => format!("`{}`", name.name),
        };
        self.frames.push(Frame { callee, call: span });
        true
    }

    #[cold]
    #[inline(never)]
    fn calls_too_deep(&mut self, span: Span) {
        if self.exhausted {
            return;
        }
        self.exhausted = true;
        let chain: Vec<&str> =
            self.frames.iter().rev().take(6).rev().map(|frame| frame.callee.as_str()).collect();
        let chain = chain.join(" calls ");
        self.report(
            Diagnostic::error(
                codes::E0604,
                span,
                format!("more than {MAX_CALLS} calls inside one another"),
                "one too many",
            )
            .note(format!("… {chain} …"))
            .note("all calls are inlined, so a function that is handed itself never ends"),
        );
    }

    /// The arguments in the order of the parameters; `None` where the default is to be used.
    fn arguments(
        &mut self,
        env: Env,
        function: &ast::Ident,
        params: Params<'a>,
        args: &'a [ast::Arg],
        span: Span,
    ) -> Option<Vec<Option<Arg<'a>>>> {
        let mut given: Vec<Option<Arg<'a>>> = Vec::new();
        given.resize_with(params.len(), || None);
        let mut sound = true;
        let mut positional = 0;
        for arg in args {
            let slot = match &arg.name {
                None => {
                    positional += 1;
                    positional - 1
                }
                Some(name) => match params.position(&name.name) {
                    Some(slot) => slot,
                    None => {
                        self.no_such_parameter(function, params, name);
                        sound = false;
                        continue;
                    }
                },
            };
            let value = self.eval(env, &arg.value);
            match given.get_mut(slot) {
                Some(place @ None) => *place = Some(value),
                Some(Some(first)) => {
                    let first = first.span;
                    self.given_twice(params.name(slot), arg, first);
                    sound = false;
                }
                None => {}
            }
        }
        if positional > params.len() {
            self.too_many_arguments(function, params, positional, span);
            return None;
        }
        let missing: Vec<&str> = (0..params.len())
            .filter(|&n| given[n].is_none() && params.default(n).is_none())
            .map(|n| params.name(n))
            .collect();
        if !missing.is_empty() && sound {
            self.missing_arguments(function, params, &missing, span);
            return None;
        }
        sound.then_some(given)
    }

    fn inline_closure(&mut self, closure: Closure<'a>, given: Vec<Option<Arg<'a>>>) -> Thing<'a> {
        let mut env = closure.env;
        for (param, arg) in closure.params.iter().zip(given) {
            let thing = arg.map_or(Thing::Poison, |arg| arg.thing);
            env = self.scopes.bind(env, &param.name, param.span, thing);
        }
        self.body(env, closure.body)
    }

    fn inline_function(
        &mut self,
        id: FunctionId,
        function: &'a Function,
        given: Vec<Option<Arg<'a>>>,
    ) -> Thing<'a> {
        let mut env = Env::of_file(id.0);
        for (param, arg) in function.params.iter().zip(given) {
            let arg = match (arg, &param.default) {
                (Some(arg), _) => arg,
                (None, Some(default)) => self.eval(env, default),
                (None, None) => return Thing::Poison,
            };
            let (inner, thing) = match &param.ty {
                None => (env, self.as_passed(arg.thing)),
                Some(ty) => self.typed_argument(env, function, param, ty, &arg),
            };
            env = self.scopes.bind(inner, &param.name.name, param.name.span, thing);
        }
        let Some(env) = self.bind_knobs(env, id, function) else { return Thing::Poison };
        if !self.generics_bound(env, function) {
            return Thing::Poison;
        }
        for condition in &function.requires {
            self.require(env, condition);
        }
        self.body(env, &function.body)
    }

    /// What an untyped parameter stands for. A variable is passed by value.
    fn as_passed(&self, thing: Thing<'a>) -> Thing<'a> {
        match thing {
            Thing::Var(id) => self.var(id).map_or(Thing::Poison, |var| Thing::Value(var.value)),
            other => other,
        }
    }

    /// Lowers a body and gives its value.
    fn body(&mut self, env: Env, body: &'a ast::Block) -> Thing<'a> {
        let env = self.stmts(env, &body.stmts);
        match &body.value {
            Some(value) => self.eval(env, value).thing,
            None => Thing::Unit,
        }
    }

    /// The knobs a function's body sees: its own and those of what it calls.
    fn bind_knobs(&mut self, mut env: Env, id: FunctionId, function: &'a Function) -> Option<Env> {
        if self.spec {
            if let Some(knob) = function.knobs.first() {
                self.spec_has_no_knobs(function, knob);
                return None;
            }
            return Some(env);
        }
        let facts = self.facts;
        for knob in facts.function(id) {
            if self.scopes.find(env, &knob.name).0.is_some() {
                continue;
            }
            let found = self.kernel.generics.iter().find(|(_, g)| g.name == knob.name);
            if let Some((generic, _)) = found {
                let thing = Thing::Extent(Extent::Generic(generic));
                env = self.scopes.bind(env, &knob.name, knob.span, thing);
            }
        }
        Some(env)
    }

    fn generics_bound(&mut self, env: Env, function: &'a Function) -> bool {
        for generic in &function.generics {
            if self.scopes.find(env, &generic.name.name).0.is_none() {
                self.report(
                    Diagnostic::error(
                        codes::E0606,
                        generic.name.span,
                        format!("nothing says what `{}` is", generic.name.name),
                        "in no parameter's type",
                    )
                    .note("a function's generics are found from the types of its arguments"),
                );
                return false;
            }
        }
        true
    }

    /// `float`, `int`
    pub fn class(&mut self, name: &ast::Ident) -> Option<DTypeClass> {
        let found =
            [DTypeClass::Float, DTypeClass::Int].into_iter().find(|c| c.name() == name.name);
        if found.is_none() {
            self.report(Diagnostic::error(
                codes::E0211,
                name.span,
                format!("`{}` is no family of element types", name.name),
                "`float` or `int`",
            ));
        }
        found
    }
}

/// The parameters of what is called.
#[derive(Clone, Copy)]
pub(crate) enum Params<'a> {
    Typed(&'a [ast::Param]),
    Names(&'a [ast::Ident]),
}

impl<'a> Params<'a> {
    pub fn len(self) -> usize {
        match self {
            Params::Typed(params) => params.len(),
            Params::Names(names) => names.len(),
        }
    }

    fn name(self, n: usize) -> &'a str {
        match self {
            Params::Typed(params) => &params[n].name.name,
            Params::Names(names) => &names[n].name,
        }
    }

    fn position(self, name: &str) -> Option<usize> {
        (0..self.len()).find(|&n| self.name(n) == name)
    }

    fn default(self, n: usize) -> Option<&'a Expr> {
        match self {
            Params::Typed(params) => params[n].default.as_ref(),
            Params::Names(_) => None,
        }
    }

    /// Where they are declared.
    pub fn span(self) -> Option<Span> {
        let span = |n: usize| match self {
            Params::Typed(params) => params.get(n).map(|param| param.span),
            Params::Names(names) => names.get(n).map(|name| name.span),
        };
        Some(span(0)?.to(span(self.len() - 1)?))
    }

    pub fn names(self) -> impl Iterator<Item = &'a str> {
        (0..self.len()).map(move |n| self.name(n))
    }
}
