//! Why `tilec` did not do what was asked, and the exit code that says so.

use std::fmt;
use std::process::ExitCode;

use serde::Serialize;
use tilec_driver::CompileError;
use tilec_host::RuntimeError;
use tilec_host::files::FileError;
use tilec_vocab::Bug;

/// The result of a verb.
pub type Outcome = Result<(), Failure>;

/// A failure; each kind has its exit code.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// 1: the sources have errors. They have been shown; this is the last line.
    Source(String),
    /// 2: arguments, files or settings that cannot be used.
    Usage(String),
    /// 3: a kernel does not compute what its spec says.
    Verification(String),
    /// 4: the target asked for is not here.
    Target(String),
    /// 5: a fault of the compiler.
    Bug(String),
    /// 6: out of time.
    TimeOut(String),
}

/// The exit codes, for `--help` and the manual page.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the sources have errors (or, for fmt --check, are not formatted)
  2  wrong usage: arguments, files or settings that cannot be used
  3  verification failed
  4  the target is not available
  5  a bug of the compiler
  6  out of time";

/// What to do about a bug.
pub const REPORT: &str = "This is a fault of tilec, not of your program. Please report it with the \
                      command line and the source file.";

impl From<tilec_ptx::Error> for Failure {
    fn from(error: tilec_ptx::Error) -> Failure {
        match error {
            tilec_ptx::Error::Unsupported(what) | tilec_ptx::Error::NoRoom(what) => {
                Failure::Target(what)
            }
            tilec_ptx::Error::Bug(bug) => Failure::bug(bug),
        }
    }
}

impl Failure {
    /// A fault of the compiler, with what to do about it.
    pub fn bug(message: impl std::fmt::Display) -> Failure {
        Failure::Bug(format!("{message}\n{REPORT}"))
    }

    fn kind(&self) -> (&'static str, u8) {
        match self {
            Failure::Source(_) => ("source", 1),
            Failure::Usage(_) => ("usage", 2),
            Failure::Verification(_) => ("verification", 3),
            Failure::Target(_) => ("target", 4),
            Failure::Bug(_) => ("bug", 5),
            Failure::TimeOut(_) => ("timeout", 6),
        }
    }

    /// What the process exits with.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.number())
    }

    /// The number of [`Failure::exit_code`].
    pub fn number(&self) -> u8 {
        self.kind().1
    }

    /// One JSON object in one line.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            schema: &'static str,
            kind: &'static str,
            exit: u8,
            message: &'a str,
        }
        let (kind, exit) = self.kind();
        let line = Line { schema: "tilec.error/1", kind, exit, message: self.message() };
        serde_json::to_string(&line).unwrap_or_default()
    }

    fn message(&self) -> &str {
        match self {
            Failure::Source(message)
            | Failure::Usage(message)
            | Failure::Verification(message)
            | Failure::Target(message)
            | Failure::Bug(message)
            | Failure::TimeOut(message) => message,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl From<Bug> for Failure {
    fn from(bug: Bug) -> Failure {
        let ir = if bug.ir.is_empty() { String::new() } else { format!("\n{}", bug.ir.trim_end()) };
        Failure::bug(format!("{bug}{ir}"))
    }
}

impl From<RuntimeError> for Failure {
    fn from(error: RuntimeError) -> Failure {
        match error {
            RuntimeError::Bug(bug) => bug.into(),
            RuntimeError::Device { .. } | RuntimeError::NoRoom { .. } => {
                Failure::Target(error.to_string())
            }
            other => Failure::Usage(other.to_string()),
        }
    }
}

impl From<CompileError> for Failure {
    fn from(error: CompileError) -> Failure {
        match error {
            CompileError::Specialise(message) => Failure::Usage(message),
            CompileError::Bug(bug) => bug.into(),
        }
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Failure {
        Failure::Usage(error.to_string())
    }
}
