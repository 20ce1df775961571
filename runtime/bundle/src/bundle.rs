//! The file: a line with a checksum, then artifacts as JSON.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tilec_vocab::{Artifact, Contract, ParamKind, Payload, Record};

/// The format this version writes and reads.
const FORMAT: u32 = 1;
const MAGIC: &str = "tilec-pack";

/// No bundle is larger: what claims to be is not read.
const MAX_BYTES: u64 = 256 << 20;

/// Kernels, ready to launch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// The version of the compiler.
    pub tilec: String,
    /// Of PTX each, for one target; earlier ones are preferred.
    pub artifacts: Vec<Artifact>,
    /// What tuning found: which artifact is the fastest for which shapes on which GPU.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<Record>,
}

/// Why a file is no bundle.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum Fault {
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    #[error("it is no bundle: it does not start with `{MAGIC}`")]
    Other,
    #[error("it has format {0}, this version reads format {FORMAT}")]
    Format(String),
    #[error("it is damaged: its checksum does not fit")]
    Damaged,
    #[error("it does not hold what a bundle does: {0}")]
    Contents(String),
}

impl Bundle {
    /// The file's bytes.
    ///
    /// # Errors
    ///
    /// Artifacts that are not of PTX, or whose contracts are not whole.
    pub fn encode(&self) -> Result<Vec<u8>, Fault> {
        self.check()?;
        let rest = serde_json::to_vec(self).map_err(|error| Fault::Contents(error.to_string()))?;
        let mut bytes = first_line(&rest).into_bytes();
        bytes.extend_from_slice(&rest);
        Ok(bytes)
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with them.
    pub fn decode(bytes: &[u8]) -> Result<Bundle, Fault> {
        let end = bytes.iter().take(128).position(|&byte| byte == b'\n').ok_or(Fault::Other)?;
        let first = std::str::from_utf8(&bytes[..=end]).map_err(|_| Fault::Other)?;
        let mut words = first.split_whitespace();
        match (words.next(), words.next()) {
            (Some(MAGIC), Some(format)) if format != FORMAT.to_string() => {
                return Err(Fault::Format(format.to_owned()));
            }
            (Some(MAGIC), Some(_)) => {}
            _ => return Err(Fault::Other),
        }
        let rest = &bytes[end + 1..];
        if first_line(rest) != first {
            return Err(Fault::Damaged);
        }
        let bundle: Bundle =
            serde_json::from_slice(rest).map_err(|error| Fault::Contents(error.to_string()))?;
        bundle.check()?;
        Ok(bundle)
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is no bundle.
    pub fn read(path: &Path) -> Result<Bundle, Fault> {
        let unreadable = |error: std::io::Error| Fault::Unreadable(error.to_string());
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        // The size that a file says may not be what comes: it may be a pipe, or grow.
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(Fault::Unreadable(format!("no bundle has more than {MAX_BYTES} bytes")));
        }
        Bundle::decode(&bytes)
    }

    /// The targets that there is code for.
    pub fn targets(&self) -> Vec<&str> {
        let targets: BTreeSet<&str> = self.artifacts.iter().filter_map(target).collect();
        targets.into_iter().collect()
    }

    /// The kernels that there is code for.
    pub fn kernels(&self) -> Vec<&str> {
        let names = self.artifacts.iter().map(|artifact| artifact.contract.kernel.as_str());
        names.collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn check(&self) -> Result<(), Fault> {
        self.artifacts.iter().try_for_each(|artifact| {
            let name = &artifact.contract.kernel;
            let wrong = |what: &str| Fault::Contents(format!("kernel `{name}`: {what}"));
            whole(&artifact.contract).map_err(|what| wrong(&what))?;
            let Payload::Ptx(variants) = &artifact.payload else {
                return Err(wrong("its code is tile IR, which only a compiler runs"));
            };
            let Some(first) = variants.first() else { return Err(wrong("it has no code")) };
            for code in variants {
                if code.target != first.target {
                    return Err(wrong("its variants are for different targets"));
                }
                if code.assumes.len() != artifact.contract.params.len() {
                    return Err(wrong("its code is for another number of parameters"));
                }
                if code.cubin.as_ref().is_some_and(|cubin| !cubin.is_whole()) {
                    return Err(wrong("its cubin is not whole"));
                }
                if !(1..=1024).contains(&code.threads) {
                    return Err(wrong("a CTA has 1 to 1024 threads"));
                }
            }
            Ok(())
        })
    }
}

/// What an artifact of a bundle is for.
pub(crate) fn target(artifact: &Artifact) -> Option<&str> {
    match &artifact.payload {
        Payload::Ptx(variants) => variants.first().map(|code| code.target.as_str()),
        Payload::TileIr(_) => None,
    }
}

/// Every dimension that a contract names is one it declares.
fn whole(contract: &Contract) -> Result<(), String> {
    let declared = |dim: &String| {
        contract.dims.contains(dim) || contract.consts.iter().any(|(name, _)| name == dim)
    };
    for param in &contract.params {
        if let ParamKind::Tensor { dims, .. } = &param.kind
            && let Some(dim) = dims.iter().find(|dim| !declared(dim))
        {
            return Err(format!("parameter `{}` has a dimension `{dim}` of no extent", param.name));
        }
    }
    Ok(())
}

fn first_line(rest: &[u8]) -> String {
    let digest = Sha256::digest(rest);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{MAGIC} {FORMAT} sha256={hex}\n")
}
