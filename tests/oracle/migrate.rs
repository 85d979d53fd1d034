//! Migrations on Oracle, where every DDL commits.

use std::path::Path;

use event_channels::migrations::{Direction, State};
use event_channels::{BackendKind, ErrorKind, Fallback, Op};
use events_testkit::oracle::{Plan, session};

use crate::support::{config, with_database, with_standin};

const ID: &str = "ext_events_0001";

#[test]
fn up_status_down() {
    with_database("up_status_down", async |database| {
        let config = config(database).auto_migrate(false);
        let error = config.clone().open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SchemaMissing, "{error}");
        assert!(
            error.to_string().contains(database.table())
                && error.to_string().contains("events migrate up"),
            "{error}"
        );
        assert_eq!(config.migrate_status().await?[0].state, State::Pending);
        assert_eq!(config.migrate_up().await?, [ID]);
        assert_eq!(config.migrate_up().await?, Vec::<String>::new());
        let status = config.migrate_status().await?;
        assert_eq!(status[0].state, State::Applied);
        assert!(status[0].applied_at.is_some());
        config.clone().open().await?.shutdown().await?;
        assert_eq!(config.migrate_down().await?, [ID]);
        assert_eq!(config.migrate_down().await?, Vec::<String>::new());
        let error = config.open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SchemaMissing);
        Ok(())
    });
}

#[test]
fn a_dry_run_prints_every_statement_and_does_nothing() {
    with_database(
        "a_dry_run_prints_every_statement_and_does_nothing",
        async |database| {
            let config = config(database).auto_migrate(false);
            let up = config.migrate_dry_run(Direction::Up).await?;
            let table = database.table().to_ascii_uppercase();
            for part in [
                format!("CREATE TABLE \"{table}\" ("),
                format!("CREATE TABLE \"{table}_DEAD\" ("),
                format!("CREATE INDEX \"IDX_{table}_CLAIM\" ON \"{table}\""),
                "CREATE TABLE event_channels_migrations (".to_owned(),
                format!("record {ID}"),
            ] {
                assert!(up.contains(&part), "{part}: {up}");
            }
            assert_eq!(up.matches("\n/\n").count(), 2, "{up}");
            assert_eq!(config.migrate_dry_run(Direction::Down).await?, "");
            assert_eq!(config.migrate_status().await?[0].state, State::Pending);
            config.migrate_up().await?;
            assert_eq!(config.migrate_dry_run(Direction::Up).await?, "");
            let down = config.migrate_dry_run(Direction::Down).await?;
            assert!(
                down.contains(&format!("drop_table('\"{table}_KEY\"')")),
                "{down}"
            );
            assert_eq!(config.migrate_status().await?[0].state, State::Applied);
            Ok(())
        },
    );
}

#[test]
fn export_needs_no_server() {
    with_database("export_needs_no_server", async |database| {
        let folder = tempfile::tempdir().unwrap();
        let paths = config(database).migrate_export(folder.path())?;
        let up = std::fs::read_to_string(&paths[0]).unwrap();
        assert!(up.contains(&database.table().to_ascii_uppercase()), "{up}");
        assert!(up.ends_with("END;\n/\n"), "{up}");
        Ok(())
    });
}

/// What is exported for a queue makes it on either version of a server, and drops it.
#[test]
fn the_export_of_a_queue_can_be_run() {
    with_database("the_export_of_a_queue_can_be_run", async |database| {
        for backend in [BackendKind::Aq, BackendKind::TxEventQ] {
            for version in [23, 19] {
                let old = version == 19;
                if let Some(server) = database.standin() {
                    server.set_version(version).unwrap();
                }
                if old && (database.standin().is_none() || backend == BackendKind::TxEventQ) {
                    continue;
                }
                let folder = tempfile::tempdir().unwrap();
                let config = config(database)
                    .auto_migrate(false)
                    .backend(backend)
                    .aq_queue(database.table())
                    .aq_groups(true)
                    .fallback_table(false)
                    .fallback(Fallback::Error);
                let paths = config.migrate_export(folder.path())?;
                let table = database.table();
                let name = |end: &str| folder.path().join(format!("queue_{table}.{end}.sql"));
                assert_eq!(paths, [name("up"), name("down")]);
                let run = |path: &Path| {
                    let text = std::fs::read_to_string(path).unwrap();
                    let block = text.strip_suffix("/\n").expect("a block for SQL*Plus");
                    session(database)?
                        .execute(Op::Migrate, block, &[])
                        .map(drop)
                };
                run(&paths[0])?;
                let channel = config.clone().open().await?;
                channel.publish("orders", 1).await?;
                channel.shutdown().await?;
                run(&paths[1])?;
                let gone = config.clone().open().await.unwrap_err();
                assert_eq!(gone.kind(), ErrorKind::NotConfigured, "{gone}");
                let both = config.fallback_table(true).migrate_export(folder.path())?;
                assert_eq!(both.len(), 4, "{both:?}");
            }
        }
        Ok(())
    });
}

/// A session that ends between the tables and the ledger leaves good tables: the next run records
/// them.
#[test]
fn an_interrupted_migration_is_completed() {
    with_standin(
        "an_interrupted_migration_is_completed",
        async |database, server| {
            let config = config(database).auto_migrate(false);
            // The first record is the row that is locked.
            server
                .plan(Plan::at("events.table.ledger_record").after(1).kill())
                .unwrap();
            let error = config.migrate_up().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            assert_eq!(config.migrate_up().await?, [ID]);
            let made = server.calls("events.tables.up").unwrap();
            assert_eq!(made, 1, "tables that are right are not made again");
            config.open().await?.shutdown().await.map(drop)
        },
    );
}

#[test]
fn of_several_that_migrate_at_once_one_does_it() {
    with_database(
        "of_several_that_migrate_at_once_one_does_it",
        async |database| {
            let mut migrators = tokio::task::JoinSet::new();
            for _ in 0..4 {
                let config = config(database);
                migrators.spawn(async move { config.migrate_up().await });
            }
            let mut done = Vec::new();
            while let Some(ids) = migrators.join_next().await {
                done.extend(ids.expect("no task panics")?);
            }
            assert_eq!(done, [ID]);
            Ok(())
        },
    );
}

#[test]
fn a_table_of_somebody_else_is_left_alone() {
    with_standin(
        "a_table_of_somebody_else_is_left_alone",
        async |database, server| {
            let table = database.table().to_ascii_uppercase();
            // The server's files exist once somebody has logged in.
            config(database).migrate_status().await?;
            let tables = rusqlite::Connection::open(server.folder().join("tables.db")).unwrap();
            tables
                .execute_batch(&format!("CREATE TABLE \"{table}\" (theirs)"))
                .unwrap();
            for config in [config(database), config(database).auto_migrate(false)] {
                let error = config.open().await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
                assert!(error.to_string().contains("is not ours"), "{error}");
            }
            assert!(config(database).migrate_down().await?.is_empty());
            assert!(
                tables
                    .prepare(&format!("SELECT theirs FROM \"{table}\""))
                    .is_ok()
            );
            Ok(())
        },
    );
}
