//! Global memory: all buffers of a launch, shared by the threads that run its CTAs.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::address::{MODULE_TAG, TAG_SHIFT};
use super::buffer::{Buffer, Contents, Direction, Elem, Fill};
use super::order::{Mark, Who};
use super::shadow::{Conflict, Shadow, Visitor};
use super::sparse::{PAGE, Sparse};
use super::view::ViewMap;
use crate::decode::ModuleVariable;

enum Store {
    Dense { words: Vec<AtomicU32>, shadow: Option<Shadow> },
    Sparse(Sparse),
}

/// A buffer as the device sees it.
pub struct DeviceBuffer {
    pub name: String,
    pub elem: Elem,
    pub direction: Direction,
    pub bytes: u64,
    /// Present only if there are gaps.
    pub gaps: Option<ViewMap>,
    /// The view even without gaps, for element names.
    pub view: Option<ViewMap>,
    store: Store,
}

/// Every buffer and module variable.
pub struct GlobalMemory {
    buffers: Vec<DeviceBuffer>,
    /// Module-scope variables follow the launch's own buffers.
    num_launch: usize,
    wide_atomics: Mutex<()>,
}

/// Why an access does not reach memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// Outside every buffer; the nearest one, and the signed offset from its start.
    Outside(Option<usize>, i64),
    Gap(usize, u64),
    Misaligned(usize, u64),
}

impl DeviceBuffer {
    fn new(buffer: &Buffer, grain: u32, checks: bool) -> Result<DeviceBuffer, String> {
        let bytes = buffer.bytes();
        if bytes >= 1 << TAG_SHIFT {
            return Err(format!("buffer `{}` is larger than 2^{TAG_SHIFT} bytes", buffer.name));
        }
        let view = match &buffer.view {
            Some(view) => {
                let map = ViewMap::new(view, buffer.elem.bytes())
                    .map_err(|e| format!("buffer `{}`: {e}", buffer.name))?;
                if map.end_bytes() > bytes {
                    return Err(format!(
                        "the view of buffer `{}` ends at byte {}, the buffer at {bytes}",
                        buffer.name,
                        map.end_bytes()
                    ));
                }
                Some(map)
            }
            None => None,
        };
        let writable = buffer.direction != Direction::In;
        let store = match &buffer.contents {
            Contents::Dense(data) => {
                let word = |chunk: &[u8]| {
                    let mut w = [0xff; 4];
                    w[..chunk.len()].copy_from_slice(chunk);
                    AtomicU32::new(u32::from_le_bytes(w))
                };
                let shadow = (writable && checks).then(|| Shadow::new(bytes, grain));
                Store::Dense { words: data.chunks(4).map(word).collect(), shadow }
            }
            Contents::Poison(_) => {
                let words = (0..bytes.div_ceil(4)).map(|_| AtomicU32::new(!0)).collect();
                Store::Dense {
                    words,
                    shadow: (writable && checks).then(|| Shadow::new(bytes, grain)),
                }
            }
            Contents::Sparse { fill, patches, .. } => {
                let fill = if matches!(buffer.direction, Direction::Out | Direction::Scratch) {
                    Fill::Poison
                } else {
                    *fill
                };
                let sparse = Sparse::new(buffer.elem, fill, grain);
                for (at, data) in patches {
                    if at.checked_add(data.len() as u64).is_none_or(|end| end > bytes) {
                        return Err(format!("a patch of buffer `{}` lies outside it", buffer.name));
                    }
                    for (i, byte) in data.iter().enumerate() {
                        let at = at + i as u64;
                        let page = sparse.touch(at);
                        write_word(&page.words, at % PAGE, &[*byte]);
                    }
                }
                Store::Sparse(sparse)
            }
        };
        let gaps = view.clone().filter(|v| !v.covers(bytes));
        Ok(DeviceBuffer {
            name: buffer.name.clone(),
            elem: buffer.elem,
            direction: buffer.direction,
            bytes,
            gaps,
            view,
            store,
        })
    }

    fn constant(v: &ModuleVariable, checks: bool, grain: u32) -> DeviceBuffer {
        let mut data = v.initial.clone();
        data.resize(v.bytes as usize, 0);
        let buffer = Buffer {
            name: v.name.clone(),
            elem: Elem::U8,
            direction: if v.constant { Direction::In } else { Direction::InOut },
            contents: Contents::Dense(data),
            view: None,
        };
        DeviceBuffer::new(&buffer, grain, checks)
            .expect("a module variable has no view and is small")
    }

    /// Copies `out.len()` bytes from `at`, which are inside the buffer and aligned to words unless fewer than four.
    #[inline(always)]
    pub fn load(&self, at: u64, out: &mut [u8]) {
        if out.len() >= 4 {
            for (i, chunk) in out.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&self.word(at / 4 + i as u64).to_le_bytes());
            }
        } else {
            let word = self.word(at / 4).to_le_bytes();
            let start = (at % 4) as usize;
            out.copy_from_slice(&word[start..start + out.len()]);
        }
    }

    #[inline(always)]
    fn word(&self, index: u64) -> u32 {
        match &self.store {
            Store::Dense { words, .. } => words[index as usize].load(Relaxed),
            Store::Sparse(sparse) => sparse.word(index),
        }
    }

    pub fn store(&self, at: u64, data: &[u8]) {
        match &self.store {
            Store::Dense { words, .. } => write_word(words, at, data),
            Store::Sparse(sparse) => write_word(&sparse.touch(at).words, at % PAGE, data),
        }
    }

    /// Replaces the word or half-word at `at` by `f` of it, atomically, and returns what was there.
    fn update32(&self, at: u64, bytes: u32, f: impl Fn(u32) -> u32) -> u32 {
        let shift = if bytes == 2 { 8 * (at % 4) as u32 } else { 0 };
        let keep = if bytes == 2 { 0xffff } else { !0 };
        let run = |word: &AtomicU32| {
            let old = word.fetch_update(Relaxed, Relaxed, |w| {
                let new = f(w >> shift & keep) & keep;
                Some(w & !(keep << shift) | new << shift)
            });
            old.unwrap_or_else(|w| w) >> shift & keep
        };
        match &self.store {
            Store::Dense { words, .. } => run(&words[(at / 4) as usize]),
            Store::Sparse(sparse) => run(&sparse.touch(at).words[(at % PAGE / 4) as usize]),
        }
    }

    /// Whether the bytes were written in this launch, or had contents from the start.
    pub fn defined(&self, at: u64, bytes: u64) -> bool {
        match self.direction {
            Direction::In | Direction::InOut => true,
            Direction::Out | Direction::Scratch => self.written(at, bytes),
        }
    }

    fn written(&self, at: u64, bytes: u64) -> bool {
        match &self.store {
            Store::Dense { shadow: Some(shadow), .. } => shadow.written(at, bytes),
            Store::Dense { shadow: None, .. } => true,
            Store::Sparse(sparse) => {
                sparse.find(at).is_some_and(|page| page.shadow.written(at % PAGE, bytes))
            }
        }
    }

    /// A number that changes with every write to the range, and the last writer, where writes are tracked.
    pub fn history(&self, at: u64, bytes: u64) -> Option<(u64, Option<(u32, Mark)>)> {
        if self.direction == Direction::In {
            return None;
        }
        match &self.store {
            Store::Dense { shadow, .. } => {
                shadow.as_ref().map(|s| (s.version(at, bytes), s.writer(at, bytes)))
            }
            Store::Sparse(sparse) => {
                let page = sparse.touch(at);
                let at = at % PAGE;
                Some((page.shadow.version(at, bytes), page.shadow.writer(at, bytes)))
            }
        }
    }

    pub fn note_read(&self, visitor: &Visitor, who: &Who, at: u64, bytes: u64) -> Option<Conflict> {
        if self.direction == Direction::In {
            return None;
        }
        match &self.store {
            Store::Dense { shadow, .. } => shadow.as_ref()?.read(visitor, who, at, bytes),
            Store::Sparse(sparse) => sparse.touch(at).shadow.read(visitor, who, at % PAGE, bytes),
        }
    }

    pub fn note_write(
        &self,
        visitor: &Visitor,
        who: &Who,
        at: u64,
        bytes: u64,
    ) -> Option<Conflict> {
        match &self.store {
            Store::Dense { shadow, .. } => shadow.as_ref()?.write(visitor, who, at, bytes),
            Store::Sparse(sparse) => sparse.touch(at).shadow.write(visitor, who, at % PAGE, bytes),
        }
    }

    /// Elements of an output that were never written: the first few offsets, and how many in all.
    pub fn unwritten(&self) -> (Vec<u64>, u64) {
        const SHOWN: usize = 4;
        let (mut first, mut count) = (vec![], 0);
        let width = self.elem.bytes();
        let mut visit = |at: u64| {
            if !self.written(at, width) {
                count += 1;
                if first.len() < SHOWN {
                    first.push(at);
                }
            }
        };
        match &self.view {
            Some(view) => view.offsets().for_each(&mut visit),
            None => (0..self.bytes / width).for_each(|i| visit(i * width)),
        }
        (first, count)
    }

    /// What is at byte `at`: `element 12 [0, 3]`.
    pub fn describe(&self, at: i64) -> String {
        let element = at.div_euclid(self.elem.bytes() as i64);
        let index = (at >= 0).then(|| self.view.as_ref()?.index(at as u64)).flatten();
        match index {
            Some(index) => format!("element {element}, index {index:?}"),
            None => format!("element {element}"),
        }
    }

    /// All bytes; empty for a sparse buffer.
    pub fn dense_bytes(&self) -> Vec<u8> {
        match &self.store {
            Store::Dense { words, .. } => {
                let mut out: Vec<u8> =
                    words.iter().flat_map(|w| w.load(Relaxed).to_le_bytes()).collect();
                out.truncate(self.bytes as usize);
                out
            }
            Store::Sparse(_) => vec![],
        }
    }

    /// Pages a sparse buffer holds.
    pub fn num_pages(&self) -> usize {
        match &self.store {
            Store::Dense { .. } => 0,
            Store::Sparse(sparse) => sparse.num_pages(),
        }
    }
}

/// Writes aligned bytes into words; fewer than four bytes change part of one word.
fn write_word(words: &[AtomicU32], at: u64, data: &[u8]) {
    let index = (at / 4) as usize;
    if data.len() >= 4 {
        for (word, chunk) in words[index..].iter().zip(data.chunks_exact(4)) {
            let mut w = [0; 4];
            w.copy_from_slice(chunk);
            word.store(u32::from_le_bytes(w), Relaxed);
        }
        return;
    }
    let start = (at % 4) as usize;
    let update = |old: u32| {
        let mut w = old.to_le_bytes();
        w[start..start + data.len()].copy_from_slice(data);
        Some(u32::from_le_bytes(w))
    };
    let _ = words[index].fetch_update(Relaxed, Relaxed, update);
}

impl GlobalMemory {
    pub fn new(
        buffers: &[Buffer],
        variables: &[ModuleVariable],
        grain: u32,
        checks: bool,
    ) -> Result<GlobalMemory, String> {
        if buffers.len() as u64 >= MODULE_TAG {
            return Err("too many buffers".into());
        }
        let mut all = vec![];
        for buffer in buffers {
            all.push(DeviceBuffer::new(buffer, grain, checks)?);
        }
        all.extend(variables.iter().map(|v| DeviceBuffer::constant(v, checks, grain)));
        Ok(GlobalMemory { buffers: all, num_launch: buffers.len(), wide_atomics: Mutex::new(()) })
    }

    pub fn buffer(&self, index: usize) -> &DeviceBuffer {
        &self.buffers[index]
    }

    /// The buffers of the launch, in order, without module variables.
    pub fn into_launch_buffers(mut self) -> Vec<DeviceBuffer> {
        self.buffers.truncate(self.num_launch);
        self.buffers
    }

    /// Index of the buffer with this tag.
    #[inline(always)]
    fn by_tag(&self, tag: u64) -> Option<usize> {
        let index = if tag >= MODULE_TAG {
            (tag - MODULE_TAG) as usize + self.num_launch
        } else {
            let index = (tag as usize).wrapping_sub(1);
            if index >= self.num_launch {
                return None;
            }
            index
        };
        (index < self.buffers.len()).then_some(index)
    }

    /// Buffer and offset of a legal access.
    #[inline(always)]
    pub fn locate(&self, address: u64, bytes: u64) -> Result<(usize, u64), Miss> {
        let at = address & ((1 << TAG_SHIFT) - 1);
        let Some(index) = self.by_tag(address >> TAG_SHIFT) else {
            return Err(self.outside(address));
        };
        let buffer = &self.buffers[index];
        if at + bytes > buffer.bytes {
            return Err(self.outside(address));
        }
        if !at.is_multiple_of(bytes) {
            return Err(Miss::Misaligned(index, at));
        }
        if let Some(view) = &buffer.gaps
            && !view.contains(at, bytes)
        {
            return Err(Miss::Gap(index, at));
        }
        Ok((index, at))
    }

    /// Names the buffer whose start is nearest: offsets are small against the distance between buffers.
    #[cold]
    fn outside(&self, address: u64) -> Miss {
        let tag = address.wrapping_add(1 << (TAG_SHIFT - 1)) >> TAG_SHIFT;
        match self.by_tag(tag) {
            Some(index) => {
                Miss::Outside(Some(index), address.wrapping_sub(tag << TAG_SHIFT) as i64)
            }
            None => Miss::Outside(None, address as i64),
        }
    }

    /// An atomic update of 2, 4 or 8 bytes; returns the old value.
    pub fn update(&self, index: usize, at: u64, bytes: u32, f: impl Fn(u64) -> u64) -> u64 {
        let buffer = &self.buffers[index];
        if bytes < 8 {
            return buffer.update32(at, bytes, |w| f(w as u64) as u32) as u64;
        }
        let _guard = self.wide_atomics.lock().unwrap_or_else(PoisonError::into_inner);
        let mut old = [0; 8];
        buffer.load(at, &mut old);
        let old = u64::from_le_bytes(old);
        buffer.store(at, &f(old).to_le_bytes());
        old
    }
}
