//! GPU IR as text: shared memory, layouts, then what is done. For people and tests; nothing reads it back.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use tilec_ir::{Axis, Kernel, Param};
use tilec_layout::{Layout, Place};

use super::{
    Access, Block, Conversion, DotKind, Index, Lanes, Op, Operand, Program, Slot, Stmt, Val,
};

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printer = Printer { program: self, layouts: BTreeMap::new(), text: String::new() };
        printer.block(&self.body, 1);
        let Printer { layouts, text, .. } = printer;
        writeln!(f, "gpu kernel @{}", self.signature.name)?;
        writeln!(f, "  {} warps, {} bytes of shared memory", self.warps, self.shared_bytes)?;
        for (buf, data) in self.buffers.iter() {
            let axes = data.buffer.axes().iter();
            let axes: Vec<String> = axes
                .map(|(axis, extent)| format!("{}: {extent}", name(&self.signature, *axis)))
                .collect();
            let swizzle = data.buffer.swizzle();
            writeln!(
                f,
                "  shared {buf} {}[{}] x {}: {} bytes at {}, rows of {} bytes, swizzle of {} bits from bit {} of the row",
                data.name,
                axes.join(", "),
                data.slots,
                data.buffer.bytes() * data.slots,
                data.offset,
                data.buffer.row_bytes(),
                swizzle.bits,
                swizzle.row_shift,
            )?;
        }
        let mut ordered: Vec<(&Layout<Axis>, usize)> =
            layouts.iter().map(|(layout, &number)| (layout, number)).collect();
        ordered.sort_by_key(|(_, number)| *number);
        for (layout, number) in ordered {
            writeln!(f, "  layout L{number}")?;
            for place in Place::ALL {
                let parts: Vec<String> = layout
                    .parts(place)
                    .iter()
                    .map(|part| match part.along {
                        Some((axis, stride)) => {
                            format!("{} {}*{stride}", part.extent, name(&self.signature, axis))
                        }
                        None => format!("{} copies", part.extent),
                    })
                    .collect();
                if !parts.is_empty() {
                    writeln!(f, "    {place:<10}{}", parts.join("   "))?;
                }
            }
        }
        write!(f, "{{\n{text}}}\n")
    }
}

/// `n`, or `n.7` where several axes have the name.
fn name(kernel: &Kernel, axis: Axis) -> String {
    let name = &kernel.axes[axis].name;
    let first = kernel.axes.iter().find(|(_, data)| data.name == *name).map(|(first, _)| first);
    if first == Some(axis) {
        name.clone()
    } else {
        format!("{name}.{}", tilec_ir::Entity::index(axis))
    }
}

struct Printer<'p> {
    program: &'p Program,
    /// In order of first mention.
    layouts: BTreeMap<Layout<Axis>, usize>,
    text: String,
}

impl Printer<'_> {
    fn block(&mut self, body: &[Stmt], depth: usize) {
        for stmt in body {
            self.stmt(stmt, depth);
        }
    }

    fn line(&mut self, depth: usize, text: impl fmt::Display) {
        let _ = writeln!(self.text, "{:1$}{text}", "", depth * 2);
    }

    fn layout(&mut self, layout: &Layout<Axis>) -> String {
        let next = self.layouts.len();
        format!("L{}", self.layouts.entry(layout.clone()).or_insert(next))
    }

    /// `%7 top: f32 in L2`.
    fn typed(&mut self, val: Val) -> String {
        let data = &self.program.values[val];
        let name = data.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
        match data.layout.clone() {
            Some(layout) => format!("{val}{name}: {} in {}", data.elem, self.layout(&layout)),
            None => format!("{val}{name}: {}", data.elem),
        }
    }

    fn stmt(&mut self, stmt: &Stmt, depth: usize) {
        let results: Vec<String> = stmt.results.iter().map(|&val| self.typed(val)).collect();
        let left =
            if results.is_empty() { String::new() } else { format!("{} = ", results.join(", ")) };
        match &stmt.op {
            Op::For(whole) => {
                let carried = whole.params.iter().zip(&whole.initial);
                let below = |param: &Val| match self.program.values[*param].below {
                    Some(below) => format!(" below {below}"),
                    None => String::new(),
                };
                let carried: Vec<String> = carried
                    .map(|(param, initial)| format!("{param} = {initial}{}", below(param)))
                    .collect();
                self.line(
                    depth,
                    format_args!(
                        "{left}for {} = {} .. {} by {} carry ({}) {{",
                        whole.iv,
                        whole.lo,
                        whole.hi,
                        whole.step,
                        carried.join(", ")
                    ),
                );
                self.nested(&whole.body, depth);
                self.line(depth, "}");
            }
            Op::If { condition, then, otherwise } => {
                self.line(depth, format_args!("{left}if {condition} {{"));
                self.nested(then, depth);
                if !otherwise.body.is_empty() || !otherwise.yields.is_empty() {
                    self.line(depth, "} else {");
                    self.nested(otherwise, depth);
                }
                self.line(depth, "}");
            }
            op => {
                let text = self.op(op);
                self.line(depth, format_args!("{left}{text}"));
            }
        }
    }

    fn nested(&mut self, block: &Block, depth: usize) {
        self.block(&block.body, depth + 1);
        if !block.yields.is_empty() {
            let yields: Vec<String> = block.yields.iter().map(Val::to_string).collect();
            self.line(depth + 1, format_args!("yield {}", yields.join(", ")));
        }
    }

    fn op(&mut self, op: &Op) -> String {
        let kernel = &self.program.signature;
        match op {
            Op::Const(imm) => format!("const {imm:?}"),
            Op::Dim(dim) => format!("dim {}", kernel.dims[*dim].name),
            Op::Scalar(param) => format!("scalar {}", param_name(kernel, *param)),
            Op::Program(axis) => {
                let name = kernel.grid.get(*axis as usize).map(|axis| axis.name.as_str());
                format!("program {}", name.unwrap_or("?"))
            }
            Op::Lanes(lanes) => format!("lanes {}", self.lanes(lanes)),
            Op::CompareLanes(op, lanes, rest) => {
                format!("compare lanes {} {} {rest}", self.lanes(lanes), op.symbol())
            }
            Op::AtMostWithin { lanes, most, within: (axis, count) } => format!(
                "compare lanes {} <= {most} and {} < {count}",
                self.lanes(lanes),
                name(kernel, *axis)
            ),
            Op::Unary(op, x) => format!("{} {x}", op.name()),
            Op::Binary(op, a, b) => format!("{} {a}, {b}", op.name()),
            Op::Compare(op, a, b) => format!("{} {a}, {b}", op.name()),
            Op::Select(condition, a, b) => format!("select {condition}, {a}, {b}"),
            Op::Cast(x) => format!("cast {x}"),
            Op::Fma(a, b, c) => format!("fma {a}, {b}, {c}"),
            Op::Convert(x, Conversion::Free) => format!("spread {x}"),
            Op::Convert(x, Conversion::Plan(plan, _)) => {
                format!("convert {x} by {}: {}", plan.name(), plan.cost())
            }
            Op::Reduce { op, value, steps, partial, through } => {
                let shuffles: usize = steps.iter().map(|step| step.num_shuffles()).sum();
                let lanes = if *partial { 0 } else { shuffles };
                let left = if *partial { ", the rest for later" } else { "" };
                let warps = through.map(|buf| format!(", across warps by way of {buf}"));
                format!(
                    "{} of {value}: {lanes} shuffles{left}{}",
                    op.name(),
                    warps.unwrap_or_default()
                )
            }
            Op::Combine { op, value, shares, through } => {
                let warps = through.map(|buf| format!(" and warps by way of {buf}"));
                let (op, masks) = (op.name(), &shares.lane_masks);
                format!("{op} across lanes {masks:?}{} of {value}", warps.unwrap_or_default())
            }
            Op::Load(access) => format!("load {}", self.access(access)),
            Op::Store(access, x) => format!("store {} = {x}", self.access(access)),
            Op::AtomicAdd(access, x) => format!("add {} += {x}", self.access(access)),
            Op::Put(x, slot) => format!("put {} = {x}", place(*slot)),
            Op::Clear(slot) => format!("clear {}", place(*slot)),
            Op::Get(slot) => format!("get {}", place(*slot)),
            Op::Copy { access, to, layout, is_async, when } => {
                let way = if *is_async { "cp.async" } else { "copy" };
                let layout = self.layout(layout);
                let when = when.map(|when| format!(" if {when}")).unwrap_or_default();
                format!("{way} {} = {} in {layout}{when}", place(*to), self.access(access))
            }
            Op::Commit => "commit".to_owned(),
            Op::Wait(groups) => format!("wait {groups}"),
            Op::Barrier => "barrier".to_owned(),
            Op::Dot(dot) => {
                let operand = |operand: Operand| match operand {
                    Operand::Registers(val) => val.to_string(),
                    Operand::Shared(slot) => place(slot),
                };
                let kind = match dot.kind {
                    DotKind::Mma(mma, precision) if dot.elem == tilec_vocab::DType::F32 => {
                        format!("{} {}", mma.name(), precision.name())
                    }
                    DotKind::Mma(mma, _) => mma.name().to_owned(),
                    DotKind::Fma => "fma".to_owned(),
                };
                let acc = dot.acc.map(|acc| format!("{acc} + ")).unwrap_or_default();
                format!("{acc}dot {}, {} by {kind}", operand(dot.a), operand(dot.b))
            }
            Op::For(_) | Op::If { .. } => String::new(),
        }
    }

    fn lanes(&self, lanes: &Lanes) -> String {
        let kernel = &self.program.signature;
        if lanes.is_empty() {
            return "0".to_owned();
        }
        let terms: Vec<String> =
            lanes.iter().map(|(axis, by)| format!("{by}*{}", name(kernel, *axis))).collect();
        terms.join(" + ")
    }

    fn access(&self, access: &Access) -> String {
        let kernel = &self.program.signature;
        let dims: Vec<String> = access.dims.iter().map(|index| self.index(index)).collect();
        let mut text = format!("{}[{}]", param_name(kernel, access.param), dims.join(", "));
        for (axis, count) in &access.present {
            let _ = write!(text, ", {} < {count}", name(kernel, *axis));
        }
        if let Some(inside) = access.all_inside {
            let _ = write!(text, ", unchecked if {inside}");
        }
        if access.vector > 1 {
            let _ = write!(text, ", vectors of {}", access.vector);
        }
        text
    }

    fn index(&self, index: &Index) -> String {
        let lanes = (!index.lanes.is_empty()).then(|| self.lanes(&index.lanes));
        let terms = [
            index.uniform.map(|val| val.to_string()),
            lanes,
            index.tile.map(|val| val.to_string()),
        ];
        let terms: Vec<String> = terms.into_iter().flatten().collect();
        let sum = if terms.is_empty() { "0".to_owned() } else { terms.join(" + ") };
        if index.check { format!("{sum} ?") } else { sum }
    }
}

fn param_name(kernel: &Kernel, param: Param) -> &str {
    &kernel.params[param].name
}

fn place(slot: Slot) -> String {
    match slot.slot {
        Some(val) => format!("{}[{val}]", slot.buf),
        None => slot.buf.to_string(),
    }
}
