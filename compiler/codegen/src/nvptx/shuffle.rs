//! Exchanges between the lanes of a warp.

use tilec_layout::{Shuffles, Source};
use tilec_vocab::DType;

use super::emit::Emitter;
use super::value::{Tile, is_half, llvm_type, pair_type};

/// All lanes take part.
const ALL_LANES: &str = "-1";
/// No segments, no bound.
const WHOLE_WARP: &str = "31";

impl Emitter<'_> {
    /// The value of lane `l ^ mask`.
    pub fn other_lane(&mut self, elem: DType, x: &str, mask: u32) -> String {
        let mask = mask.to_string();
        let words = self.words_of(elem, x);
        let got = words
            .iter()
            .map(|word| {
                let args = [
                    ("i32", ALL_LANES),
                    ("i32", word.as_str()),
                    ("i32", &mask),
                    ("i32", WHOLE_WARP),
                ];
                self.text.meet("i32", "llvm.nvvm.shfl.sync.bfly.i32", &args)
            })
            .collect::<Vec<_>>();
        self.of_words(elem, &got)
    }

    /// A value as words of 32 bits.
    pub fn words_of(&mut self, elem: DType, x: &str) -> Vec<String> {
        let text = &mut self.text;
        match elem {
            DType::Bool => vec![text.def(format_args!("zext i1 {x} to i32"))],
            DType::I32 => vec![x.to_string()],
            DType::F32 => vec![text.def(format_args!("bitcast float {x} to i32"))],
            DType::F16 | DType::BF16 => {
                let bits = text.def(format_args!("bitcast {} {x} to i16", llvm_type(elem)));
                vec![text.def(format_args!("zext i16 {bits} to i32"))]
            }
            DType::I64 => {
                let low = text.def(format_args!("trunc i64 {x} to i32"));
                let high = text.def(format_args!("lshr i64 {x}, 32"));
                let high = text.def(format_args!("trunc i64 {high} to i32"));
                vec![low, high]
            }
        }
    }

    /// The inverse of [`Emitter::words_of`].
    pub fn of_words(&mut self, elem: DType, words: &[String]) -> String {
        let (text, word) = (&mut self.text, &words[0]);
        match elem {
            DType::Bool => text.def(format_args!("icmp ne i32 {word}, 0")),
            DType::I32 => word.clone(),
            DType::F32 => text.def(format_args!("bitcast i32 {word} to float")),
            DType::F16 | DType::BF16 => {
                let bits = text.def(format_args!("trunc i32 {word} to i16"));
                text.def(format_args!("bitcast i16 {bits} to {}", llvm_type(elem)))
            }
            DType::I64 => {
                let low = text.def(format_args!("zext i32 {word} to i64"));
                let high = text.def(format_args!("zext i32 {} to i64", words[1]));
                let high = text.def(format_args!("shl i64 {high}, 32"));
                text.def(format_args!("or i64 {high}, {low}"))
            }
        }
    }

    /// Moves elements between lanes by a schedule.
    pub fn shuffle(&mut self, tile: &Tile, elem: DType, plan: &Shuffles, registers: usize) -> Tile {
        let own = self.shuffled_words(tile, elem, plan.packed);
        let mut steps: Vec<Vec<String>> = Vec::new();
        for step in &plan.steps {
            let offer = self.by_lane(&step.offer, |word| own[*word as usize].clone());
            let from = self.lane_table(&step.from);
            let got = offer
                .iter()
                .map(|word| {
                    let args = [
                        ("i32", ALL_LANES),
                        ("i32", word.as_str()),
                        ("i32", from.as_str()),
                        ("i32", WHOLE_WARP),
                    ];
                    self.text.meet("i32", "llvm.nvvm.shfl.sync.idx.i32", &args)
                })
                .collect();
            steps.push(got);
        }
        let words: Vec<Vec<String>> = plan
            .result
            .iter()
            .map(|lanes| {
                self.by_lane(lanes, |source| match source {
                    Source::Own(word) => own[*word as usize].clone(),
                    Source::Step(step) => steps[*step as usize].clone(),
                })
            })
            .collect();
        self.unshuffled(&words, elem, plan.packed, registers)
    }

    /// What the table says for this lane: selects between its different entries.
    fn by_lane<T: PartialEq>(
        &mut self,
        table: &[T],
        words: impl Fn(&T) -> Vec<String>,
    ) -> Vec<String> {
        let mut entries: Vec<&T> = Vec::new();
        for entry in table {
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
        let mut out = words(entries[0]);
        for entry in &entries[1..] {
            let lanes = table
                .iter()
                .enumerate()
                .filter(|(_, other)| other == entry)
                .fold(0u32, |bits, (lane, _)| bits | 1 << lane);
            let bit = self.lane_bit(lanes);
            let here = self.text.early(format_args!("icmp ne i32 {bit}, 0"));
            for (so_far, word) in out.iter_mut().zip(words(entry)) {
                *so_far = self.text.def(format_args!("select i1 {here}, i32 {word}, i32 {so_far}"));
            }
        }
        out
    }

    /// A number below 32 for each lane, bit by bit; where it is the lane's own with some bits flipped, by one XOR.
    fn lane_table(&mut self, table: &[u32]) -> String {
        let flipped = table[0];
        let lane = self.lane();
        if table.iter().zip(0..).all(|(entry, lane)| *entry == lane ^ flipped) {
            return self.text.early(format_args!("xor i32 {lane}, {flipped}"));
        }
        let mut sum = String::from("0");
        for bit in 0..5 {
            let lanes = table
                .iter()
                .enumerate()
                .fold(0u32, |bits, (lane, entry)| bits | (entry >> bit & 1) << lane);
            let set = self.lane_bit(lanes);
            let term = self.text.early(format_args!("shl i32 {set}, {bit}"));
            sum = self.text.early(format_args!("or i32 {sum}, {term}"));
        }
        sum
    }

    /// The words that a schedule moves, each as 32-bit parts.
    fn shuffled_words(&mut self, tile: &Tile, elem: DType, packed: u32) -> Vec<Vec<String>> {
        let packed = packed as usize;
        if is_half(elem) && packed == 2 && tile.packed {
            let pair = pair_type(elem);
            return tile
                .words
                .iter()
                .map(|word| vec![self.text.def(format_args!("bitcast {pair} {word} to i32"))])
                .collect();
        }
        let bits = 32 / packed;
        let registers: Vec<usize> = (0..tile.len()).collect();
        registers
            .chunks(packed)
            .map(|word| {
                let parts: Vec<Vec<String>> = word
                    .iter()
                    .map(|register| {
                        let one = tile.register(&mut self.text, elem, *register);
                        self.words_of(elem, &one)
                    })
                    .collect();
                if packed == 1 {
                    return parts.into_iter().next().unwrap_or_default();
                }
                let mut all = parts[0][0].clone();
                for (at, part) in parts.iter().enumerate().skip(1) {
                    let moved = self.text.def(format_args!("shl i32 {}, {}", part[0], at * bits));
                    all = self.text.def(format_args!("or i32 {all}, {moved}"));
                }
                vec![all]
            })
            .collect()
    }

    /// The inverse of [`Emitter::shuffled_words`].
    fn unshuffled(
        &mut self,
        words: &[Vec<String>],
        elem: DType,
        packed: u32,
        registers: usize,
    ) -> Tile {
        let packed = packed as usize;
        if is_half(elem) && packed == 2 && Tile::packs(elem, registers) {
            let pair = pair_type(elem);
            let words = words
                .iter()
                .map(|word| self.text.def(format_args!("bitcast i32 {} to {pair}", word[0])))
                .collect();
            return Tile { words, packed: true };
        }
        let bits = 32 / packed;
        let mut out = Vec::with_capacity(registers);
        for word in words {
            for at in 0..packed {
                let part = match packed {
                    1 => word.clone(),
                    _ => {
                        let moved =
                            self.text.def(format_args!("lshr i32 {}, {}", word[0], at * bits));
                        let mask = (1u64 << bits) - 1;
                        vec![self.text.def(format_args!("and i32 {moved}, {mask}"))]
                    }
                };
                out.push(self.of_words(elem, &part));
            }
        }
        Tile::of(&mut self.text, elem, out)
    }
}
