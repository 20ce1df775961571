//! A kernel with numbers to call it with, and what its spec makes of them.

use std::collections::BTreeMap;

use tilec_driver::specialise;
use tilec_host::{Arguments, Elements, Number, Tensor, random};
use tilec_interp::compare::{Rule, compare};
use tilec_interp::{Argument, Data, Limits, Mode, Outcome, TensorData, run};
use tilec_ir::{Elem, Extent, Kernel, ParamType};
use tilec_vocab::{DType, Specialisation};

/// Elements behind each row that belong to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// Rows start at multiples of 16 bytes, so that they can be copied asynchronously.
    Aligned,
    /// They do not.
    Odd,
}

/// What to call a kernel with.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// Extents by name.
    pub dims: BTreeMap<&'static str, i64>,
    /// Numbers by parameter; integer tensors hold numbers from 0 up to, not including, theirs.
    pub numbers: BTreeMap<&'static str, f64>,
    /// Factors on tensors of floats, 1 if not given.
    pub factors: BTreeMap<&'static str, f64>,
    /// Tensors of floats without negative elements.
    pub positive: Vec<&'static str>,
    /// Seed of everything else, which is normal with a standard deviation of 1.
    pub seed: u64,
    /// How tensors lie.
    pub gap: Gap,
}

/// Arguments, and what should come out.
pub struct Problem {
    params: Vec<(String, DType, Argument)>,
    gap: Gap,
    exact: Outcome,
    naive: Outcome,
}

impl Problem {
    /// Draws the inputs and runs the spec on them.
    ///
    /// # Panics
    ///
    /// If a dimension or a number is missing, or the spec cannot be run.
    pub fn new(
        kernel: &Kernel,
        spec: &Kernel,
        binding: &Specialisation,
        inputs: &Inputs,
    ) -> Problem {
        let extent = |extent: &Extent| match extent {
            Extent::Const(n) => *n,
            Extent::Generic(generic) => binding.ints[&kernel.generics[*generic].name],
            Extent::Dim(dim) => inputs.dims[kernel.dims[*dim].name.as_str()],
        };
        let dtype = |elem: &Elem| match elem {
            Elem::Known(dtype) => *dtype,
            Elem::Generic(generic, _) => binding.dtypes[&kernel.generics[*generic].name],
        };
        let number = |name: &str| {
            let found = inputs.numbers.get(name).copied();
            found.unwrap_or_else(|| panic!("kernel `{}`: no value for `{name}`", kernel.name))
        };
        let mut params = Vec::new();
        for (at, param) in kernel.params.values().enumerate() {
            let name = param.name.as_str();
            let (dtype, value) = match &param.ty {
                ParamType::Scalar(elem) if dtype(elem).is_float() => {
                    (dtype(elem), Argument::Float(dtype(elem).round(number(name))))
                }
                ParamType::Scalar(elem) => (dtype(elem), Argument::Int(number(name) as i64)),
                ParamType::Tensor { elem, dims, mutable } => {
                    let shape: Vec<i64> = dims.iter().map(extent).collect();
                    let count = shape.iter().product::<i64>() as u64;
                    let (dtype, seed) = (dtype(elem), inputs.seed * 1000 + at as u64);
                    let data = if !dtype.is_float() {
                        let top = number(name);
                        let draw = |i| (random::uniform(seed, i) * top) as i64;
                        Data::Int((0..count).map(draw).collect())
                    } else if *mutable {
                        Data::Float(vec![f64::NAN; count as usize])
                    } else {
                        let factor = inputs.factors.get(name).copied().unwrap_or(1.0);
                        let positive = inputs.positive.contains(&name);
                        let draw = |i| {
                            let drawn = factor * random::normal(seed, i);
                            dtype.round(if positive { drawn.abs() } else { drawn })
                        };
                        Data::Float((0..count).map(draw).collect())
                    };
                    (dtype, Argument::Tensor(TensorData { shape, data }))
                }
            };
            params.push((name.to_owned(), dtype, value));
        }
        let mut of_spec = binding.clone();
        of_spec.dtypes.retain(|name, _| spec.declares(name));
        of_spec.ints.retain(|name, _| spec.declares(name));
        let bound = specialise(spec, &of_spec).expect("a spec that fits");
        let low = binding.dtypes.values().next().copied().unwrap_or(DType::F32);
        let values = || params.iter().map(|(_, _, value)| value.clone()).collect();
        let oracle =
            |mode| run(&bound, values(), mode, Limits::default()).expect("a spec that runs");
        let (exact, naive) = (oracle(Mode::Exact), oracle(Mode::Low(low)));
        Problem { params, gap: inputs.gap, exact, naive }
    }

    /// Fresh arguments: rows and heads have gaps behind them, different ones in each tensor; gaps and outputs are NaN.
    ///
    /// # Panics
    ///
    /// If there is no memory.
    pub fn arguments(&self) -> Arguments {
        let mut args = Arguments::new();
        for (at, (name, dtype, value)) in self.params.iter().enumerate() {
            match value {
                Argument::Float(x) => args.insert(name.clone(), Number::Float(*x)),
                Argument::Int(n) => args.insert(name.clone(), Number::Int(*n)),
                Argument::Bool(b) => args.insert(name.clone(), Number::Bool(*b)),
                Argument::Tensor(data) => {
                    args.insert(name.clone(), self.tensor(at as i64, *dtype, data))
                }
            };
        }
        args
    }

    fn tensor(&self, at: i64, dtype: DType, data: &TensorData) -> Tensor {
        let in_16_bytes = (16 / dtype.size_bytes()) as i64;
        let (mut padded, last) = (data.shape.clone(), data.shape.len() - 1);
        padded[last] = (padded[last] / in_16_bytes + 2 + at % 3) * in_16_bytes;
        if self.gap == Gap::Odd {
            padded[last] += 3;
        }
        if last > 0 {
            padded[last - 1] += at % 2 + 1;
        }
        let mut tensor = Tensor::poisoned(dtype, &padded).expect("memory");
        for (dim, &extent) in data.shape.iter().enumerate() {
            tensor = tensor.slice(dim, 0, extent).expect("a part of it");
        }
        let elements = match &data.data {
            Data::Float(x) => Elements::Floats(x.clone()),
            Data::Int(x) => Elements::Ints(x.clone()),
            Data::Bool(x) => Elements::Bools(x.clone()),
        };
        tensor.write(&elements).expect("elements of its type");
        tensor
    }

    /// The names of the outputs.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.exact.outputs.iter().map(|output| output.name.as_str())
    }

    /// What the spec makes of an output of floats, unrounded.
    ///
    /// # Panics
    ///
    /// If there is none of that name.
    pub fn exact(&self, name: &str) -> Vec<f64> {
        let output = self.exact.outputs.iter().find(|output| output.name == name);
        match &output.expect("an output").tensor.data {
            Data::Float(x) => x.clone(),
            Data::Int(_) | Data::Bool(_) => panic!("`{name}` is not of floats"),
        }
    }

    /// Holds what a launch left in `args` against the spec, by the rule that `verify` has.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn judge(&self, args: &Arguments) -> Result<(), String> {
        for (exact, naive) in self.exact.outputs.iter().zip(&self.naive.outputs) {
            let Some(tilec_host::Argument::Tensor(tensor)) = args.get(&exact.name) else {
                return Err(format!("`{}` is no tensor", exact.name));
            };
            let elements = tensor.read().map_err(|error| error.to_string())?;
            self.judge_output(&exact.name, &elements, &exact.tensor, &naive.tensor)?;
        }
        Ok(())
    }

    fn judge_output(
        &self,
        name: &str,
        elements: &Elements,
        exact: &TensorData,
        naive: &TensorData,
    ) -> Result<(), String> {
        let data = match elements {
            Elements::Floats(x) => Data::Float(x.clone()),
            Elements::Ints(x) => Data::Int(x.clone()),
            Elements::Bools(x) => Data::Bool(x.clone()),
        };
        let actual = TensorData { shape: exact.shape.clone(), data };
        let compared =
            compare(&actual, exact, naive, Rule::default()).map_err(|e| e.to_string())?;
        if compared.pass { Ok(()) } else { Err(format!("`{name}`: {compared:?}")) }
    }
}
