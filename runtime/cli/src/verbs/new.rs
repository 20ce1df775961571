//! `tilec new`: a file to start from.

use std::path::{Path, PathBuf};

use tilec_host::files;
use tilec_kernels::{FILES, LibraryFile};

use crate::failure::{Failure, Outcome};
use crate::output::{self, Talk};

/// Write a new .tile file, copied from a kernel of the library
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tilec new my_attention                     causal attention, in my_attention.tile
  tilec new my_window --from window_left     another kernel of the library
  tilec new --list                           what there is to start from")]
pub struct Args {
    /// Name of the kernel and of its file
    #[arg(required_unless_present = "list")]
    name: Option<PathBuf>,

    /// The kernel of the library to start from
    #[arg(long, value_name = "KERNEL", default_value = "causal")]
    from: String,

    /// Replace a file that is there
    #[arg(long)]
    force: bool,

    /// List the kernels of the library
    #[arg(long)]
    list: bool,
}

impl Args {
    /// Writes the file, or lists.
    pub fn run(self, talk: Talk) -> Outcome {
        let Some(name) = self.name.as_deref().filter(|_| !self.list) else {
            let rows = FILES.iter().map(|file| vec![file.name.to_owned(), file.about.to_owned()]);
            return output::print_table(&["kernel", "what it is"], &[], rows.collect());
        };
        let file = tilec_kernels::find(&self.from).ok_or_else(|| {
            let known = FILES.iter().map(|file| file.name).collect::<Vec<_>>().join(", ");
            Failure::Usage(format!("the library has no kernel `{}`; it has {known}", self.from))
        })?;
        let path = match name.extension() {
            Some(extension) if extension == "tile" => name.to_owned(),
            Some(_) | None => PathBuf::from(format!("{}.tile", name.display())),
        };
        let kernel = kernel_name(&path)?;
        if path.symlink_metadata().is_ok() && !self.force {
            let message = format!("{} exists; --force replaces it", path.display());
            return Err(Failure::Usage(message));
        }
        files::replace(&path, renamed(file, kernel).as_bytes())?;
        output::print(&format!("{}\n", path.display()))?;
        talk.say(format!(
            "a copy of `{}`: {}\nnext: tilec verify {}",
            file.name,
            file.about,
            path.display()
        ));
        Ok(())
    }
}

/// The kernel's name: the file's, which must be a name of the language.
fn kernel_name(path: &Path) -> Result<&str, Failure> {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
    let is_name = stem.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && stem.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_name {
        return Ok(stem);
    }
    let message = format!("`{stem}` cannot name a kernel: letters, digits and _ only");
    Err(Failure::Usage(message))
}

/// The library's text with its one kernel, and that kernel's spec, under a new name.
fn renamed(file: &LibraryFile, name: &str) -> String {
    let mut text = file.text.to_owned();
    for keyword in ["kernel", "spec"] {
        let old = format!("{keyword} {}", file.name);
        let Some(at) = text.find(&old) else { continue };
        let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
        if text[at + old.len()..].starts_with(ends) {
            text.replace_range(at..at + old.len(), &format!("{keyword} {name}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_and_spec_get_the_new_name() -> Result<(), Failure> {
        let file = LibraryFile {
            name: "causal",
            path: "",
            about: "",
            text: "kernel causal<T: float>() {} spec causal { } // causal",
        };
        let text = "kernel mine<T: float>() {} spec mine { } // causal";
        assert_eq!(renamed(&file, kernel_name("a/mine.tile".as_ref())?), text);
        assert!(kernel_name("my-own.tile".as_ref()).is_err());
        Ok(())
    }
}
