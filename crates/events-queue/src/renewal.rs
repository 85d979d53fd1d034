//! Keeps the leases of prefetched events alive until they are handed over.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::engine::Engine;
use crate::prefetch::Buffer;
use crate::{Outcome, QueueStore, StoreSettlement, StoreVerdict};

/// Renews until the engine is closed or gone.
pub(crate) async fn run<S: QueueStore>(engine: Weak<Engine<S>>, lease: Duration) {
    // Looking twice per third of a lease renews each event after a third at the earliest and a
    // half at the latest.
    let tick = lease / 6;
    loop {
        tokio::time::sleep(tick).await;
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

async fn renew<S: QueueStore>(engine: &Arc<Engine<S>>, buffer: &Buffer) {
    let lease = engine.config.lease;
    let now = Instant::now();
    let due: Vec<StoreSettlement> = buffer
        .lock()
        .iter()
        .filter(|held| held.until.saturating_duration_since(now) < lease * 2 / 3)
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
