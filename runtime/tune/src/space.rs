//! The candidates: every combination of choices of the kernel's knobs.

use std::collections::BTreeMap;
use std::fmt;

use tilec_ir::{GenericKind, Kernel};

/// Values of knobs by name.
pub type Knobs = BTreeMap<String, i64>;

/// More combinations than this are not tried; the author is asked to fix a knob.
pub const MAX_CANDIDATES: usize = 512;

/// Why there is nothing to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpaceError {
    /// The kernel has no `tune` clause.
    NoKnobs,
    /// More combinations than [`MAX_CANDIDATES`].
    TooMany(usize),
    /// A knob was fixed at a value that is none of its choices.
    NotAChoice(String, i64, Vec<i64>),
}

impl fmt::Display for SpaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpaceError::NoKnobs => f.write_str("it has no `tune` clause"),
            SpaceError::TooMany(count) => write!(
                f,
                "its knobs have {count} combinations, more than {MAX_CANDIDATES}; fix one with --knob"
            ),
            SpaceError::NotAChoice(name, value, choices) => {
                let choices: Vec<String> = choices.iter().map(i64::to_string).collect();
                write!(f, "`{name}` cannot be {value}; it is one of {}", choices.join(", "))
            }
        }
    }
}

/// All combinations, the default first; knobs in `fixed` keep their value.
///
/// # Errors
///
/// No knob, too many combinations, a value that is no choice.
pub fn candidates(kernel: &Kernel, fixed: &Knobs) -> Result<Vec<Knobs>, SpaceError> {
    let mut found = vec![Knobs::new()];
    for generic in kernel.generics.values() {
        let GenericKind::Knob(choices) = &generic.kind else { continue };
        let choices: Vec<i64> = match fixed.get(&generic.name) {
            Some(value) if choices.contains(value) => vec![*value],
            Some(value) => {
                let name = generic.name.clone();
                return Err(SpaceError::NotAChoice(name, *value, choices.clone()));
            }
            None => choices.clone(),
        };
        let count = found.len().saturating_mul(choices.len());
        if count > MAX_CANDIDATES {
            return Err(SpaceError::TooMany(count));
        }
        let with = |knobs: &Knobs, value: i64| {
            let mut knobs = knobs.clone();
            knobs.insert(generic.name.clone(), value);
            knobs
        };
        found = found
            .iter()
            .flat_map(|knobs| choices.iter().map(move |&value| with(knobs, value)))
            .collect();
    }
    match found.as_slice() {
        [only] if only.is_empty() => Err(SpaceError::NoKnobs),
        _ => Ok(found),
    }
}

/// `BM=64 BN=32`.
pub fn show(knobs: &Knobs) -> String {
    tilec_vocab::settings(knobs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(knobs: &[(&str, &[i64])]) -> Kernel {
        let mut kernel = Kernel::new("k", Default::default());
        for (name, choices) in knobs {
            let kind = GenericKind::Knob(choices.to_vec());
            kernel.generics.push(tilec_ir::GenericData { name: (*name).to_owned(), kind });
        }
        kernel
    }

    #[test]
    fn the_product_of_all_choices_with_the_default_first() {
        let kernel = kernel(&[("BM", &[64, 128]), ("BN", &[64, 32])]);
        let shown = |fixed: &[(&str, i64)]| -> Vec<String> {
            let fixed = fixed.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
            candidates(&kernel, &fixed).unwrap_or_default().iter().map(show).collect()
        };
        assert_eq!(shown(&[]), ["BM=64 BN=64", "BM=64 BN=32", "BM=128 BN=64", "BM=128 BN=32"]);
        assert_eq!(shown(&[("BM", 128), ("D", 64)]), ["BM=128 BN=64", "BM=128 BN=32"]);
        let fixed = Knobs::from([("BM".to_owned(), 96)]);
        let error = candidates(&kernel, &fixed).unwrap_err().to_string();
        assert_eq!(error, "`BM` cannot be 96; it is one of 64, 128");
    }

    #[test]
    fn no_knobs_and_too_many() {
        assert_eq!(candidates(&kernel(&[]), &Knobs::new()), Err(SpaceError::NoKnobs));
        let many: Vec<i64> = (1..=30).collect();
        let kernel = kernel(&[("A", &many), ("B", &many)]);
        assert_eq!(candidates(&kernel, &Knobs::new()), Err(SpaceError::TooMany(900)));
    }
}
