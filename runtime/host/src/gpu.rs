//! What every device that runs PTX does before it runs any: the facts of the arguments, the variant that suits them,
//! and the parameters in the order of [`PtxCode`].

mod span;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tilec_vocab::{Artifact, MAX_GPU_EXTENT, Payload, PtxCode, TensorFacts};

use crate::{Arg, LaunchArgs, RuntimeError, Scalar, View};

pub use span::{Span, gather, runs, scatter, span, start};

/// Bytes of the accesses that aligned rows allow.
const ROW_ALIGNMENT: i64 = 16;

/// Makes PTX out of tile IR, for arguments of which so much is known.
pub trait PtxCompiler: Send + Sync {
    /// `facts` has one row for each parameter.
    ///
    /// # Errors
    ///
    /// A kernel that does not fit the target, or a bug.
    fn compile(
        &self,
        artifact: &Artifact,
        facts: &[TensorFacts],
        target: &str,
    ) -> Result<PtxCode, RuntimeError>;
}

/// One parameter of an entry.
#[derive(Clone, Debug, PartialEq)]
pub enum PtxParam {
    /// The address of the view of this parameter, counted among the parameters of the contract.
    Address(usize),
    /// A number in so many bytes.
    Bytes(Vec<u8>),
}

/// What is known of each argument.
pub fn facts(args: &[Arg]) -> Vec<TensorFacts> {
    args.iter()
        .map(|arg| match arg {
            Arg::Tensor(view) => facts_of(view),
            Arg::Scalar(_) => TensorFacts::default(),
        })
        .collect()
}

fn facts_of(view: &View) -> TensorFacts {
    let bytes = view.dtype.size_bytes() as i64;
    let mut dims = view.shape.iter().zip(&view.strides).rev();
    let last = dims.next().is_none_or(|(&extent, &stride)| stride == 1 || extent <= 1);
    // A stride that is never stepped along says nothing.
    let whole = dims.all(|(&extent, &stride)| {
        extent <= 1 || stride.wrapping_mul(bytes).rem_euclid(ROW_ALIGNMENT) == 0
    });
    let aligned = view.address.addr().is_multiple_of(ROW_ALIGNMENT as usize);
    let packed_rows = match (&view.shape[..], &view.strides[..]) {
        ([.., rows, row], [.., stride, _]) => rows <= &1 || stride == row,
        _ => true,
    };
    TensorFacts { rows_of_16_bytes: last && whole && aligned, packed_rows }
}

/// What is wrong with the dimensions of a launch.
pub fn too_long(args: &LaunchArgs) -> Option<String> {
    let &extent = args.dims.iter().find(|&&extent| extent > MAX_GPU_EXTENT)?;
    Some(format!("a dimension of {extent}; on a GPU none may be above {MAX_GPU_EXTENT}"))
}

/// The parameters of the entry, as [`PtxCode`] orders them.
pub fn params(args: &LaunchArgs) -> Vec<PtxParam> {
    let mut params = Vec::new();
    let word = |value: i64| PtxParam::Bytes(value.to_le_bytes().to_vec());
    for (number, arg) in args.args.iter().enumerate() {
        match arg {
            Arg::Tensor(view) => {
                params.push(PtxParam::Address(number));
                let dims = view.shape.iter().zip(&view.strides);
                // A stride that leads nowhere need not be aligned, so it is not handed on: code may step along it to an element
                // that it then leaves out.
                let step = |(&extent, &stride): (&i64, &i64)| if extent <= 1 { 0 } else { stride };
                params.extend(dims.map(step).map(word));
            }
            Arg::Scalar(scalar) => params.push(PtxParam::Bytes(bytes_of(*scalar))),
        }
    }
    params.extend(args.dims.iter().copied().map(word));
    // The product of these was checked to fit 31 bits.
    let programs = args.grid.iter().map(|&programs| (programs as u32).to_le_bytes().to_vec());
    params.extend(programs.map(PtxParam::Bytes));
    params
}

fn bytes_of(scalar: Scalar) -> Vec<u8> {
    scalar.to_ne_bytes()[..scalar.dtype().size_bytes()].to_vec()
}

/// The variants of one kernel, each made when first needed.
pub struct Variants<L> {
    artifact: Artifact,
    target: String,
    compiler: Option<Arc<dyn PtxCompiler>>,
    loaded: Mutex<BTreeMap<Vec<TensorFacts>, Arc<L>>>,
}

impl<L> Variants<L> {
    /// Of an artifact that holds PTX, or tile IR for `compiler`.
    pub fn new(
        artifact: &Artifact,
        target: impl Into<String>,
        compiler: Option<Arc<dyn PtxCompiler>>,
    ) -> Variants<L> {
        let (artifact, target) = (artifact.clone(), target.into());
        Variants { artifact, target, compiler, loaded: Mutex::default() }
    }

    /// The artifact.
    pub fn artifact(&self) -> &Artifact {
        &self.artifact
    }

    /// The variant for arguments of which this is known, made by `load` if there is none yet.
    ///
    /// # Errors
    ///
    /// Those of the compiler and of `load`; [`RuntimeError::Device`] if no variant fits.
    pub fn get(
        &self,
        facts: &[TensorFacts],
        load: impl FnOnce(PtxCode) -> Result<L, RuntimeError>,
    ) -> Result<Arc<L>, RuntimeError> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = loaded.get(facts) {
            return Ok(Arc::clone(found));
        }
        let made = Arc::new(load(self.code(facts)?)?);
        loaded.insert(facts.to_vec(), Arc::clone(&made));
        Ok(made)
    }

    /// What was made so far.
    pub fn made(&self) -> Vec<Arc<L>> {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.values().cloned().collect()
    }

    fn code(&self, facts: &[TensorFacts]) -> Result<PtxCode, RuntimeError> {
        let error = |message: &str| RuntimeError::Device {
            device: self.target.clone(),
            message: format!("kernel `{}`: {message}", self.artifact.contract.kernel),
        };
        match &self.artifact.payload {
            Payload::TileIr(_) => match &self.compiler {
                Some(compiler) => compiler.compile(&self.artifact, facts, &self.target),
                None => Err(error("the artifact holds tile IR, and there is no compiler here")),
            },
            Payload::Ptx(variants) => {
                let fits = |code: &&PtxCode| {
                    code.assumes.len() == facts.len()
                        && facts.iter().zip(&code.assumes).all(|(known, want)| known.imply(*want))
                };
                variants.iter().find(fits).cloned().ok_or_else(|| {
                    error(
                        "every variant in this artifact assumes rows of 16-byte multiples, aligned and without gaps \
                         inside; build it with a general variant, or make the tensors contiguous",
                    )
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tilec_vocab::DType;

    fn view(address: usize, shape: &[i64], strides: &[i64]) -> View {
        let address = std::ptr::without_provenance_mut(address);
        View { dtype: DType::F16, address, shape: shape.to_vec(), strides: strides.to_vec() }
    }

    #[test]
    fn rows_are_aligned_or_not() {
        let aligned = |view: View| facts_of(&view).rows_of_16_bytes;
        assert!(aligned(view(64, &[3, 5, 16], &[80, 16, 1])));
        assert!(aligned(view(64, &[1, 5, 16], &[3, 8, 1])));
        assert!(!aligned(view(66, &[3, 5, 16], &[80, 16, 1])));
        assert!(!aligned(view(64, &[3, 5, 16], &[80, 12, 1])));
        assert!(!aligned(view(64, &[3, 5, 16], &[80, 32, 2])));
        assert!(aligned(view(64, &[3, 1], &[8, 5])));
    }

    #[test]
    fn rows_follow_one_another_or_not() {
        let packed = |view: View| facts_of(&view).packed_rows;
        assert!(packed(view(64, &[3, 5, 16], &[90, 16, 1])));
        assert!(!packed(view(64, &[3, 5, 16], &[80, 17, 1])));
        assert!(packed(view(64, &[3, 1, 16], &[80, 17, 1])));
        assert!(packed(view(64, &[5], &[2])));
    }

    #[test]
    fn parameters_stand_in_order() {
        let args = LaunchArgs {
            args: vec![
                Arg::Tensor(view(64, &[2, 1, 8], &[8, 3, 1])),
                Arg::Scalar(Scalar::F32(0.5)),
            ],
            dims: vec![2],
            grid: vec![3, 4],
        };
        let word = |n: u64| PtxParam::Bytes(n.to_le_bytes().to_vec());
        let half = |n: u32| PtxParam::Bytes(n.to_le_bytes().to_vec());
        let scale = PtxParam::Bytes(0.5f32.to_le_bytes().to_vec());
        let address = PtxParam::Address(0);
        let wanted = vec![address, word(8), word(0), word(1), scale, word(2), half(3), half(4)];
        assert_eq!(params(&args), wanted);
    }
}
