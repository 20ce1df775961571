//! `tilec fmt`: one layout for every file.

use std::path::PathBuf;

use tilec_host::files;
use tilec_vocab::Sources;

use crate::failure::{Failure, Outcome};
use crate::loader::{FolderLoader, is_stdin};
use crate::output::{self, Talk, count};
use crate::source::{show, tile_files};

/// Put .tile files in the standard layout
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tilec fmt my_attention.tile
  tilec fmt --check kernels/        change nothing, fail if anything would
  tilec fmt - < a.tile              from the standard input to the standard output")]
pub struct Args {
    /// Files and folders; - is the standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Change nothing; list the files that would change and fail if there are any
    #[arg(long)]
    check: bool,
}

impl Args {
    /// Formats each file. A file with errors in its grammar stays as it is.
    pub fn run(self, talk: Talk) -> Outcome {
        let mut changed = 0;
        let mut broken = 0;
        let paths = tile_files(&self.files)?;
        for path in &paths {
            let loader = FolderLoader::beside(path);
            let source = loader
                .root(path)
                .map_err(|why| Failure::Source(format!("{}: {why}", path.display())))?;
            let mut sources = Sources::default();
            let id = sources.add(source.name, source.text);
            let text = &sources.file(id).text;
            let formatted = match tilec_syntax::format(text) {
                Ok(formatted) => formatted,
                Err(diagnostics) => {
                    show(&diagnostics, &sources, talk);
                    broken += 1;
                    continue;
                }
            };
            let differs = formatted != *text;
            changed += usize::from(differs);
            match (self.check, is_stdin(path)) {
                (true, _) if differs => output::print(&format!("{}\n", path.display()))?,
                (true, _) => {}
                (false, true) => output::print(&formatted)?,
                (false, false) if differs => {
                    files::replace(path, formatted.as_bytes())?;
                    talk.detail(format!("formatted {}", path.display()));
                }
                (false, false) => {}
            }
        }
        if broken > 0 {
            let text = format!("{} left as they were", count(broken, "file"));
            return Err(Failure::Source(text));
        }
        if self.check && changed > 0 {
            let text = format!("{} of {} not formatted", changed, count(paths.len(), "file"));
            return Err(Failure::Source(text));
        }
        talk.say(format!("{} of {} changed", changed, count(paths.len(), "file")));
        Ok(())
    }
}
