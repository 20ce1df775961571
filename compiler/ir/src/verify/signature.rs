//! Second layer: names, dimensions, generics, host expressions, extents.

use std::collections::BTreeSet;

use tilec_vocab::{DType, HostExpr};

use super::{Checker, Rule};
use crate::entity::Entity;
use crate::kernel::{GenericKind, ParamType};
use crate::limits;
use crate::types::{Elem, Extent};

/// Words of host expressions that no name may shadow.
const HOST_WORDS: &[&str] = &["not", "and", "or"];

impl Checker<'_> {
    pub(super) fn signature(&mut self) {
        self.identifiers();
        self.distinct();
        self.dimensions();
        self.param_generics();
        let kernel = self.kernel;
        for expr in kernel.requires.iter().map(|require| &require.expr) {
            self.host_expr(expr, 1);
        }
        for axis in &kernel.grid {
            self.host_expr(&axis.programs, 1);
        }
        for require in &kernel.requires {
            let bytes = require.text.escape_default().count() + 2;
            self.limit(bytes, limits::REQUIRE_BYTES, None, "bytes in one `require`");
        }
    }

    fn identifiers(&mut self) {
        let kernel = self.kernel;
        let generics = kernel.generics.values().map(|generic| &generic.name);
        for name in generics.clone() {
            if DType::from_name(name).is_some() {
                self.report(Rule::Identifiers, None, format!("a generic called `{name}`"));
            }
        }
        let names = std::iter::once(&kernel.name)
            .chain(generics)
            .chain(kernel.params.values().map(|param| &param.name))
            .chain(kernel.dims.values().map(|dim| &dim.name))
            .chain(kernel.grid.iter().map(|axis| &axis.name))
            .chain(kernel.axes.values().map(|axis| &axis.name))
            .chain(kernel.values.values().filter_map(|value| value.name.as_ref()));
        for name in names {
            // Values and axes are written with a number behind the name.
            if !is_identifier(name) || name.len() > limits::WORD_BYTES - 16 {
                let shown: String = name.escape_debug().take(60).collect();
                self.report(Rule::Identifiers, None, format!("the name `{shown}`"));
            }
        }
    }

    fn distinct(&mut self) {
        let kernel = self.kernel;
        let names = (kernel.generics.values().map(|generic| &generic.name))
            .chain(kernel.params.values().map(|param| &param.name))
            .chain(kernel.dims.values().map(|dim| &dim.name));
        let mut seen = BTreeSet::new();
        for name in names {
            if !seen.insert(name) {
                self.report(Rule::Distinct, None, format!("two things called `{name}`"));
            }
        }
        for generic in kernel.generics.values() {
            if let GenericKind::Knob(choices) = &generic.kind {
                let different: BTreeSet<&i64> = choices.iter().collect();
                if different.len() != choices.len() || choices.is_empty() {
                    let message = format!("the choices of `{}`: {choices:?}", generic.name);
                    self.report(Rule::Distinct, None, message);
                }
            }
        }
    }

    fn dimensions(&mut self) {
        let mut next = 0;
        for param in self.kernel.params.values() {
            let ParamType::Tensor { dims, .. } = &param.ty else { continue };
            for extent in dims {
                let Extent::Dim(dim) = extent else { continue };
                if dim.index() > next {
                    let message = format!("`{}` comes too late", self.kernel.dims[*dim].name);
                    self.report(Rule::Dimensions, None, message);
                }
                next = next.max(dim.index() + 1);
            }
        }
        if next < self.kernel.dims.len() {
            self.report(Rule::Dimensions, None, "a dimension that no parameter has");
        }
    }

    fn param_generics(&mut self) {
        for param in self.kernel.params.values() {
            let (elem, dims): (_, &[Extent]) = match &param.ty {
                ParamType::Scalar(elem) => (*elem, &[]),
                ParamType::Tensor { elem, dims, .. } => (*elem, dims),
            };
            let fine =
                self.elem_is_sound(elem) && dims.iter().all(|&extent| self.extent_is_sound(extent));
            if !fine {
                self.report(Rule::Generics, None, format!("the type of `{}`", param.name));
            }
            if dims.iter().any(|extent| matches!(extent, Extent::Const(n) if *n < 0)) {
                self.report(Rule::Extents, None, format!("the type of `{}`", param.name));
            }
        }
    }

    pub(super) fn elem_is_sound(&self, elem: Elem) -> bool {
        match elem {
            Elem::Known(_) => true,
            Elem::Generic(generic, class) => {
                self.kernel.generics[generic].kind == GenericKind::DType(class)
            }
        }
    }

    pub(super) fn extent_is_sound(&self, extent: Extent) -> bool {
        match extent {
            Extent::Const(_) | Extent::Dim(_) => true,
            Extent::Generic(generic) => match self.kernel.generics[generic].kind {
                GenericKind::Const | GenericKind::Knob(_) => true,
                GenericKind::DType(_) => false,
            },
        }
    }

    fn host_expr(&mut self, expr: &HostExpr, depth: usize) {
        if depth > limits::DEPTH {
            return self.report(Rule::Limits, None, "a host expression nested too deep");
        }
        match expr {
            HostExpr::Int(_) => {}
            HostExpr::Name(name) => {
                if !self.is_host_name(name) || HOST_WORDS.contains(&name.as_str()) {
                    self.report(Rule::HostNames, None, format!("`{name}` in a host expression"));
                }
            }
            HostExpr::Binary(_, a, b) => {
                self.host_expr(a, depth + 1);
                self.host_expr(b, depth + 1);
            }
            HostExpr::Not(x) => self.host_expr(x, depth + 1),
        }
    }

    fn is_host_name(&self, name: &str) -> bool {
        let kernel = self.kernel;
        kernel.dims.values().any(|dim| dim.name == name)
            || kernel.param(name).is_some_and(|param| match &kernel.params[param].ty {
                ParamType::Scalar(elem) => elem.is_int(),
                ParamType::Tensor { .. } => false,
            })
            || kernel.generics.values().any(|generic| {
                generic.name == name && !matches!(generic.kind, GenericKind::DType(_))
            })
    }
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
