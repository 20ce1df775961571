//! What can be read off a kernel before any choice is made: users, blocks, what is cheap enough to compute anywhere.

use tilec_ir::{
    Axis, BinaryOp, Block, Elem, Entity, Extent, Inst, InstData, Kernel, Op, Param, ParamType,
    UnaryOp, Value,
};
use tilec_vocab::DType;

/// A kernel and what is known about it.
pub(crate) struct Study<'k> {
    pub kernel: &'k Kernel,
    users: Vec<Vec<Inst>>,
    block_of: Vec<Block>,
    written: Vec<bool>,
    free: Vec<bool>,
    consumed: Vec<bool>,
}

impl<'k> Study<'k> {
    pub fn new(kernel: &'k Kernel) -> Study<'k> {
        let mut study = Study {
            kernel,
            users: vec![Vec::new(); kernel.values.len()],
            block_of: vec![kernel.body; kernel.insts.len()],
            written: vec![false; kernel.params.len()],
            free: vec![false; kernel.values.len()],
            consumed: vec![false; kernel.axes.len()],
        };
        for (block, data) in kernel.blocks.iter() {
            for &inst in &data.insts {
                study.block_of[inst.index()] = block;
            }
        }
        for inst in kernel.walk() {
            let data = &kernel.insts[inst];
            for &arg in &data.args {
                study.users[arg.index()].push(inst);
            }
            if let Op::Store(param) | Op::AtomicAdd(param) = data.op {
                study.written[param.index()] = true;
            }
            if let Op::Reduce(_, over) | Op::Dot(over, _) = &data.op {
                over.iter().for_each(|axis| study.consumed[axis.index()] = true);
            }
            if let [result] = data.results[..] {
                study.free[result.index()] = study.is_free(data);
            }
        }
        study
    }

    fn is_free(&self, data: &InstData) -> bool {
        let cheap = match data.op {
            Op::Splat | Op::Index(_) | Op::Compare(_) | Op::Select | Op::Cast => true,
            Op::Binary(op) => !matches!(op, BinaryOp::Div | BinaryOp::Rem),
            Op::Unary(op) => matches!(op, UnaryOp::Neg | UnaryOp::Not | UnaryOp::Abs),
            _ => false,
        };
        cheap && data.args.iter().all(|&arg| self.is_scalar(arg) || self.free[arg.index()])
    }

    /// Whether a tile can be computed again wherever it is wanted, in any layout.
    pub fn free(&self, value: Value) -> bool {
        self.free[value.index()]
    }

    pub fn is_scalar(&self, value: Value) -> bool {
        self.kernel.ty(value).is_scalar()
    }

    /// The instructions that have this value as an operand.
    pub fn users(&self, value: Value) -> &[Inst] {
        &self.users[value.index()]
    }

    /// The block an instruction stands in.
    pub fn block_of(&self, inst: Inst) -> Block {
        self.block_of[inst.index()]
    }

    /// Whether some reduction or dot sums over an axis, and so must not see its absent lanes.
    pub fn consumed(&self, axis: Axis) -> bool {
        self.consumed[axis.index()]
    }

    /// Whether the kernel writes a tensor.
    pub fn written(&self, param: Param) -> bool {
        self.written[param.index()]
    }

    pub fn dtype(&self, value: Value) -> DType {
        elem(self.kernel.ty(value).elem)
    }

    pub fn axes(&self, value: Value) -> Vec<Axis> {
        self.kernel.ty(value).axes.iter().collect()
    }

    pub fn extent(&self, axis: Axis) -> u32 {
        extent(self.kernel.axes[axis].extent)
    }

    pub fn data(&self, inst: Inst) -> &'k InstData {
        &self.kernel.insts[inst]
    }

    /// The instruction that makes a value.
    pub fn def(&self, value: Value) -> Option<&'k InstData> {
        self.kernel.def(value)
    }

    /// Element type of a tensor.
    pub fn param_dtype(&self, param: Param) -> DType {
        match self.kernel.params[param].ty {
            ParamType::Tensor { elem: e, .. } | ParamType::Scalar(e) => elem(e),
        }
    }

    /// Whether an instruction works element by element.
    pub fn element_wise(op: &Op) -> bool {
        matches!(
            op,
            Op::Splat | Op::Unary(_) | Op::Binary(_) | Op::Compare(_) | Op::Select | Op::Cast
        )
    }
}

fn elem(elem: Elem) -> DType {
    elem.known().unwrap_or(DType::F32)
}

fn extent(extent: Extent) -> u32 {
    match extent {
        Extent::Const(lanes) => u32::try_from(lanes).unwrap_or(1),
        Extent::Generic(_) | Extent::Dim(_) => 1,
    }
}
