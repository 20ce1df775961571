//! Tensors while a kernel runs: loads, stores, atomic adds, and who sees which writes.
//!
//! An element is addressed by its offset; an access that does not happen, because an index lies
//! outside its dimension, has the offset [`ABSENT`].

use tilec_ir::AxisSet;
use tilec_vocab::DType;

use crate::data::{Data, TensorData};
use crate::error::{InterpError, bug};
use crate::lanes::Lanes;
use crate::loops::{Loops, map2};
use crate::mode::Mode;

/// The offset of no element. Any negative offset is.
const ABSENT: i64 = -1;

/// One tensor.
pub(crate) struct Memory {
    shape: Vec<i64>,
    strides: Vec<i64>,
    dtype: DType,
    data: Data,
    /// For each element of a mutable tensor whether it was written.
    written: Vec<bool>,
    private: Option<Private>,
}

/// What the running program sees of a tensor that it both reads and writes.
struct Private {
    /// The tensor before the launch.
    initial: Data,
    /// That, with this program's writes.
    view: Data,
    /// Where those are.
    touched: Vec<usize>,
}

/// Offsets over the union of two sets of axes: the sum of one of each.
pub(crate) struct Offsets {
    parts: [(AxisSet, Vec<i64>); 2],
}

fn join(a: i64, b: i64) -> i64 {
    if a < 0 || b < 0 { ABSENT } else { a.wrapping_add(b) }
}

impl Offsets {
    fn loops(&self, axes: &AxisSet, lanes: &Lanes) -> Loops<2> {
        lanes.loops(axes, [&self.parts[0].0, &self.parts[1].0])
    }
}

impl Memory {
    /// A tensor whose extents fit its elements.
    pub(crate) fn new(tensor: TensorData, dtype: DType, mutable: bool) -> Memory {
        let mut strides = vec![1_i64; tensor.shape.len()];
        for d in (1..tensor.shape.len()).rev() {
            // Here and in offsets: wraps only beside an extent of 0, where every access is absent.
            strides[d - 1] = strides[d].wrapping_mul(tensor.shape[d]);
        }
        let written = vec![false; if mutable { tensor.data.len() } else { 0 }];
        Memory { shape: tensor.shape, strides, dtype, data: tensor.data, written, private: None }
    }

    /// Keeps the writes of each program from the others.
    pub(crate) fn separate_programs(&mut self) {
        let (initial, view) = (self.data.clone(), self.data.clone());
        self.private = Some(Private { initial, view, touched: Vec::new() });
    }

    /// Forgets what the last program saw.
    pub(crate) fn end_program(&mut self) {
        let Some(Private { initial, view, touched }) = &mut self.private else { return };
        for at in touched.drain(..) {
            match (&mut *view, &*initial) {
                (Data::Float(view), Data::Float(initial)) => view[at] = initial[at],
                (Data::Int(view), Data::Int(initial)) => view[at] = initial[at],
                (Data::Bool(view), Data::Bool(initial)) => view[at] = initial[at],
                _ => {}
            }
        }
    }

    /// Where the elements with these indices are, one index for each dimension.
    pub(crate) fn offsets<'a>(
        &self,
        indices: impl IntoIterator<Item = (&'a Data, &'a AxisSet)>,
        lanes: &Lanes,
    ) -> Result<Offsets, InterpError> {
        let mut parts: Vec<(AxisSet, Vec<i64>)> = Vec::new();
        for (d, (index, axes)) in indices.into_iter().enumerate() {
            let Data::Int(index) = index else { return bug("an index that is no integer") };
            let (extent, stride) = (self.shape[d], self.strides[d]);
            let offset =
                |&i: &i64| if (0..extent).contains(&i) { i.wrapping_mul(stride) } else { ABSENT };
            parts.push((axes.clone(), index.iter().map(offset).collect()));
        }
        // Small parts first; the widest sum is left to whoever walks over the result.
        parts.sort_by_key(|(_, offsets)| offsets.len());
        let last = parts.pop().unwrap_or_else(|| (AxisSet::new(), vec![0]));
        let mut sum = (AxisSet::new(), vec![0]);
        for (axes, offsets) in parts {
            let union = sum.0.union(&axes);
            let loops = lanes.loops(&union, [&sum.0, &axes]);
            sum = (union, map2(&loops, &sum.1, &offsets, join));
        }
        Ok(Offsets { parts: [sum, last] })
    }

    /// The elements over `axes`; zero where absent.
    pub(crate) fn load(&self, offsets: &Offsets, axes: &AxisSet, lanes: &Lanes) -> Data {
        fn fetch<T: Copy + Default>(data: &[T], loops: &Loops<2>, a: &[i64], b: &[i64]) -> Vec<T> {
            map2(loops, a, b, |a, b| {
                let at = usize::try_from(join(a, b)).ok();
                at.and_then(|at| data.get(at)).copied().unwrap_or_default()
            })
        }
        let loops = offsets.loops(axes, lanes);
        let [(_, a), (_, b)] = &offsets.parts;
        match self.private.as_ref().map_or(&self.data, |private| &private.view) {
            Data::Float(data) => Data::Float(fetch(data, &loops, a, b)),
            Data::Int(data) => Data::Int(fetch(data, &loops, a, b)),
            Data::Bool(data) => Data::Bool(fetch(data, &loops, a, b)),
        }
    }

    /// Writes a value, spread over `axes`. Where lanes meet in one element, one of them stays.
    pub(crate) fn store(
        &mut self,
        (value, value_axes): (&Data, &AxisSet),
        offsets: &Offsets,
        axes: &AxisSet,
        lanes: &Lanes,
        mode: Mode,
    ) -> Result<(), InterpError> {
        let storage = mode.storage(self.dtype);
        let targets = self.targets(offsets, axes, value_axes, lanes);
        match value {
            Data::Float(value) => {
                self.write(&targets, |data, at, from| match data {
                    Data::Float(data) => data[at] = storage.nearest(value[from]),
                    Data::Int(_) | Data::Bool(_) => {}
                });
            }
            Data::Int(value) => {
                self.write(&targets, |data, at, from| match data {
                    Data::Int(data) => data[at] = value[from],
                    Data::Float(_) | Data::Bool(_) => {}
                });
            }
            Data::Bool(value) => {
                self.write(&targets, |data, at, from| match data {
                    Data::Bool(data) => data[at] = value[from],
                    Data::Float(_) | Data::Int(_) => {}
                });
            }
        }
        self.same_class(value)
    }

    /// Adds a value, spread over `axes`, lane after lane; each sum is rounded. `i32` wraps.
    pub(crate) fn atomic_add(
        &mut self,
        (value, value_axes): (&Data, &AxisSet),
        offsets: &Offsets,
        axes: &AxisSet,
        lanes: &Lanes,
        mode: Mode,
    ) -> Result<(), InterpError> {
        let (rounding, storage) = (mode.rounding(self.dtype), mode.storage(self.dtype));
        let wraps_32 = self.dtype == DType::I32;
        let targets = self.targets(offsets, axes, value_axes, lanes);
        match value {
            Data::Float(value) => {
                self.write(&targets, |data, at, from| match data {
                    Data::Float(data) => {
                        data[at] = storage.nearest(rounding.result(data[at] + value[from]));
                    }
                    Data::Int(_) | Data::Bool(_) => {}
                });
            }
            Data::Int(value) => {
                self.write(&targets, |data, at, from| match data {
                    Data::Int(data) => {
                        let sum = data[at].wrapping_add(value[from]);
                        data[at] = if wraps_32 { i64::from(sum as i32) } else { sum };
                    }
                    Data::Float(_) | Data::Bool(_) => {}
                });
            }
            Data::Bool(_) => return bug("an atomic add of bool"),
        }
        self.same_class(value)
    }

    fn same_class(&self, value: &Data) -> Result<(), InterpError> {
        if value.class() != self.data.class() {
            return bug(format!("{} written to {}", value.class(), self.data.class()));
        }
        Ok(())
    }

    /// Pairs of an element written and the element of the value that goes there.
    fn targets(
        &self,
        offsets: &Offsets,
        axes: &AxisSet,
        value_axes: &AxisSet,
        lanes: &Lanes,
    ) -> Vec<(usize, usize)> {
        let [(a_axes, a), (b_axes, b)] = &offsets.parts;
        let loops = lanes.loops(axes, [a_axes, b_axes, value_axes]);
        let mut targets = Vec::with_capacity(loops.total);
        loops.points(|[i, j, from]| {
            if let Ok(at) = usize::try_from(join(a[i], b[j]))
                && at < self.written.len()
            {
                targets.push((at, from));
            }
        });
        targets
    }

    /// Writes to the tensor and to what the program sees of it.
    fn write(&mut self, targets: &[(usize, usize)], put: impl Fn(&mut Data, usize, usize)) {
        for &(at, from) in targets {
            put(&mut self.data, at, from);
            self.written[at] = true;
            if let Some(private) = &mut self.private {
                put(&mut private.view, at, from);
                private.touched.push(at);
            }
        }
    }

    /// The tensor after the launch, and which elements were written.
    pub(crate) fn finish(self) -> (TensorData, Vec<bool>) {
        (TensorData { shape: self.shape, data: self.data }, self.written)
    }
}
