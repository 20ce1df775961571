//! The function: its values, and what each statement is written by.

use std::collections::BTreeMap;
use std::fmt;

use tilec_gpu::gir::{Buf, Op, Program, Slot, Stmt, Val};
use tilec_ir::{Axis, BinaryOp, Entity, Imm};
use tilec_layout::Layout;
use tilec_vocab::{DType, Span};

use super::control::{Around, Counter, Outside};
use super::intrinsics;
use super::lanes::Broadcasts;
use super::range::{EXTENT, Ranges};
use super::shared::Places;
use super::target::Target;
use super::text::Text;
use super::value::{Tile, Value, literal};

/// LLVM instructions before its passes; more would take minutes to compile.
const MOST_INSTRUCTIONS: usize = 100_000;

/// What this target cannot do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// A sentence that names it.
    pub what: String,
    /// Where it is asked for.
    pub span: Span,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Unsupported {}

pub(super) type Result<T> = std::result::Result<T, Unsupported>;

/// A place in a source file, for debug lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineColumn {
    /// As shown in diagnostics.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
}

/// Where a span begins; `None` for one without a source.
pub type Locate<'a> = &'a dyn Fn(Span) -> Option<LineColumn>;

/// LLVM IR of a program, before LLVM has seen it.
///
/// # Errors
///
/// [`Unsupported`] for what the target lacks, and for too much code.
pub fn llvm_ir(program: &Program, target: &Target) -> Result<String> {
    llvm_ir_with_lines(program, target, &|_| None)
}

/// As [`llvm_ir`], with the places that instructions come from.
///
/// # Errors
///
/// As [`llvm_ir`].
pub fn llvm_ir_with_lines(
    program: &Program,
    target: &Target,
    locate: Locate<'_>,
) -> Result<String> {
    let mut emitter = Emitter::new(program, target, locate);
    emitter.check_resources()?;
    emitter.body(&program.body)?;
    emitter.text.set_place(None);
    emitter.text.line("ret void");
    if let Some(name) = emitter.text.intrinsics().find(|name| !intrinsics::allowed(name)) {
        return Err(emitter.unsupported(format!("the intrinsic `{name}` is not on the list")));
    }
    Ok(emitter.module())
}

/// A value that has been made.
#[derive(Clone, Debug)]
pub struct Made {
    value: Value,
    /// Loops around its making.
    depth: usize,
}

/// Writes one function.
pub struct Emitter<'a> {
    pub program: &'a Program,
    pub target: &'a Target,
    pub text: Text,
    pub lines: super::entry::Lines<'a>,
    /// What each value was made as, so far.
    pub values: Vec<Option<Made>>,
    /// Values that loops count.
    pub counters: BTreeMap<Val, Counter>,
    /// The loops around the statement being written, the outermost first.
    pub loops: Vec<Around>,
    /// Statements before this one, in this block and those around it, that make uniform numbers.
    pub numbers: Vec<&'a Stmt>,
    /// For each block around the statement being written, what holds again after it.
    pub outside: Vec<Outside>,
    /// What is known of uniform integers.
    pub ranges: Ranges,
    /// Where broadcast operands are, found once for each pair of layouts.
    pub broadcasts: Broadcasts,
    /// Addresses of accesses to shared memory, found once for each buffer and layout.
    pub places: Vec<Places>,
    span: Span,
}

impl<'a> Emitter<'a> {
    fn new(program: &'a Program, target: &'a Target, locate: Locate<'a>) -> Emitter<'a> {
        Emitter {
            program,
            target,
            text: Text::default(),
            lines: super::entry::Lines::new(locate),
            values: vec![None; program.values.len()],
            counters: BTreeMap::new(),
            loops: Vec::new(),
            numbers: Vec::new(),
            outside: Vec::new(),
            ranges: Ranges::default(),
            broadcasts: Broadcasts::default(),
            places: Vec::new(),
            span: program.signature.span,
        }
    }

    /// An error at the statement being written.
    pub fn unsupported(&self, what: impl Into<String>) -> Unsupported {
        Unsupported { what: what.into(), span: self.span }
    }

    fn check_resources(&self) -> Result<()> {
        let (program, target) = (self.program, self.target);
        if program.warps == 0 || program.warps * 32 > target.max_cta_threads {
            return Err(self.unsupported(format!(
                "{} warps: a CTA of {} has 1 to {}",
                program.warps,
                target.name,
                target.max_cta_threads / 32
            )));
        }
        if program.shared_bytes > target.max_cta_shared_bytes {
            return Err(self.unsupported(format!(
                "{} bytes of shared memory: a CTA of {} has {}",
                program.shared_bytes, target.name, target.max_cta_shared_bytes
            )));
        }
        Ok(())
    }

    /// Element type of a value.
    pub fn elem(&self, value: Val) -> DType {
        self.program.elem(value)
    }

    /// Layout of a tile.
    pub fn layout(&self, value: Val) -> Result<&'a Layout<Axis>> {
        let layout = self.program.layout(value);
        layout.ok_or_else(|| self.unsupported(format!("{value} is uniform where a tile is wanted")))
    }

    /// What a value was made as.
    pub fn value(&self, value: Val) -> Result<Value> {
        let made = self.values.get(value.index()).and_then(Option::as_ref);
        made.map(|made| made.value.clone())
            .ok_or_else(|| self.unsupported(format!("{value} is used before it is made")))
    }

    /// A uniform value.
    pub fn uniform(&self, value: Val) -> Result<String> {
        match self.value(value)? {
            Value::Uniform(name) => Ok(name),
            Value::Tile(_) => Err(self.unsupported(format!("{value} is a tile, not uniform"))),
        }
    }

    /// A tile.
    pub fn tile(&self, value: Val) -> Result<Tile> {
        match self.value(value)? {
            Value::Tile(tile) => Ok(tile),
            Value::Uniform(_) => Err(self.unsupported(format!("{value} is uniform, not a tile"))),
        }
    }

    /// Gives a value its registers.
    pub fn set(&mut self, value: Val, made: Value) {
        self.values[value.index()] = Some(Made { value: made, depth: self.loops.len() });
    }

    /// How many of the loops around the present statement are around the making of a value, too.
    pub fn depth(&self, value: Val) -> usize {
        self.values[value.index()].as_ref().map_or(0, |made| made.depth)
    }

    /// Gives a value its registers: for a uniform value, the only one.
    pub fn set_registers(&mut self, value: Val, registers: Vec<String>) {
        let made = if self.program.layout(value).is_some() {
            Value::Tile(Tile::of(&mut self.text, self.program.elem(value), registers))
        } else {
            Value::Uniform(registers.into_iter().next().unwrap_or_default())
        };
        self.set(value, made);
    }

    /// Statements in order.
    pub fn body(&mut self, body: &'a [Stmt]) -> Result<()> {
        for stmt in body {
            self.span = stmt.span;
            let place = self.lines.place(stmt.span);
            self.text.set_place(place);
            self.stmt(stmt)?;
            if self.is_number(stmt) {
                self.numbers.push(stmt);
            }
            if self.text.instructions() > MOST_INSTRUCTIONS {
                return Err(self.unsupported(format!(
                    "more than {MOST_INSTRUCTIONS} instructions: smaller tiles make less code"
                )));
            }
        }
        Ok(())
    }

    /// Whether a statement only makes a uniform value.
    fn is_number(&self, stmt: &Stmt) -> bool {
        let uniform = |value: &Val| self.program.layout(*value).is_none();
        stmt.op.is_arithmetic() && stmt.results.iter().all(uniform)
    }

    /// Whether a statement that makes a number takes many instructions for it.
    pub fn is_long(&self, stmt: &Stmt) -> bool {
        match stmt.op {
            Op::Binary(BinaryOp::Div | BinaryOp::Rem, _, by) => {
                !matches!(self.value(by), Ok(Value::Uniform(text)) if !text.starts_with('%'))
            }
            Op::Unary(..) => true,
            _ => false,
        }
    }

    fn result(&self, stmt: &Stmt) -> Result<Val> {
        let first = stmt.results.first().copied();
        first.ok_or_else(|| self.unsupported("a statement without its result"))
    }

    pub fn stmt(&mut self, stmt: &'a Stmt) -> Result<()> {
        match &stmt.op {
            Op::Const(imm) => {
                let result = self.result(stmt)?;
                let text = literal(*imm, self.elem(result));
                if let Imm::Int(value) = imm {
                    self.ranges.know(result, (*value, *value));
                }
                self.set(result, Value::Uniform(text));
                Ok(())
            }
            Op::Dim(dim) => {
                let mut name = self.dim(*dim);
                if self.text.is_late() {
                    name = self.short_anew(&name);
                }
                let result = self.result(stmt)?;
                self.ranges.know(result, EXTENT);
                self.set(result, Value::Uniform(name));
                Ok(())
            }
            Op::Scalar(param) => {
                let name = self.scalar(*param)?;
                self.set(self.result(stmt)?, Value::Uniform(name));
                Ok(())
            }
            Op::Program(axis) => {
                let name = self.position(*axis)?;
                let result = self.result(stmt)?;
                self.ranges.know(result, Ranges::position(&self.program.signature, *axis));
                self.set(result, Value::Uniform(name));
                Ok(())
            }
            Op::Lanes(lanes) => self.lanes(self.result(stmt)?, lanes),
            Op::CompareLanes(op, lanes, than) => {
                self.compare_lanes(self.result(stmt)?, *op, lanes, *than)
            }
            Op::AtMostWithin { lanes, most, within } => {
                self.at_most_within(self.result(stmt)?, lanes, *most, *within)
            }
            Op::Unary(op, x) => self.unary(self.result(stmt)?, *op, *x),
            Op::Binary(op, a, b) => self.binary(self.result(stmt)?, *op, *a, *b),
            Op::Compare(op, a, b) => self.compare(self.result(stmt)?, *op, *a, *b),
            Op::Select(c, a, b) => self.select(self.result(stmt)?, *c, *a, *b),
            Op::Cast(x) => self.cast(self.result(stmt)?, *x),
            Op::Fma(a, b, c) => self.fma(self.result(stmt)?, *a, *b, *c),
            Op::Convert(x, how) => self.convert(self.result(stmt)?, *x, how),
            Op::Reduce { op, value, steps, partial, through } => {
                self.reduce(self.result(stmt)?, *op, *value, steps, *partial, *through)
            }
            Op::Combine { op, value, shares, through } => {
                self.combine_shares(self.result(stmt)?, *op, *value, shares, *through)
            }
            Op::Load(access) => self.load(self.result(stmt)?, access),
            Op::Store(access, value) => self.store(access, *value),
            Op::AtomicAdd(access, value) => self.atomic_add(access, *value),
            Op::Put(value, to) => {
                let (tile, elem, layout) =
                    (self.tile(*value)?, self.elem(*value), self.layout(*value)?);
                self.put(&tile, elem, layout, *to)
            }
            Op::Clear(slot) => self.clear(*slot),
            Op::Get(slot) => self.get(self.result(stmt)?, *slot),
            Op::Copy { access, to, layout, is_async, when } => {
                self.copy(access, *to, layout, *is_async, *when)
            }
            Op::Commit => {
                self.text.call_void("llvm.nvvm.cp.async.commit.group", &[]);
                Ok(())
            }
            Op::Wait(groups) => {
                self.text
                    .call_void("llvm.nvvm.cp.async.wait.group", &[("i32", &groups.to_string())]);
                Ok(())
            }
            Op::Barrier => {
                self.barrier();
                Ok(())
            }
            Op::Dot(dot) => self.dot(self.result(stmt)?, dot),
            Op::For(looped) => self.for_loop(&stmt.results, looped),
            Op::If { condition, then, otherwise } => {
                self.branch(&stmt.results, *condition, then, otherwise)
            }
        }
    }

    /// All threads of the CTA meet.
    pub fn barrier(&mut self) {
        self.text.meet_void("llvm.nvvm.barrier.cta.sync.aligned.all", &[("i32", "0")]);
    }

    /// The threads of a warp meet.
    pub fn warp_barrier(&mut self) {
        self.text.meet_void("llvm.nvvm.bar.warp.sync", &[("i32", "-1")]);
    }

    /// Bytes from the start of a buffer to a slot, as an `i32`; `None` for the first.
    pub fn slot_bytes(&mut self, slot: Slot) -> Result<Option<String>> {
        let Some(number) = slot.slot else { return Ok(None) };
        let number = self.uniform(number)?;
        let bytes = self.program.buffers[slot.buf].buffer.bytes();
        let number = self.text.def(format_args!("trunc i64 {number} to i32"));
        Ok(Some(self.text.def(format_args!("mul i32 {number}, {bytes}"))))
    }

    /// First byte of a buffer.
    pub fn offset(&self, buf: Buf) -> u32 {
        self.program.buffers[buf].offset
    }
}
