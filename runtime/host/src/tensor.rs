//! Tensors: strided views of shared memory.
//!
//! Every lane of a `Tensor` lies inside its memory and is aligned to its type: the one constructor
//! checks it, in `i128`, and every view is made by that constructor. Clones and views share memory;
//! [`Tensor::read`], [`Tensor::write`] and launches take the memory's lock.

use std::sync::{Arc, PoisonError, RwLock};

use half::{bf16, f16};
use tilec_vocab::DType;

use crate::memory::Storage;
use crate::{Elements, HostMemory, Memory, Place, RuntimeError, Scalar, View, reach};

// Files hold little-endian elements and are read straight into memory.
const _: () = assert!(cfg!(target_endian = "little"));

/// A strided view of memory.
#[derive(Clone, Debug)]
pub struct Tensor {
    storage: Arc<Storage>,
    dtype: DType,
    shape: Vec<i64>,
    strides: Vec<i64>,
    offset: i64,
}

impl Tensor {
    /// Zeros in new host memory, row-major.
    pub fn zeros(dtype: DType, shape: &[i64]) -> Result<Tensor, RuntimeError> {
        if let Some(extent) = shape.iter().find(|&&extent| extent < 0) {
            return Err(RuntimeError::Tensor(format!("shape {shape:?} has extent {extent}")));
        }
        let bytes = shape
            .iter()
            .try_fold(dtype.size_bytes() as u128, |n, &extent| n.checked_mul(extent as u128))
            .unwrap_or(u128::MAX);
        // An extent of zero anywhere makes zero bytes, but the strides must not overflow.
        let bytes = if shape.contains(&0) { 0 } else { bytes };
        let no_memory = || RuntimeError::Memory { bytes };
        let size = usize::try_from(bytes).map_err(|_| no_memory())?;
        let memory = HostMemory::new(size).ok_or_else(no_memory)?;
        Tensor::in_memory(memory, dtype, shape, &row_major(shape), 0)
    }

    /// Values in new host memory, row-major.
    pub fn new(dtype: DType, shape: &[i64], elements: &Elements) -> Result<Tensor, RuntimeError> {
        let tensor = Tensor::zeros(dtype, shape)?;
        tensor.write(elements)?;
        Ok(tensor)
    }

    /// Floating-point values, rounded to `dtype`, in new host memory, row-major.
    pub fn from_f64s(dtype: DType, shape: &[i64], values: &[f64]) -> Result<Tensor, RuntimeError> {
        Tensor::new(dtype, shape, &Elements::Floats(values.to_vec()))
    }

    /// New host memory, row-major, whose bytes `fill` supplies.
    pub fn from_bytes<E>(
        dtype: DType,
        shape: &[i64],
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Result<Tensor, E>, RuntimeError> {
        let tensor = Tensor::zeros(dtype, shape)?;
        let memory = &tensor.storage.memory;
        // SAFETY: the memory is new and known only here, initialised, and of this size.
        let bytes =
            unsafe { std::slice::from_raw_parts_mut(memory.address(), memory.size_bytes()) };
        if let Err(error) = fill(bytes) {
            return Ok(Err(error));
        }
        if dtype == DType::Bool {
            // Compiled code may take a bool's bits at their word.
            bytes.iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
        }
        Ok(Ok(tensor))
    }

    /// New host memory in which reading what was never written shows: floats are NaN, integers the
    /// lowest of their type, bools true.
    pub fn poisoned(dtype: DType, shape: &[i64]) -> Result<Tensor, RuntimeError> {
        let poison = match dtype {
            DType::Bool => Scalar::Bool(true),
            DType::I32 => Scalar::I32(i32::MIN),
            DType::I64 => Scalar::I64(i64::MIN),
            DType::F16 => Scalar::F16(f16::NAN),
            DType::BF16 => Scalar::BF16(bf16::NAN),
            DType::F32 => Scalar::F32(f32::NAN),
        };
        let element = &poison.to_ne_bytes()[..dtype.size_bytes()];
        let filled = Tensor::from_bytes(dtype, shape, |bytes| {
            bytes.chunks_exact_mut(element.len()).for_each(|to| to.copy_from_slice(element));
            Ok::<_, RuntimeError>(())
        });
        filled?
    }

    /// A view of `memory`: `strides` and `offset` in elements of `dtype`.
    pub fn in_memory(
        memory: impl Memory + 'static,
        dtype: DType,
        shape: &[i64],
        strides: &[i64],
        offset: i64,
    ) -> Result<Tensor, RuntimeError> {
        let storage = Storage { memory: Box::new(memory), lock: RwLock::new(()) };
        Tensor::checked(Arc::new(storage), dtype, shape, strides, offset)
    }

    /// Another view of the same memory.
    pub fn view(
        &self,
        shape: &[i64],
        strides: &[i64],
        offset: i64,
    ) -> Result<Tensor, RuntimeError> {
        Tensor::checked(self.storage.clone(), self.dtype, shape, strides, offset)
    }

    /// The only way to a `Tensor`.
    fn checked(
        storage: Arc<Storage>,
        dtype: DType,
        shape: &[i64],
        strides: &[i64],
        offset: i64,
    ) -> Result<Tensor, RuntimeError> {
        if shape.len() != strides.len() {
            let (shape, strides) = (shape.len(), strides.len());
            let message = format!("{shape} dimensions but {strides} strides");
            return Err(RuntimeError::Tensor(message));
        }
        if let Some(extent) = shape.iter().find(|&&extent| extent < 0) {
            return Err(RuntimeError::Tensor(format!("shape {shape:?} has extent {extent}")));
        }
        let size = dtype.size_bytes();
        if !storage.memory.address().addr().is_multiple_of(size) {
            let message = format!("memory for {dtype} is not aligned to {size} bytes");
            return Err(RuntimeError::Tensor(message));
        }
        let elements = (storage.memory.size_bytes() / size) as i128;
        if let Some((lowest, highest)) = reach(shape, strides, offset)
            && (lowest < 0 || highest >= elements)
        {
            let (shape, strides) = (shape.to_vec(), strides.to_vec());
            return Err(RuntimeError::Reach { shape, strides, offset, lowest, highest, elements });
        }
        let (shape, strides) = (shape.to_vec(), strides.to_vec());
        Ok(Tensor { storage, dtype, shape, strides, offset })
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Extents.
    pub fn shape(&self) -> &[i64] {
        &self.shape
    }

    /// Distance between neighbours along each dimension, in elements.
    pub fn strides(&self) -> &[i64] {
        &self.strides
    }

    /// Where the element with all indices 0 is, in elements from the start of the memory.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// How many lanes it has.
    pub fn len(&self) -> usize {
        // Repeated lanes may be more than fit; nothing that large can be read, but it can exist.
        if self.is_empty() {
            return 0;
        }
        self.shape.iter().fold(1, |n: usize, &extent| n.saturating_mul(extent as usize))
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// Where its memory is.
    pub fn place(&self) -> Place {
        self.storage.memory.place()
    }

    /// How many elements its memory has room for.
    pub fn capacity(&self) -> usize {
        self.storage.memory.size_bytes() / self.dtype.size_bytes()
    }

    /// Indices `start..end` of dimension `dim`.
    pub fn slice(&self, dim: usize, start: i64, end: i64) -> Result<Tensor, RuntimeError> {
        let extent = self.extent(dim)?;
        if !(0 <= start && start <= end && end <= extent) {
            let message = format!("slice {start}..{end} of dimension {dim}, which has {extent}");
            return Err(RuntimeError::Tensor(message));
        }
        let mut shape = self.shape.clone();
        shape[dim] = end - start;
        // With nothing left the offset has no meaning, and may not be counted on to exist.
        let step = if start == end { 0 } else { start * self.strides[dim] };
        self.view(&shape, &self.strides, self.offset + step)
    }

    /// The dimensions in another order.
    pub fn permute(&self, order: &[usize]) -> Result<Tensor, RuntimeError> {
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..self.shape.len()) {
            let rank = self.shape.len();
            let message = format!("{order:?} is not an order of {rank} dimensions");
            return Err(RuntimeError::Tensor(message));
        }
        let pick = |from: &[i64]| order.iter().map(|&dim| from[dim]).collect::<Vec<_>>();
        self.view(&pick(&self.shape), &pick(&self.strides), self.offset)
    }

    /// Repeats a dimension of extent 1 without copying.
    pub fn expand(&self, dim: usize, extent: i64) -> Result<Tensor, RuntimeError> {
        let old = self.extent(dim)?;
        if old != 1 {
            let message = format!("dimension {dim} has {old}; only a single index is repeated");
            return Err(RuntimeError::Tensor(message));
        }
        let (mut shape, mut strides) = (self.shape.clone(), self.strides.clone());
        shape[dim] = extent;
        strides[dim] = 0;
        self.view(&shape, &strides, self.offset)
    }

    /// Dimension `dim` backwards, without copying.
    pub fn flip(&self, dim: usize) -> Result<Tensor, RuntimeError> {
        let extent = self.extent(dim)?;
        let mut strides = self.strides.clone();
        let last = if extent > 1 { (extent - 1) * strides[dim] } else { 0 };
        strides[dim] = strides[dim].wrapping_neg();
        self.view(&self.shape, &strides, self.offset + last)
    }

    /// Every element, in row-major order.
    pub fn read(&self) -> Result<Elements, RuntimeError> {
        let view = self.host_view()?;
        let _lock = self.storage.lock.read().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the view is of this tensor, on the host, and the lock keeps writers out.
        unsafe { view.read() }
    }

    /// Every element as a floating-point number, in row-major order.
    pub fn to_f64s(&self) -> Result<Vec<f64>, RuntimeError> {
        Ok(self.read()?.into_f64s())
    }

    /// Sets every element, in row-major order; floats are rounded to nearest, ties to even.
    pub fn write(&self, elements: &Elements) -> Result<(), RuntimeError> {
        if !elements.fits(self.dtype) {
            let message = format!("the values are of another kind than {}", self.dtype);
            return Err(RuntimeError::Tensor(message));
        }
        if elements.len() != self.len() {
            let (given, shape) = (elements.len(), &self.shape);
            let message = format!("{given} values for a tensor of shape {shape:?}");
            return Err(RuntimeError::Tensor(message));
        }
        let view = self.host_view()?;
        let _lock = self.storage.lock.write().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the view is of this tensor, on the host, the lock keeps all others out, and kind
        // and number of the elements were checked.
        unsafe { view.write(elements) };
        Ok(())
    }

    /// A row-major copy in new host memory.
    pub fn to_contiguous(&self) -> Result<Tensor, RuntimeError> {
        Tensor::new(self.dtype, &self.shape, &self.read()?)
    }

    /// Whether elements in row-major order are neighbours in memory.
    pub fn is_contiguous(&self) -> bool {
        let dense = row_major(&self.shape);
        let mut dims = self.shape.iter().zip(self.strides.iter().zip(&dense));
        self.is_empty() || dims.all(|(&extent, (have, want))| extent == 1 || have == want)
    }

    /// Hands the bytes of a contiguous tensor, or of a contiguous copy, to `use_bytes`.
    pub fn with_bytes<R>(&self, use_bytes: impl FnOnce(&[u8]) -> R) -> Result<R, RuntimeError> {
        if !self.is_contiguous() {
            return self.to_contiguous()?.with_bytes(use_bytes);
        }
        let view = self.host_view()?;
        let _lock = self.storage.lock.read().unwrap_or_else(PoisonError::into_inner);
        let len = self.len() * self.dtype.size_bytes();
        if len == 0 {
            return Ok(use_bytes(&[]));
        }
        // SAFETY: a contiguous tensor's lanes are these bytes; the lock keeps writers out.
        Ok(use_bytes(unsafe { std::slice::from_raw_parts(view.address, len) }))
    }

    /// The view by address, for a device.
    pub(crate) fn raw(&self) -> View {
        let step = self.offset.wrapping_mul(self.dtype.size_bytes() as i64);
        View {
            dtype: self.dtype,
            // Where an extent is 0 the offset need not lie inside; nothing follows it then.
            address: self.storage.memory.address().wrapping_offset(step as isize),
            shape: self.shape.clone(),
            strides: self.strides.clone(),
        }
    }

    pub(crate) fn storage(&self) -> &Arc<Storage> {
        &self.storage
    }

    fn host_view(&self) -> Result<View, RuntimeError> {
        match self.place() {
            Place::Host => {}
            place @ Place::Cuda(_) => {
                let message = format!("the tensor lies on {place}; the host cannot read it there");
                return Err(RuntimeError::Tensor(message));
            }
        }
        Ok(self.raw())
    }

    fn extent(&self, dim: usize) -> Result<i64, RuntimeError> {
        self.shape.get(dim).copied().ok_or_else(|| {
            let rank = self.shape.len();
            RuntimeError::Tensor(format!("dimension {dim} of a tensor that has {rank}"))
        })
    }
}

/// Strides of a dense tensor, the last dimension fastest.
fn row_major(shape: &[i64]) -> Vec<i64> {
    let mut strides = vec![1i64; shape.len()];
    for dim in (1..shape.len()).rev() {
        // Saturated only where an extent is 0 and no stride is ever used.
        strides[dim - 1] = strides[dim].saturating_mul(shape[dim].max(1));
    }
    strides
}
