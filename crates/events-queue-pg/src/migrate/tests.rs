//! Migrations applied, reverted, refused and looked at, in databases of their own.

use events_testkit::postgres::{Database, database};
use tokio::runtime::Runtime;

use super::*;
use crate::{Endpoint, PostgresConfig, connect};

const ID: &str = "ext_events_0001";

/// A database, and connections to it.
struct Place {
    runtime: Runtime,
    database: Database,
}

impl Place {
    /// `None`, and a report, where there is no server.
    fn new(test: &str) -> Option<Self> {
        match database() {
            Ok(database) => Some(Self {
                runtime: Runtime::new().unwrap(),
                database,
            }),
            Err(missing) => {
                missing.skip(test);
                None
            }
        }
    }

    fn client(&self) -> Client {
        let config = PostgresConfig::new(Endpoint::parse(self.database.url()).unwrap());
        self.runtime.block_on(connect(&config)).unwrap()
    }

    fn up(&self, table: &TableName) -> Result<Vec<String>> {
        self.runtime.block_on(up(&mut self.client(), table))
    }

    fn down(&self, table: &TableName) -> Result<Vec<String>> {
        self.runtime.block_on(down(&mut self.client(), table))
    }

    fn check(&self, table: &TableName) -> Result<()> {
        self.runtime.block_on(check(&self.client(), table))
    }

    fn dry_run(&self, direction: Direction) -> Result<String> {
        self.runtime
            .block_on(dry_run(&self.client(), &table(), direction))
    }

    fn states(&self) -> Vec<State> {
        let status = self.runtime.block_on(status(&self.client(), &table()));
        let of = |migration: MigrationStatus| migration.state;
        status.unwrap().into_iter().map(of).collect()
    }

    /// Makes the tables as a user of another migration tool does.
    fn make_by_hand(&self) {
        for migration in events_migrations::all(DIALECT) {
            self.database.query(&table().render(migration.up));
        }
    }

    /// SQLSpec's table of the same name.
    fn make_foreign(&self) {
        self.database
            .query("CREATE TABLE app_events (event_id text, channel text, payload_json text)");
    }

    /// Every table and function that is not the server's.
    fn catalogue(&self) -> Vec<String> {
        let rows = self.database.query(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
             UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1",
        );
        rows.into_iter()
            .filter_map(|mut row| row.remove(0))
            .collect()
    }
}

fn table() -> TableName {
    TableName::new("app_events").unwrap()
}

#[test]
fn up_once_then_nothing_then_down() {
    let Some(place) = Place::new("up_once_then_nothing_then_down") else {
        return;
    };
    assert_eq!(place.states(), [State::Pending]);
    let error = place.check(&table()).unwrap_err();
    assert_eq!(
        (error.kind(), error.op()),
        (ErrorKind::SchemaMissing, Op::Open)
    );
    assert!(
        error
            .to_string()
            .contains("`events migrate up --table app_events`"),
        "{error}"
    );
    assert!(place.down(&table()).unwrap().is_empty());
    assert!(place.catalogue().is_empty(), "looking changes nothing");

    assert_eq!(place.up(&table()).unwrap(), [ID]);
    place.check(&table()).unwrap();
    assert_eq!(place.states(), [State::Applied]);
    assert!(place.up(&table()).unwrap().is_empty());

    assert_eq!(place.down(&table()).unwrap(), [ID]);
    assert_eq!(place.catalogue(), [LEDGER]);
    assert!(place.down(&table()).unwrap().is_empty());
    assert_eq!(place.up(&table()).unwrap(), [ID]);
}

#[test]
fn schemas_are_separate_and_have_their_own_ledger() {
    let Some(place) = Place::new("schemas_are_separate_and_have_their_own_ledger") else {
        return;
    };
    place.database.query("CREATE SCHEMA app");
    let inside = TableName::new("app.app_events").unwrap();
    assert_eq!(place.up(&inside).unwrap(), [ID]);
    assert_eq!(place.states(), [State::Pending]);
    assert!(place.catalogue().is_empty());
    assert_eq!(place.up(&table()).unwrap(), [ID]);
    assert_eq!(place.down(&table()).unwrap(), [ID]);
    place.check(&inside).unwrap();

    let nowhere = TableName::new("nowhere.app_events").unwrap();
    let error = place.up(&nowhere).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaMissing);
    assert!(error.to_string().contains("nowhere"), "{error}");
}

#[test]
fn several_migrators_at_once_migrate_once() {
    let Some(place) = Place::new("several_migrators_at_once_migrate_once") else {
        return;
    };
    let done: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let own = Runtime::new().unwrap();
                    let config =
                        PostgresConfig::new(Endpoint::parse(place.database.url()).unwrap());
                    own.block_on(async { up(&mut connect(&config).await?, &table()).await })
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap().unwrap())
            .collect()
    });
    assert_eq!(done.iter().filter(|ids| !ids.is_empty()).count(), 1);
    place.check(&table()).unwrap();
}

#[test]
fn hand_made_tables_are_accepted_and_adopted() {
    let Some(place) = Place::new("hand_made_tables_are_accepted_and_adopted") else {
        return;
    };
    place.make_by_hand();
    place
        .database
        .query("INSERT INTO app_events_queue (channel) VALUES ('a')");
    place.check(&table()).unwrap();
    assert_eq!(place.states(), [State::Applied]);
    // Nobody asked the ledger about them, so nobody drops them.
    assert!(place.down(&table()).unwrap().is_empty());
    assert_eq!(place.up(&table()).unwrap(), [ID]);
    let rows = place
        .database
        .query("SELECT count(*) FROM app_events_queue");
    assert_eq!(rows[0][0].as_deref(), Some("1"));
}

#[test]
fn a_foreign_table_is_named_and_not_changed() {
    let Some(place) = Place::new("a_foreign_table_is_named_and_not_changed") else {
        return;
    };
    place.make_foreign();
    for error in [
        place.up(&table()).unwrap_err(),
        place.check(&table()).unwrap_err(),
        place.dry_run(Direction::Up).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        for part in [
            "table app_events exists",
            "queue_id, priority",
            "another queue_table",
        ] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
    assert_eq!(place.catalogue(), ["app_events"]);
}

#[test]
fn tables_in_part_are_an_error_that_down_ends() {
    let Some(place) = Place::new("tables_in_part_are_an_error_that_down_ends") else {
        return;
    };
    place.up(&table()).unwrap();
    place.database.query("DROP TABLE app_events_key");
    for error in [
        place.up(&table()).unwrap_err(),
        place.check(&table()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::SchemaMissing);
        assert!(
            error.to_string().contains("without app_events_key"),
            "{error}"
        );
    }
    assert_eq!(place.down(&table()).unwrap(), [ID]);
    assert_eq!(place.up(&table()).unwrap(), [ID]);
}

#[test]
fn a_newer_schema_is_refused() {
    let Some(place) = Place::new("a_newer_schema_is_refused") else {
        return;
    };
    place.up(&table()).unwrap();
    place.database.query(
        "INSERT INTO event_channels_migrations (queue_table, id, checksum) VALUES ('app_events', 'ext_events_9999', 'x')",
    );
    let before = place.catalogue();
    for error in [
        place.up(&table()).unwrap_err(),
        place.down(&table()).unwrap_err(),
        place.check(&table()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::SchemaNewer);
    }
    assert_eq!(place.catalogue(), before);
}

#[test]
fn a_failed_up_leaves_nothing() {
    let Some(place) = Place::new("a_failed_up_leaves_nothing") else {
        return;
    };
    // The name of an index of the migration is taken.
    place
        .database
        .query("CREATE TABLE idx_app_events_expired (a integer)");
    let error = place.up(&table()).unwrap_err();
    assert!(
        error.to_string().contains("idx_app_events_expired"),
        "{error}"
    );
    assert_eq!(place.catalogue(), ["idx_app_events_expired"]);
}

#[test]
fn a_dry_run_says_what_would_run_and_its_text_runs() {
    let Some(place) = Place::new("a_dry_run_says_what_would_run_and_its_text_runs") else {
        return;
    };
    let text = place.dry_run(Direction::Up).unwrap();
    assert!(place.catalogue().is_empty());
    place.database.query(&text);
    place.check(&table()).unwrap();
    place.up(&table()).unwrap();
    assert!(place.dry_run(Direction::Up).unwrap().is_empty());
    place
        .database
        .query(&place.dry_run(Direction::Down).unwrap());
    assert_eq!(place.catalogue(), [LEDGER]);
}
