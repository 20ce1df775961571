//! From an object file to code that can be called: sections mapped side by side, their references filled in.
//!
//! A small part of what a linker does, for what our own code needs: ELF of x86-64, references to its own sections, and
//! calls of the few functions that LLVM takes for granted (`memset`, and `floorf` and the like on old processors). LLVM is not
//! needed, so code that was kept from an earlier run starts without it.
//!
//! ```text
//! | code ... | stubs: jmp [far] | page | constants ... |
//!   r-x                                r--
//! ```

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt;
use std::ptr::NonNull;

use object::elf;
use object::read::elf::ElfFile64;
use object::{
    Architecture, Object as _, ObjectSection, ObjectSymbol, RelocationFlags, RelocationTarget,
    SectionFlags, SymbolSection,
};

/// Bytes of a stub: `jmp [rip + 0]`, then the address.
const STUB_BYTES: usize = 16;
const STUB_JUMP: [u8; 6] = [0xff, 0x25, 0, 0, 0, 0];

/// Why an object cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError(String);

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "machine code cannot be loaded: {}", self.0)
    }
}

impl std::error::Error for LoadError {}

/// Code in memory of its own, unmapped when dropped.
pub struct Mapped {
    start: NonNull<u8>,
    bytes: usize,
    functions: BTreeMap<String, usize>,
}

// SAFETY: nothing writes to it after `new`.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: from `mmap` in `new`, with these bytes; whoever calls into it holds this.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

impl Mapped {
    /// Maps an object file.
    ///
    /// # Errors
    ///
    /// It is no ELF of x86-64, or refers to what is not there.
    pub fn new(file: &[u8]) -> Result<Mapped, LoadError> {
        let elf = ElfFile64::<object::LittleEndian>::parse(file).map_err(fail)?;
        if elf.architecture() != Architecture::X86_64 {
            return Err(LoadError("it is not for x86-64".to_owned()));
        }
        let plan = Plan::of(&elf)?;
        // SAFETY: a new mapping.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                plan.bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(LoadError(std::io::Error::last_os_error().to_string()));
        }
        let start = NonNull::new(start.cast::<u8>()).ok_or(LoadError("no memory".to_owned()))?;
        let mut mapped = Mapped { start, bytes: plan.bytes, functions: BTreeMap::new() };
        // SAFETY: the mapping, which nobody else knows of yet.
        let memory = unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), plan.bytes) };
        plan.fill(&elf, memory, start.addr().get() as u64)?;
        mapped.protect(0, plan.code_bytes, libc::PROT_READ | libc::PROT_EXEC)?;
        mapped.protect(plan.code_bytes, plan.bytes - plan.code_bytes, libc::PROT_READ)?;
        for symbol in elf.symbols().filter(|symbol| symbol.is_global() && symbol.is_definition()) {
            if let (Ok(name), Ok(at)) = (symbol.name(), plan.place(&symbol)) {
                mapped.functions.insert(name.to_owned(), at);
            }
        }
        Ok(mapped)
    }

    /// The address of a function.
    ///
    /// # Errors
    ///
    /// There is none of this name.
    pub fn function(&self, name: &str) -> Result<*const u8, LoadError> {
        let at = self.functions.get(name);
        let at = at.ok_or_else(|| LoadError(format!("it has no function `{name}`")))?;
        Ok(self.start.as_ptr().wrapping_add(*at))
    }

    fn protect(&self, at: usize, bytes: usize, how: i32) -> Result<(), LoadError> {
        // SAFETY: a part of the mapping, on a page's start.
        let refused =
            unsafe { libc::mprotect(self.start.as_ptr().add(at).cast(), bytes, how) } != 0;
        match refused && bytes > 0 {
            true => Err(LoadError(std::io::Error::last_os_error().to_string())),
            false => Ok(()),
        }
    }
}

/// Where each section goes.
struct Plan {
    sections: BTreeMap<usize, usize>,
    /// Where the stub of each function from outside goes.
    stubs: BTreeMap<String, usize>,
    /// Bytes of code, in whole pages.
    code_bytes: usize,
    bytes: usize,
}

type Elf<'a> = ElfFile64<'a, object::LittleEndian>;

impl Plan {
    fn of(elf: &Elf<'_>) -> Result<Plan, LoadError> {
        // SAFETY: it only asks.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let page = usize::try_from(page).map_err(fail)?;
        let mut plan =
            Plan { sections: BTreeMap::new(), stubs: BTreeMap::new(), code_bytes: 0, bytes: 0 };
        for code in [true, false] {
            for section in elf.sections() {
                let SectionFlags::Elf { sh_flags, .. } = section.flags() else { continue };
                let flag = |flag: u32| sh_flags & u64::from(flag) != 0;
                // Nobody unwinds through a kernel.
                let wanted =
                    flag(elf::SHF_ALLOC) && section.size() > 0 && section.name() != Ok(".eh_frame");
                if !wanted || flag(elf::SHF_EXECINSTR) != code {
                    continue;
                }
                if flag(elf::SHF_WRITE) {
                    return Err(LoadError("it has variables".to_owned()));
                }
                let size = usize::try_from(section.size()).map_err(fail)?;
                let align = usize::try_from(section.align().max(1)).map_err(fail)?;
                let at = plan.bytes.next_multiple_of(align);
                plan.sections.insert(section.index().0, at);
                plan.bytes = at.checked_add(size).ok_or(LoadError("its size".to_owned()))?;
            }
            if code {
                plan.add_stubs(elf)?;
                plan.code_bytes = plan.bytes.next_multiple_of(page);
                plan.bytes = plan.code_bytes;
            }
        }
        match plan.code_bytes {
            0 => Err(LoadError("it has no code".to_owned())),
            _ => Ok(plan),
        }
    }

    fn add_stubs(&mut self, elf: &Elf<'_>) -> Result<(), LoadError> {
        for symbol in elf.symbols().filter(|symbol| symbol.is_undefined()) {
            let name = symbol.name().map_err(fail)?;
            if !name.is_empty() {
                let at = self.bytes.next_multiple_of(STUB_BYTES);
                self.stubs.insert(name.to_owned(), at);
                self.bytes = at + STUB_BYTES;
            }
        }
        Ok(())
    }

    /// Where a symbol is, from the start.
    fn place<'a>(&self, symbol: &impl ObjectSymbol<'a>) -> Result<usize, LoadError> {
        let name = symbol.name().map_err(fail)?;
        let unknown = || LoadError(format!("it refers to `{name}`, which is nowhere"));
        match symbol.section() {
            SymbolSection::Section(index) => {
                let section = self.sections.get(&index.0).ok_or_else(unknown)?;
                Ok(section + usize::try_from(symbol.address()).map_err(fail)?)
            }
            SymbolSection::Undefined => self.stubs.get(name).copied().ok_or_else(unknown),
            _ => Err(unknown()),
        }
    }

    /// Writes sections, stubs and references into `memory`, which will lie at `base`.
    fn fill(&self, elf: &Elf<'_>, memory: &mut [u8], base: u64) -> Result<(), LoadError> {
        for (name, &at) in &self.stubs {
            let far = outside(name)?;
            memory[at..at + STUB_JUMP.len()].copy_from_slice(&STUB_JUMP);
            memory[at + STUB_JUMP.len()..][..8].copy_from_slice(&far.to_le_bytes());
        }
        for section in elf.sections() {
            let Some(&place) = self.sections.get(&section.index().0) else { continue };
            let data = section.data().map_err(fail)?;
            memory[place..place + data.len()].copy_from_slice(data);
            for (at, reference) in section.relocations() {
                let RelocationTarget::Symbol(symbol) = reference.target() else {
                    return Err(LoadError("a reference to no symbol".to_owned()));
                };
                let symbol = elf.symbol_by_index(symbol).map_err(fail)?;
                let target =
                    (base + self.place(&symbol)? as u64).wrapping_add_signed(reference.addend());
                let at = place + usize::try_from(at).map_err(fail)?;
                let RelocationFlags::Elf { r_type } = reference.flags() else { continue };
                // System V ABI for x86-64, table 4.9: S + A, and S + A - P.
                let word = match r_type {
                    elf::R_X86_64_64 => target.to_le_bytes().to_vec(),
                    elf::R_X86_64_PC32 | elf::R_X86_64_PLT32 => {
                        let distance = target.wrapping_sub(base + at as u64).cast_signed();
                        i32::try_from(distance).map_err(fail)?.to_le_bytes().to_vec()
                    }
                    other => return Err(LoadError(format!("a reference of kind {other}"))),
                };
                let hole = memory.get_mut(at..at + word.len());
                let hole = hole.ok_or(LoadError("a reference from outside".to_owned()))?;
                hole.copy_from_slice(&word);
            }
        }
        Ok(())
    }
}

/// The address of a function of this process.
fn outside(name: &str) -> Result<u64, LoadError> {
    let text = CString::new(name).map_err(fail)?;
    // SAFETY: a text that ends in zero.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, text.as_ptr()) };
    match address.is_null() {
        true => Err(LoadError(format!("it calls `{name}`, which this process does not have"))),
        false => Ok(address.addr() as u64),
    }
}

fn fail(error: impl fmt::Display) -> LoadError {
    LoadError(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_object_is_refused() {
        for bytes in [
            &b""[..],
            b"\x7fELF",
            b"not an object, but long enough to have a header .....................",
        ] {
            assert!(Mapped::new(bytes).is_err());
        }
    }

    #[test]
    fn functions_from_outside_are_found_or_named() {
        assert!(outside("memset").is_ok());
        let error = outside("tilec_has_no_such_function").expect_err("nothing has that name");
        assert!(error.to_string().contains("tilec_has_no_such_function"), "{error}");
    }
}
