//! The launch contract: every check between a caller's arguments and compiled code.
//!
//! All arithmetic is in `i128`, so that no sum of products of `i64` wraps. What passes is a
//! [`Launch`]; compiled code then needs no check of its own but the bounds it was compiled with.

use std::collections::BTreeMap;

use tilec_vocab::{Bug, Contract, HostExpr, ParamKind, ParamSpec};

use crate::reach::share_bytes;
use crate::{
    Arg, Argument, Arguments, LaunchArgs, RuntimeError, Side, Tensor, overlaps_itself, reach,
};

/// The most programs one launch may have: the limit of CUDA's first grid dimension, on every device.
pub const MAX_PROGRAMS: i128 = (1 << 31) - 1;

/// Arguments that passed every check of a contract.
#[derive(Clone, Debug)]
pub struct Launch {
    contract: Contract,
    /// By parameter; `None` for numbers. They keep the memory behind `args` alive.
    tensors: Vec<Option<Tensor>>,
    args: LaunchArgs,
}

impl Launch {
    /// The contract the arguments were checked against.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// The arguments by position.
    pub fn args(&self) -> &LaunchArgs {
        &self.args
    }

    /// Tensor arguments: name, tensor, whether it is written.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Tensor, bool)> {
        self.contract.params.iter().zip(&self.tensors).filter_map(|(param, tensor)| {
            let written = matches!(param.kind, ParamKind::Tensor { mutable: true, .. });
            Some((param.name.as_str(), tensor.as_ref()?, written))
        })
    }
}

/// Checks `args` against `contract`.
///
/// # Errors
///
/// The first thing that does not hold, in the order: names; kind, type, rank and extents of each
/// argument; reach, alignment, overlap; `require` conditions; grid.
pub fn bind(contract: &Contract, args: &Arguments) -> Result<Launch, RuntimeError> {
    let binder = Binder { contract };
    binder.names(args)?;
    let mut names = Names::default();
    let mut tensors = Vec::new();
    let mut bound = Vec::new();
    for param in &contract.params {
        let argument = args.get(&param.name).ok_or_else(|| binder.missing(param))?;
        let (tensor, arg) = match (&param.kind, argument) {
            (ParamKind::Tensor { .. }, Argument::Tensor(tensor)) => {
                binder.tensor(param, tensor, &mut names)?;
                (Some(tensor.clone()), Arg::Tensor(tensor.raw()))
            }
            (ParamKind::Scalar(dtype), Argument::Number(number)) => {
                let scalar = number.to(*dtype).ok_or_else(|| binder.kind(param, argument))?;
                if let Some(value) = scalar.to_i64() {
                    names.values.insert(param.name.clone(), value);
                }
                (None, Arg::Scalar(scalar))
            }
            (ParamKind::Tensor { .. }, Argument::Number(_))
            | (ParamKind::Scalar(_), Argument::Tensor(_)) => {
                return Err(binder.kind(param, argument));
            }
        };
        tensors.push(tensor);
        bound.push(arg);
    }
    binder.memory(&tensors)?;
    binder.requires(&names)?;
    let grid = binder.grid(&names)?;
    let dims = contract.dims.iter().map(|name| {
        names.values.get(name).copied().ok_or_else(|| {
            let message = format!("dimension `{name}` of `{}` is in no parameter", contract.kernel);
            RuntimeError::Bug(Bug::new("launch", message))
        })
    });
    let dims = dims.collect::<Result<_, _>>()?;
    let args = LaunchArgs { args: bound, dims, grid };
    Ok(Launch { contract: contract.clone(), tensors, args })
}

/// What names stand for in this launch.
#[derive(Default)]
struct Names {
    values: BTreeMap<String, i64>,
    /// Where a dimension's extent was first seen.
    seen: BTreeMap<String, Side>,
}

struct Binder<'a> {
    contract: &'a Contract,
}

impl Binder<'_> {
    fn kernel(&self) -> String {
        self.contract.kernel.clone()
    }

    fn names(&self, args: &Arguments) -> Result<(), RuntimeError> {
        let known = |name: &str| self.contract.params.iter().any(|param| param.name == name);
        match args.iter().find(|(name, _)| !known(name)) {
            None => Ok(()),
            Some((argument, _)) => Err(RuntimeError::Unknown {
                kernel: self.kernel(),
                argument: argument.to_owned(),
                params: list(self.contract.params.iter().map(|param| format!("`{}`", param.name))),
            }),
        }
    }

    fn missing(&self, param: &ParamSpec) -> RuntimeError {
        RuntimeError::Missing {
            kernel: self.kernel(),
            argument: param.name.clone(),
            expected: expected(param),
        }
    }

    fn kind(&self, param: &ParamSpec, got: &Argument) -> RuntimeError {
        RuntimeError::Kind {
            kernel: self.kernel(),
            argument: param.name.clone(),
            expected: expected(param),
            got: got.describe(),
        }
    }

    /// Type, rank, extents, reach, alignment, overlap with itself.
    fn tensor(
        &self,
        param: &ParamSpec,
        tensor: &Tensor,
        names: &mut Names,
    ) -> Result<(), RuntimeError> {
        let ParamKind::Tensor { dtype, dims, mutable } = &param.kind else { return Ok(()) };
        let (kernel, argument) = (self.kernel(), param.name.clone());
        let (shape, strides) = (tensor.shape().to_vec(), tensor.strides().to_vec());
        if tensor.dtype() != *dtype {
            let (expected, got) = (*dtype, tensor.dtype());
            return Err(RuntimeError::DType { kernel, argument, expected, got });
        }
        if shape.len() != dims.len() {
            let (expected, dims) = (dims.len(), format!("[{}]", dims.join(", ")));
            return Err(RuntimeError::Rank { kernel, argument, expected, dims, got: shape });
        }
        for (dim, (name, &extent)) in dims.iter().zip(&shape).enumerate() {
            self.extent(name, Side { argument: argument.clone(), dim, extent }, names)?;
        }
        let elements = tensor.capacity() as i128;
        if let Some((lowest, highest)) = reach(&shape, &strides, tensor.offset())
            && (lowest < 0 || highest >= elements)
        {
            return Err(RuntimeError::ArgumentReach {
                kernel,
                argument,
                lowest,
                highest,
                elements,
            });
        }
        let alignment = dtype.size_bytes();
        if !tensor.raw().address.addr().is_multiple_of(alignment) {
            return Err(RuntimeError::Misaligned { kernel, argument, alignment });
        }
        if *mutable && overlaps_itself(&shape, &strides) {
            return Err(RuntimeError::Overlap { kernel, argument, shape, strides });
        }
        Ok(())
    }

    /// Every name has one extent; a name fixed at compile time has that one.
    fn extent(&self, name: &str, side: Side, names: &mut Names) -> Result<(), RuntimeError> {
        if let Some((_, expected)) = self.contract.consts.iter().find(|(known, _)| known == name)
            && *expected != side.extent
        {
            return Err(RuntimeError::ConstExtent {
                kernel: self.kernel(),
                name: name.to_owned(),
                expected: *expected,
                got: side,
            });
        }
        match names.seen.get(name) {
            Some(first) if first.extent != side.extent => Err(RuntimeError::Extents {
                kernel: self.kernel(),
                name: name.to_owned(),
                first: Box::new(first.clone()),
                second: Box::new(side),
            }),
            Some(_) => Ok(()),
            None => {
                names.values.insert(name.to_owned(), side.extent);
                names.seen.insert(name.to_owned(), side);
                Ok(())
            }
        }
    }

    /// No byte of a written tensor belongs to another argument.
    fn memory(&self, tensors: &[Option<Tensor>]) -> Result<(), RuntimeError> {
        let views: Vec<_> = self
            .contract
            .params
            .iter()
            .zip(tensors)
            .filter_map(|(param, tensor)| {
                let written = matches!(param.kind, ParamKind::Tensor { mutable: true, .. });
                Some((param, tensor.as_ref()?, written))
            })
            .collect();
        for (i, (param, tensor, written)) in views.iter().enumerate() {
            for (j, (other, other_tensor, other_written)) in views.iter().enumerate() {
                let twice = *other_written && j < i;
                if !written || i == j || twice || tensor.place() != other_tensor.place() {
                    continue;
                }
                if share_bytes(&tensor.raw(), &other_tensor.raw()) {
                    return Err(RuntimeError::Alias {
                        kernel: self.kernel(),
                        argument: param.name.clone(),
                        other: other.name.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    fn requires(&self, names: &Names) -> Result<(), RuntimeError> {
        for require in &self.contract.requires {
            let (kernel, values) = (self.kernel(), self.values(&[&require.expr], names));
            match self.eval(&require.expr, names) {
                Some(0) => {
                    let text = require.text.clone();
                    return Err(RuntimeError::Require { kernel, text, values });
                }
                Some(_) => {}
                None => {
                    let what = format!("`require {}`", require.text);
                    return Err(RuntimeError::Arithmetic { kernel, what, values });
                }
            }
        }
        Ok(())
    }

    fn grid(&self, names: &Names) -> Result<Vec<i64>, RuntimeError> {
        let exprs: Vec<&HostExpr> = self.contract.grid.iter().collect();
        let text = exprs.iter().map(|expr| expr.to_string()).collect::<Vec<_>>().join(", ");
        let values = self.values(&exprs, names);
        let mut extents = Vec::new();
        let mut programs: i128 = 1;
        let limit = MAX_PROGRAMS;
        for expr in &exprs {
            let extent = self.eval(expr, names).ok_or_else(|| RuntimeError::Arithmetic {
                kernel: self.kernel(),
                what: format!("the grid size `{expr}`"),
                values: values.clone(),
            })?;
            programs = programs.saturating_mul(extent);
            let (kernel, grid, values) = (self.kernel(), text.clone(), values.clone());
            match i64::try_from(extent) {
                Ok(fits) if (0..=limit).contains(&extent) => extents.push(fits),
                Ok(_) | Err(_) => {
                    let programs = extent;
                    return Err(RuntimeError::Grid { kernel, grid, programs, values, limit });
                }
            }
        }
        if programs > limit {
            let (kernel, grid) = (self.kernel(), text);
            return Err(RuntimeError::Grid { kernel, grid, programs, values, limit });
        }
        Ok(extents)
    }

    fn lookup(&self, name: &str, names: &Names) -> Option<i64> {
        let fixed = || self.contract.consts.iter().find(|(known, _)| known == name);
        names.values.get(name).copied().or_else(|| fixed().map(|&(_, value)| value))
    }

    fn eval(&self, expr: &HostExpr, names: &Names) -> Option<i128> {
        expr.eval(&|name| self.lookup(name, names).map(i128::from))
    }

    /// `H = 7, G = 2`: the names of some expressions and what they stand for.
    fn values(&self, exprs: &[&HostExpr], names: &Names) -> String {
        let mut used = Vec::new();
        exprs.iter().for_each(|expr| collect_names(expr, &mut used));
        if used.is_empty() {
            return "any arguments".to_owned();
        }
        list(used.into_iter().map(|name| match self.lookup(&name, names) {
            Some(value) => format!("{name} = {value}"),
            None => format!("{name} unknown"),
        }))
    }
}

fn collect_names(expr: &HostExpr, names: &mut Vec<String>) {
    match expr {
        HostExpr::Int(_) => {}
        HostExpr::Name(name) => {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        HostExpr::Binary(_, a, b) => {
            collect_names(a, names);
            collect_names(b, names);
        }
        HostExpr::Not(x) => collect_names(x, names),
    }
}

/// What a parameter takes: `a tensor f16[B, H, M, D]`, `a number of type f32`.
fn expected(param: &ParamSpec) -> String {
    match &param.kind {
        ParamKind::Tensor { dtype, dims, .. } => format!("a tensor {dtype}[{}]", dims.join(", ")),
        ParamKind::Scalar(dtype) => format!("a number of type {dtype}"),
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}
