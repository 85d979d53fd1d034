//! Ctrl-C and SIGTERM: the first one drains, the second one ends at once.

use std::time::Duration;

use event_channels::Closer;
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Done;

/// How long commands that run have to be killed after the second signal.
const LAST_MOMENT: Duration = Duration::from_millis(50);

/// What signals ask for.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    /// Closed by the first signal: finish what is in hand.
    pub(crate) drain: Closer,
    /// Closed by the second: the process ends now.
    pub(crate) now: Closer,
}

/// Takes over Ctrl-C and SIGTERM.
pub(crate) fn take() -> Done<Stop> {
    let stop = Stop {
        drain: Closer::new(),
        now: Closer::new(),
    };
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let closers = stop.clone();
    tokio::spawn(async move {
        for closer in [&closers.drain, &closers.now] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            closer.close();
            tracing::info!("draining; a second signal ends at once");
        }
        tokio::time::sleep(LAST_MOMENT).await;
        std::process::exit(130);
    });
    Ok(stop)
}
