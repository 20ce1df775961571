//! Squares of 16 by 16 elements turned in registers, four steps of sixteen two-operand shuffles each, none of which
//! needs more than one instruction of AVX-512.

use super::emit::Emitter;

impl Emitter<'_> {
    /// Column `n` of the result is row `n`; elements of 32 bits, 16 rows of 16.
    pub fn transposed(&mut self, lane: &str, rows: &[String]) -> Vec<String> {
        // Within each part of 128 bits: pairs, then fours.
        let low = within_parts(&[0, 16, 1, 17]);
        let high = within_parts(&[2, 18, 3, 19]);
        let pairs: Vec<String> = rows
            .chunks(2)
            .flat_map(|two| [&low, &high].map(|order| self.shuffled(lane, &two[0], &two[1], order)))
            .collect();
        let low = within_parts(&[0, 1, 16, 17]);
        let high = within_parts(&[2, 3, 18, 19]);
        let mut fours = Vec::new();
        for four in pairs.chunks(4) {
            for (a, b) in [(0, 2), (1, 3)] {
                for order in [&low, &high] {
                    fours.push(self.shuffled(lane, &four[a], &four[b], order));
                }
            }
        }
        // Part p of `fours[4 * g + c]` is column 4 * p + c of rows 4 * g on. Then parts, even and odd ones, twice.
        let even = parts(&[0, 2, 4, 6]);
        let odd = parts(&[1, 3, 5, 7]);
        let mut columns = vec![String::new(); 16];
        for c in 0..4 {
            for (first, order) in [(0, &even), (1, &odd)] {
                let upper = self.shuffled(lane, &fours[c], &fours[4 + c], order);
                let lower = self.shuffled(lane, &fours[8 + c], &fours[12 + c], order);
                columns[4 * first + c] = self.shuffled(lane, &upper, &lower, &even);
                columns[4 * (first + 2) + c] = self.shuffled(lane, &upper, &lower, &odd);
            }
        }
        columns
    }

    /// 16 bf16 each from two places, lane by lane.
    pub fn interleaved(&mut self, places: [&String; 2]) -> String {
        let [even, odd] =
            places.map(|at| self.text.def(format_args!("load <16 x i16>, ptr {at}, align 2")));
        let order: Vec<String> =
            (0..16).flat_map(|n| [format!("i32 {n}"), format!("i32 {}", n + 16)]).collect();
        let pairs = self.text.def(format_args!(
            "shufflevector <16 x i16> {even}, <16 x i16> {odd}, <32 x i32> <{}>",
            order.join(", ")
        ));
        self.text.def(format_args!("bitcast <32 x i16> {pairs} to <16 x i32>"))
    }

    /// 32 bf16 each from two places, lane by lane: the lower and upper 16 lanes, or, which is cheaper, the lower and upper
    /// four of each eight.
    pub fn interleaved_wide(&mut self, places: [&String; 2], in_order: bool) -> [String; 2] {
        let [even, odd] =
            places.map(|at| self.text.def(format_args!("load <32 x i16>, ptr {at}, align 2")));
        let [low, high] = [0, 4].map(|from| {
            let part = |part: usize| {
                (0..4).flat_map(move |n| [8 * part + from + n, 32 + 8 * part + from + n])
            };
            let order: Vec<String> = (0..4).flat_map(part).map(|n| format!("i32 {n}")).collect();
            let pairs = self.text.def(format_args!(
                "shufflevector <32 x i16> {even}, <32 x i16> {odd}, <32 x i32> <{}>",
                order.join(", ")
            ));
            self.text.def(format_args!("bitcast <32 x i16> {pairs} to <16 x i32>"))
        });
        if !in_order {
            return [low, high];
        }
        [[0, 4, 1, 5], [2, 6, 3, 7]].map(|order| self.shuffled("i32", &low, &high, &parts(&order)))
    }

    fn shuffled(&mut self, lane: &str, a: &str, b: &str, order: &[usize]) -> String {
        let order: Vec<String> = order.iter().map(|n| format!("i32 {n}")).collect();
        self.text.def(format_args!(
            "shufflevector <16 x {lane}> {a}, <16 x {lane}> {b}, <16 x i32> <{}>",
            order.join(", ")
        ))
    }
}

/// The same order of elements in each part of 128 bits.
fn within_parts(order: &[usize]) -> Vec<usize> {
    (0..4).flat_map(|part| order.iter().map(move |n| n + 4 * part)).collect()
}

/// Whole parts of 128 bits, of two vectors of four.
fn parts(order: &[usize]) -> Vec<usize> {
    order.iter().flat_map(|part| (0..4).map(move |n| 4 * part + n)).collect()
}
