//! Arguments and results: dense tensors without strides, and numbers.

/// Elements of a tensor or tile, by class. Each class is held in its widest type.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// `f16`, `bf16`, `f32`, and the unrounded numbers of exact mode.
    Float(Vec<f64>),
    /// `i32`, `i64`.
    Int(Vec<i64>),
    /// `bool`.
    Bool(Vec<bool>),
}

impl Data {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Data::Float(x) => x.len(),
            Data::Int(x) => x.len(),
            Data::Bool(x) => x.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `float`, `int` or `bool`.
    pub fn class(&self) -> &'static str {
        match self {
            Data::Float(_) => "float",
            Data::Int(_) => "int",
            Data::Bool(_) => "bool",
        }
    }
}

/// A dense tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorData {
    /// Extents; empty for one element.
    pub shape: Vec<i64>,
    /// Elements; as many as the product of the extents.
    pub data: Data,
}

impl TensorData {
    /// A tensor of floats.
    pub fn floats(shape: impl Into<Vec<i64>>, data: impl Into<Vec<f64>>) -> TensorData {
        TensorData { shape: shape.into(), data: Data::Float(data.into()) }
    }

    /// A tensor of integers.
    pub fn ints(shape: impl Into<Vec<i64>>, data: impl Into<Vec<i64>>) -> TensorData {
        TensorData { shape: shape.into(), data: Data::Int(data.into()) }
    }

    /// A tensor of truth values.
    pub fn bools(shape: impl Into<Vec<i64>>, data: impl Into<Vec<bool>>) -> TensorData {
        TensorData { shape: shape.into(), data: Data::Bool(data.into()) }
    }

    /// Whether the extents are not negative and their product is the number of elements.
    pub fn is_sound(&self) -> bool {
        // An extent of 0 makes any product 0; the others must not overflow on the way.
        let mut extents = self.shape.iter().map(|&extent| usize::try_from(extent).ok());
        let product = if self.shape.contains(&0) {
            extents.all(|extent| extent.is_some()).then_some(0)
        } else {
            extents.try_fold(1_usize, |product, extent| product.checked_mul(extent?))
        };
        product == Some(self.data.len())
    }

    /// The index, one number for each dimension, of the element at `offset`.
    pub fn position(&self, offset: usize) -> Vec<i64> {
        let mut rest = i64::try_from(offset).unwrap_or(i64::MAX);
        let mut index = vec![0; self.shape.len()];
        for (place, &extent) in index.iter_mut().zip(&self.shape).rev() {
            *place = rest % extent.max(1);
            rest /= extent.max(1);
        }
        index
    }
}

/// What a parameter is given.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// For a tensor.
    Tensor(TensorData),
    /// For a float.
    Float(f64),
    /// For an integer.
    Int(i64),
    /// For a `bool`.
    Bool(bool),
}

impl Argument {
    /// What it is, for errors: `tensor of float`, `int`.
    pub fn describe(&self) -> String {
        match self {
            Argument::Tensor(tensor) => format!("tensor of {}", tensor.data.class()),
            Argument::Float(_) => "float".to_owned(),
            Argument::Int(_) => "int".to_owned(),
            Argument::Bool(_) => "bool".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soundness() {
        let sound = |shape: &[i64], n: usize| TensorData::floats(shape, vec![0.0; n]).is_sound();
        assert!(sound(&[], 1) && sound(&[2, 3], 6) && sound(&[0, i64::MAX, i64::MAX], 0));
        assert!(!sound(&[2, 3], 5) && !sound(&[-1, -1], 1) && !sound(&[0, -1], 0));
        assert!(!sound(&[i64::MAX, i64::MAX], 1));
    }

    #[test]
    fn positions_are_row_major() {
        let tensor = TensorData::floats([2, 3, 4], vec![0.0; 24]);
        assert_eq!(tensor.position(0), [0, 0, 0]);
        assert_eq!(tensor.position(23), [1, 2, 3]);
        assert_eq!(tensor.position(13), [1, 0, 1]);
    }
}
