//! LLVM IR as text: names, blocks, and a section of the entry block for what is computed once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write};
use std::rc::Rc;

use super::interleave::{HeldBack, hold_back};

/// A function body under way.
#[derive(Default)]
pub struct Text {
    /// What depends on the thread and the parameters only: in the entry block, each expression once.
    early: String,
    known: BTreeMap<String, String>,
    /// The same since a loop ended, in the block around it and in those around that: such values are computed anew, so that
    /// they do not live across the loop. The innermost last.
    late: Vec<Late>,
    /// Loops and branches around the line being written.
    depth: usize,
    /// Lines of the body; reserved ones are filled in later.
    body: Vec<Line>,
    next: usize,
    label: String,
    declarations: BTreeSet<String>,
    instructions: usize,
    /// Metadata reference of the place in the source.
    place: Option<usize>,
    /// Intrinsics called, by name.
    intrinsics: BTreeSet<String>,
}

/// Where values are computed anew, and which have been.
struct Late {
    depth: usize,
    at: Rc<Reserved>,
    /// What the loop around it counts.
    count: Option<String>,
    known: BTreeMap<String, String>,
}

/// A line of the body.
#[derive(Clone, Debug, Default)]
pub struct Line {
    text: String,
    /// What precedes it stays before it: a label, or a line to be filled in later.
    pub ends_block: bool,
}

impl Line {
    /// The name of the result of an instruction that only computes: it may be anywhere between its operands and its users.
    pub fn pure_result(&self) -> Option<&str> {
        let (name, rhs) = self.text.trim_start().strip_prefix('%')?.split_once(" = ")?;
        let opcode = rhs.split(' ').next().unwrap_or_default();
        let pure = match opcode {
            "call" => !rhs.contains("asm sideeffect") && !rhs.contains("#1"),
            "load" | "atomicrmw" | "cmpxchg" | "phi" => false,
            _ => true,
        };
        pure.then_some(name)
    }

    /// Names it takes, as that of the result without `%`.
    pub fn operands(&self) -> impl Iterator<Item = &str> {
        let rhs = self.text.split_once(" = ").map_or(self.text.as_str(), |(_, rhs)| rhs);
        rhs.split('%').skip(1).map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            &rest[..end]
        })
    }
}

/// A line to be filled in later.
#[must_use]
pub struct Reserved(usize);

impl Text {
    fn fresh(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("%{prefix}{}", self.next)
    }

    /// A name for a result that is defined later.
    pub fn name(&mut self) -> String {
        self.fresh("t")
    }

    /// Writes an instruction with a result and names it.
    pub fn def(&mut self, rhs: impl Display) -> String {
        let name = self.name();
        self.line(format_args!("{name} = {rhs}"));
        name
    }

    /// Writes an instruction without a result.
    pub fn line(&mut self, text: impl Display) {
        self.instructions += 1;
        let mut line = format!("  {text}");
        if let Some(place) = self.place {
            let _ = write!(line, ", !dbg !{place}");
        }
        self.body.push(Line { text: line, ends_block: false });
    }

    /// An expression of thread and parameters: computed once, at the start.
    pub fn early(&mut self, rhs: impl Display) -> String {
        let rhs = rhs.to_string();
        if let Some(late) = self.late.last() {
            if let Some(name) = late.known.get(&rhs) {
                return name.clone();
            }
            let at = late.at.clone();
            let name = self.name();
            self.fill(&at, format_args!("{name} = {rhs}"));
            self.late.last_mut().map(|late| late.known.insert(rhs, name.clone()));
            return name;
        }
        if let Some(name) = self.known.get(&rhs) {
            return name.clone();
        }
        let name = self.fresh("e");
        let _ = writeln!(self.early, "  {name} = {rhs}");
        self.instructions += 1;
        self.known.insert(rhs, name.clone());
        name
    }

    /// Whether early values are computed after a loop and not in the entry block.
    pub fn is_late(&self) -> bool {
        !self.late.is_empty()
    }

    /// From now on, until the block ends, early values are computed here.
    pub fn begin_late(&mut self, count: Option<String>) {
        let depth = self.depth;
        self.late.retain(|late| late.depth < depth);
        let at = Rc::new(self.reserve());
        self.late.push(Late { depth, at, count, known: BTreeMap::new() });
    }

    /// The same `i32`, in a loop as if it changed with each iteration: else LLVM and ptxas would compute what is made of it
    /// before the loop, and keep that.
    pub fn anew(&mut self, number: &str) -> String {
        let Some(count) = self.late.last().and_then(|late| late.count.clone()) else {
            return number.to_owned();
        };
        // The sign of a count, which is none.
        let zero =
            self.early(format_args!("call i32 asm \"shr.s32 $0, $1, 31;\", \"=r,r\"(i32 {count})"));
        self.early(format_args!("or i32 {number}, {zero}"))
    }

    /// Whether the line being written is inside a loop or branch.
    pub fn is_nested(&self) -> bool {
        self.depth > 0
    }

    /// A loop or branch begins.
    pub fn enter(&mut self) {
        self.depth += 1;
    }

    /// A loop or branch ends.
    pub fn leave(&mut self) {
        self.depth -= 1;
        self.late.retain(|late| late.depth <= self.depth);
    }

    /// Where following instructions come from.
    pub fn set_place(&mut self, place: Option<usize>) {
        self.place = place;
    }

    /// Keeps a line free.
    pub fn reserve(&mut self) -> Reserved {
        self.body.push(Line { text: String::new(), ends_block: true });
        Reserved(self.body.len() - 1)
    }

    /// Fills a reserved line.
    pub fn fill(&mut self, at: &Reserved, text: impl Display) {
        let line = &mut self.body[at.0].text;
        if !line.is_empty() {
            line.push('\n');
        }
        let _ = write!(line, "  {text}");
        self.instructions += 1;
    }

    /// Where the next line will be.
    pub fn mark(&self) -> usize {
        self.body.len()
    }

    /// Moves the lines since a mark to a reserved one.
    pub fn move_to(&mut self, at: &Reserved, mark: usize) {
        for moved in self.body.split_off(mark) {
            let line = &mut self.body[at.0].text;
            if !line.is_empty() {
                line.push('\n');
            }
            line.push_str(&moved.text);
        }
    }

    /// Takes back what only later steps need: see [`super::interleave`].
    pub fn hold_back(&mut self, wanted: &[(usize, Vec<String>)]) -> HeldBack {
        hold_back(&mut self.body, wanted)
    }

    /// Writes what was held back.
    pub fn resume(&mut self, lines: Vec<Line>) {
        self.body.extend(lines);
    }

    /// Number of instructions so far.
    pub fn instructions(&self) -> usize {
        self.instructions
    }

    /// Calls an intrinsic.
    pub fn call(&mut self, ret: &str, name: &str, args: &[(&str, &str)]) -> String {
        let call = self.call_text(ret, name, args);
        self.def(call)
    }

    /// Calls an intrinsic that depends on thread and parameters only, once.
    pub fn early_call(&mut self, ret: &str, name: &str, args: &[(&str, &str)]) -> String {
        let call = self.call_text(ret, name, args);
        self.early(call)
    }

    /// The same number, once, and LLVM does not know.
    pub fn opaque(&mut self, ty: &str, number: &str) -> String {
        let (bits, kind) = if ty == "i64" { (64, 'l') } else { (32, 'r') };
        self.early(format_args!(
            "call {ty} asm \"mov.b{bits} $0, $1;\", \"={kind},{kind}\"({ty} {number}) #2"
        ))
    }

    /// Calls an intrinsic that gives nothing.
    pub fn call_void(&mut self, name: &str, args: &[(&str, &str)]) {
        let call = self.call_text("void", name, args);
        self.line(call);
    }

    /// Calls an intrinsic at which threads of a warp meet.
    pub fn meet(&mut self, ret: &str, name: &str, args: &[(&str, &str)]) -> String {
        let call = self.call_text(ret, name, args);
        self.def(format_args!("{call} #1"))
    }

    /// As [`Text::meet`], without a result.
    pub fn meet_void(&mut self, name: &str, args: &[(&str, &str)]) {
        let call = self.call_text("void", name, args);
        self.line(format_args!("{call} #1"));
    }

    fn call_text(&mut self, ret: &str, name: &str, args: &[(&str, &str)]) -> String {
        let types: Vec<&str> = args.iter().map(|(ty, _)| *ty).collect();
        self.declarations.insert(format!("declare {ret} @{name}({})", types.join(", ")));
        self.intrinsics.insert(name.to_string());
        let args: Vec<String> = args.iter().map(|(ty, value)| format!("{ty} {value}")).collect();
        format!("call {ret} @{name}({})", args.join(", "))
    }

    /// Intrinsics called, by name.
    pub fn intrinsics(&self) -> impl Iterator<Item = &str> {
        self.intrinsics.iter().map(String::as_str)
    }

    /// A name for a block.
    pub fn new_label(&mut self) -> String {
        self.next += 1;
        format!("b{}", self.next)
    }

    /// Starts a block; the one before must have ended.
    pub fn begin(&mut self, label: &str) {
        self.body.push(Line { text: format!("{label}:"), ends_block: true });
        self.label = label.to_string();
    }

    /// The block being written.
    pub fn current(&self) -> String {
        if self.label.is_empty() { "entry".to_string() } else { self.label.clone() }
    }

    /// Ends a block.
    pub fn jump(&mut self, label: &str) {
        self.line(format_args!("br label %{label}"));
    }

    /// Ends a block with a choice.
    pub fn branch(&mut self, condition: &str, then: &str, otherwise: &str) {
        self.line(format_args!("br i1 {condition}, label %{then}, label %{otherwise}"));
    }

    /// The function: everything between its braces.
    pub fn body(&self) -> String {
        let mut out = String::from("entry:\n");
        out.push_str(&self.early);
        for line in self.body.iter().filter(|line| !line.text.is_empty()) {
            out.push_str(&line.text);
            out.push('\n');
        }
        out
    }

    /// Declarations of all that is called.
    pub fn declarations(&self) -> String {
        self.declarations.iter().fold(String::new(), |mut out, line| {
            let _ = writeln!(out, "{line}");
            out
        })
    }
}
