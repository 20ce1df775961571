//! The container: modules, kernels, and the tables a kernel is made of.

use std::marker::PhantomData;

use smallvec::SmallVec;
use tilec_vocab::{DTypeClass, HostExpr, Require, Span};

use crate::entity::{Table, entity};
use crate::ops::{Op, Precision};
use crate::types::{Elem, Extent, Type};

entity!(/// A value.
    Value, "%");
entity!(/// An instruction.
    Inst, "inst");
entity!(/// A straight run of instructions that ends in `yield`.
    Block, "block");
entity!(/// An axis. Printed by name in IR text, with the number where names repeat.
    Axis, "axis");
entity!(/// A generic parameter: an element type, a constant or a knob.
    Generic, "generic");
entity!(/// A tensor or number parameter.
    Param, "param");
entity!(/// A run-time dimension.
    DimId, "dim");

/// Which ops a module may hold; a type, so that stages cannot be mixed up.
pub trait Stage: Clone + Copy + std::fmt::Debug + PartialEq + Eq {
    /// As in file extensions and dumps: `tile`.
    const NAME: &'static str;
}

/// Tiles over named axes; no lanes, no warps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile;

impl Stage for Tile {
    const NAME: &'static str = "tile";
}

/// Kernels of one stage, and the specs that say what they must compute.
#[derive(Clone, Debug, PartialEq)]
pub struct Module<S: Stage> {
    /// In source order.
    pub kernels: Vec<Kernel>,
    /// A spec has its kernel's name, parameters and generics, an empty grid, and whole axes.
    pub specs: Vec<Kernel>,
    /// The stage.
    pub stage: PhantomData<S>,
}

impl<S: Stage> Module<S> {
    /// A module of these kernels and specs.
    pub fn new(kernels: Vec<Kernel>, specs: Vec<Kernel>) -> Self {
        Module { kernels, specs, stage: PhantomData }
    }

    /// The kernel with this name.
    pub fn kernel(&self, name: &str) -> Option<&Kernel> {
        self.kernels.iter().find(|kernel| kernel.name == name)
    }

    /// The spec of the kernel with this name.
    pub fn spec(&self, name: &str) -> Option<&Kernel> {
        self.specs.iter().find(|spec| spec.name == name)
    }
}

/// One kernel or spec.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// Element types, constants and knobs; empty after `specialise`.
    pub generics: Table<Generic, GenericData>,
    /// Tensors and numbers, in source order.
    pub params: Table<Param, ParamData>,
    /// Run-time dimensions, in order of first mention.
    pub dims: Table<DimId, DimData>,
    /// Conditions the launcher checks.
    pub requires: Vec<Require>,
    /// Slowest first. Empty in specs.
    pub grid: Vec<GridAxis>,
    /// Axes.
    pub axes: Table<Axis, AxisData>,
    /// Values.
    pub values: Table<Value, ValueData>,
    /// Instructions.
    pub insts: Table<Inst, InstData>,
    /// Blocks.
    pub blocks: Table<Block, BlockData>,
    /// The body; ends in `yield` of nothing.
    pub body: Block,
}

/// A generic parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenericData {
    /// Its name.
    pub name: String,
    /// What it stands for.
    pub kind: GenericKind,
}

/// What a generic parameter stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GenericKind {
    /// `T: float`.
    DType(DTypeClass),
    /// `const D`: an integer, often an extent.
    Const,
    /// `tune BM in [64, 128]`: an integer the tuner chooses; the first is the default.
    Knob(Vec<i64>),
}

/// A parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamData {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: ParamType,
    /// Where it is declared.
    pub span: Span,
}

/// The type of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParamType {
    /// A view of global memory with any strides.
    Tensor {
        /// Element type.
        elem: Elem,
        /// Extent of each dimension.
        dims: Vec<Extent>,
        /// Whether the kernel writes it.
        mutable: bool,
    },
    /// A number.
    Scalar(Elem),
}

/// A run-time dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DimData {
    /// Its name.
    pub name: String,
}

/// One axis of the grid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GridAxis {
    /// The name the source gives it.
    pub name: String,
    /// Number of programs.
    pub programs: HostExpr,
}

/// An axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AxisData {
    /// The name the source gives it; need not be unique.
    pub name: String,
    /// Number of lanes.
    pub extent: Extent,
    /// Proven: every lane is present whenever the axis exists. `false` is always safe.
    pub full: bool,
    /// Where it is declared.
    pub span: Span,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueData {
    /// Its type.
    pub ty: Type,
    /// What makes it.
    pub def: ValueDef,
    /// The source name it was first bound to; for readable dumps only.
    pub name: Option<String>,
}

/// What makes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueDef {
    /// The n-th result of an instruction.
    Result(Inst, u32),
    /// The n-th parameter of a block.
    Param(Block, u32),
}

/// A block.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct BlockData {
    /// Parameters.
    pub params: Vec<Value>,
    /// Instructions; the last is `yield`.
    pub insts: Vec<Inst>,
}

/// An instruction.
#[derive(Clone, Debug, PartialEq)]
pub struct InstData {
    /// What it does.
    pub op: Op,
    /// Operands.
    pub args: SmallVec<[Value; 4]>,
    /// Results.
    pub results: SmallVec<[Value; 1]>,
    /// Nested blocks.
    pub blocks: SmallVec<[Block; 2]>,
    /// The source it was made from.
    pub span: Span,
}

impl Kernel {
    /// An empty kernel whose body is an empty block.
    pub fn new(name: impl Into<String>, span: Span) -> Kernel {
        let mut blocks = Table::new();
        let body = blocks.push(BlockData::default());
        Kernel {
            name: name.into(),
            span,
            generics: Table::new(),
            params: Table::new(),
            dims: Table::new(),
            requires: Vec::new(),
            grid: Vec::new(),
            axes: Table::new(),
            values: Table::new(),
            insts: Table::new(),
            blocks,
            body,
        }
    }

    /// Whether it has a generic of this name.
    pub fn declares(&self, name: &str) -> bool {
        self.generics.values().any(|generic| generic.name == name)
    }

    /// A kernel with the same signature and grid, no axes, and an empty body.
    pub fn like(other: &Kernel) -> Kernel {
        Kernel {
            generics: other.generics.clone(),
            params: other.params.clone(),
            dims: other.dims.clone(),
            requires: other.requires.clone(),
            grid: other.grid.clone(),
            ..Kernel::new(other.name.clone(), other.span)
        }
    }

    /// The type of a value.
    pub fn ty(&self, value: Value) -> &Type {
        &self.values[value].ty
    }

    /// The instruction that makes a value, unless it is a block parameter.
    pub fn def(&self, value: Value) -> Option<&InstData> {
        match self.values[value].def {
            ValueDef::Result(inst, _) => Some(&self.insts[inst]),
            ValueDef::Param(..) => None,
        }
    }

    /// The parameter with this name.
    pub fn param(&self, name: &str) -> Option<Param> {
        self.params.iter().find(|(_, p)| p.name == name).map(|(id, _)| id)
    }

    /// Whether nothing generic is left, so that it can be compiled and run.
    pub fn is_specialised(&self) -> bool {
        self.generics.is_empty()
    }

    /// Every instruction reachable from the body, outer before inner, in program order.
    pub fn walk(&self) -> Vec<Inst> {
        let mut order = Vec::new();
        let mut stack = vec![(self.body, 0)];
        while let Some((block, at)) = stack.pop() {
            let Some(&inst) = self.blocks[block].insts.get(at) else { continue };
            order.push(inst);
            stack.push((block, at + 1));
            for &nested in self.insts[inst].blocks.iter().rev() {
                stack.push((nested, 0));
            }
        }
        order
    }

    /// How precise the products of its dots are.
    pub fn precisions(&self) -> impl Iterator<Item = Precision> {
        self.walk().into_iter().filter_map(|inst| match self.insts[inst].op {
            Op::Dot(_, precision) => Some(precision),
            _ => None,
        })
    }

    /// The same kernel with every dot in this precision, which only matters for `f32`.
    pub fn with_precision(mut self, precision: Precision) -> Kernel {
        for inst in self.walk() {
            if let Op::Dot(_, chosen) = &mut self.insts[inst].op {
                *chosen = precision;
            }
        }
        self
    }
}
