//! Pages of words, allocated when first written. Reads of untouched pages come from the fill and need no storage, which
//! is how a kernel is shown to survive strides past 2^31, 2^32 and 2^40 elements without the memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

use super::buffer::{Elem, Fill};
use super::shadow::Shadow;

/// Bytes of a page.
pub const PAGE: u64 = 1 << 16;

/// One page: its words, and the shadow of its cells.
pub struct Page {
    pub words: Vec<AtomicU32>,
    pub shadow: Shadow,
}

/// The pages of one buffer.
pub struct Sparse {
    pages: RwLock<BTreeMap<u64, Arc<Page>>>,
    elem: Elem,
    fill: Fill,
    grain: u32,
}

impl Sparse {
    pub fn new(elem: Elem, fill: Fill, grain: u32) -> Sparse {
        Sparse { pages: RwLock::default(), elem, fill, grain }
    }

    /// The page holding byte `at`, if it was ever touched.
    pub fn find(&self, at: u64) -> Option<Arc<Page>> {
        self.pages.read().unwrap_or_else(PoisonError::into_inner).get(&(at / PAGE)).cloned()
    }

    /// The page holding byte `at`, made from the fill if need be.
    pub fn touch(&self, at: u64) -> Arc<Page> {
        if let Some(page) = self.find(at) {
            return page;
        }
        let number = at / PAGE;
        let mut pages = self.pages.write().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let first = number * (PAGE / 4);
            let words = (0..PAGE / 4).map(|i| AtomicU32::new(self.fill.word(self.elem, first + i)));
            Arc::new(Page { words: words.collect(), shadow: Shadow::new(PAGE, self.grain) })
        };
        pages.entry(number).or_insert_with(make).clone()
    }

    /// The word with index `word` from the start of the buffer.
    pub fn word(&self, word: u64) -> u32 {
        match self.find(word * 4) {
            Some(page) => page.words[(word % (PAGE / 4)) as usize].load(Relaxed),
            None => self.fill.word(self.elem, word),
        }
    }

    /// Number of pages held.
    pub fn num_pages(&self) -> usize {
        self.pages.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}
