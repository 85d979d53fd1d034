//! Each option of Oracle reaches the server.

use event_channels::migrations::Direction;
use event_channels::{AckDurability, Durability, ErrorKind, NewEvent};
use events_testkit::oracle::Plan;

use crate::support::{config, with_database, with_standin};

#[test]
fn in_memory_reaches_the_statement() {
    with_standin(
        "in_memory_reaches_the_statement",
        async |database, server| {
            let asked = || server.calls("INMEMORY PRIORITY HIGH").unwrap();
            config(database).migrate_up().await?;
            assert_eq!(asked(), 0);
            let in_memory = config(database).in_memory(true);
            // A server without the feature has the table all the same.
            server.plan(Plan::at("INMEMORY").code(439)).unwrap();
            in_memory.migrate_up().await?;
            server.plan(Plan::at("INMEMORY").code(1031)).unwrap();
            let refused = in_memory.migrate_up().await;
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Permission);
            assert_eq!(asked(), 2);
            let shown = in_memory.migrate_dry_run(Direction::Up).await?;
            assert!(shown.contains("INMEMORY PRIORITY HIGH;"), "{shown}");
            in_memory.migrate_up().await?;
            // What is in the column store is not put there again.
            in_memory.migrate_up().await?;
            in_memory.clone().open().await?.shutdown().await?;
            assert_eq!(asked(), 3);
            assert_eq!(in_memory.migrate_dry_run(Direction::Up).await?, "");
            in_memory.migrate_down().await?;
            in_memory.migrate_up().await?;
            assert_eq!(asked(), 4, "a new table is put there");
            Ok(())
        },
    );
}

#[test]
fn in_memory_is_shown_to_a_dba() {
    with_database("in_memory_is_shown_to_a_dba", async |database| {
        let table = database.table().to_ascii_uppercase();
        let statement = format!("ALTER TABLE \"{table}\" INMEMORY PRIORITY HIGH;");
        for (wanted, shown) in [(false, false), (true, true)] {
            let config = config(database).in_memory(wanted);
            let sql = config.migrate_dry_run(Direction::Up).await?;
            assert_eq!(sql.contains(&statement), shown, "{sql}");
        }
        Ok(())
    });
}

/// Relaxed acks and claims are answered before their redo is on disk; publishes never are, unless
/// that is said.
#[test]
fn durability_decides_how_a_transaction_is_committed() {
    with_standin(
        "durability_decides_how_a_transaction_is_committed",
        async |database, server| {
            let relaxed = || server.calls("COMMIT WRITE BATCH NOWAIT").unwrap();
            for (durability, acks, publish, consume) in [
                (Durability::Power, AckDurability::Strict, 0, 0),
                (Durability::Power, AckDurability::Relaxed, 0, 2),
                (Durability::Process, AckDurability::Strict, 1, 0),
            ] {
                let config = config(database).durability(durability).ack_durability(acks);
                let channel = config.open().await?;
                let before = relaxed();
                channel.publish("orders", 1).await?;
                assert_eq!(relaxed() - before, publish, "{durability:?}");
                let mut events = channel.iter_events("orders").await?;
                let message = events_testkit::next(&mut events).await;
                let before_ack = relaxed();
                channel.ack(&message).await?;
                let consumed = relaxed() - before - publish;
                assert!(
                    consumed >= consume && (consume > 0 || consumed == 0),
                    "{acks:?}"
                );
                assert_eq!(relaxed() > before_ack, consume > 0, "{acks:?}");
                drop(events);
                channel.shutdown().await?;
            }
            Ok(())
        },
    );
}

#[test]
fn pool_size_bounds_the_sessions() {
    with_standin("pool_size_bounds_the_sessions", async |database, server| {
        let channel = config(database).pool_size(2).open().await?;
        let mut publishes = tokio::task::JoinSet::new();
        for n in 0..50 {
            let channel = channel.clone();
            publishes.spawn(async move { channel.publish("orders", n).await });
        }
        while let Some(published) = publishes.join_next().await {
            published.expect("no task panics")?;
            let sessions = server.sessions().unwrap();
            assert!((1..=2).contains(&sessions), "{sessions} sessions");
        }
        channel.shutdown().await?;
        assert_eq!(
            server.sessions().unwrap(),
            0,
            "a shutdown ends every session"
        );
        Ok(())
    });
}

#[test]
fn a_name_that_an_old_server_cannot_have_is_refused() {
    with_standin(
        "a_name_that_an_old_server_cannot_have_is_refused",
        async |database, server| {
            server.set_version(12).unwrap();
            let long = "a".repeat(20);
            let error = config(database)
                .queue_table(&long)
                .open()
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(error.to_string().contains(&long), "{error}");
            // The same server takes a short one, and any JSON, because nothing checks it there.
            let channel = config(database).open().await?;
            channel.publish("orders", "a scalar").await?;
            channel.shutdown().await.map(drop)
        },
    );
}

/// Small and large payloads, in one batch whose rows share a buffer.
#[test]
fn payloads_of_all_sizes_arrive() {
    with_database("payloads_of_all_sizes_arrive", async |database| {
        let channel = config(database).open().await?;
        let sizes = [0, 1, 1999, 4001, 32_765, 32_766, 200_000];
        let text = |size: usize| "x".repeat(size);
        channel
            .publish_many(sizes.map(|size| NewEvent::new("orders", text(size))))
            .await?;
        let mut events = channel.iter_events("orders").await?;
        for size in sizes {
            let message = events_testkit::next(&mut events).await;
            assert_eq!(message.payload, text(size), "{size} bytes");
            channel.ack(&message).await?;
        }
        drop(events);
        channel.shutdown().await.map(drop)
    });
}
