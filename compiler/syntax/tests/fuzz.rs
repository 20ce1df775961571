//! Random and mutated texts: no panic, spans inside the file, formatting stable where there is one.
//! `TILEC_FUZZ_CASES=200000` runs the full number.

use tilec_syntax::ast::Comment;
use tilec_syntax::{format, parse};
use tilec_vocab::FileId;

struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as usize
    }
    fn below(&mut self, n: usize) -> usize {
        self.next() % n.max(1)
    }
}

const SEEDS: &[&str] = &[
    include_str!("../../../kernels/attention/forward.tile"),
    include_str!("../../../kernels/attention/alibi_window.tile"),
    include_str!("../../../kernels/attention/gqa.tile"),
    include_str!("../../../kernels/smoke/layer_norm.tile"),
];

const WORDS: &[&str] = &[
    "use", "const", "fn", "kernel", "spec", "require", "tune", "in", "grid", "by", "let", "var",
    "for", "if", "else", "axis", "return", "over", "as", "or", "and", "not", "true", "inf", "mut",
    "(", ")", "[", "]", "{", "}", ",", ";", ":", "::", "..", "=", "+=", "==", "<", "<=", "+", "-",
    "*", "/", "%", "&", "|", "x", "m", "f32", "dot", "1", "0.5", "&&", "@", "§", "//c\n", "/*c*/",
    "/*", "\n", "\n\n", "\0", "é", "1e9", "1.",
];

fn case(random: &mut Random) -> String {
    if random.below(3) == 0 {
        let count = random.below(60);
        return (0..count).map(|_| WORDS[random.below(WORDS.len())].to_owned() + " ").collect();
    }
    let mut text: Vec<char> = SEEDS[random.below(SEEDS.len())].chars().collect();
    for _ in 0..=random.below(4) {
        let at = random.below(text.len());
        match random.below(4) {
            0 => {
                text.remove(at);
            }
            1 => {
                let end = (at + random.below(40)).min(text.len());
                text.drain(at..end);
            }
            2 => {
                let word = WORDS[random.below(WORDS.len())];
                text.splice(at..at, word.chars());
            }
            _ => {
                let from = random.below(text.len());
                let piece: Vec<char> = text[from..(from + 30).min(text.len())].to_vec();
                text.splice(at..at, piece);
            }
        }
        if text.is_empty() {
            break;
        }
    }
    text.into_iter().collect()
}

/// The words and signs of a text in no order, and its comments. Left out is what a layout may add or
/// leave away: commas, the braces of an import, the words of clauses that become one.
fn words(text: &str, comments: &[Comment]) -> Vec<String> {
    let mut code = text.to_string();
    for comment in comments.iter().rev() {
        code.replace_range(comment.span.range(), " ");
    }
    let mut words = vec![String::new()];
    for c in code.chars() {
        let part_of_word = c.is_alphanumeric() || c == '_' || c == '.';
        if !part_of_word {
            words.push(c.to_string());
            words.push(String::new());
        } else if let Some(word) = words.last_mut() {
            word.push(c);
        }
    }
    let free = ["", ",", "{", "}", "require", "tune"];
    words.retain(|word| !free.contains(&word.trim()));
    words.extend(comments.iter().map(|comment| comment.text.clone()));
    words.sort();
    words
}

#[test]
fn fuzz_parser_and_formatter() {
    let cases = std::env::var("TILEC_FUZZ_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(5000);
    let (mut right, mut wrong) = (0, 0);
    for seed in 0..cases {
        let text = case(&mut Random(seed));
        let (file, diagnostics) = parse(FileId(0), &text);
        for diagnostic in &diagnostics {
            for label in &diagnostic.labels {
                assert!(text.get(label.span.range()).is_some(), "seed {seed}: {diagnostic:?}");
            }
        }
        if !diagnostics.is_empty() {
            wrong += 1;
            continue;
        }
        right += 1;
        let once = format(&text).unwrap_or_else(|e| panic!("seed {seed}: {e:?}"));
        let (again, errors) = parse(FileId(0), &once);
        let (before, after) = (words(&text, &file.comments), words(&once, &again.comments));
        let odd = before.iter().zip(&after).find(|(a, b)| a != b);
        assert!(before == after, "seed {seed}: {odd:?} of\n{text}\n---\n{once}");
        assert!(errors.is_empty(), "seed {seed}: {errors:?}\n{text}\n---\n{once}");
        assert_eq!(again.items.len(), file.items.len(), "seed {seed}");
        let twice = format(&once).unwrap_or_else(|e| panic!("seed {seed}: {e:?}"));
        assert_eq!(twice, once, "seed {seed}: not idempotent");
    }
    println!("{right} right, {wrong} wrong");
    assert!(right > 0 && wrong > 0);
}
