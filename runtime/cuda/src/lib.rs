//! CUDA GPUs as devices, through the driver alone: no CUDA is needed to build this or to start it.
//!
//! ```text
//! PTX --driver's compiler--> Function --launch--> Stream
//! ```
//!
//! [`CudaDevice`] is the whole of it for most: `load` gives a kernel for tensors of the host, which are copied to the GPU
//! and back at each launch; [`CudaKernel::stay`] keeps the copies there for many launches. [`CudaDevice::load_resident`] gives a
//! kernel for tensors that lie on the GPU, and [`CudaKernel::prepare`] a launch of it that costs two calls of the driver.
//! A [`Graph`] queues several such launches at the cost of one.
//!
//! The driver is looked for when the first GPU is opened. What is missing (the library, a symbol of it, a GPU, an
//! architecture that code is made for) is an error in one sentence; so is every code the driver answers with, with the call
//! it answered, the kernel, and the argument or the limit where there is one. After a fault that ends the context every
//! further use of the device gives that fault again.
//!
//! What is deliberately absent: several streams of one device, peer copies.

mod api;
mod context;
mod device;
mod facts;
mod fault;
mod function;
mod graph;
mod kernel;
mod memory;
mod stream;

pub use context::{Context, count};
pub use device::CudaDevice;
pub use facts::Facts;
pub use fault::Fault;
pub use function::{Built, Source};
pub use graph::Graph;
pub use kernel::{CudaKernel, Prepared, Resident};
pub use memory::Buffer;
