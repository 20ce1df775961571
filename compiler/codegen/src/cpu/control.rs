//! Blocks, loops and branches; tiles made and carried.

use tilec_ir::{Axis, AxisSet, Block, Inst, InstData, Op, Value};

use super::emit::{Buffer, Emitter, Home, Lanes, Result};
use super::eval::{Point, Val};

/// What a loop carries.
pub(super) enum Carried {
    Scalar { slot: String, ty: &'static str },
    Tile(Buffer),
}

impl<'k> Emitter<'k> {
    /// Writes a block and gives what it yields.
    pub fn block(&mut self, block: Block) -> Result<&'k [Value]> {
        let kernel = self.kernel;
        self.instructions(&kernel.blocks[block].insts)
    }

    /// Writes instructions of one block and gives what the last of them yields.
    pub fn instructions(&mut self, insts: &[Inst]) -> Result<&'k [Value]> {
        let kernel = self.kernel;
        for (n, &inst) in insts.iter().enumerate() {
            let data = &kernel.insts[inst];
            self.check_size()?;
            match &data.op {
                Op::Yield => return Ok(&data.args),
                Op::Axis(axis) => {
                    let (start, end) = (self.scalar(data.args[0])?, self.scalar(data.args[1])?);
                    self.declare(*axis, start, &end);
                }
                Op::For(axis) => self.for_loop(data, *axis)?,
                Op::If => self.branch(data)?,
                Op::Store(param) => self.store(data, *param, false)?,
                Op::AtomicAdd(param) => self.store(data, *param, true)?,
                _ if data.results.iter().all(|result| self.swept.contains(result)) => {}
                _ if self.sweep_from(data, &insts[n..])? => {}
                _ => self.value(data)?,
            }
        }
        Ok(&[])
    }

    /// Makes the value of an instruction, and others with it, if they can share a pass.
    fn sweep_from(&mut self, data: &InstData, insts: &[Inst]) -> Result<bool> {
        let lazy = |&value: &Value| self.layouts.is_fused(value) || self.layouts.is_lazy(value);
        if data.results.iter().any(lazy) { Ok(false) } else { self.sweep(insts) }
    }

    /// Makes the value of an instruction now, unless it is made where it is used.
    fn value(&mut self, data: &'k InstData) -> Result<()> {
        let result = data.results[0];
        if self.layouts.is_fused(result) || self.layouts.is_lazy(result) {
            return Ok(());
        }
        if self.axes(result).is_empty() {
            let text = match &data.op {
                Op::Reduce(..) | Op::Dot(..) => self.reduce_to_scalar(data)?,
                _ => self.eval(result, &mut Point::default())?.text,
            };
            self.homes.insert(result, Home::Scalar(text));
            return Ok(());
        }
        if !self.layouts.is_packed_only(result) {
            let buffer = match self.as_it_lies(result)? {
                Some(buffer) => buffer,
                None => {
                    let buffer = self.allocate_for(result)?;
                    self.materialise(result, &buffer)?;
                    buffer
                }
            };
            self.homes.insert(result, Home::Buffer(buffer));
        }
        for format in self.layouts.packs(result).to_vec() {
            if !self.packed.contains_key(&(result, format)) {
                let packed = self.pack(result, format)?;
                self.packed.insert((result, format), packed);
            }
        }
        Ok(())
    }

    /// Writes a whole tile to a buffer of its axes.
    pub fn materialise(&mut self, value: Value, into: &Buffer) -> Result<()> {
        let kernel = self.kernel;
        let has_home = self.homes.contains_key(&value);
        if let Some(data) = kernel.def(value).filter(|_| !has_home) {
            if let Some((dot, init)) = self.layouts.fused_into(value) {
                return self.dot(&kernel.insts[dot], into, Some(init));
            }
            match &data.op {
                Op::Reduce(..) => return self.reduce_to_tile(data, into),
                Op::Dot(..) => return self.dot(data, into, None),
                _ => {}
            }
        }
        let axes = self.axes(value);
        let outer: Vec<Axis> = axes.iter().filter(|&axis| axis != into.inner).collect();
        let is_load = !has_home && kernel.def(value).is_some_and(|d| matches!(d.op, Op::Load(_)));
        self.row_axis = outer.last().copied().filter(|_| is_load);
        self.nest(&outer, Some(into.inner), &mut |this, point| {
            let val = this.eval_lifted(value, point)?;
            this.write(into, axes, point, &val);
            Ok(())
        })?;
        self.row_axis = None;
        Ok(())
    }

    /// Loops over the present lanes of axes, the last by vectors if it is given.
    pub fn nest(
        &mut self,
        axes: &[Axis],
        vector: Option<Axis>,
        body: &mut dyn FnMut(&mut Self, &mut Point) -> Result<()>,
    ) -> Result<()> {
        self.nest_from(&Point::default(), axes, vector, body)
    }

    /// [`Emitter::nest`] inside loops that are open.
    pub fn nest_from(
        &mut self,
        point: &Point,
        axes: &[Axis],
        vector: Option<Axis>,
        body: &mut dyn FnMut(&mut Self, &mut Point) -> Result<()>,
    ) -> Result<()> {
        if let [axis, rest @ ..] = axes {
            let count = self.count(*axis);
            let opened = self.text.open_loop("0", &count, "1");
            self.nest_from(&point.with(*axis, &opened.at), rest, vector, body)?;
            self.text.close_loop(opened);
            return Ok(());
        }
        let Some(axis) = vector else { return body(self, &mut point.clone()) };
        let (count, step) = (self.count(axis), self.host.lanes.to_string());
        let opened = self.text.open_loop("0", &count, &step);
        body(self, &mut point.along(axis, &opened.at))?;
        self.text.close_loop(opened);
        Ok(())
    }

    /// A scalar's text.
    pub fn scalar(&mut self, value: Value) -> Result<String> {
        Ok(self.eval(value, &mut Point::default())?.text)
    }

    fn declare(&mut self, axis: Axis, start: String, end: &str) {
        let extent = self.extent(axis);
        let count = if self.kernel.axes[axis].full {
            extent.to_string()
        } else {
            let args = [("i64", end), ("i64", start.as_str())];
            let left = self.text.call("i64", "llvm.ssub.sat.i64", &args);
            let some = self.text.call("i64", "llvm.smax.i64", &[("i64", &left), ("i64", "0")]);
            let extent = extent.to_string();
            self.text.call("i64", "llvm.smin.i64", &[("i64", &some), ("i64", &extent)])
        };
        self.lanes.insert(axis, Lanes { start, count });
    }

    fn for_loop(&mut self, data: &'k InstData, axis: Option<Axis>) -> Result<()> {
        let kernel = self.kernel;
        let body = data.blocks[0];
        let params = &kernel.blocks[body].params;
        let (lo, hi) = (self.scalar(data.args[0])?, self.scalar(data.args[1])?);
        let mut carried = Vec::new();
        for (&init, &param) in data.args[2..].iter().zip(&params[1..]) {
            carried.push(self.carry(init, param, body)?);
        }
        let step = axis.map_or(1, |axis| self.extent(axis)).to_string();
        let opened = self.text.open_loop(&lo, &hi, &step);
        self.homes.insert(params[0], Home::Scalar(opened.at.clone()));
        if let Some(axis) = axis {
            self.declare(axis, opened.at.clone(), &hi);
        }
        for (&param, carried) in params[1..].iter().zip(&carried) {
            let home = self.home_of(carried);
            self.homes.insert(param, home);
        }
        let around = std::mem::replace(&mut self.loop_axis, axis);
        self.loop_body(body, &carried)?;
        self.loop_axis = around;
        self.text.close_wide_loop(opened);
        for (&result, carried) in data.results.iter().zip(&carried) {
            let home = self.home_of(carried);
            self.homes.insert(result, home);
        }
        Ok(())
    }

    fn home_of(&mut self, carried: &Carried) -> Home {
        match carried {
            Carried::Tile(buffer) => Home::Buffer(buffer.clone()),
            Carried::Scalar { slot, ty } => {
                Home::Scalar(self.text.def(format_args!("load {ty}, ptr {slot}")))
            }
        }
    }

    /// The first value of what a loop carries.
    fn carry(&mut self, init: Value, param: Value, body: Block) -> Result<Carried> {
        if self.axes(param).is_empty() {
            let (text, ty) = (self.scalar(init)?, self.kind(param).lane());
            let slot = self.text.slot(ty);
            self.text.line(format_args!("store {ty} {text}, ptr {slot}"));
            return Ok(Carried::Scalar { slot, ty });
        }
        // A tile that nobody else looks at is changed where it lies.
        if let Some(Home::Buffer(buffer)) = self.homes.get(&init)
            && self.layouts.is_last_use(self.kernel, init, body)
            && Some(buffer.inner) == self.layouts.inner(param)
        {
            return Ok(Carried::Tile(buffer.clone()));
        }
        let buffer = self.allocate_for(param)?;
        self.materialise(init, &buffer)?;
        Ok(Carried::Tile(buffer))
    }

    /// Writes what an iteration yields over what the next one reads, each in place where nothing that is still
    /// to be computed reads it.
    pub fn assign(&mut self, yielded: &[Value], carried: &[Carried]) -> Result<()> {
        let mut scalars = Vec::new();
        let mut tiles = Vec::new();
        for (&value, carried) in yielded.iter().zip(carried) {
            match carried {
                Carried::Scalar { slot, ty } => scalars.push((self.scalar(value)?, slot, ty)),
                Carried::Tile(buffer) => tiles.push((value, buffer)),
            }
        }
        tiles.retain(|(value, buffer)| !self.is_at(*value, buffer));
        while !tiles.is_empty() {
            let reads: Vec<Vec<(usize, bool)>> =
                tiles.iter().map(|(value, _)| self.regions_read(*value)).collect();
            let ready = (0..tiles.len()).find(|&n| {
                let mine = tiles[n].1.region;
                reads.iter().enumerate().all(|(other, regions)| {
                    regions
                        .iter()
                        .all(|&(region, anywhere)| region != mine || (other == n && !anywhere))
                })
            });
            match ready {
                Some(n) => {
                    let (value, buffer) = tiles.remove(n);
                    self.materialise(value, buffer)?;
                }
                None => {
                    let value = tiles[0].0;
                    let aside = self.allocate_for(value)?;
                    self.materialise(value, &aside)?;
                    self.homes.insert(value, Home::Buffer(aside));
                }
            }
        }
        for (text, slot, ty) in scalars {
            self.text.line(format_args!("store {ty} {text}, ptr {slot}"));
        }
        Ok(())
    }

    fn is_at(&self, value: Value, buffer: &Buffer) -> bool {
        matches!(self.homes.get(&value), Some(Home::Buffer(home)) if home.region == buffer.region)
    }

    /// The buffers that computing a value reads, and whether at other lanes than its own.
    fn regions_read(&self, value: Value) -> Vec<(usize, bool)> {
        let (mut regions, mut work) = (Vec::new(), vec![(value, false)]);
        while let Some((value, anywhere)) = work.pop() {
            match self.homes.get(&value) {
                Some(Home::Scalar(_)) => continue,
                Some(Home::Buffer(buffer)) => {
                    regions.push((buffer.region, anywhere));
                    continue;
                }
                None => {}
            }
            if self.packed.keys().any(|(packed, _)| *packed == value)
                && self.layouts.is_packed_only(value)
            {
                continue;
            }
            let Some(data) = self.kernel.def(value) else { continue };
            let whole = matches!(data.op, Op::Dot(..) | Op::Reduce(..));
            work.extend(data.args.iter().map(|&arg| (arg, anywhere || whole)));
        }
        regions
    }

    fn branch(&mut self, data: &'k InstData) -> Result<()> {
        let condition = self.scalar(data.args[0])?;
        let mut carried = Vec::new();
        for &result in &data.results {
            carried.push(if self.axes(result).is_empty() {
                let ty = self.kind(result).lane();
                Carried::Scalar { slot: self.text.slot(ty), ty }
            } else {
                Carried::Tile(self.allocate_for(result)?)
            });
        }
        let mut branch = self.text.open_if(&condition);
        self.arm(data.blocks[0], &carried)?;
        self.text.open_else(&mut branch);
        self.arm(data.blocks[1], &carried)?;
        self.text.close_if(branch);
        for (&result, carried) in data.results.iter().zip(&carried) {
            let home = self.home_of(carried);
            self.homes.insert(result, home);
        }
        Ok(())
    }

    fn arm(&mut self, block: Block, results: &[Carried]) -> Result<()> {
        let yielded = self.block(block)?;
        for (&value, result) in yielded.iter().zip(results) {
            match result {
                Carried::Tile(buffer) => self.materialise(value, buffer)?,
                Carried::Scalar { slot, ty } => {
                    let text = self.scalar(value)?;
                    self.text.line(format_args!("store {ty} {text}, ptr {slot}"));
                }
            }
        }
        Ok(())
    }

    /// A value's buffer with this axis innermost, if asked for; made if there is none.
    pub fn buffer(&mut self, value: Value, inner: Option<Axis>) -> Result<Buffer> {
        if let Some(Home::Buffer(buffer)) = self.homes.get(&value)
            && inner.is_none_or(|inner| inner == buffer.inner)
        {
            return Ok(buffer.clone());
        }
        let axes: &AxisSet = self.axes(value);
        let inner = inner.or_else(|| self.layouts.inner(value)).or_else(|| axes.iter().next_back());
        let Some(inner) = inner else {
            return self.unsupported("a dot of scalars", self.kernel.span);
        };
        let buffer = self.allocate(self.kind(value), axes, inner)?;
        self.materialise(value, &buffer)?;
        Ok(buffer)
    }

    /// `a * b` for floats at a point.
    pub fn product(&mut self, a: Value, b: Value, point: &mut Point) -> Result<Val> {
        let (a, b) = (self.eval_lifted(a, point)?, self.eval_lifted(b, point)?);
        let vector = a.vector || b.vector;
        let text = self.fop("fmul contract", vector, &a.text, &b.text);
        Ok(Val { text, vector })
    }
}
