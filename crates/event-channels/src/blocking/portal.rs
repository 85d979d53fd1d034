//! The bridge from blocking code to backends that need an async runtime.

use std::sync::Arc;

use events_core::{Error, ErrorKind, Op, Pending, Result};
use tokio::runtime::{Builder, EnterGuard, Handle, Runtime};

/// A runtime of one thread, for timers, connections and lease renewal.
#[derive(Debug)]
pub(super) struct Portal {
    /// Taken only on drop.
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Portal {
    pub(super) fn new() -> Result<Arc<Self>> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("event-channels")
            .enable_all()
            .build()
            .map_err(|e| {
                Error::new(ErrorKind::Busy, Op::Open)
                    .because("the thread of the portal could not be started")
                    .caused_by(e)
            })?;
        let handle = runtime.handle().clone();
        Ok(Arc::new(Self {
            runtime: Some(runtime),
            handle,
        }))
    }

    /// Refuses a call from inside an async runtime.
    ///
    /// Our own threads enter the portal only while they wait, never while code of the application
    /// runs, so this sees the application's context and not ours.
    pub(super) fn check(op: Op) -> Result<()> {
        match Handle::try_current() {
            Err(_) => Ok(()),
            Ok(_) => Err(Error::new(ErrorKind::WrongContext, op).because(
                "a blocking call inside an async runtime could wait for itself; use the async EventChannel here, or a thread of your own",
            )),
        }
    }

    /// Lets futures that are polled on this thread find the runtime.
    pub(super) fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }

    /// Starts an operation and waits for its answer on this thread.
    pub(super) fn wait<T: Send + 'static>(
        &self,
        op: Op,
        start: impl FnOnce() -> Pending<T>,
    ) -> Result<T> {
        Self::check(op)?;
        let _inside = self.enter();
        start().wait()
    }

    /// Runs a future on this thread. Refused like [`Portal::wait`].
    pub(super) fn block_on<T>(&self, op: Op, future: impl Future<Output = Result<T>>) -> Result<T> {
        Self::check(op)?;
        self.handle.block_on(future)
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Portal {
    fn drop(&mut self) {
        // Waiting for its thread would panic inside an async runtime, and would never end on the
        // portal's own thread. What it does is owned by backends, which end it in `shutdown`.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
