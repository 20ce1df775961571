//! Devices: where an artifact is loaded and a launch runs.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tilec_vocab::{Artifact, Bug, Contract, DType};

use crate::memory::Storage;
use crate::{Launch, Place, RuntimeError, Scalar, View};

/// What a device is, for people and for choosing one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// As `--device` takes it: `cpu`, `cuda:0`.
    pub name: String,
    /// The hardware: `AMD EPYC 9B45`.
    pub model: String,
    /// Programs that run at one time: threads, multiprocessors.
    pub units: usize,
    /// What code is generated for: `avx2`, `sm_80`.
    pub features: Vec<String>,
}

impl DeviceInfo {
    /// What it is among others of its kind, as tuning records name it: one GPU of a kind is as fast as the next.
    pub fn kind(&self) -> String {
        let name = self.name.split(':').next().unwrap_or_default();
        format!("{name} {} x{} {}", self.model, self.units, self.features.join(" "))
    }
}

/// A place where kernels run.
pub trait Device: Send + Sync {
    /// What it is.
    fn info(&self) -> DeviceInfo;

    /// Makes an artifact ready to run.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Device`] if this device cannot run the payload, [`RuntimeError::Bug`] if the
    /// payload is not what the compiler promised.
    fn load(&self, artifact: &Artifact) -> Result<Arc<dyn Executable>, RuntimeError>;
}

/// A kernel ready to run. Run one with [`launch`].
pub trait Executable: Send + Sync {
    /// What it expects of its arguments.
    fn contract(&self) -> &Contract;

    /// Where its tensors must be.
    fn place(&self) -> Place {
        Place::Host
    }

    /// Names and times of the stages in which its code was made, for people who wait for it.
    fn stages(&self) -> Vec<(&'static str, Duration)> {
        Vec::new()
    }

    /// Runs every program of the grid and waits for the last.
    ///
    /// # Safety
    ///
    /// `args` were checked against [`Executable::contract`]; the memory they name is alive, and
    /// nobody else reads what the kernel writes nor writes what it touches until this returns.
    unsafe fn execute(&self, args: &LaunchArgs) -> Result<(), RuntimeError>;

    /// The time of each of `repeats` launches, after `warmup` that are not timed: by the host's clock, unless the device
    /// has its own. What the kernel writes may be lost.
    ///
    /// # Safety
    ///
    /// As [`Executable::execute`].
    unsafe fn times(
        &self,
        args: &LaunchArgs,
        warmup: usize,
        repeats: usize,
    ) -> Result<Vec<Duration>, RuntimeError> {
        for _ in 0..warmup {
            // SAFETY: the caller's promise.
            unsafe { self.execute(args) }?;
        }
        let mut times = Vec::with_capacity(repeats);
        for _ in 0..repeats {
            let start = Instant::now();
            // SAFETY: the caller's promise.
            unsafe { self.execute(args) }?;
            times.push(start.elapsed());
        }
        Ok(times)
    }
}

/// Checked arguments, by position.
#[derive(Clone, Debug)]
pub struct LaunchArgs {
    /// In the order of `contract.params`.
    pub args: Vec<Arg>,
    /// Extents in the order of `contract.dims`.
    pub dims: Vec<i64>,
    /// Programs along each grid axis, slowest first; the product is from 1 to
    /// [`MAX_PROGRAMS`](crate::MAX_PROGRAMS).
    pub grid: Vec<i64>,
}

/// One checked argument.
#[derive(Clone, Debug)]
pub enum Arg {
    /// Every lane is inside its memory and aligned to its type.
    Tensor(View),
    /// In the declared type.
    Scalar(Scalar),
}

impl Arg {
    /// Element type or type of the number.
    pub fn dtype(&self) -> DType {
        match self {
            Arg::Tensor(view) => view.dtype,
            Arg::Scalar(scalar) => scalar.dtype(),
        }
    }
}

/// Runs a bound launch. A grid without programs runs nothing.
pub fn launch(executable: &dyn Executable, launch: &Launch) -> Result<(), RuntimeError> {
    if launch.args().grid.contains(&0) {
        return check(executable, launch);
    }
    // SAFETY: `held` checks the launch and holds the locks meanwhile.
    held(executable, launch, || unsafe { executable.execute(launch.args()) })
}

/// Times of a bound launch: see [`Executable::times`]. A grid without programs takes no time.
pub fn times(
    executable: &dyn Executable,
    launch: &Launch,
    warmup: usize,
    repeats: usize,
) -> Result<Vec<Duration>, RuntimeError> {
    if launch.args().grid.contains(&0) {
        return check(executable, launch).map(|()| vec![Duration::ZERO; repeats]);
    }
    // SAFETY: `held` checks the launch and holds the locks meanwhile.
    held(executable, launch, || unsafe { executable.times(launch.args(), warmup, repeats) })
}

/// Whether a launch was bound to this kernel's contract, to tensors that lie where it looks for them.
fn check(executable: &dyn Executable, launch: &Launch) -> Result<(), RuntimeError> {
    let contract = executable.contract();
    if contract != launch.contract() {
        let message =
            format!("launch bound to another contract than that of `{}`", contract.kernel);
        return Err(Bug::new("launch", message).into());
    }
    for (argument, tensor, _) in launch.tensors() {
        if tensor.place() != executable.place() {
            return Err(RuntimeError::Place {
                kernel: contract.kernel.clone(),
                argument: argument.to_owned(),
                expected: executable.place(),
                got: tensor.place(),
            });
        }
    }
    Ok(())
}

/// Runs `work` while nobody else writes what the launch touches, nor reads what it writes.
fn held<R>(
    executable: &dyn Executable,
    launch: &Launch,
    work: impl FnOnce() -> Result<R, RuntimeError>,
) -> Result<R, RuntimeError> {
    check(executable, launch)?;
    // Each memory once, in one order for every launch of the process, so that no two wait for each
    // other; written if any of its views is.
    let mut memories: Vec<(&Arc<Storage>, bool)> =
        launch.tensors().map(|(_, tensor, written)| (tensor.storage(), written)).collect();
    memories.sort_by_key(|(storage, written)| (Arc::as_ptr(storage).addr(), !written));
    memories.dedup_by_key(|(storage, _)| Arc::as_ptr(storage).addr());
    let mut reading = Vec::new();
    let mut writing = Vec::new();
    for (storage, written) in memories {
        if written {
            writing.push(storage.lock.write().unwrap_or_else(PoisonError::into_inner));
        } else {
            reading.push(storage.lock.read().unwrap_or_else(PoisonError::into_inner));
        }
    }
    work()
}
