//! Arithmetic between the products that want it.
//!
//! A tile is written whole, register by register: all exponentials, then all roundings. The product of matrices that takes
//! it needs one fragment at a time. So what only a later fragment needs is held back until its products come: exponentials
//! then run beside products in the same warp, and fewer numbers are alive at once.

use std::collections::BTreeMap;

use super::text::Line;

/// Lines held back, by the step before which they come.
pub type HeldBack = BTreeMap<usize, Vec<Line>>;

/// Takes from the end of `lines` what no step before a later one needs. `wanted` says which names each step takes.
pub fn hold_back(lines: &mut Vec<Line>, wanted: &[(usize, Vec<String>)]) -> HeldBack {
    let first = lines.iter().rposition(|line| line.ends_block).map_or(0, |at| at + 1);
    let mut needed: BTreeMap<&str, usize> = BTreeMap::new();
    for (step, names) in wanted {
        for name in names {
            let at = needed.entry(name.trim_start_matches('%')).or_insert(*step);
            *at = (*at).min(*step);
        }
    }
    // From the last: when a line's result is needed, so are its operands.
    let mut steps: Vec<Option<usize>> = vec![None; lines.len() - first];
    for (line, step) in lines[first..].iter().zip(&mut steps).rev() {
        *step = match line.pure_result() {
            Some(name) => needed.get(name).copied(),
            None => Some(0),
        };
        let Some(step) = *step else { continue };
        for name in line.operands() {
            let at = needed.entry(name).or_insert(step);
            *at = (*at).min(step);
        }
    }
    // What nobody needs yet follows its operands.
    let mut made: BTreeMap<String, usize> = BTreeMap::new();
    let mut held = HeldBack::new();
    let tail = lines.split_off(first);
    for (line, step) in tail.into_iter().zip(steps) {
        let after = || line.operands().filter_map(|name| made.get(name)).max().copied();
        let step = step.or_else(after).unwrap_or(0);
        if let Some(name) = line.pure_result().filter(|_| step > 0) {
            made.insert(name.to_string(), step);
        }
        match step {
            0 => lines.push(line),
            _ => held.entry(step).or_default().push(line),
        }
    }
    held
}

#[cfg(test)]
mod tests {
    use crate::nvptx::text::Text;

    fn lines(text: &Text) -> Vec<String> {
        text.body().lines().skip(1).map(|line| line.trim().to_string()).collect()
    }

    #[test]
    fn what_a_later_step_needs_comes_before_it_and_the_rest_stays() {
        let mut text = Text::default();
        text.begin("b0");
        let first = text.def("fadd float %x, %y");
        let second = text.def("fmul float %x, %y");
        let both = text.def(format_args!("fadd float {first}, {second}"));
        let read = text.def("call i32 asm sideeffect \"ld\", \"=r\"()");
        let last = text.def(format_args!("fsub float {second}, %y"));
        let before = lines(&text);
        let mut held = text.hold_back(&[(0, vec![first.clone()]), (4, vec![last.clone()])]);
        assert_eq!(held.keys().copied().collect::<Vec<_>>(), [4]);
        text.resume(held.remove(&4).unwrap());
        let now = lines(&text);
        let place = |name: &str| now.iter().position(|line| line.starts_with(name)).unwrap();
        assert_eq!(now.len(), before.len());
        assert!(place(&first) < place(&read) && place(&read) < place(&second));
        // Nobody asked for it: right after its operands.
        assert!(place(&second) < place(&both) && place(&both) < place(&last));
    }

    #[test]
    fn what_something_else_takes_is_not_moved() {
        let mut text = Text::default();
        let sum = text.def("fadd float %x, %y");
        text.line(format_args!("call void @f(float {sum})"));
        let before = lines(&text);
        assert!(text.hold_back(&[(3, vec![sum])]).is_empty());
        assert_eq!(lines(&text), before);
        // Nor what stands in another block.
        let sum = text.def("fadd float %x, %y");
        text.begin("b1");
        assert!(text.hold_back(&[(3, vec![sum])]).is_empty());
    }
}
