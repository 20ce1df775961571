//! `tilec devices`: where kernels can run here.

use serde::Serialize;

use crate::failure::Outcome;
use crate::output;

/// List the devices kernels can run on, and say of the others what is missing
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct List {
    schema: &'static str,
    devices: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    available: bool,
    about: String,
}

impl Args {
    /// Prints the list.
    pub fn run(self) -> Outcome {
        let devices: Vec<Row> = Vec::new();
        if self.json {
            return output::print_json(&List { schema: "tilec.devices/1", devices });
        }
        let rows = devices.into_iter().map(|row| {
            let available = if row.available { "yes" } else { "no" };
            vec![row.name, available.to_owned(), row.about]
        });
        output::print_table(&["device", "available", "about"], &[], rows.collect())
    }
}
