//! The async runtime as an application has it: one worker for each core.

use std::future::Future;

use tokio::runtime::Builder;

use crate::case::Result;

/// Runs a future as a task of a fresh runtime, which ends with it.
pub(crate) fn block_on<T, F>(future: F) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(runtime.spawn(future))?
}
