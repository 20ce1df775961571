//! Sums over the digits of a layout: what the thread adds, once, and what each register adds, as a constant.

use tilec_ir::Axis;
use tilec_layout::{Layout, Part, Place, WARP};

use super::emit::Emitter;

/// A linear function of the element at a position.
#[derive(Clone, Debug)]
pub struct Sum {
    /// What lane and warp add: an `i32` of the entry block.
    pub thread: String,
    /// What each register adds.
    pub registers: Vec<i64>,
    /// Greatest and least of `thread`.
    pub range: (i64, i64),
}

/// Digits of one place with what one step of each is worth in the number they are digits of.
pub fn digits(layout: &Layout<Axis>, place: Place) -> Vec<(u32, Part<Axis>)> {
    let mut weight = 1;
    let parts = layout.parts(place).iter();
    parts
        .map(|part| {
            let mine = weight;
            weight *= part.extent;
            (mine, *part)
        })
        .collect()
}

/// What each register adds to a sum of coordinates.
pub fn register_sums(layout: &Layout<Axis>, weight: impl Fn(Axis) -> i64) -> Vec<i64> {
    let mut table = vec![0];
    for part in layout.parts(Place::Register) {
        let step = part.along.map_or(0, |(axis, stride)| weight(axis) * i64::from(stride));
        table = (0..i64::from(part.extent))
            .flat_map(|digit| table.iter().map(move |at| at + digit * step))
            .collect();
    }
    table
}

impl Emitter<'_> {
    /// A special register, by the name that PTX has for it without the percent sign.
    pub fn special(&mut self, name: &str) -> String {
        if self.text.is_late() {
            // Opaque, so that it is read again.
            let again = self
                .text
                .early(format_args!("call i32 asm sideeffect \"mov.u32 $0, %{name};\", \"=r\"()"));
            return self.text.anew(&again);
        }
        self.text.early_call("i32", &format!("llvm.nvvm.read.ptx.sreg.{name}"), &[])
    }

    /// The thread's number in its CTA.
    pub fn tid(&mut self) -> String {
        self.special("tid.x")
    }

    /// Its number in its warp.
    pub fn lane(&mut self) -> String {
        let tid = self.tid();
        self.text.early(format_args!("and i32 {tid}, 31"))
    }

    /// The number of its warp.
    pub fn warp(&mut self) -> String {
        let tid = self.tid();
        if self.program.warps == 1 {
            return "0".to_string();
        }
        self.text.early(format_args!("lshr i32 {tid}, 5"))
    }

    /// One digit of the lane or warp number.
    pub fn digit(&mut self, place: Place, weight: u32, extent: u32) -> String {
        let (number, count) = match place {
            Place::Lane => (self.lane(), WARP),
            Place::Warp | Place::Register => (self.warp(), self.program.warps),
        };
        if extent == 1 {
            return "0".to_string();
        }
        let mut digit = number;
        if weight > 1 {
            digit = self.text.early(format_args!("udiv i32 {digit}, {weight}"));
        }
        if weight * extent < count {
            digit = self.text.early(format_args!("urem i32 {digit}, {extent}"));
        }
        digit
    }

    /// The sum of coordinates, each times its weight.
    pub fn sum(&mut self, layout: &Layout<Axis>, weight: impl Fn(Axis) -> i64) -> Sum {
        let mut thread = String::from("0");
        let mut range = (0, 0);
        for place in [Place::Lane, Place::Warp] {
            for (worth, part) in digits(layout, place) {
                let step = part.along.map_or(0, |(axis, stride)| weight(axis) * i64::from(stride));
                if step == 0 || part.extent == 1 {
                    continue;
                }
                let most = step * i64::from(part.extent - 1);
                range = (range.0 + most.min(0), range.1 + most.max(0));
                let digit = self.digit(place, worth, part.extent);
                let term = match step {
                    1 => digit,
                    _ => self.text.early(format_args!("mul i32 {digit}, {step}")),
                };
                thread = match thread.as_str() {
                    "0" => term,
                    _ => self.text.early(format_args!("add i32 {thread}, {term}")),
                };
            }
        }
        Sum { thread, registers: register_sums(layout, weight), range }
    }

    /// Whether this thread is the first of those that hold the same elements: an `i1` of the entry block, or `None`
    /// where each holds its own.
    pub fn first_copy(&mut self, layout: &Layout<Axis>) -> Option<String> {
        let mut conditions = Vec::new();
        for (place, count) in [(Place::Lane, WARP), (Place::Warp, self.program.warps)] {
            let covered = layout.count(place);
            for (worth, part) in digits(layout, place) {
                if part.along.is_none() {
                    let digit = self.digit(place, worth, part.extent);
                    conditions.push(self.text.early(format_args!("icmp eq i32 {digit}, 0")));
                }
            }
            if covered < count {
                let number = if place == Place::Lane { self.lane() } else { self.warp() };
                conditions.push(self.text.early(format_args!("icmp ult i32 {number}, {covered}")));
            }
        }
        conditions.into_iter().reduce(|a, b| self.text.early(format_args!("and i1 {a}, {b}")))
    }

    /// A bit for each lane, of which this lane's is taken: an `i32` of the entry block, 0 or 1.
    pub fn lane_bit(&mut self, bits: u32) -> String {
        match bits {
            0 => return "0".to_string(),
            u32::MAX => return "1".to_string(),
            _ => {}
        }
        let lane = self.lane();
        let bits = bits as i32;
        let shifted = self.text.early(format_args!("lshr i32 {bits}, {lane}"));
        self.text.early(format_args!("and i32 {shifted}, 1"))
    }
}
