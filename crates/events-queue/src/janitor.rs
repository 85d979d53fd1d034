//! Deletes what retention has passed: in small batches, on a schedule, never on an ack.

use std::sync::Weak;
use std::time::Duration;

use events_core::telemetry::Count;

use crate::QueueStore;
use crate::engine::Engine;

/// Rows of one transaction; few enough that no publisher waits noticeably.
const BATCH: usize = 500;
/// Between two batches others get their turn.
const BREATH: Duration = Duration::from_millis(5);

/// The longest time between two batches when nothing more is waiting.
const LONGEST: Duration = Duration::from_secs(60);

/// How often it is looked whether retention has passed. Without retention events are deleted by
/// their ack, and only what expired unclaimed and old keys are left for this.
fn interval(retention: Duration) -> Duration {
    if retention.is_zero() {
        return LONGEST;
    }
    (retention / 10).clamp(Duration::from_millis(100), LONGEST)
}

/// Cleans up until the engine is closed or gone.
pub(crate) async fn run<S: QueueStore>(engine: Weak<Engine<S>>, retention: Duration) {
    let interval = interval(retention);
    let mut wait = interval;
    loop {
        tokio::time::sleep(wait).await;
        let Some(engine) = engine.upgrade() else {
            return;
        };
        if engine.closer.is_closed() {
            return;
        }
        wait = match engine.store.clean_up(BATCH).await {
            Ok(done) => {
                engine.meter.add(Count::Expired, done.expired as u64);
                if done.more { BREATH } else { interval }
            }
            Err(error) => {
                tracing::warn!(%error, "clean-up failed and will be tried again");
                interval
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_retention_it_rests() {
        let seconds = [0, 1, 60, 86_400].map(Duration::from_secs).map(interval);
        let expected = [60_000, 100, 6_000, 60_000].map(Duration::from_millis);
        assert_eq!(seconds, expected);
    }
}
