//! The floor: finds what was committed without a ring.
//!
//! Programs that are not ours write to the file too, and a publisher may die between its COMMIT
//! and its ring. `PRAGMA data_version` says cheaply whether another connection has committed
//! anything since the last look; only then the queues of waiting consumers are looked at. The
//! connection is opened and closed by the one thread that uses it.

use std::collections::HashMap;
use std::sync::Arc;

use events_core::{ErrorKind, Op, Result};
use rusqlite::{Connection, params};

use crate::error::sqlite;
use crate::{SqliteConfig, look};

use super::shared::Local;

/// Looks for commits of other connections, this process's writer among them.
pub(super) struct Floor {
    config: SqliteConfig,
    connection: Option<Connection>,
    version: Option<i64>,
    /// When the first delayed event of a queue was due at the last look, by table and queue.
    due: HashMap<(String, i64), i64>,
    healthy: bool,
}

impl Floor {
    pub(super) fn new(config: SqliteConfig) -> Self {
        Self {
            config,
            connection: None,
            version: None,
            due: HashMap::new(),
            healthy: true,
        }
    }

    /// Wakes a consumer of each queue that holds something for one; answers whether anything was
    /// committed since the last look.
    pub(super) fn find(&mut self, locals: &[Arc<Local>]) -> bool {
        match self.try_find(locals) {
            Ok(changed) => {
                self.healthy = true;
                changed
            }
            // Somebody recovers or migrates the database; the version is not taken as seen.
            Err(error) if error.kind() == ErrorKind::Busy => false,
            Err(error) => {
                if std::mem::replace(&mut self.healthy, false) {
                    tracing::warn!(%error, "commits of other programs are not noticed; it is tried again");
                }
                self.connection = None;
                false
            }
        }
    }

    fn try_find(&mut self, locals: &[Arc<Local>]) -> Result<bool> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                self.version = None;
                none.insert(look(&self.config)?)
            }
        };
        let version = connection
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
            .map_err(failed)?;
        if self.version == Some(version) {
            return Ok(false);
        }
        for local in locals {
            for queue_id in local.wakes.waiting_queues() {
                if something_new(connection, local, queue_id, &mut self.due)? {
                    local.wakes.ring_queue(queue_id, 1);
                }
            }
        }
        self.version = Some(version);
        Ok(true)
    }
}

/// Whether a consumer that waits would find something, or has to wait less than it thinks.
fn something_new(
    connection: &Connection,
    local: &Local,
    queue_id: i64,
    due: &mut HashMap<(String, i64), i64>,
) -> Result<bool> {
    let (claimable, next_delayed): (bool, Option<i64>) = connection
        .prepare_cached(&local.waiting)
        .and_then(|mut statement| {
            statement.query_row(params![queue_id], |row| Ok((row.get(0)?, row.get(1)?)))
        })
        .map_err(failed)?;
    let key = (local.table.clone(), queue_id);
    let earlier = match next_delayed {
        Some(next) => due.insert(key, next).is_none_or(|known| next < known),
        None => {
            due.remove(&key);
            false
        }
    };
    Ok(claimable || earlier)
}

fn failed(error: rusqlite::Error) -> events_core::Error {
    sqlite(Op::Claim, error)
}
