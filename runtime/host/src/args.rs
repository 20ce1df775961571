//! Arguments by name, as the caller gives them.

use std::collections::BTreeMap;

use crate::{Number, Tensor};

/// One argument.
#[derive(Clone, Debug)]
pub enum Argument {
    /// A view of memory.
    Tensor(Tensor),
    /// A number.
    Number(Number),
}

/// Arguments by the names of the parameters they go to.
#[derive(Clone, Debug, Default)]
pub struct Arguments(BTreeMap<String, Argument>);

impl Arguments {
    /// No arguments.
    pub fn new() -> Arguments {
        Arguments::default()
    }

    /// Adds an argument; hands back one that had the name before.
    pub fn insert(
        &mut self,
        name: impl Into<String>,
        argument: impl Into<Argument>,
    ) -> Option<Argument> {
        self.0.insert(name.into(), argument.into())
    }

    /// The argument of this name.
    pub fn get(&self, name: &str) -> Option<&Argument> {
        self.0.get(name)
    }

    /// All arguments, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Argument)> {
        self.0.iter().map(|(name, argument)| (name.as_str(), argument))
    }
}

impl Argument {
    /// What it is, for a message: `a tensor f16[1, 8, 64]`, `the number 3`.
    pub fn describe(&self) -> String {
        match self {
            Argument::Tensor(tensor) => format!("a tensor {}{:?}", tensor.dtype(), tensor.shape()),
            Argument::Number(Number::Bool(value)) => format!("the truth value {value}"),
            Argument::Number(number) => format!("the number {number}"),
        }
    }
}

impl From<Tensor> for Argument {
    fn from(tensor: Tensor) -> Argument {
        Argument::Tensor(tensor)
    }
}

impl From<&Tensor> for Argument {
    fn from(tensor: &Tensor) -> Argument {
        Argument::Tensor(tensor.clone())
    }
}

impl From<Number> for Argument {
    fn from(number: Number) -> Argument {
        Argument::Number(number)
    }
}

impl From<f64> for Argument {
    fn from(value: f64) -> Argument {
        Argument::Number(Number::Float(value))
    }
}

impl From<i64> for Argument {
    fn from(value: i64) -> Argument {
        Argument::Number(Number::Int(value))
    }
}

impl From<bool> for Argument {
    fn from(value: bool) -> Argument {
        Argument::Number(Number::Bool(value))
    }
}
