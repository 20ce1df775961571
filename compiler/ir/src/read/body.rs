//! Blocks and instructions.
//!
//! Entities are made in the order in which [`Copier`](crate::Copier) makes them, so that a kernel
//! that was read has the numbering of one that was copied.

use smallvec::SmallVec;
use tilec_vocab::DType;

use super::lex::Word;
use super::{Read, Reader};
use crate::build::Builder;
use crate::kernel::{Axis, AxisData, Block, GenericKind, Inst, Kernel, Param, ParamType, Value};
use crate::limits;
use crate::ops::{BinaryOp, CompareOp, Imm, Op, Precision, ReduceOp, UnaryOp};
use crate::types::{AxisSet, Elem, Type};

/// What an op leaves to be built: operands, nested blocks.
struct Parts {
    op: Op,
    args: Vec<Value>,
    blocks: Vec<Block>,
}

impl Parts {
    fn new(op: Op, args: Vec<Value>) -> Parts {
        Parts { op, args, blocks: Vec::new() }
    }
}

/// A value to be: its word, where that stands, and its type.
struct Definition<'s> {
    word: &'s str,
    at: usize,
    ty: Type,
}

impl<'s> Reader<'s> {
    pub(super) fn body(&mut self, kernel: &mut Kernel) -> Read<()> {
        let mut to = Builder::new(kernel);
        self.instructions(&mut to, 1)
    }

    /// `{ … }`, into the builder's block.
    fn instructions(&mut self, to: &mut Builder<'_>, depth: usize) -> Read<()> {
        if depth > limits::DEPTH {
            return self.error(format!("blocks nested more than {} deep", limits::DEPTH));
        }
        self.expect("{")?;
        while !self.eat("}")? {
            if to.kernel.insts.len() >= limits::INSTS {
                return self.error(format!("more than {} instructions", limits::INSTS));
            }
            self.instruction(to, depth)?;
        }
        Ok(())
    }

    fn nested(&mut self, to: &mut Builder<'_>, block: Block, depth: usize) -> Read<()> {
        let outer = std::mem::replace(&mut to.block, block);
        self.instructions(to, depth + 1)?;
        to.block = outer;
        Ok(())
    }

    fn instruction(&mut self, to: &mut Builder<'_>, depth: usize) -> Read<()> {
        let mut results = Vec::new();
        if let Word::Value(_) = self.word {
            results = self.items(limits::OPERANDS, |reader| reader.definition(to.kernel))?;
            self.expect("=")?;
        }
        let at = self.at;
        let word = self.name("an op")?;
        let parts = match word {
            "const" => {
                let [result] = results.as_slice() else {
                    return self.error_at(at, "`const` makes one value");
                };
                Parts::new(Op::Const(self.literal(result.ty.elem)?), Vec::new())
            }
            "if" => self.branch(to, depth)?,
            "for" => self.for_loop(to, depth)?,
            "axis" => self.axis_op(to)?,
            _ => match self.plain_op(word, to.kernel)? {
                Some(parts) => parts,
                None => return self.error_at(at, format!("there is no op `{word}`")),
            },
        };
        let types: Vec<Type> = results.iter().map(|result| result.ty.clone()).collect();
        let span = self.span()?.unwrap_or_default();
        to.span = span;
        let inst = to.inst(parts.op, parts.args, parts.blocks, types);
        self.bind_results(to.kernel, inst, &results)
    }

    fn bind_results(
        &mut self,
        kernel: &mut Kernel,
        inst: Inst,
        results: &[Definition<'s>],
    ) -> Read<()> {
        let values = kernel.insts[inst].results.clone();
        results.iter().zip(values).try_for_each(|(result, v)| self.bind(kernel, result, v))
    }

    /// Gives a value its name.
    fn bind(&mut self, kernel: &mut Kernel, what: &Definition<'s>, value: Value) -> Read<()> {
        if self.values.insert(what.word, value).is_some() {
            return self.error_at(what.at, format!("`%{}` is defined twice", what.word));
        }
        let hint = what.word.split('.').next().unwrap_or_default();
        if !hint.starts_with(|c: char| c.is_ascii_digit()) {
            kernel.values[value].name = Some(hint.to_owned());
        }
        Ok(())
    }

    /// `%x: type`.
    fn definition(&mut self, kernel: &Kernel) -> Read<Definition<'s>> {
        let (at, word) = (self.at, self.value_word()?);
        self.expect(":")?;
        let ty = self.ty(kernel)?;
        Ok(Definition { word, at, ty })
    }

    fn ty(&mut self, kernel: &Kernel) -> Read<Type> {
        let elem = self.elem(kernel)?;
        let mut axes = AxisSet::new();
        if self.eat("[")? {
            axes = self.list("]", limits::RANK, Self::axis)?.into_iter().collect();
        }
        Ok(Type::tile(elem, axes))
    }

    fn value_word(&mut self) -> Read<&'s str> {
        let Word::Value(word) = self.word else { return self.expected("a value") };
        self.advance()?;
        Ok(word)
    }

    fn value(&mut self) -> Read<Value> {
        let (at, word) = (self.at, self.value_word()?);
        match self.values.get(word) {
            Some(&value) => Ok(value),
            None => self.error_at(at, format!("`%{word}` is not defined above")),
        }
    }

    fn axis(&mut self) -> Read<Axis> {
        let at = self.at;
        let Word::Name(word) = self.word else { return self.expected("an axis") };
        self.advance()?;
        match self.axes.get(word) {
            Some(&axis) => Ok(axis),
            None => self.error_at(at, format!("axis `{word}` is not declared above")),
        }
    }

    /// `a, b`: exactly `count` operands.
    fn operands(&mut self, count: usize) -> Read<Vec<Value>> {
        let mut values = vec![self.value()?];
        while values.len() < count {
            self.expect(",")?;
            values.push(self.value()?);
        }
        Ok(values)
    }

    fn literal(&mut self, elem: Elem) -> Read<Imm> {
        if self.eat_word("true")? {
            return Ok(Imm::Bool(true));
        }
        if self.eat_word("false")? {
            return Ok(Imm::Bool(false));
        }
        if !elem.is_float() {
            return Ok(Imm::Int(self.int("a literal of the value's type")?));
        }
        let negative = self.eat("-")?;
        let magnitude = match self.word {
            Word::Name("inf") => f64::INFINITY,
            Word::Name("nan") => f64::NAN,
            Word::Number(digits) => match digits.parse::<f64>() {
                Ok(value) => value,
                Err(_) => return self.expected("a number"),
            },
            _ => return self.expected("a number, `inf` or `nan`"),
        };
        self.advance()?;
        let value = if negative { -magnitude } else { magnitude };
        Ok(Imm::Float(elem.known().map_or(value, |dtype: DType| dtype.round(value))))
    }

    /// Ops without nested blocks that declare nothing.
    fn plain_op(&mut self, word: &str, kernel: &Kernel) -> Read<Option<Parts>> {
        let unary = UnaryOp::from_name(word);
        let binary = BinaryOp::from_name(word);
        let compare = CompareOp::from_name(word);
        let reduce = ReduceOp::from_name(word);
        if let Some(op) = unary {
            return Ok(Some(Parts::new(Op::Unary(op), self.operands(1)?)));
        }
        if let Some(op) = compare {
            return Ok(Some(Parts::new(Op::Compare(op), self.operands(2)?)));
        }
        if binary.is_some() || reduce.is_some() {
            // `max %a, %b` and `max %a over n` are told apart by what follows the first operand.
            let mut args = vec![self.value()?];
            if let Some(op) = reduce
                && self.eat_word("over")?
            {
                return Ok(Some(Parts::new(Op::Reduce(op, self.over()?), args)));
            }
            let Some(op) = binary else { return self.expected("`over`") };
            self.expect(",")?;
            args.push(self.value()?);
            return Ok(Some(Parts::new(Op::Binary(op), args)));
        }
        let parts = match word {
            "generic" => Parts::new(self.generic_op(kernel)?, Vec::new()),
            "dim" => Parts::new(self.dim_op(kernel)?, Vec::new()),
            "scalar" => Parts::new(Op::Scalar(self.param_name(kernel, false)?), Vec::new()),
            "program" => Parts::new(self.program_op(kernel)?, Vec::new()),
            "index" => Parts::new(Op::Index(self.axis()?), Vec::new()),
            "splat" => Parts::new(Op::Splat, self.operands(1)?),
            "cast" => Parts::new(Op::Cast, self.operands(1)?),
            "select" => Parts::new(Op::Select, self.operands(3)?),
            "dot" => self.dot()?,
            "load" => {
                let param = self.param_name(kernel, true)?;
                Parts::new(Op::Load(param), self.indices()?)
            }
            "store" => self.write_access(kernel, Op::Store, "=")?,
            "atomic" => self.write_access(kernel, Op::AtomicAdd, "+=")?,
            "yield" => {
                let none = !matches!(self.word, Word::Value(_)) || self.begins_definition();
                let args = match none {
                    true => Vec::new(),
                    false => self.items(limits::OPERANDS, Self::value)?,
                };
                Parts::new(Op::Yield, args)
            }
            _ => return Ok(None),
        };
        Ok(Some(parts))
    }

    /// Whether the next word is a value followed by `:`, so that a new instruction begins there.
    fn begins_definition(&self) -> bool {
        matches!(self.lexer.clone().next(), Some(Ok(Word::Mark(":"))))
    }

    fn over(&mut self) -> Read<SmallVec<[Axis; 2]>> {
        Ok(self.items(limits::RANK, Self::axis)?.into())
    }

    fn dot(&mut self) -> Read<Parts> {
        let args = self.operands(2)?;
        self.expect_word("over")?;
        let over = self.over()?;
        let mut precision = Precision::Ieee;
        if self.eat_word("precision")? {
            let at = self.at;
            let name = self.name("a precision")?;
            precision = match Precision::from_name(name) {
                Some(precision) => precision,
                None => return self.error_at(at, format!("there is no precision `{name}`")),
            };
        }
        Ok(Parts::new(Op::Dot(over, precision), args))
    }

    fn indices(&mut self) -> Read<Vec<Value>> {
        self.expect("[")?;
        self.list("]", limits::RANK, Self::value)
    }

    fn write_access(
        &mut self,
        kernel: &Kernel,
        op: impl Fn(Param) -> Op,
        sign: &str,
    ) -> Read<Parts> {
        let param = self.param_name(kernel, true)?;
        let indices = self.indices()?;
        self.expect(sign)?;
        let mut args = vec![self.value()?];
        args.extend(indices);
        Ok(Parts::new(op(param), args))
    }

    fn param_name(&mut self, kernel: &Kernel, tensor: bool) -> Read<Param> {
        let at = self.at;
        let name = self.name("a parameter")?;
        let wanted = if tensor { "tensor" } else { "number" };
        match kernel.param(name) {
            Some(id) if matches!(kernel.params[id].ty, ParamType::Tensor { .. }) == tensor => {
                Ok(id)
            }
            _ => self.error_at(at, format!("there is no {wanted} `{name}`")),
        }
    }

    fn generic_op(&mut self, kernel: &Kernel) -> Read<Op> {
        let at = self.at;
        let name = self.name("a constant or knob")?;
        let found = kernel.generics.iter().find(|(_, generic)| generic.name == name);
        match found.map(|(id, generic)| (id, &generic.kind)) {
            Some((id, GenericKind::Const | GenericKind::Knob(_))) => Ok(Op::Generic(id)),
            _ => self.error_at(at, format!("there is no constant or knob `{name}`")),
        }
    }

    fn dim_op(&mut self, kernel: &Kernel) -> Read<Op> {
        let at = self.at;
        let name = self.name("a dimension")?;
        match kernel.dims.iter().find(|(_, dim)| dim.name == name) {
            Some((id, _)) => Ok(Op::Dim(id)),
            None => self.error_at(at, format!("there is no dimension `{name}`")),
        }
    }

    fn program_op(&mut self, kernel: &Kernel) -> Read<Op> {
        let at = self.at;
        let position = match self.word {
            Word::Number(_) => usize::try_from(self.int("a grid axis")?).ok(),
            _ => {
                let name = self.name("a grid axis")?;
                kernel.grid.iter().position(|axis| axis.name == name)
            }
        };
        match position {
            Some(position) if position < kernel.grid.len() => Ok(Op::Program(position as u32)),
            _ => self.error_at(at, "the grid has no such axis"),
        }
    }

    /// `m: BM`, made known.
    fn declare(&mut self, kernel: &mut Kernel) -> Read<Axis> {
        let at = self.at;
        let Word::Name(word) = self.word else { return self.expected("an axis") };
        self.advance()?;
        self.expect(":")?;
        let extent = self.extent(kernel)?;
        let span = self.span()?.unwrap_or_default();
        let name = word.split('.').next().unwrap_or_default().to_owned();
        let axis = kernel.axes.push(AxisData { name, extent, full: false, span });
        if self.axes.insert(word, axis).is_some() {
            return self.error_at(at, format!("axis `{word}` is declared twice"));
        }
        Ok(axis)
    }

    fn range(&mut self) -> Read<Vec<Value>> {
        self.expect("=")?;
        let start = self.value()?;
        self.expect("..")?;
        Ok(vec![start, self.value()?])
    }

    fn axis_op(&mut self, to: &mut Builder<'_>) -> Read<Parts> {
        let axis = self.declare(to.kernel)?;
        let args = self.range()?;
        to.kernel.axes[axis].full = self.eat_word("full")?;
        Ok(Parts::new(Op::Axis(axis), args))
    }

    fn for_loop(&mut self, to: &mut Builder<'_>, depth: usize) -> Read<Parts> {
        let mut axis = None;
        if let Word::Name(_) = self.word {
            axis = Some(self.declare(to.kernel)?);
            self.expect(",")?;
        }
        let (at, word) = (self.at, self.value_word()?);
        let mut args = self.range()?;
        if let Some(axis) = axis {
            to.kernel.axes[axis].full = self.eat_word("full")?;
        }
        let mut params = vec![Definition { word, at, ty: Type::scalar(Elem::I64) }];
        if self.eat_word("carry")? {
            self.expect("(")?;
            let carried = self.list(")", limits::OPERANDS, |reader| {
                let param = reader.definition(to.kernel)?;
                reader.expect("=")?;
                Ok((param, reader.value()?))
            })?;
            for (param, initial) in carried {
                params.push(param);
                args.push(initial);
            }
        }
        let body = to.new_block(params.iter().map(|param| param.ty.clone()));
        let values = to.kernel.blocks[body].params.clone();
        for (param, value) in params.iter().zip(values) {
            self.bind(to.kernel, param, value)?;
        }
        self.nested(to, body, depth)?;
        Ok(Parts { op: Op::For(axis), args, blocks: vec![body] })
    }

    fn branch(&mut self, to: &mut Builder<'_>, depth: usize) -> Read<Parts> {
        let condition = self.value()?;
        let then = to.new_block([]);
        self.nested(to, then, depth)?;
        self.expect_word("else")?;
        let otherwise = to.new_block([]);
        self.nested(to, otherwise, depth)?;
        Ok(Parts { op: Op::If, args: vec![condition], blocks: vec![then, otherwise] })
    }
}
