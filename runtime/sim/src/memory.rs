//! Arguments into the simulator's memory and back.

use tilec_host::View as HostView;
use tilec_host::gpu::{gather, scatter, span};
use tilec_ptxsim::{Buffer, Contents, Direction, Elem, View};
use tilec_vocab::DType;

/// Addresses in the simulator keep what they are modulo this many bytes.
const ALIGNMENT: u64 = 16;

/// A tensor in the simulator's memory.
pub(crate) struct DeviceTensor {
    view: HostView,
    /// Bytes before the lowest element.
    pad: u64,
    /// The byte of the element with all indices 0.
    pub origin: u64,
    /// Whether the kernel may write it.
    pub written: bool,
}

/// A copy of a view for the simulator, with its gaps marked where its strides say plainly where they are.
///
/// # Safety
///
/// Every element of the view can be read.
pub(crate) unsafe fn copy_in(name: &str, view: &HostView, written: bool) -> (Buffer, DeviceTensor) {
    let span = span(view);
    let lowest = view.address.addr() as u64 - span.origin.min(view.address.addr() as u64);
    let pad = if span.bytes == 0 { 0 } else { lowest % ALIGNMENT };
    let mut bytes = vec![0; (pad + span.bytes) as usize];
    // SAFETY: the caller's promise.
    unsafe { gather(view, &mut bytes[pad as usize..]) };
    let size = view.dtype.size_bytes() as u64;
    let elements = is_nested(view).then(|| View {
        shape: view.shape.iter().map(|&extent| extent as u64).collect(),
        strides: view.strides.iter().map(|stride| stride.unsigned_abs()).collect(),
        offset: pad / size,
    });
    let direction = if written { Direction::InOut } else { Direction::In };
    let buffer = Buffer {
        name: name.to_owned(),
        elem: elem(view.dtype),
        direction,
        contents: Contents::Dense(bytes),
        view: elements,
    };
    let origin = pad + span.origin;
    (buffer, DeviceTensor { view: view.clone(), pad, origin, written })
}

/// Whether each stride passes over all that smaller ones reach.
fn is_nested(view: &HostView) -> bool {
    let dims = view.strides.iter().zip(&view.shape);
    let mut dims: Vec<(u64, u64)> = dims
        .filter(|&(&stride, &extent)| stride != 0 && extent > 1)
        .map(|(stride, &extent)| (stride.unsigned_abs(), extent as u64))
        .collect();
    dims.sort_unstable();
    let mut span = 1;
    dims.into_iter().all(|(stride, extent)| {
        let nested = stride >= span;
        span = stride.saturating_mul(extent - 1).saturating_add(span);
        nested
    })
}

/// What the simulator left of a view's elements.
///
/// # Safety
///
/// Every element of the view can be written, and nobody else touches it.
pub(crate) unsafe fn copy_out(tensor: &DeviceTensor, bytes: &[u8]) {
    if let Some(bytes) = bytes.get(tensor.pad as usize..) {
        // SAFETY: the caller's promise.
        unsafe { scatter(&tensor.view, bytes) };
    }
}

fn elem(dtype: DType) -> Elem {
    match dtype {
        DType::Bool => Elem::U8,
        DType::I32 => Elem::U32,
        DType::I64 => Elem::U64,
        DType::F16 => Elem::F16,
        DType::BF16 => Elem::Bf16,
        DType::F32 => Elem::F32,
    }
}
