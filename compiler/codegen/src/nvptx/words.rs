//! Words of memory: how some neighbouring elements move, and tiles made of what came.

use tilec_vocab::DType;

use super::emit::Emitter;
use super::value::{Tile, is_half, join, llvm_type, pair_type};

/// A memory, as instructions name it.
#[derive(Clone, Copy, Debug)]
pub struct Space {
    name: &'static str,
    number: u32,
    /// Of a pointer in inline assembly.
    constraint: &'static str,
    /// Of an offset.
    index: &'static str,
}

/// Tensors.
pub const GLOBAL: Space = Space { name: "global", number: 1, constraint: "l", index: "i64" };
/// Buffers.
pub const SHARED: Space = Space { name: "shared", number: 3, constraint: "r", index: "i32" };

/// An address: a base and an immediate.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    pub space: Space,
    pub base: &'a str,
    pub bytes: i64,
}

impl Emitter<'_> {
    fn address(&mut self, at: At<'_>) -> String {
        let At { space, base, bytes } = at;
        let Space { number, index, .. } = space;
        if bytes == 0 {
            return base.to_string();
        }
        self.text
            .def(format_args!("getelementptr i8, ptr addrspace({number}) {base}, {index} {bytes}"))
    }

    /// Loads the words of a vector.
    pub fn load_words(&mut self, at: At<'_>, unit: Unit, metadata: &str) -> Vec<String> {
        let Unit { ty, count, bytes, .. } = unit;
        let (address, space) = (self.address(at), at.space.number);
        if bytes == 1 {
            let byte =
                self.text.def(format_args!("load i8, ptr addrspace({space}) {address}{metadata}"));
            return vec![self.text.def(format_args!("zext i8 {byte} to i16"))];
        }
        let align = bytes * count;
        if count == 1 {
            return vec![self.text.def(format_args!(
                "load {ty}, ptr addrspace({space}) {address}, align {align}{metadata}"
            ))];
        }
        let all = self.text.def(format_args!(
            "load <{count} x {ty}>, ptr addrspace({space}) {address}, align {align}{metadata}"
        ));
        (0..count)
            .map(|i| self.text.def(format_args!("extractelement <{count} x {ty}> {all}, i32 {i}")))
            .collect()
    }

    /// Loads the words of a vector where the guard holds; zeros elsewhere. `cached`: nobody writes what is there.
    pub fn load_words_if(
        &mut self,
        guard: &str,
        at: At<'_>,
        unit: Unit,
        cached: bool,
    ) -> Vec<String> {
        let Unit { ty, count, moved, memory, constraint, .. } = unit;
        let (nc, effects, clobbers) =
            if cached { (".nc", "", "") } else { ("", " sideeffect", ",~{memory}") };
        let (vector, destination) = operands(count, 0);
        let zero: Vec<String> = (0..count).map(|i| format!("mov.{moved} ${i}, 0;")).collect();
        let constraints = vec![format!("=&{constraint}"); count].join(",");
        let returned = match count {
            1 => ty.to_string(),
            _ => format!("{{ {} }}", vec![ty; count].join(", ")),
        };
        let Space { name, number, constraint: pointer, .. } = at.space;
        let all = self.text.def(format_args!(
            "call {returned} asm{effects} \"{} @${} ld.{name}{nc}{vector}.{memory} {destination}, [${count}{}];\", \"{constraints},{pointer},b{clobbers}\"(ptr addrspace({number}) {}, i1 {guard})",
            zero.join(" "),
            count + 1,
            offset(at.bytes),
            at.base,
        ));
        if count == 1 {
            return vec![all];
        }
        (0..count)
            .map(|i| self.text.def(format_args!("extractvalue {returned} {all}, {i}")))
            .collect()
    }

    /// Stores the words of a vector, where the guard holds if there is one.
    pub fn store_words(&mut self, guard: Option<&str>, at: At<'_>, unit: Unit, words: &[String]) {
        let Unit { ty, count, bytes, memory, constraint, .. } = unit;
        let Space { name, number, constraint: pointer, .. } = at.space;
        let Some(guard) = guard else {
            let address = self.address(at);
            let align = bytes * count;
            let (ty, all) = match (bytes, count) {
                (1, _) => {
                    let byte = self.text.def(format_args!("trunc i16 {} to i8", words[0]));
                    ("i8".to_string(), byte)
                }
                (_, 1) => (ty.to_string(), words[0].clone()),
                _ => (format!("<{count} x {ty}>"), self.gathered(ty, words)),
            };
            return self.text.line(format_args!(
                "store {ty} {all}, ptr addrspace({number}) {address}, align {align}"
            ));
        };
        let (vector, source) = operands(count, 2);
        let constraints = vec![constraint; count].join(",");
        let args: Vec<String> = words.iter().map(|word| format!("{ty} {word}")).collect();
        self.text.line(format_args!(
            "call void asm sideeffect \"@$1 st.{name}{vector}.{memory} [$0{}], {source};\", \"{pointer},b,{constraints},~{{memory}}\"(ptr addrspace({number}) {}, i1 {guard}, {})",
            offset(at.bytes),
            at.base,
            args.join(", "),
        ));
    }

    /// Several words as one vector.
    fn gathered(&mut self, ty: &str, words: &[String]) -> String {
        let count = words.len();
        words.iter().enumerate().fold("poison".to_string(), |all, (i, word)| {
            self.text
                .def(format_args!("insertelement <{count} x {ty}> {all}, {ty} {word}, i32 {i}"))
        })
    }
}

/// The operands of a vector access in inline assembly: the suffix of the opcode, and the list.
fn operands(count: usize, first: usize) -> (String, String) {
    let list: Vec<String> = (0..count).map(|i| format!("${}", i + first)).collect();
    match count {
        1 => (String::new(), list.join("")),
        _ => (format!(".v{count}"), format!("{{{}}}", list.join(", "))),
    }
}

/// An immediate in an address.
pub fn offset(immediate: i64) -> String {
    if immediate == 0 { String::new() } else { format!("+{immediate}") }
}

/// How a vector of elements moves: in words of memory.
#[derive(Clone, Copy, Debug)]
pub struct Unit {
    /// LLVM type of a word.
    pub ty: &'static str,
    /// Words.
    pub count: usize,
    /// Bytes of a word.
    pub bytes: usize,
    /// In inline assembly.
    pub constraint: &'static str,
    /// Type of the access in PTX.
    pub memory: &'static str,
    /// Type of a move in PTX.
    pub moved: &'static str,
}

impl Unit {
    /// Of so many elements.
    pub fn of(elem: DType, elements: usize) -> Unit {
        let bytes = elem.size_bytes() * elements;
        let unit = |ty, bytes, constraint, memory, moved| Unit {
            ty,
            count: 1,
            bytes,
            constraint,
            memory,
            moved,
        };
        match (elem, bytes) {
            (DType::I64, _) => Unit { count: elements, ..unit("i64", 8, "l", "b64", "b64") },
            (_, 1) => unit("i16", 1, "h", "u8", "u16"),
            (_, 2) => unit("i16", 2, "h", "b16", "b16"),
            (_, bytes) => Unit { count: bytes / 4, ..unit("i32", 4, "r", "b32", "b32") },
        }
    }
}

/// The memory words of some registers.
pub fn memory_words(
    emitter: &mut Emitter<'_>,
    tile: &Tile,
    elem: DType,
    registers: &[u32],
) -> Vec<String> {
    let text = &mut emitter.text;
    if elem == DType::Bool {
        return registers
            .chunks(4)
            .map(|bytes| {
                let ty = if bytes.len() == 4 { "i32" } else { "i16" };
                let mut word = "0".to_string();
                for (at, register) in bytes.iter().enumerate() {
                    let one = &tile.words[*register as usize];
                    let one = text.def(format_args!("zext i1 {one} to {ty}"));
                    let one = text.def(format_args!("shl {ty} {one}, {}", 8 * at));
                    word = text.def(format_args!("or {ty} {word}, {one}"));
                }
                word
            })
            .collect();
    }
    if is_half(elem) && registers.len() > 1 {
        let pair = pair_type(elem);
        return registers
            .chunks(2)
            .map(|two| {
                let is_word = tile.packed && two[0].is_multiple_of(2) && two[1] == two[0] + 1;
                let word = if is_word {
                    tile.words[two[0] as usize / 2].clone()
                } else {
                    let low = tile.register(text, elem, two[0] as usize);
                    let high = tile.register(text, elem, two[1] as usize);
                    join(text, elem, &low, &high)
                };
                text.def(format_args!("bitcast {pair} {word} to i32"))
            })
            .collect();
    }
    registers
        .iter()
        .map(|register| {
            let one = tile.register(text, elem, *register as usize);
            match elem {
                DType::F32 => text.def(format_args!("bitcast float {one} to i32")),
                DType::F16 => text.def(format_args!("bitcast half {one} to i16")),
                DType::BF16 => text.def(format_args!("bitcast bfloat {one} to i16")),
                DType::I32 | DType::I64 | DType::Bool => one,
            }
        })
        .collect()
}

/// A tile that comes vector by vector.
pub struct Parts {
    elem: DType,
    packed: bool,
    words: Vec<Option<String>>,
    /// Halves that came alone.
    halves: Vec<Option<String>>,
}

impl Parts {
    pub fn new(elem: DType, registers: usize) -> Parts {
        let packed = Tile::packs(elem, registers);
        let words = vec![None; if packed { registers / 2 } else { registers }];
        Parts { elem, packed, words, halves: vec![None; registers] }
    }

    /// Takes the memory words of a vector.
    pub fn take(&mut self, emitter: &mut Emitter<'_>, registers: &[u32], words: &[String]) {
        let (elem, text) = (self.elem, &mut emitter.text);
        let ty = llvm_type(elem);
        if is_half(elem) && registers.len() > 1 {
            for (two, word) in registers.chunks(2).zip(words) {
                let pair = pair_type(elem);
                let both = text.def(format_args!("bitcast i32 {word} to {pair}"));
                if self.packed && two[0].is_multiple_of(2) && two[1] == two[0] + 1 {
                    self.words[two[0] as usize / 2] = Some(both);
                    continue;
                }
                for (half, register) in two.iter().enumerate() {
                    let one = text.def(format_args!("extractelement {pair} {both}, i32 {half}"));
                    self.halves[*register as usize] = Some(one);
                }
            }
            return;
        }
        if elem == DType::Bool {
            for (bytes, word) in registers.chunks(4).zip(words) {
                let ty = if bytes.len() == 4 { "i32" } else { "i16" };
                for (at, register) in bytes.iter().enumerate() {
                    let byte = text.def(format_args!("and {ty} {word}, {}", 255i64 << (8 * at)));
                    let one = text.def(format_args!("icmp ne {ty} {byte}, 0"));
                    self.halves[*register as usize] = Some(one);
                }
            }
            return;
        }
        for (register, word) in registers.iter().zip(words) {
            let one = match elem {
                DType::Bool => word.clone(),
                DType::I32 | DType::I64 => word.clone(),
                DType::F32 => text.def(format_args!("bitcast i32 {word} to float")),
                DType::F16 | DType::BF16 => text.def(format_args!("bitcast i16 {word} to {ty}")),
            };
            self.halves[*register as usize] = Some(one);
        }
    }

    /// All of it; registers that never came are undefined.
    pub fn finish(self, emitter: &mut Emitter<'_>) -> Tile {
        let Parts { elem, packed, words, halves } = self;
        let half = |at: usize| halves[at].clone().unwrap_or_else(|| "poison".to_string());
        let words = words
            .into_iter()
            .enumerate()
            .map(|(i, word)| match (word, packed) {
                (Some(word), _) => word,
                (None, true) => join(&mut emitter.text, elem, &half(2 * i), &half(2 * i + 1)),
                (None, false) => half(i),
            })
            .collect();
        Tile { words, packed }
    }
}
