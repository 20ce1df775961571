//! Types of values: an element type over a set of axes.

use smallvec::SmallVec;
use tilec_vocab::{DType, DTypeClass};

use crate::kernel::{Axis, DimId, Generic};

/// An element type, known or still a parameter of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Elem {
    /// Known.
    Known(DType),
    /// The kernel's `T: float`; gone after `specialise`.
    Generic(Generic, DTypeClass),
}

impl Elem {
    /// Truth values.
    pub const BOOL: Elem = Elem::Known(DType::Bool);
    /// Indices and extents.
    pub const I64: Elem = Elem::Known(DType::I64);
    /// Accumulators.
    pub const F32: Elem = Elem::Known(DType::F32);

    /// The type, once specialised.
    pub fn known(self) -> Option<DType> {
        match self {
            Elem::Known(dtype) => Some(dtype),
            Elem::Generic(..) => None,
        }
    }

    /// Whether every type this can be is a float.
    pub fn is_float(self) -> bool {
        match self {
            Elem::Known(dtype) => dtype.is_float(),
            Elem::Generic(_, class) => class == DTypeClass::Float,
        }
    }

    /// Whether every type this can be is an integer.
    pub fn is_int(self) -> bool {
        match self {
            Elem::Known(dtype) => dtype.is_int(),
            Elem::Generic(_, class) => class == DTypeClass::Int,
        }
    }

    /// Whether it is `bool`.
    pub fn is_bool(self) -> bool {
        self == Elem::BOOL
    }
}

/// The number of lanes of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Extent {
    /// Known.
    Const(i64),
    /// A constant or knob of the kernel; gone after `specialise`.
    Generic(Generic),
    /// A run-time dimension: whole axes of specs, which only the interpreter runs.
    Dim(DimId),
}

/// A set of axes, sorted, without repeats.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AxisSet(SmallVec<[Axis; 4]>);

impl AxisSet {
    /// No axes: a scalar.
    pub fn new() -> AxisSet {
        AxisSet::default()
    }

    /// Whether there is no axis.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of axes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether `axis` is one of them.
    pub fn contains(&self, axis: Axis) -> bool {
        self.0.binary_search(&axis).is_ok()
    }

    /// Whether every one of these is in `other`.
    pub fn is_subset(&self, other: &AxisSet) -> bool {
        self.iter().all(|axis| other.contains(axis))
    }

    /// Both sets together.
    pub fn union(&self, other: &AxisSet) -> AxisSet {
        self.iter().chain(other.iter()).collect()
    }

    /// These without `axes`.
    pub fn without(&self, axes: &[Axis]) -> AxisSet {
        self.iter().filter(|axis| !axes.contains(axis)).collect()
    }

    /// Adds one; `false` if it was there.
    pub fn insert(&mut self, axis: Axis) -> bool {
        match self.0.binary_search(&axis) {
            Ok(_) => false,
            Err(at) => {
                self.0.insert(at, axis);
                true
            }
        }
    }

    /// The axes in order of declaration.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Axis> + '_ {
        self.0.iter().copied()
    }

    /// The axes as a slice, in order of declaration.
    pub fn as_slice(&self) -> &[Axis] {
        &self.0
    }
}

impl FromIterator<Axis> for AxisSet {
    fn from_iter<I: IntoIterator<Item = Axis>>(axes: I) -> AxisSet {
        let mut set = AxisSet::new();
        for axis in axes {
            set.insert(axis);
        }
        set
    }
}

/// The type of a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Type {
    /// Of each element.
    pub elem: Elem,
    /// What it spans; empty for a scalar.
    pub axes: AxisSet,
}

impl Type {
    /// A scalar.
    pub fn scalar(elem: Elem) -> Type {
        Type { elem, axes: AxisSet::new() }
    }

    /// An element type over axes.
    pub fn tile(elem: Elem, axes: AxisSet) -> Type {
        Type { elem, axes }
    }

    /// Whether it spans no axis.
    pub fn is_scalar(&self) -> bool {
        self.axes.is_empty()
    }

    /// The same axes with another element type.
    pub fn with_elem(&self, elem: Elem) -> Type {
        Type { elem, axes: self.axes.clone() }
    }
}
