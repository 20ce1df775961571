//! Calls: everything is inlined where it is called.
//!
//! A function's body is lowered again at each call, in an environment of its own: the items of its
//! file, its parameters, and the names that their types bind. Dimensions and element types in a
//! parameter's type stand for those of the argument.

use tilec_ir::{AxisSet, Elem, Extent, ParamType};
use tilec_syntax::ast::{self, Expr, Function, GenericKind, TypeKind};
use tilec_vocab::{DTypeClass, Diagnostic, Span, codes};

use crate::builtins;
use crate::import::Item;
use crate::lower::{Arg, Frame, Lower, MAX_CALLS};
use crate::report::{closest, count, listed};
use crate::scope::{Callable, Closure, Env, FileIndex, Literal, Tensor, Thing};
use crate::types::{Operand, Wanted};

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
            Callable::Function(file, function) => self.inline_function(file, function, given),
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
        file: FileIndex,
        function: &'a Function,
        given: Vec<Option<Arg<'a>>>,
    ) -> Thing<'a> {
        let mut env = Env::of_file(file);
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
        let Some(env) = self.bind_knobs(env, file, function) else { return Thing::Poison };
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

    /// An argument for a parameter with a type; `env` with the names the type binds.
    fn typed_argument(
        &mut self,
        env: Env,
        function: &'a Function,
        param: &'a ast::Param,
        ty: &'a ast::Type,
        arg: &Arg<'a>,
    ) -> (Env, Thing<'a>) {
        if let Thing::Poison = arg.thing {
            return (self.poison_names(env, function, ty), Thing::Poison);
        }
        match &ty.kind {
            TypeKind::Error => (env, Thing::Poison),
            TypeKind::Scalar(elem) => {
                let (env, elem) = self.argument_elem(env, function, elem, arg);
                let Some(elem) = elem else { return (env, Thing::Poison) };
                (env, self.number_argument(param, elem, AxisSet::new(), arg))
            }
            TypeKind::Tile { elem, axes } => {
                let (env, elem) = self.argument_elem(env, function, elem, arg);
                let mut set = AxisSet::new();
                let mut sound = true;
                for axis in axes {
                    match self.axis(env, axis) {
                        Some(axis) => sound &= set.insert(axis),
                        None => sound = false,
                    }
                }
                match elem {
                    Some(elem) if sound => (env, self.number_argument(param, elem, set, arg)),
                    _ => (env, Thing::Poison),
                }
            }
            TypeKind::Tensor { mutable, elem, dims } => {
                let declared = Declared { mutable: *mutable, elem, dims, span: ty.span };
                self.tensor_argument(env, function, param, declared, arg)
            }
        }
    }

    /// Binds what a parameter's type would have bound, so that nothing follows from an argument
    /// that is wrong.
    fn poison_names(&mut self, mut env: Env, function: &'a Function, ty: &'a ast::Type) -> Env {
        let (elem, dims): (&'a ast::Ident, &'a [Expr]) = match &ty.kind {
            TypeKind::Scalar(elem) | TypeKind::Tile { elem, .. } => (elem, &[]),
            TypeKind::Tensor { elem, dims, .. } => (elem, dims),
            TypeKind::Error => return env,
        };
        let generic = function.generics.iter().any(|generic| generic.name.name == elem.name);
        let mut names: Vec<(&'a str, Span)> = Vec::new();
        if generic {
            names.push((&elem.name, elem.span));
        }
        for dim in dims {
            if let ast::ExprKind::Name(name) = &dim.kind {
                names.push((name, dim.span));
            }
        }
        for (name, span) in names {
            if self.scopes.find(env, name).0.is_none() {
                env = self.scopes.bind(env, name, span, Thing::Poison);
            }
        }
        env
    }

    /// The element type a parameter's type names: known, bound by an argument before, or bound now.
    fn argument_elem(
        &mut self,
        env: Env,
        function: &'a Function,
        name: &'a ast::Ident,
        arg: &Arg<'a>,
    ) -> (Env, Option<Elem>) {
        let generic = function.generics.iter().find(|generic| generic.name.name == name.name);
        let Some(generic) = generic else { return (env, self.elem(env, name)) };
        match self.scopes.find(env, &name.name).0 {
            Some((Thing::Elem(elem), _)) => return (env, Some(*elem)),
            Some(_) => return (env, None),
            None => {}
        }
        let got = match &arg.thing {
            Thing::Tensor(tensor) => match self.kernel.params[tensor.param].ty {
                ParamType::Tensor { elem, .. } | ParamType::Scalar(elem) => Some(elem),
            },
            _ => self.operand(arg).map(|operand| self.type_of(operand).elem),
        };
        let class = match &generic.kind {
            GenericKind::DType(class) => self.class(class),
            GenericKind::Const => None,
        };
        let (Some(got), Some(class)) = (got, class) else {
            return (self.scopes.bind(env, &name.name, name.span, Thing::Poison), None);
        };
        let fits = match class {
            DTypeClass::Float => got.is_float(),
            DTypeClass::Int => got.is_int(),
        };
        if !fits {
            let text = self.elem_text(got);
            self.report(
                Diagnostic::error(
                    codes::E0325,
                    arg.span,
                    format!("`{}` is {} type, got `{text}`", name.name, with_article(class)),
                    format!("`{text}`"),
                )
                .with(generic.name.span, format!("`{}: {class}`", name.name)),
            );
            return (self.scopes.bind(env, &name.name, name.span, Thing::Poison), None);
        }
        (self.scopes.bind(env, &name.name, name.span, Thing::Elem(got)), Some(got))
    }

    /// A number or tile for a parameter of such a type.
    fn number_argument(
        &mut self,
        param: &'a ast::Param,
        elem: Elem,
        axes: AxisSet,
        arg: &Arg<'a>,
    ) -> Thing<'a> {
        let what = format!("parameter `{}`", param.name.name);
        let Some(value) = self.coerce(arg, elem, Wanted { what: &what, span: Some(param.span) })
        else {
            return Thing::Poison;
        };
        let has = self.kernel.ty(value).axes.clone();
        if has.is_subset(&axes) {
            self.span = arg.span;
            let value = if has == axes { value } else { self.build().splat(value, &axes) };
            return self.checked(value, arg.span);
        }
        let (has_text, wants) = (self.axes_text(has.iter()), self.axes_text(axes.iter()));
        let message = if axes.is_empty() {
            format!("{what} is one number, got a tile over [{has_text}]")
        } else {
            format!("{what} is a tile over [{wants}], got one over [{has_text}]")
        };
        self.report(
            Diagnostic::error(codes::E0329, arg.span, message, format!("spans [{has_text}]"))
                .with(param.span, "the parameter"),
        );
        Thing::Poison
    }

    fn tensor_argument(
        &mut self,
        mut env: Env,
        function: &'a Function,
        param: &'a ast::Param,
        declared: Declared<'a>,
        arg: &Arg<'a>,
    ) -> (Env, Thing<'a>) {
        let Thing::Tensor(tensor) = arg.thing else {
            self.not_a_tensor(param, &declared, arg);
            return (env, Thing::Poison);
        };
        let ParamType::Tensor { elem: got, dims, .. } = self.kernel.params[tensor.param].ty.clone()
        else {
            return (env, Thing::Poison);
        };
        if declared.mutable && !tensor.mutable {
            self.must_be_mutable(param, tensor, arg);
            return (env, Thing::Poison);
        }
        let (inner, elem) = self.argument_elem(env, function, declared.elem, arg);
        env = inner;
        let mut sound = match elem {
            Some(elem) if elem != got => {
                self.other_elem(param, elem, tensor, arg);
                false
            }
            elem => elem.is_some(),
        };
        if dims.len() != declared.dims.len() {
            self.other_rank(param, &declared, tensor, arg);
            return (env, Thing::Poison);
        }
        for (dim, &extent) in declared.dims.iter().zip(&dims) {
            match self.argument_dim(env, function, dim, extent, (param, tensor, arg)) {
                Some(inner) => env = inner,
                None => sound = false,
            }
        }
        let tensor = Tensor { param: tensor.param, mutable: declared.mutable };
        (env, if sound { Thing::Tensor(tensor) } else { Thing::Poison })
    }

    /// One dimension of a tensor parameter: binds its name, or checks it against what it has been.
    fn argument_dim(
        &mut self,
        env: Env,
        function: &'a Function,
        dim: &'a Expr,
        extent: Extent,
        at: (&'a ast::Param, Tensor, &Arg<'a>),
    ) -> Option<Env> {
        let (wanted, first) = match &dim.kind {
            ast::ExprKind::Int(value) => (Extent::Const(*value), dim.span),
            ast::ExprKind::Name(name) => match self.lookup(env, name, dim.span) {
                Some((Thing::Extent(wanted), first)) => (wanted, first.unwrap_or(dim.span)),
                Some((Thing::Literal(Literal::Int(value)), first)) => {
                    (Extent::Const(value), first.unwrap_or(dim.span))
                }
                _ => {
                    let generic = function.generics.iter().find(|g| g.name.name == *name);
                    if let (Some(generic), Extent::Dim(_)) = (generic, extent) {
                        self.constant_needed(generic, extent, at);
                        return None;
                    }
                    return Some(self.scopes.bind(env, name, dim.span, Thing::Extent(extent)));
                }
            },
            _ => return None,
        };
        if wanted == extent {
            return Some(env);
        }
        self.two_extents(dim, wanted, extent, first, at);
        None
    }

    /// The knobs a function's body sees: its own and those of what it calls.
    fn bind_knobs(
        &mut self,
        mut env: Env,
        file: FileIndex,
        function: &'a Function,
    ) -> Option<Env> {
        if self.spec {
            if let Some(knob) = function.knobs.first() {
                self.spec_has_no_knobs(function, knob);
                return None;
            }
            return Some(env);
        }
        let program = self.program;
        for knob in program.knobs_of(file, &function.name.name) {
            if self.scopes.find(env, knob).0.is_some() {
                continue;
            }
            let found = self.kernel.generics.iter().find(|(_, g)| g.name == knob);
            if let Some((generic, _)) = found {
                let thing = Thing::Extent(Extent::Generic(generic));
                env = self.scopes.bind(env, knob, function.name.span, thing);
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
enum Params<'a> {
    Typed(&'a [ast::Param]),
    Names(&'a [ast::Ident]),
}

impl<'a> Params<'a> {
    fn len(self) -> usize {
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

    fn names(self) -> impl Iterator<Item = &'a str> {
        (0..self.len()).map(move |n| self.name(n))
    }
}

/// A tensor parameter's type.
struct Declared<'a> {
    mutable: bool,
    elem: &'a ast::Ident,
    dims: &'a [Expr],
    span: Span,
}

fn with_article(class: DTypeClass) -> &'static str {
    match class {
        DTypeClass::Float => "a float",
        DTypeClass::Int => "an int",
    }
}

/// What is said about calls that do not fit.
impl<'a> Lower<'a> {
    #[cold]
    #[inline(never)]
    fn not_callable(&mut self, function: &ast::Ident, thing: &Thing<'a>, at: Option<Span>) {
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
        if builtins::find(&function.name).is_some() {
            report = report.help("it hides the builtin of that name; give it another name");
        }
        self.report(report);
    }

    #[cold]
    #[inline(never)]
    fn unknown_function(&mut self, env: Env, function: &ast::Ident) {
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
    fn over_in_call(&mut self, function: &ast::Ident, axis: &ast::Ident) {
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
    fn no_such_parameter(&mut self, function: &ast::Ident, params: Params<'a>, name: &ast::Ident) {
        let mut report = Diagnostic::error(
            codes::E0216,
            name.span,
            format!("`{}` has no parameter `{}`", function.name, name.name),
            "no such parameter",
        );
        report = match closest(&name.name, params.names()) {
            Some(near) => report.replace("a similar parameter exists", name.span, near),
            None if params.len() == 0 => report.note("it has no parameters"),
            None => report.note(format!("it has {}", listed(params.names().take(20)))),
        };
        self.report(report);
    }

    #[cold]
    #[inline(never)]
    fn given_twice(&mut self, name: &str, arg: &ast::Arg, first: Span) {
        let at = arg.name.as_ref().map_or(arg.value.span, |name| name.span);
        self.report(
            Diagnostic::error(codes::E0217, at, format!("`{name}` is given twice"), "again here")
                .with(first, "first here"),
        );
    }

    #[cold]
    #[inline(never)]
    fn too_many_arguments(
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
        self.report(
            Diagnostic::error(
                codes::E0215,
                span,
                format!("`{}` got {}, {takes}", function.name, count(given, "argument")),
                format!("{} too many", given - params.len()),
            ),
        );
    }

    #[cold]
    #[inline(never)]
    fn missing_arguments(
        &mut self,
        function: &ast::Ident,
        params: Params<'a>,
        missing: &[&str],
        span: Span,
    ) {
        let list = listed(missing.iter().take(20).copied());
        let all: Vec<&str> = params.names().take(20).collect();
        self.report(
            Diagnostic::error(
                codes::E0215,
                span,
                format!("`{}` needs {list} too", function.name),
                format!("{} missing", count(missing.len(), "argument")),
            )
            .note(format!("its parameters are ({})", all.join(", "))),
        );
    }

    #[cold]
    #[inline(never)]
    fn not_a_tensor(&mut self, param: &ast::Param, declared: &Declared<'a>, arg: &Arg<'a>) {
        let text = self.thing_text(&arg.thing);
        self.report(
            Diagnostic::error(
                codes::E0325,
                arg.span,
                format!("parameter `{}` is a tensor, got {text}", param.name.name),
                format!("this is {text}"),
            )
            .with(declared.span, "a tensor is wanted"),
        );
    }

    #[cold]
    #[inline(never)]
    fn must_be_mutable(&mut self, param: &ast::Param, tensor: Tensor, arg: &Arg<'a>) {
        let text = self.param_text(tensor.param);
        let at = self.kernel.params[tensor.param].span;
        self.report(
            Diagnostic::error(
                codes::E0335,
                arg.span,
                format!("parameter `{}` is written, but this tensor is only read", param.name.name),
                "not `&mut` here",
            )
            .with(param.span, "a `&mut` tensor is wanted")
            .with(at, format!("`{text}`")),
        );
    }

    #[cold]
    #[inline(never)]
    fn other_elem(&mut self, param: &ast::Param, elem: Elem, tensor: Tensor, arg: &Arg<'a>) {
        let (wanted, got) = (self.elem_text(elem), self.param_text(tensor.param));
        self.report(
            Diagnostic::error(
                codes::E0325,
                arg.span,
                format!("parameter `{}` is a tensor of `{wanted}`, got `{got}`", param.name.name),
                format!("`{got}`"),
            )
            .with(param.span, format!("elements of `{wanted}` are wanted")),
        );
    }

    #[cold]
    #[inline(never)]
    fn other_rank(
        &mut self,
        param: &ast::Param,
        declared: &Declared<'a>,
        tensor: Tensor,
        arg: &Arg<'a>,
    ) {
        let got = self.param_text(tensor.param);
        let rank = self.tensor_dims(tensor.param).len();
        self.report(
            Diagnostic::error(
                codes::E0325,
                arg.span,
                format!(
                    "parameter `{}` has {}, this tensor has {rank}",
                    param.name.name,
                    count(declared.dims.len(), "dimension")
                ),
                format!("`{got}`"),
            )
            .with(declared.span, count(declared.dims.len(), "dimension")),
        );
    }

    #[cold]
    #[inline(never)]
    fn constant_needed(
        &mut self,
        generic: &ast::Generic,
        extent: Extent,
        (param, tensor, arg): (&ast::Param, Tensor, &Arg<'a>),
    ) {
        let name = &generic.name.name;
        let (got, text) = (self.extent_text(extent), self.param_text(tensor.param));
        self.report(
            Diagnostic::error(
                codes::E0607,
                arg.span,
                format!("`{name}` is a constant, but dimension `{got}` is known only at run time"),
                format!("`{text}`"),
            )
            .with(generic.name.span, format!("`const {name}`"))
            .with(param.span, format!("`{name}` is taken from here"))
            .help(format!("make `{got}` a constant of the kernel: `<const {got}>`")),
        );
    }

    #[cold]
    #[inline(never)]
    fn two_extents(
        &mut self,
        dim: &Expr,
        wanted: Extent,
        got: Extent,
        first: Span,
        (param, tensor, arg): (&ast::Param, Tensor, &Arg<'a>),
    ) {
        let name = self.sources.text(dim.span).to_string();
        let (wanted, got) = (self.extent_text(wanted), self.extent_text(got));
        let text = self.param_text(tensor.param);
        let mut report = Diagnostic::error(
            codes::E0326,
            arg.span,
            format!("dimension `{name}` is `{wanted}` in one argument and `{got}` in another"),
            format!("`{text}`"),
        )
        .with(param.span, format!("`{name}` is `{got}` here"));
        if first != dim.span {
            report = report.with(first, format!("`{name}` is `{wanted}` here"));
        }
        self.report(report);
    }

    #[cold]
    #[inline(never)]
    fn spec_has_no_knobs(&mut self, function: &ast::Function, knob: &ast::Knob) {
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

    /// The number of lanes that a value would need to be an operand; used by builtins too.
    pub fn operand_axes(&self, operand: Operand) -> AxisSet {
        match operand {
            Operand::Literal(_) => AxisSet::new(),
            Operand::Value(value) => self.kernel.ty(value).axes.clone(),
        }
    }
}
