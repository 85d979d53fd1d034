//! Operators' calls, dropped: done or not done, and never in part.

use event_channels::{ChannelName, Pending, RetryAfter};
use events_testkit::cancel_at;

use super::place::{Place, at_each_poll, places, try_at};

fn orders() -> ChannelName {
    "orders".try_into().unwrap()
}

/// Makes so many dead letters.
async fn dead(place: &Place, many: usize) {
    for n in 0..many {
        let message = place.held(n).await;
        let _ = place
            .channel
            .nack(&message, RetryAfter::Never)
            .await
            .unwrap();
    }
}

async fn changes_nothing<T>(place: &Place, look: impl AsyncFn() -> T) {
    let before = place.settled().await;
    let attempt = async |polls| cancel_at(polls, look()).await;
    at_each_poll(attempt, async |polls, _| {
        let what = format!("{}, {polls} polls", place.what);
        let now = place.settled().await;
        assert_eq!((now.ready, now.dead), (before.ready, before.dead), "{what}");
    })
    .await;
}

#[tokio::test]
async fn g11_looks() {
    for place in places().await {
        dead(&place, 2).await;
        place.channel.publish("orders", 1).await.unwrap();
        let admin = place.channel.admin().unwrap();
        changes_nothing(&place, async || place.channel.stats("orders").await).await;
        changes_nothing(&place, async || place.channel.health().await).await;
        changes_nothing(&place, async || admin.stats(None).await).await;
        changes_nothing(&place, async || admin.dead_letters(orders(), 10).await).await;
    }
}

/// Requeues or purges two dead letters at once, dropped.
async fn both_or_none(call: impl Fn(&Place) -> Pending<u64>, requeues: bool) {
    for place in places().await {
        at_each_poll(
            async |polls| {
                dead(
                    &place,
                    2 - usize::try_from(place.settled().await.dead).unwrap(),
                )
                .await;
                try_at(polls, call(&place)).await
            },
            async |polls, ended| {
                let what = format!("{}, {polls} polls", place.what);
                let stats = place.settled().await;
                let done = stats.dead == 0;
                assert!(done || stats.dead == 2, "{what}: half done: {stats:?}");
                assert!(
                    ended.is_none() || (done && ended == Some(2)),
                    "{what}: {ended:?}"
                );
                let back = if done && requeues { 2 } else { 0 };
                assert_eq!((stats.ready, stats.leased), (back, 0), "{what}");
                let mut events = place.events().await;
                for _ in 0..back {
                    let message = events_testkit::next(&mut events).await;
                    assert_eq!(message.attempts, 1, "{what}");
                    let _ = place.channel.ack(&message).await.unwrap();
                }
            },
        )
        .await;
    }
}

#[tokio::test]
async fn g11_requeue() {
    both_or_none(
        |place| place.channel.admin().unwrap().requeue(orders(), None),
        true,
    )
    .await;
}

#[tokio::test]
async fn g11_purge() {
    both_or_none(
        |place| place.channel.admin().unwrap().purge_dead(orders(), None),
        false,
    )
    .await;
}

#[tokio::test]
async fn g11_subscribe_group() {
    for place in places().await {
        let group = |polls: usize| format!("group_{polls}");
        at_each_poll(
            async |polls| {
                try_at(polls, place.channel.subscribe_group("orders", group(polls))).await
            },
            async |polls, ended| {
                let what = format!("{}, {polls} polls", place.what);
                place.settled().await;
                let stats = place.channel.stats("orders").await.unwrap();
                let known = |stats: &event_channels::GroupStats| {
                    stats
                        .group
                        .as_ref()
                        .is_some_and(|name| name.as_str() == group(polls))
                };
                let registered = stats.groups.iter().any(known);
                assert!(polls > 0 || !registered, "{what}: registered unasked");
                assert!(
                    ended.is_none() || registered,
                    "{what}: answered, not registered"
                );
                let created = place
                    .channel
                    .subscribe_group("orders", group(polls))
                    .await
                    .unwrap();
                assert_eq!(created, !registered, "{what}");
            },
        )
        .await;
    }
}
