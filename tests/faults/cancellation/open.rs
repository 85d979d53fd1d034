//! Opening and migrating, dropped: a thread of its own goes on to the end, and the next call finds
//! whole tables or none.

use event_channels::EventsConfig;
use event_channels::migrations::{Direction, State};
use events_testkit::cancel_at;

use crate::peer::{assert_sound, url};

const MOST_POLLS: usize = 4;

#[tokio::test]
async fn g11_open_and_migrate() {
    let folder = tempfile::tempdir().unwrap();
    for polls in 0..MOST_POLLS {
        let file = folder.path().join(format!("{polls}.db"));
        let config = EventsConfig::new(url(&file)).unwrap();
        let _ = cancel_at(polls, config.clone().open()).await;
        let channel = config.clone().open().await.unwrap();
        channel.publish("orders", polls).await.unwrap();
        assert_eq!(
            channel.stats("orders").await.unwrap().total().ready,
            1,
            "{polls} polls"
        );
        channel.shutdown().await.unwrap();

        let _ = cancel_at(polls, config.migrate_status()).await;
        let _ = cancel_at(polls, config.migrate_dry_run(Direction::Down)).await;
        assert!(
            config
                .migrate_dry_run(Direction::Up)
                .await
                .unwrap()
                .is_empty()
        );
        assert_sound(&file);
    }
}

/// What was dropped may run late, so each direction has a file for each try.
#[tokio::test]
async fn migrate_in_one_direction() {
    let folder = tempfile::tempdir().unwrap();
    for polls in 0..MOST_POLLS {
        let file = folder.path().join(format!("up_{polls}.db"));
        let config = EventsConfig::new(url(&file)).unwrap();
        let _ = cancel_at(polls, config.migrate_up()).await;
        config.migrate_up().await.unwrap();
        assert_all(&config, State::Applied).await;
        assert_sound(&file);

        let file = folder.path().join(format!("down_{polls}.db"));
        let config = EventsConfig::new(url(&file)).unwrap();
        config.migrate_up().await.unwrap();
        let _ = cancel_at(polls, config.migrate_down()).await;
        config.migrate_down().await.unwrap();
        assert_all(&config, State::Pending).await;
        assert_sound(&file);
    }
}

async fn assert_all(config: &EventsConfig, state: State) {
    let status = config.migrate_status().await.unwrap();
    assert!(status.iter().all(|m| m.state == state), "{status:?}");
}
