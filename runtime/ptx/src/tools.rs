//! NVIDIA's own programs: `ptxas`, which makes machine code of PTX, and `nvdisasm`, which shows it. They are looked for
//! where people have them; nothing of this crate needs them but to report.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that could not be found or would not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolError {
    /// It is nowhere.
    Missing(&'static str),
    /// It refused, in its words.
    Failed {
        /// Which.
        tool: &'static str,
        /// What it said.
        words: String,
    },
}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ToolError::Missing(tool) => write!(
                f,
                "`{tool}` is not found: not on PATH, nor in CUDA_HOME, nor in a virtual environment; `make tools` \
                 installs it"
            ),
            ToolError::Failed { tool, words } => write!(f, "{tool}: {}", words.trim()),
        }
    }
}

impl std::error::Error for ToolError {}

/// What `ptxas` says of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Registers of a thread.
    pub registers: u32,
    /// Bytes of the stack frame.
    pub stack_bytes: u32,
    /// Bytes of spill stores and of spill loads, as written.
    pub spill_bytes: (u32, u32),
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stores, loads) = self.spill_bytes;
        write!(f, "{} registers", self.registers)?;
        match stores + loads {
            0 => f.write_str(", nothing spilled"),
            _ => write!(f, ", {stores} bytes of spill stores, {loads} of spill loads"),
        }
    }
}

/// Machine code.
#[derive(Clone, Debug)]
pub struct Assembled {
    /// The cubin.
    pub cubin: Vec<u8>,
    /// What it uses.
    pub usage: Usage,
}

/// Machine code of PTX for a target, by `ptxas`.
///
/// # Errors
///
/// There is no `ptxas`, or it refuses.
pub fn assemble(ptx: &str, target: &str) -> Result<Assembled, ToolError> {
    const TOOL: &str = "ptxas";
    let program = find(TOOL)?;
    let folder = tempfile::tempdir().map_err(|error| failed(TOOL, error))?;
    let (source, cubin) = (folder.path().join("kernel.ptx"), folder.path().join("kernel.cubin"));
    std::fs::write(&source, ptx).map_err(|error| failed(TOOL, error))?;
    let mut command = Command::new(program);
    command.arg("-v").arg(format!("-arch={target}")).arg(&source).arg("-o").arg(&cubin);
    let words = run(TOOL, command)?.1;
    let cubin = std::fs::read(&cubin).map_err(|error| failed(TOOL, error))?;
    let usage = usage(&words)
        .ok_or_else(|| failed(TOOL, format!("its report cannot be read:\n{words}")))?;
    Ok(Assembled { cubin, usage })
}

/// Machine code as text, by `nvdisasm`.
///
/// # Errors
///
/// There is no `nvdisasm`, or it refuses.
pub fn disassemble(cubin: &[u8]) -> Result<String, ToolError> {
    const TOOL: &str = "nvdisasm";
    let program = find(TOOL)?;
    let folder = tempfile::tempdir().map_err(|error| failed(TOOL, error))?;
    let file = folder.path().join("kernel.cubin");
    std::fs::write(&file, cubin).map_err(|error| failed(TOOL, error))?;
    let mut command = Command::new(program);
    command.arg("-c").arg(&file);
    Ok(run(TOOL, command)?.0)
}

/// Where a program is.
///
/// # Errors
///
/// It is nowhere.
pub fn find(tool: &'static str) -> Result<PathBuf, ToolError> {
    places()
        .map(|folder| folder.join(tool))
        .find(|path| path.is_file())
        .ok_or(ToolError::Missing(tool))
}

/// Folders in the order in which they are searched: PATH; CUDA's own; packages of an active virtual environment and of the one
/// that `make tools` makes beside the program.
fn places() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let cuda = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(std::env::var_os);
    let cuda = cuda.map(|home| PathBuf::from(home).join("bin"));
    let active = std::env::var_os("VIRTUAL_ENV").map(PathBuf::from);
    let packages = active.into_iter().chain(made()).flat_map(|venv| packages(&venv));
    path.into_iter()
        .chain(cuda)
        .chain(std::iter::once(PathBuf::from("/usr/local/cuda/bin")))
        .chain(packages)
}

/// The virtual environment of `make tools`: `target/tools`, where the program lies somewhere under `target`.
fn made() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let beside = |folder: &Path| {
        let venv = folder.join("tools");
        venv.is_dir().then_some(venv)
    };
    let local = || beside(Path::new("target"));
    program.ancestors().skip(1).take(4).find_map(beside).or_else(local)
}

/// Folders of programs inside the wheels that carry them: `nvidia/cu13/bin`, `triton/backends/nvidia/bin`.
fn packages(venv: &Path) -> Vec<PathBuf> {
    let inside = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut inside: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        inside.sort();
        inside
    };
    let mut found = Vec::new();
    for version in inside(&venv.join("lib")) {
        let site = version.join("site-packages");
        found.extend(inside(&site.join("nvidia")).into_iter().map(|wheel| wheel.join("bin")));
        found.push(site.join("triton/backends/nvidia/bin"));
    }
    found
}

/// Standard output and error of a program that succeeds.
fn run(tool: &'static str, mut command: Command) -> Result<(String, String), ToolError> {
    let output = command.output().map_err(|error| failed(tool, error))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    if output.status.success() { Ok((out, err)) } else { Err(failed(tool, out + &err)) }
}

fn failed(tool: &'static str, words: impl fmt::Display) -> ToolError {
    ToolError::Failed { tool, words: words.to_string() }
}

/// What `ptxas -v` prints of one entry:
///
/// ```text
///     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
/// ptxas info    : Used 168 registers, used 1 barriers
/// ```
fn usage(words: &str) -> Option<Usage> {
    let before = |what: &str| {
        let (front, _) = words.split_once(what)?;
        front.rsplit(|c: char| c.is_whitespace()).find(|word| !word.is_empty())?.parse().ok()
    };
    let spill = |what| before(what).unwrap_or_default();
    Some(Usage {
        registers: before(" registers")?,
        stack_bytes: spill(" bytes stack frame"),
        spill_bytes: (spill(" bytes spill stores"), spill(" bytes spill loads")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_of_ptxas_is_read() {
        let words = "ptxas info    : Function properties for causal\n    16 bytes stack frame, 12 bytes spill \
                     stores, 8 bytes spill loads\nptxas info    : Used 168 registers, used 1 barriers\n";
        let read = usage(words);
        assert_eq!(read, Some(Usage { registers: 168, stack_bytes: 16, spill_bytes: (12, 8) }));
        assert_eq!(usage("ptxas fatal : no"), None);
    }

    #[test]
    fn a_program_that_is_nowhere_is_named_with_the_way_to_get_it() {
        let error = find("no-such-tool-of-nvidia").expect_err("nothing has that name").to_string();
        assert!(
            error.contains("no-such-tool-of-nvidia") && error.contains("make tools"),
            "{error}"
        );
    }
}
