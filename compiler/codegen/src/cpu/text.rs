//! LLVM IR as text: names, labels, loops.

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
    declarations: std::collections::BTreeSet<String>,
    instructions: usize,
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

    /// Number of instructions so far.
    pub fn instructions(&self) -> usize {
        self.instructions
    }

    /// Declares a function of LLVM's, `ret @name(args)`, and gives the name.
    pub fn declare(&mut self, ret: &str, name: &str, args: &str) -> String {
        self.declarations.insert(format!("declare {ret} @{name}({args})"));
        format!("@{name}")
    }

    /// Calls a function of LLVM's.
    pub fn call(&mut self, ret: &str, name: &str, args: &[(&str, &str)]) -> String {
        self.call_with("", ret, name, args)
    }

    /// Calls a function of LLVM's with fast-math flags.
    pub fn call_with(&mut self, flags: &str, ret: &str, name: &str, args: &[(&str, &str)]) -> String {
        let types: Vec<&str> = args.iter().map(|(ty, _)| *ty).collect();
        let function = self.declare(ret, name, &types.join(", "));
        let args: Vec<String> = args.iter().map(|(ty, value)| format!("{ty} {value}")).collect();
        self.def(format_args!("call {flags} {ret} {function}({})", args.join(", ")))
    }

    /// A stack slot; give it a value before reading it.
    pub fn slot(&mut self, ty: &str) -> String {
        let name = self.fresh("slot");
        let _ = writeln!(self.slots, "  {name} = alloca {ty}, align 64");
        name
    }

    fn new_label(&mut self) -> String {
        self.next += 1;
        format!("b{}", self.next)
    }

    fn begin(&mut self, label: String) {
        let _ = writeln!(self.body, "{label}:");
        self.label = label;
    }

    /// The block being written.
    pub fn current(&self) -> &str {
        if self.label.is_empty() { "entry" } else { &self.label }
    }

    /// Opens `for at = from; at < to; at += step`.
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

    /// Closes a loop.
    pub fn close_loop(&mut self, opened: Loop) {
        let next = self.def(format_args!("add nsw i64 {}, {}", opened.at, opened.step));
        self.line(format_args!("store i64 {next}, ptr {}", opened.slot));
        self.line(format_args!("br label %{}", opened.head));
        self.begin(opened.exit);
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
        self.close_if_with(branch, "", "", "");
    }

    /// Closes an `if` with both parts written; the value of each part where `ty` is not empty.
    pub fn close_if_with(&mut self, branch: Branch, ty: &str, then: &str, otherwise: &str) -> String {
        let else_end = self.current().to_string();
        self.line(format_args!("br label %{}", branch.end));
        self.begin(branch.end);
        if ty.is_empty() {
            return String::new();
        }
        self.def(format_args!("phi {ty} [ {then}, %{} ], [ {otherwise}, %{else_end} ]", branch.then_end))
    }

    /// The whole module: a function of this name and attributes.
    pub fn finish(self, name: &str, attributes: &str) -> String {
        let declarations: Vec<String> = self.declarations.into_iter().collect();
        format!(
            "define void @{name}(ptr noalias nocapture readonly %params, ptr noalias nocapture readonly %program, \
             ptr noalias nocapture %scratch) #0 {{\nentry:\n{}{}  ret void\n}}\n\n{}\n\nattributes #0 = {{ nounwind {attributes} }}\n",
            self.slots, self.body, declarations.join("\n")
        )
    }
}
