//! Findings as text for people and as JSON for machines.

use std::fmt::{self, Write};

use crate::finding::{Effect, Finding, Site};

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.code.effect() {
            Effect::Warning => "warning",
            Effect::Continue | Effect::Stop => "error",
        };
        writeln!(f, "{severity}[{}]: {}", self.code.name(), self.message)?;
        let [x, y, z] = self.cta;
        if self.sites.is_empty() {
            write!(f, "  kernel {}, at the end of the launch", self.kernel)?;
        } else {
            write!(f, "  kernel {}, cta ({x},{y},{z})", self.kernel)?;
        }
        if self.barriers > 0 {
            write!(f, ", after barrier #{}", self.barriers)?;
        }
        if self.count > 1 {
            write!(f, ", seen {} times", self.count)?;
        }
        writeln!(f)?;
        let width = self.sites.iter().map(|s| s.role.len()).max().unwrap_or(0);
        for site in &self.sites {
            let who = who(site, self.cta);
            writeln!(f, "  {:width$}: {who}  ptx:{}  `{}`", site.role, site.ptx_line, site.ptx)?;
            if let Some(s) = &site.source {
                writeln!(f, "  {:width$}  at {}:{}:{}", "", s.file, s.line, s.column)?;
            }
        }
        if let Some(span) = &self.span {
            write!(
                f,
                "  bytes: {}..{} of {} `{}`",
                span.start,
                span.start + span.bytes as i64,
                span.space,
                span.name
            )?;
            if let Some(element) = &span.element {
                write!(f, " ({element})")?;
            }
            writeln!(f)?;
        }
        if let Some(help) = &self.help {
            writeln!(f, "  help: {help}")?;
        }
        Ok(())
    }
}

fn who(site: &Site, cta: [u32; 3]) -> String {
    let mut out = format!("warp {}", site.warp);
    match site.lane {
        Some(lane) => write!(out, " lane {lane}").expect("writing to a string"),
        None => out.push_str(", several lanes"),
    }
    if site.cta != cta {
        let [x, y, z] = site.cta;
        write!(out, " of cta ({x},{y},{z})").expect("writing to a string");
    }
    out
}

/// The findings as a JSON array.
pub fn to_json(findings: &[Finding]) -> String {
    let mut out = String::from("[");
    for (i, f) in findings.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        finding_json(&mut out, f);
    }
    out.push(']');
    out
}

fn finding_json(out: &mut String, f: &Finding) {
    let mut object = Object::new(out);
    object.text("code", f.code.name());
    object.text("kernel", &f.kernel);
    object.raw("cta", &format!("{:?}", f.cta));
    object.raw("barriers", &f.barriers.to_string());
    object.raw("count", &f.count.to_string());
    object.text("message", &f.message);
    let sites: Vec<String> = f.sites.iter().map(site_json).collect();
    object.raw("sites", &format!("[{}]", sites.join(",")));
    if let Some(span) = &f.span {
        let mut inner = String::new();
        let mut o = Object::new(&mut inner);
        o.text("space", span.space);
        o.text("name", &span.name);
        o.raw("start", &span.start.to_string());
        o.raw("bytes", &span.bytes.to_string());
        if let Some(element) = &span.element {
            o.text("element", element);
        }
        o.close();
        object.raw("span", &inner);
    }
    if let Some(help) = &f.help {
        object.text("help", help);
    }
    object.close();
}

fn site_json(site: &Site) -> String {
    let mut out = String::new();
    let mut o = Object::new(&mut out);
    o.text("role", site.role);
    o.raw("cta", &format!("{:?}", site.cta));
    o.raw("warp", &site.warp.to_string());
    o.raw("lane", &site.lane.map_or("null".to_string(), |l| l.to_string()));
    o.raw("ptx_line", &site.ptx_line.to_string());
    o.text("ptx", &site.ptx);
    if let Some(s) = &site.source {
        o.text("file", &s.file);
        o.raw("line", &s.line.to_string());
        o.raw("column", &s.column.to_string());
    }
    o.close();
    out
}

struct Object<'a> {
    out: &'a mut String,
    first: bool,
}

impl<'a> Object<'a> {
    fn new(out: &'a mut String) -> Self {
        out.push('{');
        Object { out, first: true }
    }

    fn raw(&mut self, key: &str, value: &str) {
        if !std::mem::take(&mut self.first) {
            self.out.push(',');
        }
        quote(self.out, key);
        self.out.push(':');
        self.out.push_str(value);
    }

    fn text(&mut self, key: &str, value: &str) {
        let mut quoted = String::new();
        quote(&mut quoted, value);
        self.raw(key, &quoted);
    }

    fn close(self) {
        self.out.push('}');
    }
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 => {
                write!(out, "\\u{:04x}", c as u32).expect("writing to a string")
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn json_strings_are_escaped() {
        let mut out = String::new();
        quote(&mut out, "a\"b\\c\n\u{1}");
        assert_eq!(out, r#""a\"b\\c\n\u0001""#);
    }
}
