//! Work in order, and marks in it between which the device measures time.

use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use cudarc::driver::sys::{CUevent, CUstream};

use crate::api::call;
use crate::context::Context;
use crate::fault::Fault;

/// `CU_STREAM_NON_BLOCKING`: does not wait for the default stream, nor that one for it.
const NON_BLOCKING: u32 = 1;

/// A queue of copies and launches.
pub struct Stream {
    context: Arc<Context>,
    stream: CUstream,
}

// SAFETY: the driver's streams may be used from any thread.
unsafe impl Send for Stream {}
// SAFETY: as above.
unsafe impl Sync for Stream {}

impl Stream {
    /// A new queue.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    pub fn new(context: &Arc<Context>) -> Result<Stream, Fault> {
        let api = context.enter()?;
        let mut stream = ptr::null_mut();
        // SAFETY: the stream is written on success, and destroyed when this is dropped.
        context.noted(unsafe { call!(api, cuStreamCreate(&raw mut stream, NON_BLOCKING)) })?;
        Ok(Stream { context: Arc::clone(context), stream })
    }

    /// Waits until all that was queued is done.
    ///
    /// # Errors
    ///
    /// Those of the driver, and those of kernels that ran.
    pub fn wait(&self) -> Result<(), Fault> {
        let api = self.context.enter()?;
        // SAFETY: the stream lives.
        self.context.noted(unsafe { call!(api, cuStreamSynchronize(self.stream)) })
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    pub(crate) fn raw(&self) -> CUstream {
        self.stream
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Ok(api) = self.context.enter() {
            // SAFETY: created once, destroyed once. Nothing could be done about a failure.
            let _ = unsafe { (api.cuStreamDestroy_v2)(self.stream) };
        }
    }
}

/// A mark in a stream.
pub struct Event {
    context: Arc<Context>,
    event: CUevent,
}

// SAFETY: the driver's events may be used from any thread.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

impl Event {
    /// A mark behind all that the stream was given so far.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    pub fn record(stream: &Stream) -> Result<Event, Fault> {
        let context = &stream.context;
        let api = context.enter()?;
        let mut event = ptr::null_mut();
        // SAFETY: the event is written on success, and destroyed when this is dropped.
        context.noted(unsafe { call!(api, cuEventCreate(&raw mut event, 0)) })?;
        let event = Event { context: Arc::clone(context), event };
        // SAFETY: both live.
        context.noted(unsafe { call!(api, cuEventRecord(event.event, stream.stream)) })?;
        Ok(event)
    }

    /// The device's time from `earlier` to this mark, once it is reached.
    ///
    /// # Errors
    ///
    /// Those of the driver and of the work between; `None` in place of a time that is none: NaN, or below zero.
    pub fn since(&self, earlier: &Event) -> Result<Option<Duration>, Fault> {
        let api = self.context.enter()?;
        // SAFETY: the event lives.
        self.context.noted(unsafe { call!(api, cuEventSynchronize(self.event)) })?;
        let mut milliseconds = f32::NAN;
        let time = &raw mut milliseconds;
        let (from, to) = (earlier.event, self.event);
        // SAFETY: the number is written on success; both events live.
        let asked = unsafe { call!(api, cuEventElapsedTime(time, from, to)) };
        self.context.noted(asked)?;
        Ok(Duration::try_from_secs_f64(f64::from(milliseconds) / 1e3).ok())
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if let Ok(api) = self.context.enter() {
            // SAFETY: created once, destroyed once. Nothing could be done about a failure.
            let _ = unsafe { (api.cuEventDestroy_v2)(self.event) };
        }
    }
}
