//! A strided view by its address: what compiled code sees of a tensor.

use half::{bf16, f16};
use tilec_vocab::{DType, bf16_from_f64, f16_from_f64};

use crate::RuntimeError;
use crate::reach::every_element;

/// A tensor without its owner: an address, and how to step from it.
///
/// Anyone may hold one; only `unsafe` code may follow the address. It is valid while the tensor it
/// came from lives.
#[derive(Clone, Debug)]
pub struct View {
    /// Element type.
    pub dtype: DType,
    /// Address of the element with all indices 0; not read where an extent is 0.
    pub address: *mut u8,
    /// Extents.
    pub shape: Vec<i64>,
    /// Distance between neighbours along each dimension, in elements.
    pub strides: Vec<i64>,
}

// SAFETY: a view is only numbers; following the address is `unsafe` and says what it needs.
unsafe impl Send for View {}
// SAFETY: as above.
unsafe impl Sync for View {}

/// Values of a tensor in row-major order, widened to one type of each kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    /// Of `f16`, `bf16`, `f32`.
    Floats(Vec<f64>),
    /// Of `i32`, `i64`.
    Ints(Vec<i64>),
    /// Of `bool`.
    Bools(Vec<bool>),
}

impl Elements {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Elements::Floats(values) => values.len(),
            Elements::Ints(values) => values.len(),
            Elements::Bools(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a tensor of `dtype` holds values of this kind.
    pub fn fits(&self, dtype: DType) -> bool {
        match self {
            Elements::Floats(_) => dtype.is_float(),
            Elements::Ints(_) => dtype.is_int(),
            Elements::Bools(_) => dtype == DType::Bool,
        }
    }

    /// As floating-point numbers; integers beyond 2^53 are rounded, `true` is 1.
    pub fn into_f64s(self) -> Vec<f64> {
        match self {
            Elements::Floats(values) => values,
            Elements::Ints(values) => values.into_iter().map(|value| value as f64).collect(),
            Elements::Bools(values) => values.into_iter().map(|b| f64::from(u8::from(b))).collect(),
        }
    }
}

impl View {
    /// How many lanes it has. Repeated lanes may be more than fit in memory.
    pub fn lanes(&self) -> u128 {
        self.shape.iter().fold(1, |n: u128, &extent| n.saturating_mul(extent as u128))
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// Every element, in row-major order.
    ///
    /// # Errors
    ///
    /// A view with repeated lanes can have more of them than there is memory for.
    ///
    /// # Safety
    ///
    /// The view's tensor lives, lies on the host, and nobody writes it meanwhile.
    pub unsafe fn read(&self) -> Result<Elements, RuntimeError> {
        // SAFETY: every lane of a view of a tensor is inside its memory and aligned to its type;
        // the caller vouches for the rest.
        let elements = unsafe {
            match self.dtype {
                DType::Bool => Elements::Bools(self.collect(|value: u8| value != 0)?),
                DType::I32 => Elements::Ints(self.collect(|value: i32| i64::from(value))?),
                DType::I64 => Elements::Ints(self.collect(|value: i64| value)?),
                DType::F16 => Elements::Floats(self.collect(|value: f16| value.to_f64())?),
                DType::BF16 => Elements::Floats(self.collect(|value: bf16| value.to_f64())?),
                DType::F32 => Elements::Floats(self.collect(|value: f32| f64::from(value))?),
            }
        };
        Ok(elements)
    }

    /// Sets every element, in row-major order. Floats are rounded to nearest, ties to even;
    /// integers too large for `i32` keep their low bits.
    ///
    /// # Safety
    ///
    /// As [`View::read`], and nobody reads it meanwhile. `elements` fit the type and are as many
    /// as the view's.
    pub unsafe fn write(&self, elements: &Elements) {
        debug_assert!(elements.fits(self.dtype) && elements.len() as u128 == self.lanes());
        // SAFETY: as in `read`.
        unsafe {
            match (elements, self.dtype) {
                (Elements::Bools(values), _) => self.put(values, |&value| u8::from(value)),
                (Elements::Ints(values), DType::I32) => self.put(values, |&value| value as i32),
                (Elements::Ints(values), _) => self.put(values, |&value| value),
                (Elements::Floats(values), DType::F16) => self.put(values, |&x| f16_from_f64(x)),
                (Elements::Floats(values), DType::BF16) => self.put(values, |&x| bf16_from_f64(x)),
                (Elements::Floats(values), _) => self.put(values, |&value| value as f32),
            }
        }
    }

    /// # Safety
    ///
    /// As [`View::read`]; `T` has the size and alignment of the element type.
    unsafe fn collect<T: Copy, U>(
        &self,
        mut convert: impl FnMut(T) -> U,
    ) -> Result<Vec<U>, RuntimeError> {
        let mut out = room_for(self.lanes())?;
        every_element(&self.shape, &self.strides, &mut |at| {
            // SAFETY: `at` is a lane of the view.
            out.push(convert(unsafe { *self.address.cast::<T>().offset(at as isize) }));
            true
        });
        Ok(out)
    }

    /// # Safety
    ///
    /// As [`View::write`]; `T` has the size and alignment of the element type.
    unsafe fn put<T, U>(&self, values: &[U], convert: impl Fn(&U) -> T) {
        let mut values = values.iter();
        every_element(&self.shape, &self.strides, &mut |at| {
            let Some(value) = values.next() else { return false };
            // SAFETY: `at` is a lane of the view.
            unsafe { *self.address.cast::<T>().offset(at as isize) = convert(value) };
            true
        });
    }
}

/// An empty vector with room for so many.
pub(crate) fn room_for<T>(count: u128) -> Result<Vec<T>, RuntimeError> {
    let bytes = count.saturating_mul(size_of::<T>() as u128);
    let mut out = Vec::new();
    usize::try_from(count)
        .ok()
        .and_then(|count| out.try_reserve_exact(count).ok())
        .ok_or(RuntimeError::Memory { bytes })?;
    Ok(out)
}
