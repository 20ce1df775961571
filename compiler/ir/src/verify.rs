//! The verifier: what every kernel keeps to, between any two passes and after any read.
//!
//! The rules stand in the table below. A kernel that breaks one was made wrongly by us, or comes
//! from a text that somebody else wrote; either way nothing downstream has to cope with it.
//!
//! Checked in three layers, since the later ones look things up freely: `structure` (every number
//! names a row, blocks form a tree), `signature`, and `scope` with `types`. Rows that no reachable
//! instruction uses are not looked at beyond the numbers in them.
//!
//! Deliberately not checked: that `full` is true of an axis, that indices are in range (an access
//! out of range does not happen), and that requirements can be met.

mod scope;
mod signature;
mod structure;
mod types;

use std::fmt;

use tilec_vocab::Bug;

use crate::kernel::{Inst, Kernel, Module, Tile};
use crate::names::Names;
use crate::print::Text;

macro_rules! rules {
    ($($name:ident $text:literal,)*) => {
        /// A rule; its number is its place in the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule { $(#[doc = $text] $name,)* }

        impl Rule {
            /// Every rule, in table order.
            pub const ALL: &[Rule] = &[$(Rule::$name,)*];

            /// What it demands.
            pub const fn text(self) -> &'static str {
                match self { $(Rule::$name => $text,)* }
            }
        }
    };
}

rules! {
    // Structure.
    Numbers "every value, block, axis, parameter, dimension, generic and grid position is in its table",
    Tree "every block belongs to one instruction or is the body, every instruction stands in one block",
    Definitions "a value is made where its row says, and nowhere else",
    Yields "a block ends in `yield`, and has no other",
    Limits "nesting and counts keep to the limits",
    // Signature.
    Identifiers "names are identifiers, at most 256 bytes long, and generics are not called like element types",
    Distinct "generics, parameters and dimensions have distinct names, and so have knob choices",
    Dimensions "dimensions are numbered in the order in which the parameters mention them",
    Generics "an element type's generic is an element type of its class, an extent's generic a constant or knob",
    HostNames "requirements and grid use dimensions, integer parameters, constants and knobs",
    Extents "an axis has from 1 to 2^20 lanes, a tensor's dimension is not negative",
    RuntimeExtents "only an `axis` of a spec has a run-time extent",
    TileSize "a tile has at most 2^20 elements",
    // Scope.
    Visible "an operand is defined before its use, in the same block or one around it",
    DeclaredOnce "an axis is declared by one instruction",
    AxisScope "an axis is used only after its `axis` in the same block or one around it, or inside its `for`",
    // Ops.
    Shape "an instruction has the operands, results, blocks and block parameters of its op",
    Literal "a literal is a scalar, and its type can hold it",
    Sources "`generic`, `dim`, `program` and `index` give i64, `scalar` the parameter's type",
    Bounds "the bounds of axes and loops are scalars of type i64",
    Splat "`splat` adds axes and changes nothing else",
    Elementwise "an element-wise op has operands of one type that it takes, and spans the union of their axes",
    Cast "`cast` keeps the axes and does not make bool",
    Reduce "a reduction is over distinct axes that its operand spans, and takes those away",
    Dot "a dot contracts distinct axes that both float operands span, and gives f32",
    Access "a tensor takes one i64 index for each dimension",
    Load "a load has the tensor's type over the axes of its indices",
    Store "a store or add is to a `&mut` tensor of the value's type, and its indices span the value's axes",
    Loop "a loop carries, yields and results in the same types, and its index is i64",
    Branch "a condition is a scalar bool, and both blocks yield the results' types",
    // Modules.
    Modules "kernels have distinct names and a grid, specs have no grid, and share the parameters of their kernel",
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {:?}: {}", self, self.text())
    }
}

/// One breach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What was broken.
    pub rule: Rule,
    /// By which instruction, unless the signature is at fault.
    pub inst: Option<Inst>,
    /// By what in it: `got f32[m, n], wanted f32[m]`.
    pub message: String,
}

/// Checks a kernel or spec, told apart by the grid.
///
/// # Errors
///
/// The first breach in the order of the text, with the number of others; the IR carries a comment
/// under each.
pub fn verify(kernel: &Kernel) -> Result<(), Bug> {
    let found = violations(kernel);
    let Some(first) = found.first() else { return Ok(()) };
    let others = match found.len() - 1 {
        0 => String::new(),
        n => format!(" (and {n} more)"),
    };
    let text = found.iter().fold(Text::new(kernel), |text, violation| match violation.inst {
        Some(inst) => text.note(inst, violation.message.clone()),
        None => text,
    });
    Err(Bug {
        stage: "verify",
        message: format!("{} in @{}: {}{others}", first.rule, kernel.name, first.message),
        ir: text.to_string(),
    })
}

/// Checks a module: each kernel and spec, and that they belong together.
///
/// # Errors
///
/// As [`verify`].
pub fn verify_module(module: &Module<Tile>) -> Result<(), Bug> {
    module.kernels.iter().chain(&module.specs).try_for_each(verify)?;
    let bug = |name: &str, what: &str| {
        Err(Bug::new("verify", format!("{}: @{name} {what}", Rule::Modules)))
    };
    for (n, kernel) in module.kernels.iter().enumerate() {
        if kernel.grid.is_empty() {
            return bug(&kernel.name, "has no grid");
        }
        if module.kernels[..n].iter().any(|other| other.name == kernel.name) {
            return bug(&kernel.name, "is there twice");
        }
    }
    for (n, spec) in module.specs.iter().enumerate() {
        if !spec.grid.is_empty() {
            return bug(&spec.name, "is a spec with a grid");
        }
        if module.specs[..n].iter().any(|other| other.name == spec.name) {
            return bug(&spec.name, "has two specs");
        }
        let same = |kernel: &Kernel| {
            let params = |kernel: &Kernel| {
                kernel.params.values().map(|p| (p.name.clone(), p.ty.clone())).collect::<Vec<_>>()
            };
            params(kernel) == params(spec) && kernel.dims == spec.dims
        };
        if module.kernel(&spec.name).is_some_and(|kernel| !same(kernel)) {
            return bug(&spec.name, "and its spec have different parameters");
        }
    }
    Ok(())
}

/// Every breach found, in the order of the text; a broken structure hides what lies behind it.
pub fn violations(kernel: &Kernel) -> Vec<Violation> {
    let mut checker = Checker { kernel, names: Names::new(kernel), found: Vec::new() };
    checker.structure();
    if checker.found.is_empty() {
        checker.signature();
        checker.scopes();
    }
    checker.found
}

struct Checker<'k> {
    kernel: &'k Kernel,
    names: Names<'k>,
    found: Vec<Violation>,
}

impl Checker<'_> {
    fn report(&mut self, rule: Rule, inst: impl Into<Option<Inst>>, message: impl Into<String>) {
        self.found.push(Violation { rule, inst: inst.into(), message: message.into() });
    }
}
