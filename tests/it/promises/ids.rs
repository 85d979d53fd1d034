//! Guarantee 8: an id that is published twice stores one event, until it may be forgotten.

use std::time::Duration;

use event_channels::{EventChannel, EventId, Events, IterOptions, NewEvent, PublishOptions};
use events_testkit::{next, nothing_within};

use super::place::{Place, REST};

const HOUR: Duration = Duration::from_secs(3600);
const MICRO: Duration = Duration::from_micros(1);

async fn consumer(channel: &EventChannel, group: &str) -> Events {
    let options = IterOptions::new().group(group).prefetch(1);
    channel.iter_events_with("orders", options).await.unwrap()
}

fn event(id: EventId, n: u32) -> NewEvent {
    NewEvent::new("orders", n).options(PublishOptions::new().event_id(id))
}

/// Two channel objects publish one id at the same time, again and again, alone and in batches.
#[tokio::test(flavor = "multi_thread")]
async fn g8_an_id_that_many_publish_at_once_is_stored_once() {
    let place = Place::new();
    let channels = [place.open(), place.open()];
    let mut events = consumer(&channels[0], "billing").await;
    for round in 0..20 {
        let id = EventId::new();
        let publishes = (0..8).map(|n| {
            let channel = channels[n as usize % 2].clone();
            let batch = vec![event(id, n); 1 + n as usize / 4];
            tokio::spawn(async move { channel.publish_many(batch).await })
        });
        for publish in publishes.collect::<Vec<_>>() {
            for answer in publish.await.unwrap().unwrap() {
                assert_eq!(answer, id, "round {round}");
            }
        }
        let message = next(&mut events).await;
        assert_eq!(message.event_id, id, "round {round}");
        let _ = channels[0].ack(&message).await.unwrap();
    }
    nothing_within(&mut events, REST).await;
}

/// The id is remembered until retention, but at least an hour, has passed since the last group
/// settled the event; whatever happens to the event, and also by who opens the file later.
#[tokio::test]
async fn g8_an_id_is_remembered_until_an_hour_after_its_last_group() {
    for (retention, remembered) in [(Duration::from_secs(10), HOUR), (3 * HOUR, 3 * HOUR)] {
        let place = Place::new();
        let open = || place.open_with(|config| config.queue.retention = retention);
        let channel = open();
        let [mut billing, mut mail] = [
            consumer(&channel, "billing").await,
            consumer(&channel, "mail").await,
        ];
        let id = EventId::new();
        assert_eq!(channel.publish_event(event(id, 1)).await.unwrap(), id);
        let message = next(&mut billing).await;
        let _ = channel.ack(&message).await.unwrap();
        place.clock.advance(10 * remembered);
        assert_eq!(channel.publish_event(event(id, 2)).await.unwrap(), id);

        let message = next(&mut mail).await;
        assert_eq!(message.payload, 1);
        let _ = channel.ack(&message).await.unwrap();
        place.clock.advance(remembered - MICRO);
        let reopened = open();
        assert_eq!(reopened.publish_event(event(id, 3)).await.unwrap(), id);
        for events in [&mut billing, &mut mail] {
            nothing_within(events, REST).await;
        }

        // It may be forgotten, and then it is a new event.
        place.clock.advance(MICRO);
        assert_eq!(reopened.publish_event(event(id, 4)).await.unwrap(), id);
        for events in [&mut billing, &mut mail] {
            let message = next(events).await;
            assert_eq!((message.payload, message.event_id), (4.into(), id));
        }
    }
}
