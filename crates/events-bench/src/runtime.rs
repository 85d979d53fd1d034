//! Async runtimes as applications have them.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};

use crate::case::Result;

/// Runs a future as a task of a fresh runtime with one worker for each core, which ends with it.
pub(crate) fn block_on<T, F>(future: F) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(runtime.spawn(future))?
}

/// A runtime that drives everything on the thread that waits for it, and only meanwhile.
pub(crate) fn on_this_thread() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}
