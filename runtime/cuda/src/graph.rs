//! CUDA graphs: launches recorded once, in order, and queued together by one call.
//!
//! They are recorded on a stream of their own, so that nothing else in the process comes between. Source: CUDA driver API,
//! "Stream Management" (capture) and "Graph Management".

use std::ptr;
use std::sync::Arc;

use cudarc::driver::sys::{CUgraph, CUgraphExec};
use tilec_host::RuntimeError;

use crate::api::call;
use crate::context::Context;
use crate::fault::Fault;
use crate::kernel::{Loaded, Prepared};
use crate::stream::Stream;

/// `CU_STREAM_CAPTURE_MODE_THREAD_LOCAL`: what other threads do meanwhile is no matter.
const THREAD_LOCAL: std::ffi::c_int = 1;

/// Launches to be queued together.
pub struct Graph<'a> {
    /// The first, whose kernel names errors and has the stream.
    first: &'a Prepared<'a>,
    context: Arc<Context>,
    executable: CUgraphExec,
    /// The code they run.
    _code: Vec<Arc<Loaded>>,
}

// SAFETY: the driver's graphs may be launched from any thread, one launch at a time; the stream orders them.
unsafe impl Send for Graph<'_> {}
// SAFETY: as above.
unsafe impl Sync for Graph<'_> {}

impl<'a> Graph<'a> {
    /// Records `first` and then `rest`, all of one device.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    ///
    /// # Safety
    ///
    /// The memory of every launch is alive at each [`Graph::launch`], until the wait.
    pub unsafe fn capture(
        first: &'a Prepared<'a>,
        rest: &[&Prepared<'_>],
    ) -> Result<Graph<'a>, RuntimeError> {
        let fault = |fault: Fault| first.kernel().fault("graph: ", &fault);
        let context = first.kernel().context();
        let stream = Stream::new(context).map_err(fault)?;
        let api = context.enter().map_err(fault)?;
        // SAFETY: the stream lives.
        let begun = unsafe { call!(api, cuStreamBeginCapture_v2(stream.raw(), THREAD_LOCAL)) };
        context.noted(begun).map_err(fault)?;
        let all = std::iter::once(&first).chain(rest);
        // SAFETY: nothing runs now; when it does is the caller's promise.
        let queued = all.clone().try_for_each(|launch| unsafe { launch.launch_on(&stream) });
        let mut graph: CUgraph = ptr::null_mut();
        // SAFETY: the graph is written on success. The capture ends whatever became of the launches.
        let ended = unsafe { call!(api, cuStreamEndCapture(stream.raw(), &raw mut graph)) };
        let ended = context.noted(ended).map_err(fault);
        let mut executable: CUgraphExec = ptr::null_mut();
        let made = queued.and(ended).and_then(|()| {
            let to = &raw mut executable;
            // SAFETY: the executable is written on success, and destroyed when `Graph` is dropped.
            context
                .noted(unsafe { call!(api, cuGraphInstantiateWithFlags(to, graph, 0)) })
                .map_err(fault)
        });
        if !graph.is_null() {
            // SAFETY: made once, destroyed once; the executable is a copy. Nothing could be done about a failure.
            let _ = unsafe { (api.cuGraphDestroy)(graph) };
        }
        made?;
        let code = all.map(|launch| launch.code()).collect();
        Ok(Graph { first, context: Arc::clone(context), executable, _code: code })
    }

    /// Queues all launches; [`Prepared::wait`] of any tells how they went.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    ///
    /// # Safety
    ///
    /// As [`Prepared::launch`], of each.
    pub unsafe fn launch(&self) -> Result<(), RuntimeError> {
        let kernel = self.first.kernel();
        let fault = |fault: Fault| kernel.fault("graph: ", &fault);
        let api = self.context.enter().map_err(fault)?;
        let stream = kernel.stream().raw();
        // SAFETY: both live; the memory is the caller's promise.
        let launched = unsafe { call!(api, cuGraphLaunch(self.executable, stream)) };
        self.context.noted(launched).map_err(fault)
    }
}

impl Drop for Graph<'_> {
    fn drop(&mut self) {
        if let Ok(api) = self.context.enter() {
            // SAFETY: made once, destroyed once. Nothing could be done about a failure.
            let _ = unsafe { (api.cuGraphExecDestroy)(self.executable) };
        }
    }
}
