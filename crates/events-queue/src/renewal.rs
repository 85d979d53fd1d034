//! Keeps the leases of prefetched events alive until they are handed over.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::engine::Engine;
use crate::prefetch::Buffer;
use crate::{Outcome, QueueStore, StoreSettlement, StoreVerdict};

/// Renews until the engine is closed or gone.
pub(crate) async fn run<S: QueueStore>(engine: Weak<Engine<S>>, lease: Duration) {
    loop {
        tokio::time::sleep(tick(lease)).await;
        let Some(engine) = engine.upgrade() else {
            return;
        };
        if engine.closer.is_closed() {
            return;
        }
        for buffer in engine.buffers() {
            renew(&engine, &buffer).await;
        }
    }
}

/// Looking twice per third of a lease renews each event after a third at the earliest and a half at
/// the latest.
fn tick(lease: Duration) -> Duration {
    lease / 6
}

fn is_due(left: Duration, lease: Duration) -> bool {
    left < lease * 2 / 3
}

async fn renew<S: QueueStore>(engine: &Arc<Engine<S>>, buffer: &Buffer) {
    buffer.claiming.take_in(engine.shelf(buffer));
    let lease = engine.config.lease;
    let now = Instant::now();
    let due: Vec<StoreSettlement> = buffer
        .lock()
        .iter()
        .filter(|held| is_due(held.until.saturating_duration_since(now), lease))
        .map(|held| StoreSettlement {
            token: held.row.token,
            event_id: held.row.event_id,
            verdict: StoreVerdict::Extend(lease),
        })
        .collect();
    if due.is_empty() {
        return;
    }
    let tokens: Vec<_> = due.iter().map(|settlement| settlement.token).collect();
    match engine.store.settle(due).await {
        Ok(outcomes) => {
            for (token, outcome) in tokens.iter().zip(outcomes) {
                engine.note_renewal(buffer, token, now, outcome == Outcome::Recorded);
            }
        }
        Err(error) => tracing::warn!(%error, "leases of prefetched events were not renewed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_renewed_after_a_third_and_before_half_of_it() {
        let lease = Duration::from_secs(30);
        assert_eq!(tick(lease), Duration::from_secs(5));
        let due = |left| is_due(Duration::from_secs(left), lease);
        assert_eq!(
            [30, 21, 20, 19, 0].map(due),
            [false, false, false, true, true]
        );
    }
}
