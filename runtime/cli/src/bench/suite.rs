//! Named suites: grids of rows as data files, each with where it comes from.

use std::collections::BTreeMap;

use serde::Deserialize;
use tilec_vocab::DType;

use super::Case;
use crate::failure::Failure;

/// A suite.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// One line.
    pub about: String,
    /// Where the rows come from, and what is known to be odd about them.
    pub provenance: String,
    /// The rows.
    pub rows: Vec<SuiteRow>,
}

/// One row: a call, or why there is none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteRow {
    /// What it is, in the report's words.
    pub row: String,
    /// The file of the kernel; see [`source`].
    pub kernel: Option<String>,
    /// Element type of generic tensors.
    #[serde(default)]
    dtype: Option<String>,
    /// Dimensions, constants, integer arguments.
    #[serde(default)]
    shape: BTreeMap<String, i64>,
    /// Floating-point arguments.
    #[serde(default)]
    floats: BTreeMap<String, f64>,
    /// What is missing for it.
    pub unsupported: Option<String>,
    /// The report's own figure.
    pub reported_ms: Option<f64>,
}

macro_rules! suites {
    ($($name:literal $file:literal;)*) => {
        /// Names of all suites.
        pub const NAMES: &[&str] = &[$($name),*];

        fn text(name: &str) -> Option<&'static str> {
            match name {
                $($name => Some(include_str!(concat!("../../suites/", $file))),)*
                _ => None,
            }
        }
    };
}

suites! {
    "seeds/a30_paged_decode" "a30_paged_decode.json";
    "seeds/fa2_sm80" "fa2_sm80.json";
    "seeds/fp32_variants" "fp32_variants.json";
    "seeds/cs336_triton" "cs336_triton.json";
    "seeds/cs336_transformer" "cs336_transformer.json";
    "variants" "variants.json";
}

/// Kernels that only suites need.
const OWN: &[(&str, &str)] = &[
    ("no_softmax", include_str!("../../suites/no_softmax.tile")),
    ("dilated", include_str!("../../suites/dilated.tile")),
    ("block_diagonal", include_str!("../../suites/block_diagonal.tile")),
];

/// The text of a row's kernel: a suite's own, or the library's.
pub fn source(kernel: &str) -> Option<&'static str> {
    let own = OWN.iter().find(|(name, _)| *name == kernel).map(|(_, text)| *text);
    own.or_else(|| tilec_kernels::find(kernel).map(|file| file.text))
}

/// The suite of this name.
pub fn find(name: &str) -> Option<Result<Suite, Failure>> {
    let text = text(name)?;
    let broken = |error| Failure::bug(format!("suite {name}: {error}"));
    Some(serde_json::from_str(text).map_err(broken))
}

impl SuiteRow {
    /// The call; none where the row is not supported.
    pub fn case(&self) -> Option<Case> {
        let dtype = self.dtype.as_deref().and_then(DType::from_name)?;
        Some(Case { dtype, shape: self.shape.clone(), floats: self.floats.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many rows as the reports have, and each either names a kernel that exists, with a type, or says what is
    /// missing.
    #[test]
    fn every_row_is_a_call_or_says_what_is_missing() -> Result<(), Failure> {
        let counts = [
            ("seeds/a30_paged_decode", 2),
            ("seeds/fa2_sm80", 30),
            ("seeds/fp32_variants", 56),
            ("seeds/cs336_triton", 207),
            ("seeds/cs336_transformer", 178),
        ];
        for name in NAMES {
            let suite = find(name).expect("a suite that is listed")?;
            let rows = suite.rows.len();
            let expected = counts.iter().find(|(n, _)| n == name).map_or(rows, |(_, n)| *n);
            assert_eq!(rows, expected, "{name}");
            assert!(!suite.about.is_empty() && !suite.provenance.is_empty(), "{name}");
            for row in &suite.rows {
                let text = &row.row;
                match (&row.kernel, &row.unsupported) {
                    (Some(kernel), None) => {
                        assert!(source(kernel).is_some(), "{name}, {text}: {kernel}");
                        assert!(row.case().is_some() && !row.shape.is_empty(), "{name}, {text}");
                    }
                    (None, Some(why)) => assert!(why.len() > 10, "{name}, {text}: {why}"),
                    _ => panic!("{name}, {text}: a kernel or a reason"),
                }
            }
        }
        Ok(())
    }
}
