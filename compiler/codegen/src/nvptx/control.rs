//! Loops and branches; both uniform.

use tilec_gpu::gir::{Block, For, Val};

use super::emit::{Emitter, Result};
use super::value::{Tile, Value, llvm_type};

/// LLVM values of some values, in order.
type Words = Vec<(&'static str, String)>;

impl Emitter<'_> {
    fn words(&self, values: &[Val]) -> Result<Words> {
        let mut out = Vec::new();
        for value in values {
            let elem = self.elem(*value);
            match self.value(*value)? {
                Value::Uniform(name) => out.push((llvm_type(elem), name)),
                Value::Tile(tile) => {
                    let ty = tile.word_type(elem);
                    out.extend(tile.words.into_iter().map(|word| (ty, word)));
                }
            }
        }
        Ok(out)
    }

    /// Gives values LLVM values of the types that others have.
    fn name_as(&mut self, values: &[Val], like: &[Val], names: &[String]) -> Result<()> {
        let mut names = names.iter().cloned();
        for (value, like) in values.iter().zip(like) {
            let made = match self.value(*like)? {
                Value::Uniform(_) => Value::Uniform(names.next().unwrap_or_default()),
                Value::Tile(tile) => Value::Tile(Tile {
                    words: names.by_ref().take(tile.words.len()).collect(),
                    packed: tile.packed,
                }),
            };
            self.set(*value, made);
        }
        Ok(())
    }

    /// The test stands at the end; a loop that may not run at all is skipped by a branch before it.
    pub fn for_loop(&mut self, results: &[Val], looped: &For) -> Result<()> {
        let (lo, hi) = (self.uniform(looped.lo)?, self.uniform(looped.hi)?);
        let initial = self.words(&looped.initial)?;
        let step = looped.step.to_string();
        // `iv + step < hi` without a sum that could pass the last number.
        let args = [("i64", hi.as_str()), ("i64", step.as_str())];
        let last = self.text.call("i64", "llvm.ssub.sat.i64", &args);
        let some = self.text.def(format_args!("icmp slt i64 {lo}, {hi}"));
        let before = self.text.current();
        let (body, exit) = (self.text.new_label(), self.text.new_label());
        self.text.branch(&some, &body, &exit);

        self.text.begin(&body);
        let counted = self.text.name();
        let iv_line = self.text.reserve();

        let names: Vec<String> = initial.iter().map(|_| self.text.name()).collect();
        let lines: Vec<_> = initial.iter().map(|_| self.text.reserve()).collect();
        // Opaque to LLVM, which would have a counter of its own for each use.
        let iv = self
            .text
            .def(format_args!("call i64 asm \"mov.b64 $0, $1;\", \"=l,l\"(i64 {counted})"));
        self.set(looped.iv, Value::Uniform(iv.clone()));
        self.name_as(&looped.params, &looped.initial, &names)?;
        self.text.enter();
        self.body(&looped.body.body)?;
        let yields = self.words(&looped.body.yields)?;
        if yields.iter().map(|y| y.0).ne(initial.iter().map(|i| i.0)) {
            return Err(self.unsupported("a loop that yields other values than it began with"));
        }
        let next = self.text.def(format_args!("add i64 {iv}, {step}"));
        let more = self.text.def(format_args!("icmp slt i64 {iv}, {last}"));
        let latch = self.text.current();
        self.text.branch(&more, &body, &exit);
        self.text.fill(
            &iv_line,
            format_args!("{counted} = phi i64 [ {lo}, %{before} ], [ {next}, %{latch} ]"),
        );
        for ((line, name), ((ty, first), (_, again))) in
            lines.iter().zip(&names).zip(initial.iter().zip(&yields))
        {
            self.text.fill(
                line,
                format_args!("{name} = phi {ty} [ {first}, %{before} ], [ {again}, %{latch} ]"),
            );
        }

        self.text.begin(&exit);
        self.text.leave_loop();
        let mut out = Vec::with_capacity(initial.len());
        for ((ty, first), (_, again)) in initial.iter().zip(&yields) {
            out.push(
                self.text
                    .def(format_args!("phi {ty} [ {first}, %{before} ], [ {again}, %{latch} ]")),
            );
        }
        self.name_as(results, &looped.initial, &out)
    }

    pub fn branch(
        &mut self,
        results: &[Val],
        condition: Val,
        then: &Block,
        otherwise: &Block,
    ) -> Result<()> {
        let condition = self.uniform(condition)?;
        let [then_label, else_label, end] = [(); 3].map(|()| self.text.new_label());
        self.text.branch(&condition, &then_label, &else_label);
        let mut sides = Vec::new();
        for (label, block) in [(&then_label, then), (&else_label, otherwise)] {
            self.text.begin(label);
            self.text.enter();
            self.body(&block.body)?;
            self.text.leave();
            sides.push((self.words(&block.yields)?, self.text.current()));
            self.text.jump(&end);
        }
        self.text.begin(&end);
        let (theirs, else_end) = sides.pop().unwrap_or_default();
        let (ours, then_end) = sides.pop().unwrap_or_default();
        if ours.iter().map(|y| y.0).ne(theirs.iter().map(|y| y.0)) {
            return Err(self.unsupported("branches that yield different values"));
        }
        let mut out = Vec::with_capacity(ours.len());
        for ((ty, a), (_, b)) in ours.iter().zip(&theirs) {
            out.push(
                self.text.def(format_args!("phi {ty} [ {a}, %{then_end} ], [ {b}, %{else_end} ]")),
            );
        }
        self.name_as(results, &then.yields, &out)
    }
}
