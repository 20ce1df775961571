//! Arguments for parameters with a type.
//!
//! A parameter's type binds the names in it: the first tensor of `&T[B, H, M, D]` says what `T` and
//! the dimensions are, each later one must agree.

use tilec_ir::{AxisSet, Elem, Extent, ParamType};
use tilec_syntax::ast::{self, Expr, Function, GenericKind, TypeKind};
use tilec_vocab::{DTypeClass, Diagnostic, Span, codes};

use crate::lower::{Arg, Lower};
use crate::report::count;
use crate::scope::{Env, Literal, Tensor, Thing};
use crate::types::Wanted;

impl<'a> Lower<'a> {
    /// An argument for a parameter with a type; `env` with the names the type binds.
    pub fn typed_argument(
        &mut self,
        env: Env,
        function: &'a Function,
        param: &'a ast::Param,
        ty: &'a ast::Type,
        arg: &Arg<'a>,
    ) -> (Env, Thing<'a>) {
        let (env, thing) = match arg.thing {
            Thing::Poison => (env, Thing::Poison),
            _ => self.fitting_argument(env, function, param, ty, arg),
        };
        match thing {
            Thing::Poison => (self.poison_names(env, function, ty), Thing::Poison),
            thing => (env, thing),
        }
    }

    fn fitting_argument(
        &mut self,
        env: Env,
        function: &'a Function,
        param: &'a ast::Param,
        ty: &'a ast::Type,
        arg: &Arg<'a>,
    ) -> (Env, Thing<'a>) {
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

/// What is said about arguments that do not fit.
impl<'a> Lower<'a> {
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
        let data = &self.kernel.params[tensor.param];
        let (at, name) = (data.span, data.name.clone());
        self.report(
            Diagnostic::error(
                codes::E0335,
                arg.span,
                format!("parameter `{}` is written, but this tensor is only read", param.name.name),
                "not `&mut` here",
            )
            .with(param.span, "a `&mut` tensor is wanted")
            .with(at, format!("`{text}`"))
            .help(format!("declare it `{name}: {}`", text.replacen('&', "&mut ", 1))),
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
}
