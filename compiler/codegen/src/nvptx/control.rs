//! Loops and branches; both uniform.

use std::rc::Rc;

use tilec_gpu::gir::{Block, For, Val};
use tilec_vocab::DType;

use super::emit::{Emitter, Result};
use super::value::{Tile, Value, llvm_type};

/// A value that a loop counts, as the loop counts it: `lo + trip * step + past`.
#[derive(Clone, Debug)]
pub struct Counter {
    /// Iterations before this one, an `i32`.
    pub trip: String,
    /// Iterations in all, an `i32`.
    trips: String,
    /// The first value, an `i64`.
    pub lo: String,
    /// The value it stays below.
    hi: Val,
    /// From one iteration to the next.
    pub step: i64,
    /// How far it is from the loop's own.
    pub past: i64,
}

impl Counter {
    /// The value so far from this one.
    pub fn plus(&self, by: i64) -> Option<Counter> {
        Some(Counter { past: self.past.checked_add(by)?, ..self.clone() })
    }

    /// Iterations from this one to the one that counts the value, where the question is whether there is such a one.
    pub fn ahead_of(&self, end: Val) -> Option<i64> {
        let whole = self.past % self.step == 0 && self.past >= 0 && end == self.hi;
        let ahead = self.past / self.step;
        // Far from where `trips - ahead` would wrap.
        (whole && ahead < 1 << 16).then_some(ahead)
    }
}

/// LLVM values of some values, in order.
type Words = Vec<(&'static str, String)>;

impl<'a> Emitter<'a> {
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

    /// The test stands at the end; a loop that may not run at all is skipped by a branch before it. Iterations are
    /// counted in 32 bits, and what depends on `iv` is made of that count.
    pub fn for_loop(&mut self, results: &[Val], looped: &'a For) -> Result<()> {
        let (lo, hi) = (self.uniform(looped.lo)?, self.uniform(looped.hi)?);
        let initial = self.words(&looped.initial)?;
        let some = self.text.def(format_args!("icmp slt i64 {lo}, {hi}"));
        let before = self.text.current();
        let (count, body, exit) =
            (self.text.new_label(), self.text.new_label(), self.text.new_label());
        self.text.branch(&some, &count, &exit);
        self.text.begin(&count);
        let trips = self.trips(&lo, &hi, looped.step);
        let counted = self.text.current();
        self.loops.push(Rc::new(self.text.reserve()));
        self.text.jump(&body);

        self.text.begin(&body);
        let phi = self.text.name();
        let phi_line = self.text.reserve();
        let names: Vec<String> = initial.iter().map(|_| self.text.name()).collect();
        let lines: Vec<_> = initial.iter().map(|_| self.text.reserve()).collect();
        // Opaque to LLVM, which would have a counter of its own for each use.
        let trip =
            self.text.def(format_args!("call i32 asm \"mov.b32 $0, $1;\", \"=r,r\"(i32 {phi})"));
        let counter = Counter { trip, trips, lo, hi: looped.hi, step: looped.step, past: 0 };
        let iv = self.counted(looped, &counter);
        self.set(looped.iv, Value::Uniform(iv));
        self.counters.insert(looped.iv, counter.clone());
        self.name_as(&looped.params, &looped.initial, &names)?;
        self.text.enter();
        self.body(&looped.body.body)?;
        let yields = self.words(&looped.body.yields)?;
        if yields.iter().map(|y| y.0).ne(initial.iter().map(|i| i.0)) {
            return Err(self.unsupported("a loop that yields other values than it began with"));
        }
        let next = self.text.def(format_args!("add i32 {}, 1", counter.trip));
        let more = self.more(&counter, 1);
        let latch = self.text.current();
        self.text.branch(&more, &body, &exit);
        self.text.fill(
            &phi_line,
            format_args!("{phi} = phi i32 [ 0, %{counted} ], [ {next}, %{latch} ]"),
        );
        for ((line, name), ((ty, first), (_, again))) in
            lines.iter().zip(&names).zip(initial.iter().zip(&yields))
        {
            self.text.fill(
                line,
                format_args!("{name} = phi {ty} [ {first}, %{counted} ], [ {again}, %{latch} ]"),
            );
        }

        self.loops.pop();
        self.text.begin(&exit);
        self.text.leave();
        let mut out = Vec::with_capacity(initial.len());
        for ((ty, first), (_, again)) in initial.iter().zip(&yields) {
            out.push(
                self.text
                    .def(format_args!("phi {ty} [ {first}, %{before} ], [ {again}, %{latch} ]")),
            );
        }
        self.name_as(results, &looped.initial, &out)?;
        if self.text.is_nested() { Ok(()) } else { self.anew() }
    }

    /// What a loop counts, as an `i64`.
    fn counted(&mut self, looped: &For, counter: &Counter) -> String {
        let Counter { trip, lo, step, .. } = counter;
        if let (Some(from), Some(end)) = (self.ranges.of(looped.lo), self.ranges.of(looped.hi)) {
            // Not empty where it is counted.
            let range = (from.0, (end.1 - 1).max(from.0));
            self.ranges.know(looped.iv, range);
            if self.ranges.is_short(looped.lo, 0) && self.ranges.is_short(looped.iv, 0) {
                let passed = self.text.def(format_args!("mul i32 {trip}, {step}"));
                let lo = self.short(lo);
                let short = self.text.def(format_args!("add i32 {lo}, {passed}"));
                return self.long(&short, range);
            }
        }
        let wide = self.text.def(format_args!("zext i32 {trip} to i64"));
        let passed = self.text.def(format_args!("mul i64 {wide}, {step}"));
        self.text.def(format_args!("add i64 {lo}, {passed}"))
    }

    /// After a loop of the outermost level: uniform numbers are computed again, rather than live in registers across the loop.
    fn anew(&mut self) -> Result<()> {
        self.text.begin_late();
        self.forget_idle_places();
        for stmt in self.numbers.clone() {
            match self.is_long(stmt) {
                true => stmt.results.iter().try_for_each(|&result| self.disguise(result))?,
                false => self.stmt(stmt)?,
            }
        }
        Ok(())
    }

    /// The same number as another value: what is made of it from here on is computed anew.
    fn disguise(&mut self, value: Val) -> Result<()> {
        if self.elem(value) != DType::I64 {
            return Ok(());
        }
        let number = self.uniform(value)?;
        let number = if self.ranges.is_natural(value) {
            let short = self.text.early(format_args!("trunc i64 {number} to i32"));
            let short = self.text.opaque("i32", &short);
            self.text.early(format_args!("zext i32 {short} to i64"))
        } else {
            self.text.opaque("i64", &number)
        };
        self.set(value, Value::Uniform(number));
        Ok(())
    }

    /// How often a loop runs whose `lo` is below its `hi`; 2^31 times or more is a trap.
    fn trips(&mut self, lo: &str, hi: &str, step: i64) -> String {
        let span = self.text.def(format_args!("sub i64 {hi}, {lo}"));
        let last = self.text.def(format_args!("add i64 {span}, -1"));
        let last = self.text.def(format_args!("udiv i64 {last}, {step}"));
        let most = i64::from(i32::MAX) - 1;
        let endless = self.text.def(format_args!("icmp ugt i64 {last}, {most}"));
        let (stop, go) = (self.text.new_label(), self.text.new_label());
        self.text.branch(&endless, &stop, &go);
        self.text.begin(&stop);
        self.text.call_void("llvm.trap", &[]);
        self.text.line("unreachable");
        self.text.begin(&go);
        let last = self.text.def(format_args!("trunc i64 {last} to i32"));
        self.text.def(format_args!("add i32 {last}, 1"))
    }

    /// Whether there is an iteration so many after the present one.
    pub fn more(&mut self, counter: &Counter, ahead: i64) -> String {
        let Counter { trip, trips, .. } = counter;
        let left = self.text.def(format_args!("add i32 {trips}, {}", -ahead));
        self.text.def(format_args!("icmp slt i32 {trip}, {left}"))
    }

    pub fn branch(
        &mut self,
        results: &[Val],
        condition: Val,
        then: &'a Block,
        otherwise: &'a Block,
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
