//! The map of a loop's tiles as an SVG picture: a row for each program, a column for each block.

use std::fmt::Write;

use tilec_driver::Inspection;
use tilec_passes::mask::count::Class;

/// Width and height of the map itself, about.
const SIDE: f64 = 640.0;
/// Room for words.
const MARGIN: f64 = 64.0;

/// Fill colours that differ in lightness too, so that they can be told apart without colour.
fn fill(class: Class) -> (&'static str, &'static str) {
    match class {
        Class::Full => ("#1b7837", "full: no mask"),
        Class::Mixed => ("#fdb863", "mixed: masked"),
        Class::Dead => ("#eeeeee", "dead: not run"),
    }
}

/// The picture of the first loop that could be counted.
///
/// # Errors
///
/// What is missing.
pub fn draw(inspection: &Inspection) -> Result<String, String> {
    let Some(report) = inspection.loops.first() else {
        return Err(format!("kernel `{}` has no loop over blocks to draw", inspection.kernel));
    };
    let counts = report.counts.as_ref().map_err(|unknown| {
        format!("`{unknown}` is not known here, so there is nothing to draw; --shape {unknown}=…")
    })?;
    let rows = counts.rows.len();
    let columns = counts.rows.iter().map(Vec::len).max().unwrap_or(0);
    if rows == 0 || columns == 0 {
        return Err("for this shape there is no block to draw".to_owned());
    }
    let cell = (SIDE / rows.max(columns) as f64).min(32.0);
    let (width, height) = (cell * columns as f64, cell * rows as f64);
    let gap = if cell >= 6.0 { 1.0 } else { 0.0 };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{:.0}\" height=\"{:.0}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        width + 2.0 * MARGIN + 120.0,
        height + 2.0 * MARGIN
    );
    let _ = writeln!(
        svg,
        "<text x=\"{MARGIN}\" y=\"24\" font-size=\"16\">{}: blocks of {} along {} for each program</text>",
        escaped(&inspection.kernel),
        report.block,
        escaped(&report.axis)
    );
    let _ = writeln!(
        svg,
        "<text x=\"{MARGIN}\" y=\"{:.0}\">{} full, {} mixed, {} dead</text>",
        height + MARGIN + 24.0,
        counts.full,
        counts.mixed,
        counts.dead
    );
    for (y, row) in counts.rows.iter().enumerate() {
        // A run of one class is one rectangle where cells have no gaps.
        let mut x = 0;
        while x < row.len() {
            let same = row[x..].iter().take_while(|class| **class == row[x]).count();
            let run = if gap > 0.0 { 1 } else { same };
            let _ = writeln!(
                svg,
                "<rect x=\"{:.2}\" y=\"{:.2}\" width=\"{:.2}\" height=\"{:.2}\" fill=\"{}\"/>",
                MARGIN + cell * x as f64,
                MARGIN - 24.0 + cell * y as f64,
                cell * run as f64 - gap,
                cell - gap,
                fill(row[x]).0
            );
            x += run;
        }
    }
    for (n, class) in [Class::Full, Class::Mixed, Class::Dead].into_iter().enumerate() {
        let (colour, words) = fill(class);
        let (x, y) = (width + MARGIN + 24.0, MARGIN - 24.0 + 24.0 * n as f64);
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.0}\" y=\"{y:.0}\" width=\"14\" height=\"14\" fill=\"{colour}\"/>\
             <text x=\"{:.0}\" y=\"{:.0}\">{words}</text>",
            x + 20.0,
            y + 12.0
        );
    }
    svg += "</svg>\n";
    Ok(svg)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
