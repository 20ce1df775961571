//! What runs a compiled kernel, whatever the device: tensors, the launch contract, devices, files.
//!
//! ```text
//! Arguments --bind(contract)--> Launch --launch(executable)--> results in the mutable tensors
//! ```
//!
//! Nothing here knows the compiler. A [`Launch`] exists only if every check of the contract held,
//! so an [`Executable`] may trust what it is given: every lane of every tensor is inside its
//! buffer, and a tensor that is written shares no byte with another argument.

mod args;
mod bind;
pub mod bucket;
mod code;
mod device;
mod error;
pub mod files;
pub mod gpu;
mod memory;
pub mod random;
mod reach;
mod scalar;
mod tensor;
mod view;

pub use args::{Argument, Arguments};
pub use bind::{Launch, MAX_PROGRAMS, bind};
pub use code::{Code, CodeKey, CodeStore};
pub use device::{Arg, Device, DeviceInfo, Executable, LaunchArgs, launch, times};
pub use error::{RuntimeError, Side};
pub use memory::{HOST_ALIGNMENT, HostMemory, Memory, Place};
pub use reach::{overlaps_itself, reach};
pub use scalar::{Number, Scalar};
pub use tensor::Tensor;
pub use view::{Elements, View};
