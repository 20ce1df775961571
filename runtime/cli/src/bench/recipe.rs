//! Recipes: what a row that takes several kernels is made of.
//!
//! A step names a kernel, its numbers, and how often the row has it. A number is written out, or as a product of the row's
//! own numbers: `batch*tokens`, `width/heads`. A step may be a recipe itself.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use tilec_vocab::DType;

use super::{Case, Data};
use crate::failure::Failure;

/// Recipes inside one another.
const MAX_DEPTH: usize = 4;

/// What a row is made of.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// One line: what the steps do, and what they leave out.
    pub about: String,
    /// In the order in which they are run.
    steps: Vec<RecipeStep>,
}

/// One step of a recipe.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecipeStep {
    /// `file::kernel`, or the kernel of a file's own name.
    kernel: Option<String>,
    /// Another recipe, in place of a kernel.
    recipe: Option<String>,
    /// How often.
    #[serde(default = "once")]
    repeat: Value,
    /// Numbers of its own; it sees those of the row too.
    #[serde(default)]
    shape: Map<String, Value>,
    #[serde(default)]
    floats: BTreeMap<String, f64>,
    #[serde(default)]
    data: Map<String, Value>,
    /// The element type of generic tensors, if not the row's.
    dtype: Option<String>,
    /// Its operations, where they cannot be counted or are not what is customary.
    flops: Option<KnownText>,
}

/// Operations as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum KnownText {
    /// So many times those of another kernel on the same numbers.
    Like { like: String, times: f64 },
    /// A number.
    Number(Value),
}

/// Operations that a recipe knows.
#[derive(Clone, Debug)]
pub enum Known {
    /// So many.
    Number(u64),
    /// So many times those of this kernel of this file on the same numbers.
    Like(String, String, f64),
}

/// A call of one kernel, so many times.
#[derive(Clone, Debug)]
pub struct Step {
    /// The file: see [`super::source`].
    pub file: String,
    /// The kernel in it.
    pub kernel: String,
    /// What it is called with.
    pub case: Case,
    /// How often the row has it.
    pub repeat: u64,
    /// Its operations, if the recipe knows them.
    pub flops: Option<Known>,
}

fn once() -> Value {
    Value::from(1)
}

/// All recipes by name.
pub fn all() -> Result<BTreeMap<String, Recipe>, Failure> {
    serde_json::from_str(include_str!("../../suites/recipes.json"))
        .map_err(|error| Failure::bug(format!("recipes: {error}")))
}

impl Step {
    /// One call of `name`: `file::kernel`, or the kernel of a file's own name.
    pub fn new(name: &str, case: Case, repeat: u64) -> Step {
        let (file, kernel) = file_and_kernel(name);
        Step { file, kernel, case, repeat, flops: None }
    }
}

fn file_and_kernel(name: &str) -> (String, String) {
    let (file, kernel) = name.split_once("::").unwrap_or((name, name));
    (file.to_owned(), kernel.to_owned())
}

/// The steps of `name` for the numbers of `case`, recipes among them replaced by theirs.
pub fn steps(
    recipes: &BTreeMap<String, Recipe>,
    name: &str,
    case: &Case,
) -> Result<Vec<Step>, String> {
    let mut out = Vec::new();
    expand(recipes, name, case, 1, 0, &mut out)?;
    Ok(out)
}

fn expand(
    recipes: &BTreeMap<String, Recipe>,
    name: &str,
    case: &Case,
    times: u64,
    depth: usize,
    out: &mut Vec<Step>,
) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("recipe `{name}` is inside {MAX_DEPTH} others"));
    }
    let recipe = recipes.get(name).ok_or_else(|| format!("there is no recipe `{name}`"))?;
    for step in &recipe.steps {
        let mut own = case.clone();
        for (name, value) in &step.shape {
            own.shape.insert(name.clone(), number(value, &case.shape)?);
        }
        own.floats.extend(step.floats.clone());
        for (name, value) in &step.data {
            own.data.insert(name.clone(), data(value, &own.shape)?);
        }
        if let Some(dtype) = &step.dtype {
            own.dtype = DType::from_name(dtype).ok_or_else(|| format!("no type `{dtype}`"))?;
        }
        let repeat = number(&step.repeat, &case.shape)?;
        let repeat = u64::try_from(repeat).map_err(|_| format!("{repeat} times"))? * times;
        match (&step.kernel, &step.recipe) {
            (Some(kernel), None) => {
                let flops = match &step.flops {
                    None => None,
                    Some(KnownText::Like { like, times }) => {
                        let (file, kernel) = file_and_kernel(like);
                        Some(Known::Like(file, kernel, *times))
                    }
                    Some(KnownText::Number(value)) => {
                        let flops = number(value, &own.shape)?;
                        Some(Known::Number(u64::try_from(flops).map_err(|_| format!("{flops}"))?))
                    }
                };
                out.push(Step { flops, ..Step::new(kernel, own, repeat) });
            }
            (None, Some(inner)) => expand(recipes, inner, &own, repeat, depth + 1, out)?,
            _ => return Err(format!("a step of recipe `{name}` is a kernel or a recipe")),
        }
    }
    Ok(())
}

/// What integers to fill a tensor with: a number, `arange`, `shuffled`, or `below V`.
pub fn data(value: &Value, known: &BTreeMap<String, i64>) -> Result<Data, String> {
    match value.as_str() {
        Some("arange") => Ok(Data::Arange),
        Some("shuffled") => Ok(Data::Shuffled),
        Some(text) if text.starts_with("below ") => {
            Ok(Data::Below(term(text.trim_start_matches("below "), known)?))
        }
        _ => Ok(Data::Constant(number(value, known)?)),
    }
}

/// A number as written: `3`, `"tokens"`, `"2*layers"`, `"width/heads"`.
fn number(value: &Value, known: &BTreeMap<String, i64>) -> Result<i64, String> {
    let text = match value {
        Value::Number(number) => return number.as_i64().ok_or_else(|| format!("{number}")),
        Value::String(text) => text,
        other => return Err(format!("{other} is no number")),
    };
    let sum = |text: &str| text.split('+').try_fold(0, |all, part| Ok(all + product(part, known)?));
    sum(text).map_err(|error: String| format!("`{text}`: {error}"))
}

/// Factors and divisors, from left to right; a division has no remainder.
fn product(text: &str, known: &BTreeMap<String, i64>) -> Result<i64, String> {
    let mut value = 1i64;
    for part in text.split_inclusive(['*', '/']).scan('*', |before, part| {
        let name = part.trim_end_matches(['*', '/']);
        let operator = std::mem::replace(before, part.chars().last().unwrap_or('*'));
        Some((operator, name))
    }) {
        let (operator, name) = part;
        let factor = term(name, known)?;
        value = match operator {
            '/' if factor != 0 && value % factor == 0 => value / factor,
            '/' => return Err(format!("{factor} does not divide {value}")),
            _ => value.checked_mul(factor).ok_or("it overflows")?,
        };
    }
    Ok(value)
}

fn term(name: &str, known: &BTreeMap<String, i64>) -> Result<i64, String> {
    let name = name.trim();
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    known.get(name).copied().ok_or_else(|| format!("`{name}` is not known"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_products_and_sums() {
        let known = [("batch", 4), ("tokens", 6), ("layers", 3)];
        let known: BTreeMap<String, i64> =
            known.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
        let of = |text: &str| number(&Value::from(text), &known);
        assert_eq!(of("batch*tokens"), Ok(24));
        assert_eq!(of("batch*tokens/layers"), Ok(8));
        assert_eq!(of("2*layers+1"), Ok(7));
        assert_eq!(number(&Value::from(5), &known), Ok(5));
        assert_eq!(of("tokens/batch"), Err("`tokens/batch`: 4 does not divide 6".to_owned()));
        assert_eq!(of("heads"), Err("`heads`: `heads` is not known".to_owned()));
    }

    #[test]
    fn a_recipe_inside_itself_ends() {
        let text = r#"{"a": {"about": "itself", "steps": [{"recipe": "a"}]}}"#;
        let recipes = serde_json::from_str(text).expect("a recipe");
        let case = Case::new(DType::F32);
        assert!(steps(&recipes, "a", &case).is_err_and(|error| error.contains("inside")));
    }
}
