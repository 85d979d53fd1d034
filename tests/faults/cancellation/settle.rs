//! Verdicts, dropped: recorded or not, and the next one is told which.

use std::time::Duration;

use event_channels::{RetryAfter, Settled};
use events_testkit::next;

use super::place::{NEVER, at_each_poll, places, try_at};

#[tokio::test]
async fn g11_ack() {
    for place in places().await {
        let message = std::cell::RefCell::new(None);
        let attempt = async |polls| {
            let held = place.held(polls).await;
            let ended = try_at(polls, place.channel.ack(&held)).await;
            message.replace(Some(held));
            ended
        };
        let acked = std::cell::Cell::new(0);
        at_each_poll(attempt, async |polls, ended| {
            let what = format!("{}, {polls} polls", place.what);
            let held = message.take().unwrap();
            let stats = place.settled().await;
            let recorded = stats.acked > acked.get();
            assert_eq!(
                (stats.ready, stats.leased),
                (0, u64::from(!recorded)),
                "{what}"
            );
            assert!(polls > 0 || !recorded, "{what}: recorded unasked");
            assert!(
                ended.is_none() || recorded,
                "{what}: answered, not recorded"
            );
            let expected = if recorded {
                Settled::AlreadyAcked
            } else {
                Settled::Recorded
            };
            assert_eq!(place.channel.ack(&held).await.unwrap(), expected, "{what}");
            acked.set(place.settled().await.acked);
        })
        .await;
    }
}

#[tokio::test]
async fn g11_nack() {
    for place in places().await {
        let message = std::cell::RefCell::new(None);
        let attempt = async |polls| {
            let held = place.held(polls).await;
            let nack = place.channel.nack(&held, RetryAfter::Delay(Duration::ZERO));
            let ended = try_at(polls, nack).await;
            message.replace(Some(held));
            ended
        };
        at_each_poll(attempt, async |polls, ended| {
            let what = format!("{}, {polls} polls", place.what);
            let held = message.take().unwrap();
            let stats = place.settled().await;
            let recorded = stats.ready == 1;
            assert_eq!(stats.leased, u64::from(!recorded), "{what}");
            assert!(polls > 0 || !recorded, "{what}: recorded unasked");
            assert!(
                ended.is_none() || recorded,
                "{what}: answered, not recorded"
            );
            if recorded {
                let already = place.channel.ack(&held).await.unwrap();
                assert_eq!(already, Settled::AlreadyNacked, "{what}");
                let again = next(&mut place.events().await).await;
                assert_eq!(
                    (again.event_id, again.attempts),
                    (held.event_id, 2),
                    "{what}"
                );
                assert_eq!(
                    place.channel.ack(&again).await.unwrap(),
                    Settled::Recorded,
                    "{what}"
                );
            } else {
                assert_eq!(
                    place.channel.ack(&held).await.unwrap(),
                    Settled::Recorded,
                    "{what}"
                );
            }
        })
        .await;
    }
}

#[tokio::test]
async fn g11_extend() {
    for place in places().await {
        let held = place.held(0).await;
        let extend = async |polls| try_at(polls, place.channel.extend(&held, NEVER)).await;
        at_each_poll(extend, async |polls, _| {
            let stats = place.settled().await;
            assert_eq!(
                (stats.ready, stats.leased),
                (0, 1),
                "{}, {polls} polls",
                place.what
            );
        })
        .await;
        let acked = place.channel.ack(&held).await.unwrap();
        assert_eq!(
            acked,
            Settled::Recorded,
            "{}: an extension is no verdict",
            place.what
        );
    }
}
