//! From tile IR to GPU IR: the only door between them.
//!
//! The kernel is walked once, in order. Choices were made before ([`crate::classes`], [`crate::roles`]); here each
//! instruction becomes what one CTA does, with conversions where the choices meet.

mod access;
mod dots;
mod hold;
mod loops;
mod pipeline;
mod reduce;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use tilec_ir::{
    Axis, BinaryOp, Block as TileBlock, CompareOp, DimId, Imm, Inst, Kernel, Op as TileOp, Table,
    Value,
};
use tilec_layout::{Layout, Shares};
use tilec_vocab::{DType, Span};

use crate::classes::{Classes, classes};
use crate::error::{GpuError, Result};
use crate::fragments::{Fragments, fragments, instruction, row_warps};
use crate::gir::{Buf, Lanes, Op, Program, Slot, Stmt, Val, ValData};
use crate::options::Options;
use crate::roles::{Roles, roles};
use crate::study::Study;

/// An integer tile that is a sum: `uniform + lanes`.
#[derive(Clone, Debug)]
struct Form {
    uniform: Option<Val>,
    lanes: Lanes,
    /// Divides the uniform part; 0 if that is 0.
    factor: u64,
}

/// Where a value of the kernel is.
#[derive(Clone, Debug)]
enum Home {
    /// A scalar.
    Uniform(Val),
    /// A tile in registers.
    Tile(Val),
    /// A sum, computed where it is wanted.
    Form(Form),
    /// A sum of which lanes and warps hold shares that are not combined yet.
    Partial(Val, Shares),
}

/// What an axis stands for now.
#[derive(Clone, Copy, Debug)]
struct Range {
    start: Val,
    end: Val,
    /// The tile IR's names of both, for proofs.
    names: Option<(Value, Value)>,
}

/// What ends with the block it was said in.
#[derive(Clone, Default)]
struct Scope {
    homes: BTreeMap<Value, Home>,
    axes: BTreeMap<Axis, Range>,
    /// Tiles that have been computed, or converted, in a layout.
    made: BTreeMap<(Value, Layout<Axis>), Val>,
    /// Where operands of dots lie in shared memory.
    shared: BTreeMap<Value, Slot>,
    /// Operands of dots held in registers, by the layout of their fragments.
    held: BTreeMap<(Value, Layout<Axis>), Val>,
    /// Buffers whose asynchronous copies nobody has waited for.
    pending: BTreeSet<Buf>,
    /// Uniform integers and truths that have been computed.
    known: BTreeMap<Uniform, Val>,
}

/// A uniform computation, to make it only once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Uniform {
    Int(i64),
    Dim(DimId),
    Binary(BinaryOp, Val, Val),
    Compare(CompareOp, Val, Val),
}

pub(crate) struct Lower<'k> {
    study: &'k Study<'k>,
    kernel: &'k Kernel,
    options: &'k Options,
    program: Program,
    roles: BTreeMap<Inst, Roles>,
    fragments: BTreeMap<Inst, Fragments>,
    classes: Classes,
    /// Loads that go to shared memory, by value.
    staged: Vec<bool>,
    /// Sums that are left in parts until after the loop, and what is made of them there, with who holds the parts.
    late: BTreeMap<Value, Shares>,
    /// What absent lanes of a tile are known to hold, and along which axes.
    padding: BTreeMap<Val, (Imm, Vec<Axis>)>,
    /// Comparisons of lanes that say a sum is at most a uniform integer.
    bounds: BTreeMap<Val, (Lanes, Val)>,
    /// Uniform literals.
    literals: BTreeMap<Val, i64>,
    scope: Scope,
    pipelines: loops::Pipelines,
    body: Vec<Stmt>,
    span: Span,
}

/// Lowers a specialised, optimised kernel.
pub(crate) fn lower(kernel: &Kernel, options: &Options) -> Result<Program> {
    let study = Study::new(kernel);
    let roles = roles(&study);
    let warps = match options.column_warps {
        true => options.warps,
        false => warps_with_rows(&study, &roles, options.warps),
    };
    let extent = |axis| study.extent(axis);
    let mut cut = BTreeMap::new();
    for (&inst, role) in &roles {
        let data = study.data(inst);
        let TileOp::Dot(_, precision) = data.op else { continue };
        let mma = instruction(study.dtype(data.args[0]), precision);
        if let Some(found) = fragments(role, mma, &extent, warps) {
            cut.insert(inst, found);
        }
    }
    let staged = dots::staged(&study, &cut);
    let classes = classes(&study, &cut, &staged, warps);
    let signature = Kernel { axes: kernel.axes.clone(), ..Kernel::like(kernel) };
    let program = Program {
        signature,
        facts: options.facts.clone(),
        warps,
        values: Table::new(),
        buffers: Table::new(),
        shared_bytes: 0,
        body: Vec::new(),
    };
    let mut lower = Lower {
        study: &study,
        kernel,
        options,
        program,
        roles,
        fragments: cut,
        classes,
        staged,
        late: BTreeMap::new(),
        padding: BTreeMap::new(),
        bounds: BTreeMap::new(),
        literals: BTreeMap::new(),
        scope: Scope::default(),
        pipelines: loops::Pipelines::default(),
        body: Vec::new(),
        span: kernel.span,
    };
    lower.block(kernel.body)?;
    lower.program.body = lower.body;
    Ok(lower.program)
}

/// As many warps as asked for, but no more than some dot has rows for. Where that is one, all stay, and share the columns: one
/// does not keep an SM busy.
fn warps_with_rows(study: &Study<'_>, roles: &BTreeMap<Inst, Roles>, wanted: u32) -> u32 {
    let rows = |role: &Roles| role.m.iter().map(|&axis| study.extent(axis)).product();
    let most = roles.values().map(|role| row_warps(rows(role), wanted)).max();
    most.filter(|&warps| warps > 1).unwrap_or(wanted)
}

impl<'k> Lower<'k> {
    fn val(&mut self, elem: DType, layout: Option<Layout<Axis>>) -> Val {
        self.program.values.push(ValData { elem, layout, name: None, below: None })
    }

    fn stmt(&mut self, results: Vec<Val>, op: Op) {
        self.body.push(Stmt { results, op, span: self.span });
    }

    /// Appends an instruction with one result.
    fn push(&mut self, op: Op, elem: DType, layout: Option<Layout<Axis>>) -> Val {
        let val = self.val(elem, layout);
        self.stmt(vec![val], op);
        val
    }

    fn uniform(&mut self, op: Op, elem: DType) -> Val {
        self.push(op, elem, None)
    }

    /// A uniform computation, made once for each scope.
    fn once(&mut self, key: Uniform) -> Val {
        if let Some(&val) = self.scope.known.get(&key) {
            return val;
        }
        let (op, elem) = match key {
            Uniform::Int(n) => (Op::Const(Imm::Int(n)), DType::I64),
            Uniform::Dim(dim) => (Op::Dim(dim), DType::I64),
            Uniform::Binary(op, a, b) => (Op::Binary(op, a, b), self.program.elem(a)),
            Uniform::Compare(op, a, b) => (Op::Compare(op, a, b), DType::Bool),
        };
        let val = self.uniform(op, elem);
        self.scope.known.insert(key, val);
        if let Uniform::Int(n) = key {
            self.literals.insert(val, n);
        }
        val
    }

    fn int(&mut self, value: i64) -> Val {
        self.once(Uniform::Int(value))
    }

    fn int_op(&mut self, op: BinaryOp, a: Val, b: Val) -> Val {
        match (op, self.literals.get(&a).copied(), self.literals.get(&b).copied()) {
            (BinaryOp::Add | BinaryOp::Sub, _, Some(0)) => a,
            (BinaryOp::Add, Some(0), _) => b,
            (BinaryOp::Add, Some(a), Some(b)) => self.int(a.wrapping_add(b)),
            (BinaryOp::Sub, Some(a), Some(b)) => self.int(a.wrapping_sub(b)),
            _ => self.once(Uniform::Binary(op, a, b)),
        }
    }

    fn compare(&mut self, op: CompareOp, a: Val, b: Val) -> Val {
        self.once(Uniform::Compare(op, a, b))
    }

    fn both(&mut self, a: Option<Val>, b: Val) -> Val {
        match a {
            Some(a) => self.once(Uniform::Binary(BinaryOp::And, a, b)),
            None => b,
        }
    }

    /// The value of a scalar.
    fn scalar(&self, value: Value) -> Result<Val> {
        match self.scope.homes.get(&value) {
            Some(Home::Uniform(val)) => Ok(*val),
            _ => Err(GpuError::bug(format!("scalar {value} has no value yet"))),
        }
    }

    fn set(&mut self, value: Value, home: Home) {
        if let Home::Uniform(val) | Home::Tile(val) | Home::Partial(val, _) = &home {
            self.program.values[*val].name.clone_from(&self.kernel.values[value].name);
        }
        self.scope.homes.insert(value, home);
    }

    /// Lowers the instructions of a block but for its `yield`, whose operands are returned.
    fn block(&mut self, block: TileBlock) -> Result<&'k [Value]> {
        let kernel = self.kernel;
        for (at, &inst) in kernel.blocks[block].insts.iter().enumerate() {
            if matches!(kernel.insts[inst].op, TileOp::Yield) {
                return Ok(&kernel.insts[inst].args);
            }
            self.before(block, at)?;
            self.inst(inst)?;
        }
        Ok(&[])
    }

    fn inst(&mut self, inst: Inst) -> Result<()> {
        let data = self.study.data(inst);
        let outer = std::mem::replace(&mut self.span, data.span);
        self.dispatch(inst)?;
        self.span = outer;
        Ok(())
    }

    fn dispatch(&mut self, inst: Inst) -> Result<()> {
        let data = self.study.data(inst);
        let args = &data.args[..];
        match &data.op {
            TileOp::Axis(axis) => {
                let (start, end) = (self.scalar(args[0])?, self.scalar(args[1])?);
                let names = Some((args[0], args[1]));
                self.scope.axes.insert(*axis, Range { start, end, names });
                return Ok(());
            }
            TileOp::Store(param) => return self.store(*param, args, false),
            TileOp::AtomicAdd(param) => return self.store(*param, args, true),
            TileOp::For(axis) => return self.for_loop(inst, *axis),
            TileOp::If => return self.branch(inst),
            TileOp::Yield => return Ok(()),
            _ => {}
        }
        let [result] = data.results[..] else {
            return Err(GpuError::bug("an instruction without one result"));
        };
        if self.staged[tilec_ir::Entity::index(result)] {
            return self.staged_load(inst);
        }
        let home = match &data.op {
            TileOp::Reduce(op, over) => Some(self.reduce(inst, *op, over)?),
            TileOp::Dot(over, _) => match self.fused_into(inst) {
                Some(_) => None,
                None => Some(self.dot(inst, over, None)?),
            },
            TileOp::Load(param) => Some(self.load(result, *param, args)?),
            _ if self.study.is_scalar(result) => Some(self.scalar_inst(result, data)?),
            TileOp::Index(_)
            | TileOp::Splat
            | TileOp::Unary(_)
            | TileOp::Binary(_)
            | TileOp::Compare(_)
            | TileOp::Select
            | TileOp::Cast => self.element_wise(result, data)?,
            _ => return Err(GpuError::bug("an instruction that has no place on a GPU")),
        };
        if let Some(home) = home {
            self.set(result, home);
            self.share_if_wanted(result)?;
        }
        Ok(())
    }

    /// Both branches, each in a scope of its own.
    fn branch(&mut self, inst: Inst) -> Result<()> {
        let data = self.study.data(inst);
        let condition = self.scalar(data.args[0])?;
        let mut layouts = Vec::new();
        for &result in &data.results {
            layouts.push(self.carried_layout(result)?);
        }
        let mut blocks = Vec::new();
        for &block in &data.blocks {
            let (body, yields) = self.nested(|lower| {
                let yields = lower.block(block)?.to_vec();
                lower.all_in(&yields, &layouts)
            })?;
            blocks.push(crate::gir::Block { body, yields });
        }
        let mut results = Vec::new();
        for (&result, layout) in data.results.iter().zip(&layouts) {
            let val = self.val(self.study.dtype(result), layout.clone());
            let home = if layout.is_some() { Home::Tile(val) } else { Home::Uniform(val) };
            self.set(result, home);
            results.push(val);
        }
        let mut blocks = blocks.into_iter();
        let (then, otherwise) =
            (blocks.next().unwrap_or_default(), blocks.next().unwrap_or_default());
        self.stmt(results, Op::If { condition, then, otherwise });
        // What a branch waited for may not have been waited for.
        Ok(())
    }

    /// Statements made by `make`, in a scope that ends with it.
    fn nested<T>(&mut self, make: impl FnOnce(&mut Self) -> Result<T>) -> Result<(Vec<Stmt>, T)> {
        let outer = self.scope.clone();
        let body = std::mem::take(&mut self.body);
        let made = make(self)?;
        let inner = std::mem::replace(&mut self.body, body);
        self.scope = outer;
        Ok((inner, made))
    }

    /// The layout in which a loop or a branch hands a value on.
    fn carried_layout(&mut self, value: Value) -> Result<Option<Layout<Axis>>> {
        if self.study.is_scalar(value) {
            return Ok(None);
        }
        self.layout_of(value).map(Some)
    }

    /// Values in the layouts wanted, uniform where none is.
    fn all_in(&mut self, values: &[Value], layouts: &[Option<Layout<Axis>>]) -> Result<Vec<Val>> {
        values
            .iter()
            .zip(layouts)
            .map(|(&value, layout)| match layout {
                Some(layout) => self.full(value, layout),
                None => self.scalar(value),
            })
            .collect()
    }
}
