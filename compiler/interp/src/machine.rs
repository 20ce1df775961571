//! Running a kernel: programs, blocks, loops and branches, within limits.

use std::rc::Rc;

use tilec_ir::{
    Axis, AxisSet, Block, Entity, Extent, Imm, Inst, InstData, Kernel, Op, Param, ParamType, Value,
};
use tilec_vocab::DType;

use crate::bind::{Bound, bind};
use crate::data::{Argument, Data, TensorData};
use crate::error::{InterpError, bug};
use crate::lanes::Lanes;
use crate::memory::Memory;
use crate::mode::Mode;
use crate::order::Order;
use crate::{dot, elementwise, plan, reduce};

/// How much a run may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Instructions executed plus lanes computed, a multiply-add of a dot counting as one.
    pub steps: u64,
    /// Elements of tile values alive at a time, 8 bytes each. Arguments are not counted.
    pub elements: u64,
}

impl Default for Limits {
    /// About a minute and 2 GiB.
    fn default() -> Limits {
        Limits { steps: 1 << 35, elements: 1 << 28 }
    }
}

/// What a kernel left behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The mutable tensors, in the order of the parameters.
    pub outputs: Vec<Output>,
}

/// One mutable tensor after the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The parameter.
    pub param: Param,
    /// Its name.
    pub name: String,
    /// Its elements; those not written are as before, rounded to its type.
    pub tensor: TensorData,
    /// For each element whether any program wrote it.
    pub written: Vec<bool>,
}

impl Outcome {
    /// The output with this name.
    pub fn output(&self, name: &str) -> Option<&Output> {
        self.outputs.iter().find(|output| output.name == name)
    }
}

/// Runs every program of a kernel, or a spec, on one argument for each parameter.
///
/// # Errors
///
/// A kernel that is not specialised or does not verify, arguments that do not fit it, and limits
/// that are reached.
pub fn run(
    kernel: &Kernel,
    args: Vec<Argument>,
    mode: Mode,
    limits: Limits,
) -> Result<Outcome, InterpError> {
    run_in_order(kernel, args, mode, limits, Order::Forward)
}

/// [`run`] with the programs in another order.
///
/// # Errors
///
/// As [`run`].
pub fn run_in_order(
    kernel: &Kernel,
    args: Vec<Argument>,
    mode: Mode,
    limits: Limits,
    order: Order,
) -> Result<Outcome, InterpError> {
    if let Some(generic) = kernel.generics.values().next() {
        let (kernel, generic) = (kernel.name.clone(), generic.name.clone());
        return Err(InterpError::NotSpecialised { kernel, generic });
    }
    if let Mode::Low(dtype) = mode
        && !dtype.is_float()
    {
        return Err(InterpError::NotAFloat(dtype));
    }
    tilec_ir::verify(kernel)?;
    let bound = bind(kernel, args, mode)?;
    let mut machine = Machine::new(kernel, bound, mode, limits);
    machine.run_programs(order)?;
    Ok(machine.finish())
}

struct Machine<'k> {
    kernel: &'k Kernel,
    mode: Mode,
    limits: Limits,
    steps: u64,
    /// Elements held in `values`.
    alive: u64,
    bound: Bound,
    /// This program's position along each grid axis.
    program: Vec<i64>,
    lanes: Lanes,
    values: Vec<Option<Rc<Data>>>,
    last_uses: Vec<Vec<Value>>,
}

impl<'k> Machine<'k> {
    fn new(kernel: &'k Kernel, bound: Bound, mode: Mode, limits: Limits) -> Machine<'k> {
        Machine {
            kernel,
            mode,
            limits,
            steps: 0,
            alive: 0,
            program: vec![0; bound.grid.len()],
            bound,
            lanes: Lanes::new(kernel.axes.len()),
            values: vec![None; kernel.values.len()],
            last_uses: plan::last_uses(kernel),
        }
    }

    fn run_programs(&mut self, order: Order) -> Result<(), InterpError> {
        let grid = self.bound.grid.clone();
        if grid.contains(&0) {
            return Ok(());
        }
        // Each program takes a step, so more programs than steps cannot end.
        let programs = grid.iter().try_fold(1_u64, |product, &count| product.checked_mul(count));
        let Some(programs) = programs.filter(|&count| count <= self.limits.steps) else {
            return Err(InterpError::StepLimit(self.limits.steps));
        };
        if matches!(order, Order::Shuffled(_)) && programs > self.limits.elements {
            return Err(InterpError::MemoryLimit(self.limits.elements));
        }
        if programs > 1 {
            self.separate_programs();
        }
        for number in order.programs(programs as usize) {
            let mut rest = number as u64;
            for (position, &count) in self.program.iter_mut().zip(&grid).rev() {
                *position = (rest % count) as i64;
                rest /= count;
            }
            self.block(self.kernel.body)?;
            self.bound.memory.iter_mut().flatten().for_each(Memory::end_program);
        }
        Ok(())
    }

    /// A tensor that is read and written shows each program its own writes only.
    fn separate_programs(&mut self) {
        let params = self.kernel.params.len();
        let (mut read, mut written) = (vec![false; params], vec![false; params]);
        for inst in self.kernel.walk() {
            match self.kernel.insts[inst].op {
                Op::Load(param) => read[param.index()] = true,
                Op::Store(param) | Op::AtomicAdd(param) => written[param.index()] = true,
                _ => {}
            }
        }
        for (index, memory) in self.bound.memory.iter_mut().enumerate() {
            if let Some(memory) = memory
                && read[index]
                && written[index]
            {
                memory.separate_programs();
            }
        }
    }

    fn finish(self) -> Outcome {
        let mut outputs = Vec::new();
        for ((param, data), memory) in self.kernel.params.iter().zip(self.bound.memory) {
            if let (Some(memory), ParamType::Tensor { mutable: true, .. }) = (memory, &data.ty) {
                let (tensor, written) = memory.finish();
                outputs.push(Output { param, name: data.name.clone(), tensor, written });
            }
        }
        Outcome { outputs }
    }

    /// Runs a block whose parameters are set, and gives what it yields.
    fn block(&mut self, block: Block) -> Result<Vec<Rc<Data>>, InterpError> {
        let kernel = self.kernel;
        for &inst in &kernel.blocks[block].insts {
            let data = &kernel.insts[inst];
            self.spend(1)?;
            match data.op {
                Op::Yield => {
                    let values = data.args.iter().map(|&value| self.shared(value));
                    let values = values.collect::<Result<Vec<_>, _>>()?;
                    self.drop_dead(inst);
                    return Ok(values);
                }
                Op::Axis(axis) => self.declare(axis, self.int(data, 0)?, self.int(data, 1)?)?,
                Op::For(axis) => self.for_loop(data, axis)?,
                Op::If => {
                    let taken = if self.bool(data, 0)? { 0 } else { 1 };
                    let values = self.block(data.blocks[taken])?;
                    self.set_all(&data.results, values)?;
                }
                Op::Store(param) | Op::AtomicAdd(param) => self.write(data, param)?,
                _ => {
                    let value = self.eval(data)?;
                    self.set_all(&data.results, vec![Rc::new(value)])?;
                }
            }
            self.drop_dead(inst);
        }
        bug("a block without a yield")
    }

    fn declare(&mut self, axis: Axis, start: i64, end: i64) -> Result<(), InterpError> {
        let extent = self.extent(self.kernel.axes[axis].extent)?;
        self.lanes.declare(axis, start, end, extent);
        let data = &self.kernel.axes[axis];
        if data.full && self.lanes.present(axis) as i128 != i128::from(extent) {
            let name = &data.name;
            return bug(format!("axis `{name}` is full, but {start}..{end} is not {extent} lanes"));
        }
        Ok(())
    }

    fn extent(&self, extent: Extent) -> Result<i64, InterpError> {
        match extent {
            Extent::Const(lanes) => Ok(lanes),
            Extent::Dim(dim) => Ok(self.bound.dims[dim.index()]),
            Extent::Generic(_) => bug("a generic extent"),
        }
    }

    fn for_loop(&mut self, data: &InstData, axis: Option<Axis>) -> Result<(), InterpError> {
        let (lo, hi) = (self.int(data, 0)?, self.int(data, 1)?);
        let step = match axis {
            Some(axis) => self.extent(self.kernel.axes[axis].extent)?,
            None => 1,
        };
        let carried = data.args[2..].iter().map(|&value| self.shared(value));
        let mut carried = carried.collect::<Result<Vec<_>, _>>()?;
        let params = &self.kernel.blocks[data.blocks[0]].params;
        let mut next = (lo < hi).then_some(lo);
        while let Some(at) = next {
            if let Some(axis) = axis {
                self.declare(axis, at, hi)?;
            }
            carried.insert(0, Rc::new(Data::Int(vec![at])));
            self.set_all(params, carried)?;
            carried = self.block(data.blocks[0])?;
            self.drop_values(params);
            next = at.checked_add(step).filter(|&at| at < hi);
        }
        self.set_all(&data.results, carried)
    }

    /// The result of an op that neither writes nor controls.
    fn eval(&mut self, data: &InstData) -> Result<Data, InterpError> {
        let Some(&result) = data.results.first() else { return bug("an op without a result") };
        let ty = self.kernel.ty(result);
        let axes = &ty.axes;
        let Some(dtype) = ty.elem.known() else { return bug("a generic element type") };
        self.reserve(data, axes)?;
        let rounding = self.mode.rounding(dtype);
        let arg = |n: usize| self.operand(data, n);
        let axes_of = |n: usize| &self.kernel.ty(data.args[n]).axes;
        match &data.op {
            Op::Const(imm) => Ok(self.literal(*imm, dtype)),
            Op::Dim(dim) => Ok(Data::Int(vec![self.bound.dims[dim.index()]])),
            Op::Scalar(param) => match &self.bound.scalars[param.index()] {
                Some(value) => Ok(value.clone()),
                None => bug("`scalar` of a tensor"),
            },
            Op::Program(position) => Ok(Data::Int(vec![self.program[*position as usize]])),
            Op::Index(axis) => {
                let (start, lanes) = (self.lanes.start(*axis), self.lanes.present(*axis));
                Ok(Data::Int((start..).take(lanes).collect()))
            }
            Op::Splat => {
                let loops = self.lanes.loops(axes, [axes_of(0)]);
                Ok(elementwise::splat(arg(0)?, &loops))
            }
            Op::Unary(op) => elementwise::unary(*op, arg(0)?, rounding),
            Op::Binary(op) => {
                let loops = self.lanes.loops(axes, [axes_of(0), axes_of(1)]);
                elementwise::binary(*op, arg(0)?, arg(1)?, &loops, rounding)
            }
            Op::Compare(op) => {
                let loops = self.lanes.loops(axes, [axes_of(0), axes_of(1)]);
                elementwise::compare(*op, arg(0)?, arg(1)?, &loops)
            }
            Op::Select => {
                let loops = self.lanes.loops(axes, [axes_of(0), axes_of(1), axes_of(2)]);
                elementwise::select(arg(0)?, arg(1)?, arg(2)?, &loops)
            }
            Op::Cast => elementwise::cast(arg(0)?, dtype, self.mode),
            Op::Reduce(op, over) => {
                let x = (arg(0)?, axes_of(0));
                let mut out = reduce::reduce(*op, over, x, &self.lanes, self.mode)?;
                if let Data::Float(out) = &mut out {
                    rounding.results(out);
                }
                Ok(out)
            }
            Op::Dot(over, precision) => {
                let (Data::Float(a), Data::Float(b)) = (arg(0)?, arg(1)?) else {
                    return bug("a dot of what is not float");
                };
                let factors = |x| self.mode.factors(x, *precision);
                let (a, b) = (factors(a), factors(b));
                let (a, b) = ((&*a, axes_of(0)), (&*b, axes_of(1)));
                let mut out = dot::dot(a, b, over, &self.lanes, self.mode);
                rounding.results(&mut out);
                Ok(Data::Float(out))
            }
            Op::Load(param) => {
                let memory = self.memory(*param)?;
                let indices = self.operands(&data.args)?;
                let offsets = memory.offsets(indices, &self.lanes)?;
                Ok(memory.load(&offsets, axes, &self.lanes))
            }
            Op::Generic(_)
            | Op::Axis(_)
            | Op::Store(_)
            | Op::AtomicAdd(_)
            | Op::For(_)
            | Op::If
            | Op::Yield => bug("an op that makes no value"),
        }
    }

    fn literal(&self, imm: Imm, dtype: DType) -> Data {
        match imm {
            Imm::Bool(value) => Data::Bool(vec![value]),
            Imm::Int(value) => Data::Int(vec![value]),
            Imm::Float(value) => Data::Float(vec![self.mode.rounding(dtype).nearest(value)]),
        }
    }

    fn write(&mut self, data: &InstData, param: Param) -> Result<(), InterpError> {
        let kernel = self.kernel;
        let (value, indices) = (data.args[0], &data.args[1..]);
        let axes = indices.iter().fold(AxisSet::new(), |axes, &i| axes.union(&kernel.ty(i).axes));
        self.reserve(data, &axes)?;
        let value = (&*self.shared(value)?, &kernel.ty(value).axes);
        let offsets = self.memory(param)?.offsets(self.operands(indices)?, &self.lanes)?;
        let Some(memory) = &mut self.bound.memory[param.index()] else {
            return bug("a write to a number");
        };
        match data.op {
            Op::AtomicAdd(_) => memory.atomic_add(value, &offsets, &axes, &self.lanes, self.mode),
            _ => memory.store(value, &offsets, &axes, &self.lanes, self.mode),
        }
    }

    fn memory(&self, param: Param) -> Result<&Memory, InterpError> {
        self.bound.memory[param.index()].as_ref().map_or_else(|| bug("access to a number"), Ok)
    }

    /// Pays for an instruction whose lanes are those of `axes`, and for the room it needs.
    fn reserve(&mut self, data: &InstData, axes: &AxisSet) -> Result<(), InterpError> {
        let count = |axes: &AxisSet| self.lanes.count(axes) as u64;
        let args = || data.args.iter().map(|&arg| count(&self.kernel.ty(arg).axes));
        let lanes = count(axes);
        let (work, room) = match &data.op {
            Op::Reduce(..) => (args().fold(lanes, u64::saturating_add), lanes),
            Op::Dot(over, _) => {
                let depth = over.iter().map(|&axis| self.lanes.present(axis) as u64);
                let work = depth.fold(lanes, u64::saturating_mul).saturating_add(lanes);
                // The matrices made on the way.
                (work, args().fold(lanes.saturating_mul(2), u64::saturating_add))
            }
            Op::Store(_) | Op::AtomicAdd(_) | Op::Load(_) => {
                let rank = data.args.len() as u64;
                (lanes.saturating_mul(rank), lanes.saturating_mul(3))
            }
            _ => (lanes, lanes),
        };
        self.spend(work)?;
        if self.alive.saturating_add(room) > self.limits.elements {
            return Err(InterpError::MemoryLimit(self.limits.elements));
        }
        Ok(())
    }

    fn spend(&mut self, steps: u64) -> Result<(), InterpError> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > self.limits.steps {
            return Err(InterpError::StepLimit(self.limits.steps));
        }
        Ok(())
    }

    fn set_all(&mut self, to: &[Value], values: Vec<Rc<Data>>) -> Result<(), InterpError> {
        if to.len() != values.len() {
            return bug("a block yields another number of values");
        }
        for (&to, value) in to.iter().zip(values) {
            self.alive += value.len() as u64;
            if let Some(old) = self.values[to.index()].replace(value) {
                self.alive -= old.len() as u64;
            }
        }
        Ok(())
    }

    fn drop_dead(&mut self, inst: Inst) {
        let dead = std::mem::take(&mut self.last_uses[inst.index()]);
        self.drop_values(&dead);
        self.last_uses[inst.index()] = dead;
    }

    fn drop_values(&mut self, values: &[Value]) {
        for value in values {
            if let Some(data) = self.values[value.index()].take() {
                self.alive -= data.len() as u64;
            }
        }
    }

    fn shared(&self, value: Value) -> Result<Rc<Data>, InterpError> {
        let data = self.values[value.index()].clone();
        data.map_or_else(|| bug("a value used before it is made"), Ok)
    }

    fn value(&self, value: Value) -> Result<&Data, InterpError> {
        let data = self.values[value.index()].as_deref();
        data.map_or_else(|| bug("a value used before it is made"), Ok)
    }

    fn operand(&self, data: &InstData, n: usize) -> Result<&Data, InterpError> {
        self.value(data.args[n])
    }

    fn operands(&self, values: &[Value]) -> Result<Vec<(&Data, &'k AxisSet)>, InterpError> {
        let kernel = self.kernel;
        values.iter().map(|&v| Ok((self.value(v)?, &kernel.ty(v).axes))).collect()
    }

    fn int(&self, data: &InstData, n: usize) -> Result<i64, InterpError> {
        match self.operand(data, n)? {
            Data::Int(value) if value.len() == 1 => Ok(value[0]),
            _ => bug("a bound that is no integer"),
        }
    }

    fn bool(&self, data: &InstData, n: usize) -> Result<bool, InterpError> {
        match self.operand(data, n)? {
            Data::Bool(value) if value.len() == 1 => Ok(value[0]),
            _ => bug("a condition that is no bool"),
        }
    }
}
