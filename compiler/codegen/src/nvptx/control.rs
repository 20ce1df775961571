//! Loops and branches; both uniform.

use std::collections::BTreeMap;
use std::rc::Rc;

use tilec_gpu::gir::{Block, For, Op, Val};
use tilec_ir::Entity;
use tilec_vocab::DType;

use super::emit::{Emitter, Made, Result};
use super::shared::Places;
use super::text::Reserved;
use super::value::{Tile, Value, llvm_type};

/// A value that a loop counts, as the loop counts it: `base + count * scale + past`. A loop over what fits into 32 bits counts the
/// values themselves, any other one its iterations.
#[derive(Clone, Debug)]
pub struct Counter {
    /// What the loop counts, an `i32`, never below 0.
    pub count: String,
    /// What the count stays below, an `i32`.
    limit: String,
    /// What the count goes up by.
    by: i64,
    /// The value where the count is 0, an `i64`.
    pub base: String,
    /// From one count to the next.
    pub scale: i64,
    /// The value that the loop's own stays below.
    hi: Val,
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
        let step = self.by * self.scale;
        let whole = self.past % step == 0 && self.past >= 0 && end == self.hi;
        // Far from where `limit - past` would wrap.
        (whole && self.past < MOST_AHEAD).then_some(self.past / step)
    }
}

/// How far a loop looks ahead, at most, in values of its axis.
const MOST_AHEAD: i64 = 1 << 16;

/// A loop around the statement being written.
#[derive(Clone)]
pub struct Around {
    /// A line before it.
    pub before: Rc<Reserved>,
    /// The value of its axis.
    iv: Val,
}

/// What holds again after a block, where it was computed anew in it.
#[derive(Default)]
pub struct Outside {
    /// How many statements made numbers before it.
    numbers: usize,
    /// Numbers.
    values: BTreeMap<Val, Option<Made>>,
    /// Addresses in shared memory.
    places: Option<Vec<Places>>,
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

    /// The test stands at the end; a loop that may not run at all is skipped by a branch before it. Counted is in 32 bits, and
    /// what depends on `iv` is made of that count.
    pub fn for_loop(&mut self, results: &[Val], looped: &'a For) -> Result<()> {
        let (lo, hi) = (self.uniform(looped.lo)?, self.uniform(looped.hi)?);
        let initial = self.words(&looped.initial)?;
        let some = self.text.def(format_args!("icmp slt i64 {lo}, {hi}"));
        let before = self.text.current();
        let (count, body, exit) =
            (self.text.new_label(), self.text.new_label(), self.text.new_label());
        self.text.branch(&some, &count, &exit);
        self.text.begin(&count);
        let is_short = self.is_short(looped);
        let (start, limit) = match is_short {
            true => (self.short(&lo), self.short(&hi)),
            false => ("0".to_owned(), self.trips(&lo, &hi, looped.step)),
        };
        let counted = self.text.current();
        let before_loop = Rc::new(self.text.reserve());
        self.loops.push(Around { before: before_loop, iv: looped.iv });
        self.text.jump(&body);

        self.text.begin(&body);
        let phi = self.text.name();
        let phi_line = self.text.reserve();
        let names: Vec<String> = initial.iter().map(|_| self.text.name()).collect();
        let lines: Vec<_> = initial.iter().map(|_| self.text.reserve()).collect();
        // Opaque to LLVM, which would have a counter of its own for each use.
        let count =
            self.text.def(format_args!("call i32 asm \"mov.b32 $0, $1;\", \"=r,r\"(i32 {phi})"));
        let (by, base, scale) = match is_short {
            true => (looped.step, "0".to_owned(), 1),
            false => (1, lo, looped.step),
        };
        let counter = Counter { count, limit, by, base, scale, hi: looped.hi, past: 0 };
        let iv = self.counted(looped, &counter, is_short);
        self.set(looped.iv, Value::Uniform(iv));
        self.counters.insert(looped.iv, counter.clone());
        self.name_as(&looped.params, &looped.initial, &names)?;
        for &param in &looped.params {
            if let Some(below) = self.program.values[param].below {
                self.ranges.know(param, (0, i64::from(below) - 1));
            }
        }
        self.enter();
        if looped.body.body.iter().any(|stmt| matches!(stmt.op, Op::For(_))) {
            self.anew()?;
        }
        self.body(&looped.body.body)?;
        let yields = self.words(&looped.body.yields)?;
        if yields.iter().map(|y| y.0).ne(initial.iter().map(|i| i.0)) {
            return Err(self.unsupported("a loop that yields other values than it began with"));
        }
        let next = self.text.def(format_args!("add i32 {}, {by}", counter.count));
        let more = self.more(&counter, 1);
        let latch = self.text.current();
        self.text.branch(&more, &body, &exit);
        self.text.fill(
            &phi_line,
            format_args!("{phi} = phi i32 [ {start}, %{counted} ], [ {next}, %{latch} ]"),
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
        self.leave();
        let mut out = Vec::with_capacity(initial.len());
        for ((ty, first), (_, again)) in initial.iter().zip(&yields) {
            out.push(
                self.text
                    .def(format_args!("phi {ty} [ {first}, %{before} ], [ {again}, %{latch} ]")),
            );
        }
        self.name_as(results, &looped.initial, &out)?;
        self.anew()
    }

    /// Whether the values of a loop's axis are natural numbers of 32 bits, and so are those of some blocks ahead.
    fn is_short(&self, looped: &For) -> bool {
        let is_short =
            self.ranges.is_natural(looped.lo) && self.ranges.is_short(looped.hi, MOST_AHEAD);
        is_short && looped.step <= MOST_AHEAD
    }

    /// The value of a loop's axis, as an `i64`.
    fn counted(&mut self, looped: &For, counter: &Counter, is_short: bool) -> String {
        let Counter { count, base, scale, .. } = counter;
        if let (Some(from), Some(end)) = (self.ranges.of(looped.lo), self.ranges.of(looped.hi)) {
            // Not empty where it is counted.
            let range = (from.0, (end.1 - 1).max(from.0));
            self.ranges.know(looped.iv, range);
            if is_short {
                return self.long(count, range);
            }
        }
        let wide = self.text.def(format_args!("zext i32 {count} to i64"));
        let passed = self.text.def(format_args!("mul i64 {wide}, {scale}"));
        self.text.def(format_args!("add i64 {base}, {passed}"))
    }

    /// The block of a loop or branch begins.
    fn enter(&mut self) {
        self.text.enter();
        let numbers = self.numbers.len();
        self.outside.push(Outside { numbers, ..Outside::default() });
    }

    /// It ends: what was computed anew in it is forgotten.
    fn leave(&mut self) {
        self.text.leave();
        let Some(outside) = self.outside.pop() else { return };
        self.numbers.truncate(outside.numbers);
        for (value, made) in outside.values {
            self.values[value.index()] = made;
        }
        if let Some(places) = outside.places {
            self.places = places;
        }
    }

    /// After a loop, and where a loop begins that has others in it: uniform numbers are computed again, rather than live in
    /// registers across a loop.
    fn anew(&mut self) -> Result<()> {
        if let Some(outside) = self.outside.last_mut() {
            outside.places.get_or_insert_with(|| self.places.clone());
        }
        let ivs: Vec<Val> = self.loops.iter().map(|around| around.iv).collect();
        let innermost = ivs.last().and_then(|iv| self.counters.get(iv));
        self.text.begin_late(innermost.map(|counter| counter.count.clone()));
        self.forget_idle_places();
        for &outer in ivs.iter().rev().skip(1).rev() {
            self.keep(outer);
            self.disguise(outer)?;
        }
        for stmt in self.numbers.clone() {
            stmt.results.iter().for_each(|&result| self.keep(result));
            match self.is_long(stmt) {
                true => stmt.results.iter().try_for_each(|&result| self.disguise(result))?,
                false => self.stmt(stmt)?,
            }
        }
        Ok(())
    }

    /// Notes what a value is outside of this block.
    fn keep(&mut self, value: Val) {
        let made = self.values[value.index()].clone();
        if let Some(outside) = self.outside.last_mut() {
            outside.values.entry(value).or_insert(made);
        }
    }

    /// The same number as another value: what is made of it from here on is computed anew.
    fn disguise(&mut self, value: Val) -> Result<()> {
        if self.elem(value) != DType::I64 {
            return Ok(());
        }
        let number = self.uniform(value)?;
        let number = match self.ranges.is_natural(value) {
            true => self.short_anew(&number),
            false => self.text.opaque("i64", &number),
        };
        self.set(value, Value::Uniform(number));
        Ok(())
    }

    /// A natural number of 32 bits as another `i64` that is the same, kept in half of the registers.
    pub fn short_anew(&mut self, number: &str) -> String {
        let short = self.text.early(format_args!("trunc i64 {number} to i32"));
        let short = self.text.opaque("i32", &short);
        let short = self.text.anew(&short);
        self.text.early(format_args!("zext nneg i32 {short} to i64"))
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
        let Counter { count, limit, by, .. } = counter;
        let left = self.text.def(format_args!("add i32 {limit}, {}", -ahead * by));
        self.text.def(format_args!("icmp slt i32 {count}, {left}"))
    }

    /// Code of its own for each way that a condition can turn out, made by `side`, which is told which; what it made, with the
    /// block in which that code ends.
    pub fn either<T>(
        &mut self,
        condition: Val,
        mut side: impl FnMut(&mut Self, bool) -> Result<T>,
    ) -> Result<[(T, String); 2]> {
        let condition = self.uniform(condition)?;
        let [then, otherwise, end] = [(); 3].map(|()| self.text.new_label());
        self.text.branch(&condition, &then, &otherwise);
        self.text.enter();
        let mut made = |emitter: &mut Self, label: &str, way: bool| -> Result<(T, String)> {
            emitter.text.begin(label);
            let made = (side(emitter, way)?, emitter.text.current());
            emitter.text.jump(&end);
            Ok(made)
        };
        let sides = [made(self, &then, true)?, made(self, &otherwise, false)?];
        self.text.begin(&end);
        self.text.leave();
        Ok(sides)
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
            self.enter();
            self.body(&block.body)?;
            self.leave();
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
