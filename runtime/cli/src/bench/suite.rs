//! Named suites: grids of rows as data files, each with where it comes from.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use tilec_vocab::DType;

use super::Case;
use super::recipe::{self, Recipe, Step};
use crate::failure::Failure;

/// A suite.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// One line.
    pub about: String,
    /// Where the rows come from, and what is known to be odd about them.
    pub provenance: String,
    /// How many figures the report has; none if there is no report. The suite has a row for each.
    pub reported_rows: Option<usize>,
    /// The rows.
    pub rows: Vec<SuiteRow>,
}

/// One row: a kernel, a recipe, or why there is neither.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteRow {
    /// What it is, in the report's words.
    pub row: String,
    /// `file::kernel`, or the kernel of a file's own name; see [`source`].
    pub kernel: Option<String>,
    /// The name of a recipe.
    pub recipe: Option<String>,
    /// Element type of generic tensors.
    #[serde(default)]
    dtype: Option<String>,
    /// Dimensions, constants, integer arguments.
    #[serde(default)]
    shape: BTreeMap<String, i64>,
    /// Floating-point arguments.
    #[serde(default)]
    floats: BTreeMap<String, f64>,
    /// What tensors of integers hold.
    #[serde(default)]
    data: Map<String, Value>,
    /// Bytes that it touches, where that is not all of its tensors.
    pub bytes: Option<u64>,
    /// What it leaves out of what the report measured.
    pub note: Option<String>,
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
    "fa_grid" "fa_grid.json";
    "decode_grid" "decode_grid.json";
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
    /// The calls; none where the row is not supported.
    pub fn steps(&self, recipes: &BTreeMap<String, Recipe>) -> Result<Vec<Step>, Failure> {
        self.expand(recipes)
            .map_err(|error| Failure::bug(format!("row {} of a suite: {error}", self.row)))
    }

    /// What its recipe does, and what it leaves out.
    pub fn remark(&self, recipes: &BTreeMap<String, Recipe>) -> Option<String> {
        let recipe = self.recipe.as_ref().and_then(|name| recipes.get(name));
        let parts = recipe.map(|recipe| recipe.about.clone()).into_iter().chain(self.note.clone());
        Some(parts.collect::<Vec<_>>().join("; ")).filter(|text| !text.is_empty())
    }

    fn expand(&self, recipes: &BTreeMap<String, Recipe>) -> Result<Vec<Step>, String> {
        if self.unsupported.is_some() {
            return Ok(Vec::new());
        }
        let dtype = self.dtype.as_deref().and_then(DType::from_name).ok_or("it has no type")?;
        let mut case = Case::new(dtype);
        case.shape.clone_from(&self.shape);
        case.floats.clone_from(&self.floats);
        for (name, value) in &self.data {
            case.data.insert(name.clone(), recipe::data(value, &self.shape)?);
        }
        match (&self.kernel, &self.recipe) {
            (Some(kernel), None) => Ok(vec![Step::new(kernel, case, 1)]),
            (None, Some(recipe)) => recipe::steps(recipes, recipe, &case),
            _ => Err("it is a kernel or a recipe".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many rows as the reports have figures, and each either calls kernels that exist, or says what is missing.
    #[test]
    fn every_row_is_a_call_or_says_what_is_missing() -> Result<(), Failure> {
        let recipes = recipe::all()?;
        for name in NAMES {
            let suite = find(name).expect("a suite that is listed")?;
            assert!(!suite.about.is_empty() && !suite.provenance.is_empty(), "{name}");
            assert_eq!(suite.reported_rows.is_some(), name.starts_with("seeds/"), "{name}");
            assert_eq!(suite.rows.len(), suite.reported_rows.unwrap_or(suite.rows.len()), "{name}");
            for row in &suite.rows {
                let text = &row.row;
                let steps = row.steps(&recipes)?;
                match &row.unsupported {
                    Some(why) => assert!(why.len() > 10 && steps.is_empty(), "{name}, {text}"),
                    None => assert!(!steps.is_empty(), "{name}, {text}"),
                }
                for step in steps {
                    assert!(source(&step.file).is_some(), "{name}, {text}: {}", step.file);
                    assert!(step.repeat > 0 && !step.case.shape.is_empty(), "{name}, {text}");
                }
            }
        }
        Ok(())
    }
}
