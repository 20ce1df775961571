//! Kernels and specs: the signature, the grid, and what is checked once the body is there.

use std::collections::BTreeMap;

use tilec_ir::{
    AxisData, Extent, GenericData, GenericKind, GridAxis, Kernel, Op, Param, ParamData, ParamType,
    limits,
};
use tilec_syntax::ast::{self, ExprKind, TypeKind};
use tilec_vocab::{Diagnostic, HostExpr, HostOp, Span, codes};

use crate::import::{Item, Program};
use crate::lower::Lower;
use crate::report::{closest, listed};
use crate::scope::{Env, FileIndex, Tensor, Thing};

/// A knob of a kernel, its own or of a function it calls.
#[derive(Clone, Debug)]
pub(crate) struct Knob {
    /// Its name.
    pub name: String,
    /// What it may be, the default first.
    pub choices: Vec<i64>,
    /// Where it is declared.
    pub span: Span,
}

const ROOT: FileIndex = FileIndex(0);

impl<'a> Lower<'a> {
    /// Lowers a kernel of the root file.
    pub fn lower_kernel(&mut self, kernel: &'a ast::Kernel, knobs: &'a [Knob]) {
        let Some(env) = self.signature(kernel, knobs) else { return };
        for condition in &kernel.requires {
            self.require(env, condition);
        }
        let env = self.grid(env, kernel);
        self.program(env, &kernel.body.stmts, None);
        if let Some(value) = &kernel.body.value {
            self.report(
                Diagnostic::error(
                    codes::E0413,
                    value.span,
                    "a kernel gives no value: what it computes it stores",
                    "nothing takes this value",
                )
                .help("store it: `y[m] = …;`"),
            );
        }
        self.build().yield_values(&[]);
        self.unwritten_outputs();
    }

    /// Lowers the spec of a kernel.
    pub fn lower_spec(&mut self, spec: &'a ast::Spec, kernel: &'a ast::Kernel, knobs: &'a [Knob]) {
        let Some(mut env) = self.signature(kernel, &[]) else { return };
        for knob in knobs {
            // That a spec has none has been said.
            if self.scopes.find(env, &knob.name).0.is_none() {
                env = self.scopes.bind(env, &knob.name, knob.span, Thing::Poison);
            }
        }
        let env = self.stmts(env, &spec.body.stmts);
        if let Some(value) = &spec.body.value {
            self.eval(env, value);
            self.report(
                Diagnostic::error(
                    codes::E0413,
                    value.span,
                    "a spec gives no value: it stores what the kernel must compute",
                    "nothing takes this value",
                )
                .help("store it: `y[m] = …;`"),
            );
        }
        self.build().yield_values(&[]);
        self.unwritten_outputs();
    }

    /// Generics, knobs, parameters and dimensions, and the names they have in the body.
    fn signature(&mut self, kernel: &'a ast::Kernel, knobs: &'a [Knob]) -> Option<Env> {
        let mut signature = Signature { env: Env::of_file(ROOT), names: BTreeMap::new() };
        for generic in &kernel.generics {
            self.generic(&mut signature, generic);
        }
        for knob in knobs {
            self.knob(&mut signature, knob);
        }
        for param in &kernel.params {
            self.param(&mut signature, param);
        }
        let counts = [
            ("generics and knobs", self.kernel.generics.len()),
            ("parameters", self.kernel.params.len()),
        ];
        for (what, n) in counts {
            if n > limits::SIGNATURE {
                self.report(Diagnostic::error(
                    codes::E0608,
                    kernel.name.span,
                    format!("{n} {what}; at most {}", limits::SIGNATURE),
                    "too many",
                ));
                return None;
            }
        }
        self.determined(kernel);
        Some(signature.env)
    }

    fn bind(&mut self, signature: &mut Signature<'a>, name: &'a str, span: Span, thing: Thing<'a>) {
        match signature.names.get(name) {
            Some(&first) => {
                self.report(
                    Diagnostic::error(
                        codes::E0205,
                        span,
                        format!("`{name}` is declared twice in this signature"),
                        "again here",
                    )
                    .with(first, "first here"),
                );
            }
            None => {
                signature.names.insert(name, span);
                signature.env = self.scopes.bind(signature.env, name, span, thing);
            }
        }
    }

    fn generic(&mut self, signature: &mut Signature<'a>, generic: &'a ast::Generic) {
        let (name, span) = (generic.name.name.as_str(), generic.name.span);
        let kind = match &generic.kind {
            ast::GenericKind::Const => Some(GenericKind::Const),
            ast::GenericKind::DType(class) => self.class(class).map(GenericKind::DType),
        };
        let thing = match kind {
            None => Thing::Poison,
            Some(kind) => {
                let data = GenericData { name: name.to_string(), kind: kind.clone() };
                let id = self.kernel.generics.push(data);
                match kind {
                    GenericKind::DType(class) => Thing::Elem(tilec_ir::Elem::Generic(id, class)),
                    GenericKind::Const | GenericKind::Knob(_) => Thing::Extent(Extent::Generic(id)),
                }
            }
        };
        self.bind(signature, name, span, thing);
    }

    fn knob(&mut self, signature: &mut Signature<'a>, knob: &'a Knob) {
        let kind = GenericKind::Knob(knob.choices.clone());
        let id = self.kernel.generics.push(GenericData { name: knob.name.clone(), kind });
        self.bind(signature, &knob.name, knob.span, Thing::Extent(Extent::Generic(id)));
    }

    fn param(&mut self, signature: &mut Signature<'a>, param: &'a ast::Param) {
        let (name, span) = (param.name.name.as_str(), param.name.span);
        if let Some(default) = &param.default {
            self.report(
                Diagnostic::error(
                    codes::E0407,
                    default.span,
                    format!("parameter `{name}` of a kernel cannot have a default"),
                    "a default",
                )
                .note("only functions have defaults; who launches a kernel gives every argument"),
            );
        }
        let Some(ty) = &param.ty else {
            self.report(
                Diagnostic::error(
                    codes::E0407,
                    param.span,
                    format!("parameter `{name}` of a kernel needs a type"),
                    "without a type",
                )
                .help("a tensor, `x: &f32[M, N]`, or a number, `scale: f32`"),
            );
            self.bind(signature, name, span, Thing::Poison);
            return;
        };
        match &ty.kind {
            TypeKind::Error => self.bind(signature, name, span, Thing::Poison),
            TypeKind::Scalar(elem) => {
                let thing = match self.elem(signature.env, elem) {
                    Some(elem) => {
                        let ty = ParamType::Scalar(elem);
                        let id = self.push_param(name, ty, param.span);
                        Thing::Value(self.scalar_value(id))
                    }
                    None => Thing::Poison,
                };
                self.bind(signature, name, span, thing);
            }
            TypeKind::Tile { .. } => {
                self.report(
                    Diagnostic::error(
                        codes::E0407,
                        ty.span,
                        format!("parameter `{name}` of a kernel cannot be a tile"),
                        "a tile exists only inside a program",
                    )
                    .help("a tensor is written with `&`: `&f32[M, N]`"),
                );
                self.bind(signature, name, span, Thing::Poison);
            }
            TypeKind::Tensor { mutable, elem, dims } => {
                let elem = self.elem(signature.env, elem);
                let dims = self.dims(signature, dims, param.span);
                let thing = match (elem, dims) {
                    (Some(elem), Some(dims)) => {
                        let ty = ParamType::Tensor { elem, dims, mutable: *mutable };
                        let param = self.push_param(name, ty, param.span);
                        Thing::Tensor(Tensor { param, mutable: *mutable })
                    }
                    _ => Thing::Poison,
                };
                self.bind(signature, name, span, thing);
            }
        }
    }

    fn push_param(&mut self, name: &str, ty: ParamType, span: Span) -> Param {
        self.kernel.params.push(ParamData { name: name.to_string(), ty, span })
    }

    fn dims(
        &mut self,
        signature: &mut Signature<'a>,
        dims: &'a [ast::Expr],
        span: Span,
    ) -> Option<Vec<Extent>> {
        if dims.len() > limits::RANK {
            self.report(Diagnostic::error(
                codes::E0608,
                span,
                format!("a tensor of {} dimensions; at most {}", dims.len(), limits::RANK),
                "too many",
            ));
            return None;
        }
        let mut extents = Vec::new();
        for dim in dims {
            extents.push(self.dim(signature, dim));
        }
        extents.into_iter().collect()
    }

    /// A dimension of a kernel's tensor: a constant, or a name, which is new or has been met.
    fn dim(&mut self, signature: &mut Signature<'a>, dim: &'a ast::Expr) -> Option<Extent> {
        let name = match &dim.kind {
            ExprKind::Int(value) => return Some(Extent::Const(*value)),
            ExprKind::Name(name) => name.as_str(),
            ExprKind::Error => return None,
            _ => {
                self.report(
                    Diagnostic::error(
                        codes::E0407,
                        dim.span,
                        "a dimension is a name or an integer",
                        "an expression",
                    )
                    .help("name the dimension, and say how it depends on others with `require`"),
                );
                return None;
            }
        };
        let program = self.program;
        let local = self.scopes.find(signature.env, name).0.map(|(thing, at)| (thing.clone(), at));
        let constant = match program.find(ROOT, name) {
            Some(named) if local.is_none() => match named.item {
                Item::Const(at) => Some(program.constant(named.file, at)),
                Item::Function(_) | Item::Kernel(_) | Item::Poison => None,
            },
            _ => None,
        };
        match (local, constant) {
            (Some((Thing::Extent(extent), _)), _) if !self.is_knob(extent) => Some(extent),
            (Some((Thing::Poison, _)), _) | (None, Some(None)) => None,
            (None, Some(Some(value))) if value >= 0 => Some(Extent::Const(value)),
            (None, Some(Some(value))) => {
                self.report(Diagnostic::error(
                    codes::E0414,
                    dim.span,
                    format!("a dimension cannot be {value}"),
                    "less than 0",
                ));
                None
            }
            (Some((thing, at)), _) => {
                let text = self.thing_text(&thing);
                self.report(
                    Diagnostic::error(
                        codes::E0205,
                        dim.span,
                        format!("`{name}` is {text} and cannot be a dimension too"),
                        "used as a dimension",
                    )
                    .with(at, "declared here"),
                );
                None
            }
            (None, None) => {
                let data = tilec_ir::DimData { name: name.to_string() };
                let extent = Extent::Dim(self.kernel.dims.push(data));
                self.bind(signature, name, dim.span, Thing::Extent(extent));
                Some(extent)
            }
        }
    }

    /// Knobs are chosen after the arguments are there, so no argument's shape can depend on one.
    fn is_knob(&self, extent: Extent) -> bool {
        let Extent::Generic(generic) = extent else { return false };
        matches!(self.kernel.generics[generic].kind, GenericKind::Knob(_))
    }

    /// Reports element types that no parameter determines.
    fn determined(&mut self, kernel: &'a ast::Kernel) {
        for generic in &kernel.generics {
            let ast::GenericKind::DType(_) = generic.kind else { continue };
            let name = &generic.name.name;
            let mentions = |param: &ast::Param| match param.ty.as_ref().map(|ty| &ty.kind) {
                Some(TypeKind::Scalar(elem) | TypeKind::Tensor { elem, .. }) => elem.name == *name,
                // What such a parameter would have said is not known.
                Some(TypeKind::Tile { .. } | TypeKind::Error) | None => true,
            };
            if !kernel.params.iter().any(mentions) {
                self.report(
                    Diagnostic::error(
                        codes::E0409,
                        generic.name.span,
                        format!("no parameter says what `{name}` is"),
                        "in no parameter's type",
                    )
                    .note("the element types of a kernel are found from the arguments it is launched with"),
                );
            }
        }
    }

    fn grid(&mut self, mut env: Env, kernel: &'a ast::Kernel) -> Env {
        if kernel.grid.len() > limits::RANK {
            self.report(Diagnostic::error(
                codes::E0608,
                kernel.name.span,
                format!("a grid of {} axes; at most {}", kernel.grid.len(), limits::RANK),
                "too many",
            ));
            return env;
        }
        let signature = env;
        for (n, axis) in kernel.grid.iter().enumerate() {
            let twin = kernel.grid[..n].iter().find(|other| other.name.name == axis.name.name);
            let thing = if let Some(first) = twin {
                self.report(
                    Diagnostic::error(
                        codes::E0303,
                        axis.name.span,
                        format!("grid axis `{}` is declared twice", axis.name.name),
                        "again here",
                    )
                    .with(first.name.span, "first here"),
                );
                None
            } else {
                self.grid_axis(signature, axis)
            };
            let thing = thing.unwrap_or(Thing::Poison);
            env = self.scopes.bind(env, &axis.name.name, axis.name.span, thing);
        }
        env
    }

    fn grid_axis(&mut self, env: Env, axis: &'a ast::GridAxis) -> Option<Thing<'a>> {
        let programs = self.host_number(env, &axis.extent);
        let by = match &axis.by {
            Some(by) => Some(self.block_extent(env, by)?),
            None => None,
        };
        let programs = programs?;
        let name = axis.name.name.clone();
        let position = self.kernel.grid.len();
        let Some(by) = by else {
            self.kernel.grid.push(GridAxis { name, programs });
            return Some(Thing::Value(self.program_value(position)));
        };
        let blocks = HostExpr::binary(HostOp::Cdiv, programs, self.host_extent(by));
        self.kernel.grid.push(GridAxis { name: name.clone(), programs: blocks });
        let end = self.eval(env, &axis.extent);
        let end = self.scalar_integer(&end, "an extent")?;
        let program = self.program_value(position);
        let size = self.extent_value(by);
        self.span = axis.span;
        let mut build = self.build();
        let start = build.binary(tilec_ir::BinaryOp::Mul, program, size);
        let data = AxisData { name, extent: by, full: false, span: axis.name.span };
        Some(Thing::Axis(build.axis(data, start, end)))
    }

    /// Reports `&mut` tensors that nothing writes.
    fn unwritten_outputs(&mut self) {
        let mut written = vec![false; self.kernel.params.len()];
        for inst in self.kernel.insts.values() {
            if let Op::Store(param) | Op::AtomicAdd(param) = inst.op {
                written[tilec_ir::Entity::index(param)] = true;
            }
        }
        let missing: Vec<(String, Span)> = self
            .kernel
            .params
            .values()
            .zip(written)
            .filter(|(data, written)| {
                matches!(data.ty, ParamType::Tensor { mutable: true, .. }) && !written
            })
            .map(|(data, _)| (data.name.clone(), data.span))
            .collect();
        for (name, span) in missing {
            let kernel = self.kernel.name.clone();
            if self.spec {
                self.sink.add_if_sound(
                    Diagnostic::error(
                        codes::E0406,
                        self.kernel.span,
                        format!("the spec of `{kernel}` does not say what `{name}` must be"),
                        format!("`{name}` is never stored to"),
                    )
                    .with(span, "an output of the kernel"),
                );
            } else {
                self.sink.add_if_sound(
                    Diagnostic::warning(
                        codes::W0904,
                        span,
                        format!("kernel `{kernel}` never writes `{name}`"),
                        "a `&mut` tensor",
                    )
                    .help("if it is only read, declare it `&`"),
                );
            }
        }
    }
}

/// A signature on its way.
struct Signature<'a> {
    env: Env,
    names: BTreeMap<&'a str, Span>,
}

/// The kernel a spec belongs to, with its position among the items; a report where there is none.
pub(crate) fn kernel_of<'p>(
    program: &'p Program,
    spec: &ast::Spec,
) -> Result<(usize, &'p ast::Kernel), Diagnostic> {
    let items = &program.file(ROOT).ast.items;
    let kernels = || {
        items.iter().enumerate().filter_map(|(at, item)| match item {
            ast::Item::Kernel(kernel) => Some((at, kernel)),
            _ => None,
        })
    };
    let found = kernels().find(|(_, kernel)| kernel.name.name == spec.name.name);
    found.ok_or_else(|| {
        let report = Diagnostic::error(
            codes::E0405,
            spec.name.span,
            format!("there is no kernel `{}` in this file", spec.name.name),
            "no such kernel",
        );
        let names = || kernels().map(|(_, kernel)| kernel.name.name.as_str());
        match closest(&spec.name.name, names()) {
            Some(near) => report.replace("a similar kernel exists", spec.name.span, near),
            None if kernels().next().is_none() => report.note("the file has no kernels"),
            None => report.note(format!("it has {}", listed(names().take(20)))),
        }
    })
}

/// A kernel with a name and nothing else.
pub(crate) fn empty(name: &ast::Ident) -> Kernel {
    Kernel::new(name.name.clone(), name.span)
}
