//! `tilec cache`: what is remembered between runs.

use std::time::SystemTime;

use clap::Subcommand;
use serde::Serialize;
use serde_json::{Value, json};
use tilec_cache::{Cache, CacheError, Key, Kind, Listed, default_root};

use crate::failure::{Failure, Outcome};
use crate::output::{self, Talk, count};

/// Show, check or clear what is remembered between runs
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The cache lies in TILEC_CACHE_DIR, else in tilec below XDG_CACHE_HOME, else in ~/.cache/tilec. It is
never needed: deleting it, or any file of it, at any time costs only the time to make it anew.

Examples:
  tilec cache ls
  tilec cache ls --json
  tilec cache verify
  tilec cache clear --only record")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the entries
    #[command(after_help = "Examples:\n  tilec cache ls\n  tilec cache ls --json")]
    Ls {
        /// Print JSON, with all of each key and the tuning records
        #[arg(long)]
        json: bool,
    },
    /// Remove all entries
    #[command(after_help = "Examples:\n  tilec cache clear\n  tilec cache clear --only record")]
    Clear {
        /// Only entries of this kind: artifact, record
        #[arg(long, value_name = "KIND", value_parser = parse_kind)]
        only: Option<Kind>,

        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check every byte of every entry
    #[command(after_help = "Examples:\n  tilec cache verify\n  tilec cache verify --json")]
    Verify {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the folder
    #[command(after_help = "Examples:\n  tilec cache path\n  tilec cache path --json")]
    Path {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Serialize)]
struct Entry {
    file: String,
    bytes: u64,
    used_seconds_ago: u64,
    /// What is wrong with it.
    fault: Option<String>,
    #[serde(flatten)]
    key: Option<Key>,
    /// The payload where that is a record.
    record: Option<Value>,
}

impl Args {
    /// Does it.
    pub fn run(self, talk: Talk) -> Outcome {
        let root = default_root().map_err(failed)?;
        let path = root.display().to_string();
        match self.what {
            What::Path { json: true } => {
                output::print_json(&json!({ "schema": "tilec.cache.path/1", "path": path }))
            }
            What::Path { json: false } => output::print(&format!("{path}\n")),
            What::Ls { json } => {
                let entries = entries()?;
                if json {
                    let schema = "tilec.cache.ls/1";
                    return output::print_json(
                        &json!({ "schema": schema, "path": path, "entries": entries }),
                    );
                }
                if entries.is_empty() {
                    talk.say(format!("the cache {path} is empty"));
                    return Ok(());
                }
                let head = ["kind", "kernel", "for", "found", "bytes", "used", "file"];
                output::print_table(&head, &[4, 5], entries.iter().map(row).collect())
            }
            What::Verify { json } => verify(&path, json, talk),
            What::Clear { only, json } => {
                let removed = match open()? {
                    Some(cache) => cache.clear(only).map_err(failed)?,
                    None => 0,
                };
                if json {
                    let schema = "tilec.cache.clear/1";
                    return output::print_json(&json!({ "schema": schema, "removed": removed }));
                }
                talk.say(format!("removed {}", count(removed, "file")));
                Ok(())
            }
        }
    }
}

fn verify(path: &str, json: bool, talk: Talk) -> Outcome {
    let entries = entries()?;
    let bad: Vec<&Entry> = entries.iter().filter(|entry| entry.fault.is_some()).collect();
    if json {
        let schema = "tilec.cache.verify/1";
        let report = json!({
            "schema": schema, "path": path, "entries": entries.len(), "bad": bad,
        });
        output::print_json(&report)?;
    } else {
        let good = entries.len() - bad.len();
        talk.say(format!("{} checked, {good} whole", count(entries.len(), "file")));
        for entry in &bad {
            let fault = entry.fault.as_deref().unwrap_or_default();
            output::print(&format!("{}: {fault}\n", entry.file))?;
        }
    }
    match bad.len() {
        0 => Ok(()),
        n => {
            let entries = if n == 1 { "1 entry is".to_owned() } else { format!("{n} entries are") };
            let text = format!("{entries} not used; `tilec cache clear` removes them");
            Err(Failure::Verification(text))
        }
    }
}

/// The cache, if it is there.
fn open() -> Result<Option<Cache>, Failure> {
    default_root().and_then(Cache::open_existing).map_err(failed)
}

fn entries() -> Result<Vec<Entry>, Failure> {
    match open()? {
        Some(cache) => Ok(cache.list().map_err(failed)?.into_iter().map(entry).collect()),
        None => Ok(Vec::new()),
    }
}

fn entry(listed: Listed) -> Entry {
    let age = SystemTime::now().duration_since(listed.used).unwrap_or_default();
    let (fault, key, record) = match listed.content {
        Err(fault) => (Some(fault.to_string()), None, None),
        Ok((key, payload)) => {
            let is_record = key.kind == Kind::Record;
            let record = is_record.then(|| serde_json::from_slice(&payload).ok()).flatten();
            (None, Some(key), record)
        }
    };
    let file = listed.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Entry { file, bytes: listed.bytes, used_seconds_ago: age.as_secs(), fault, key, record }
}

fn row(entry: &Entry) -> Vec<String> {
    let field = |name: &str| {
        let value = entry.key.as_ref().and_then(|key| key.fields.get(name));
        value.cloned().unwrap_or_default()
    };
    let knobs = entry.record.as_ref().and_then(|record| record["knobs"].as_object());
    let knobs = knobs.map(|knobs| {
        let shown: Vec<String> = knobs.iter().map(|(name, n)| format!("{name}={n}")).collect();
        shown.join(" ")
    });
    // Of a record the launches, of an artifact what it is and for what.
    let names = ["types", "consts", "bucket", "code", "target", "gpu", "cpu", "specialisation"];
    let shape = names.map(field);
    let shape: Vec<&str> = shape.iter().map(String::as_str).filter(|s| !s.is_empty()).collect();
    let kind = entry.key.as_ref().map_or("-".to_owned(), |key| key.kind.to_string());
    let age = std::time::Duration::from_secs(entry.used_seconds_ago);
    vec![
        kind,
        field("kernel"),
        shape.join(" "),
        entry.fault.clone().or(knobs).unwrap_or_default(),
        entry.bytes.to_string(),
        format!("{} ago", humantime::format_duration(age)),
        entry.file.clone(),
    ]
}

fn parse_kind(text: &str) -> Result<Kind, String> {
    Kind::ALL
        .into_iter()
        .find(|kind| kind.name() == text)
        .ok_or_else(|| format!("known are {}", Kind::ALL.map(Kind::name).join(", ")))
}

fn failed(error: CacheError) -> Failure {
    Failure::Usage(error.to_string())
}
