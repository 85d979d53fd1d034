//! An event whose lease had ended, given back: nobody holds it until it is claimed again.

use std::time::{Duration, Instant};

use events_core::{ChannelName, EventId, NewEvent};
use events_queue::{
    Claim, DeadReason, NewRow, Outcome, QueueStore, Row, StoreSettlement, StoreVerdict,
};

const LEASE: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(30);
const BACK: StoreVerdict = StoreVerdict::Release { suspect: true };

/// Claims an event alone, gives it back, and sees that no second verdict changes anything.
///
/// # Panics
/// When one does, or when the event is not claimed alone again, as if it had not been.
pub fn is_nobodys_once_it_was_given_back(store: &dyn QueueStore) {
    let channel = ChannelName::new("suspects").expect("it is a name");
    let registered = store.register(channel.clone(), None).wait();
    let queue_id = registered.expect("it can be registered").queue_id;
    let parts = NewEvent::new(channel, 1).into_parts(1024);
    let row = NewRow {
        id: EventId::new(),
        keyed: false,
        parts: parts.expect("it is an event"),
    };
    store.insert(vec![row]).wait().expect("it can be stored");
    claim(store, queue_id, Duration::from_millis(1), false);

    let first = claim(store, queue_id, LEASE, true);
    assert_eq!(settle(store, &first, BACK), Outcome::Recorded);
    for verdict in [
        BACK,
        StoreVerdict::Extend(LEASE),
        StoreVerdict::Retry {
            after: Duration::ZERO,
            error: None,
        },
        StoreVerdict::Dead {
            reason: DeadReason::Rejected,
            error: None,
        },
        StoreVerdict::Ack,
    ] {
        let outcome = settle(store, &first, verdict.clone());
        assert_eq!(outcome, Outcome::Gone, "{verdict:?}");
    }

    let second = claim(store, queue_id, LEASE, true);
    assert_eq!(second.event_id, first.event_id);
    assert_eq!(second.token.attempts, first.token.attempts);
    assert!(second.token.fence > first.token.fence);
    assert_eq!(settle(store, &first, StoreVerdict::Ack), Outcome::Gone);
    assert_eq!(settle(store, &second, StoreVerdict::Ack), Outcome::Recorded);
}

/// The event, as soon as it can be had.
fn claim(store: &dyn QueueStore, queue_id: i64, lease: Duration, alone: bool) -> Row {
    let until = Instant::now() + PATIENCE;
    loop {
        let claim = Claim {
            queue_id,
            limit: 10,
            suspects: true,
            lease,
            max_attempts: 20,
        };
        let claimed = store.claim(claim).wait().expect("a claim works");
        if let Some(row) = claimed.rows.into_iter().next() {
            assert_eq!(claimed.alone, alone, "claimed alone");
            return row;
        }
        assert!(Instant::now() < until, "no event within {PATIENCE:?}");
        std::thread::yield_now();
    }
}

fn settle(store: &dyn QueueStore, row: &Row, verdict: StoreVerdict) -> Outcome {
    let settlement = StoreSettlement {
        token: row.token,
        event_id: row.event_id,
        verdict,
    };
    let outcomes = store.settle(vec![settlement]).wait();
    outcomes.expect("verdicts can be recorded")[0]
}
