//! Random and mutated texts through everything that reads text: lexer, parser, names, lowering,
//! the verifier, the reader of tile IR. Nothing panics, places lie in their files, and a program
//! without errors has IR that verifies and reads back as itself.
//!
//! `TILEC_FUZZ_CASES=200000 cargo test --release -p tilec-tests --test fuzz` runs the full number.

use std::collections::BTreeMap;

use tilec_ir::{parse, print, verify_module};
use tilec_sema::lower;
use tilec_tests::{Library, files, root};
use tilec_vocab::render::{Style, render};
use tilec_vocab::{Sources, codes};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 1) as usize
    }

    fn below(&mut self, n: usize) -> usize {
        self.next() % n.max(1)
    }

    fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }
}

/// How many cases each test runs.
fn cases() -> u64 {
    let asked = std::env::var("TILEC_FUZZ_CASES").ok().and_then(|n| n.parse().ok());
    asked.unwrap_or(2_000)
}

/// Runs `case` for each seed, on both halves of the machine, in stacks of 512 KiB.
fn each_seed(case: impl Fn(u64) + Sync) {
    let (threads, cases) = (2, cases());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let case = &case;
            let work = move || (thread..cases).step_by(threads as usize).for_each(case);
            let started =
                std::thread::Builder::new().stack_size(512 << 10).spawn_scoped(scope, work);
            started.expect("a thread");
        }
    });
}

/// Texts to start from: the library, wrong programs, the examples of the code pages.
fn seeds() -> Vec<String> {
    let mut seeds: Vec<String> =
        tilec_kernels::FILES.iter().map(|file| file.text.to_string()).collect();
    for path in files(&root().join("tests/ui"), "tile") {
        seeds.extend(std::fs::read_to_string(path).ok().filter(|text| text.len() < 4096));
    }
    for code in codes::ALL {
        let fences = tilec_tests::fences(code.page());
        seeds.extend(fences.into_iter().filter(|f| f.info.starts_with("tile")).map(|f| f.code));
    }
    seeds
}

/// A text in words: names, numbers, runs of spaces, single characters.
fn words(text: &str) -> Vec<&str> {
    let class = |c: char| match c {
        c if c.is_alphanumeric() || c == '_' => 1,
        c if c.is_whitespace() => 2,
        _ => 0,
    };
    let mut found = Vec::new();
    let mut start = 0;
    let mut last = 0;
    for (at, c) in text.char_indices() {
        if at > start && (class(c) != last || last == 0) {
            found.push(&text[start..at]);
            start = at;
        }
        last = class(c);
    }
    found.push(&text[start..]);
    found
}

/// A seed with some words dropped, doubled, swapped, or put where others stood.
fn mutated(random: &mut Random, seeds: &[Vec<&str>], extra: &[&str]) -> String {
    let mut text = random.pick(seeds).clone();
    let small = random.below(2) == 0;
    for _ in 0..=random.below(if small { 2 } else { 5 }) {
        if text.is_empty() {
            break;
        }
        let at = random.below(text.len());
        if small {
            // What could have been meant: another word of the same kind, somewhere behind `at`.
            let alike = (at..text.len())
                .find_map(|at| Some((at, ALIKE.iter().find(|g| g.contains(&text[at]))?)));
            if let Some((at, group)) = alike {
                text[at] = *random.pick(group);
            }
            continue;
        }
        match random.below(8) {
            0 => drop(text.remove(at)),
            1 => {
                let end = (at + random.below(12)).min(text.len());
                text.drain(at..end);
            }
            2 => text.insert(at, *random.pick(extra)),
            3 => text[at] = *random.pick(extra),
            4 => {
                let other = random.below(text.len());
                text.swap(at, other);
            }
            5 | 6 => {
                // A word of this text where another of its kind stood.
                let wanted = text[at].starts_with(char::is_alphanumeric);
                let other = *random.pick(&text.clone());
                if other.starts_with(char::is_alphanumeric) == wanted {
                    text[at] = other;
                }
            }
            _ => {
                let other = random.pick(seeds);
                let from = random.below(other.len());
                let piece = other[from..(from + random.below(30)).min(other.len())].to_vec();
                text.splice(at..at, piece);
            }
        }
    }
    text.concat()
}

/// Words that can mostly stand for one another.
const ALIKE: &[&[&str]] = &[
    &["+", "-", "*", "/", "%"],
    &["<", ">"],
    &["f32", "f16", "bf16", "i32", "i64", "T"],
    &["sum", "max", "min", "any", "all"],
    &["exp", "exp2", "log", "tanh", "abs", "sqrt", "rsqrt"],
    &["and", "or"],
    &["0", "1", "2", "8", "16", "64", "-1", "0.5", "1e9", "1048576", "2147483648", "inf"],
    &["m", "n", "d", "b", "h"],
    &["N", "M", "D", "BN", "BM"],
    &["let", "var"],
];

const WORDS: &[&str] = &[
    "use",
    "const",
    "fn",
    "kernel",
    "spec",
    "require",
    "tune",
    "in",
    "grid",
    "by",
    "let",
    "var",
    "for",
    "if",
    "else",
    "axis",
    "return",
    "over",
    "as",
    "or",
    "and",
    "not",
    "true",
    "inf",
    "mut",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ";",
    ":",
    "::",
    "..",
    "=",
    "+=",
    "==",
    "<",
    "<=",
    "+",
    "-",
    "*",
    "/",
    "%",
    "&",
    "|",
    "x",
    "m",
    "n",
    "d",
    "N",
    "D",
    "T",
    "BN",
    "f32",
    "f16",
    "bf16",
    "i32",
    "i64",
    "bool",
    "float",
    "int",
    "dot",
    "sum",
    "max",
    "min",
    "any",
    "select",
    "fill",
    "exp",
    "cdiv",
    "0",
    "1",
    "-1",
    "64",
    "0.5",
    "1e9",
    "9223372036854775807",
    "2147483648",
    "&&",
    "@",
    "§",
    "//c\n",
    "/*c*/",
    "/*",
    "\n",
    "\n\n",
    "\0",
    "é",
    "1.",
    "\u{202e}",
    "\r",
];

#[test]
fn fuzz_sources() {
    let texts = seeds();
    let seeds: Vec<Vec<&str>> = texts.iter().map(|text| words(text)).collect();
    let tally = std::sync::Mutex::new(BTreeMap::new());
    each_seed(|seed| {
        let random = &mut Random(seed);
        let text = if random.below(8) == 0 {
            let length = random.below(80);
            (0..length).map(|_| format!("{} ", random.pick(WORDS))).collect()
        } else {
            mutated(random, &seeds, WORDS)
        };
        let mut sources = Sources::default();
        let id = sources.add("fuzz.tile", text.as_str());
        let (module, diagnostics) = lower(id, &mut sources, &Library);
        for label in diagnostics.iter().flat_map(|diagnostic| &diagnostic.labels) {
            let file = &sources.file(label.span.file).text;
            assert!(file.get(label.span.range()).is_some(), "seed {seed}: {label:?}\n{text}");
        }
        assert!(render(&diagnostics, &sources, Style::Plain).len() < 1 << 20, "seed {seed}");
        let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
        assert_eq!(module.is_some(), errors == 0, "seed {seed}\n{text}");
        if let Some(module) = &module {
            if let Err(bug) = verify_module(module) {
                panic!("seed {seed}: {bug}\n{}\n{text}", bug.ir);
            }
            let printed = print(module);
            let read = parse(&printed).map(|module| print(&module));
            assert_eq!(read.as_deref().ok(), Some(printed.as_str()), "seed {seed}\n{text}");
        }
        if tilec_syntax::parse(id, &text).1.is_empty() {
            let once = tilec_syntax::format(&text)
                .unwrap_or_else(|e| panic!("seed {seed}: {e:?}\n{text}"));
            let twice = tilec_syntax::format(&once)
                .unwrap_or_else(|e| panic!("seed {seed}: {e:?}\n{once}"));
            assert_eq!(once, twice, "seed {seed}: not the same again\n{text}");
        }
        if let Ok(mut tally) = tally.lock() {
            *tally.entry(if errors == 0 { "right" } else { "wrong" }).or_insert(0_u64) += 1;
        }
    });
    let tally = tally.into_inner().unwrap_or_default();
    println!("{tally:?}");
    assert!(tally.values().all(|&n| n * 20 > cases()), "{tally:?}: one kind is hardly tried");
}

#[test]
fn fuzz_ir_texts() {
    let mut texts = Vec::new();
    for file in tilec_kernels::FILES {
        let mut sources = Sources::default();
        let id = sources.add(file.name, file.text);
        texts.extend(lower(id, &mut sources, &Library).0.map(|module| print(&module)));
    }
    let extra: Vec<&str> =
        texts.iter().flat_map(|text| words(text)).chain(WORDS.iter().copied()).collect();
    let seeds: Vec<Vec<&str>> = texts.iter().map(|text| words(text)).collect();
    each_seed(|seed| {
        let text = mutated(&mut Random(seed), &seeds, &extra);
        let Ok(module) = parse(&text) else { return };
        // What reads may be wrong; the verifier says so and does not fall over it.
        let sound = verify_module(&module).is_ok();
        let printed = print(&module);
        if sound {
            let again = parse(&printed).map(|module| print(&module));
            assert_eq!(again.as_deref().ok(), Some(printed.as_str()), "seed {seed}");
        }
    });
}
