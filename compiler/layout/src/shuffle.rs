//! Conversions inside a warp: a schedule of `shfl.sync.idx`.
//!
//! In one step each lane offers one register and reads the offer of one lane. Where lanes must
//! offer different registers in a step, or keep what they got in different registers, selects
//! choose. Each transfer goes into the first step in which its sender and receiver are free; what
//! may share a step is tried in three ways, from all lanes offering the same register, so that
//! nothing is selected before a step, to anything, so that steps are few. The cheapest is taken.
//!
//! The accumulator of `m16n8k8` as its tf32 operand A (rows `g`, columns `2t, 2t + 1` to `t, t + 4`)
//! takes two steps for each row, where each lane keeps what it has (column 0 in lane 0, 7 in 3):
//!
//! ```text
//! step 0   lanes 0 to 3 offer columns 1 2 4 .   lane 1 gets 1, lane 2 gets 2, lane 0 gets 4
//! step 1   they offer                 . 3 5 6   lane 3 gets 3, lane 1 gets 5, lane 2 gets 6
//! ```
//!
//! # Source
//! PTX ISA, "Data Movement and Conversion Instructions: shfl.sync".

use std::collections::BTreeMap;

use crate::convert::Cost;
use crate::layout::{Layout, WARP};

/// One `shfl.sync.idx`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The word that each lane offers.
    pub offer: Vec<u32>,
    /// The lane that each lane reads.
    pub from: Vec<u32>,
}

/// Where a word of the result comes from, in one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A word that the lane has.
    Own(u32),
    /// What it got in a step.
    Step(u32),
}

/// A conversion by shuffles, the same in every warp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shuffles {
    /// Elements that move together: word `i` is registers `i * packed` on.
    pub packed: u32,
    /// Bytes of an element.
    pub elem_bytes: u32,
    /// The steps.
    pub steps: Vec<Step>,
    /// For each word of the result, its source lane by lane.
    pub result: Vec<Vec<Source>>,
}

impl Shuffles {
    /// The cheaper schedule between two layouts of one tile over full warps; none if elements must
    /// cross warps.
    pub fn between<A: Copy + Ord>(
        from: &Layout<A>,
        to: &Layout<A>,
        elem_bytes: u32,
    ) -> Option<Shuffles> {
        let ([have, have_lanes, have_warps], [want, want_lanes, want_warps]) =
            (from.tables(), to.tables());
        // Layouts are additive, so what holds in warp 0 holds in all, moved along.
        if have_warps != want_warps {
            return None;
        }
        let packed = (4 / elem_bytes).max(1);
        let transfers = |packed: u32| {
            let starts = |table: &[u32]| -> Option<Vec<u32>> {
                let offsets = table.get(..packed as usize)?;
                let aligned = table.chunks(packed as usize).all(|word| {
                    word.iter().zip(offsets).all(|(at, offset)| *at == word[0] + offset)
                });
                aligned.then(|| table.iter().step_by(packed as usize).copied().collect())
            };
            let n = packed as usize;
            let whole = have.len() % n == 0 && want.len() % n == 0;
            if !whole || have.get(..n)? != want.get(..n)? {
                return None;
            }
            sources(&starts(&have)?, &have_lanes, &starts(&want)?, &want_lanes)
        };
        let (packed, sources) = match transfers(packed) {
            Some(found) => (packed, found),
            None => (1, transfers(1)?),
        };
        Offers::ALL
            .into_iter()
            .map(|offers| schedule(&sources, offers))
            .map(|(steps, result)| Shuffles { packed, elem_bytes, steps, result })
            .min_by_key(|plan| plan.cost().weight())
    }

    /// Shuffles, selects, and the taking apart and putting together of packed words.
    pub fn cost(&self) -> Cost {
        let registers = (self.elem_bytes / 4).max(1);
        let shuffles = self.steps.len() as u32;
        let before: u32 = self.steps.iter().map(|step| distinct(&step.offer) - 1).sum();
        let after: u32 = self.result.iter().map(|lanes| distinct(lanes) - 1).sum();
        let splits = if self.packed * self.elem_bytes < 4 { self.result.len() as u32 } else { 0 };
        Cost {
            instructions: (shuffles + before + after) * registers + splits,
            wavefronts: shuffles * registers,
            barriers: 0,
        }
    }
}

fn distinct<T: Copy + Ord>(values: &[T]) -> u32 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.len() as u32
}

/// Who has a word of the result: `(lane, word)`.
type Holder = (u32, u32);

/// For each word of the result and each lane, a lane that has it: itself if it can be, else the
/// nearest by XOR.
fn sources(
    have: &[u32],
    have_lanes: &[u32],
    want: &[u32],
    want_lanes: &[u32],
) -> Option<Vec<Vec<Holder>>> {
    let mut holders: BTreeMap<u32, Vec<Holder>> = BTreeMap::new();
    for (lane, lane_at) in (0..).zip(have_lanes) {
        for (word, word_at) in (0..).zip(have) {
            holders.entry(lane_at + word_at).or_default().push((lane, word));
        }
    }
    want.iter()
        .map(|word_at| {
            (0..)
                .zip(want_lanes)
                .map(|(lane, lane_at): (u32, &u32)| {
                    let all = holders.get(&(lane_at + word_at))?;
                    all.iter().copied().min_by_key(|(other, _)| other ^ lane)
                })
                .collect()
        })
        .collect()
}

/// A step in the making: `None` where a lane's part is still open.
struct Draft {
    /// The class of the words it offers.
    class: u32,
    offer: Vec<Option<u32>>,
    from: Vec<Option<u32>>,
}

impl Draft {
    fn new(class: u32) -> Draft {
        let open = vec![None; WARP as usize];
        Draft { class, offer: open.clone(), from: open }
    }

    /// Takes the transfer if sender and receiver are free for it.
    fn take(&mut self, lane: u32, (other, word): Holder) -> bool {
        let (offer, from) = (self.offer[other as usize], self.from[lane as usize]);
        let fits = offer.is_none_or(|w| w == word) && from.is_none_or(|o| o == other);
        if fits {
            self.offer[other as usize] = Some(word);
            self.from[lane as usize] = Some(other);
        }
        fits
    }

    /// Lanes that nobody reads offer what another offers, so that nothing is selected for them.
    fn finish(self) -> Step {
        let any = self.offer.iter().flatten().next().copied().unwrap_or(0);
        let offer = self.offer.iter().map(|word| word.unwrap_or(any)).collect();
        let from = (0..).zip(&self.from).map(|(lane, from)| from.unwrap_or(lane)).collect();
        Step { offer, from }
    }
}

/// How words are offered in a step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Offers {
    /// All lanes the same.
    Uniform,
    /// Each lane its own, of those that share a word of the result, directly or through others.
    Related,
    /// Each lane its own.
    Any,
}

impl Offers {
    const ALL: [Offers; 3] = [Offers::Uniform, Offers::Related, Offers::Any];

    /// For each source word, the name of the words it may share a step with.
    fn classes(self, sources: &[Vec<Holder>]) -> BTreeMap<u32, u32> {
        let words = || sources.iter().flatten().map(|(_, word)| *word);
        match self {
            Offers::Uniform => words().map(|word| (word, word)).collect(),
            Offers::Any => words().map(|word| (word, 0)).collect(),
            Offers::Related => {
                let mut class: BTreeMap<u32, u32> = words().map(|word| (word, word)).collect();
                for lanes in sources {
                    let mine: Vec<u32> = lanes.iter().map(|(_, word)| class[word]).collect();
                    let least = mine.iter().copied().min().unwrap_or(0);
                    for name in class.values_mut().filter(|name| mine.contains(name)) {
                        *name = least;
                    }
                }
                class
            }
        }
    }
}

/// Puts every transfer into the first step that takes it.
fn schedule(sources: &[Vec<Holder>], offers: Offers) -> (Vec<Step>, Vec<Vec<Source>>) {
    let classes = offers.classes(sources);
    let mut drafts: Vec<Draft> = Vec::new();
    let mut result = Vec::new();
    for lanes in sources {
        let mut words = Vec::new();
        for (lane, &holder) in (0..).zip(lanes) {
            if holder.0 == lane {
                words.push(Source::Own(holder.1));
                continue;
            }
            let class = classes[&holder.1];
            let open = drafts
                .iter_mut()
                .position(|draft| draft.class == class && draft.take(lane, holder));
            let step = open.unwrap_or_else(|| {
                let mut draft = Draft::new(class);
                draft.take(lane, holder);
                drafts.push(draft);
                drafts.len() - 1
            });
            words.push(Source::Step(step as u32));
        }
        result.push(words);
    }
    (drafts.into_iter().map(Draft::finish).collect(), result)
}
