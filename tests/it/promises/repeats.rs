//! Guarantee 3: at least once, and twice only for a cause that is listed.

use std::collections::BTreeMap;
use std::time::Duration;

use event_channels::{EventMessage, IterOptions, RetryAfter, Settled};
use events_testkit::next;

use super::place::{LEASE, Place, drain, one_by_one};

/// What each delivery showed: what was published, and the attempts.
fn shown(messages: &[EventMessage]) -> Vec<(&str, u32)> {
    let shown = messages.iter();
    shown
        .map(|message| (message.payload.as_str().unwrap(), message.attempts))
        .collect()
}

/// Each cause brings its event again, once, and what was acknowledged comes to nobody.
#[tokio::test]
async fn g3_an_event_comes_again_for_a_listed_cause_and_for_no_other() {
    let place = Place::new();
    let (first, second) = (place.open(), place.open());
    let all = [
        "acked",
        "nacked",
        "repeated",
        "held",
        "extended",
        "dropped",
        "given back",
    ];
    let mut ids = BTreeMap::new();
    for payload in all {
        ids.insert(payload, first.publish("orders", payload).await.unwrap());
    }
    let mut events = one_by_one(&first).await;
    let mut messages = BTreeMap::new();
    for payload in &all[..5] {
        let message = next(&mut events).await;
        assert_eq!(
            (&message.payload, message.attempts),
            (&(*payload).into(), 1)
        );
        messages.insert(*payload, message);
        if *payload == "acked" || *payload == "repeated" {
            let acked = first.ack(&messages[payload]).await.unwrap();
            assert_eq!(acked, Settled::Recorded);
        }
    }
    drop(events);
    // One is handed over and dropped, and one that was claimed with it goes with its stream.
    let ahead = IterOptions::new().prefetch(8);
    let mut events = first.iter_events_with("orders", ahead).await.unwrap();
    assert_eq!(next(&mut events).await.payload, "dropped");
    drop(events);

    let now = RetryAfter::Delay(Duration::ZERO);
    let nacked = first.nack(&messages["nacked"], now).await.unwrap();
    assert_eq!(nacked, Settled::Recorded);
    first.publish("orders", "repeated").await.unwrap();
    let again = drain(&second, 3).await;
    assert_eq!(
        shown(&again),
        [("nacked", 2), ("given back", 1), ("repeated", 1)]
    );
    assert_ne!(again[2].event_id, ids["repeated"]);

    // Two leases end, another is extended in time.
    place.clock.advance(LEASE - Duration::from_micros(1));
    assert_eq!(drain(&second, 0).await.len(), 0, "the lease has not ended");
    let extended = first.extend(&messages["extended"], LEASE).await.unwrap();
    assert_eq!(extended, Settled::Recorded);
    place.clock.advance(Duration::from_micros(1));
    let again = drain(&second, 2).await;
    assert_eq!(shown(&again), [("held", 2), ("dropped", 2)]);
    let acked = first.ack(&messages["extended"]).await.unwrap();
    assert_eq!(acked, Settled::Recorded);

    // Nothing is left that could come, however long one waits, and whoever asks.
    place.clock.advance(LEASE * 100);
    for channel in [&first, &second, &place.open()] {
        drain(channel, 0).await;
    }
    let stats = super::place::stats(&second).await;
    assert_eq!(
        (stats.acked, stats.ready + stats.leased + stats.delayed),
        (8, 0)
    );
}
