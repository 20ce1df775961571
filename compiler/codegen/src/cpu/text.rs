//! LLVM IR as text: names, labels, loops.

use std::collections::BTreeSet;
use std::fmt::{Display, Write};

/// A function body under way.
#[derive(Default)]
pub struct Text {
    /// Stack slots, all in the entry block, where LLVM turns them into registers.
    slots: String,
    body: String,
    next: usize,
    label: String,
    /// Declarations the body needs, each once.
    declarations: BTreeSet<String>,
    instructions: usize,
    /// Regions of memory that never overlap.
    regions: usize,
    /// Whether AMX tiles are in use.
    tiles: bool,
}

/// A loop whose body is being written.
pub struct Loop {
    slot: String,
    step: String,
    head: String,
    exit: String,
    /// The counter.
    pub at: String,
}

/// An `if` whose parts are being written.
pub struct Branch {
    otherwise: String,
    end: String,
    /// The block the first part ended in.
    then_end: String,
}

impl Branch {
    /// The block the first part ended in.
    pub fn then_end(&self) -> &str {
        &self.then_end
    }
}

impl Text {
    fn fresh(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("%{prefix}{}", self.next)
    }

    /// Writes an instruction with a result and names it.
    pub fn def(&mut self, rhs: impl Display) -> String {
        let name = self.fresh("t");
        self.line(format_args!("{name} = {rhs}"));
        name
    }

    /// Writes an instruction without a result.
    pub fn line(&mut self, text: impl Display) {
        self.instructions += 1;
        let _ = writeln!(self.body, "  {text}");
    }

    /// A place in the body.
    pub fn mark(&self) -> usize {
        self.body.len()
    }

    /// Puts the lines from each of these places on in turn, one of each, if none of them is a jump or a label. They must not
    /// use one another's results.
    pub fn interleave(&mut self, starts: &[usize]) {
        let Some(&first) = starts.first() else { return };
        let ends = starts[1..].iter().copied().chain([self.body.len()]);
        let mut parts: Vec<_> =
            starts.iter().zip(ends).map(|(&start, end)| self.body[start..end].lines()).collect();
        let straight = |line: &str| line.starts_with("  ") && !line.starts_with("  br ");
        if !parts.iter().cloned().flatten().all(straight) {
            return;
        }
        let mut woven = String::with_capacity(self.body.len() - first);
        loop {
            let before = woven.len();
            for line in parts.iter_mut().filter_map(Iterator::next) {
                woven.push_str(line);
                woven.push('\n');
            }
            if woven.len() == before {
                break;
            }
        }
        self.body.truncate(first);
        self.body.push_str(&woven);
    }

    /// Number of instructions so far.
    pub fn instructions(&self) -> usize {
        self.instructions
    }

    /// Calls a function of LLVM's.
    pub fn call(&mut self, ret: &str, name: &str, args: &[(&str, &str)]) -> String {
        let call = self.call_text(ret, name, args);
        self.def(call)
    }

    /// Calls a function of LLVM's with fast-math flags.
    pub fn call_flags(
        &mut self,
        flags: &str,
        ret: &str,
        name: &str,
        args: &[(&str, &str)],
    ) -> String {
        let call = self.call_text(ret, name, args).replacen("call", &format!("call {flags}"), 1);
        self.def(call)
    }

    /// Calls a function of LLVM's that gives nothing.
    pub fn call_void(&mut self, name: &str, args: &[(&str, &str)]) {
        let call = self.call_text("void", name, args);
        self.line(call);
    }

    fn call_text(&mut self, ret: &str, name: &str, args: &[(&str, &str)]) -> String {
        let types: Vec<&str> = args.iter().map(|(ty, _)| *ty).collect();
        self.declarations.insert(format!("declare {ret} @{name}({})", types.join(", ")));
        let args: Vec<String> = args.iter().map(|(ty, value)| format!("{ty} {value}")).collect();
        format!("call {ret} @{name}({})", args.join(", "))
    }

    /// A stack slot; give it a value before reading it.
    pub fn slot(&mut self, ty: &str) -> String {
        let name = self.fresh("slot");
        let _ = writeln!(self.slots, "  {name} = alloca {ty}, align 64");
        name
    }

    /// A pointer that is computed once, at the start.
    pub fn early(&mut self, rhs: impl Display) -> String {
        let name = self.fresh("p");
        let _ = writeln!(self.slots, "  {name} = {rhs}");
        name
    }

    /// Says that AMX tiles are used: each is 16 rows of 64 bytes from the first instruction on.
    pub fn use_tiles(&mut self) {
        if !std::mem::replace(&mut self.tiles, true) {
            self.slots.push_str("  call void @llvm.x86.ldtilecfg(ptr @tiles)\n");
            self.declarations.insert("declare void @llvm.x86.ldtilecfg(ptr)".into());
            self.declarations.insert("declare void @llvm.x86.tilerelease()".into());
        }
    }

    /// A new region of memory that overlaps no other.
    pub fn region(&mut self) -> usize {
        self.regions += 1;
        self.regions
    }

    /// A name for a block.
    pub fn new_label(&mut self) -> String {
        self.next += 1;
        format!("b{}", self.next)
    }

    /// Starts a block; the one before must have ended.
    pub fn begin(&mut self, label: String) {
        let _ = writeln!(self.body, "{label}:");
        self.label = label;
    }

    /// The block being written.
    pub fn current(&self) -> &str {
        if self.label.is_empty() { "entry" } else { &self.label }
    }

    /// Opens `for at = from; at < to; at += step`; stops where `at` would pass the last `i64`.
    pub fn open_loop(&mut self, from: &str, to: &str, step: &str) -> Loop {
        let slot = self.slot("i64");
        let (head, body, exit) = (self.new_label(), self.new_label(), self.new_label());
        self.line(format_args!("store i64 {from}, ptr {slot}"));
        self.line(format_args!("br label %{head}"));
        self.begin(head.clone());
        let at = self.def(format_args!("load i64, ptr {slot}"));
        let more = self.def(format_args!("icmp slt i64 {at}, {to}"));
        self.line(format_args!("br i1 {more}, label %{body}, label %{exit}"));
        self.begin(body);
        Loop { slot, step: step.to_string(), head, exit, at }
    }

    /// Closes a loop whose counter stays far from the last `i64`.
    pub fn close_loop(&mut self, opened: Loop) {
        let next = self.def(format_args!("add nsw i64 {}, {}", opened.at, opened.step));
        self.close_loop_at(opened, &next);
    }

    /// Closes a loop over whatever integers the source has.
    pub fn close_wide_loop(&mut self, opened: Loop) {
        let next =
            self.call("i64", "llvm.sadd.sat.i64", &[("i64", &opened.at), ("i64", &opened.step)]);
        self.close_loop_at(opened, &next);
    }

    fn close_loop_at(&mut self, opened: Loop, next: &str) {
        self.line(format_args!("store i64 {next}, ptr {}", opened.slot));
        self.line(format_args!("br label %{}", opened.head));
        self.begin(opened.exit);
    }

    /// A pointer whose origin LLVM does not see, so that it is kept and not computed anew.
    pub fn opaque_pointer(&mut self, pointer: &str) -> String {
        self.def(format_args!("call ptr asm \"\", \"=r,0\"(ptr {pointer})"))
    }

    /// Opens `if condition`.
    pub fn open_if(&mut self, condition: &str) -> Branch {
        let (then, otherwise, end) = (self.new_label(), self.new_label(), self.new_label());
        self.line(format_args!("br i1 {condition}, label %{then}, label %{otherwise}"));
        self.begin(then);
        Branch { otherwise, end, then_end: String::new() }
    }

    /// Goes on with `else`.
    pub fn open_else(&mut self, branch: &mut Branch) {
        branch.then_end = self.current().to_string();
        self.line(format_args!("br label %{}", branch.end));
        self.begin(branch.otherwise.clone());
    }

    /// Closes an `if` with both parts written.
    pub fn close_if(&mut self, branch: Branch) {
        self.line(format_args!("br label %{}", branch.end));
        self.begin(branch.end);
    }

    /// Closes an `if` with both parts written; `then` or `otherwise` of type `ty`.
    pub fn close_if_with(
        &mut self,
        branch: Branch,
        ty: &str,
        then: &str,
        otherwise: &str,
    ) -> String {
        let else_end = self.current().to_string();
        let then_end = branch.then_end.clone();
        self.close_if(branch);
        self.def(format_args!("phi {ty} [ {then}, %{then_end} ], [ {otherwise}, %{else_end} ]"))
    }

    /// The whole module: a function of this name and attributes.
    pub fn finish(self, name: &str, attributes: &str) -> String {
        let declarations: Vec<String> = self.declarations.iter().cloned().collect();
        let (tiles, release) = match self.tiles {
            true => (tile_shapes(), "  call void @llvm.x86.tilerelease()\n"),
            false => (String::new(), ""),
        };
        format!(
            "@zero = private constant [64 x i8] zeroinitializer, align 64\n{tiles}\n\
             define void @\"{name}\"(ptr noalias %params, ptr noalias %program, ptr noalias align 64 %scratch) #0 {{\n\
             entry:\n{}{}{release}  ret void\n}}\n\n{}\n\nattributes #0 = {{ nounwind {attributes} }}\n{}",
            self.slots,
            self.body,
            declarations.join("\n"),
            self.metadata()
        )
    }

    /// What an access to a region says of itself. Past [`MOST_REGIONS`] the lists would grow without end.
    pub fn tag(region: usize) -> String {
        if region > MOST_REGIONS {
            return String::new();
        }
        format!(", !alias.scope !{}, !noalias !{}", scope(region) + 1, scope(region) + 2)
    }

    fn metadata(&self) -> String {
        let regions = self.regions.min(MOST_REGIONS);
        let mut out = String::from("\n!0 = distinct !{!0}\n");
        for region in 1..=regions {
            let at = scope(region);
            let others = (1..=regions).filter(|&r| r != region);
            let others: Vec<String> = others.map(|r| format!("!{}", scope(r))).collect();
            let _ = writeln!(out, "!{at} = distinct !{{!{at}, !0}}");
            let _ = writeln!(out, "!{} = !{{!{at}}}", at + 1);
            let _ = writeln!(out, "!{} = !{{{}}}", at + 2, others.join(", "));
        }
        out
    }
}

/// Palette 1, then the bytes of a row (16 bits each) and the rows of each of the eight tiles.
fn tile_shapes() -> String {
    let mut bytes = [0_u8; 64];
    bytes[0] = 1;
    for tile in 0..8 {
        bytes[16 + 2 * tile] = 64;
        bytes[48 + tile] = 16;
    }
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("i8 {byte}")).collect();
    format!("@tiles = private constant [64 x i8] [{}], align 64\n", bytes.join(", "))
}

/// Regions that are told apart.
const MOST_REGIONS: usize = 64;

fn scope(region: usize) -> usize {
    region * 3
}
