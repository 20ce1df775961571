//! Syntax tree to [`Kernel`]: names become dense indices, opcodes become typed operations, and anything not understood
//! is an error with its line. An entry is decoded together with the device functions it calls, callees first.

mod arith;
mod control;
mod convert;
mod half;
mod memory;
mod mods;
mod names;
mod operands;
mod sync;
mod target;

use mods::OPCODES;

use std::collections::BTreeMap;

use crate::cfg::{self, Flow};
use crate::memory::address::{MODULE_TAG, SHARED_BASE, tagged};
use crate::program::*;
use crate::syntax::PtxError;
use crate::syntax::ast::*;
use mods::Mods;
use names::Names;

pub(crate) type Decoded<T> = Result<T, PtxError>;

/// A module-scope variable in global or constant memory.
#[derive(Clone, Debug)]
pub struct ModuleVariable {
    pub name: String,
    pub constant: bool,
    pub bytes: u64,
    pub initial: Vec<u8>,
}

/// The global and constant variables of a module, in address order.
pub fn module_variables(tree: &Tree) -> Vec<ModuleVariable> {
    tree.variables
        .iter()
        .filter(|v| matches!(v.space, Space::Global | Space::Const))
        .map(|v| ModuleVariable {
            name: v.name.clone(),
            constant: v.space == Space::Const,
            bytes: v.bytes.unwrap_or(0),
            initial: v.initial.clone(),
        })
        .collect()
}

/// Decodes one entry.
pub fn decode(tree: &Tree, source: &str, entry: &Function) -> Decoded<Kernel> {
    let mut decoder = Decoder::new(tree, source);
    let order = decoder.call_order(entry)?;
    for (i, function) in order.iter().enumerate() {
        decoder.function(function, i + 1 == order.len())?;
    }
    decoder.finish(entry)
}

/// Offset and bytes of parameters in the local frame.
type Blocks = Vec<(u32, u32)>;

/// A branch whose target is still a label.
struct Fixup {
    pc: usize,
    line: u32,
    labels: Vec<String>,
}

/// What the memory operands of a call or a device function name.
#[derive(Clone, Copy)]
enum ParamPlace {
    /// Offset in the entry's parameter block.
    Entry(u64),
    /// Offset in the local frame.
    Frame(u32, u32),
}

pub(crate) struct Decoder<'t> {
    tree: &'t Tree,
    source: &'t str,
    names: Names,
    /// Addresses of shared, local, global and constant variables, in their own space.
    symbols: BTreeMap<String, u64>,
    params: Vec<BTreeMap<String, ParamPlace>>,
    shared: Vec<SharedVariable>,
    shared_end: u64,
    local_bytes: u32,
    code: Vec<Inst>,
    sites: Vec<Site>,
    labels: BTreeMap<String, Pc>,
    targets: BTreeMap<String, Vec<String>>,
    fixups: Vec<Fixup>,
    /// Device functions decoded so far: entry, parameters, results.
    entries: BTreeMap<String, (Pc, Blocks, Blocks)>,
    loop_of: Vec<Option<u32>>,
    loops: Vec<LoopInfo>,
    in_entry: bool,
    entry_start: Pc,
    grain: u32,
    /// Operations of the statement being decoded, before its last one.
    prologue: Vec<Op>,
    epilogue: Vec<Op>,
    line: u32,
}

impl<'t> Decoder<'t> {
    fn new(tree: &'t Tree, source: &'t str) -> Self {
        let mut decoder = Decoder {
            tree,
            source,
            names: Names::default(),
            symbols: BTreeMap::new(),
            params: vec![],
            shared: vec![],
            shared_end: 0,
            local_bytes: 0,
            code: vec![],
            sites: vec![],
            labels: BTreeMap::new(),
            targets: BTreeMap::new(),
            fixups: vec![],
            entries: BTreeMap::new(),
            loop_of: vec![],
            loops: vec![],
            in_entry: false,
            entry_start: 0,
            grain: 4,
            prologue: vec![],
            epilogue: vec![],
            line: 0,
        };
        let mut module_index = 0;
        for v in &tree.variables {
            match v.space {
                Space::Shared => decoder.shared_variable(v),
                Space::Global | Space::Const => {
                    let address = tagged(MODULE_TAG + module_index);
                    decoder.symbols.insert(v.name.clone(), address);
                    module_index += 1;
                }
                Space::Generic | Space::Local | Space::Param => {}
            }
        }
        for statement in tree.functions.iter().flat_map(|f| f.body.iter().flatten()) {
            if let Statement::Variable(v) = statement
                && v.space == Space::Shared
            {
                decoder.shared_variable(v);
            }
        }
        decoder.place_dynamic_shared();
        decoder
    }

    /// Dynamic shared memory begins after every static variable, and all `.extern` names mean its start.
    fn place_dynamic_shared(&mut self) {
        let start = self.shared_end.next_multiple_of(16);
        for v in self.shared.iter_mut().filter(|v| v.bytes.is_none()) {
            v.offset = start;
            self.symbols.insert(v.name.clone(), SHARED_BASE + start);
        }
    }

    fn error<T>(&self, message: impl Into<String>) -> Decoded<T> {
        Err(PtxError::new(self.line, message))
    }

    fn shared_variable(&mut self, v: &Variable) {
        let offset = self.shared_end.next_multiple_of(v.align);
        self.symbols.insert(v.name.clone(), SHARED_BASE + offset);
        self.shared.push(SharedVariable { name: v.name.clone(), offset, bytes: v.bytes });
        if let Some(bytes) = v.bytes {
            self.shared_end = offset + bytes;
        }
    }

    /// The entry and every function it reaches, callees before callers.
    fn call_order(&mut self, entry: &'t Function) -> Decoded<Vec<&'t Function>> {
        let mut order: Vec<&Function> = vec![];
        let mut path: Vec<(&'t Function, Vec<&'t Function>)> = vec![(entry, self.callees(entry)?)];
        while let Some((function, pending)) = path.last_mut() {
            let function = *function;
            match pending.pop() {
                Some(callee) if path.iter().any(|(f, _)| f.name == callee.name) => {
                    return Err(PtxError::new(
                        callee.line,
                        format!("`{}` calls itself, which is not modelled", callee.name),
                    ));
                }
                Some(callee) if order.iter().any(|f| f.name == callee.name) => {}
                Some(callee) => {
                    let pending = self.callees(callee)?;
                    path.push((callee, pending));
                }
                None => {
                    order.push(function);
                    path.pop();
                }
            }
        }
        Ok(order)
    }

    fn callees(&self, function: &Function) -> Decoded<Vec<&'t Function>> {
        let mut out = vec![];
        for statement in function.body.iter().flatten() {
            if let Statement::Instruction(i) = statement
                && i.opcode.split('.').next() == Some("call")
            {
                let name = control::callee_name(i)?;
                let found = self.tree.functions.iter().find(|f| f.name == name && f.body.is_some());
                out.push(found.ok_or_else(|| {
                    PtxError::new(i.line, format!("`{name}` has no body in this module"))
                })?);
            }
        }
        Ok(out)
    }

    fn function(&mut self, function: &Function, is_entry: bool) -> Decoded<()> {
        self.in_entry = is_entry;
        self.labels.clear();
        self.targets.clear();
        self.fixups.clear();
        self.params = vec![BTreeMap::new()];
        self.names.open();
        let start = self.code.len();
        if is_entry {
            self.entry_start = start as Pc;
            let mut offset = 0u64;
            for p in &function.params {
                offset = offset.next_multiple_of(p.align);
                self.params[0].insert(p.name.clone(), ParamPlace::Entry(offset));
                offset += p.bytes;
            }
        } else {
            let formals: Vec<_> = function.params.iter().map(|p| self.frame_param(p)).collect();
            let returns: Vec<_> = function.returns.iter().map(|p| self.frame_param(p)).collect();
            self.entries.insert(function.name.clone(), (start as Pc, formals, returns));
        }
        let mut loc = None;
        for statement in function.body.iter().flatten() {
            self.statement(statement, &mut loc)?;
        }
        // A body may end without `ret`, or with a label: control that falls off returns.
        let last = if is_entry { Op::Exit } else { Op::Return };
        self.push(
            None,
            last,
            Site {
                line: function.line,
                text: "end of function".into(),
                loc: None,
                prepares: false,
            },
        );
        self.names.close();
        self.connect(start)
    }

    /// Reserves a parameter of a device function in the local frame.
    fn frame_param(&mut self, p: &Param) -> (u32, u32) {
        let place = self.reserve_local(p.bytes as u32, p.align as u32);
        let scope = self.params.last_mut().expect("a function has a parameter scope");
        scope.insert(p.name.clone(), ParamPlace::Frame(place, p.bytes as u32));
        (place, p.bytes as u32)
    }

    fn reserve_local(&mut self, bytes: u32, align: u32) -> u32 {
        let offset = self.local_bytes.next_multiple_of(align.max(1));
        self.local_bytes = offset + bytes;
        offset
    }

    fn statement(&mut self, statement: &Statement, loc: &mut Option<Loc>) -> Decoded<()> {
        match statement {
            Statement::Open => {
                self.names.open();
                self.params.push(BTreeMap::new());
            }
            Statement::Close => {
                self.names.close();
                self.params.pop();
            }
            Statement::Label { name, line } => {
                let pc = self.code.len() as Pc;
                if self.labels.insert(name.clone(), pc).is_some() {
                    return Err(PtxError::new(*line, format!("label `{name}` is defined twice")));
                }
            }
            Statement::Registers { ty, names, line } => self.names.declare(ty, names, *line)?,
            Statement::Variable(v) if v.space == Space::Shared => {} // placed before decoding began
            Statement::Variable(v) => {
                let Some(bytes) = v.bytes.and_then(|b| u32::try_from(b).ok()) else {
                    return Err(PtxError::new(v.line, "a local variable needs a size"));
                };
                let offset = self.reserve_local(bytes, v.align as u32);
                let address = crate::memory::address::LOCAL_BASE + offset as u64;
                self.symbols.insert(v.name.clone(), address);
            }
            Statement::CallParam(p) => {
                self.frame_param(p);
            }
            Statement::Targets { label, targets } => {
                self.targets.insert(label.clone(), targets.clone());
            }
            Statement::Loc(l) => *loc = (l.line != 0).then_some(*l),
            Statement::Instruction(i) => self.instruction(i, *loc)?,
        }
        Ok(())
    }

    fn instruction(&mut self, i: &Instruction, loc: Option<Loc>) -> Decoded<()> {
        self.line = i.line;
        let text = self.source[i.span.0..i.span.1].split_whitespace().collect::<Vec<_>>().join(" ");
        let site = Site { line: i.line, text, loc, prepares: false };
        let prepares = Site { prepares: true, ..site.clone() };
        let mut guard = match &i.guard {
            Some((name, negated)) => {
                Some(Guard { pred: self.names.pred(name, i.line)?, negated: *negated })
            }
            None => None,
        };
        let (needs, has) = (target::needs(&i.opcode), target::architecture(&self.tree.target));
        if needs > has {
            return self.error(format!(
                "`{}` needs sm_{needs}, and the module is for {}",
                i.opcode, self.tree.target
            ));
        }
        let mut mods = Mods::new(&i.opcode, i.line);
        let decode = mods::lookup(mods.name)
            .ok_or_else(|| PtxError::new(i.line, format!("unknown opcode `{}`", i.opcode)))?;
        let op = decode(self, &mut mods, &i.operands)?;
        mods.finish()?;
        let epilogue = std::mem::take(&mut self.epilogue);
        let prologue = std::mem::take(&mut self.prologue);
        if let Some(g) = &mut guard
            && prologue.len() + epilogue.len() > 0
        {
            // The pieces of one instruction share one guard, whatever they write.
            let copy = self.names.temp_p();
            self.push(None, Op::Alu(Alu::PredMov(copy, g.pred)), prepares.clone());
            g.pred = copy;
        }
        for op in prologue {
            self.push(guard, op, prepares.clone());
        }
        let pc = self.code.len();
        if let Some(fixup) = self.fixups.last_mut()
            && fixup.pc == usize::MAX
        {
            fixup.pc = pc;
        }
        self.push(guard, op, site.clone());
        for op in epilogue {
            self.push(guard, op, site.clone());
        }
        Ok(())
    }

    fn push(&mut self, guard: Option<Guard>, op: Op, site: Site) {
        self.code.push(Inst { guard, op });
        self.sites.push(site);
    }

    /// Resolves labels and computes reconvergence points and loops of the function that began at `start`.
    fn connect(&mut self, start: usize) -> Decoded<()> {
        for fixup in std::mem::take(&mut self.fixups) {
            let mut resolved = vec![];
            for label in &fixup.labels {
                resolved.push(*self.labels.get(label).ok_or_else(|| {
                    PtxError::new(fixup.line, format!("there is no label `{label}`"))
                })?);
            }
            match &mut self.code[fixup.pc].op {
                Op::Branch { target, .. } => *target = resolved[0],
                Op::BranchIndexed { targets, .. } => *targets = resolved.into(),
                _ => {
                    return Err(PtxError::new(
                        fixup.line,
                        "a label is not an operand of this opcode",
                    ));
                }
            }
        }
        let relative = |pc: Pc| pc - start as Pc;
        let flows: Vec<Flow> = self.code[start..]
            .iter()
            .map(|inst| {
                let guarded = inst.guard.is_some();
                match &inst.op {
                    Op::Branch { target, .. } => Flow::Jump(relative(*target), guarded),
                    Op::BranchIndexed { targets, .. } => {
                        Flow::Many(targets.iter().map(|t| relative(*t)).collect(), guarded)
                    }
                    Op::Return | Op::Exit => Flow::Leave(guarded),
                    Op::Trap => Flow::Trap(guarded),
                    _ => Flow::Next,
                }
            })
            .collect();
        // The appended return is the main exit only when control can reach it.
        let flows_end = flows.len() - 1;
        let reachable_end = flows_end == 0
            || !matches!(
                flows[flows_end - 1],
                Flow::Jump(_, false)
                    | Flow::Many(_, false)
                    | Flow::Leave(false)
                    | Flow::Trap(false)
            )
            || self.labels.values().any(|l| relative(*l) as usize == flows_end);
        let mut flows = flows;
        if !reachable_end {
            flows[flows_end] = Flow::Trap(false);
        }
        let analysis = cfg::analyse(&flows);
        let absolute = |pc: Pc| if pc == NOWHERE { NOWHERE } else { pc + start as Pc };
        for (inst, meet) in self.code[start..].iter_mut().zip(&analysis.reconverge) {
            match &mut inst.op {
                Op::Branch { reconverge, .. } | Op::BranchIndexed { reconverge, .. } => {
                    *reconverge = absolute(*meet);
                }
                _ => {}
            }
        }
        let base = self.loops.len() as u32;
        self.loop_of.extend(analysis.loop_of.iter().map(|l| l.map(|l| l + base)));
        self.loops.extend(
            analysis
                .loops
                .iter()
                .map(|l| LoopInfo { header: l.header + start as Pc, depth: l.depth }),
        );
        Ok(())
    }

    fn finish(self, entry: &Function) -> Decoded<Kernel> {
        if self.code.len() >= 1 << 24 {
            return Err(PtxError::new(entry.line, "a kernel is limited to 2^24 instructions here"));
        }
        let mut params = vec![];
        let mut offset = 0u64;
        for p in &entry.params {
            offset = offset.next_multiple_of(p.align);
            let (name, ty, bytes) = (p.name.clone(), p.ty.clone(), p.bytes);
            params.push(ParamInfo { name, ty, offset, bytes });
            offset += p.bytes;
        }
        Ok(Kernel {
            name: entry.name.clone(),
            params,
            param_bytes: offset,
            reqntid: entry.reqntid,
            maxntid: entry.maxntid,
            shared: self.shared,
            static_shared_bytes: self.shared_end,
            code: self.code,
            sites: self.sites,
            entry: self.entry_start,
            num_r: self.names.num_r as usize,
            num_d: self.names.num_d as usize,
            num_p: self.names.num_p as usize,
            const_r: self.names.const_r.iter().map(|(v, r)| (*r, *v)).collect(),
            const_d: self.names.const_d.iter().map(|(v, d)| (*d, *v)).collect(),
            local_bytes: self.local_bytes,
            loop_of: self.loop_of,
            loops: self.loops,
            global_grain: self.grain,
        })
    }
}

/// Names of the opcodes that are modelled, sorted.
pub fn opcodes() -> Vec<&'static str> {
    OPCODES.iter().map(|row| row.0).collect()
}
