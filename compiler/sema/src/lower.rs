//! The state of lowering one kernel or spec, and what bounds it.
//!
//! Everything a program needs but does not compute (dimensions, constants, knobs, number
//! parameters, its position in the grid, whole axes) is made once, at the start of the body: the
//! *prelude*. So it is known everywhere, whatever block first asks for it.

use std::collections::BTreeMap;

use tilec_ir::{
    Axis, AxisData, Block, Builder, Extent, Imm, Inst, Kernel, Op, Param, ParamType, Type, Value,
    limits,
};
use tilec_vocab::{Diagnostic, Sources, Span, codes};

use crate::import::Program;
use crate::knobs::Facts;
use crate::report::Sink;
use crate::scope::{Scopes, Thing, Var, VarId};

/// Calls inside one another.
pub(crate) const MAX_CALLS: usize = 32;
/// Expressions, statements and calls inside one another, over all inlined bodies.
pub(crate) const MAX_DEPTH: u32 = 192;
/// Steps of lowering for one kernel; what emits nothing takes time all the same.
const MAX_STEPS: usize = 1_000_000;

/// Something evaluated, and where it stands.
#[derive(Clone)]
pub(crate) struct Arg<'a> {
    /// What it is.
    pub thing: Thing<'a>,
    /// Where it is written.
    pub span: Span,
    /// Whether `as T` behind its text would apply to all of it.
    pub tight: bool,
}

/// A call being inlined.
pub(crate) struct Frame {
    /// What is called: `` `attend` `` or `this closure`.
    pub callee: String,
    /// The call.
    pub call: Span,
}

/// One kernel or spec on its way to IR.
pub(crate) struct Lower<'a> {
    /// All files.
    pub program: &'a Program,
    /// What is known of their functions.
    pub facts: &'a Facts,
    /// Their texts.
    pub sources: &'a Sources,
    /// What is to be said.
    pub sink: Sink,
    /// The kernel so far.
    pub kernel: Kernel,
    /// Whether it is a spec.
    pub spec: bool,
    /// Where instructions go.
    pub block: Block,
    /// The source of new instructions.
    pub span: Span,
    /// All names.
    pub scopes: Scopes<'a>,
    /// The calls being inlined, outermost first.
    pub frames: Vec<Frame>,
    /// The number of the body being lowered; each call has its own.
    pub frame: u32,
    /// How many frames there have been.
    pub frame_count: u32,
    pub(crate) vars: Vec<Var<'a>>,
    /// Assignments since the start, with what they replaced: how branches are undone.
    pub(crate) log: Vec<(VarId, Value)>,
    /// Blocks around the current one.
    pub(crate) block_depth: usize,
    depth: u32,
    steps: usize,
    /// Set once a limit was passed: nothing more is lowered.
    pub(crate) exhausted: bool,
    prelude: usize,
    prelude_values: BTreeMap<Known, Value>,
    whole_axes: BTreeMap<(String, Extent), Axis>,
}

/// What the prelude knows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Known {
    Extent(Extent),
    Scalar(Param),
    Program(u32),
    Zero,
}

impl<'a> Lower<'a> {
    /// A kernel with nothing in it.
    pub fn new(
        program: &'a Program,
        facts: &'a Facts,
        sources: &'a Sources,
        sink: Sink,
        kernel: Kernel,
    ) -> Lower<'a> {
        let (block, span) = (kernel.body, kernel.span);
        Lower {
            program,
            facts,
            sources,
            sink,
            kernel,
            spec: false,
            block,
            span,
            scopes: Scopes::default(),
            frames: Vec::new(),
            frame: 0,
            frame_count: 1,
            vars: Vec::new(),
            log: Vec::new(),
            block_depth: 1,
            depth: 0,
            steps: 0,
            exhausted: false,
            prelude: 0,
            prelude_values: BTreeMap::new(),
            whole_axes: BTreeMap::new(),
        }
    }

    /// A builder at the place where instructions go.
    pub fn build(&mut self) -> Builder<'_> {
        Builder { kernel: &mut self.kernel, block: self.block, span: self.span }
    }

    /// Reports a message, with the calls it was found in.
    #[cold]
    #[inline(never)]
    pub fn report(&mut self, mut diagnostic: Diagnostic) {
        for frame in self.frames.iter().rev().take(4) {
            let known =
                diagnostic.labels.iter().any(|label| !label.primary && label.span == frame.call);
            if !known {
                diagnostic =
                    diagnostic.with(frame.call, format!("in this call of {}", frame.callee));
            }
        }
        self.sink.add(diagnostic);
    }

    /// Reports a warning, unless it is about a file that was only imported.
    #[cold]
    #[inline(never)]
    pub fn warn(&mut self, diagnostic: Diagnostic) {
        if diagnostic.span().file == self.kernel.span.file {
            self.sink.add(diagnostic);
        }
    }

    /// Counts a step and a level of nesting; `false` once a limit is passed. Every `enter` that
    /// gave `true` is followed by a [`Lower::leave`].
    pub fn enter(&mut self, span: Span) -> bool {
        self.count_steps(1, span);
        if self.exhausted {
            return false;
        }
        if self.depth >= MAX_DEPTH {
            self.too_deep(span);
            return false;
        }
        self.depth += 1;
        true
    }

    /// Ends a level of nesting.
    pub fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Counts work.
    pub fn count_steps(&mut self, steps: usize, span: Span) {
        self.steps += steps;
        if !self.exhausted && (self.steps > MAX_STEPS || self.kernel.insts.len() > limits::INSTS) {
            self.too_large(span);
        }
    }

    #[cold]
    #[inline(never)]
    fn too_large(&mut self, span: Span) {
        self.exhausted = true;
        let kind = if self.spec { "spec" } else { "kernel" };
        let name = self.kernel.name.clone();
        let what = if self.steps > MAX_STEPS {
            format!("more than {MAX_STEPS} steps to inline everything")
        } else {
            format!("more than {} instructions once everything is inlined", limits::INSTS)
        };
        self.report(
            Diagnostic::error(
                codes::E0603,
                span,
                format!("{kind} `{name}` is too large: {what}"),
                "the limit is passed here",
            )
            .note("functions are copied into each place that calls them; two calls in each of twenty functions make a million copies"),
        );
    }

    #[cold]
    #[inline(never)]
    fn too_deep(&mut self, span: Span) {
        self.exhausted = true;
        self.report(Diagnostic::error(
            codes::E0604,
            span,
            format!("nested more than {MAX_DEPTH} deep once everything is inlined"),
            "the limit is passed here",
        ));
    }

    /// A new block, unless blocks stand too deep inside one another.
    pub fn open_block(&mut self, types: Vec<Type>, span: Span) -> Option<Block> {
        if self.block_depth >= limits::DEPTH - 1 {
            self.exhausted = true;
            self.report(
                Diagnostic::error(
                    codes::E0604,
                    span,
                    format!(
                        "more than {} loops and branches inside one another",
                        limits::DEPTH - 2
                    ),
                    "one too many",
                )
                .note("what follows an `if` with a `return` counts as inside it"),
            );
            return None;
        }
        Some(self.build().new_block(types))
    }

    /// Where a variable stands.
    pub fn var(&self, id: VarId) -> Option<&Var<'a>> {
        self.vars.get(id.0 as usize)
    }

    fn in_prelude(&mut self, op: Op, args: &[Value], result: Option<Type>) -> Inst {
        let span = self.kernel.span;
        let block = self.kernel.body;
        let mut builder = Builder { kernel: &mut self.kernel, block, span };
        let inst = builder.inst(op, args.iter().copied(), [], result);
        let insts = &mut self.kernel.blocks[block].insts;
        insts.pop();
        insts.insert(self.prelude, inst);
        self.prelude += 1;
        inst
    }

    fn known(&mut self, known: Known) -> Value {
        if let Some(&value) = self.prelude_values.get(&known) {
            return value;
        }
        let i64 = tilec_ir::Elem::I64;
        let (op, elem, name) = match known {
            Known::Extent(Extent::Const(value)) => (Op::Const(Imm::Int(value)), i64, None),
            Known::Extent(Extent::Generic(generic)) => {
                (Op::Generic(generic), i64, Some(self.kernel.generics[generic].name.clone()))
            }
            Known::Extent(Extent::Dim(dim)) => {
                (Op::Dim(dim), i64, Some(self.kernel.dims[dim].name.clone()))
            }
            Known::Scalar(param) => {
                let data = &self.kernel.params[param];
                let (ParamType::Scalar(elem) | ParamType::Tensor { elem, .. }) = data.ty;
                (Op::Scalar(param), elem, Some(data.name.clone()))
            }
            Known::Program(axis) => {
                let name = self.kernel.grid.get(axis as usize).map(|grid| grid.name.clone());
                (Op::Program(axis), i64, name)
            }
            Known::Zero => (Op::Const(Imm::Int(0)), i64, None),
        };
        let inst = self.in_prelude(op, &[], Some(Type::scalar(elem)));
        let value = self.kernel.insts[inst].results[0];
        self.kernel.values[value].name = name;
        self.prelude_values.insert(known, value);
        value
    }

    /// A dimension, constant or knob as a number.
    pub fn extent_value(&mut self, extent: Extent) -> Value {
        self.known(Known::Extent(extent))
    }

    /// A number parameter.
    pub fn scalar_value(&mut self, param: Param) -> Value {
        self.known(Known::Scalar(param))
    }

    /// This program's position along a grid axis.
    pub fn program_value(&mut self, axis: usize) -> Value {
        self.known(Known::Program(axis as u32))
    }

    /// The axis of all indices below `extent` that goes by `name`.
    ///
    /// Name and extent say all there is to know of it, so it is one axis wherever it is declared,
    /// also in two functions: a tile over `d in D` that one returns fits the `d in D` of another.
    pub fn whole_axis(&mut self, name: &str, extent: Extent, span: Span) -> Axis {
        let key = (name.to_string(), extent);
        if let Some(&axis) = self.whole_axes.get(&key) {
            return axis;
        }
        let (start, end) = (self.known(Known::Zero), self.extent_value(extent));
        let data = AxisData { name: name.to_string(), extent, full: true, span };
        let axis = self.kernel.axes.push(data);
        self.in_prelude(Op::Axis(axis), &[start, end], None);
        self.whole_axes.insert(key, axis);
        axis
    }

    /// The dimensions of a tensor.
    pub fn tensor_dims(&self, param: Param) -> &[Extent] {
        match &self.kernel.params[param].ty {
            ParamType::Tensor { dims, .. } => dims,
            ParamType::Scalar(_) => &[],
        }
    }

    /// Gives a value the name it is first bound to, for readable dumps.
    pub fn name_value(&mut self, value: Value, name: &str) {
        let slot = &mut self.kernel.values[value].name;
        if slot.is_none() {
            *slot = Some(name.to_string());
        }
    }
}
