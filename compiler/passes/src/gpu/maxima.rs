//! Maxima of scaled products, with the scale taken out.
//!
//! ```text
//! %s = dot q, k    %x = mul %s, c    %top = max %x over n
//! ->
//! %q' = select(c < 0, -q, select(c == 0, 0, q))    %c' = select(c == 0, 1, |c|)
//! %s = dot %q', k    %x = mul %s, %c'    %top = (max %s over n) * %c'
//! ```
//!
//! for a number `c`. The product is then wanted by the exponentials alone, which take it in the same instruction as the difference
//! (`base2`), and the scale is known to be positive (`masked_exp`). The sign goes into an operand that is made before the loop.
//!
//! # Numerics
//!
//! Exact, since rounding is monotonous, but for `c = 0` with an infinite product, which here is 0 and no NaN.

use std::collections::BTreeMap;

use tilec_ir::{
    BinaryOp, Block, Builder, CompareOp, Copier, Imm, Inst, InstData, Kernel, Op, ReduceOp,
    UnaryOp, Value, ValueDef,
};
use tilec_vocab::{Bug, DType};

use crate::rewrite::{Rewrite, rewrite};
use tilec_ir::facts::{is_f32, literal};

/// Runs the pass.
///
/// # Errors
///
/// None; the signature is that of all passes.
pub fn run(kernel: &Kernel) -> Result<Kernel, Bug> {
    let mut pass = Maxima {
        old: kernel,
        copier: Copier::new(),
        dots: BTreeMap::new(),
        products: BTreeMap::new(),
        maxima: BTreeMap::new(),
        wanted: BTreeMap::new(),
        made: BTreeMap::new(),
    };
    pass.find();
    Ok(rewrite(kernel, &mut pass))
}

struct Maxima<'k> {
    old: &'k Kernel,
    copier: Copier,
    /// Dots that take a changed operand: which one, and the scale.
    dots: BTreeMap<Inst, (usize, Value)>,
    /// Products with a scale, by instruction: the dot's result, the scale.
    products: BTreeMap<Inst, (Value, Value)>,
    /// Maxima of products: the product's value, the scale, and the condition where it is masked.
    maxima: BTreeMap<Inst, (Value, Value, Option<Value>)>,
    /// Operands to be given the sign of a scale, after they are made.
    wanted: BTreeMap<Value, Value>,
    /// Operands with the sign of their scale, and magnitudes of scales.
    made: BTreeMap<Value, Value>,
}

impl<'k> Rewrite<'k> for Maxima<'k> {
    fn old(&self) -> &'k Kernel {
        self.old
    }

    fn copier(&mut self) -> &mut Copier {
        &mut self.copier
    }

    fn inst(&mut self, inst: Inst, to: &mut Builder<'_>) {
        let old = self.old;
        let data = &old.insts[inst];
        if let Some(&(x, scale)) = self.products.get(&inst) {
            to.span = data.span;
            let product = to.binary(BinaryOp::Mul, self.copier.value(x), self.made[&scale]);
            self.copier.map(data.results[0], product);
        } else if let Some(&(x, scale, condition)) = self.maxima.get(&inst) {
            self.maximum(data, x, scale, condition, to);
        } else if let Some(&(operand, _)) = self.dots.get(&inst) {
            let whole = data.args[operand];
            let plain = self.copier.value(whole);
            self.copier.map(whole, self.made[&whole]);
            self.copy(inst, to);
            self.copier.map(whole, plain);
        } else {
            self.copy(inst, to);
            for &result in &data.results {
                self.prepare(result, to);
            }
        }
    }
}

impl Maxima<'_> {
    /// Marks all that changes.
    fn find(&mut self) {
        for inst in self.old.walk() {
            let data = &self.old.insts[inst];
            let Op::Reduce(ReduceOp::Max, _) = data.op else { continue };
            let (product, condition) = match self.old.def(data.args[0]) {
                Some(InstData { op: Op::Select, args, .. })
                    if literal(self.old, args[2]) == Some(f64::NEG_INFINITY) =>
                {
                    (args[1], Some(args[0]))
                }
                _ => (data.args[0], None),
            };
            let ValueDef::Result(mul, 0) = self.old.values[product].def else { continue };
            let Some((dot, x, scale)) = self.scaled_dot(mul) else { continue };
            let Some(operand) = self.early_operand(dot, scale) else { continue };
            self.products.insert(mul, (x, scale));
            self.maxima.insert(inst, (x, scale, condition));
            self.wanted.insert(self.old.insts[dot].args[operand], scale);
            self.dots.insert(dot, (operand, scale));
        }
    }

    /// A product of a dot's result, which nobody else takes, and a number.
    fn scaled_dot(&self, mul: Inst) -> Option<(Inst, Value, Value)> {
        let data = &self.old.insts[mul];
        if data.op != Op::Binary(BinaryOp::Mul) || !is_f32(self.old, data.results[0]) {
            return None;
        }
        [(0, 1), (1, 0)].into_iter().find_map(|(x, scale)| {
            let (x, scale) = (data.args[x], data.args[scale]);
            let ValueDef::Result(dot, 0) = self.old.values[x].def else { return None };
            let users = self.old.insts.values().filter(|data| data.args.contains(&x)).count();
            let fits = self.old.ty(scale).is_scalar()
                && matches!(self.old.insts[dot].op, Op::Dot(..))
                && users == 1;
            fits.then_some((dot, x, scale))
        })
    }

    /// An operand that is loaded before the loop the dot is in, when the scale is known already.
    fn early_operand(&self, dot: Inst, scale: Value) -> Option<usize> {
        let place = |value: Value| {
            let ValueDef::Result(inst, _) = self.old.values[value].def else { return None };
            let body: &[Inst] = &self.old.blocks[self.old.body].insts;
            body.iter().position(|&other| other == inst)
        };
        let scale_at = place(scale)?;
        if self.block_of(dot) == self.old.body {
            return None;
        }
        (0..2).find(|&operand| {
            let value = self.old.insts[dot].args[operand];
            let other = self.wanted.get(&value);
            place(value).is_some_and(|at| at > scale_at) && other.is_none_or(|&c| c == scale)
        })
    }

    fn block_of(&self, inst: Inst) -> Block {
        let found = self.old.blocks.iter().find(|(_, data)| data.insts.contains(&inst));
        found.map_or(self.old.body, |(block, _)| block)
    }

    /// After the definition of a scale: its magnitude. After that of an operand: the operand with the scale's sign.
    fn prepare(&mut self, value: Value, to: &mut Builder<'_>) {
        if self.products.values().any(|&(_, scale)| scale == value) {
            let scale = self.copier.value(value);
            let (zero, one) = (to.float(0.0, DType::F32), to.float(1.0, DType::F32));
            let vanishes = to.compare(CompareOp::Eq, scale, zero);
            let magnitude = to.unary(UnaryOp::Abs, scale);
            let positive = to.select(vanishes, one, magnitude);
            self.made.insert(value, positive);
        }
        if let Some(&scale) = self.wanted.get(&value) {
            let zero = to.float(0.0, DType::F32);
            let negative = to.compare(CompareOp::Lt, self.copier.value(scale), zero);
            let plain = self.copier.value(value);
            let flipped = to.unary(UnaryOp::Neg, plain);
            let vanishes = to.compare(CompareOp::Eq, self.copier.value(scale), zero);
            let nothing = to.constant(Imm::Float(0.0), to.kernel.ty(plain).elem);
            let present = to.select(vanishes, nothing, plain);
            let signed = to.select(negative, flipped, present);
            self.made.insert(value, signed);
        }
    }

    fn maximum(
        &mut self,
        data: &InstData,
        x: Value,
        scale: Value,
        condition: Option<Value>,
        to: &mut Builder<'_>,
    ) {
        to.span = data.span;
        let Op::Reduce(op, over) = &data.op else { return };
        let over: Vec<_> = over.iter().map(|&axis| self.copier.axis(axis)).collect();
        let (x, scale) = (self.copier.value(x), self.made[&scale]);
        let nothing = to.constant(Imm::Float(f64::NEG_INFINITY), tilec_ir::Elem::F32);
        let seen = match condition {
            Some(condition) => to.select(self.copier.value(condition), x, nothing),
            None => x,
        };
        let greatest = to.reduce(*op, seen, &over);
        let scaled = to.binary(BinaryOp::Mul, greatest, scale);
        self.copier.map(data.results[0], scaled);
    }
}
