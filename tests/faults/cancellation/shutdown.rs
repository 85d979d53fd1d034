//! Shutdown, dropped: the next call takes it up, and then everything is given back and closed.

use event_channels::{ErrorKind, IterOptions, ListenOptions};
use events_testkit::{cancel_at, next};

use super::place::{MANY, places};

#[tokio::test]
async fn g11_shutdown() {
    for polls in 0..MANY {
        let mut all_ended = true;
        for place in places().await {
            let what = format!("{}, {polls} polls", place.what);
            for n in 0..10 {
                place.channel.publish("orders", n).await.unwrap();
            }
            // One is held by the application, some are prefetched, and a listener waits.
            let options = IterOptions::new().prefetch(4);
            let mut events = place
                .channel
                .iter_events_with("orders", options)
                .await
                .unwrap();
            let held = next(&mut events).await;
            let handler = |_| async { Ok(()) };
            let listener = place
                .channel
                .listen("mail", ListenOptions::new(), handler)
                .await
                .unwrap();

            all_ended &= cancel_at(polls, place.channel.shutdown()).await.is_some();
            let closed = place.channel.shutdown().await.unwrap();
            assert_eq!(closed.listeners, 1, "{what}");
            assert!(!listener.is_running(), "{what}");
            let late = place.channel.publish("orders", 11).await.unwrap_err();
            assert_eq!(late.kind(), ErrorKind::Closed, "{what}");
            if place.what == "file" {
                // The last connection takes the log with it.
                let log = place.folder.path().join("events.db-wal");
                assert!(!log.exists(), "{what}: the file is still open");
                let again = place.config().open().await.unwrap();
                let stats = again.stats("orders").await.unwrap().total();
                assert_eq!((stats.ready, stats.leased), (9, 1), "{what}");
                again.shutdown().await.unwrap();
            }
            drop((held, events));
        }
        if all_ended {
            return;
        }
    }
    panic!("it did not end within {MANY} polls");
}
