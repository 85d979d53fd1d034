//! Publishing, dropped: stored once or not at all, and a batch as a whole.

use event_channels::{NewEvent, PublishOptions};
use events_testkit::next;

use super::place::{Place, at_each_poll, places, postgres_place, try_at};

/// Publishing adds `size` events or none; unpolled it adds none, and ended it has added them.
async fn adds_all_or_none(size: u64, publish: impl AsyncFn(&Place, usize) -> Option<()>) {
    for place in places().await {
        let stored = std::cell::Cell::new(0);
        let attempt = async |polls| publish(&place, polls).await;
        at_each_poll(attempt, async |polls, ended| {
            let ready = place.settled().await.ready;
            let what = format!("{}, {polls} polls", place.what);
            let added = ready - stored.replace(ready);
            assert!(
                added == 0 || added == size,
                "{what}: {added} of {size} stored"
            );
            assert!(polls > 0 || added == 0, "{what}: stored unasked");
            assert!(
                ended.is_none() || added == size,
                "{what}: acknowledged, not stored"
            );
        })
        .await;
        // Everything that was stored is delivered, once.
        let mut events = place.events().await;
        let mut delivered = std::collections::HashSet::new();
        for _ in 0..stored.get() {
            assert!(delivered.insert(next(&mut events).await.event_id));
        }
    }
}

#[tokio::test]
async fn g11_publish() {
    adds_all_or_none(1, async |place, polls| {
        try_at(polls, place.channel.publish("orders", polls))
            .await
            .map(drop)
    })
    .await;
}

#[tokio::test]
async fn g11_publish_with_an_id_of_the_callers() {
    for place in places().await {
        // Dropped or not, publishing the id again stores it once.
        let options =
            PublishOptions::new().event_id("0190b3c8-0000-7000-8000-000000000001".parse().unwrap());
        let publish = || place.channel.publish_with("orders", 1, options.clone());
        at_each_poll(
            async |polls| try_at(polls, publish()).await,
            async |polls, _| {
                let many = place.settled().await.ready;
                assert!(
                    many <= 1 && (polls > 0 || many == 0),
                    "{}, {polls} polls",
                    place.what
                );
            },
        )
        .await;
        publish().await.unwrap();
        assert_eq!(place.settled().await.ready, 1, "{}", place.what);
    }
}

#[tokio::test]
async fn g11_publish_many() {
    adds_all_or_none(3, async |place, polls| {
        let events = (0..3).map(|n| NewEvent::new("orders", n));
        try_at(polls, place.channel.publish_many(events))
            .await
            .map(drop)
    })
    .await;
}

/// The transaction is the caller's: it can be committed with what was sent, all of it or nothing.
#[tokio::test]
async fn g11_publish_in_a_transaction_on_postgres() {
    use event_channels::postgres::TransactionalPublish as _;
    use event_channels::postgres::tokio_postgres::{self, NoTls};

    let Some((place, database)) = postgres_place().await else {
        return;
    };
    let (client, connection) = tokio_postgres::connect(database.url(), NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let client = tokio::sync::Mutex::new(client);
    // A channel that is there, and channels that nobody has registered.
    for new in [false, true] {
        let stored = std::cell::Cell::new(place.settled().await.ready);
        let names = |polls| {
            if new {
                format!("new_{polls}")
            } else {
                "orders".to_owned()
            }
        };
        at_each_poll(
            async |polls| {
                let mut client = client.lock().await;
                let tx = client.transaction().await.unwrap();
                let mut events: Vec<_> = (0..2).map(|n| NewEvent::new("orders", n)).collect();
                events.push(NewEvent::new(&*names(polls), 2));
                let published = try_at(polls, place.channel.publish_many_in(&tx, events)).await;
                tx.commit().await.unwrap();
                published.map(|(_, wake)| wake.wake())
            },
            async |polls, ended| {
                let all = place.settled().await.ready;
                let mut added = all - stored.replace(all);
                if new {
                    let other = place.channel.stats(&*names(polls)).await.unwrap();
                    added += other.total().ready;
                }
                let whole = ended.is_some();
                assert!(added == 3 || added == 0 && !whole, "{polls} polls: {added}");
                assert!(polls > 0 || added == 0, "stored unasked");
            },
        )
        .await;
    }
    drop(database);
}
