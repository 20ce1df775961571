//! Operands of f32 dots are read where they lie in a tensor, if all of the block is there and its rows are near one
//! another; else they are copied to scratch memory first.

use tilec_ir::Value;
use tilec_vocab::DType;

use super::emit::{Buffer, Emitter, Kind, Result};

/// Rows farther apart than this are copied: at powers of two they would meet in few lines of the first cache.
const FAR_ELEMENTS: usize = 128;

impl Emitter<'_> {
    /// A loaded tile that is not copied unless it has to be, if its uses allow that.
    pub fn as_it_lies(&mut self, value: Value) -> Result<Option<Buffer>> {
        let axes = self.axes(value);
        let (&[a, b], Some(inner)) = (axes.as_slice(), self.layouts.inner(value)) else {
            return Ok(None);
        };
        let outer = if inner == a { b } else { a };
        if self.dtype(value) != DType::F32
            || !self.layouts.is_for_dots(self.kernel, value)
            || !self.runs_along(value, inner)
            // The last, partial block of a loop is not worth a second way of its own.
            || !self.is_whole(inner, self.host.lanes)
            || !self.is_whole(outer, 1)
        {
            return Ok(None);
        }
        let Some(panel) = self.panel_over(value, outer, inner)? else { return Ok(None) };
        if !panel.read_only {
            return Ok(None);
        }
        let unit = self.text.def(format_args!("icmp eq i64 {}, 1", panel.step_stride));
        let near =
            self.text.def(format_args!("icmp ule i64 {}, {FAR_ELEMENTS}", panel.lane_stride));
        let ready = self.text.def(format_args!("and i1 {}, {unit}", panel.whole));
        let ready = self.text.def(format_args!("and i1 {ready}, {near}"));
        let copy = self.allocate(Kind::Float, axes, inner)?;
        let mut branch = self.text.open_if(&ready);
        self.text.open_else(&mut branch);
        self.materialise(value, &copy)?;
        let (otherwise, then) = (self.text.current().to_string(), branch.then_end().to_string());
        self.text.close_if(branch);
        let choose = |ty: &str, there: &str, copied: &str| {
            format!("phi {ty} [ {there}, %{then} ], [ {copied}, %{otherwise} ]")
        };
        let pointer = choose("ptr", &panel.pointer, &copy.pointer);
        let pointer = self.text.def(pointer);
        let stride = choose("i64", &panel.lane_stride, &copy.strides[&outer].to_string());
        let stride = self.text.def(stride);
        let rows = self.extent(outer);
        let ahead = (self.loop_axis == Some(outer)).then(|| {
            let offset = self.text.def(format_args!("mul i64 {stride}, {rows}"));
            self.text.def(format_args!("getelementptr float, ptr {pointer}, i64 {offset}"))
        });
        Ok(Some(Buffer { pointer, outer_stride: Some((outer, stride)), ahead, ..copy }))
    }
}
