//! Plots as SVG, for a page whose style sheet has the colours.

use std::fmt::Write;

use super::html::escape;

/// Sizes in units of the view box.
const WIDTH: f64 = 1176.0;
const LABELS: f64 = 440.0;
const VALUES: f64 = 90.0;
const ROW: f64 = 20.0;
const BAR: f64 = 12.0;
const AXIS: f64 = 24.0;

/// Characters of a label that fit.
const LABEL_CHARS: usize = 66;

/// A bar: how long, and between which ends its tenth and ninetieth percentiles lie.
pub struct Bar {
    /// What it stands for.
    pub label: String,
    /// Its length.
    pub value: f64,
    /// The same by the slow and the fast tenth.
    pub spread: Option<(f64, f64)>,
    /// As written behind it.
    pub text: String,
}

/// Horizontal bars from 0, with lines at round numbers.
pub fn bars(title: &str, unit: &str, bars: &[Bar]) -> String {
    let high = |bar: &Bar| bar.spread.map_or(bar.value, |(_, high)| high.max(bar.value));
    let largest = bars.iter().map(high).fold(0.0, f64::max);
    let step = round_step(largest);
    let end = (largest / step).ceil().max(1.0) * step;
    let height = bars.len() as f64 * ROW + AXIS;
    let x = |value: f64| LABELS + (WIDTH - LABELS - VALUES) * (value / end).clamp(0.0, 1.0);
    let mut svg = open(title, height);
    let bottom = height - AXIS;
    for n in 0..=(end / step).round() as u32 {
        let value = f64::from(n) * step;
        let (at, class) = (x(value), if n == 0 { "axis" } else { "grid" });
        line(&mut svg, class, (at, 0.0), (at, bottom));
        let label = if n == 0 { "0".to_owned() } else { format!("{} {unit}", plain(value)) };
        text(&mut svg, "tick", "middle", (at, bottom + 16.0), &label);
    }
    for (number, bar) in bars.iter().enumerate() {
        let top = number as f64 * ROW;
        let middle = top + ROW / 2.0;
        let (from, to) = (LABELS, x(bar.value));
        let _ = write!(svg, "<g><title>{}: {}</title>", escape(&bar.label), escape(&bar.text));
        text(&mut svg, "label", "end", (LABELS - 10.0, middle + 4.0), &short(&bar.label));
        let (y, width) = (middle - BAR / 2.0, (to - from).max(0.5));
        let _ = write!(
            svg,
            r#"<rect class="bar" x="{from:.1}" y="{y:.1}" width="{width:.1}" height="{BAR:.0}" rx="1.5"/>"#
        );
        if let Some((low, high)) = bar.spread {
            line(&mut svg, "spread", (x(low), middle), (x(high), middle));
        }
        let behind = bar.spread.map_or(to, |(_, high)| x(high).max(to)) + 8.0;
        text(&mut svg, "value", "start", (behind, middle + 4.0), &bar.text);
        svg.push_str("</g>\n");
    }
    svg + "</svg>\n"
}

/// One bar of parts, each with its class, name and share.
pub fn strip(title: &str, parts: &[(&str, usize)]) -> String {
    const HEIGHT: f64 = 14.0;
    let all: usize = parts.iter().map(|(_, n)| n).sum();
    let mut svg = open(title, HEIGHT + 22.0);
    let (mut at, mut label_at) = (0.0f64, 0.0f64);
    for (name, n) in parts.iter().filter(|(_, n)| *n > 0) {
        let width = WIDTH * *n as f64 / all.max(1) as f64;
        let shown = (width - 2.0).max(1.0);
        let _ = write!(
            svg,
            r#"<rect class="{name}" x="{at:.1}" y="0" width="{shown:.1}" height="{HEIGHT}" rx="1.5"/>"#
        );
        // A narrow part's label stands behind the one before.
        let label = format!("{n} {name}");
        let start = label_at.max(at);
        text(&mut svg, "tick", "start", (start, HEIGHT + 16.0), &label);
        label_at = start + label.len() as f64 * 7.0 + 14.0;
        at += width;
    }
    svg + "</svg>\n"
}

fn open(title: &str, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 {WIDTH} {height}\">\
         <title>{}</title>\n",
        escape(title)
    )
}

fn line(svg: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ = write!(
        svg,
        r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
    );
}

fn text(svg: &mut String, class: &str, anchor: &str, at: (f64, f64), words: &str) {
    let ((x, y), words) = (at, escape(words));
    let _ = write!(
        svg,
        r#"<text class="{class}" text-anchor="{anchor}" x="{x:.1}" y="{y:.1}">{words}</text>"#
    );
}

/// 1, 2 or 5 times a power of ten, of which `largest` has two to five.
fn round_step(largest: f64) -> f64 {
    if largest <= 0.0 || !largest.is_finite() {
        return 1.0;
    }
    let power = 10f64.powf((largest / 2.0).log10().floor());
    let fits = [5.0, 2.0, 1.0].into_iter().find(|step| step * power * 2.0 <= largest);
    fits.unwrap_or(1.0) * power
}

fn plain(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The end of a long label: that is where rows differ.
fn short(label: &str) -> String {
    let count = label.chars().count();
    match count.checked_sub(LABEL_CHARS) {
        None | Some(0) => label.to_owned(),
        Some(over) => format!("…{}", label.chars().skip(over + 1).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        let of = |largest| round_step(largest);
        assert_eq!([of(9.0), of(10.0), of(45.0), of(0.0)], [2.0, 5.0, 20.0, 1.0]);
        assert!((of(0.037) - 0.01).abs() < 1e-12);
    }

    #[test]
    fn long_labels_keep_their_end() {
        let label = "x".repeat(80) + "end";
        assert!(short(&label).starts_with('…') && short(&label).ends_with("xend"));
        assert_eq!(short(&label).chars().count(), LABEL_CHARS);
        assert_eq!(short("row"), "row");
    }
}
