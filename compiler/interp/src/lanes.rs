//! Where the axes stand: first index and number of present lanes of each.

use tilec_ir::{Axis, AxisSet, Entity};

use crate::loops::Loops;

/// The axes of a kernel, as last declared.
pub(crate) struct Lanes {
    axes: Vec<(i64, usize)>,
}

impl Lanes {
    /// None declared.
    pub(crate) fn new(axes: usize) -> Lanes {
        Lanes { axes: vec![(0, 0); axes] }
    }

    /// Declares an axis. Lane `i < extent` is present where `start + i < end`, so those present
    /// are the first `end - start`.
    pub(crate) fn declare(&mut self, axis: Axis, start: i64, end: i64, extent: i64) {
        let wanted = i128::from(end) - i128::from(start);
        let present = wanted.clamp(0, i128::from(extent.max(0)));
        // An extent beyond the address space is stopped by the memory limit at its first use.
        self.axes[axis.index()] = (start, usize::try_from(present).unwrap_or(usize::MAX));
    }

    /// The index that lane 0 stands for.
    pub(crate) fn start(&self, axis: Axis) -> i64 {
        self.axes[axis.index()].0
    }

    /// Number of present lanes.
    pub(crate) fn present(&self, axis: Axis) -> usize {
        self.axes[axis.index()].1
    }

    /// Number of elements of a value over `axes`; saturates.
    pub(crate) fn count(&self, axes: &AxisSet) -> usize {
        let lanes = |axis| self.present(axis);
        if axes.iter().any(|axis| lanes(axis) == 0) {
            return 0;
        }
        axes.iter().map(lanes).fold(1, usize::saturating_mul)
    }

    /// The distance between lanes of `axis` in a value over `axes`; 0 if it does not span it.
    pub(crate) fn stride(&self, axes: &AxisSet, axis: Axis) -> usize {
        if !axes.contains(axis) {
            return 0;
        }
        let faster = axes.iter().filter(|&other| other > axis).map(|other| self.present(other));
        // Overflows only beside an axis without lanes, where nobody takes a step.
        faster.fold(1, usize::wrapping_mul)
    }

    /// Loops over a value that spans `over`, with operands that span others.
    pub(crate) fn loops<const K: usize>(
        &self,
        over: &AxisSet,
        operands: [&AxisSet; K],
    ) -> Loops<K> {
        Loops::new(
            over.iter().map(|axis| {
                (self.present(axis), operands.map(|operand| self.stride(operand, axis)))
            }),
        )
    }
}
