//! What can be counted in PTX text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use tilec_vocab::PtxCode;

/// Counts of one kernel: of instructions as written, not as run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub warps: u32,
    pub shared_bytes: u32,
    /// By the first word of the mnemonic, `cp.async` of copies only.
    counts: BTreeMap<&'static str, usize>,
    /// By direction and space, then by bytes.
    accesses: BTreeMap<&'static str, BTreeMap<u32, usize>>,
    /// Labels that a later branch goes back to.
    pub loops: usize,
    /// Bytes of the thread's own memory that the text declares.
    pub local_bytes: u32,
    /// Virtual registers of 32 bits or more.
    pub registers: u32,
    pub lines: usize,
}

/// Column and the prefix that an instruction of it starts with.
const COUNTED: &[(&str, &str)] = &[
    ("mma", "mma.sync"),
    ("ldsm", "ldmatrix"),
    ("cpasync", "cp.async.cg"),
    ("wait", "cp.async.wait_group"),
    ("bar", "bar.sync"),
    ("shfl", "shfl."),
    ("ex2", "ex2."),
    ("div", "div."),
    ("atom", "red."),
];

/// Column and the prefix of accesses that are told apart by width.
const ACCESSES: &[(&str, &str)] =
    &[("lds", "ld.shared"), ("sts", "st.shared"), ("ldg", "ld.global"), ("stg", "st.global")];

/// Prefixes of accesses to memory of a thread's own.
const LOCAL: &[&str] = &["ld.local", "st.local"];

impl Facts {
    /// Counts.
    pub fn of(code: &PtxCode) -> Facts {
        let mut facts = Facts {
            warps: code.threads / 32,
            shared_bytes: code.shared_bytes,
            lines: code.text.lines().count(),
            ..Facts::default()
        };
        let mut seen = BTreeSet::new();
        let mut back = BTreeSet::new();
        for line in code.text.lines().map(str::trim) {
            if let Some(label) = line.split(':').next().filter(|_| line.starts_with('$')) {
                seen.insert(label);
            } else if let Some(rest) = line.strip_prefix(".reg ") {
                facts.registers += registers(rest);
            } else if line.starts_with(".local") {
                facts.local_bytes += bracketed(line, '[', ']');
            } else {
                facts.instruction(line, &seen, &mut back);
            }
        }
        facts.loops = back.len();
        facts
    }

    fn instruction<'a>(
        &mut self,
        line: &'a str,
        seen: &BTreeSet<&'a str>,
        back: &mut BTreeSet<&'a str>,
    ) {
        let mut words = line.trim_end_matches(';').split_whitespace();
        let mut word = words.next().unwrap_or_default();
        if word.starts_with('@') {
            word = words.next().unwrap_or_default();
        }
        if word.starts_with("bra") {
            back.extend(words.last().filter(|label| seen.contains(label)));
            return;
        }
        if let Some((name, _)) = COUNTED.iter().find(|(_, prefix)| word.starts_with(prefix)) {
            *self.counts.entry(name).or_default() += 1;
        }
        if let Some((name, _)) = ACCESSES.iter().find(|(_, prefix)| word.starts_with(prefix)) {
            let widths = self.accesses.entry(name).or_default();
            *widths.entry(bytes(word)).or_default() += 1;
        }
        if LOCAL.iter().any(|prefix| word.starts_with(prefix)) {
            *self.counts.entry("local").or_default() += 1;
        }
    }

    /// How often a column's instruction is written.
    pub fn count(&self, column: &str) -> usize {
        self.counts.get(column).copied().unwrap_or_default()
    }

    /// Whether anything is kept in memory of a thread's own, where registers are spilled to.
    pub fn uses_local_memory(&self) -> bool {
        self.local_bytes > 0 || self.count("local") > 0
    }

    /// The heads of the columns.
    pub fn heads() -> String {
        let mut heads = format!("{:24} warps shared", "");
        for (name, _) in COUNTED {
            heads.push_str(&format!(" {name:>7}"));
        }
        for (name, _) in ACCESSES {
            heads.push_str(&format!(" {name:>17}"));
        }
        heads + " loops local  regs lines"
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:5} {:6}", self.warps, self.shared_bytes)?;
        for (name, _) in COUNTED {
            write!(f, " {:7}", self.count(name))?;
        }
        for (name, _) in ACCESSES {
            let widths = self.accesses.get(name).into_iter().flatten().rev();
            let widths: Vec<String> = widths.map(|(bytes, n)| format!("{n}x{bytes}")).collect();
            write!(f, " {:>17}", if widths.is_empty() { "-".into() } else { widths.join("+") })?;
        }
        let local = self.local_bytes as usize + self.count("local");
        write!(f, " {:5} {local:5} {:5} {:5}", self.loops, self.registers, self.lines)
    }
}

/// `.b32 %r<120>;` declares 119 registers of 32 bits; of 64 bits each counts twice, narrower ones are left out.
fn registers(declaration: &str) -> u32 {
    let each = match declaration.split_whitespace().next() {
        Some(".b32" | ".f32" | ".u32" | ".s32") => 1,
        Some(".b64" | ".f64" | ".u64" | ".s64") => 2,
        _ => 0,
    };
    each * bracketed(declaration, '<', '>').saturating_sub(1)
}

fn bracketed(text: &str, open: char, close: char) -> u32 {
    let inside = text.split_once(open).and_then(|(_, rest)| rest.split_once(close));
    inside.and_then(|(number, _)| number.parse().ok()).unwrap_or_default()
}

/// Bytes that an access moves: `ld.global.v4.b32` moves 16.
fn bytes(mnemonic: &str) -> u32 {
    let mut vector = 1;
    let mut bits = 0;
    for word in mnemonic.split('.') {
        if let Some(n) = word.strip_prefix('v').and_then(|n| n.parse().ok()) {
            vector = n;
        } else if let Some(n) = word.get(1..).and_then(|n| n.parse().ok())
            && word.starts_with(['b', 'u', 's', 'f'])
        {
            bits = n;
        }
    }
    vector * bits / 8
}

#[test]
fn what_is_counted_is_what_is_there() {
    let text = "\
.visible .entry k(\n.reg .pred %p<3>;\n.reg .b32 %r<8>;\n.reg .b64 %rd<3>;\n.local .align 4 .b8 \
        __local_depot0[16];\n$L__BB0_1:\n\tld.global.v4.b32 {%r1, %r2, %r3, %r4}, [%rd1];\n\t@%p1 \
        st.shared.b16 [%r5], %rs1;\n\tmma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {..};\n\t@%p2 \
        bra $L__BB0_1;\n\tbra $L__BB0_2;\n$L__BB0_2:\n\tst.local.b32 [%rd2], %r1;\n\tret;\n";
    let code = PtxCode {
        text: text.to_owned(),
        entry: "k".to_owned(),
        target: "sm_80".to_owned(),
        threads: 128,
        shared_bytes: 512,
        assumes: Vec::new(),
        cubin: None,
    };
    let facts = Facts::of(&code);
    assert_eq!((facts.warps, facts.shared_bytes, facts.loops, facts.registers), (4, 512, 1, 11));
    assert_eq!((facts.count("mma"), facts.count("local"), facts.local_bytes), (1, 1, 16));
    assert_eq!(facts.accesses["ldg"][&16], 1);
    assert_eq!(facts.accesses["sts"][&2], 1);
}
