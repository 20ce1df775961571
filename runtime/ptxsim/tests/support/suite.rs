//! Reads a suite file: PTX whose header comments say how to launch it and what must come out.
//!
//! ```text
//! // grid 2 1 1            CTAs; default 1 1 1
//! // block 32 1 1          threads; default 32 1 1
//! // shared 256            bytes of dynamic shared memory
//! // in a f32 1 2.5 0x7f   a buffer: direction (in, out, inout, scratch), name, element, values
//! // out o u32 32          out and scratch give a count
//! // view o shape 2 3 strides 4 1 offset 0
//! // sparse a f16 BYTES    a virtual input filled by hash
//! // region k 0 128 2 16 2 a name for shared memory: offset, stage bytes, stages, row bytes, element bytes
//! // arg a / arg u32 5     arguments; without any, the buffers in order
//! // steps 1000            step limit
//! // expect o 1*4 0..28    contents, continued by further lines: `v*n` repeats, `a..b` counts
//! // near o 1e-6 1.5       the same within a relative error, under every numerics model
//! // in-order             the fault needs CTA 0 to run first
//! // find SIM-UNINIT-OUT   a finding that has no instruction
//! ```
//!
//! In the body, marks behind an instruction say what is found there:
//!
//! ```text
//! ld.shared.b32 %v, [%s]; //~ SIM-RACE        the instruction that reports
//! st.shared.b32 [%s], %v; //~ also SIM-RACE   the earlier instruction it names
//! bogus.b32 %v, %v;       //~ refuse text     `Module::parse` fails here with a message that contains the text
//! ```
//!
//! A line that holds only a mark belongs to the instruction above it. Values of float elements are numbers or `0x` bit patterns; other lines that begin with `//` are prose.

use tilec_ptxsim::*;

/// A suite file.
pub struct Suite {
    pub text: String,
    pub launch: Launch,
    pub step_limit: Option<u64>,
    /// Buffer name and bits of its elements.
    pub expected: Vec<(String, Vec<u64>)>,
    /// Buffer name, relative error, values.
    pub near: Vec<(String, f64, Vec<f64>)>,
    /// Code name, and the line of the reporting instruction where there is one.
    pub finds: Vec<(String, Option<u32>)>,
    /// Code name and the line of the earlier instruction.
    pub also: Vec<(String, u32)>,
    pub refuse: Option<(u32, String)>,
    pub in_order: bool,
}

impl Suite {
    /// Reads the file, panicking on a malformed header: the files are ours.
    pub fn read(path: &std::path::Path) -> Suite {
        let text =
            std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut suite = Suite {
            launch: Launch {
                entry: entry_name(&text),
                grid: [1; 3],
                block: [32, 1, 1],
                dynamic_shared_bytes: 0,
                args: vec![],
                buffers: vec![],
                shared_regions: vec![],
            },
            text: String::new(),
            step_limit: None,
            expected: vec![],
            near: vec![],
            finds: vec![],
            also: vec![],
            refuse: None,
            in_order: false,
        };
        for line in text.lines().map_while(|l| l.strip_prefix("//")) {
            let words: Vec<&str> =
                line.split(" //").next().unwrap_or("").split_whitespace().collect();
            if let [key, rest @ ..] = &words[..] {
                suite.directive(key, rest);
            }
        }
        suite.marks(&text);
        if suite.launch.args.is_empty() {
            suite.launch.args = (0..suite.launch.buffers.len()).map(Arg::buffer).collect();
        }
        suite.text = text;
        suite
    }

    /// Runs it.
    pub fn run(&self, config: &Config) -> Result<Outcome, String> {
        let module = Module::parse(&self.text).map_err(|e| e.to_string())?;
        let config = Config { step_limit: self.step_limit.unwrap_or(1 << 20), ..*config };
        simulate(&module, &self.launch, &config).map_err(|e| e.to_string())
    }

    /// Compares buffers, given by name, with what is expected; the first difference as text.
    pub fn compare(&self, bytes_of: impl Fn(&str) -> Option<Vec<u8>>) -> Result<(), String> {
        for (name, wanted) in &self.expected {
            let (elem, got) = self.contents(bytes_of(name), name)?;
            for (i, (g, w)) in got.iter().zip(wanted).enumerate() {
                if g != w {
                    return Err(format!(
                        "{name}[{i}] is {g:#x} ({}), expected {w:#x} ({})",
                        value(elem, *g),
                        value(elem, *w)
                    ));
                }
            }
            if got.len() != wanted.len() {
                return Err(format!(
                    "{name} has {} elements, expected {}",
                    got.len(),
                    wanted.len()
                ));
            }
        }
        Ok(())
    }

    /// The same for the approximate expectations.
    pub fn compare_near(&self, bytes_of: impl Fn(&str) -> Option<Vec<u8>>) -> Result<(), String> {
        for (name, bound, wanted) in &self.near {
            let (elem, got) = self.contents(bytes_of(name), name)?;
            if got.len() != wanted.len() {
                return Err(format!(
                    "{name} has {} elements, expected {}",
                    got.len(),
                    wanted.len()
                ));
            }
            for (i, (g, w)) in got.iter().zip(wanted).enumerate() {
                let g = value(elem, *g);
                let same = g == *w || g.is_nan() && w.is_nan() || (g - w).abs() <= bound * w.abs();
                if !same {
                    return Err(format!("{name}[{i}] is {g}, expected {w} within {bound}"));
                }
            }
        }
        Ok(())
    }

    fn contents(&self, bytes: Option<Vec<u8>>, name: &str) -> Result<(Elem, Vec<u64>), String> {
        let elem = self.elem(name);
        let bytes = bytes.ok_or_else(|| format!("no buffer `{name}`"))?;
        let read = |c: &[u8]| c.iter().rev().fold(0u64, |v, b| v << 8 | *b as u64);
        Ok((elem, bytes.chunks_exact(elem.bytes() as usize).map(read).collect()))
    }

    fn elem(&self, name: &str) -> Elem {
        let found = self.launch.buffers.iter().find(|b| b.name == name);
        found.unwrap_or_else(|| panic!("no buffer `{name}`")).elem
    }

    fn marks(&mut self, text: &str) {
        let mut owner = 0;
        for (number, line) in (1..).zip(text.lines()) {
            let Some((code, mark)) = line.split_once("//~") else {
                continue;
            };
            if !code.trim().is_empty() {
                owner = number;
            }
            match mark.trim().split_once(' ') {
                Some(("also", name)) => self.also.push((name.to_string(), owner)),
                Some(("refuse", message)) => self.refuse = Some((owner, message.to_string())),
                Some((other, _)) => panic!("`{other}` is not a mark"),
                None => self.finds.push((mark.trim().to_string(), Some(owner))),
            }
        }
    }

    fn directive(&mut self, key: &str, rest: &[&str]) {
        let number =
            |w: &str| w.parse::<u64>().unwrap_or_else(|_| panic!("{key}: `{w}` is not a number"));
        let triple = || {
            let mut out = [1; 3];
            out.iter_mut().zip(rest).for_each(|(o, w)| *o = number(w) as u32);
            out
        };
        match (key, rest) {
            ("grid", _) => self.launch.grid = triple(),
            ("block", _) => self.launch.block = triple(),
            ("shared", [n]) => self.launch.dynamic_shared_bytes = number(n) as u32,
            ("steps", [n]) => self.step_limit = Some(number(n)),
            ("in" | "inout" | "out" | "scratch", [name, ty, values @ ..]) => {
                self.buffer(key, name, ty, values)
            }
            ("sparse", [name, ty, n]) => self.launch.buffers.push(Buffer {
                contents: Contents::Sparse {
                    bytes: number(n),
                    fill: Fill::Hash { seed: 1 },
                    patches: vec![],
                },
                ..Buffer::input(name, elem(ty), vec![])
            }),
            ("view", [name, words @ ..]) => {
                let part = |from: &str| -> Vec<u64> {
                    let at = words.iter().position(|w| *w == from).map_or(words.len(), |i| i + 1);
                    words[at..].iter().map_while(|w| w.parse().ok()).collect()
                };
                let offset = part("offset").first().copied().unwrap_or(0);
                let view = View { shape: part("shape"), strides: part("strides"), offset };
                let buffer = self.launch.buffers.iter_mut().find(|b| b.name == *name);
                buffer.unwrap_or_else(|| panic!("view: no buffer `{name}`")).view = Some(view);
            }
            ("region", [name, sizes @ ..]) if sizes.len() == 5 => {
                let [offset, stage_bytes, stages, row_bytes, elem_bytes] =
                    std::array::from_fn(|i| number(sizes[i]));
                self.launch.shared_regions.push(SharedRegion {
                    name: name.to_string(),
                    offset,
                    stage_bytes,
                    stages,
                    row_bytes,
                    elem_bytes,
                });
            }
            ("arg", [name]) => {
                let index = self.launch.buffers.iter().position(|b| b.name == *name);
                self.launch
                    .args
                    .push(Arg::buffer(index.unwrap_or_else(|| panic!("arg: no buffer `{name}`"))));
            }
            ("arg", [ty, value]) => {
                let bytes =
                    bits(elem(ty), value).to_le_bytes()[..elem(ty).bytes() as usize].to_vec();
                self.launch.args.push(Arg::Value(bytes));
            }
            ("expect", [name, values @ ..]) => {
                let values = list(self.elem(name), values);
                match self.expected.iter_mut().find(|e| e.0 == *name) {
                    Some(entry) => entry.1.extend(values),
                    None => self.expected.push((name.to_string(), values)),
                }
            }
            ("near", [name, bound, values @ ..]) => {
                let elem = self.elem(name);
                let values = list(elem, values).into_iter().map(|b| value(elem, b));
                match self.near.iter_mut().find(|e| e.0 == *name) {
                    Some(entry) => entry.2.extend(values),
                    None => {
                        self.near.push((name.to_string(), bound.parse().unwrap(), values.collect()))
                    }
                }
            }
            ("in-order", []) => self.in_order = true,
            ("find", [code]) => self.finds.push((code.to_string(), None)),
            _ => {}
        }
    }

    fn buffer(&mut self, direction: &str, name: &str, ty: &str, values: &[&str]) {
        let elem = elem(ty);
        let count =
            || values[0].parse().unwrap_or_else(|_| panic!("`{}` is not a count", values[0]));
        let filled = || {
            let width = elem.bytes() as usize;
            list(elem, values).iter().flat_map(|v| v.to_le_bytes()[..width].to_vec()).collect()
        };
        self.launch.buffers.push(match direction {
            "in" => Buffer::input(name, elem, filled()),
            "inout" => {
                Buffer { direction: Direction::InOut, ..Buffer::input(name, elem, filled()) }
            }
            "scratch" => {
                Buffer { direction: Direction::Scratch, ..Buffer::output(name, elem, count()) }
            }
            _ => Buffer::output(name, elem, count()),
        });
    }
}

fn entry_name(text: &str) -> String {
    let after = text.split(".entry").nth(1).unwrap_or("").trim_start();
    after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn elem(ty: &str) -> Elem {
    match ty {
        "u8" => Elem::U8,
        "u16" => Elem::U16,
        "u32" => Elem::U32,
        "u64" => Elem::U64,
        "f16" => Elem::F16,
        "bf16" => Elem::Bf16,
        "f32" => Elem::F32,
        "f64" => Elem::F64,
        _ => panic!("`{ty}` is not an element type"),
    }
}

/// `1 2*3 0..4` as bits.
fn list(elem: Elem, words: &[&str]) -> Vec<u64> {
    let mut out = vec![];
    for word in words {
        if let Some((from, to)) = word.split_once("..") {
            let end =
                |w: &str| w.parse::<u64>().unwrap_or_else(|_| panic!("`{word}` is not a range"));
            out.extend((end(from)..end(to)).map(|i| bits(elem, &i.to_string())));
        } else if let Some((value, times)) = word.split_once('*') {
            let times = times.parse().unwrap_or_else(|_| panic!("`{word}` is not a repetition"));
            out.extend(std::iter::repeat_n(bits(elem, value), times));
        } else {
            out.push(bits(elem, word));
        }
    }
    out
}

fn bits(elem: Elem, word: &str) -> u64 {
    let keep = !0 >> (64 - 8 * elem.bytes());
    if let Some(hex) = word.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16)
            .unwrap_or_else(|_| panic!("`{word}` is not hexadecimal"));
    }
    let float = || word.parse::<f64>().unwrap_or_else(|_| panic!("`{word}` is not a number"));
    match elem {
        Elem::F16 => half::f16::from_f64(float()).to_bits() as u64,
        Elem::Bf16 => half::bf16::from_f64(float()).to_bits() as u64,
        Elem::F32 => (float() as f32).to_bits() as u64,
        Elem::F64 => float().to_bits(),
        Elem::U8 | Elem::U16 | Elem::U32 | Elem::U64 => {
            word.parse::<i128>().unwrap_or_else(|_| panic!("`{word}` is not an integer")) as u64
                & keep
        }
    }
}

fn value(elem: Elem, bits: u64) -> f64 {
    match elem {
        Elem::F16 => half::f16::from_bits(bits as u16).to_f64(),
        Elem::Bf16 => half::bf16::from_bits(bits as u16).to_f64(),
        Elem::F32 => f32::from_bits(bits as u32) as f64,
        Elem::F64 => f64::from_bits(bits),
        Elem::U8 | Elem::U16 | Elem::U32 | Elem::U64 => bits as f64,
    }
}
