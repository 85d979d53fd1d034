//! Connections: where they come from, how they are set up, and which of them go back.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use events_core::{Op, Result};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::types::Type;

use crate::ask::TypedValues;
use crate::error::{none_in_time, pool, postgres, timed_out};
use crate::sql::Statements;

/// Between two looks of the server whether we are still there while it works for us.
const NOTICED_WITHIN: &str = "5s";

/// Where connections come from.
#[derive(Debug)]
pub(crate) struct Pools {
    own: Pool,
    /// Another one to publish through, and whether it is ours to close. Its connections may be
    /// shared with the application or lent by a proxy for one transaction each, so they are left
    /// as they are and nothing is prepared on them.
    publish: Option<(Pool, bool)>,
}

/// A connection in use. It goes back when everything that was asked on it is answered; before that
/// an answer may still come, so that nobody else is given it.
#[derive(Debug)]
pub(crate) struct Loan {
    object: Option<Object>,
    /// It was just made, for our own pool.
    pub(crate) is_new: bool,
}

/// How long an operation may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) time: Duration,
    pub(crate) until: Instant,
}

impl Pools {
    pub(crate) fn one(own: Pool) -> Self {
        Self { own, publish: None }
    }

    pub(crate) fn two(own: Pool, publish: Pool, closed_by_us: bool) -> Self {
        Self {
            own,
            publish: Some((publish, closed_by_us)),
        }
    }

    /// A connection with our settings.
    pub(crate) async fn own(&self, op: Op, limit: Limit, sql: &Statements) -> Result<Loan> {
        let mut loan = take(op, &self.own, limit).await?;
        // A connection without a prepared statement is a new one.
        if loan.statement_cache.size() == 0 {
            let set_up = set_up(&loan, sql, limit.time.as_millis().to_string());
            let done = timeout_at(limit.until, set_up).await;
            done.map_err(|_| timed_out(op, limit.time))?
                .map_err(|e| postgres(op, e))?;
            loan.is_new = true;
        }
        Ok(loan)
    }

    /// A connection to publish through, and whether it has our settings.
    pub(crate) async fn publishing(&self, limit: Limit, sql: &Statements) -> Result<(Loan, bool)> {
        match &self.publish {
            Some((pool, _)) => Ok((take(Op::Publish, pool, limit).await?, false)),
            None => Ok((self.own(Op::Publish, limit, sql).await?, true)),
        }
    }

    /// Closes the connections that nobody uses, and the others when they come back.
    pub(crate) fn close(&self) {
        self.own.close();
        if let Some((pool, true)) = &self.publish {
            pool.close();
        }
    }
}

/// How long the pool waits for a connection that is in use is its own business, within the limit.
async fn take(op: Op, from: &Pool, limit: Limit) -> Result<Loan> {
    let taken = timeout_at(limit.until, from.get()).await;
    let object = taken.map_err(|_| none_in_time(op, limit.time))?;
    object
        .map(|object| Loan {
            object: Some(object),
            is_new: false,
        })
        .map_err(|e| pool(op, e))
}

async fn set_up(
    loan: &Loan,
    sql: &Statements,
    milliseconds: String,
) -> Result<(), tokio_postgres::Error> {
    let statement = loan.prepare_cached(&sql.settings).await?;
    let limit: TypedValues<'_> = &[(&milliseconds, Type::TEXT)];
    let interval: TypedValues<'_> = &[(&NOTICED_WITHIN, Type::TEXT)];
    let (plans, limits, notice) = tokio::join!(
        loan.query(&statement, &[]),
        loan.query_typed(&sql.limits, limit),
        loan.query_typed(&sql.notice, interval),
    );
    plans?;
    limits?;
    // Not every system that a server runs on can look.
    if let Err(error) = notice
        && error.as_db_error().is_none()
    {
        return Err(error);
    }
    Ok(())
}

impl Loan {
    /// To be called when everything is answered.
    pub(crate) fn give_back(mut self) {
        drop(self.object.take());
    }
}

impl Deref for Loan {
    type Target = Object;

    fn deref(&self) -> &Object {
        self.object.as_ref().expect("only giving it back takes it")
    }
}

impl DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut Object {
        self.object.as_mut().expect("only giving it back takes it")
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            drop(Object::take(object));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use events_core::ErrorKind;
    use events_testkit::postgres::{Database as Place, database};
    use tokio::runtime::Handle;

    use super::*;
    use crate::database::Database;
    use crate::{Endpoint, PostgresConfig, open};

    const TIME: Duration = Duration::from_millis(400);

    async fn start(test: &str) -> Option<(Place, Arc<Database>)> {
        let place = match database() {
            Ok(place) => place,
            Err(missing) => {
                missing.skip(test);
                return None;
            }
        };
        let mut config = PostgresConfig::new(Endpoint::parse(place.url()).unwrap());
        config.auto_migrate = true;
        config.timeout = TIME;
        let queue = open(config, &Handle::current()).await.unwrap();
        let db = Arc::clone(queue.store().db());
        Some((place, db))
    }

    /// Long enough on any machine; the server is told of the limit.
    fn at_leisure() -> Limit {
        Limit {
            time: TIME,
            until: Instant::now() + TIME * 100,
        }
    }

    #[tokio::test]
    async fn the_server_gives_up_what_we_do() {
        let Some((place, db)) = start("the_server_gives_up_what_we_do").await else {
            return;
        };
        place.query(&format!(
            "ALTER ROLE postgres IN DATABASE {} SET default_transaction_isolation = 'serializable'",
            place.query("SELECT current_database()")[0][0]
                .as_deref()
                .unwrap()
        ));
        for (setting, expected) in [
            ("statement_timeout", "400ms"),
            ("idle_in_transaction_session_timeout", "400ms"),
            ("client_connection_check_interval", NOTICED_WITHIN),
            ("default_transaction_isolation", "read committed"),
            ("enable_seqscan", "off"),
        ] {
            let sql = format!("SELECT current_setting('{setting}')");
            let loan = db.pools.own(Op::Admin, at_leisure(), &db.sql).await;
            let rows = loan.unwrap().query(&sql, &[]).await.unwrap();
            assert_eq!(rows[0].get::<_, String>(0), expected, "{setting}");
        }
    }

    /// It may still answer the one who asked, and it may not be set up.
    #[tokio::test]
    async fn a_connection_that_owes_an_answer_is_left() {
        let Some((place, db)) = start("a_connection_that_owes_an_answer_is_left").await else {
            return;
        };
        let pool = &db.pools.own;
        let loan = db.pools.own(Op::Admin, at_leisure(), &db.sql).await;
        loan.unwrap().give_back();
        assert_eq!((pool.status().size, pool.status().available), (1, 1));

        // Polled once, it has asked and cannot have been answered.
        let call = db.query(Op::Admin, "SELECT pg_sleep(60)", &[]);
        assert!(events_testkit::cancel_at(1, call).await.is_none());
        assert_eq!(pool.status().size, 0, "the call was dropped");

        drop(pool.get().await.unwrap());
        assert_eq!(pool.status().available, 1, "there, and not set up");
        // So long ago that the timer knows it: one of this moment may lose against the server.
        let late = Limit {
            time: Duration::ZERO,
            until: Instant::now() - Duration::from_secs(1),
        };
        let error = db.pools.own(Op::Admin, late, &db.sql).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert_eq!(pool.status().size, 0, "half set up");
        drop(place);
    }

    /// Everything that an operation needs: a connection, and what waits for a lock.
    #[tokio::test]
    async fn the_limit_is_that_of_the_whole_operation() {
        let Some((place, db)) = start("the_limit_is_that_of_the_whole_operation").await else {
            return;
        };
        let mut held = Vec::new();
        for _ in 0..8 {
            let loan = db.pools.own(Op::Admin, at_leisure(), &db.sql).await;
            held.push(loan.unwrap());
        }
        let begun = Instant::now();
        let query = db.query(Op::Admin, "SELECT pg_sleep(60)", &[]);
        let give_back = async {
            tokio::time::sleep(TIME / 4).await; // a part of the limit
            held.pop().unwrap().give_back();
        };
        let (answer, ()) = tokio::join!(query, give_back);
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Timeout);
        assert!(begun.elapsed() < Duration::from_secs(30));
        drop(held);

        let lock = "BEGIN; LOCK TABLE sqlspec_event_queue; SELECT pg_sleep(60)";
        let url = place.url().to_owned();
        let holder = std::thread::spawn(move || {
            let _ = std::panic::catch_unwind(|| events_testkit::postgres::query(&url, lock));
        });
        let locks = "SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database
                     WHERE d.datname = current_database() AND mode = 'AccessExclusiveLock'
                       AND relation = 'sqlspec_event_queue'::regclass";
        while place.query(locks)[0][0].as_deref() != Some("1") {
            tokio::task::yield_now().await;
        }
        let answer = db
            .query(Op::Admin, "SELECT FROM sqlspec_event_queue", &[])
            .await;
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Timeout);
        // Nor does the server go on with it.
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                       AND wait_event_type = 'Lock'";
        while place.query(waiting)[0][0].as_deref() != Some("0") {
            assert!(begun.elapsed() < Duration::from_secs(40));
            tokio::task::yield_now().await;
        }
        place.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'BEGIN; LOCK%' AND pid <> pg_backend_pid()");
        holder.join().unwrap();
    }
}
