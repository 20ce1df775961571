//! `tilec explain`: what a diagnostic code means.

use serde::Serialize;
use tilec_vocab::{Code, codes};

use crate::failure::{Failure, Outcome};
use crate::output;

/// Explain a diagnostic code, or list them all
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tilec explain E0301
  tilec explain             every code with its title")]
pub struct Args {
    /// The code, as an error shows it in brackets
    code: Option<String>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Page {
    schema: &'static str,
    code: &'static str,
    title: &'static str,
    page: &'static str,
}

#[derive(Serialize)]
struct List {
    schema: &'static str,
    codes: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    code: &'static str,
    title: &'static str,
}

impl Args {
    /// Prints the page or the list.
    pub fn run(self) -> Outcome {
        match &self.code {
            Some(name) => self.page(find(name)?),
            None => self.list(),
        }
    }

    fn page(&self, code: Code) -> Outcome {
        if self.json {
            let (title, page) = (code.title(), code.page());
            let page = Page { schema: "tilec.explain/1", code: code.name(), title, page };
            return output::print_json(&page);
        }
        output::print(&format!("{}\n", code.page().trim_end()))
    }

    fn list(&self) -> Outcome {
        let rows = codes::ALL.iter().map(|code| Row { code: code.name(), title: code.title() });
        if self.json {
            let codes = rows.collect();
            return output::print_json(&List { schema: "tilec.codes/1", codes });
        }
        let rows = rows.map(|row| vec![row.code.to_owned(), row.title.to_owned()]).collect();
        output::print_table(&["code", "title"], &[], rows)
    }
}

fn find(name: &str) -> Result<Code, Failure> {
    Code::find(name).ok_or_else(|| {
        Failure::Usage(format!(
            "there is no code `{name}`; `tilec explain` without a code lists them all"
        ))
    })
}
