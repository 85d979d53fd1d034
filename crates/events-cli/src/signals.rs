//! Ctrl-C and SIGTERM: the first one drains, the second one ends at once.

use tokio::signal::unix::{SignalKind, signal};

use event_channels::Closer;

use crate::exit::Done;

/// A closer that the first signal closes.
pub(crate) fn closer() -> Done<Closer> {
    let closer = Closer::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let first = closer.clone();
    tokio::spawn(async move {
        for wanted in [true, false] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if wanted {
                tracing::info!("draining; a second signal ends at once");
                first.close();
            }
        }
        std::process::exit(130);
    });
    Ok(closer)
}
