//! Scalar integer expressions over values known before a loop: the end points of tile classes.
//!
//! One tree, three uses: printed for `tilec inspect`, evaluated for a given shape, and emitted as IR
//! before the loop. All three must agree, so nothing else in this pass makes arithmetic.

use std::fmt::Write;

use tilec_ir::{
    Axis, BinaryOp, Builder, CompareOp, Copier, Elem, Imm, Kernel, Op, ParamType, ReduceOp, Value,
    ValueDef,
};

use super::scope::Scope;

/// An `i64` known before the loop. Division rounds down.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expr {
    /// A literal.
    Int(i64),
    /// A scalar of the kernel.
    Value(Value),
    /// The first index of an axis.
    First(Axis),
    /// The last present index of an axis.
    Last(Axis),
    /// The least or greatest present element of a tile.
    Extreme(ReduceOp, Value),
    /// Sum of terms.
    Sum(Vec<Expr>),
    /// A term times a constant.
    Scale(i64, Box<Expr>),
    /// Quotient by a positive constant, rounded down.
    Floor(Box<Expr>, i64),
    /// The least of several.
    Min(Vec<Expr>),
    /// The greatest of several.
    Max(Vec<Expr>),
    /// `if a <= b then x else y`.
    IfLe(Box<[Expr; 4]>),
}

#[allow(
    clippy::should_implement_trait,
    reason = "beside `scale` and `floor`, which are no operators"
)]
impl Expr {
    /// `a + b`, constants gathered.
    pub fn add(self, other: Expr) -> Expr {
        let mut constant = 0i64;
        let mut terms = Vec::new();
        for part in [self, other] {
            match part {
                Expr::Int(n) => constant = constant.saturating_add(n),
                Expr::Sum(inner) => {
                    for term in inner {
                        match term {
                            Expr::Int(n) => constant = constant.saturating_add(n),
                            term => terms.push(term),
                        }
                    }
                }
                term => terms.push(term),
            }
        }
        if constant != 0 || terms.is_empty() {
            terms.push(Expr::Int(constant));
        }
        if terms.len() == 1 { terms.swap_remove(0) } else { Expr::Sum(terms) }
    }

    /// `factor * self`.
    pub fn scale(self, factor: i64) -> Expr {
        match (factor, self) {
            (0, _) => Expr::Int(0),
            (1, x) => x,
            (f, Expr::Int(n)) => Expr::Int(f.saturating_mul(n)),
            (f, Expr::Scale(g, x)) => x.scale(f.saturating_mul(g)),
            (f, Expr::Sum(terms)) => {
                terms.into_iter().map(|term| term.scale(f)).fold(Expr::Int(0), Expr::add)
            }
            (f, x) => Expr::Scale(f, Box::new(x)),
        }
    }

    /// `a - b`.
    pub fn sub(self, other: Expr) -> Expr {
        self.add(other.scale(-1))
    }

    /// Quotient by `divisor > 0`, rounded down.
    pub fn floor(self, divisor: i64) -> Expr {
        match self {
            x if divisor == 1 => x,
            Expr::Int(n) => Expr::Int(n.div_euclid(divisor)),
            x => Expr::Floor(Box::new(x), divisor),
        }
    }

    /// Quotient by `divisor > 0`, rounded up.
    pub fn ceil(self, divisor: i64) -> Expr {
        self.scale(-1).floor(divisor).scale(-1)
    }

    /// The lesser.
    pub fn min(self, other: Expr) -> Expr {
        match (self, other) {
            (Expr::Int(a), Expr::Int(b)) => Expr::Int(a.min(b)),
            (a, b) if a == b => a,
            (Expr::Min(mut items), b) => {
                if !items.contains(&b) {
                    items.push(b);
                }
                Expr::Min(items)
            }
            (a, b) => Expr::Min(vec![a, b]),
        }
    }

    /// The greater.
    pub fn max(self, other: Expr) -> Expr {
        match (self, other) {
            (Expr::Int(a), Expr::Int(b)) => Expr::Int(a.max(b)),
            (a, b) if a == b => a,
            (Expr::Max(mut items), b) => {
                if !items.contains(&b) {
                    items.push(b);
                }
                Expr::Max(items)
            }
            (a, b) => Expr::Max(vec![a, b]),
        }
    }

    /// `if a <= b then x else y`.
    pub fn if_le(a: Expr, b: Expr, x: Expr, y: Expr) -> Expr {
        match (&a, &b) {
            (Expr::Int(a), Expr::Int(b)) => {
                if a <= b {
                    x
                } else {
                    y
                }
            }
            _ if x == y => x,
            _ => Expr::IfLe(Box::new([a, b, x, y])),
        }
    }

    /// Visits every leaf.
    pub fn leaves(&self, visit: &mut dyn FnMut(&Expr)) {
        match self {
            Expr::Int(_) | Expr::Value(_) | Expr::First(_) | Expr::Last(_) | Expr::Extreme(..) => {
                visit(self)
            }
            Expr::Sum(items) | Expr::Min(items) | Expr::Max(items) => {
                items.iter().for_each(|item| item.leaves(visit));
            }
            Expr::Scale(_, x) | Expr::Floor(x, _) => x.leaves(visit),
            Expr::IfLe(parts) => parts.iter().for_each(|part| part.leaves(visit)),
        }
    }

    /// The value, leaves given by `leaf`; saturates where 128 bits do not suffice.
    pub fn eval(&self, leaf: &dyn Fn(&Expr) -> i128) -> i128 {
        match self {
            Expr::Int(n) => i128::from(*n),
            Expr::Value(_) | Expr::First(_) | Expr::Last(_) | Expr::Extreme(..) => leaf(self),
            Expr::Sum(items) => {
                items.iter().fold(0i128, |sum, item| sum.saturating_add(item.eval(leaf)))
            }
            Expr::Scale(factor, x) => x.eval(leaf).saturating_mul(i128::from(*factor)),
            Expr::Floor(x, divisor) => x.eval(leaf).div_euclid(i128::from(*divisor)),
            Expr::Min(items) => items.iter().map(|item| item.eval(leaf)).min().unwrap_or(0),
            Expr::Max(items) => items.iter().map(|item| item.eval(leaf)).max().unwrap_or(0),
            Expr::IfLe(parts) => {
                let [a, b, x, y] = parts.as_ref();
                if a.eval(leaf) <= b.eval(leaf) { x.eval(leaf) } else { y.eval(leaf) }
            }
        }
    }

    /// Makes the value with the builder; leaves are renamed by `copier`.
    pub fn emit(&self, scope: &Scope<'_>, copier: &Copier, to: &mut Builder<'_>) -> Value {
        match self {
            Expr::Int(n) => to.int(*n),
            Expr::Value(value) => to.cast(copier.value(*value), Elem::I64),
            Expr::First(axis) => copier.value(scope.start(*axis)),
            Expr::Last(axis) => {
                let start = copier.value(scope.start(*axis));
                let extent = to.extent(scope.kernel.axes[*axis].extent);
                let past = to.binary(BinaryOp::Add, start, extent);
                let past = if scope.kernel.axes[*axis].full {
                    past
                } else {
                    let end = copier.value(scope.end(*axis));
                    to.binary(BinaryOp::Min, past, end)
                };
                let one = to.int(1);
                to.binary(BinaryOp::Sub, past, one)
            }
            Expr::Extreme(op, value) => {
                let value = copier.value(*value);
                let axes: Vec<Axis> = to.kernel.ty(value).axes.iter().collect();
                let wide = to.cast(value, Elem::I64);
                to.reduce(*op, wide, &axes)
            }
            Expr::Sum(items) => emit_all(items, BinaryOp::Add, scope, copier, to),
            Expr::Min(items) => emit_all(items, BinaryOp::Min, scope, copier, to),
            Expr::Max(items) => emit_all(items, BinaryOp::Max, scope, copier, to),
            Expr::Scale(factor, x) => {
                let x = x.emit(scope, copier, to);
                let factor = to.int(*factor);
                to.binary(BinaryOp::Mul, x, factor)
            }
            Expr::Floor(x, divisor) => {
                let x = x.emit(scope, copier, to);
                let divisor = to.int(*divisor);
                to.binary(BinaryOp::Div, x, divisor)
            }
            Expr::IfLe(parts) => {
                let [a, b, x, y] = parts.as_ref().each_ref().map(|p| p.emit(scope, copier, to));
                let holds = to.compare(CompareOp::Le, a, b);
                to.select(holds, x, y)
            }
        }
    }

    /// As a person would write it.
    pub fn show(&self, kernel: &Kernel) -> String {
        match self {
            Expr::Int(n) => n.to_string(),
            Expr::Value(value) => name(kernel, *value),
            Expr::First(axis) => format!("first {}", kernel.axes[*axis].name),
            Expr::Last(axis) => format!("last {}", kernel.axes[*axis].name),
            Expr::Extreme(op, value) => format!("{}({})", op.name(), name(kernel, *value)),
            Expr::Sum(items) => show_sum(items, kernel),
            Expr::Scale(-1, x) => match x.as_ref() {
                // A quotient rounded up.
                Expr::Floor(x, divisor) => {
                    format!("cdiv({}, {divisor})", x.clone().scale(-1).show(kernel))
                }
                x => format!("-{}", x.show_tight(kernel)),
            },
            Expr::Scale(factor, x) => format!("{factor}*{}", x.show_tight(kernel)),
            Expr::Floor(x, divisor) => format!("{} / {divisor}", x.show_tight(kernel)),
            Expr::Min(items) => format!("min({})", show_list(items, kernel)),
            Expr::Max(items) => format!("max({})", show_list(items, kernel)),
            Expr::IfLe(parts) => {
                let [a, b, x, y] = parts.as_ref().each_ref().map(|p| p.show(kernel));
                format!("({x} if {a} <= {b} else {y})")
            }
        }
    }

    fn show_tight(&self, kernel: &Kernel) -> String {
        match self {
            Expr::Sum(_) | Expr::Scale(..) | Expr::Floor(..) => format!("({})", self.show(kernel)),
            Expr::Int(_)
            | Expr::Value(_)
            | Expr::First(_)
            | Expr::Last(_)
            | Expr::Extreme(..)
            | Expr::Min(_)
            | Expr::Max(_)
            | Expr::IfLe(_) => self.show(kernel),
        }
    }
}

fn emit_all(
    items: &[Expr],
    op: BinaryOp,
    scope: &Scope<'_>,
    copier: &Copier,
    to: &mut Builder<'_>,
) -> Value {
    let mut result: Option<Value> = None;
    for item in items {
        let value = item.emit(scope, copier, to);
        result = Some(match result {
            Some(so_far) => to.binary(op, so_far, value),
            None => value,
        });
    }
    result.unwrap_or_else(|| to.int(0))
}

fn show_list(items: &[Expr], kernel: &Kernel) -> String {
    items.iter().map(|item| item.show(kernel)).collect::<Vec<_>>().join(", ")
}

fn show_sum(items: &[Expr], kernel: &Kernel) -> String {
    let mut text = String::new();
    // A positive term first, so that no sum opens with a minus where it need not.
    let lead = items.iter().position(|item| !matches!(item, Expr::Scale(f, _) if *f < 0));
    let order = lead.into_iter().chain((0..items.len()).filter(|&i| Some(i) != lead));
    for (n, item) in order.map(|i| &items[i]).enumerate() {
        let (sign, body) = match item {
            Expr::Int(c) if *c < 0 && n > 0 => (" - ", c.unsigned_abs().to_string()),
            Expr::Scale(-1, x) => (if n > 0 { " - " } else { "-" }, x.show_tight(kernel)),
            Expr::Scale(f, x) if *f < 0 && n > 0 => {
                (" - ", format!("{}*{}", f.unsigned_abs(), x.show_tight(kernel)))
            }
            other => (if n > 0 { " + " } else { "" }, other.show(kernel)),
        };
        let _ = write!(text, "{sign}{body}");
    }
    text
}

/// A name for a scalar or tile, from the source where it has one.
pub fn name(kernel: &Kernel, value: Value) -> String {
    if let Some(name) = &kernel.values[value].name {
        return name.clone();
    }
    let ValueDef::Result(inst, _) = kernel.values[value].def else { return value.to_string() };
    let data = &kernel.insts[inst];
    match &data.op {
        Op::Dim(dim) => kernel.dims[*dim].name.clone(),
        Op::Scalar(param) => kernel.params[*param].name.clone(),
        Op::Program(at) => format!("program {}", kernel.grid[*at as usize].name),
        Op::Index(axis) => kernel.axes[*axis].name.clone(),
        Op::Cast => name(kernel, data.args[0]),
        Op::Load(param) => {
            let param = &kernel.params[*param];
            let indices: Vec<String> = data.args.iter().map(|&a| name(kernel, a)).collect();
            match param.ty {
                ParamType::Tensor { .. } => format!("{}[{}]", param.name, indices.join(", ")),
                ParamType::Scalar(_) => param.name.clone(),
            }
        }
        Op::Splat => name(kernel, data.args[0]),
        Op::Const(Imm::Int(n)) => n.to_string(),
        Op::Compare(op) => infix(kernel, &data.args, op.symbol()),
        Op::Binary(
            op @ (BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div | BinaryOp::Rem),
        ) => infix(kernel, &data.args, op.symbol()),
        _ => value.to_string(),
    }
}

fn infix(kernel: &Kernel, args: &[Value], sign: &str) -> String {
    format!("{} {sign} {}", name(kernel, args[0]), name(kernel, args[1]))
}
