//! A page of results: one file that needs nothing else, in light and dark.

use std::fmt::Write;

use super::plot::{self, Bar};
use super::table::{expected, time};
use super::{Report, Row, Stats, Status, roof};

/// Bars of one plot; rows beyond them stand in the table alone.
const MAX_BARS: usize = 120;

/// The page.
pub fn page(reports: &[Report]) -> String {
    let title = match reports {
        [report] => report.suite.clone().unwrap_or_else(|| "benchmark".to_owned()),
        _ => format!("{} suites", reports.len()),
    };
    let mut html = format!(
        "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n<head>\n\
         <meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>tilec bench: {}</title>\n<style>\n{}</style>\n</head>\n<body>\n",
        escape(&title),
        include_str!("report.css")
    );
    let _ = writeln!(html, "<h1>tilec bench</h1>\n<p class=\"soft\">{}</p>", escape(&title));
    if let Some(report) = reports.first() {
        html += &facts(report);
    }
    for report in reports {
        html += &section(report);
    }
    html + "</body>\n</html>\n"
}

/// What is the same for all suites of a run.
fn facts(report: &Report) -> String {
    let units = crate::output::count(report.units, "unit");
    let mut rows = vec![
        ("device", format!("{}, {units}", report.device)),
        ("machine", report.model.clone()),
        ("date", report.date.clone()),
        ("tilec", report.version.to_owned()),
        (
            "times",
            "mean of 3 to 100 launches of each kernel after one that warms up; lines in bars go from the 10th to \
             the 90th percentile"
                .to_owned(),
        ),
        (
            "operations",
            "dots of pairs of lanes that exist and that no mask excludes; a multiply-add is two".to_owned(),
        ),
    ];
    if let Some(gpu) = report.limits_of {
        let text = format!("the least time by the data sheet of {gpu}, by the time there is");
        rows.push(("limits", text));
    }
    let mut html = "<dl>\n".to_owned();
    for (name, value) in rows {
        let _ = writeln!(html, "<dt>{name}</dt><dd>{}</dd>", escape(&value));
    }
    html + "</dl>\n"
}

fn section(report: &Report) -> String {
    let name = report.suite.as_deref().unwrap_or("rows");
    let mut html = format!("<section>\n<h2>{}</h2>\n", escape(name));
    if let Some(about) = &report.about {
        let _ = writeln!(html, "<p>{}</p>", escape(about));
    }
    if let Some(provenance) = &report.provenance {
        let _ = writeln!(html, "<p class=\"soft\">{}</p>", escape(provenance));
    }
    let of = |status: Status| report.rows.iter().filter(|row| row.status == status).count();
    let parts: Vec<(&str, usize)> =
        Status::ALL.iter().map(|&status| (status.name(), of(status))).collect();
    html += &plot::strip(&report.tally(), &parts);
    html += &plots(&report.rows);
    html += "<details open=\"open\"><summary>All rows</summary>\n";
    html += &table(&report.rows);
    html + "</details>\n</section>\n"
}

/// Throughput of the rows that have some, bytes of those that have no operations, instructions of what was counted.
fn plots(rows: &[Row]) -> String {
    let flops = |row: &Row| {
        let flops = row.flops_exact.filter(|&flops| flops > 0)? as f64;
        bar(row, flops, "GFLOP/s")
    };
    let bytes = |row: &Row| {
        let none = row.flops_exact.is_none_or(|flops| flops == 0);
        if none { bar(row, row.bytes? as f64, "GB/s") } else { None }
    };
    let instructions = |row: &Row| {
        let steps = || row.steps.iter().filter_map(|step| step.simulated.as_ref());
        let flops: u64 = steps().filter_map(|counted| counted.flops_exact).sum();
        let value = row.warp_instructions().filter(|_| flops > 0)? as f64 * 1e6 / flops as f64;
        Some(Bar { label: row.row.clone(), value, spread: None, text: format!("{value:.0}") })
    };
    plot_of(rows, "Operations a second", "GFLOP/s", flops)
        + &plot_of(rows, "Bytes a second", "GB/s", bytes)
        + &plot_of(
            rows,
            "Warp instructions for a million operations, fewer is better",
            "",
            instructions,
        )
}

fn plot_of(rows: &[Row], title: &str, unit: &str, bar: impl Fn(&Row) -> Option<Bar>) -> String {
    let all: Vec<Bar> = rows.iter().filter_map(bar).collect();
    if all.is_empty() {
        return String::new();
    }
    let shown = &all[..all.len().min(MAX_BARS)];
    let mut html = format!("<h3>{}</h3>\n", escape(title));
    if shown.len() < all.len() {
        let (shown, all) = (shown.len(), all.len());
        let _ = writeln!(html, "<p class=\"soft\">The first {shown} of {all} rows.</p>");
    }
    html + &plot::bars(title, unit, shown)
}

/// A rate, from a row's times.
fn bar(row: &Row, amount: f64, unit: &str) -> Option<Bar> {
    let stats = row.stats.as_ref()?;
    let rate = |ns: f64| amount / ns.max(1.0);
    let value = rate(stats.mean_ns);
    let spread = Some((rate(stats.p90_ns), rate(stats.p10_ns)));
    Some(Bar { label: row.row.clone(), value, spread, text: format!("{value:.1} {unit}") })
}

/// A column: its head, whether its cells are numbers, and what is in them.
type Column = (&'static str, bool, fn(&Row) -> String);

const COLUMNS: &[Column] = &[
    ("row", false, |row| row.row.clone()),
    ("status", false, |row| row.status.name().to_owned()),
    ("mean", true, |row| of_stats(row, |stats| stats.mean_ns)),
    ("dev", true, |row| of_stats(row, |stats| stats.deviation_ns)),
    ("p10", true, |row| of_stats(row, |stats| stats.p10_ns)),
    ("p90", true, |row| of_stats(row, |stats| stats.p90_ns)),
    ("GFLOP", true, |row| scaled(row.flops_exact, 1e9, 3)),
    ("GFLOP/s", true, |row| row.gflops().map_or(String::new(), |n| format!("{n:.1}"))),
    ("GB/s", true, |row| row.gigabytes().map_or(String::new(), |n| format!("{n:.1}"))),
    ("limits", true, |row| row.limits.map_or(String::new(), |share| roof::show(Some(share)))),
    ("MiB", true, |row| scaled(row.memory_bytes, f64::from(1 << 20), 1)),
    ("modelled", true, |row| row.expected().map_or(String::new(), expected)),
    ("warp instr", true, |row| row.warp_instructions().map_or(String::new(), |n| n.to_string())),
    ("reported", true, |row| row.reported_ms.map_or(String::new(), |ms| time(ms * 1e6))),
    ("remark", false, |row| row.reason.clone().or_else(|| row.note.clone()).unwrap_or_default()),
];

fn of_stats(row: &Row, pick: fn(&Stats) -> f64) -> String {
    row.stats.as_ref().map_or(String::new(), |stats| time(pick(stats)))
}

fn scaled(n: Option<u64>, unit: f64, digits: usize) -> String {
    n.map_or(String::new(), |n| format!("{:.digits$}", n as f64 / unit))
}

/// All rows, without the columns that none has.
fn table(rows: &[Row]) -> String {
    let used = |column: &&Column| rows.iter().any(|row| !(column.2)(row).is_empty());
    let columns: Vec<&Column> = COLUMNS.iter().filter(used).collect();
    let mut html = "<div class=\"scroll\"><table>\n<thead><tr>".to_owned();
    for (head, numbers, _) in &columns {
        let class = if *numbers { " class=\"n\"" } else { "" };
        let _ = write!(html, "<th{class}>{}</th>", escape(head));
    }
    html += "</tr></thead>\n<tbody>\n";
    for row in rows {
        html += "<tr>";
        for (head, numbers, cell) in &columns {
            let class = match (*head, *numbers) {
                ("status", _) => format!("status {}", row.status.name()),
                ("remark", _) => "why".to_owned(),
                (_, true) => "n".to_owned(),
                (_, false) => "name".to_owned(),
            };
            let _ = write!(html, "<td class=\"{class}\">{}</td>", escape(&cell(row)));
        }
        html += "</tr>\n";
    }
    html + "</tbody>\n</table></div>\n"
}

/// Text that stands for itself in a page.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    out
}
