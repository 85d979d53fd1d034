//! `events migrate`: the tables.

use event_channels::migrations::Direction;

use crate::args::{Global, Migrate, MigrateAction};
use crate::config::config;
use crate::exit::{Done, Failure};
use crate::output::line;

pub(crate) async fn run(global: &Global, command: Migrate) -> Done {
    let mut config = config(global)?.fallback_table(!command.no_fallback_table);
    for user in command.grant {
        config = config.grant_queue_to(user);
    }
    match (command.action.unwrap_or(MigrateAction::Up), command.dry_run) {
        (MigrateAction::Up, true) => print_sql(&config.migrate_dry_run(Direction::Up).await?),
        (MigrateAction::Down, true) => print_sql(&config.migrate_dry_run(Direction::Down).await?),
        (MigrateAction::Up, false) => {
            let ids = config.migrate_up().await?;
            print_ids(
                "applied",
                &ids,
                config.migrates_queue().then_some("the queue is there"),
            )
        }
        (MigrateAction::Down, false) => {
            let ids = config.migrate_down().await?;
            print_ids(
                "reverted",
                &ids,
                config.migrates_queue().then_some("the queue is gone"),
            )
        }
        (MigrateAction::Status, false) => {
            for status in config.migrate_status().await? {
                let at = status
                    .applied_at
                    .map(|at| at.to_string())
                    .unwrap_or_default();
                let name = status.name.unwrap_or("unknown");
                line(format!("{}  {:<8} {name}  {at}", status.id, status.state).trim_end())?;
            }
            Ok(())
        }
        (MigrateAction::Export { dir }, false) => {
            for path in config.migrate_export(&dir)? {
                line(path.display())?;
            }
            Ok(())
        }
        (MigrateAction::Status | MigrateAction::Export { .. }, true) => Err(Failure::usage(
            "--dry-run goes with up and down; status and export change no database",
        )),
    }
}

fn print_sql(sql: &str) -> Done {
    line(if sql.is_empty() {
        "-- nothing to do"
    } else {
        sql.trim_end()
    })
}

fn print_ids(done: &str, ids: &[String], queue: Option<&str>) -> Done {
    if ids.is_empty() && queue.is_none() {
        return line("nothing to do");
    }
    ids.iter().try_for_each(|id| line(format!("{done} {id}")))?;
    queue.map_or(Ok(()), line)
}
