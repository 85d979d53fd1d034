//! Advanced Queuing through the umbrella: made by a migration, missing, or meant otherwise.

use std::time::{Duration, Instant};

use event_channels::migrations::Direction;
use event_channels::{
    AqVisibility, BackendKind, ErrorKind, EventsConfig, Fallback, Result, SettlementMode,
};
use events_testkit::oracle::Database;

use crate::support::{config, with_database, with_standin};

fn queue(database: &Database) -> EventsConfig {
    config(database)
        .backend(BackendKind::Aq)
        .aq_queue(database.table())
}

#[test]
fn a_migration_makes_the_queue_and_the_tables_of_the_fallback() {
    with_database(
        "a_migration_makes_the_queue_and_the_tables_of_the_fallback",
        async |database| {
            let config = queue(database).auto_migrate(false);
            let shown = config.migrate_dry_run(Direction::Up).await?;
            for part in ["CREATE_QUEUE_TABLE", "CREATE TABLE"] {
                assert!(shown.contains(part), "{part}: {shown}");
            }
            config.migrate_up().await?;
            let channel = config.clone().open().await?;
            assert_eq!(channel.backend_name(), "aq");
            channel.shutdown().await?;
            let tables = config
                .clone()
                .backend(BackendKind::PollQueue)
                .open()
                .await?;
            assert_eq!(tables.backend_name(), "poll_queue");
            tables.shutdown().await?;
            config.migrate_down().await?;
            let gone = config.fallback(Fallback::Error).open().await;
            assert_eq!(gone.unwrap_err().kind(), ErrorKind::NotConfigured);
            Ok(())
        },
    );
}

#[test]
fn without_a_queue_the_tables_are_used_and_it_is_told() {
    with_database(
        "without_a_queue_the_tables_are_used_and_it_is_told",
        async |database| {
            config(database).migrate_up().await?;
            let missing = queue(database).auto_migrate(false);
            let channel = missing.clone().open().await?;
            assert_eq!(channel.backend_name(), "poll_queue");
            let counted = channel.telemetry_snapshot();
            let fallback = counted
                .iter()
                .find(|(key, _)| key.ends_with(".events.fallback"));
            assert_eq!(fallback.map(|(_, count)| *count), Some(1.0));
            let id = channel.publish("orders", 1).await?;
            let mut events = channel.iter_events("orders").await?;
            assert_eq!(events_testkit::next(&mut events).await.event_id, id);
            channel.shutdown().await?;
            let strict = missing.fallback(Fallback::Error).open().await.unwrap_err();
            assert_eq!(strict.kind(), ErrorKind::NotConfigured);
            Ok(())
        },
    );
}

/// The catalogue shows the queue all the same, so this is found out by asking for the package.
#[test]
fn without_the_package_the_tables_are_used() {
    with_standin(
        "without_the_package_the_tables_are_used",
        async |database, server| {
            let wanted = queue(database).auto_migrate(false);
            for (package, migrates) in [("DBMS_AQ", false), ("DBMS_AQADM", true)] {
                wanted.migrate_up().await?;
                server.revoke(package, true).unwrap();
                let opened = wanted.clone().auto_migrate(migrates);
                if package == "DBMS_AQADM" {
                    // The right to make queues is not needed where there is one.
                    let channel = opened.clone().open().await?;
                    assert_eq!(channel.backend_name(), "aq");
                    channel.shutdown().await?;
                    server.revoke(package, false).unwrap();
                    wanted.migrate_down().await?;
                    server.revoke(package, true).unwrap();
                }
                let strict = opened.clone().fallback(Fallback::Error).open().await;
                let error = strict.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::NotConfigured, "{error}");
                assert!(error.to_string().contains("GRANT EXECUTE"), "{error}");
                let channel = opened.open().await?;
                assert_eq!(channel.backend_name(), "poll_queue");
                let id = channel.publish("orders", 1).await?;
                let mut events = channel.iter_events("orders").await?;
                let message = events_testkit::next(&mut events).await;
                assert_eq!(message.event_id, id);
                channel.ack(&message).await?;
                channel.shutdown().await?;
                server.revoke(package, false).unwrap();
            }
            Ok(())
        },
    );
}

/// A migration that may not make the queue has made the tables that are then used.
#[test]
fn a_migration_without_the_grant_makes_the_tables_and_says_what_is_missing() {
    with_standin(
        "a_migration_without_the_grant_makes_the_tables_and_says_what_is_missing",
        async |database, server| {
            server.revoke("DBMS_AQADM", true).unwrap();
            let config = queue(database).auto_migrate(false);
            let error = config.migrate_up().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotConfigured, "{error}");
            assert!(error.to_string().contains("DBMS_AQADM"), "{error}");
            let channel = config.open().await?;
            assert_eq!(channel.backend_name(), "poll_queue");
            channel.shutdown().await.map(drop)
        },
    );
}

#[test]
fn the_table_of_the_fallback_can_be_left_out() {
    with_database(
        "the_table_of_the_fallback_can_be_left_out",
        async |database| {
            let config = queue(database).auto_migrate(false).fallback_table(false);
            let granted = config.clone().grant_queue_to("producer");
            let shown = granted.migrate_dry_run(Direction::Up).await?;
            assert!(
                shown.contains("CREATE_QUEUE_TABLE") && !shown.contains("CREATE TABLE"),
                "{shown}"
            );
            assert!(shown.contains("grantee => 'PRODUCER'"), "{shown}");
            assert!(config.migrate_up().await?.is_empty());
            let channel = config.clone().open().await?;
            assert_eq!(channel.backend_name(), "aq");
            channel.shutdown().await?;
            config.migrate_down().await?;
            // Now both are missing, and the error says so.
            let error = config.clone().open().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::SchemaMissing, "{error}");
            for part in [
                database.table(),
                "backend aq is not available",
                "migrate up",
            ] {
                assert!(error.to_string().contains(part), "{part}: {error}");
            }
            // Without queues there would be nothing left.
            for config in [config, granted.fallback_table(true)] {
                let tables = config.backend(BackendKind::PollQueue);
                let error = tables.migrate_up().await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
                assert!(error.to_string().contains("aq and txeventq"), "{error}");
            }
            Ok(())
        },
    );
}

#[test]
fn a_refused_login_is_no_reason_for_the_tables() {
    with_standin(
        "a_refused_login_is_no_reason_for_the_tables",
        async |database, server| {
            config(database).migrate_up().await?;
            server.refuse_logins(Some(1017)).unwrap();
            let error = queue(database)
                .auto_migrate(false)
                .open()
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Auth);
            Ok(())
        },
    );
}

#[test]
fn each_option_reaches_the_queue() {
    with_standin("each_option_reaches_the_queue", async |database, server| {
        let immediate = queue(database).aq_visibility(AqVisibility::Immediate);
        let channel = immediate.open().await?;
        assert_eq!(channel.capabilities().settlement, SettlementMode::None);
        channel.shutdown().await?;
        // How long it is from the first look to the one after, or until nothing more is expected.
        let second_look = async |config: EventsConfig| -> Result<Option<Duration>> {
            let channel = config.open().await?;
            let looks = || server.calls("DBMS_AQ.DEQUEUE").unwrap();
            let before = looks();
            let mut events = channel.iter_events("orders").await?;
            let step = Duration::from_millis(5);
            while looks() == before {
                events_testkit::nothing_within(&mut events, step).await;
            }
            let first = Instant::now();
            while looks() == before + 1 && first.elapsed() < Duration::from_secs(3) {
                events_testkit::nothing_within(&mut events, step).await;
            }
            let second = (looks() > before + 1).then(|| first.elapsed());
            channel.shutdown().await?;
            Ok(second)
        };
        let long = EventsConfig::new(database.url())?
            .backend(BackendKind::Aq)
            .aq_queue(database.table());
        let waits = long.clone().aq_wait(Duration::from_secs(60));
        assert_eq!(second_look(waits).await?, None, "one wait of a minute");
        let capped = long.poll_interval(Duration::from_millis(900));
        // A wait of a second, seen a little after it began.
        let pause = second_look(capped).await?.expect("a second look");
        assert!(pause >= Duration::from_millis(500), "{pause:?}");
        Ok(())
    });
}

#[test]
fn a_transactional_event_queue_is_made_too() {
    with_database(
        "a_transactional_event_queue_is_made_too",
        async |database| {
            let config = queue(database).backend(BackendKind::TxEventQ);
            let channel = config.clone().open().await?;
            assert_eq!(channel.backend_name(), "txeventq");
            channel.shutdown().await?;
            config.migrate_down().await?;
            Ok(())
        },
    );
}
