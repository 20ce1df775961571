//! `tilec devices`: where kernels can run here.

use serde::Serialize;

use crate::failure::Outcome;
use crate::output;
use crate::target;

/// List the devices kernels can run on, and say of the others what is missing
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tilec devices
  tilec devices --json")]
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

/// One device; `units` and `features` are empty where it is not available.
#[derive(Serialize)]
struct Row {
    name: String,
    available: bool,
    about: String,
    units: usize,
    features: Vec<String>,
}

impl Args {
    /// Prints the list.
    pub fn run(self) -> Outcome {
        let devices: Vec<Row> = target::all()
            .map(|target| match target.open(None, &tilec_ptx::Options::default()) {
                Ok(device) => {
                    let info = device.info();
                    let (units, features) = (info.units, info.features);
                    Row { name: info.name, available: true, about: info.model, units, features }
                }
                Err(failure) => Row {
                    name: target.to_string(),
                    available: false,
                    about: target.missing().unwrap_or_else(|| failure.to_string()),
                    units: 0,
                    features: Vec::new(),
                },
            })
            .collect();
        if self.json {
            return output::print_json(&List { schema: "tilec.devices/1", devices });
        }
        let rows = devices.into_iter().map(|row| {
            let units = if row.available { row.units.to_string() } else { "-".to_owned() };
            vec![row.name, units, row.about, row.features.join(" ")]
        });
        output::print_table(&["device", "units", "about", "features"], &[1], rows.collect())
    }
}
