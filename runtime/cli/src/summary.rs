//! A tensor in one line: its range, its mean, what is not a number, its first values.

use serde::Serialize;
use tilec_host::{Elements, RuntimeError, Tensor};

/// What is said of one tensor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Element type.
    pub dtype: String,
    /// Extents.
    pub shape: Vec<i64>,
    /// Smallest value that is a number; `null` if there is none.
    pub min: Option<f64>,
    /// Largest value that is a number.
    pub max: Option<f64>,
    /// Mean of the finite values.
    pub mean: Option<f64>,
    /// How many are NaN.
    pub nans: usize,
    /// How many are infinite.
    pub infinities: usize,
    /// The first values in row-major order, as text, so that `inf` and `nan` have one.
    pub first: Vec<String>,
}

/// How many first values are shown.
const FIRST: usize = 4;

impl Summary {
    /// Reads the whole tensor.
    pub fn of(tensor: &Tensor) -> Result<Summary, RuntimeError> {
        let elements = tensor.read()?;
        let first = match &elements {
            Elements::Floats(values) => values.iter().take(FIRST).map(|&x| short(x)).collect(),
            Elements::Ints(values) => values.iter().take(FIRST).map(i64::to_string).collect(),
            Elements::Bools(values) => values.iter().take(FIRST).map(bool::to_string).collect(),
        };
        let values = elements.into_f64s();
        let numbers = || values.iter().copied().filter(|x| !x.is_nan());
        let finite = || values.iter().copied().filter(|x| x.is_finite());
        let finite_count = finite().count();
        Ok(Summary {
            dtype: tensor.dtype().to_string(),
            shape: tensor.shape().to_vec(),
            min: numbers().reduce(f64::min),
            max: numbers().reduce(f64::max),
            mean: (finite_count > 0).then(|| finite().sum::<f64>() / finite_count as f64),
            nans: values.iter().filter(|x| x.is_nan()).count(),
            infinities: values.iter().filter(|x| x.is_infinite()).count(),
            first,
        })
    }

    /// `f16[1, 8, 64]`
    pub fn ty(&self) -> String {
        format!("{}{:?}", self.dtype, self.shape)
    }

    /// Minimum, maximum, mean, NaN count and first values, as cells of a table.
    pub fn cells(&self) -> Vec<String> {
        let number = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), short);
        let more = if self.shape.iter().product::<i64>() > FIRST as i64 { " …" } else { "" };
        vec![
            number(self.min),
            number(self.max),
            number(self.mean),
            self.nans.to_string(),
            format!("{}{more}", self.first.join(" ")),
        ]
    }
}

/// Four significant digits.
pub fn short(x: f64) -> String {
    if x == 0.0 || !x.is_finite() {
        return if x.is_nan() { "nan".to_owned() } else { format!("{x}") };
    }
    match x.abs() {
        a if (1e-3..9999.5).contains(&a) => {
            let digits = (3 - a.log10().floor() as i32).max(0) as usize;
            format!("{x:.digits$}")
        }
        a if (1.0..1e15).contains(&a) && a.fract() == 0.0 => format!("{x}"),
        _ => format!("{x:.3e}"),
    }
}

/// As many digits as tell one f32 from its neighbours.
pub fn precise(x: f64) -> String {
    if x.fract() == 0.0 && x.abs() < 1e15 { format!("{x}") } else { format!("{}", x as f32) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tilec_vocab::DType;

    #[test]
    fn nan_and_infinity_are_counted_and_do_not_hide_the_rest() -> Result<(), RuntimeError> {
        let values = [f64::NAN, 1.0, f64::NEG_INFINITY, -3.0, 2.5];
        let summary = Summary::of(&Tensor::from_f64s(DType::F32, &[5], &values)?)?;
        assert_eq!((summary.nans, summary.infinities), (1, 1));
        assert_eq!((summary.min, summary.max), (Some(f64::NEG_INFINITY), Some(2.5)));
        assert_eq!(summary.mean, Some(0.5 / 3.0));
        assert_eq!(summary.cells(), ["-inf", "2.500", "0.1667", "1", "nan 1.000 -inf -3.000 …"]);
        Ok(())
    }

    #[test]
    fn nothing_has_no_range() -> Result<(), RuntimeError> {
        let summary = Summary::of(&Tensor::zeros(DType::F16, &[0, 3])?)?;
        assert_eq!(summary.cells(), ["-", "-", "-", "0", ""]);
        Ok(())
    }

    #[test]
    fn four_digits() {
        let shown = [1234.5, 0.001, 0.00099, -12.3456, 65504.0, 1e20].map(short);
        assert_eq!(shown, ["1234", "0.001000", "9.900e-4", "-12.35", "65504", "1.000e20"]);
    }
}
