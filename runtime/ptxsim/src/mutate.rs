//! Mutation: PTX broken one instruction at a time, to measure how much of what could go wrong a test notices.
//!
//! [`mutants`] lists the mutants of a text. [`Score::of`] runs a judge over them: a mutant is caught when the simulator
//! reports it or its numbers are wrong, and survives otherwise. A survivor whose outputs are bit-identical may be
//! equivalent to the original; one that only stays within the error bound is not, and shows what the bound lets through.
//!
//! Mutants that are equivalent by construction are not made: swapped factors, a barrier's number, waiting for more groups
//! than asked, the final `ret`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::device::Module;
use crate::finding::Code;
use crate::syntax::ast::{Instruction, Statement};
use crate::syntax::{self, PtxError};

/// How an instruction was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A barrier, wait, commit or asynchronous copy deleted.
    DeleteSync,
    /// Any other instruction deleted.
    Delete,
    /// Two operands exchanged.
    Swap,
    /// An integer constant one larger or smaller, a float constant doubled or halved, a zero one, an infinity zero.
    Constant,
    /// A memory offset one access further.
    Offset,
    /// A comparison that includes or excludes equality, or is reversed.
    Compare,
    /// A guard negated.
    Guard,
    /// Another opcode of the same shape.
    Opcode,
}

/// One broken text.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// What was done.
    pub kind: Kind,
    /// PTX line of the instruction.
    pub line: u32,
    /// The instruction before.
    pub from: String,
    /// The instruction after; empty if deleted.
    pub to: String,
    span: (usize, usize),
}

impl Mutant {
    /// The whole text with this mutation.
    pub fn apply(&self, text: &str) -> String {
        let after = if self.to.is_empty() { self.span.1 + 1 } else { self.span.1 };
        format!("{}{}{}", &text[..self.span.0], self.to, &text[after..])
    }
}

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Not PTX any more.
    Invalid,
    /// A check reported it.
    Found(Code),
    /// The numbers are wrong.
    Wrong(String),
    /// Nothing noticed.
    Survived {
        /// Whether every output is bit-identical to the original's.
        same_bits: bool,
    },
}

/// Opcode names and suffixes that stand in for each other.
const EXCHANGES: &[(&str, &str)] = &[
    ("add", "sub"),
    ("sub", "add"),
    ("and", "or"),
    ("or", "and"),
    ("xor", "or"),
    ("shl", "shr"),
    ("shr", "shl"),
    ("min", "max"),
    ("max", "min"),
    ("ex2", "lg2"),
];

const FLIPS: &[(&str, &[&str])] = &[
    ("lt", &["le", "ge"]),
    ("le", &["lt", "gt"]),
    ("gt", &["ge", "le"]),
    ("ge", &["gt", "lt"]),
    ("eq", &["ne"]),
    ("ne", &["eq"]),
    ("ltu", &["leu"]),
    ("leu", &["ltu"]),
    ("gtu", &["geu"]),
    ("geu", &["gtu"]),
];

/// Opcodes whose first and second source can be exchanged without effect.
const COMMUTATIVE: &[&str] = &["add", "mul", "and", "or", "xor", "min", "max"];

/// Every mutant of every instruction, in text order.
pub fn mutants(text: &str) -> Result<Vec<Mutant>, PtxError> {
    let tree = syntax::parse(text)?;
    let mut out = vec![];
    for statement in tree.functions.iter().flat_map(|f| f.body.iter().flatten()) {
        if let Statement::Instruction(i) = statement {
            let written = Written::new(text, i);
            let mut add = |kind, to: String| {
                let from = written.text.split_whitespace().collect::<Vec<_>>().join(" ");
                if to != written.text {
                    out.push(Mutant { kind, line: i.line, from, to, span: i.span });
                }
            };
            written.deletions(&mut add);
            written.swaps(&mut add);
            written.constants(&mut add);
            written.offsets(&mut add);
            written.opcodes(&mut add);
        }
    }
    Ok(out)
}

/// An instruction as text: guard, opcode, operands.
struct Written<'t> {
    text: &'t str,
    guard: Option<&'t str>,
    opcode: &'t str,
    operands: Vec<&'t str>,
}

type Add<'a> = dyn FnMut(Kind, String) + 'a;

impl<'t> Written<'t> {
    fn new(source: &'t str, i: &Instruction) -> Self {
        let text = &source[i.span.0..i.span.1];
        let (guard, rest) = match text.strip_prefix('@') {
            Some(after) => {
                let end = after.find(char::is_whitespace).map_or(text.len(), |at| at + 1);
                (Some(&text[..end]), text[end..].trim_start())
            }
            None => (None, text),
        };
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        Written { text, guard, opcode: &rest[..end], operands: split(rest[end..].trim()) }
    }

    fn name(&self) -> &str {
        self.opcode.split('.').next().unwrap_or("")
    }

    fn with(&self, opcode: &str, operands: &[&str]) -> String {
        let guard = self.guard.map(|g| format!("{g} ")).unwrap_or_default();
        format!("{guard}{opcode} {}", operands.join(", "))
    }

    fn deletions(&self, add: &mut Add) {
        match self.name() {
            "ret" | "exit" => {}
            "bar" | "barrier" | "cp" => add(Kind::DeleteSync, String::new()),
            _ => add(Kind::Delete, String::new()),
        }
        if let Some(guard) = self.guard {
            let flipped = match guard.strip_prefix("@!") {
                Some(name) => format!("@{name}"),
                None => guard.replacen('@', "@!", 1),
            };
            add(Kind::Guard, self.text.replacen(guard, &flipped, 1));
        }
    }

    fn swaps(&self, add: &mut Add) {
        let name = self.name();
        let sources = match name {
            // A product may take its factors in any order; addend and factor differ.
            "fma" | "mad" => 2..4,
            "selp" | "sub" | "shl" | "shr" | "setp" | "div" | "rem" | "cvt" | "shf" | "prmt"
            | "bfi" | "copysign" => 1..3,
            _ => 0..0,
        };
        let symmetric = name == "setp" && self.opcode.split('.').any(|p| p == "eq" || p == "ne");
        if sources.len() == 2
            && self.operands.len() >= sources.end
            && !symmetric
            && !COMMUTATIVE.contains(&name)
        {
            let mut operands = self.operands.clone();
            operands.swap(sources.start, sources.start + 1);
            add(Kind::Swap, self.with(self.opcode, &operands));
        }
        // Registers of a vector: fragments, packed stores, pairs.
        for (k, operand) in self.operands.iter().enumerate() {
            let Some(inner) = operand.strip_prefix('{').and_then(|o| o.strip_suffix('}')) else {
                continue;
            };
            let mut parts: Vec<&str> = inner.split(',').map(str::trim).collect();
            if parts.len() >= 2 && parts[0] != parts[1] {
                parts.swap(0, 1);
                let swapped = format!("{{{}}}", parts.join(", "));
                let mut operands = self.operands.clone();
                operands[k] = &swapped;
                add(Kind::Swap, self.with(self.opcode, &operands));
            }
        }
    }

    fn constants(&self, add: &mut Add) {
        if matches!(self.name(), "bar" | "barrier") {
            return;
        }
        for (k, operand) in self.operands.iter().enumerate() {
            let mut replace = |with: String| {
                let mut operands = self.operands.clone();
                operands[k] = &with;
                add(Kind::Constant, self.with(self.opcode, &operands));
            };
            if let Some(bits) =
                operand.strip_prefix("0f").and_then(|h| u32::from_str_radix(h, 16).ok())
            {
                // Twice zero or half an infinity would hardly be a change.
                let other = match bits & 0x7fff_ffff {
                    0 => 0x3f80_0000,
                    0x7f80_0000 => 0,
                    _ => bits ^ 1 << 23,
                };
                replace(format!("0f{other:08X}"));
            } else if let Some(value) = integer(operand) {
                replace(value.wrapping_add(1).to_string());
                // Waiting for one group more than needed is no fault.
                if !self.opcode.contains("wait_group") {
                    replace(value.wrapping_sub(1).to_string());
                }
            }
        }
    }

    fn offsets(&self, add: &mut Add) {
        let step = match self.name() {
            "ld" | "st" | "atom" | "red" => {
                let ty = self.opcode.rsplit('.').next().unwrap_or("");
                syntax::parse_type_bytes(ty).unwrap_or(4) as i64
            }
            "ldmatrix" | "cp" => 16,
            _ => return,
        };
        for (k, operand) in self.operands.iter().enumerate() {
            let Some(inner) = operand.strip_prefix('[').and_then(|o| o.strip_suffix(']')) else {
                continue;
            };
            let (base, offset) = match inner.split_once('+') {
                Some((base, offset)) => (base.trim(), integer(offset.trim()).unwrap_or(0)),
                None => (inner.trim(), 0),
            };
            let moved = format!("[{base}+{}]", offset + step);
            let mut operands = self.operands.clone();
            operands[k] = &moved;
            add(Kind::Offset, self.with(self.opcode, &operands));
        }
    }

    fn opcodes(&self, add: &mut Add) {
        let parts: Vec<&str> = self.opcode.split('.').collect();
        let mut replace = |kind, at: usize, with: &str| {
            let mut parts = parts.clone();
            parts[at] = with;
            parts.retain(|p| !p.is_empty());
            add(kind, self.with(&parts.join("."), &self.operands));
        };
        if let Some((_, to)) = EXCHANGES.iter().find(|(from, _)| *from == parts[0]) {
            replace(Kind::Opcode, 0, to);
        }
        for (at, part) in parts.iter().enumerate().skip(1) {
            if *part == "trans" && parts[0] == "ldmatrix" {
                replace(Kind::Opcode, at, "");
            }
            if parts[0] == "setp"
                && let Some((_, flips)) = FLIPS.iter().find(|(from, _)| from == part)
            {
                flips.iter().for_each(|to| replace(Kind::Compare, at, to));
            }
        }
    }
}

/// A decimal or hexadecimal integer.
fn integer(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Splits operands at commas outside brackets.
fn split(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut out) = (0, 0, vec![]);
    for (at, c) in text.char_indices() {
        match c {
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth -= 1,
            ',' if depth == 0 => {
                out.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    if !text[start..].trim().is_empty() {
        out.push(text[start..].trim());
    }
    out
}

/// Mutants and what became of them.
#[derive(Clone, Debug)]
pub struct Score {
    /// In the order given.
    pub results: Vec<(Mutant, Verdict)>,
}

impl Score {
    /// Judges every mutant of `text`, on `threads` threads. The judge sees only texts that parse.
    pub fn of(
        text: &str,
        mutants: Vec<Mutant>,
        threads: usize,
        judge: impl Fn(&Module) -> Verdict + Sync,
    ) -> Score {
        let next = AtomicUsize::new(0);
        let verdicts = Mutex::new(vec![Verdict::Invalid; mutants.len()]);
        let work = || {
            loop {
                let index = next.fetch_add(1, Relaxed);
                let Some(mutant) = mutants.get(index) else {
                    break;
                };
                let verdict = Module::parse(&mutant.apply(text))
                    .map_or(Verdict::Invalid, |module| judge(&module));
                if let Ok(mut all) = verdicts.lock() {
                    all[index] = verdict;
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..threads.max(1) {
                scope.spawn(work);
            }
        });
        let verdicts = verdicts.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        Score { results: mutants.into_iter().zip(verdicts).collect() }
    }

    /// Mutants that ran, and those among them that were caught.
    pub fn caught(&self) -> (usize, usize) {
        let ran = self.results.iter().filter(|(_, v)| *v != Verdict::Invalid);
        ran.fold((0, 0), |(n, caught), (_, v)| {
            (n + 1, caught + !matches!(v, Verdict::Survived { .. }) as usize)
        })
    }

    /// The mutants that nothing noticed.
    pub fn survivors(&self) -> impl Iterator<Item = (&Mutant, bool)> {
        self.results.iter().filter_map(|(m, v)| match v {
            Verdict::Survived { same_bits } => Some((m, *same_bits)),
            Verdict::Invalid | Verdict::Found(_) | Verdict::Wrong(_) => None,
        })
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Found by a check, wrong numbers, within the bound, bit-identical, invalid.
        let mut rows: BTreeMap<Kind, [usize; 5]> = BTreeMap::new();
        let mut codes: BTreeMap<Code, usize> = BTreeMap::new();
        for (mutant, verdict) in &self.results {
            let column = match verdict {
                Verdict::Found(code) => {
                    *codes.entry(*code).or_default() += 1;
                    0
                }
                Verdict::Wrong(_) => 1,
                Verdict::Survived { same_bits: false } => 2,
                Verdict::Survived { same_bits: true } => 3,
                Verdict::Invalid => 4,
            };
            rows.entry(mutant.kind).or_default()[column] += 1;
        }
        writeln!(
            f,
            "{:<12}{:>8}{:>8}{:>8}{:>8}{:>8}",
            "", "checks", "numbers", "bound", "same", "invalid"
        )?;
        for (kind, row) in &rows {
            write!(f, "{:<12}", format!("{kind:?}"))?;
            row.iter().try_for_each(|n| write!(f, "{n:>8}"))?;
            writeln!(f)?;
        }
        for (code, count) in &codes {
            writeln!(f, "  {count:>6} {}", code.name())?;
        }
        let (ran, caught) = self.caught();
        let same = self.survivors().filter(|s| s.1).count();
        writeln!(f, "{caught} of {ran} caught; of the others {same} give the same bits")
    }
}
